"""Dashboard and alerts speak only of metrics that the worker has, and the dashboard of all of them."""

import re
from typing import Any

import pytest
import yaml

from deploy.dashboard import ROWS, dashboard
from deploy.generate import FOLDER, RULES
from deploy.queries import names_of
from worker.telemetry.mining_table import MINING_METRICS
from worker.telemetry.schedule_table import SCHEDULE_METRICS
from worker.telemetry.table import METRICS

# Prometheus makes this one itself for each target.
_PROMETHEUS_OWN = {"up"}
_STRING = re.compile(r'"[^"]*"')
_SELECTOR = re.compile(r"\{[^}]*\}|\[[^\]]*\]")
_GROUPING = re.compile(r"\b(?:by|without|on|ignoring)\s*\([^)]*\)")
_NAME = re.compile(r"(?<![\w.])[a-zA-Z_:][\w:]*\b(?!\s*\()")
_WORDS = {"and", "or", "unless", "sum", "max", "min", "count", "avg", "by", "bool"}

ALERTS: list[dict[str, Any]] = [
    rule for group in yaml.safe_load(RULES.read_text())["groups"] for rule in group["rules"]
]
EXPRESSIONS = {
    **{rule["alert"]: rule["expr"] for rule in ALERTS},
    **{
        f"{panel.title} {index}": query.expression
        for _row, panels in ROWS
        for panel in panels
        for index, query in enumerate(panel.queries)
    },
}
# The dashboard is the worker's; alerts speak of the processes beside it too.
ALL = (*METRICS, *MINING_METRICS, *SCHEDULE_METRICS)
KNOWN = {name for metric in ALL for name in names_of(metric)} | _PROMETHEUS_OWN


def series_of(expression: str) -> set[str]:
    """The names of the series in a PromQL expression."""
    bare = _GROUPING.sub(" ", _SELECTOR.sub(" ", _STRING.sub('""', expression)))
    return {name for name in _NAME.findall(bare) if name not in _WORDS}


def test_names_are_found_in_promql() -> None:
    expression = (
        'histogram_quantile(0.5, sum by (le, job) (rate(a_bucket{x="b{c}"}[5m]))) / on (job) d_total > 1e3 and e'
    )
    assert series_of(expression) == {"a_bucket", "d_total", "e"}


@pytest.mark.parametrize("name", EXPRESSIONS)
def test_every_expression_names_metrics_of_the_table(name: str) -> None:
    found = series_of(EXPRESSIONS[name])
    assert found
    assert found <= KNOWN


def test_every_label_in_an_expression_is_an_attribute_of_its_metrics() -> None:
    labels = {label for metric in ALL for label in metric.prometheus_labels} | {"job", "instance", "le"}
    for name, expression in EXPRESSIONS.items():
        for grouping in re.findall(r"\bby\s*\(([^)]*)\)", expression):
            assert {label.strip() for label in grouping.split(",")} <= labels, name


def test_the_dashboard_shows_every_metric() -> None:
    shown = set().union(
        *(series_of(query.expression) for _row, panels in ROWS for panel in panels for query in panel.queries)
    )
    assert not [metric.name for metric in METRICS if not names_of(metric) & shown]


def test_panels_do_not_overlap_and_have_numbers_of_their_own() -> None:
    panels = dashboard()["panels"]
    assert len({panel["id"] for panel in panels}) == len(panels)
    taken: set[tuple[int, int]] = set()
    for panel in panels:
        place = panel["gridPos"]
        cells = {
            (x, y)
            for x in range(place["x"], place["x"] + place["w"])
            for y in range(place["y"], place["y"] + place["h"])
        }
        assert not cells & taken
        taken |= cells
        assert place["x"] + place["w"] <= 24


def test_every_alert_is_tested_to_fire_and_to_be_silent() -> None:
    tests = yaml.safe_load((FOLDER / "prometheus" / "rules_test.yml").read_text())["tests"]
    cases = [case for test in tests for case in test["alert_rule_test"]]
    names = {rule["alert"] for rule in ALERTS}
    assert {case["alertname"] for case in cases if case.get("exp_alerts")} == names
    assert {case["alertname"] for case in tests[0]["alert_rule_test"]} == names


def test_every_alert_says_how_urgent_it_is_and_what_it_means() -> None:
    for rule in ALERTS:
        assert rule["labels"]["severity"] in {"page", "ticket"}
        assert set(rule["annotations"]) == {"summary", "description"}
