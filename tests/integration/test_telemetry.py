"""Metrics, spans, probes and status of real workers on the real broker, and that no post content is in any of them."""

from typing import Any

import pytest
from confluent_kafka import Producer

from tests.support.otlp import CollectedSpan, Collector, tree
from tests.support.pictures import jpeg
from tests.support.s3_server import S3Server
from tests.support.scrape import Telemetry
from tests.support.streams import StreamUnderTest, text_post
from tests.support.topics import read_topic
from worker.local.child import free_ports
from worker.telemetry.table import METRICS

TRACE, PARENT = "0af7651916cd43dd8448eb211c80319c", "b7ad6b7169203331"
CONTENT = "zebra-crossing-content"


def send_traced(stream: StreamUnderTest, post: bytes, flags: str) -> None:
    producer = Producer(stream.config)
    headers: list[tuple[str, str | bytes | None]] = [("traceparent", f"00-{TRACE}-{PARENT}-{flags}")]
    producer.produce(stream.topics.posts, post, b"traced", headers=headers)
    assert producer.flush(30) == 0


def headers_of_verdicts(stream: StreamUnderTest) -> dict[str, str]:
    """The traceparent of each verdict, by post_id."""
    found = {}
    for message in read_topic(stream.config, stream.topics.verdicts):
        headers = dict(message.headers() or [])
        found[str(message.key(), "utf-8")] = str(headers["traceparent"], "utf-8")  # type: ignore[arg-type]
    return found


def picture_settings(stream: StreamUnderTest, s3: S3Server, bucket: str) -> dict[str, Any]:
    s3.client().put_object(Bucket=bucket, Key="fine.jpg", Body=jpeg())
    stream.environment = s3.environment
    return {"endpoint_url": s3.endpoint_url, "buckets": [bucket]}


def named(spans: list[CollectedSpan], operation: str) -> CollectedSpan:
    (span,) = [span for span in spans if span.name.split()[0] == operation]
    return span


@pytest.mark.timeout(180)
def test_a_trace_leads_from_the_producer_to_the_verdict(
    plain_stream: StreamUnderTest, s3: S3Server, bucket: str
) -> None:
    objects = picture_settings(plain_stream, s3, bucket)
    traced = f'{{"post_id": "traced", "text": "{CONTENT}", "images": [{{"uri": "s3://{bucket}/fine.jpg"}}]}}'
    with Collector() as collector:
        telemetry = {"otlp_endpoint": collector.endpoint, "otlp_interval_s": 0.5}
        with plain_stream.worker(objects=objects, telemetry=telemetry, batching={"max_wait_ms": 200}) as worker:
            send_traced(plain_stream, traced.encode(), "01")
            plain_stream.send(text_post(1, CONTENT))
            send_traced(plain_stream, b'{"post_id": "unsampled", "text": "x"}', "00")
            send_traced(plain_stream, b"no post " + CONTENT.encode(), "01")
            plain_stream.answers(4)
            assert worker.terminate() == 0
        verdicts = headers_of_verdicts(plain_stream)
        ours = [span for span in collector.spans if span.trace == TRACE]
        batches = [span for span in collector.spans if span.trace != TRACE]
        assert b"".join(collector.raw).find(CONTENT.encode()) == -1
        assert CONTENT not in worker.log
        assert "proguard.batch.size" in collector.metrics
    topics = plain_stream.topics
    refused = [span for span in ours if "error.type" in span.attributes]
    assert [span.attributes["error.type"] for span in refused] == ["not_json"]
    ours.remove(refused[0])
    print(tree(ours))  # shown by -s; docs/operating.md has one
    assert {span.name for span in ours} == {
        *(f"{operation} {topics.posts}" for operation in ("receive", "fetch", "judge")),
        f"publish {topics.verdicts}",
    }
    receive, publish = named(ours, "receive"), named(ours, "publish")
    assert receive.parent == PARENT
    assert {span.parent for span in ours if span is not receive} == {receive.span}
    assert named(ours, "fetch").end <= named(ours, "judge").end <= publish.end
    assert verdicts["traced"] == f"00-{TRACE}-{publish.span}-01"
    assert verdicts["unsampled"].startswith(f"00-{TRACE}-")
    assert verdicts["unsampled"].endswith("-00")
    assert {span.name for span in batches} == {f"judge {topics.posts}"}
    linked = [span for span in batches if receive.span in span.links]
    assert [span.span for span in linked] == list(named(ours, "judge").links)
    assert len(linked) == 1


@pytest.mark.timeout(180)
def test_metrics_are_those_of_the_table_and_true(plain_stream: StreamUnderTest, s3: S3Server, bucket: str) -> None:
    (port,) = free_ports(1)
    pages = Telemetry(port)
    objects = picture_settings(plain_stream, s3, bucket)
    plain_stream.send(*(text_post(number, CONTENT) for number in range(20)), text_post(20, "unsafe:C3S1"))
    plain_stream.send(text_post(21, "novel:new thing"), text_post(22, "guard:raise"))
    plain_stream.send({"post_id": "seen", "images": [{"uri": f"s3://{bucket}/fine.jpg"}]})
    plain_stream.send({"post_id": "missing", "images": [{"uri": f"s3://{bucket}/{CONTENT}.jpg"}]})
    plain_stream.send_raw([(b"k", b"{not json"), (b"post-3", None)])
    with plain_stream.worker(objects=objects, telemetry={"port": port}) as worker:
        # The erasure publishes a null verdict, which is no answer that is counted here.
        plain_stream.answers(26)
        pages.wait(lambda: pages.value("proguard_posts_held") == 0)
        outcomes = "proguard_outcomes_total"
        assert pages.value(outcomes) == 25
        assert pages.value(outcomes, proguard_outcome="safe", proguard_category="none", proguard_action="allow") == 21
        assert pages.value(outcomes, proguard_category="C3S1", proguard_modality="text") == 1
        assert pages.value(outcomes, proguard_category="novel") == 1
        assert pages.value("proguard_undetermined_total", proguard_reason="guard_failed") == 1
        assert pages.value("proguard_undetermined_total", proguard_reason="image_missing") == 1
        assert pages.value("proguard_dead_letters_total", proguard_stage="decode", proguard_reason="not_json") == 1
        assert pages.value("proguard_erasures_total") == 1
        assert pages.value("proguard_fetch_errors_total", error_type="image_missing") == 1
        assert pages.value("proguard_guard_failures_total", error_type="GuardError") >= 3
        assert pages.value("messaging_client_consumed_messages_total") == 27
        sent = {
            name: pages.value("messaging_client_sent_messages_total", messaging_destination_name=name)
            for name in plain_stream.topics.all()
        }
        assert sent[plain_stream.topics.verdicts] == 26
        assert sent[plain_stream.topics.dead_letters] == 1
        lag = "proguard_consumer_lag"  # no metric before the broker has told where a partition ends
        pages.wait(lambda: lag in pages.families() and pages.value(lag) == 0)
        exposed = pages.families()
        texts = [pages.get(page)[1] for page in ("/metrics", "/status")]
        assert worker.terminate() == 0
    del exposed["target_info"]
    table = {metric.prometheus_name: (metric.prometheus_type, set(metric.prometheus_labels)) for metric in METRICS}
    assert exposed == table
    assert not [text for text in (*texts, worker.log) if CONTENT in text]


@pytest.mark.timeout(180)
def test_probes_tell_starting_from_ready_and_a_spare_is_ready(plain_stream: StreamUnderTest) -> None:
    """Four partitions, five workers: the fifth has none and is ready all the same."""
    ports = free_ports(5)
    workers = [plain_stream.worker(slot, telemetry={"port": port}) for slot, port in enumerate(ports)]
    pages = [Telemetry(port) for port in ports]
    try:
        for worker in workers:
            worker.start()
        for page in pages:
            page.wait(lambda page=page: page.ok("/livez"), 60)  # type: ignore[misc]
        first = {page.get("/startupz")[0] for page in pages} | {page.get("/readyz")[0] for page in pages}
        assert first <= {200, 503}
        for page in pages:
            page.wait(lambda page=page: page.ok("/readyz") and page.ok("/startupz"), 60)  # type: ignore[misc]
        pages[0].wait(lambda: sum(len(page.status()["partitions"]) for page in pages) == 4, 60)
        pages[0].wait(lambda: sorted(len(page.status()["partitions"]) for page in pages) == [0, 1, 1, 1, 1], 60)
        assert all(page.ok("/readyz") for page in pages)
        status = pages[0].status()
        assert [status["live"], status["started"], status["ready"]] == [True, True, True]
        assert status["guard"] == {"name": "scripted", "revision": "1"}
        assert [each["name"] for each in status["dependencies"]] == ["guard"]
        assert pages[0].get("/nothing")[0] == 404
    finally:
        for worker in workers:
            worker.__exit__()


@pytest.mark.timeout(120)
def test_alive_but_not_started_while_the_broker_is_away_and_a_taken_port_is_78(plain_stream: StreamUnderTest) -> None:
    port, broker = free_ports(2)
    page = Telemetry(port)
    away = {"bootstrap_servers": f"127.0.0.1:{broker}"}
    with plain_stream.worker(kafka=away, telemetry={"port": port}) as worker:
        page.wait(lambda: page.ok("/livez"), 30)
        assert page.get("/startupz")[0] == 503
        assert page.get("/readyz")[0] == 503
        assert page.status()["started"] is False
        second = plain_stream.worker(1, kafka=away, telemetry={"port": port}).start()
        assert second.process.wait(30) == 78
        assert f"127.0.0.1:{port}" in second.log
        assert "telemetry.port" in second.log
        assert worker.terminate() == 0
