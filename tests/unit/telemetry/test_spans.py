"""Spans of posts and batches: parents, links, times, and the traceparent that goes on."""

import pytest
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from opentelemetry.trace import format_span_id, format_trace_id

from worker.telemetry.spans import Tracer

TRACE, PARENT = "0af7651916cd43dd8448eb211c80319c", "b7ad6b7169203331"
SOURCE = ("posts", 2, 40)
NOW = 1000.0


@pytest.fixture
def exported() -> InMemorySpanExporter:
    return InMemorySpanExporter()


@pytest.fixture
def tracer(exported: InMemorySpanExporter) -> Tracer:
    provider = TracerProvider(shutdown_on_exit=False)
    provider.add_span_processor(SimpleSpanProcessor(exported))
    return Tracer(provider.get_tracer("test"), "posts", "verdicts", "group", clock=lambda: NOW)


def headers(flags: str) -> list[tuple[str, str | bytes | None]]:
    return [("traceparent", f"00-{TRACE}-{PARENT}-{flags}".encode())]


@pytest.mark.parametrize("given", [[], headers("00"), [("traceparent", b"broken")], [("traceparent", None)]])
def test_what_is_not_sampled_has_no_spans(
    tracer: Tracer, exported: InMemorySpanExporter, given: list[tuple[str, str | bytes | None]]
) -> None:
    assert tracer.receive(given, SOURCE, NOW) is None
    tracer.refused(given, SOURCE, NOW, "not_json")
    assert exported.get_finished_spans() == ()


def test_the_spans_of_one_post(tracer: Tracer, exported: InMemorySpanExporter) -> None:
    post = tracer.receive(headers("01"), SOURCE, NOW - 5)
    assert post is not None
    batch = tracer.batch(3, [post, None])
    post.batches.append(batch.get_span_context())
    batch.end()
    traceparent = post.judged("safe", NOW - 5, NOW - 3, NOW - 1, pictures=True)
    assert "publish verdicts" not in {span.name for span in exported.get_finished_spans()}, "not before the commit"
    post.published()
    finished = exported.get_finished_spans()
    spans = {span.name: span for span in finished if format_trace_id(span.context.trace_id) == TRACE}
    assert set(spans) == {"receive posts", "fetch posts", "judge posts", "publish verdicts"}
    assert traceparent == f"00-{TRACE}-{format_span_id(spans['publish verdicts'].context.span_id)}-01"
    receive = spans.pop("receive posts")
    assert receive.parent is not None
    assert format_span_id(receive.parent.span_id) == PARENT
    assert {span.parent and span.parent.span_id for span in spans.values()} == {receive.context.span_id}
    fetch, judge = spans["fetch posts"], spans["judge posts"]
    assert (fetch.end_time or 0) - (fetch.start_time or 0) == pytest.approx(2e9, abs=1e8)
    assert (judge.end_time or 0) - (judge.start_time or 0) == pytest.approx(2e9, abs=1e8)
    assert [link.context.span_id for link in judge.links] == [batch.get_span_context().span_id]
    (linked,) = [span for span in finished if span.links and span is not judge]
    assert [link.context.span_id for link in linked.links] == [receive.context.span_id]
    assert (receive.attributes or {})["messaging.kafka.offset"] == 40


def test_a_post_without_pictures_has_no_fetch(tracer: Tracer, exported: InMemorySpanExporter) -> None:
    post = tracer.receive(headers("01"), SOURCE, NOW)
    assert post is not None
    post.judged("safe", NOW, NOW, NOW, pictures=False)
    assert {span.name for span in exported.get_finished_spans()} == {"receive posts", "judge posts"}


def test_no_post_is_an_error_with_its_reason_alone(tracer: Tracer, exported: InMemorySpanExporter) -> None:
    tracer.refused(headers("01"), SOURCE, NOW, "not_json")
    (span,) = exported.get_finished_spans()
    assert (span.attributes or {})["error.type"] == "not_json"
    assert not span.status.is_ok
