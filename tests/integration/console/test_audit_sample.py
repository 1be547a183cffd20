"""The audit sample on both databases: each stratum is drawn by itself, that of a cascade's first guard too."""

from collections.abc import Iterator
from datetime import timedelta
from typing import Any

import pytest
from sqlalchemy import select

from proguard_core.novelty.encoder import SentenceEncoder
from proguard_core.novelty.novelty import Novelty
from proguard_core.policy.loader import load_policy
from tests.support.console_pages import read_in, settings_of
from tests.support.risks import NOW, verdict
from worker.console.mining.miner import Miner
from worker.console.store import Store, arrivals, audit
from worker.console.store.arrivals import draw
from worker.console.store.audit import Label, Prevalence
from worker.console.store.models import QueueRow, Stratum

FIRST, SECOND = "word-list", "embedded/first-edition"
# How many verdicts of each kind: the first guard passes by far the most.
PASSED, SAFE, UNCLEAR, UNSAFE, ESCALATED = 400, 60, 40, 30, 20
SAMPLE: dict[str, Any] = {"audit_share": 0.4, "audit_posts_per_day": 12}


def records() -> Iterator[bytes]:
    known = {"kind": "known", "code": "C3S1", "name": "Fraud and Scams", "nearest": None, "similarity": None}
    unclear = {"outcome": "undetermined", "reason": "guard_failed"}
    kinds: list[tuple[int, dict[str, Any]]] = [
        (PASSED, {"guard": FIRST}),
        (SAFE, {"guard": SECOND}),
        (UNCLEAR, {"guard": FIRST, **unclear}),
        (UNSAFE, {"guard": FIRST, "outcome": "unsafe", "category": known}),
        (ESCALATED, {"guard": FIRST, "action": "escalate", **unclear}),
    ]
    given = [changed for count, changed in kinds for _ in range(count)]
    for number, changed in enumerate(given):
        yield verdict(number, f"post-{number}", NOW - timedelta(minutes=5), **changed)


def queue(store: Store) -> dict[Stratum, list[str]]:
    """Verdicts that were drawn, those with the smallest draw first."""
    found: dict[Stratum, list[str]] = {stratum: [] for stratum in Stratum}
    with store.reading() as session:
        for row in session.scalars(select(QueueRow).order_by(QueueRow.draw)):
            found[row.stratum].append(row.verdict_id)
    return found


def drawn(first: int, count: int) -> list[str]:
    """What is to be drawn of the verdicts from one number on."""
    numbers = (f"v-{number}" for number in range(first, first + count))
    return sorted((each for each in numbers if draw(each) < SAMPLE["audit_share"]), key=draw)


EXPECTED = {
    Stratum.PASSED: drawn(0, PASSED),
    Stratum.SAFE: drawn(PASSED, SAFE),
    Stratum.UNDETERMINED: drawn(PASSED + SAFE, UNCLEAR),
}


def test_what_the_first_guard_passed_is_a_stratum_of_its_own(store: Store) -> None:
    with store.writing() as session:
        arrivals.take(session, read_in(records(), passed_guards=[FIRST], **SAMPLE).arrivals)
    assert queue(store) == EXPECTED
    assert all(len(each) > SAMPLE["audit_posts_per_day"] for each in EXPECTED.values())


def test_without_the_setting_it_is_safe_as_the_rest(store: Store) -> None:
    with store.writing() as session:
        arrivals.take(session, read_in(records(), **SAMPLE).arrivals)
    together = sorted([*EXPECTED[Stratum.PASSED], *EXPECTED[Stratum.SAFE]], key=draw)
    assert queue(store) == {**EXPECTED, Stratum.PASSED: [], Stratum.SAFE: together}


@pytest.fixture
def mined(store: Store) -> Store:
    """The sample as the mining process leaves it, its posts fetched."""
    settings = settings_of(passed_guards=[FIRST], **SAMPLE).console
    miner = Miner(store, settings, SentenceEncoder(), Novelty(load_policy(None)), lambda: NOW)
    miner.take(read_in(records(), passed_guards=[FIRST], **SAMPLE))
    miner.refresh()
    with store.writing() as session:
        for row in session.scalars(select(QueueRow)):
            row.fetched_at, row.text = NOW, "words"
    return store


def test_days_that_mining_was_away_for_are_drawn_as_others_are(store: Store) -> None:
    given = [(day, f"v-{40 * day + at}") for day in range(4) for at in range(40)]
    judged = (NOW - timedelta(days=day) for day, _ in given)
    settings = settings_of(audit_share=1.0, audit_posts_per_day=10).console
    batch = read_in((verdict(at, f"post-{at}", time) for at, time in enumerate(judged)), audit_share=1.0)
    miner = Miner(store, settings, SentenceEncoder(), Novelty(load_policy(None)), lambda: NOW)
    miner.take(batch)
    miner.refresh()
    expected = [id_ for day in range(4) for id_ in sorted((v for d, v in given if d == day), key=draw)[:10]]
    assert set(queue(store)[Stratum.SAFE]) == set(expected)


def label(store: Store, count: int, unsafe: set[str]) -> set[Stratum]:
    """Label so many posts as they come; the strata that they were of."""
    seen: set[Stratum] = set()
    for _ in range(count):
        with store.writing() as session:
            row = audit.next_post(session, "ada", NOW)
            assert row is not None
            said = Label.UNSAFE if row.verdict_id in unsafe else Label.SAFE
            audit.label(session, row.id, "ada", said, "C3S1" if said is Label.UNSAFE else None, NOW)
            seen.add(row.stratum)
    return seen


def prevalence(store: Store) -> Prevalence:
    with store.reading() as session:
        return audit.prevalence(session, NOW - timedelta(days=1), NOW + timedelta(hours=1))


def test_a_flood_of_passed_posts_takes_no_place_of_the_others_and_counts_as_what_it_is(mined: Store) -> None:
    most = SAMPLE["audit_posts_per_day"]
    kept = queue(mined)
    assert kept == {stratum: drawn_[:most] for stratum, drawn_ in EXPECTED.items()}
    unsafe = {*kept[Stratum.PASSED][:3], *kept[Stratum.SAFE][:1], *kept[Stratum.UNDETERMINED][:6]}
    assert label(mined, 10, unsafe) == set(Stratum)  # they come mixed
    label(mined, 3 * most - 10, unsafe)
    found = prevalence(mined)
    figures = {name: (each.verdicts, each.labelled, each.unsafe) for name, each in found.strata.items()}
    assert figures == {"safe": (SAFE, 12, 1), "undetermined": (UNCLEAR, 12, 6), "passed": (PASSED, 12, 3)}
    assert found.found == UNSAFE
    assert found.posts is not None
    assert found.missed is not None
    expected = PASSED * 3 / 12 + SAFE * 1 / 12 + UNCLEAR * 6 / 12
    assert found.posts.value == pytest.approx(expected)
    assert found.posts.low < expected < found.posts.high
    assert found.missed.value == pytest.approx(expected / (expected + UNSAFE))


def test_nothing_is_said_while_one_stratum_has_no_label(mined: Store) -> None:
    with mined.writing() as session:
        for row in session.scalars(select(QueueRow).where(QueueRow.stratum != Stratum.PASSED)):
            audit.label(session, row.id, "ada", Label.SAFE, None, NOW)
    found = prevalence(mined)
    assert found.strata["passed"].verdicts == PASSED
    assert (found.posts, found.missed) == (None, None)


def test_where_all_that_is_undetermined_is_escalated_the_rest_is_known_all_the_same(store: Store) -> None:
    escalated = {"outcome": "undetermined", "reason": "guard_failed", "action": "escalate"}
    batch = read_in(
        [verdict(number, f"post-{number}", NOW, **(escalated if number >= 8 else {})) for number in range(10)],
        audit_share=1.0,
    )
    with store.writing() as session:
        arrivals.take(session, batch.arrivals)
        for row in session.scalars(select(QueueRow)):
            audit.label(session, row.id, "ada", Label.SAFE, None, NOW)
    found = prevalence(store)
    assert (found.strata["safe"].labelled, found.strata["undetermined"].verdicts) == (8, 0)
    assert found.posts is not None
    assert found.posts.value == 0
