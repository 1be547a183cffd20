"""The Grafana dashboard: rows of panels in the order in which somebody on call reads them."""

from dataclasses import dataclass
from typing import Any

from deploy.queries import Query, level, mean, quantiles, rate, share
from worker.telemetry import table

_WIDTH, _PANEL_WIDTH, _PANEL_HEIGHT = 24, 8, 8
_DATASOURCE = {"type": "prometheus", "uid": "${datasource}"}


@dataclass(frozen=True, slots=True)
class Panel:
    """One graph. unit: Grafana's name of it; about: what a reader should know."""

    title: str
    queries: list[Query]
    unit: str = "short"
    about: str = ""


_UP = Query('sum (up{job="proguard"})', "answering")

ROWS: tuple[tuple[str, tuple[Panel, ...]], ...] = (
    (
        "Is it well?",
        (
            Panel("Workers", [_UP, level(table.READY, legend="ready"), level(table.PARTITIONS, legend="partitions")]),
            Panel("Lag", [level(table.LAG, table.DESTINATION)], "short", table.LAG.meaning),
            Panel("Breaker", [level(table.BREAKER, "instance", combine="max")], "bool_on_off", table.BREAKER.meaning),
            Panel("Dependencies", [level(table.DEPENDENCY_UP, table.DEPENDENCY, combine="min")], "bool_yes_no"),
            Panel("Heartbeat", [level(table.HEARTBEAT, table.LOOP, combine="max")], "s", table.HEARTBEAT.meaning),
            Panel(
                "Partitions that do not move",
                [level(table.PAUSED, legend="paused"), level(table.STOPPED, legend="stopped")],
            ),
        ),
    ),
    (
        "Posts and outcomes",
        (
            Panel(
                "Records a second",
                [rate(table.CONSUMED, legend="received"), rate(table.SENT, table.DESTINATION)],
                "ops",
            ),
            Panel("Outcomes", [rate(table.OUTCOMES, table.OUTCOME, table.ACTION)], "ops"),
            Panel("Unsafe by category", [rate(table.OUTCOMES, table.CATEGORY, table.MODALITY)], "ops"),
            Panel("Undetermined by reason", [rate(table.UNDETERMINED, table.REASON)], "ops"),
            Panel("Undetermined", [share(table.UNDETERMINED, table.OUTCOMES, "share")], "percentunit"),
            Panel("Outcomes by language", [rate(table.LANGUAGES, table.LANGUAGE, table.OUTCOME)], "ops"),
            Panel(
                "Dead letters and erasures",
                [rate(table.DEAD_LETTERS, table.STAGE, table.REASON), rate(table.ERASURES, legend="erasures")],
                "ops",
            ),
        ),
    ),
    (
        "Time",
        (
            Panel("Age at receipt", quantiles(table.RECEIPT_AGE), "s", table.RECEIPT_AGE.meaning),
            Panel("Receipt to outcomes", quantiles(table.PROCESS_DURATION), "s", table.PROCESS_DURATION.meaning),
            Panel("Kafka operations", quantiles(table.OPERATION_DURATION, table.OPERATION), "s"),
            Panel("Wait for a batch", quantiles(table.QUEUE_DURATION), "s", table.QUEUE_DURATION.meaning),
            Panel("Inference of a batch", quantiles(table.INFERENCE_DURATION), "s", table.INFERENCE_DURATION.meaning),
            Panel("Pictures", [*quantiles(table.FETCH_DURATION), mean(table.DECODE_DURATION, "decode, mean")], "s"),
        ),
    ),
    (
        "Guard and pictures",
        (
            Panel("Questions in a batch", [mean(table.BATCH_SIZE)], "short", table.BATCH_SIZE.meaning),
            Panel(
                "In the guard, and waiting for it",
                [level(table.BATCHES_IN_FLIGHT, legend="batches"), level(table.QUESTIONS_WAITING, legend="questions")],
            ),
            Panel("Tokens", [rate(table.GUARD_TOKENS, table.TOKEN)], "ops", table.GUARD_TOKENS.meaning),
            Panel("Cache", [rate(table.CACHE_LOOKUPS, table.RESULT)], "ops", table.CACHE_LOOKUPS.meaning),
            Panel("Shadow guard", [rate(table.SHADOW_QUESTIONS, table.RESULT)], "ops", table.SHADOW_QUESTIONS.meaning),
            Panel("Cascade", [rate(table.CASCADE_QUESTIONS, table.RESULT)], "ops", table.CASCADE_QUESTIONS.meaning),
            Panel(
                "Unsafe, by the audit", [rate(table.CASCADE_UNSAFE, table.RESULT)], "ops", table.CASCADE_UNSAFE.meaning
            ),
            Panel("Guard failures", [rate(table.GUARD_FAILURES, table.ERROR)], "ops", table.GUARD_FAILURES.meaning),
            Panel("Failed swaps", [rate(table.SWAP_FAILURES)], "ops", table.SWAP_FAILURES.meaning),
            Panel("Fetched", [rate(table.FETCHED_BYTES)], "Bps", table.FETCHED_BYTES.meaning),
            Panel("Fetch errors", [rate(table.FETCH_ERRORS, table.ERROR)], "ops", table.FETCH_ERRORS.meaning),
            Panel("What judges", [level(table.VERSIONS, table.GUARD_NAME, table.GUARD_REVISION, table.POLICY_VERSION)]),
        ),
    ),
    (
        "Memory, transactions, group",
        (
            Panel(
                "Held",
                [
                    level(table.POSTS_HELD, legend="posts"),
                    level(table.UNCONFIRMED, legend="unconfirmed"),
                    level(table.IMAGE_WAITING, legend="waiting for room"),
                ],
            ),
            Panel(
                "Bytes held",
                [level(table.BYTES_HELD, legend="posts"), level(table.IMAGE_BYTES_HELD, legend="pictures")],
                "bytes",
            ),
            Panel("Pixels held", [level(table.IMAGE_PIXELS_HELD)], "short", table.IMAGE_PIXELS_HELD.meaning),
            Panel(
                "Transactions",
                [
                    rate(table.COMMITS, legend="commits"),
                    rate(table.ABORTS, legend="aborts"),
                    rate(table.RECOVERIES, legend="new producers"),
                ],
                "ops",
            ),
            Panel("Rebalances", [rate(table.REBALANCES, table.EVENT)], "ops"),
            Panel(
                "Process",
                [
                    level(table.MEMORY, "instance", combine="max"),
                ],
                "bytes",
            ),
            Panel("CPU", [rate(table.CPU_TIME, "instance", table.CPU_MODE)], "percentunit"),
        ),
    ),
)


def dashboard() -> dict[str, Any]:
    """Grafana's JSON model."""
    return {
        "uid": "proguard-moderation",
        "title": "ProGuard stream moderation",
        "description": "Generated from worker/telemetry/table.py by `make deploy`: edit deploy/dashboard.py.",
        "tags": ["proguard"],
        "timezone": "utc",
        "editable": False,
        "refresh": "30s",
        "schemaVersion": 39,
        "time": {"from": "now-3h", "to": "now"},
        "templating": {"list": _variables()},
        "panels": list(_panels()),
    }


def _variables() -> list[dict[str, Any]]:
    instances = f'label_values({table.READY.prometheus_name}{{job="proguard"}}, instance)'
    return [
        {"name": "datasource", "type": "datasource", "query": "prometheus", "label": "Data source"},
        {
            "name": "instance",
            "type": "query",
            "label": "Worker",
            "datasource": _DATASOURCE,
            "query": {"query": instances, "refId": "instance"},
            "refresh": 2,
            "includeAll": True,
            "allValue": ".*",
            "multi": True,
            "current": {"selected": True, "text": "All", "value": "$__all"},
        },
    ]


def _panels() -> list[dict[str, Any]]:
    """Rows and their panels, three beside each other."""
    made: list[dict[str, Any]] = []
    top = 0
    for title, panels in ROWS:
        place = {"x": 0, "y": top, "w": _WIDTH, "h": 1}
        made.append({"id": len(made) + 1, "type": "row", "title": title, "gridPos": place, "panels": []})
        top += 1
        for index, panel in enumerate(panels):
            across, down = index % (_WIDTH // _PANEL_WIDTH), index // (_WIDTH // _PANEL_WIDTH)
            place = {"x": across * _PANEL_WIDTH, "y": top + down * _PANEL_HEIGHT, "w": _PANEL_WIDTH, "h": _PANEL_HEIGHT}
            made.append(_panel(len(made) + 1, panel, place))
        top += -(-len(panels) // (_WIDTH // _PANEL_WIDTH)) * _PANEL_HEIGHT
    return made


def _panel(number: int, panel: Panel, place: dict[str, int]) -> dict[str, Any]:
    return {
        "id": number,
        "type": "timeseries",
        "title": panel.title,
        "description": panel.about,
        "datasource": _DATASOURCE,
        "gridPos": place,
        "fieldConfig": {"defaults": {"unit": panel.unit, "min": 0, "custom": {"fillOpacity": 8}}, "overrides": []},
        "options": {"legend": {"displayMode": "list", "placement": "bottom"}, "tooltip": {"mode": "multi"}},
        "targets": [
            {"refId": chr(ord("A") + index), "expr": query.expression, "legendFormat": query.legend, "range": True}
            for index, query in enumerate(panel.queries)
        ],
    }
