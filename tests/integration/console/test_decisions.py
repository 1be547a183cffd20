"""Decisions in the store: who was faster, what an undo brings back, and what law 11 takes out."""

from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import select

from proguard_core.dataset.reviews import standing
from schemas.review import Decision, Review
from tests.integration.console.test_store import KEY, take, taken
from tests.support.risks import NOW, new_risk, unit
from worker.console.store import Store, audit, outbox, reading, reviewing
from worker.console.store.audit import Label
from worker.console.store.models import ClusterRow, ClusterState, QueueRow, ReviewRow, RiskRow, Stratum
from worker.console.store.outbox import as_record
from worker.console.store.reviewing import ConflictError, Decided, ReviewError


@pytest.fixture
def cluster(store: Store) -> str:
    """One with three members."""
    with store.writing() as session:
        times = {"created_at": NOW, "first_seen": NOW, "last_seen": NOW}
        session.add(ClusterRow(id="R1", name="Ticket touting", centroid=unit(1), **times))
    take(store, taken(*(new_risk(number, "R1") for number in range(3))))
    return "R1"


def decide(store: Store, version: int, who: str = "ada", two: bool = False, **said: object) -> reviewing.Reviewed:
    fields: dict[str, object] = {"decision": Decision.CONFIRM, "name": "Touting", **said}
    with store.writing() as session:
        decided = Decided(reviewer=who, version=version, **fields)  # type: ignore[arg-type]
        return reviewing.decide(session, "R1", decided, NOW, two_persons=two)


def due(store: Store) -> list[Review]:
    with store.reading() as session:
        return outbox.due(session)


def undo(store: Store, review_id: str) -> None:
    with store.writing() as session:
        reviewing.undo(session, review_id, "eve", NOW + timedelta(minutes=1))


def shown(store: Store) -> ClusterRow:
    with store.reading() as session:
        row = reading.cluster(session, "R1")
    assert row is not None
    return row


def test_the_second_of_two_at_once_is_told_and_changes_nothing(store: Store, cluster: str) -> None:
    assert decide(store, 1).review.posts == ["post-0", "post-1", "post-2"]
    with pytest.raises(ConflictError, match="someone else") as refused:
        decide(store, 1, who="ben", decision=Decision.REJECT, name=None)
    assert refused.value.now is not None
    assert (shown(store).state, shown(store).name, shown(store).version) == (ClusterState.CONFIRMED, "Touting", 2)
    with store.reading() as session:
        assert len(reviewing.reviews_of(session, cluster)) == 1


def test_an_undo_is_another_record_and_brings_back_what_was(store: Store, cluster: str) -> None:
    review = decide(store, 1).review
    with store.writing() as session:
        undoing = reviewing.undo(session, review.review_id, "ben", NOW + timedelta(minutes=1))
        assert as_record(undoing, "").undoes == review.review_id
    assert (shown(store).state, shown(store).name) == (ClusterState.OPEN, "Ticket touting")
    with store.writing() as session, pytest.raises(ReviewError, match="already"):
        reviewing.undo(session, review.review_id, "ben", NOW)
    with store.reading() as session:
        assert len(outbox.due(session)) == 2


def test_with_two_persons_the_second_one_decides(store: Store, cluster: str) -> None:
    assert not decide(store, 1, two=True).counts
    assert shown(store).state is ClusterState.OPEN
    assert not decide(store, 2, two=True).counts
    assert due(store) == []
    second = decide(store, 3, who="ben", two=True)
    assert second.counts
    assert shown(store).state is ClusterState.CONFIRMED
    assert sorted(each.reviewer for each in due(store)) == ["ada", "ada", "ben"]
    # One that is left of two does not stand, here or on the topic.
    undo(store, second.review.review_id)
    assert shown(store).state is ClusterState.OPEN
    assert standing(due(store)) == []


def test_of_three_who_agree_one_may_go(store: Store, cluster: str) -> None:
    reviews = [decide(store, at, who=who, two=True).review for at, who in enumerate(("ada", "ben", "eve"), 1)]
    undo(store, reviews[0].review_id)
    assert shown(store).state is ClusterState.CONFIRMED
    assert sorted(each.reviewer for each in standing(due(store))) == ["ben", "eve"]
    undo(store, reviews[2].review_id)
    assert shown(store).state is ClusterState.OPEN
    assert standing(due(store)) == []


def test_what_waits_for_a_second_person_and_is_withdrawn_never_reaches_the_topic(store: Store, cluster: str) -> None:
    undo(store, decide(store, 1, two=True, decision=Decision.REJECT, name=None).review.review_id)
    assert due(store) == []
    assert not decide(store, 3, who="ben", two=True, decision=Decision.REJECT, name=None).counts


def test_clusters_of_two_stores_have_two_ids_on_the_topic(store: Store, cluster: str, tmp_path: Path) -> None:
    decide(store, 1)
    (record,) = due(store)
    other = Store(f"sqlite:///{tmp_path / 'other.db'}", create=True)
    with store.reading() as session, other.reading() as others:
        assert outbox.store_id(session) != outbox.store_id(others)
        assert record.cluster == f"{outbox.store_id(session)}-R1"
    other.close()


@pytest.mark.parametrize("two", [False, True])
def test_words_beside_a_merge_into_minors_are_never_written(store: Store, cluster: str, two: bool) -> None:
    said: dict[str, Any] = {
        "decision": Decision.MERGE,
        "name": "a name",
        "code": "C11S1",
        "synonyms": ("another",),
        "note": "a note",
    }
    with pytest.raises(ReviewError, match="gets no name"):
        decide(store, 1, two=two, **{**said, "decision": Decision.CONFIRM})
    review = decide(store, 1, two=two, **said).review
    assert (review.name, review.synonyms, review.note) == (None, [], None)


def test_what_concerns_minors_leaves_the_store_with_all_members(store: Store, cluster: str) -> None:
    decide(store, 1, decision=Decision.MERGE, name=None, code="C11S1")
    with store.reading() as session:
        assert session.scalars(select(RiskRow)).all() == []
        (review,) = session.scalars(select(ReviewRow)).all()
    assert (review.name, review.code, shown(store).name) == (None, "C11S1", "(withheld)")


def queued(store: Store, count: int) -> None:
    with store.writing() as session:
        session.add_all(
            QueueRow(
                verdict_id=f"v{number}",
                post_id=f"q{number}",
                author_id="a",
                stratum=Stratum.SAFE,
                judged_at=NOW - timedelta(hours=1),
                draw=number / count,
                order_key=f"{number:04d}",
                revision="r1",
                modality="text",
                source_topic="t",
                source_partition=0,
                source_offset=number,
                fetched_at=NOW,
                text="words",
            )
            for number in range(count)
        )


def test_the_audit_sample_is_labelled_once_each_and_gives_an_interval(store: Store) -> None:
    what = taken()
    what.verdicts[KEY] = 3000
    take(store, what)
    queued(store, 30)
    for number in range(30):
        with store.writing() as session:
            row = audit.next_post(session, "ada", NOW)
            assert row is not None
            code = "C11S1" if number == 0 else None
            audit.label(session, row.id, "ada", Label.UNSAFE if number < 2 else Label.SAFE, code, NOW)
    with store.reading() as session:
        assert audit.next_post(session, "ada", NOW) is None
        found = audit.prevalence(session, NOW - timedelta(days=1), NOW + timedelta(days=1))
        withheld = session.scalars(select(QueueRow).where(QueueRow.code == "C11S1")).one()
    assert (withheld.text, withheld.author_id, withheld.source_offset) == (None, None, 0)
    assert found.posts is not None
    assert found.posts.value == pytest.approx(200)
    assert 20 < found.posts.low < 30
    assert 650 < found.posts.high < 670


def test_two_people_get_two_posts(store: Store) -> None:
    queued(store, 2)
    with store.writing() as session:
        first = audit.next_post(session, "ada", NOW)
    with store.writing() as session:
        second = audit.next_post(session, "ben", NOW)
        assert first is not None
        assert second is not None
        assert first.id != second.id
        audit.label(session, first.id, "ben", Label.SAFE, None, NOW)
    with store.writing() as session, pytest.raises(ReviewError, match="labelled by ben"):
        audit.label(session, first.id, "ada", Label.UNSAFE, None, NOW)
