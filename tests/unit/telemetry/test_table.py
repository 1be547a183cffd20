"""The table of metrics: names, what Prometheus makes of them, the document made from it."""

import re

import pytest

from worker.telemetry import document
from worker.telemetry.table import ATTRIBUTES, METRICS, Kind, Metric


def test_names_are_unique_and_well_formed() -> None:
    assert (
        len({metric.name for metric in METRICS}) == len({metric.prometheus_name for metric in METRICS}) == len(METRICS)
    )
    assert all(re.fullmatch(r"[a-z][a-z0-9_.]*", metric.name) for metric in METRICS)


def test_every_attribute_is_explained_and_used() -> None:
    assert {attribute for metric in METRICS for attribute in metric.attributes} == set(ATTRIBUTES)


def test_histograms_have_buckets_in_order_and_nothing_else_has() -> None:
    for metric in METRICS:
        assert bool(metric.buckets) == (metric.kind is Kind.HISTOGRAM)
        assert list(metric.buckets) == sorted(set(metric.buckets))


@pytest.mark.parametrize(
    ("name", "kind", "unit", "expected"),
    [
        ("a.b", Kind.COUNTER, "{post}", "a_b_total"),
        ("a.size", Kind.COUNTER, "By", "a_size_bytes_total"),
        ("a.held", Kind.UP_DOWN_COUNTER, "By", "a_held_bytes"),
        ("a.up", Kind.GAUGE, "1", "a_up"),
        ("a.duration", Kind.HISTOGRAM, "s", "a_duration_seconds"),
    ],
)
def test_names_in_prometheus(name: str, kind: Kind, unit: str, expected: str) -> None:
    assert Metric(name, kind, unit, (), "").prometheus_name == expected


def test_the_document_is_what_the_table_says() -> None:
    assert document.FILE.read_text(encoding="utf-8") == document.content(), "run `make metrics`"
