"""Spans: for posts whose traceparent is sampled receive, fetch, judge and publish; for every batch one, with links.

    the producer's span
      receive POSTS            receipt and decoding
        fetch POSTS            the post's pictures
        judge POSTS            waiting for a batch and the guard; links to the batch's span
        publish VERDICTS       until the commit is confirmed; its context is the verdict's traceparent

Attributes name coordinates and sizes. The category stays out: together with an offset it would tell of minors.
"""

import time
from collections.abc import Callable, Iterable, Sequence

from opentelemetry import trace
from opentelemetry.trace import Link, NonRecordingSpan, Span, SpanContext, SpanKind, Status, StatusCode, TraceFlags

from worker.moderation.tracing import parent
from worker.telemetry import table

Headers = Iterable[tuple[str, str | bytes | None]]

_OFFSET = "messaging.kafka.offset"
_BATCH_COUNT = "messaging.batch.message_count"
_OPERATION_TYPE = "messaging.operation.type"
_NANOSECONDS = 1_000_000_000


class Tracer:
    """Makes spans of one worker. clock is the one whose times are passed in; spans are dated by the wall clock."""

    def __init__(
        self,
        tracer: trace.Tracer,
        posts: str,
        verdicts: str,
        group: str,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._tracer = tracer
        self._posts = posts
        self._verdicts = verdicts
        self._group = group
        self._clock = clock

    def receive(self, headers: Headers, source: tuple[str, int, int], received: float) -> "PostTrace | None":
        """The trace of a post that was just received and decoded; None unless its traceparent is sampled."""
        sender = self._sender(headers)
        if sender is None:
            return None
        span = self.start("receive", source, sender, received, SpanKind.CONSUMER)
        self.end(span, self._clock())
        return PostTrace(self, span, source)

    def batch(self, size: int, posts: Iterable["PostTrace | None"]) -> Span:
        """A batch of `size` questions goes to the guard now. End the span when it is answered."""
        links = [Link(post.context) for post in posts if post is not None]
        attributes: dict[str, str | int] = {
            table.SYSTEM: "kafka",
            table.OPERATION: "judge",
            _OPERATION_TYPE: "process",
            table.DESTINATION: self._posts,
            table.GROUP: self._group,
            _BATCH_COUNT: size,
        }
        return self._tracer.start_span(
            f"judge {self._posts}",
            context=trace.set_span_in_context(trace.INVALID_SPAN),
            attributes=attributes,
            links=links,
        )

    def refused(self, headers: Headers, source: tuple[str, int, int], received: float, reason: str) -> None:
        """A record that is no post: its receive span says so. reason: of the dead letter, never its message."""
        found = self._sender(headers)
        if found is not None:
            span = self.start("receive", source, found, received, SpanKind.CONSUMER)
            span.set_status(Status(StatusCode.ERROR, reason))
            span.set_attribute(table.ERROR, reason)
            self.end(span, self._clock())

    def start(
        self,
        operation: str,
        source: tuple[str, int, int],
        above: Span,
        at: float,
        kind: SpanKind = SpanKind.INTERNAL,
        links: Sequence[SpanContext] = (),
    ) -> Span:
        """A span that begins at `at`, below another. source: topic, partition and offset of the post."""
        topic, partition, offset = source
        destination = self._verdicts if operation == "publish" else topic
        attributes: dict[str, str | int] = {
            table.SYSTEM: "kafka",
            table.OPERATION: operation,
            table.DESTINATION: destination,
            table.GROUP: self._group,
        }
        if operation != "publish":
            attributes |= {table.PARTITION: str(partition), _OFFSET: offset}
        return self._tracer.start_span(
            f"{operation} {destination}",
            context=trace.set_span_in_context(above),
            kind=kind,
            attributes=attributes,
            links=[Link(context) for context in links],
            start_time=self._wall(at),
        )

    def end(self, span: Span, at: float) -> None:
        """End it at a time of the clock."""
        span.end(self._wall(at))

    def _sender(self, headers: Headers) -> Span | None:
        """The span that sent the post, where it is sampled."""
        found = parent(headers)
        if found is None or not found.sampled:
            return None
        flags = TraceFlags(int(found.flags, 16))
        context = SpanContext(int(found.trace, 16), int(found.span, 16), is_remote=True, trace_flags=flags)
        return NonRecordingSpan(context)

    def _wall(self, at: float) -> int:
        """The clock's time as nanoseconds since the epoch."""
        return time.time_ns() - int((self._clock() - at) * _NANOSECONDS)


class PostTrace:
    """The spans of one sampled post. What is never committed here has no publish span: its next owner publishes it."""

    def __init__(self, tracer: Tracer, received: Span, source: tuple[str, int, int]) -> None:
        self._tracer = tracer
        self._received = received
        self._source = source
        self._publish: Span | None = None
        self.batches: list[SpanContext] = []

    @property
    def context(self) -> SpanContext:
        """Of the receive span."""
        return self._received.get_span_context()

    def judged(self, outcome: str, received: float, fetched: float, done: float, *, pictures: bool) -> str:
        """Write the fetch and judge spans, begin to publish, and return the traceparent of what is published."""
        if pictures:
            self._tracer.end(self._tracer.start("fetch", self._source, self._received, received), fetched)
        judge = self._tracer.start("judge", self._source, self._received, fetched, links=self.batches)
        judge.set_attribute(table.OUTCOME, outcome)
        self._tracer.end(judge, done)
        self._publish = self._tracer.start("publish", self._source, self._received, done, SpanKind.PRODUCER)
        context = self._publish.get_span_context()
        return f"00-{context.trace_id:032x}-{context.span_id:016x}-{context.trace_flags:02x}"

    def published(self) -> None:
        """The commit is confirmed."""
        if self._publish is not None:
            self._publish.end()
