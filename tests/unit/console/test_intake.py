"""Records of others to what the store takes in: what it cannot hold is counted, and stops nothing."""

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
NO_UTC = ("9999-12-31T23:59:59-01:00", "0001-01-01T00:00:00+01:00")


def taken(*records: tuple[str, bytes]) -> Batch:
    intake, batch = Intake(TOPICS, ConsoleSettings(audit_share=1.0)), Batch()
    for offset, (topic, value) in enumerate(records):
        intake.add(batch, Read(topic, 0, offset, b"key", value, 0))
    return batch


def review(**changed: Any) -> tuple[str, bytes]:
    return TOPICS.reviews, orjson.dumps(REVIEW.model_dump(mode="json") | changed)


def observed(topic: str, at: str) -> tuple[str, bytes]:
    record = orjson.loads(hit(1).model_dump_json())
    if topic == TOPICS.risks:
        record = {key: value for key, value in record.items() if key not in ("post", "post_truncated")}
    return topic, orjson.dumps(record | {"observed_at": at})


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
        *((TOPICS.verdicts, orjson.dumps(orjson.loads(verdict(1, "p", NOW)) | {"judged_at": at})) for at in NO_UTC),
    ],
)
def test_what_no_column_holds_is_counted_and_the_next_is_taken(record: tuple[str, bytes]) -> None:
    batch = taken(record, review())
    assert batch.problems == {f"{NO_RECORD}: {record[0]}": 1}
    assert len(batch.reviews) == 1


def test_law_11_a_verdict_about_minors_takes_what_came_of_the_post_before() -> None:
    """By another guard, or when the post was another."""
    escalated = verdict(2, "post-1", NOW, outcome="unsafe", action="escalate", category=MINORS)
    batch = taken((TOPICS.retraining, hit(1).model_dump_json().encode()), (TOPICS.verdicts, escalated))
    assert batch.arrivals.risks == {}
    assert batch.arrivals.sample == []
    assert [(each.post_id, each.at) for each in batch.arrivals.tombstones] == [("post-1", NOW)]
