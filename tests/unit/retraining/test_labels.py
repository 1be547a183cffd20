"""What a round counts as new, and what the gate keeps of a new category."""

from dataclasses import replace
from datetime import timedelta
from pathlib import Path

from proguard_core.dataset.stream import label_hits
from proguard_core.evaluation.rows import Problems
from proguard_core.novelty.novelty import Novelty
from schemas.review import Decision
from tests.unit.dataset.builders import BEGAN, POLICY, hit, judged, review
from worker.retraining import labels
from worker.retraining.snapshot import Snapshot, load

NAME = "Ghost gun kits"


def snapshot(count: int, *, authors: dict[int, str] | None = None, old: int = 0) -> Snapshot:
    """Posts a minute apart, each confirmed; the first `old` of them were learned from."""
    given = authors or {}
    hits = [
        hit(f"post-{at}", author=given.get(at, f"author-{at}")).model_copy(
            update={"observed_at": BEGAN + timedelta(minutes=at)}
        )
        for at in range(count)
    ]
    reviews = [review(each.post_id, Decision.CONFIRM, name=NAME) for each in hits]
    return Snapshot(
        hits,
        reviews,
        old_hits=frozenset(each.post_id for each in hits[:old]),
        old_reviews=frozenset(each.review_id for each in reviews[:old]),
    )


def test_only_labels_that_no_run_has_learned_are_new() -> None:
    found = snapshot(10, old=7)
    assert labels.newly_labelled(found, POLICY, Problems()) == 3
    changed = [*found.reviews, review("post-0", Decision.REJECT, hours=1)]
    again = Snapshot(found.hits, changed, {}, found.old_hits, found.old_reviews)
    assert labels.newly_labelled(again, POLICY, Problems()) == 4


def test_a_late_review_of_an_old_post_is_new() -> None:
    found = snapshot(5, old=5)
    unreviewed = Snapshot(found.hits, found.reviews, {}, found.old_hits, frozenset())
    assert labels.newly_labelled(unreviewed, POLICY, Problems()) == 5


def test_a_second_person_makes_a_name_new_again() -> None:
    found = snapshot(5, old=5)
    second = [*found.reviews, review("post-0", Decision.CONFIRM, "grace", 1, name=NAME)]
    again = Snapshot(found.hits, second, {}, found.old_hits, found.old_reviews)
    assert labels.newly_labelled(again, POLICY, Problems()) == 5
    known = replace(again, old_reviews=frozenset(each.review_id for each in second))
    third = replace(known, reviews=[*second, review("post-0", Decision.CONFIRM, "alan", 2, name=NAME)])
    assert labels.newly_labelled(third, POLICY, Problems()) == 0


def test_the_gate_keeps_the_latest_of_authors_of_their_own() -> None:
    problems = Problems()
    parted = labels.part(snapshot(10, authors={9: "author-0"}), POLICY, 0.4, problems)
    assert [item.row.id for item in parted.gate] == ["post-6", "post-7", "post-8"]
    assert [item.row.id for item in parted.train] == [f"post-{at}" for at in range(6)]
    assert problems.counts == {labels.KEPT_FOR_GATE: 3, labels.BETWEEN: 1}


def test_rejected_posts_are_all_learned_from_but_for_authors_of_the_gates_rows() -> None:
    found = snapshot(4, authors={0: "author-3"})
    reviews = [review("post-0", Decision.REJECT), review("post-1", Decision.REJECT), *found.reviews[2:]]
    parted = labels.part(Snapshot(found.hits, reviews), POLICY, 0.5, Problems())
    assert [item.row.id for item in parted.gate] == ["post-3"]
    assert [item.row.id for item in parted.train] == ["post-1", "post-2"]


def test_people_are_counted_by_name_however_it_is_written() -> None:
    said = [
        review("post-1", Decision.CONFIRM, name=NAME),
        review("post-2", Decision.CONFIRM, name=NAME.upper()),
        review("post-2", Decision.CONFIRM, reviewer="grace", name=NAME.upper()),
    ]
    assert labels.approvals(said, POLICY) == {NAME: 2}


def test_two_people_who_share_the_posts_are_two() -> None:
    said = [
        review("post-1", Decision.CONFIRM, name=NAME),
        review("post-2", Decision.CONFIRM, reviewer="grace", name=NAME),
    ]
    assert labels.approvals(said, POLICY) == {NAME: 2}
    assert labels.approvals(said[:1], POLICY) == {NAME: 1}
    same = said[1].model_copy(update={"reviewer": "Ada "})
    assert labels.approvals([said[0], same], POLICY) == {NAME: 1}


def test_who_called_it_something_else_did_not_approve_the_name_that_it_got() -> None:
    """Else one person could rename what another one confirmed, and two would stand behind it."""
    confirmed = review("post-1", Decision.CONFIRM, name="Illegal gambling rings")
    renamed = review("post-1", Decision.RENAME, "grace", 1, name=NAME)
    assert labels.approvals([confirmed, renamed], POLICY) == {NAME: 1}
    again = review("post-1", Decision.CONFIRM, hours=2, name=NAME.lower())
    assert labels.approvals([confirmed, renamed, again], POLICY) == {NAME: 2}


def test_names_near_to_minors_leave_no_trace() -> None:
    found = snapshot(2)
    reviews = [*found.reviews[:1], review("post-1", Decision.CONFIRM, name="Sexual images of children")]
    kept = labels.kept(Snapshot(found.hits, reviews), POLICY, Novelty(POLICY), Problems())
    assert [each.post_id for each in kept.hits] == ["post-0"]
    assert [each.post for each in kept.reviews] == ["post-0"]
    assert len(label_hits(kept.hits, kept.reviews, {}, POLICY, Problems()).items) == 1


def test_a_clusters_name_near_to_minors_leaves_none_either_where_a_post_of_it_has_a_review_of_its_own() -> None:
    found = snapshot(3)
    name = "Sexual images of children"
    cluster = review("cluster 1", Decision.CONFIRM, "grace", name=name, posts=["post-0", "post-1", "post-2"])
    told = review("cluster 2", Decision.MERGE, "grace", code="C11S1", posts=["post-0"])
    listed = review("cluster 3", Decision.CONFIRM, "grace", name="Weapons", posts=["post-0"])
    reviews = [found.reviews[0], cluster, told, listed]
    kept = labels.kept(Snapshot(found.hits, reviews), POLICY, Novelty(POLICY), Problems())
    assert [each.post_id for each in kept.hits] == ["post-0"]
    assert list(kept.reviews) == [found.reviews[0], listed]
    assert labels.approvals(kept.reviews, POLICY) == {NAME: 1}


def test_overturned_posts_are_new_once_and_kept_with_their_reviews() -> None:
    posts = [judged("missed"), judged("fine")]
    reviews = [review("missed", Decision.MERGE, code="C6S1"), review("fine", Decision.REJECT)]
    found = Snapshot([], reviews, judged=posts)
    assert labels.newly_labelled(found, POLICY, Problems()) == 1
    learned = replace(found, old_reviews=frozenset(each.review_id for each in reviews))
    assert labels.newly_labelled(learned, POLICY, Problems()) == 0
    kept = labels.kept(found, POLICY, Novelty(POLICY), Problems())
    assert [each.post.post_id for each in kept.judged] == ["missed"]
    assert [each.post for each in kept.reviews] == ["missed"]
    parted = labels.part(kept, POLICY, 0.4, Problems())
    assert [item.row.id for item in parted.train] == ["missed"]


def test_a_snapshot_is_read_as_it_was_written(tmp_path: Path) -> None:
    found = Snapshot([hit("a")], [review("a", Decision.REJECT)], judged=[judged("b")], crowds={"1": ["a"]})
    found.write(tmp_path)
    assert load(tmp_path) == found
