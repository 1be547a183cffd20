"""What is exposed before a worker has done anything, settings, and histograms counted by hand."""

import time
from collections.abc import Iterator

import pytest
from prometheus_client.parser import text_string_to_metric_families

from proguard_core.guards.cached import CachedGuard
from proguard_core.guards.counts import KINDS
from proguard_core.guards.protocol import GuardOptions
from proguard_core.policy.loader import load_policy
from tests.support.guards import scripted
from tests.support.otlp import Collector
from worker.errors import ConfigurationError
from worker.moderation.observation import Observation
from worker.settings import Settings, load
from worker.telemetry import table
from worker.telemetry.exporters import Exporters
from worker.telemetry.recorder import Recorder
from worker.telemetry.telemetry import Telemetry


@pytest.fixture(autouse=True)
def _nowhere(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("OTEL_EXPORTER_OTLP_ENDPOINT", "OTEL_EXPORTER_OTLP_TRACES_ENDPOINT"):
        monkeypatch.delenv(name, raising=False)


@pytest.fixture
def observation() -> Observation:
    return Observation(load(), Telemetry())


@pytest.fixture
def exporters(observation: Observation) -> Iterator[Exporters]:
    made = Exporters(observation.settings, observation.telemetry, observation.observers())
    yield made
    made.close()


def samples(exporters: Exporters) -> dict[tuple[str, tuple[str, ...]], float]:
    _status, _kind, body = exporters.prometheus()
    return {
        (sample.name, tuple(sample.labels.values())): sample.value
        for family in text_string_to_metric_families(body.decode())
        for sample in family.samples
    }


def test_every_metric_without_attributes_is_there_from_the_beginning(exporters: Exporters) -> None:
    """But those of the guard and the pictures, which are not there yet."""
    names = {name for name, _labels in samples(exporters)}
    late = {table.BATCHES_IN_FLIGHT, table.QUESTIONS_WAITING}
    late |= {table.IMAGE_BYTES_HELD, table.IMAGE_PIXELS_HELD, table.IMAGE_WAITING}
    plain = {metric for metric in table.METRICS if not metric.attributes} - late
    endings = {metric: "_count" if metric.buckets else "" for metric in plain}
    assert {metric.prometheus_name + ending for metric, ending in endings.items()} <= names


def test_every_metric_has_an_observer_or_a_recorder(observation: Observation) -> None:
    recorders = {value.metric for value in vars(observation.telemetry).values() if isinstance(value, Recorder)}
    assert recorders | set(observation.observers()) == set(table.METRICS)
    assert not recorders & set(observation.observers())


def test_histograms_are_counted_right(observation: Observation, exporters: Exporters) -> None:
    for value in (1, 2, 3, 5000):
        observation.telemetry.batch_size(value)
    found = samples(exporters)
    assert found["proguard_batch_size_bucket", ("1.0",)] == 1
    assert found["proguard_batch_size_bucket", ("2.0",)] == 2
    assert found["proguard_batch_size_bucket", ("1024.0",)] == 3
    assert found["proguard_batch_size_bucket", ("+Inf",)] == 4
    assert found["proguard_batch_size_sum", ()] == 5006


def test_outcomes_are_split_and_undetermined_ones_by_reason(observation: Observation, exporters: Exporters) -> None:
    outcomes = observation.telemetry.outcomes
    outcomes["unsafe", "C3S1", "remove", "text", "", "en"] += 2
    outcomes["unsafe", "C3S1", "remove", "text", "truncated", "other"] += 1
    outcomes["undetermined", "none", "review", "image", "image_missing", "other"] += 4
    found = samples(exporters)
    unsafe = [
        value for (name, labels), value in found.items() if name == "proguard_outcomes_total" and "C3S1" in labels
    ]
    assert unsafe == [3]
    assert {labels: value for (name, labels), value in found.items() if name == "proguard_undetermined_total"} == {
        ("image_missing",): 4
    }
    languages = {labels: value for (name, labels), value in found.items() if name == "proguard_languages_total"}
    assert sorted((sorted(labels), value) for labels, value in languages.items()) == [
        (["en", "unsafe"], 2),
        (["other", "undetermined"], 4),
        (["other", "unsafe"], 1),
    ]


def test_without_an_endpoint_there_are_no_spans(observation: Observation, exporters: Exporters) -> None:
    assert exporters is not None
    assert observation.telemetry.tracer is None


def test_opentelemetrys_own_variable_is_enough(monkeypatch: pytest.MonkeyPatch) -> None:
    with Collector() as collector:
        monkeypatch.setenv("OTEL_EXPORTER_OTLP_ENDPOINT", collector.endpoint)
        observation = Observation(load(), Telemetry())
        exporters = Exporters(observation.settings, observation.telemetry, observation.observers())
        assert observation.telemetry.tracer is not None
        observation.telemetry.tracer.batch(3, []).end()
        exporters.close()
        assert [span.name for span in collector.spans] == ["judge moderation.posts"]
        assert "proguard.batch.size" in collector.metrics


def test_a_collector_that_is_away_does_not_hold_up_the_end() -> None:
    settings = load(None, {"telemetry": {"otlp_endpoint": "http://127.0.0.1:9"}})
    observation = Observation(settings, Telemetry())
    exporters = Exporters(settings, observation.telemetry, observation.observers())
    assert observation.telemetry.tracer is not None
    observation.telemetry.tracer.batch(1, []).end()
    began = time.monotonic()
    exporters.close()
    assert time.monotonic() - began < 5


@pytest.mark.parametrize(
    ("sections", "wrong"),
    [
        ({"telemetry": {"live_timeout_s": 25}}, "drain_timeout_ms"),
        ({"kafka": {"drain_timeout_ms": 60_000}}, "live_timeout_s"),
        ({"telemetry": {"stuck_after_s": 60}}, "stuck_after_s"),
        ({"telemetry": {"otlp_endpoint": "collector:4318"}}, "otlp_endpoint"),
        ({"telemetry": {"port": 70_000}}, "port"),
    ],
)
def test_settings_that_cannot_be(sections: dict[str, dict[str, object]], wrong: str) -> None:
    with pytest.raises(ConfigurationError, match=wrong):
        load(None, sections)


def test_workers_of_one_host_differ_by_their_slot() -> None:
    ports = [Settings(kafka={"slot": slot}).telemetry_port for slot in (0, 1)]
    assert ports == [9464, 9465]
    assert Settings(telemetry={"port": 0}).telemetry_port == 0


def test_what_the_guard_counts_is_exposed_and_a_wrapper_that_is_not_there_counts_nothing(
    observation: Observation, exporters: Exporters
) -> None:
    inner = scripted(GuardOptions(), load_policy())
    observation.guard = cached = CachedGuard(inner, load_policy(), 5)
    cached.hits, cached.misses = 3, 4
    found = samples(exporters)
    assert found["proguard_cache_lookups_total", ("hit",)] == 3
    assert found["proguard_cache_lookups_total", ("miss",)] == 4
    assert found["proguard_guard_tokens_total", ("completion",)] == 0
    for name, kinds in KINDS.items():
        assert all(any(labels == (kind,) for _name, labels in found) for kind in kinds), name
