"""From the stream to a browser and back: hits are mined, two people confirm a cluster by keyboard, their reviews reach
the real topic, and the next dataset of `proguard retrain` carries the label until they are undone.
"""

import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import orjson
import pytest
from playwright.sync_api import Browser, Page, expect

from schemas.retraining_hit import RetrainingHit
from schemas.review import Decision, Review
from tests.support.console_process import PEOPLE, ConsoleProcess, Pages
from tests.support.risks import hit, verdict
from tests.support.rounds import Rounds
from tests.support.streams import StreamUnderTest
from tests.support.topics import produce, read_topic
from worker.local import emerging

POSTS, JUDGED_DAYS = 48, 15
NAME = "Match fixing"
PATIENCE_S = 90.0


@pytest.fixture
def rounds(plain_stream: StreamUnderTest, tmp_path: Path) -> Rounds:
    """Commands with one broker, one registry and one store."""
    settings = {"registry": str(tmp_path / "registry"), "min_new": 20}
    return Rounds(plain_stream, "none", "http://127.0.0.1:1", settings=settings)


def hits(now: datetime) -> list[RetrainingHit]:
    """Posts of one risk from the last hours, an author each."""
    texts = emerging.texts(emerging.POSTS, POSTS, 1)
    return [
        hit(at, text=text, name=NAME, observed_at=now - timedelta(minutes=20 * at)) for at, text in enumerate(texts)
    ]


def judged(now: datetime) -> list[tuple[bytes, bytes]]:
    """Verdicts of two weeks: without them nobody knows how much is much."""
    hours = range(24 * JUDGED_DAYS)
    return [(b"", verdict(at, f"safe-{at}", now - timedelta(hours=at), "r1")) for at in hours]


@contextmanager
def console(rounds: Rounds, folder: Path) -> Iterator[str]:
    """Mining and the pages, as two processes on one store, ended by SIGTERM; the address."""
    own = {"store_path": str(folder / "risks.db"), "refresh_every_s": 1, "recluster_every_s": 3}
    tables = {**rounds.tables(), "console": own}
    pages_own = {"console": {**own, **PEOPLE, "two_persons": True}}
    with (
        ConsoleProcess(tables, folder / "mine.log", "mine") as miner,
        Pages({**tables, **pages_own}, folder / "console.log") as pages,
    ):
        yield pages.address()
        for each in (pages, miner):
            assert each.terminate() == 0, each.log
            assert "Traceback" not in each.log


def page_of(browser: Browser, user: str) -> Page:
    """Of somebody whom the proxy names."""
    page = browser.new_context(extra_http_headers={"X-User": user}).new_page()
    page.set_default_timeout(PATIENCE_S * 1000)
    return page


def until_emerging(page: Page, address: str) -> None:
    """Look at the overview until something emerges."""
    deadline = time.monotonic() + PATIENCE_S
    page.goto(address)
    while page.locator("[data-item]").count() == 0:
        assert time.monotonic() < deadline, page.content()
        time.sleep(0.5)
        page.goto(address)


def confirm(page: Page, address: str) -> None:
    """From the overview by keyboard alone."""
    until_emerging(page, address)
    page.keyboard.press("j")
    with page.expect_navigation(wait_until="load"):
        page.keyboard.press("Enter")
    page.keyboard.press("c")
    page.keyboard.type(NAME)
    with page.expect_navigation(wait_until="load"):
        page.keyboard.press("Enter")
    expect(page.get_by_text("Your decision is recorded")).to_be_visible()


def undo(page: Page, address: str) -> None:
    """One's own decision, on the cluster's page."""
    page.goto(f"{address}/clusters")
    page.get_by_role("link", name=NAME).first.click()
    page.wait_for_load_state("load")
    with page.expect_navigation(wait_until="load"):
        page.keyboard.press("u")


def reviews(rounds: Rounds, count: int) -> list[Review]:
    """What the topic holds, once it holds so many."""
    deadline = time.monotonic() + PATIENCE_S
    while True:
        messages = read_topic(rounds.stream.config, rounds.stream.topics.reviews)
        if len(messages) >= count:
            read = [Review.model_validate_json(message.value() or b"") for message in messages]
            return sorted(read, key=lambda each: each.reviewed_at)  # partitions come in any order
        assert time.monotonic() < deadline, len(messages)
        time.sleep(0.5)


def learned(registry: Path) -> list[dict[str, object]]:
    """Rows of the latest run's dataset that came from the stream."""
    (newest,) = [run for run in (registry / "runs").iterdir() if not run.name.startswith("release-")]
    files = newest.glob("dataset.*/*.jsonl")
    rows = [orjson.loads(line) for file in files for line in file.read_bytes().splitlines()]
    return [row for row in rows if str(row.get("id", "")).startswith("post-")]


def afresh(rounds: Rounds, folder: Path, name: str) -> Rounds:
    """The same topics, read by a loop that has learned nothing yet."""
    return replace(rounds, prefix=name, settings={**rounds.settings, "registry": str(folder / name)})


@pytest.mark.timeout(500)
def test_what_two_people_confirm_in_the_browser_is_learned(rounds: Rounds, browser: Browser, tmp_path: Path) -> None:
    now = datetime.now(UTC)
    produce(rounds.stream.config, rounds.stream.topics.verdicts, judged(now))
    rounds.hits(hits(now))
    with console(rounds, tmp_path) as address:
        for user in ("ada", "grace"):
            page = page_of(browser, user)
            confirm(page, address)
            page.context.close()
        written = reviews(rounds, 2)
        assert [(each.reviewer, each.decision, each.name) for each in written] == [
            ("ada", Decision.CONFIRM, NAME),
            ("grace", Decision.CONFIRM, NAME),
        ]
        done = rounds.run()
        assert done["end"] == "waits for a signature", done
        rows = learned(tmp_path / "registry")
        assert {row["ood_name"] for row in rows} == {NAME}, rows[:3]
        assert len(rows) >= POSTS // 2
        undo(page_of(browser, "grace"), address)
        withdrawn = reviews(rounds, 4)[2:]  # one person is not enough, so the other's goes too
        assert {each.reviewer for each in withdrawn} == {"grace"}
        assert {each.undoes for each in withdrawn} == {each.review_id for each in written}
        assert afresh(rounds, tmp_path, "none").run()["end"] == "nothing to learn"
