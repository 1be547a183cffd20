"""What a run says of itself, once: OpenTelemetry's gauges, the page's plots and the table in docs/retraining.md."""

import os
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

from opentelemetry.metrics import Meter, get_meter

from proguard_core.training.grpo.collapse import FLAT, REWARD
from proguard_core.training.grpo.watch import FLAT as FLAT_OF
from proguard_core.training.grpo.watch import SHARE, VARIANCE
from proguard_core.training.trl_reward import PARTS
from schemas.common import Modality

SCOPE = "proguard.training"
_MODALITIES = tuple(modality.value for modality in Modality)


@dataclass(frozen=True, slots=True)
class Measure:
    """One gauge, and one plot. keys: attribute's value -> the trainer's name of the number; "" where there is none.

    attribute: of the gauge, "" for none.
    """

    name: str
    unit: str
    attribute: str
    keys: Mapping[str, str]
    meaning: str


def _one(name: str, unit: str, key: str, meaning: str) -> Measure:
    return Measure(name, unit, "", {"": key}, meaning)


def _by_modality(name: str, unit: str, prefix: str, meaning: str) -> Measure:
    keys = {modality: f"{prefix}/{modality}" for modality in _MODALITIES}
    return Measure(name, unit, "proguard.modality", keys, meaning)


MEASURES: tuple[Measure, ...] = (
    _one("proguard.training.reward", "1", REWARD, "Mean reward of a rollout."),
    Measure(
        "proguard.training.reward.part",
        "1",
        "proguard.part",
        {part: f"reward/{part}" for part in PARTS},
        "Mean of the reward's parts: form, request, response, category, and the bonus of a name.",
    ),
    _by_modality("proguard.training.reward.modality", "1", "reward", "Mean reward, by modality."),
    _by_modality("proguard.training.variance", "1", VARIANCE, "Mean variance of rewards within a group, by modality."),
    _one("proguard.training.flat", "1", FLAT, "Share of groups whose answers all earned the same: nothing is learned."),
    _by_modality("proguard.training.flat.modality", "1", FLAT_OF, "The same, by modality."),
    _by_modality("proguard.training.share", "1", SHARE, "Share of a rollout's prompts, by modality."),
    _one("proguard.training.name_faults", "1", "reward/name_faults", "Share of answers whose name broke a rule."),
    _one("proguard.training.kl", "1", "kl", "Divergence from the champion, a token."),
    _one("proguard.training.entropy", "1", "entropy", "Of the next token."),
    _one("proguard.training.clipped", "1", "clip_ratio/region_mean", "Share of tokens whose ratio was clipped."),
    _one("proguard.training.cut", "1", "completions/clipped_ratio", "Share of answers that were cut at max_answer."),
    _one("proguard.training.length", "{token}", "completions/mean_length", "Mean length of an answer."),
    _one("proguard.training.loss", "1", "loss", "Of an update."),
    _one("proguard.training.gradient", "1", "grad_norm", "Norm of the gradient before it is clipped."),
)
"""In the order of the page. All are written after each update, those of a rollout at its first one."""


class Gauges:
    """Writes the last values to OpenTelemetry; nothing is sent where no exporter is set up."""

    def __init__(self, meter: Meter | None = None) -> None:
        meter = meter or get_meter(SCOPE)
        self._gauges = {m.name: meter.create_gauge(m.name, unit=m.unit, description=m.meaning) for m in MEASURES}

    def set(self, record: Mapping[str, Any]) -> None:
        """One record of the trainer's log; what it does not have keeps its last value."""
        for measure in MEASURES:
            for value, key in measure.keys.items():
                number = record.get(key)
                if isinstance(number, int | float):
                    attributes = {measure.attribute: value} if measure.attribute else {}
                    self._gauges[measure.name].set(float(number), attributes)


def series(history: Sequence[Mapping[str, Any]], key: str) -> list[tuple[float, float]]:
    """(update, value) of one number of the log, where it is there."""
    found = ((float(record["step"]), record.get(key)) for record in history)
    return [(step, float(value)) for step, value in found if isinstance(value, int | float)]


@contextmanager
def exported() -> Iterator[Gauges]:
    """Gauges that go by OTLP where OpenTelemetry's own variables name an endpoint; the last values at the end."""
    named = ("OTEL_EXPORTER_OTLP_ENDPOINT", "OTEL_EXPORTER_OTLP_METRICS_ENDPOINT")
    if not any(os.environ.get(name) for name in named):
        yield Gauges()
        return
    from opentelemetry.exporter.otlp.proto.http.metric_exporter import OTLPMetricExporter
    from opentelemetry.sdk.metrics import MeterProvider
    from opentelemetry.sdk.metrics.export import PeriodicExportingMetricReader
    from opentelemetry.sdk.resources import Resource

    resource = Resource.create({"service.name": os.environ.get("OTEL_SERVICE_NAME", "proguard-training")})
    provider = MeterProvider([PeriodicExportingMetricReader(OTLPMetricExporter())], resource)
    try:
        yield Gauges(provider.get_meter(SCOPE))
    finally:
        provider.shutdown()
