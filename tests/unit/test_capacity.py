"""Every figure of docs/capacity.md follows from the inputs that stand there, from the defaults and the manifests."""

import math
import re
from dataclasses import dataclass
from pathlib import Path

import pytest
import yaml

from worker import topics
from worker.moderation import client_config
from worker.settings import Settings

ROOT = Path(__file__).resolve().parents[2]
PAGE = (ROOT / "docs" / "capacity.md").read_text()
_HOUR_S = 3600
_DAY_H = 24
_MIB = 1024 * 1024


def rows(heading: str) -> dict[str, list[str]]:
    """The cells of the table below a heading, by their first."""
    section = PAGE.split(f"\n## {heading}\n")[1].split("\n## ")[0]
    lines = [line for line in section.splitlines() if line.startswith("| ")][2:]
    cells = [[cell.strip() for cell in line.strip("|").split("|")] for line in lines]
    return {first: rest for first, *rest in cells}


INPUTS = {names: value for names, value, _source in rows("Inputs").values()}


def inputs(names: str) -> list[float]:
    """The values that stand behind one name or several."""
    return [float(value) for value in re.split(r"[,/]", INPUTS[names])]


def number(name: str) -> float:
    [value] = inputs(name)
    return value


@dataclass(frozen=True, slots=True)
class Plan:
    """One column. The formulas are those of the page."""

    posts_per_hour: float
    outcome_partitions: float
    gpus_per_worker: int = 1

    @property
    def mean(self) -> float:
        return self.posts_per_hour / _HOUR_S

    @property
    def peak(self) -> float:
        return self.mean * number("peak")

    def gpus_busy(self, questions: float | None = None) -> int:
        return math.ceil(self.peak * (questions or number("q")) / (number("g") * number("u")))

    @property
    def workers(self) -> int:
        busy = math.ceil(self.gpus_busy() / self.gpus_per_worker)
        return busy + max(1, math.ceil(number("spare") * busy))

    @property
    def partitions(self) -> int:
        return math.ceil(2 * self.workers / 12) * 12

    @property
    def catch_up_hours(self) -> float:
        return self.mean / (self.workers * self.gpus_per_worker * number("g") / number("q") - self.mean)

    @property
    def rate(self) -> float:
        return self.peak / self.workers

    def transactions(self, interval_s: float) -> float:
        return self.workers * min(1 / interval_s, self.rate)

    def posts_in_one(self, interval_s: float) -> float:
        return self.peak / self.transactions(interval_s)

    def markers(self, interval_s: float) -> float:
        touched = 1 - (1 - 1 / self.outcome_partitions) ** self.posts_in_one(interval_s)
        return float(self.transactions(interval_s) * (self.outcome_partitions * touched + 1))

    def stored_gb(self, days: float, record_bytes: float) -> float:
        return self.posts_per_hour * _DAY_H * days * record_bytes * number("R") / 1e9


_VOLUMES = [1e3, 1e5, 1e7]
PLANS = [
    Plan(posts, outcomes, gpus)
    for posts, outcomes, gpus in zip([*_VOLUMES, 1e7], inputs("V"), [1, 1, 1, 8], strict=True)
]


def check(found: dict[str, list[str]], expected: dict[str, list[float]]) -> None:
    """Each cell is the expected figure, rounded as it is written."""
    assert list(found) == list(expected)
    for name, values in expected.items():
        decimals = [len(cell.partition(".")[2]) for cell in found[name]]
        assert found[name] == [f"{value:,.{places}f}" for value, places in zip(values, decimals, strict=True)], name


def test_gpus_and_partitions() -> None:
    expected: dict[str, list[float]] = {
        "posts/s, mean": [plan.mean for plan in PLANS],
        "posts/s, peak": [plan.peak for plan in PLANS],
        "GPUs busy": [plan.gpus_busy() for plan in PLANS],
        "workers": [plan.workers for plan in PLANS],
        "GPUs in all": [plan.workers * plan.gpus_per_worker for plan in PLANS],
        "posts partitions": [plan.partitions for plan in PLANS],
        "hours to catch up after an hour's outage": [plan.catch_up_hours for plan in PLANS],
    }
    check(rows("GPUs and partitions"), expected)
    assert f"of 993 GPUs becomes {PLANS[2].gpus_busy(2):,}" in PAGE
    assert f"({PLANS[3].rate:.0f} posts/s;" in PAGE


def test_transactions_and_markers() -> None:
    expected = {"posts/s of a worker, peak": [plan.rate for plan in PLANS]}
    for interval_s in (0.1, 1.0):
        end = f", c = {interval_s:g}"
        expected |= {
            "transactions/s" + end: [plan.transactions(interval_s) for plan in PLANS],
            "posts in a transaction" + end: [plan.posts_in_one(interval_s) for plan in PLANS],
            "markers/s" + end: [plan.markers(interval_s) for plan in PLANS],
            "appends/s of coordinators" + end: [4 * plan.transactions(interval_s) for plan in PLANS],
        }
    check(rows("Transactions and commit markers"), expected)
    assert Settings().kafka.commit_interval_ms == 100


def test_brokers_and_s3() -> None:
    plans = PLANS[:3]
    post, verdict = inputs("Bp, Bv")
    kept_posts, kept_verdicts = inputs("Tp, Tv")
    written = [plan.peak * (post + verdict) / 1e6 for plan in plans]
    gets = [plan.peak * number("p") for plan in plans]
    expected = {
        "storage of posts, GB": [plan.stored_gb(kept_posts, post) for plan in plans],
        "storage of verdicts, GB": [plan.stored_gb(kept_verdicts, verdict) for plan in plans],
        "written to brokers, MB/s": written,
        "between brokers, MB/s": [(number("R") - 1) * each for each in written],
        "read from brokers, MB/s": [plan.peak * (post + number("readers") * verdict) / 1e6 for plan in plans],
        "S3 GETs/s": gets,
        "from S3, MB/s": [each * number("Bi") / 1e6 for each in gets],
        "cores for decoding": [each * number("d") for each in gets],
    }
    check(rows("Brokers and S3"), expected)


def test_retention_is_what_topics_create_sets() -> None:
    kept = {plan.role: plan.settings.get("retention.ms") for plan in topics.PLANS}
    days = [int(kept[role] or 0) / (_DAY_H * _HOUR_S * 1000) for role in ("posts", "verdicts")]
    assert days == inputs("Tp, Tv")


def test_memory_is_the_sum_of_the_defaults() -> None:
    found = {cells[0].strip("`"): cells[1] for cells in rows("Memory of a worker").values()}
    objects, kafka = Settings().objects, Settings().kafka
    parts: dict[str, float] = {
        "kafka.max_bytes": kafka.max_bytes / _MIB,
        "queued.max.messages.kbytes": client_config.QUEUED_MAX_KIBIBYTES / 1024,
        "fetch.max.bytes": client_config.FETCH_MAX_BYTES / _MIB,
        "queue.buffering.max.kbytes": client_config.PRODUCER_MAX_KIBIBYTES / 1024,
        "objects.max_held_bytes": objects.max_held_bytes / _MIB,
        "objects.max_held_pixels": objects.max_held_pixels * 3 / _MIB,
        "objects.max_decoding_pixels": objects.max_decoding_pixels * 9 / _MIB,
    }
    expected = {**{name: f"{value:,.0f}" for name, value in parts.items()}, "": f"{sum(map(round, parts.values())):,}"}
    assert found == expected


@pytest.mark.parametrize("gpus", [1, 8])
def test_lag_threshold(gpus: int) -> None:
    threshold = number("g") / number("q") * gpus * 30
    assert f"**{threshold:.0f}**" in PAGE
    if gpus == 1:
        path = ROOT / "deploy" / "kustomize" / "components" / "keda" / "scaledobject.yaml"
        [scaled] = [each for each in yaml.safe_load_all(path.read_text()) if each["kind"] == "ScaledObject"]
        assert scaled["spec"]["triggers"][0]["metadata"]["lagThreshold"] == f"{threshold:.0f}"
