"""What a round reads of posts that are no hits but were reviewed: from the verdicts and posts of a real broker."""

import json
import time
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import orjson

from proguard_core.evaluation.rows import Problems
from proguard_core.training.registry.records import Step
from schemas.post import Post
from schemas.review import Decision, Review
from tests.support.risks import verdict
from tests.support.rounds import Rounds
from tests.support.streams import StreamUnderTest
from tests.support.topics import produce, read_topic
from tests.unit.dataset.builders import POLICY, words
from tests.unit.training.registry.builders import registry_in
from worker.retraining import labels
from worker.retraining.judged_posts import EDITED, ELSEWHERE, EXPIRED, NO_VERDICT
from worker.retraining.snapshot import Snapshot, Topics
from worker.settings import load

SAFE = ("first", "second", "erased", "unread", "elsewhere", "rewritten")
PARTITION = 1
COUNT = 25


def snapshot(stream: StreamUnderTest, days: int = 7, ahead_s: float = 0) -> Snapshot:
    """ahead_s: how much later it is than it is."""
    rounds = Rounds(stream, "none", "http://127.0.0.1:1", settings={"registry": "none", "overturned_days": days})
    return Topics(load(None, rounds.tables()), lambda: time.time() + ahead_s).snapshot()


def judge(stream: StreamUnderTest, post_id: str, offset: int, topic: str | None = None, **changed: Any) -> None:
    """A verdict of what lies there, safe unless changed."""
    source = {"topic": topic or stream.topics.posts, "partition": PARTITION, "offset": offset}
    value = verdict(offset, post_id, datetime.now(UTC), source=source, **changed)
    produce(stream.config, stream.topics.verdicts, [(post_id.encode(), value)])


def reviewed(post_ids: list[str], decision: Decision, code: str | None) -> list[Review]:
    """One of each post, now."""
    now = datetime.now(UTC)
    return [
        Review(review_id=f"review of {each}", post=each, decision=decision, code=code, reviewer="ada", reviewed_at=now)
        for each in post_ids
    ]


def written(stream: StreamUnderTest) -> None:
    """Posts, their verdicts, and a review of each that says that it is fraud."""
    posts = [
        (post_id.encode(), Post(post_id=post_id, text=f"words of {post_id}").model_dump_json().encode())
        for post_id in SAFE
    ]
    produce(stream.config, stream.topics.posts, posts, PARTITION)
    for offset, post_id in enumerate(SAFE):
        judge(stream, post_id, offset, "another.topic" if post_id == "elsewhere" else None)
    judge(stream, "expired", 1000)
    reviews = reviewed([*SAFE, "expired", "unknown"], Decision.MERGE, "C3S1")
    records = [(each.review_id.encode(), orjson.dumps(each.model_dump(mode="json"))) for each in reviews]
    produce(stream.config, stream.topics.reviews, records)


def test_reviewed_posts_are_read_from_where_their_latest_verdicts_say(plain_stream: StreamUnderTest) -> None:
    """Erased, expired and unknown ones are not, nor what was judged from another topic; each is counted."""
    written(plain_stream)
    produce(plain_stream.config, plain_stream.topics.verdicts, [(b"erased", None), (b"unread", b"no verdict")])
    found = snapshot(plain_stream)
    assert [each.post.text for each in found.judged] == ["words of first", "words of rewritten", "words of second"]
    assert all(each.verdict.post_id == each.post.post_id for each in found.judged)
    # The one without a verdict at all, the erased one, and the one whose verdict cannot be read.
    assert found.problems.counts == {NO_VERDICT: 3, ELSEWHERE: 1, EXPIRED: 1}


def test_what_one_verdict_withheld_stays_withheld_and_an_erasure_in_another_partition_counts(
    plain_stream: StreamUnderTest,
) -> None:
    """The verdicts topic may have had fewer partitions when the post was judged."""
    escalated = {"outcome": "undetermined", "reason": "guard_failed", "action": "escalate"}
    judge(plain_stream, "first", 0, **escalated)
    written(plain_stream)
    judged = read_topic(plain_stream.config, plain_stream.topics.verdicts)
    [at] = [each.partition() for each in judged if each.key() == b"second"]
    assert at is not None
    produce(plain_stream.config, plain_stream.topics.verdicts, [(b"second", None)], (at + 1) % 4)
    found = snapshot(plain_stream)
    assert "second" not in {each.post.post_id for each in found.judged}
    [first] = [each for each in found.judged if each.post.post_id == "first"]
    assert first.verdict.action == "escalate"
    assert "first" not in {item.row.id for item in labels.labelled(found, POLICY, Problems()).items}


def test_a_post_that_was_written_again_since_its_review_is_left_out(plain_stream: StreamUnderTest) -> None:
    written(plain_stream)
    time.sleep(0.01)
    again = Post(post_id="rewritten", text="other words").model_dump_json().encode()
    produce(plain_stream.config, plain_stream.topics.posts, [(b"rewritten", again)], PARTITION)
    judge(plain_stream, "rewritten", len(SAFE))
    found = snapshot(plain_stream)
    assert "rewritten" not in {each.post.post_id for each in found.judged}
    assert found.problems.counts[EDITED] == 1
    assert found.problems.counts[EXPIRED] == 1


def test_the_setting_says_how_far_back_verdicts_are_looked_for(plain_stream: StreamUnderTest) -> None:
    written(plain_stream)
    assert len(snapshot(plain_stream, days=2).judged) == 5
    assert not snapshot(plain_stream, days=2, ahead_s=3 * 86_400).judged
    off = snapshot(plain_stream, days=0)
    assert not off.judged
    assert not off.problems.counts


def test_a_round_learns_from_them_but_not_from_what_was_erased(plain_stream: StreamUnderTest, tmp_path: Path) -> None:
    """Safe posts that were called fraud, as many as a round wants."""
    rounds = Rounds(plain_stream, "none", "http://127.0.0.1:1", settings={"registry": str(tmp_path / "registry")})
    posts = [Post(post_id=f"post-{at}", author_id=f"author-{at}", text=words(at)) for at in range(COUNT)]
    given = [(each.post_id.encode(), each.model_dump_json().encode()) for each in posts]
    produce(plain_stream.config, plain_stream.topics.posts, given, PARTITION)
    fraud = {"kind": "known", "code": "C3S1", "name": "Fraud", "nearest": None, "similarity": None}
    for at in range(COUNT):
        judge(plain_stream, f"post-{at}", at, outcome="unsafe", category=fraud)
    rounds.reviews(reviewed([each.post_id for each in posts], Decision.REJECT, None))
    produce(plain_stream.config, plain_stream.topics.verdicts, [(b"post-0", None)])
    made = rounds.run()
    run = registry_in(tmp_path / "registry").run(made["run"])
    facts = run.finished(Step.SNAPSHOT).facts
    assert (facts["hits"], facts["overturned"], facts["labelled"]) == (0, COUNT - 1, COUNT - 1)
    run.fetch(Step.DATASET, tmp_path / "dataset")
    lines = [line for side in ("train", "held_out") for line in (tmp_path / "dataset" / f"{side}.jsonl").open()]
    rows = {row["id"]: row for row in map(json.loads, lines)}
    taught = [rows[f"post-{at}"] for at in range(COUNT) if f"post-{at}" in rows]
    assert len(taught) == COUNT - 1
    assert {row["request_label"] for row in taught} == {"safe"}
    again = rounds.run()
    assert (again["end"], again["run"]) == (made["end"], made["run"]), "nothing is new"
