"""The page and the gauges: every measure is there, nothing of it is fetched or run, nothing breaks on odd numbers."""

import html
import re
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import pytest
from opentelemetry.sdk.metrics import MeterProvider
from opentelemetry.sdk.metrics.export import InMemoryMetricReader, NumberDataPoint

from proguard_core.training.grpo.metrics import MEASURES, Gauges
from proguard_core.training.grpo.page import plot, render
from proguard_core.training.grpo.record import PAGE, Recorder

ROOT = Path(__file__).resolve().parents[4]
BY_KEY = {key: at for at, key in enumerate(key for measure in MEASURES for key in measure.keys.values())}


def history(updates: int) -> list[dict[str, Any]]:
    return [{"step": step, **{key: at + step / 10 for key, at in BY_KEY.items()}} for step in range(1, updates + 1)]


def drawn(page: str) -> list[str]:
    return re.findall(r'<polyline [^>]*points="([^"]*)"', page)


def test_every_measure_has_its_plot() -> None:
    page = render({"base": "abc"}, ["few pictures"], history(12), "under way")
    assert page.count("<svg") == len(MEASURES)
    assert len(drawn(page)) == len(BY_KEY)
    assert all(len(points.split()) == 12 for points in drawn(page))
    assert all(measure.meaning in html.unescape(page) for measure in MEASURES)
    assert "few pictures" in page
    assert "under way, after 12 updates" in page


def test_the_page_stands_by_itself() -> None:
    hostile = "<script>alert(1)</script>"
    page = render({hostile: hostile}, [hostile], history(2), hostile)
    tags: set[str] = set()
    addresses: list[str] = []

    class Reader(HTMLParser):
        def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
            tags.add(tag)
            addresses.extend(str(value) for name, value in attrs if name in ("src", "href", "action"))

    Reader().feed(page)
    assert "script" not in tags
    assert not addresses
    assert "default-src 'none'" in page


def test_points_stay_in_the_frame_whatever_the_numbers() -> None:
    odd: list[dict[str, Any]] = [
        {"step": 1, "reward": 3.0, "kl": float("nan")},
        {"step": 2},
        {"step": 3, "reward": float("inf")},
        {"step": 4, "reward": -1.0, "kl": None},
    ]
    found = plot(MEASURES[0], odd)
    assert found is not None
    places = [tuple(map(float, point.split(","))) for point in found.curves[0].points.split()]
    assert len(places) == 2
    assert all(0 <= x <= 320 and 0 <= y <= 200 for x, y in places)
    assert found.curves[0].last == -1.0
    assert plot(next(measure for measure in MEASURES if measure.name.endswith(".kl")), odd) is None
    assert "No update yet" in render({}, [], [], "under way")


def test_long_runs_are_thinned() -> None:
    found = plot(MEASURES[0], history(10_000))
    assert found is not None
    assert len(found.curves[0].points.split()) <= 400


def test_gauges_have_the_last_values(tmp_path: Path) -> None:
    reader = InMemoryMetricReader()
    recorder = Recorder(tmp_path, {}, [], Gauges(MeterProvider([reader]).get_meter("test")))
    recorder.record(history(1))
    recorder.record([*history(1), {"step": 2, "loss": 7.0}])
    assert "after 2 updates" in (tmp_path / PAGE).read_text()
    data = reader.get_metrics_data()
    assert data is not None
    points: dict[tuple[str, str], float] = {}
    for metric in data.resource_metrics[0].scope_metrics[0].metrics:
        for point in metric.data.data_points:
            assert isinstance(point, NumberDataPoint)
            points[metric.name, "".join(map(str, (point.attributes or {}).values()))] = float(point.value)
    assert len(points) == len(BY_KEY)
    assert points["proguard.training.loss", ""] == 7.0
    assert points["proguard.training.reward.modality", "image"] == pytest.approx(BY_KEY["reward/image"] + 0.1)


def test_the_documentation_has_every_measure() -> None:
    text = (ROOT / "docs" / "retraining.md").read_text(encoding="utf-8")
    named = set(re.findall(r"`(proguard\.training\.[a-z_.]+)`", text))
    assert named == {measure.name for measure in MEASURES}
