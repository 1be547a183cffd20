"""OpenTelemetry's providers: metrics for Prometheus and OTLP, spans for OTLP. Made once, closed at the end."""

import logging
import os
from collections.abc import Mapping, Sequence
from importlib.metadata import PackageNotFoundError, version
from threading import Lock, Thread

from opentelemetry.sdk.metrics import MeterProvider
from opentelemetry.sdk.metrics.export import MetricReader
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import BatchSpanProcessor
from prometheus_client import CollectorRegistry
from prometheus_client.exposition import CONTENT_TYPE_LATEST, generate_latest

from worker.settings import Settings
from worker.telemetry import table
from worker.telemetry.histograms import PeriodicReader, PrometheusReader, Series
from worker.telemetry.instruments import Observer, observe, series
from worker.telemetry.server import Answer
from worker.telemetry.spans import Tracer
from worker.telemetry.table import Metric
from worker.telemetry.telemetry import Telemetry

log = logging.getLogger(__name__)

SCOPE = "proguard"
MODERATION, RETRAINING, MINING = "proguard-moderation", "proguard-retraining", "proguard-mining"
_CLOSE_TIMEOUT_S = 3.0
_ENDPOINT = "OTEL_EXPORTER_OTLP_ENDPOINT"


class MetricExporters:
    """One table of metrics, for Prometheus and, where it is wanted, by OTLP."""

    def __init__(
        self,
        settings: Settings,
        resource: Resource,
        histograms: Sequence[Series],
        observers: Mapping[Metric, Observer],
        metrics: Sequence[Metric],
    ) -> None:
        self._registry = CollectorRegistry(auto_describe=False)
        self._scraping = Lock()
        readers: list[MetricReader] = [PrometheusReader(histograms, self._registry)]
        if (endpoint := _endpoint(settings, "metrics")) is not None:
            readers.append(_otlp_reader(histograms, endpoint or None, settings.telemetry.otlp_interval_s))
        self._meters = MeterProvider(readers, resource, shutdown_on_exit=False)
        observe(self._meters.get_meter(SCOPE, _version()), observers, metrics)

    def prometheus(self) -> Answer:
        """All metrics in Prometheus' text format; scrapes follow one another."""
        with self._scraping:
            return 200, CONTENT_TYPE_LATEST, generate_latest(self._registry)

    def close(self) -> None:
        """Send what is left; waits a few seconds at most."""
        self._meters.shutdown(_CLOSE_TIMEOUT_S * 1000)


class Exporters:
    """Reads the observers whenever somebody collects; gives telemetry its tracer where spans go by OTLP."""

    def __init__(self, settings: Settings, telemetry: Telemetry, observers: Mapping[Metric, Observer]) -> None:
        resource = resource_of(settings, MODERATION)
        histograms = series(telemetry, settings.topics.posts, settings.kafka.group_id)
        self._metrics = MetricExporters(settings, resource, histograms, observers, table.METRICS)
        self.prometheus = self._metrics.prometheus
        self._spans: TracerProvider | None = None
        if (traces := _endpoint(settings, "traces")) is not None:
            self._spans = _span_provider(traces or None, resource)
            tracer = self._spans.get_tracer(SCOPE, _version())
            telemetry.tracer = Tracer(tracer, settings.topics.posts, settings.topics.verdicts, settings.kafka.group_id)

    def close(self) -> None:
        """Send what is left, for a few seconds at most: a collector that is away must not hold up the end."""
        closing = Thread(target=self._close, name="telemetry-end", daemon=True)
        closing.start()
        closing.join(_CLOSE_TIMEOUT_S)

    def _close(self) -> None:
        if self._spans is not None:
            self._spans.shutdown()
        self._metrics.close()


def _endpoint(settings: Settings, signal: str) -> str | None:
    """Where to send: a URL, "" where OpenTelemetry's own variables say it, None for nowhere."""
    if settings.telemetry.otlp_endpoint is not None:
        return f"{settings.telemetry.otlp_endpoint.rstrip('/')}/v1/{signal}"
    named = (_ENDPOINT, f"OTEL_EXPORTER_OTLP_{signal.upper()}_ENDPOINT")
    return "" if any(os.environ.get(name) for name in named) else None


def _otlp_reader(histograms: Sequence[Series], endpoint: str | None, interval_s: float) -> MetricReader:
    from opentelemetry.exporter.otlp.proto.http.metric_exporter import OTLPMetricExporter

    return PeriodicReader(histograms, OTLPMetricExporter(endpoint), interval_s * 1000, _CLOSE_TIMEOUT_S * 1000)


def _span_provider(endpoint: str | None, resource: Resource) -> TracerProvider:
    from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter

    provider = TracerProvider(resource=resource, shutdown_on_exit=False)
    provider.add_span_processor(BatchSpanProcessor(OTLPSpanExporter(endpoint)))
    return provider


def resource_of(settings: Settings, service: str) -> Resource:
    """Who says it. OTEL_SERVICE_NAME and OTEL_RESOURCE_ATTRIBUTES add to it and win."""
    ours = {
        "service.name": service,
        "service.version": _version(),
        "service.instance.id": f"{settings.kafka.hostname}.{settings.kafka.slot}",
    }
    theirs = Resource.create().attributes
    named = os.environ.get("OTEL_SERVICE_NAME") or "service.name=" in os.environ.get("OTEL_RESOURCE_ATTRIBUTES", "")
    kept = {name: value for name, value in theirs.items() if name != "service.name" or named}
    return Resource({**ours, **kept})


def _version() -> str:
    try:
        return version("proguard-stream-moderation")
    except PackageNotFoundError:
        return "unknown"
