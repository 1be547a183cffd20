"""OpenTelemetry instruments made from the table, which read the counts when somebody collects."""

from collections.abc import Callable, Iterable, Mapping, Sequence
from functools import partial
from typing import Any

from opentelemetry.metrics import CallbackOptions, Meter, Observation

from worker.telemetry import table
from worker.telemetry.histograms import Series
from worker.telemetry.table import Kind, Metric
from worker.telemetry.telemetry import Telemetry

# A value with the values of the metric's attributes, in the order of the table.
Point = tuple[float, tuple[str, ...]]
Observer = Callable[[], Iterable[Point]]

_KAFKA = "kafka"


def observe(meter: Meter, observers: Mapping[Metric, Observer], metrics: Sequence[Metric] = table.METRICS) -> None:
    """One observable instrument for every metric of a table that is not a histogram; KeyError if one is forgotten."""
    make: dict[Kind, Callable[..., Any]] = {
        Kind.COUNTER: meter.create_observable_counter,
        Kind.UP_DOWN_COUNTER: meter.create_observable_up_down_counter,
        Kind.GAUGE: meter.create_observable_gauge,
    }
    for metric in metrics:
        if metric.kind is not Kind.HISTOGRAM:
            callback = partial(_observations, metric, observers[metric])
            make[metric.kind](metric.name, [callback], unit=metric.unit, description=metric.meaning)


def _observations(metric: Metric, observer: Observer, _options: CallbackOptions) -> list[Observation]:
    return [Observation(value, dict(zip(metric.attributes, values, strict=True))) for value, values in list(observer())]


def series(telemetry: Telemetry, topic: str, group: str) -> list[Series]:
    """The histograms of the table with their attributes. topic: of the posts; group: the consumer group."""
    return [
        (telemetry.process_duration, (_KAFKA, "judge", topic, group)),
        (telemetry.poll_duration, (_KAFKA, "poll")),
        (telemetry.commit_duration, (_KAFKA, "commit")),
        *(
            (recorder, ())
            for recorder in (
                telemetry.batch_size,
                telemetry.queue_duration,
                telemetry.inference_duration,
                telemetry.fetch_duration,
                telemetry.decode_duration,
                telemetry.receipt_age,
            )
        ),
    ]
