"""A review of a cluster labels the posts that it names; undone, it says nothing."""

from datetime import timedelta

from proguard_core.evaluation.rows import Problems
from proguard_core.policy.loader import load_policy
from schemas.review import Decision, Review
from tests.support.risks import NOW, hit
from worker.retraining import labels
from worker.retraining.snapshot import Snapshot

POLICY = load_policy(None)
HITS = [hit(number) for number in range(4)]


def review(number: int, **changed: object) -> Review:
    said: dict[str, object] = {
        "review_id": f"review-{number}",
        "cluster": "R1",
        "decision": Decision.CONFIRM,
        "name": "Ticket touting",
        "posts": ["post-0", "post-1", "post-2"],
        "reviewer": "ada",
        "reviewed_at": NOW + timedelta(minutes=number),
    }
    return Review.model_validate(said | changed)


def labelled(*reviews: Review) -> int:
    return labels.newly_labelled(Snapshot(HITS, reviews), POLICY, Problems())


def test_members_of_a_reviewed_cluster_are_labelled() -> None:
    assert labelled(review(1)) == 3
    assert labelled(review(1), review(2, posts=["post-3"], reviewer="ben")) == 4


def test_an_undone_review_says_nothing() -> None:
    assert labelled(review(1), review(2, undoes="review-1", reviewer="ben")) == 0


def test_a_review_of_a_post_outdoes_its_clusters() -> None:
    alone = review(2, cluster=None, post="post-1", posts=[], decision=Decision.REJECT, name=None)
    parted = labels.part(Snapshot(HITS, [review(1), alone]), POLICY, 0.4, Problems())
    items = {item.row.id: item.row for item in [*parted.train, *parted.gate]}
    assert not items["post-1"].unsafe
    assert items["post-0"].ood_name == "Ticket touting"
