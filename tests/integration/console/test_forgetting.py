"""What age, erasure and law 11 take out of a store, and what they leave."""

from dataclasses import replace
from datetime import datetime, timedelta
from typing import Any

import orjson
import pytest
from sqlalchemy import delete, select, update

from proguard_core.novelty.encoder import SentenceEncoder
from proguard_core.novelty.novelty import Novelty
from proguard_core.policy.loader import load_policy
from tests.integration.console.test_store import cluster, ids, take, taken
from tests.support.risks import NOW, new_risk, unit, verdict
from tests.unit.console.test_intake import MINORS
from worker.console.mining.audit_posts import AuditPosts
from worker.console.mining.figures import Figures
from worker.console.mining.intake import Batch, Intake, Read
from worker.console.mining.miner import Miner
from worker.console.mining.reclustering import Done
from worker.console.settings import ConsoleSettings
from worker.console.store import Store, arrivals, erasing
from worker.console.store.erasing import Erased, Tombstone
from worker.console.store.models import ClusterDayRow, ClusterRow, ErasureRow, QueueRow, RiskRow
from worker.settings import TopicSettings, load

TOPICS = TopicSettings()
DAY = datetime(2026, 8, 1, tzinfo=NOW.tzinfo)


@pytest.fixture
def days(store: Store) -> Store:
    """A cluster with a risk each hour of a day, and one five days later."""
    with store.writing() as session:
        times = {"created_at": DAY, "first_seen": DAY, "last_seen": DAY}
        session.add(ClusterRow(id="R1", name="Ticket touting", centroid=unit(1), **times))
    hours = (new_risk(hour, "R1", observed_at=DAY + timedelta(hours=hour)) for hour in range(24))
    take(store, taken(*hours, new_risk(30, "R1", observed_at=DAY + timedelta(days=5))))
    refresh(store, DAY + timedelta(days=6))
    return store


def miner(store: Store) -> Miner:
    return Miner(store, ConsoleSettings(), SentenceEncoder(), Novelty(load_policy(None)), lambda: NOW)


def refresh(store: Store, now: datetime) -> None:
    settings = ConsoleSettings()
    with store.writing() as session:
        erasing.sweep(session, now, settings.retention_days)
        Figures(settings).refresh(session, ["R1"], now)


def counted(store: Store) -> list[tuple[str, int]]:
    with store.reading() as session:
        rows = session.scalars(select(ClusterDayRow).order_by(ClusterDayRow.day))
        return [(row.day, row.risks) for row in rows]


def test_a_day_that_expires_stays_counted(days: Store) -> None:
    both = [("2026-08-01", 24), ("2026-08-06", 1)]
    assert counted(days) == both
    for hours in range(0, 49, 4):
        refresh(days, DAY + timedelta(days=ConsoleSettings().retention_days, hours=hours))
        assert counted(days) == both
    assert ids(days) == ["post-30"]
    refresh(days, DAY + timedelta(days=ConsoleSettings().retention_days + 7))
    assert ids(days) == []
    assert counted(days) == both


def test_a_day_that_erasure_empties_is_counted_no_more(days: Store) -> None:
    with days.writing() as session:
        session.execute(delete(RiskRow))
    refresh(days, DAY + timedelta(days=6))
    assert counted(days) == []


def test_a_day_whose_risks_moved_to_another_cluster_is_counted_there_alone(days: Store) -> None:
    with days.writing() as session:
        session.add(cluster("R2"))
        session.flush()
        session.execute(update(RiskRow).where(RiskRow.observed_at < DAY + timedelta(days=1)).values(cluster_id="R2"))
        Figures(ConsoleSettings()).refresh(session, ["R1", "R2"], DAY + timedelta(days=6))
        found = {(row.cluster_id, row.day): row.risks for row in session.scalars(select(ClusterDayRow))}
    assert found == {("R1", "2026-08-06"): 1, ("R2", "2026-08-01"): 24}


def test_a_cluster_of_a_store_without_risks_says_so(store: Store) -> None:
    with store.writing() as session:
        session.add_all([cluster("R1"), cluster("R2")])
        session.flush()
        session.get_one(ClusterRow, "R1").size = 5
    assert miner(store).recluster() == Done()
    with store.reading() as session:
        assert list(session.scalars(select(ClusterRow.size))) == [0, 0]


@pytest.fixture
def ahead(store: Store) -> Store:
    """A risk and a post of the queue of one author, judged by a guard whose clock is 20 s ahead, and another's."""
    soon = NOW + timedelta(seconds=20)
    found = taken(*(new_risk(number, author_id=f"a{number}", observed_at=soon) for number in (1, 2)))
    intake, batch = Intake(TOPICS, ConsoleSettings(audit_share=1.0)), Batch()
    intake.add(batch, Read(TOPICS.verdicts, 0, 0, b"key", verdict(3, "post-3", soon, author_id="a1"), 0))
    found.sample = batch.arrivals.sample
    take(store, found)
    return store


def test_erasing_by_hand_reaches_what_a_clock_ahead_has_dated_and_it_stays_out(ahead: Store) -> None:
    with ahead.writing() as session:
        assert erasing.erase_author(session, "a1", "ada", NOW) == Erased(1, 1)
    assert ids(ahead) == ["post-2"]
    again = (new_risk(1, observed_at=NOW + timedelta(seconds=at)) for at in (20, 21))
    for known, new in zip((["post-2"], ["post-2", "post-1"]), again, strict=True):
        take(ahead, taken(new, at=(1, 1)))
        assert ids(ahead) == known


def test_law_11_what_a_person_found_to_concern_minors_is_out_for_good(ahead: Store) -> None:
    with ahead.writing() as session:
        erasing.withhold(session, ["post-1", "post-3"])
        erasing.erase_posts(session, [Tombstone("post-1", NOW)])
    for later in (timedelta(hours=1), timedelta(days=4000)):
        with ahead.writing() as session:
            erasing.sweep(session, NOW + later, 90)
        sampled, intake = Batch(), Intake(TOPICS, ConsoleSettings(audit_share=1.0))
        intake.add(sampled, Read(TOPICS.verdicts, 0, 0, b"key", verdict(4, "post-3", NOW + later), 0))
        assert len(sampled.arrivals.sample) == 1
        take(ahead, replace(taken(new_risk(1, observed_at=NOW + later), at=(1, 1)), sample=sampled.arrivals.sample))
        assert set(ids(ahead)) <= {"post-2"}
    with ahead.reading() as session:
        assert list(session.scalars(select(QueueRow.post_id))) == []
        assert erasing.was_erased(session, "post-1")


@pytest.mark.parametrize("number", [1, 3])
def test_law_9_what_lies_before_a_null_value_goes_though_its_writers_clock_is_behind(ahead: Store, number: int) -> None:
    """A hit and a verdict that were read in an earlier batch; on another topic the times decide."""
    key, topics = f"post-{number}".encode(), (TOPICS.retraining, TOPICS.verdicts)
    own, other = topics if number == 1 else topics[::-1]
    left = []
    for topic in (TOPICS.risks, other, own):
        batch = Batch()
        Intake(TOPICS, ConsoleSettings()).add(batch, Read(topic, 0, 1, key, None, int(NOW.timestamp() * 1000)))
        take(ahead, batch.arrivals)
        with ahead.reading() as session:
            left.append({*session.scalars(select(RiskRow.post_id)), *session.scalars(select(QueueRow.post_id))})
    both = {"post-1", "post-2", "post-3"}
    assert left == [both, both, both - {f"post-{number}"}]


def test_law_11_a_post_that_is_judged_to_concern_minors_leaves_with_what_came_before(store: Store) -> None:
    intake = Intake(TOPICS, ConsoleSettings(audit_share=1.0))
    before, after = Batch(), Batch()
    hour = timedelta(hours=1)
    hit = orjson.loads(new_risk(1, observed_at=NOW - hour).risk.model_dump_json())
    escalated: dict[str, Any] = {"outcome": "unsafe", "action": "escalate", "category": MINORS}
    for batch, topic, value in (
        (before, TOPICS.retraining, orjson.dumps(hit)),
        (before, TOPICS.verdicts, verdict(2, "post-2", NOW - hour)),
        (before, TOPICS.verdicts, verdict(3, "post-3", NOW - hour)),
        (after, TOPICS.verdicts, verdict(4, "post-1", NOW, **escalated)),
        (after, TOPICS.verdicts, verdict(5, "post-2", NOW, **escalated)),
    ):
        intake.add(batch, Read(topic, 0, 0, b"key", value, 0))
    for batch in (before, after):
        with store.writing() as session:
            arrivals.take(session, batch.arrivals)
    assert ids(store) == []
    with store.reading() as session:
        assert list(session.scalars(select(QueueRow.post_id))) == ["post-3"]


def test_a_sampled_post_that_came_again_after_an_erasure_is_fetched_and_one_from_before_goes(store: Store) -> None:
    intake, batch = Intake(TOPICS, ConsoleSettings(audit_share=1.0)), Batch()
    for number in (1, 2):
        intake.add(batch, Read(TOPICS.verdicts, 0, 0, b"key", verdict(number, f"post-{number}", NOW), 0))
    take(store, batch.arrivals)
    with store.writing() as session:
        rows = {row.post_id: row.id for row in session.scalars(select(QueueRow))}
        erasing.erase_posts(session, [Tombstone("post-1", NOW - timedelta(days=7))])
        session.add(ErasureRow(post_hash=erasing.post_hash("post-2"), erased_at=NOW))
    settings = load(None, {"kafka": {"bootstrap_servers": "127.0.0.1:9"}})
    posts = AuditPosts(settings, store, lambda: NOW)
    with store.writing() as session:
        for row_id in rows.values():
            posts._put(session, row_id, {"text": "words"})
    posts.close()
    with store.reading() as session:
        assert {row.post_id: row.text for row in session.scalars(select(QueueRow))} == {"post-1": "words"}
