"""Brings our own histograms into what OpenTelemetry collects, as finished data points, always cumulative."""

import time
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

from opentelemetry.exporter.prometheus import PrometheusMetricReader
from opentelemetry.sdk.metrics.export import (
    AggregationTemporality,
    HistogramDataPoint,
    MetricExporter,
    MetricsData,
    PeriodicExportingMetricReader,
)
from opentelemetry.sdk.metrics.export import Histogram as HistogramData
from opentelemetry.sdk.metrics.export import Metric as MetricData
from prometheus_client import CollectorRegistry

from worker.telemetry.recorder import Recorder
from worker.telemetry.table import Metric

# A recorder with the values of its metric's attributes, in the order of the table.
Series = tuple[Recorder, tuple[str, ...]]


class PrometheusReader(PrometheusMetricReader):
    """Collects when the registry is scraped."""

    def __init__(self, series: Sequence[Series], registry: CollectorRegistry) -> None:
        self._series = series
        super().__init__(scope_info_enabled=False, registry=registry)

    def _receive_metrics(self, metrics_data: MetricsData, timeout_millis: float = 10_000, **kwargs: Any) -> None:
        super()._receive_metrics(_joined(metrics_data, self._series), timeout_millis, **kwargs)


class PeriodicReader(PeriodicExportingMetricReader):
    """Collects every interval_ms and once more at the end."""

    def __init__(
        self, series: Sequence[Series], exporter: MetricExporter, interval_ms: float, timeout_ms: float
    ) -> None:
        self._series = series
        super().__init__(exporter, interval_ms, timeout_ms)

    def _receive_metrics(self, metrics_data: MetricsData, timeout_millis: float = 10_000, **kwargs: Any) -> None:
        super()._receive_metrics(_joined(metrics_data, self._series), timeout_millis, **kwargs)


def _joined(collected: MetricsData, series: Sequence[Series]) -> MetricsData:
    """With the histograms in the one scope there is."""
    (resource,) = collected.resource_metrics
    (scope,) = resource.scope_metrics
    points: dict[Metric, list[HistogramDataPoint]] = {}
    for recorder, values in series:
        points.setdefault(recorder.metric, []).append(_point(recorder, values))
    ours = [
        MetricData(metric.name, metric.meaning, metric.unit, HistogramData(found, AggregationTemporality.CUMULATIVE))
        for metric, found in points.items()
    ]
    return MetricsData([replace(resource, scope_metrics=[replace(scope, metrics=[*scope.metrics, *ours])])])


def _point(recorder: Recorder, values: tuple[str, ...]) -> HistogramDataPoint:
    counts = list(recorder.counts)
    count = sum(counts)
    return HistogramDataPoint(
        attributes=dict(zip(recorder.metric.attributes, values, strict=True)),
        start_time_unix_nano=recorder.started_ns,
        time_unix_nano=time.time_ns(),
        count=count,
        sum=recorder.sum,
        bucket_counts=counts,
        explicit_bounds=list(recorder.metric.buckets),
        min=recorder.smallest if count else 0.0,
        max=recorder.largest if count else 0.0,
    )
