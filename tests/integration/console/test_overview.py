"""The overview on both databases: its figures are those of the verdicts put in, and what sleeps is not on it."""

import re
from collections.abc import Iterator
from datetime import datetime, timedelta
from html import unescape

import pytest
from sqlalchemy import delete

from tests.support.console_pages import SCRIPT, Visitor, cluster, read_in, seed, visiting
from tests.support.risks import NOW, verdict
from worker.console.store import Store, arrivals, reading
from worker.console.store.models import ClusterDayRow
from worker.console.store.reading import Share

YESTERDAY = NOW - timedelta(days=1)
BEFORE = NOW - timedelta(days=30)  # 30 days are those up to today, so this is none of them
# How many, outcome, modality, category, when: 100 of the last days and 50 of before.
JUDGED: tuple[tuple[int, str, str, str | None, datetime], ...] = (
    (50, "safe", "text", None, NOW),
    (10, "unsafe", "text", "C3S1", NOW),
    (4, "unsafe", "text", "novel", YESTERDAY),
    (6, "undetermined", "text", None, YESTERDAY),
    (20, "safe", "image", None, YESTERDAY),
    (5, "unsafe", "image", "C9S3", NOW),
    (5, "undetermined", "image", None, NOW),
    (50, "unsafe", "text", "C1", BEFORE),
)


def records() -> Iterator[bytes]:
    """By two revisions in turn: figures are those of both."""
    number = 0
    for count, outcome, modality, category, at in JUDGED:
        kind = "none" if category is None else "novel" if category == "novel" else "known"
        code = category if kind == "known" else None
        name = None if category is None else "Ticket touting"
        given = {
            "outcome": outcome,
            "modality": modality,
            "reason": "guard_failed" if outcome == "undetermined" else None,
            "category": {"kind": kind, "code": code, "name": name, "nearest": None, "similarity": None},
        }
        for _ in range(count):
            number += 1
            yield verdict(number, f"post-{number}", at, f"r{number % 2}", **given)


@pytest.fixture
def judged(store: Store) -> Store:
    """The verdicts as mining reads them."""
    with store.writing() as session:
        arrivals.take(session, read_in(records()).arrivals)
    return store


def table(page: str, caption: str) -> list[list[str]]:
    """Cells of a table's rows below its head."""
    body = page[page.index(f"<caption>{caption}") :].partition("<tbody>")[2].partition("</tbody>")[0]
    rows = re.findall(r"<tr>(.*?)</tr>", body, re.DOTALL)
    cells = [re.findall(r"<t[hd][^>]*>(.*?)</t[hd]>", row, re.DOTALL) for row in rows]
    return [[" ".join(unescape(re.sub(r"<[^>]+>", "", cell)).split()) for cell in row] for row in cells]


def test_figures_are_those_of_the_verdicts(judged: Store) -> None:
    with judged.reading() as session:
        seen = reading.overview(session, NOW)
    assert seen.verdicts == 100
    assert seen.by_category == [Share("C3S1", 10, 100), Share("C9S3", 5, 100), Share("novel", 4, 100)]
    assert seen.by_modality == [Share("text", 14, 70), Share("image", 5, 30)]
    assert len(seen.undetermined) == len(seen.days) == 30
    assert seen.undetermined[-2:] == [Share("2026-11-25", 6, 30), Share("2026-11-26", 5, 70)]
    assert {(share.part, share.whole) for share in seen.undetermined[:-2]} == {(0, 0)}


def test_the_page_shows_them_with_their_intervals(judged: Store) -> None:
    with visiting(judged) as visitor:
        page = visitor.get("/").text
    assert "100 verdicts in 30 days" in page
    # Wilson's intervals as scipy.stats.binomtest(...).proportion_ci(method="wilson") gives them.
    assert table(page, "Share of all verdicts") == [
        ["C3S1 Fraud and Scams", "10", "10.0 % (5.5 % to 17.4 %)"],
        ["C9S3 Violent and Property Crime", "5", "5.0 % (2.2 % to 11.2 %)"],
        ["novel", "4", "4.0 % (1.6 % to 9.8 %)"],
    ]
    assert table(page, "Share of the modality's verdicts") == [
        ["text", "14 of 70", "20.0 % (12.3 % to 30.8 %)"],
        ["image", "5 of 30", "16.7 % (7.3 % to 33.6 %)"],
    ]
    undetermined = table(page, "Undetermined verdicts a day")
    assert undetermined[-2:] == [["2026-11-25", "6", "30"], ["2026-11-26", "5", "70"]]
    assert len(undetermined) == 30


@pytest.fixture
def filled(store: Store) -> Store:
    seed(store)
    return store


def on_overview(visitor: Visitor) -> set[bool]:
    """Whether R2 is on the page, among what the API calls emerging, and in the review queue."""
    emerging = [row["id"] for row in visitor.get("/api/overview").json()["emerging"]]
    pages = [visitor.get(address).text for address in ("/", "/review")]
    return {"R2" in emerging, *('href="/clusters/R2"' in page for page in pages)}


def test_a_snoozed_cluster_comes_back_when_its_time_has_passed(filled: Store) -> None:
    with visiting(filled, "rita") as visitor:
        assert on_overview(visitor) == {True}
        assert visitor.post("/clusters/R2/snooze", days="7").status_code == 303
        assert on_overview(visitor) == {False}
        assert 'href="/clusters/R2"' in visitor.get("/clusters").text  # the list has all of them
        assert "snoozed until 2026-12-03 09:00 UTC" in visitor.get("/clusters/R2").text
    with visiting(filled, "rita", now=NOW + timedelta(days=7, seconds=-1)) as visitor:
        assert on_overview(visitor) == {False}
    with visiting(filled, "rita", now=NOW + timedelta(days=7)) as visitor:
        assert on_overview(visitor) == {True}
        assert "snoozed until" not in visitor.get("/clusters/R2").text


def test_waking_brings_a_cluster_back_at_once(filled: Store) -> None:
    with visiting(filled, "rita") as visitor:
        assert visitor.send("/api/clusters/R2/snooze", {"days": 30}).status_code == 200
        assert on_overview(visitor) == {False}
        assert visitor.post("/clusters/R2/snooze", days="0").status_code == 303
        assert on_overview(visitor) == {True}
        assert "snoozed until" not in visitor.get("/clusters/R2").text


def test_what_was_never_there_before_stands_first(filled: Store) -> None:
    with filled.writing() as session:
        session.add(cluster("R8", "Wholly new", emerging=True, burst_low=220.8, size=60))
        session.add(cluster("R9", "One author, none before", emerging=True, burst_low=0.02, size=1))
        session.add_all(
            cluster(f"R{at}", "Grew", emerging=True, burst_ratio=1 + at / 100, burst_low=0.5 + at / 100, size=500)
            for at in range(10, 35)
        )
    with filled.reading() as session:
        shown = [row.id for row in reading.overview(session, NOW).emerging]
        listed = [row.id for row in reading.clusters(session, reading.ClusterFilter(sort="burst")).rows]
    assert (shown[0], shown[1], "R9" in shown) == ("R8", "R2", False)
    assert listed[:2] == ["R8", "R2"]
    with visiting(filled) as visitor:
        assert '∞ <span class="quiet">(at least 220.8×)' in visitor.get("/clusters/R8").text


def drawn(page: str) -> list[str]:
    """What the charts of a page are called."""
    return [unescape(each) for each in re.findall(r'<svg [^>]*class="chart[^>]*aria-label="([^"]*)"', page)]


def test_every_table_of_clusters_has_their_lines_and_shares_are_gaps_where_nothing_was_judged(judged: Store) -> None:
    seed(judged)
    with judged.writing() as session:
        session.add(cluster("R8", "Held back", held_since=YESTERDAY, burst_ratio=2.0))
        session.add(cluster("R9", "Calm", last_day=50))
        session.flush()
        for name, risks in (("R8", 7), ("R9", 9)):
            session.add(ClusterDayRow(cluster_id=name, day="2026-11-26", revision="r1", risks=risks, authors=2))
    with visiting(judged) as visitor:
        page = visitor.get("/").text
    lines = drawn(page)
    none = ", ".join(["0"] * 28)
    for last in ("3, 0", "0, 7", "0, 9"):  # emerging, held, most of the last day
        assert f"risks a day since 2026-10-28: {none}, {last}" in lines
    assert "share of undetermined verdicts a day, 7.1 % on 2026-11-26, at most 20.0 % on 2026-11-25" in lines
    assert page.count("<title>2026-11-2") == 2


def test_a_timeline_has_a_place_for_every_day_and_none_for_days_to_come(filled: Store) -> None:
    with filled.writing() as session:
        for day, revision, risks in (("2026-09-01", "old", 40), ("2026-11-20", "new", 2), ("2026-12-24", "new", 90)):
            session.add(ClusterDayRow(cluster_id="R2", day=day, revision=revision, risks=risks, authors=1))
    with visiting(filled) as visitor:
        page = visitor.get("/clusters/R2").text
    assert drawn(page) == ["risks a day by guard revision, at most 3 on 2026-11-25"]
    assert re.findall(r"<text [^>]*>(\d\d-\d\d)</text>", page) == [
        *("09-28", "10-08", "10-18", "10-28", "11-07", "11-17"),  # sixty days up to today
    ]
    assert [unescape(each) for each in re.findall("<title>(2026.*?)</title>", page)] == [
        *(f"2026-11-25, {SCRIPT}: 3", "2026-11-20, new: 2"),
    ]
    assert SCRIPT not in page
    assert "2026-12-24" in page  # in the table
    legend = re.search(r'<ul class="legend">(.*?)</ul>', page, re.DOTALL)
    assert legend is not None
    assert unescape(re.sub(r"<svg.*?</svg>", "", legend[1])).split("</li>")[0].strip().endswith(SCRIPT)


def test_a_cluster_whose_risks_are_all_long_ago_or_to_come_has_its_page(filled: Store) -> None:
    with filled.writing() as session:
        session.execute(delete(ClusterDayRow).where(ClusterDayRow.cluster_id == "R2"))
        for day in ("2026-01-05", "2027-01-05"):
            session.add(ClusterDayRow(cluster_id="R2", day=day, revision="r1", risks=9, authors=1))
    with visiting(filled) as visitor:
        page = visitor.get("/clusters/R2").text
    assert drawn(page) == ["risks a day by guard revision, none"]
    assert "2026-01-05" in page  # in the table
