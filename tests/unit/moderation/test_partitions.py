"""Law 2: offsets only for the contiguous finished prefix. Law 4: incarnations. Law 3: what is held is counted."""

from hypothesis import given
from hypothesis import strategies as st

from worker.moderation.partitions import NOTHING, Outcome, PartitionTrack, Slot
from worker.moderation.publisher import next_offsets

ANSWER = Outcome((("verdicts", b"k", b"12345", []),))


def track_with(offsets: list[int]) -> tuple[PartitionTrack, list[Slot]]:
    track = PartitionTrack("posts", 0, 1)
    slots = [slot for offset in offsets if (slot := track.deliver(offset, 100)) is not None]
    return track, slots


def leave(track: PartitionTrack) -> list[int]:
    return [slot.offset for slot, _outcome in track.finished_prefix()]


@given(st.lists(st.integers(0, 1000), unique=True, min_size=1).map(sorted), st.randoms())
def test_law_2_finished_in_any_order_they_leave_in_order_whatever_the_gaps(offsets: list[int], random: object) -> None:
    track, slots = track_with(offsets)
    left: list[int] = []
    for slot in sorted(slots, key=lambda _slot: random.random()):  # type: ignore[attr-defined]
        track.finish(slot, ANSWER)
        left += leave(track)
        unfinished = [other.offset for other in slots if other.outcome is None]
        assert left == [offset for offset in offsets if not unfinished or offset < min(unfinished)]
        assert track.unfinished == len(offsets) - len(left)
    assert left == offsets


def test_law_1_a_record_delivered_again_has_no_second_place() -> None:
    track, _slots = track_with([3, 7])
    assert track.deliver(7, 1) is None
    assert track.deliver(5, 1) is None
    assert track.held_posts == 2


def test_a_slot_whose_consumer_stopped_is_not_lost() -> None:
    """The breaker stops in the middle of a prefix: what it refused stays at the front."""
    track, slots = track_with([0, 1])
    for slot in slots:
        track.finish(slot, ANSWER)
    for slot, _outcome in track.finished_prefix():
        assert slot.offset == 0
        break
    assert leave(track) == [0, 1]


@given(st.lists(st.integers(0, 9), max_size=20))
def test_law_3_nothing_is_held_after_the_last_confirmation(sizes: list[int]) -> None:
    track = PartitionTrack("posts", 0, 1)
    slots = [slot for offset, size in enumerate(sizes) if (slot := track.deliver(offset, size)) is not None]
    assert (track.held_posts, track.held_bytes) == (len(sizes), sum(sizes))
    for slot in slots:
        track.finish(slot, ANSWER)
    assert track.held_bytes == 6 * len(sizes)
    for slot, _outcome in list(track.finished_prefix()):
        assert track.held_posts > 0
        track.confirm(slot)
    assert (track.held_posts, track.held_bytes) == (0, 0)


def test_law_4_a_closed_partition_owes_nothing() -> None:
    track, slots = track_with([0, 1])
    track.finish(slots[0], ANSWER)
    track.close()
    assert leave(track) == []
    assert track.unfinished == 0
    track.finish(slots[1], ANSWER)  # a result that comes too late hurts nobody
    assert leave(track) == []


def test_law_3_what_parsing_takes_is_held_until_the_answer() -> None:
    track = PartitionTrack("posts", 0, 1)
    slot = track.deliver(0, 10)
    assert slot is not None
    track.charge(slot, 500)
    assert track.held_bytes == 510
    track.finish(slot, NOTHING)
    assert track.held_bytes == 0


def test_sizes_and_coordinates() -> None:
    erasure = Outcome((("verdicts", b"k", None, []), ("risks", b"k", b"abc", [])))
    assert (NOTHING.size, erasure.size) == (0, 5)
    track, slots = track_with([4])
    assert (track.key, slots[0].coordinates) == (("posts", 0), ("posts", 0, 4))


def test_law_3_keys_and_headers_weigh_too() -> None:
    headers: list[tuple[str, str | bytes | None]] = [("name", b"12345"), ("none", None)]
    assert Outcome((("verdicts", b"k" * 100, None, headers),)).size == 113


def test_law_1_the_place_before_the_first_record_can_be_committed() -> None:
    track = PartitionTrack("posts", 0, 1)
    slot = track.deliver(-1, 0)
    assert slot is not None
    assert next_offsets([slot])[0].offset == 0
    assert track.deliver(-1, 0) is None
    assert track.deliver(0, 1) is not None
