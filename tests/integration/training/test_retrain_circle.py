"""The loop on a real broker and a real S3: novel posts, reviews, retraining killed and resumed, swap, rollback."""

from pathlib import Path

import pytest

from tests.support.circle import Circle, circle_on
from tests.support.s3_server import S3Server
from tests.support.streams import StreamUnderTest
from tests.support.topics import committed
from worker.local import emerging

CATEGORY = emerging.category()
STEPS = ("snapshot", "dataset", "train", "evaluate", "gate")


@pytest.fixture
def circle(plain_stream: StreamUnderTest, s3: S3Server, bucket: str, tmp_path: Path) -> Circle:
    return circle_on(plain_stream, s3, bucket, tmp_path)


def noted(circle: Circle) -> dict[tuple[str, int], int]:
    topics = (circle.stream.topics.retraining, circle.stream.topics.reviews)
    return committed(circle.stream.config, circle.sections["retraining"]["group_id"], topics)


@pytest.mark.timeout(600)
def test_novel_posts_become_a_category_that_the_running_worker_serves(circle: Circle) -> None:
    with circle.stream.worker(0, **circle.sections):
        before = circle.judged("early", emerging.texts(emerging.POSTS, 150, 1))
        assert not any(each["category"].get("name") == CATEGORY.name for each in before)
        hits = [each["post_id"] for each in circle.read(circle.stream.topics.retraining)]
        assert len(hits) >= 50, "too few were found unsafe and novel"
        assert circle.retrain()[0]["end"] == "nothing to learn"  # nobody reviewed anything
        circle.review(hits, ["ada", "grace"], decision="confirm", name=CATEGORY.name)
        assert set(noted(circle).values()) == {-1001}
        for step in STEPS:
            circle.killed_after(step)
        (waits,) = circle.retrain()
        assert waits["end"] == "waits for a signature", waits
        assert len(circle.keys("/train.json")) == 1
        run, report = waits["run"], waits["report"]
        hits_topic = circle.stream.topics.retraining
        assert sum(at for (topic, _), at in noted(circle).items() if topic == hits_topic and at > 0) >= len(hits)
        circle.retrain("sign", run, "--by", "Ada", "--report", "0" * 64, code=1)
        circle.retrain("sign", run, "--by", "Ada", "--report", report)
        assert circle.retrain()[0] | {"said": ""} == {"end": "promoted", "run": run, "report": report, "said": ""}
        circle.until_served(run)
        after = circle.judged("late", emerging.texts(emerging.POSTS, 60, 99))
        named = [each for each in after if each["category"].get("name") == CATEGORY.name]
        assert len(named) >= 0.5 * len(after)
        assert all(each["guard"]["revision"].startswith(run) for each in after)
        assert circle.retrain()[0]["end"] == "nothing to learn"
        circle.retrain("rollback", "--by", "Ada", "--reason", "a test")
        champions = circle.retrain("history")
        assert [each["cause"] for each in champions] == ["rollback", "promotion", "release"]
        assert champions[1]["signed_by"] == ["Ada"]
        circle.until_served(champions[0]["revision"])
        assert circle.retrain()[0]["end"] == "nothing to learn"  # what was rolled back does not come back by itself
