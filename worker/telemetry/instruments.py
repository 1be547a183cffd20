"""OpenTelemetry instruments made from the table: counts are read when collected, histograms bound to the recorders."""

from collections.abc import Callable, Iterable, Mapping
from functools import partial
from typing import Any

from opentelemetry.metrics import CallbackOptions, Meter, Observation

from worker.telemetry import table
from worker.telemetry.table import Kind, Metric
from worker.telemetry.telemetry import Telemetry

# A value with the values of the metric's attributes, in the order of the table.
Point = tuple[float, tuple[str, ...]]
Observer = Callable[[], Iterable[Point]]


def observe(meter: Meter, observers: Mapping[Metric, Observer]) -> None:
    """One observable instrument for every metric of the table that is not a histogram; KeyError if one is forgotten."""
    make: dict[Kind, Callable[..., Any]] = {
        Kind.COUNTER: meter.create_observable_counter,
        Kind.UP_DOWN_COUNTER: meter.create_observable_up_down_counter,
        Kind.GAUGE: meter.create_observable_gauge,
    }
    for metric in table.METRICS:
        if metric.kind is not Kind.HISTOGRAM:
            callback = partial(_observations, metric, observers[metric])
            make[metric.kind](metric.name, [callback], unit=metric.unit, description=metric.meaning)


def _observations(metric: Metric, observer: Observer, _options: CallbackOptions) -> list[Observation]:
    return [Observation(value, dict(zip(metric.attributes, values, strict=True))) for value, values in list(observer())]


def bind(meter: Meter, telemetry: Telemetry, topic: str, group: str) -> None:
    """Let the recorders of telemetry record. topic: of the posts; group: the consumer group."""
    kafka = {table.SYSTEM: "kafka"}
    operations = _histogram(meter, table.OPERATION_DURATION)
    telemetry.poll_duration = partial(operations, attributes={**kafka, table.OPERATION: "poll"})
    telemetry.commit_duration = partial(operations, attributes={**kafka, table.OPERATION: "commit"})
    judged = {**kafka, table.OPERATION: "judge", table.DESTINATION: topic, table.GROUP: group}
    telemetry.process_duration = partial(_histogram(meter, table.PROCESS_DURATION), attributes=judged)
    telemetry.receipt_age = _histogram(meter, table.RECEIPT_AGE)
    telemetry.batch_size = _histogram(meter, table.BATCH_SIZE)
    telemetry.queue_duration = _histogram(meter, table.QUEUE_DURATION)
    telemetry.inference_duration = _histogram(meter, table.INFERENCE_DURATION)
    telemetry.fetch_duration = _histogram(meter, table.FETCH_DURATION)
    telemetry.decode_duration = _histogram(meter, table.DECODE_DURATION)


def _histogram(meter: Meter, metric: Metric) -> Callable[..., None]:
    return meter.create_histogram(
        metric.name,
        unit=metric.unit,
        description=metric.meaning,
        explicit_bucket_boundaries_advisory=list(metric.buckets),
    ).record
