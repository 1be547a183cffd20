"""Law 3: memory is bounded, no partition starves another, and pauses come once a change."""

from hypothesis import given
from hypothesis import strategies as st

from worker.moderation.backpressure import Backpressure
from worker.moderation.partitions import PartitionTrack

CAP = 100
FAR = 10**9


def tracks(*posts: int) -> list[PartitionTrack]:
    return [PartitionTrack("posts", number, 1, held_posts=held, held_bytes=held) for number, held in enumerate(posts)]


def settle(backpressure: Backpressure, owned: list[PartitionTrack]) -> set[int]:
    backpressure.changes(owned)
    return {track.partition for track in owned if track.paused}


def test_the_greedy_pause_and_who_is_below_its_share_flows() -> None:
    backpressure, owned = Backpressure(CAP, FAR), tracks(90, 3, 0, 0)
    assert settle(backpressure, owned) == {0}
    assert backpressure.pressed


def test_without_pressure_one_may_borrow_all_that_is_left() -> None:
    backpressure = Backpressure(CAP, FAR)
    assert settle(backpressure, tracks(60, 0, 0, 0)) == set()
    assert not backpressure.pressed


def test_bytes_count_as_posts_do() -> None:
    owned = tracks(1, 0)
    owned[0].held_bytes = CAP
    assert settle(Backpressure(FAR, CAP), owned) == {0}


def test_resumes_at_the_low_watermark_and_says_each_change_once() -> None:
    backpressure, owned = Backpressure(CAP, FAR), tracks(90, 0)
    assert backpressure.changes(owned) == ([owned[0]], [])
    assert backpressure.changes(owned) == ([], [])
    owned[0].held_posts = 60  # 35 borrowed of 50: above the low watermark
    assert backpressure.changes(owned) == ([], [])
    owned[0].held_posts = 40
    assert backpressure.changes(owned) == ([], [owned[0]])
    assert backpressure.changes(owned) == ([], [])


def test_no_partition_no_pressure() -> None:
    assert Backpressure(CAP, FAR).changes([]) == ([], [])


MOVES = st.lists(st.tuples(st.integers(0, 3), st.integers(1, 20), st.booleans()), max_size=200)


@given(MOVES, st.integers(1, 4))
def test_the_bound_holds_whoever_sends_how_much(moves: list[tuple[int, int, bool]], count: int) -> None:
    """Arrivals only where it flows; a fetch of `amount` may overshoot by itself, once a partition."""
    backpressure, owned, largest = Backpressure(CAP, FAR), tracks(*[0] * count), 20
    for number, amount, arrives in moves:
        track = owned[number % count]
        if arrives and not track.paused:
            track.held_posts += amount
        elif not arrives:
            track.held_posts = max(0, track.held_posts - amount)
        before = {id(found): found.paused for found in owned}
        pause, resume = backpressure.changes(owned)
        assert all(not before[id(found)] and found.paused for found in pause)
        assert all(before[id(found)] and not found.paused for found in resume)
        share = CAP / 2 / count
        assert all(found.held_posts >= share for found in pause)
        assert sum(found.held_posts for found in owned) <= CAP + count * largest
    for track in owned:
        track.held_posts = 0
    assert settle(backpressure, owned) == set()
