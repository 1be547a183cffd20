"""However posts start and revisions change: in the order of offsets, a partition's revision changes once a swap."""

from itertools import groupby

from hypothesis import given
from hypothesis import strategies as st

from worker.moderation.revision_order import RevisionOrder


def test_late_posts_are_judged_as_their_neighbours_were_and_partitions_know_nothing_of_each_other() -> None:
    order = RevisionOrder()
    assert [order.wanted(("posts", 0, offset), "r1") for offset in (0, 3)] == ["r1", "r1"]
    assert order.wanted(("posts", 1, 0), "r2") == "r2"
    assert [order.wanted(("posts", 0, offset), "r2") for offset in (1, 2, 4)] == ["r1", "r1", "r2"]


def test_a_second_change_has_a_second_bound() -> None:
    order = RevisionOrder()
    assert order.wanted(("posts", 0, 5), "r1") == "r1"
    assert order.wanted(("posts", 0, 9), "r2") == "r2"
    assert [order.wanted(("posts", 0, offset), "r3") for offset in (2, 7, 10)] == ["r1", "r2", "r3"]


def test_a_partition_that_comes_back_is_judged_by_what_is_in_force() -> None:
    """Whoever had it meanwhile may have swapped sooner: the old revision would come up again behind the new one."""
    order = RevisionOrder()
    assert order.wanted(("posts", 0, 10), "r1", 1) == "r1"
    assert order.wanted(("posts", 1, 10), "r1", 2) == "r1"
    assert order.wanted(("posts", 0, 11), "r2", 1) == "r2"
    assert [order.wanted(("posts", 0, offset), "r2", 3) for offset in (8, 9, 12)] == ["r2"] * 3
    assert order.wanted(("posts", 0, 9), "r2", 1) == "r2"  # of the old assignment: nobody waits for it
    assert order.wanted(("posts", 1, 9), "r2", 2) == "r1"
    assert [order.wanted(("posts", 0, offset), "r3", 3) for offset in (11, 13)] == ["r2", "r3"]


@given(st.permutations(range(12)), st.integers(0, 12))
def test_one_change_is_seen_once(starts: list[int], changed_after: int) -> None:
    order = RevisionOrder()
    judged = {
        offset: order.wanted(("posts", 0, offset), "r1" if at < changed_after else "r2")
        for at, offset in enumerate(starts)
    }
    seen = [revision for revision, _ in groupby(judged[offset] for offset in sorted(judged))]
    assert seen in (["r1"], ["r2"], ["r1", "r2"])
