"""A collector of OTLP over HTTP for tests: keeps spans, metric names and the raw bytes that a worker sent."""

import gzip
import threading
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, Self

from opentelemetry.proto.collector.metrics.v1.metrics_service_pb2 import ExportMetricsServiceRequest
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest
from opentelemetry.proto.trace.v1.trace_pb2 import Span


@dataclass(frozen=True, slots=True)
class CollectedSpan:
    """Ids as in a traceparent; links: span ids; times in nanoseconds since the epoch."""

    name: str
    trace: str
    span: str
    parent: str
    links: tuple[str, ...]
    attributes: dict[str, str | int]
    start: int
    end: int


@dataclass(slots=True)
class Collector:
    """A context: listening on 127.0.0.1 inside it."""

    spans: list[CollectedSpan] = field(default_factory=list)
    metrics: set[str] = field(default_factory=set)
    raw: list[bytes] = field(default_factory=list)
    _server: ThreadingHTTPServer | None = None

    @property
    def endpoint(self) -> str:
        """For telemetry.otlp_endpoint."""
        assert self._server is not None
        return f"http://127.0.0.1:{self._server.server_address[1]}"

    def __enter__(self) -> Self:
        collector = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                body = self.rfile.read(int(self.headers["Content-Length"]))
                if self.headers.get("Content-Encoding") == "gzip":
                    body = gzip.decompress(body)
                collector.take(self.path, body)
                self.send_response(200)
                self.send_header("Content-Length", "0")
                self.end_headers()

            def log_message(self, format: str, *args: Any) -> None:
                pass

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        threading.Thread(target=self._server.serve_forever, daemon=True).start()
        return self

    def __exit__(self, *_: object) -> None:
        assert self._server is not None
        self._server.shutdown()
        self._server.server_close()

    def take(self, path: str, body: bytes) -> None:
        """One request."""
        self.raw.append(body)
        if path == "/v1/traces":
            request = ExportTraceServiceRequest.FromString(body)
            self.spans += [
                _collected(span)
                for resource in request.resource_spans
                for scope in resource.scope_spans
                for span in scope.spans
            ]
        elif path == "/v1/metrics":
            metrics = ExportMetricsServiceRequest.FromString(body)
            self.metrics |= {
                metric.name
                for resource in metrics.resource_metrics
                for scope in resource.scope_metrics
                for metric in scope.metrics
            }


def _collected(span: Span) -> CollectedSpan:
    return CollectedSpan(
        name=span.name,
        trace=span.trace_id.hex(),
        span=span.span_id.hex(),
        parent=span.parent_span_id.hex(),
        links=tuple(link.span_id.hex() for link in span.links),
        attributes={
            each.key: each.value.int_value if each.value.HasField("int_value") else each.value.string_value
            for each in span.attributes
        },
        start=span.start_time_unix_nano,
        end=span.end_time_unix_nano,
    )


def tree(spans: list[CollectedSpan]) -> str:
    """One trace, a line a span, children below their parent in order of time: name, milliseconds from the first."""
    known = {span.span for span in spans}
    begin = min(span.start for span in spans)

    def lines(span: CollectedSpan, depth: int) -> list[str]:
        times = f"{(span.start - begin) / 1e6:.1f} to {(span.end - begin) / 1e6:.1f} ms"
        links = f", links to {', '.join(span.links)}" if span.links else ""
        children = sorted((each for each in spans if each.parent == span.span), key=lambda each: each.start)
        own = f"{'  ' * depth}{span.name} ({span.span}): {times}{links}"
        return [own, *(line for child in children for line in lines(child, depth + 1))]

    roots = sorted((span for span in spans if span.parent not in known), key=lambda span: span.start)
    return "\n".join(line for root in roots for line in lines(root, 0))
