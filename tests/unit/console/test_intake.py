"""Records of others to what the store takes in: what it cannot hold is counted, and stops nothing."""

from datetime import timedelta
from typing import Any

import orjson
import pytest

from schemas.review import Decision, Review
from tests.support.risks import NOW, hit, verdict
from worker.console.mining.intake import NO_RECORD, Batch, Intake, Read
from worker.console.settings import ConsoleSettings
from worker.settings import TopicSettings

TOPICS = TopicSettings()
MINORS = {"kind": "known", "code": "C11S1", "name": "Minors", "nearest": None, "similarity": None}
REVIEW = Review(
    review_id="r1", cluster="other-R1", decision=Decision.MERGE, code="C3S1", reviewer="eve", reviewed_at=NOW
)
OUTCOMES = (TOPICS.risks, TOPICS.retraining, TOPICS.verdicts)
NO_PLACES = ({"offset": 2**63}, {"partition": 2**31}, {"topic": "t" * 250}, {"topic": "t\0"})
NO_UTC = ("9999-12-31T23:59:59-01:00", "0001-01-01T00:00:00+01:00")


def taken(*records: tuple[str, bytes]) -> Batch:
    intake, batch = Intake(TOPICS, ConsoleSettings(audit_share=1.0)), Batch()
    for offset, (topic, value) in enumerate(records):
        intake.add(batch, Read(topic, 0, offset, b"key", value, 0))
    return batch


def review(**changed: Any) -> tuple[str, bytes]:
    return TOPICS.reviews, orjson.dumps(REVIEW.model_dump(mode="json") | changed)


def observed(topic: str, at: str) -> tuple[str, bytes]:
    return said(topic, observed_at=at)


def said(topic: str, **changed: Any) -> tuple[str, bytes]:
    """A record of the topic, some of it otherwise: of what is nested only that part."""
    record = orjson.loads(verdict(1, "p", NOW) if topic == TOPICS.verdicts else hit(1).model_dump_json())
    if topic == TOPICS.risks:
        record = {key: value for key, value in record.items() if key not in ("post", "post_truncated")}
    nested = {key: {**(record[key] or {}), **value} for key, value in changed.items() if isinstance(value, dict)}
    return topic, orjson.dumps(record | changed | nested)


def test_a_review_of_another_writer_is_taken() -> None:
    batch = taken(review())
    assert [each.cluster for each in batch.reviews] == ["other-R1"]
    assert not batch.problems


@pytest.mark.parametrize(
    "record",
    [
        *(review(reviewed_at=at) for at in NO_UTC),
        review(cluster="R" * 65),
        review(code="C" + "1" * 16),
        *(observed(topic, at) for topic in (TOPICS.risks, TOPICS.retraining) for at in NO_UTC),
        *(said(TOPICS.verdicts, judged_at=at) for at in NO_UTC),
        *(said(topic, source=source) for topic in OUTCOMES for source in NO_PLACES),
        *(said(topic, guard={"revision": revision}) for topic in OUTCOMES for revision in ("r" * 513, "r\0")),
        *(said(topic, risk_id=risk_id) for topic in OUTCOMES[:2] for risk_id in ("r" * 513, "r\0")),
        *(said(topic, nearest={"code": "C" + "9" * 100, "similarity": 0.1}) for topic in OUTCOMES[:2]),
        said(TOPICS.retraining, post={"language": "e\0"}),
        said(TOPICS.verdicts, verdict_id="v" * 513),
        said(TOPICS.verdicts, category={"kind": "known", "code": "C" + "9" * 100}),
    ],
)
def test_what_no_column_holds_is_counted_and_the_next_is_taken(record: tuple[str, bytes]) -> None:
    batch = taken(record, review())
    assert batch.problems == {f"{NO_RECORD}: {record[0]}": 1}
    assert len(batch.reviews) == 1


@pytest.mark.parametrize(("key", "time_ms"), [(b"a\0b", 0), (b"k" * 513, 0)])
def test_a_null_value_of_no_post_is_counted(key: bytes, time_ms: int) -> None:
    intake, batch = Intake(TOPICS, ConsoleSettings()), Batch()
    intake.add(batch, Read(TOPICS.risks, 0, 0, key, None, time_ms))
    assert batch.problems == {f"{NO_RECORD}: {TOPICS.risks}": 1}
    assert batch.arrivals.tombstones == []


@pytest.mark.parametrize(("post_id", "time_ms"), [("ш" * 512, 0), ("post-1", 10**18)])
def test_law_9_whatever_may_come_in_can_be_erased(post_id: str, time_ms: int) -> None:
    intake, batch = Intake(TOPICS, ConsoleSettings()), Batch()
    posted = hit(1, post_id=post_id)
    intake.add(batch, Read(TOPICS.retraining, 0, 0, b"key", posted.model_dump_json().encode(), 0))
    assert len(batch.arrivals.risks) == 1
    intake.add(batch, Read(TOPICS.retraining, 0, 1, post_id.encode(), None, time_ms))
    assert batch.arrivals.risks == {}
    assert [(each.post_id, each.at) for each in batch.arrivals.tombstones] == [(post_id, posted.observed_at)]
    assert not batch.problems


@pytest.mark.parametrize("topic", [TOPICS.risks, TOPICS.retraining])
def test_law_9_a_null_value_erases_what_lies_before_it_though_its_writers_clock_is_behind(topic: str) -> None:
    intake, batch = Intake(TOPICS, ConsoleSettings()), Batch()
    intake.add(batch, Read(topic, 0, 0, b"post-1", said(topic)[1], 0))
    behind_ms = int((hit(1).observed_at - timedelta(seconds=3)).timestamp() * 1000)
    intake.add(batch, Read(topic, 0, 1, b"post-1", None, behind_ms))
    assert batch.arrivals.risks == {}
    assert [each.at for each in batch.arrivals.tombstones] == [hit(1).observed_at]
    intake.add(batch, Read(TOPICS.retraining, 0, 2, b"post-1", hit(1).model_dump_json().encode(), 0))
    intake.add(batch, Read(TOPICS.risks, 0, 3, b"post-1", None, behind_ms))
    assert len(batch.arrivals.risks) == 1  # of two topics nobody knows which was first


def test_law_11_a_verdict_about_minors_takes_what_came_of_the_post_before() -> None:
    """By another guard, or when the post was another."""
    escalated = verdict(2, "post-1", NOW, outcome="unsafe", action="escalate", category=MINORS)
    batch = taken((TOPICS.retraining, hit(1).model_dump_json().encode()), (TOPICS.verdicts, escalated))
    assert batch.arrivals.risks == {}
    assert batch.arrivals.sample == []
    assert [(each.post_id, each.at) for each in batch.arrivals.tombstones] == [("post-1", NOW)]
