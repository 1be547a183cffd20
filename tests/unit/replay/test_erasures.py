"""Whether a post was erased after it was written; where the order cannot be known, it was."""

import time
from collections.abc import Sequence

from schemas.post import Post
from worker.moderation.partitions import Outcome
from worker.moderation.pipeline import Work
from worker.replay.erasures import Erasures, WithoutErased

OUTCOME = Outcome((("verdicts", b"k", b"{}", []),))


def erasures(*places: tuple[str, int, int]) -> Erasures:
    made = Erasures()
    for key, partition, offset in places:
        made.note(key.encode(), partition, offset)
    return made


def test_a_later_erasure_covers_what_was_before_it_in_its_partition() -> None:
    erased = erasures(("a", 1, 10))
    assert erased.covers("a", 1, 9)
    assert not erased.covers("a", 1, 11)
    assert not erased.covers("b", 1, 9)


def test_the_last_one_counts() -> None:
    erased = erasures(("a", 1, 10), ("a", 1, 20))
    assert erased.covers("a", 1, 15)
    assert len(erased) == 1


def test_in_another_partition_the_order_is_not_known() -> None:
    assert erasures(("a", 1, 10)).covers("a", 0, 500)
    for places in ((("a", 1, 10), ("a", 2, 3)), (("a", 1, 10), ("a", 2, 3), ("a", 1, 11))):
        assert erasures(*places).covers("a", 1, 500)
        assert erasures(*places).covers("a", 2, 500)


class Judging:
    """Answers at once."""

    def __init__(self) -> None:
        self.asked: list[object] = []

    def submit(self, works: Sequence[Work]) -> None:
        self.asked += [work.token for work in works]

    def collect(self) -> list[tuple[object, Outcome]]:
        return [(token, OUTCOME) for token in self.asked]

    @property
    def fetching(self) -> int:
        return 0


def work(token: str, offset: int) -> Work:
    source = ("posts", 0, offset)
    return Work(token, source, Post(post_id=token, text="x"), None, time.monotonic(), cancelled=lambda: False)


def erased(key: bytes) -> Outcome:
    return Outcome((("verdicts", key, None, []),))


def test_erased_posts_never_reach_the_guard_and_are_answered_by_their_erasure() -> None:
    inner = Judging()
    judging = WithoutErased(inner, erasures(("a", 0, 10)), erased)
    judging.submit([work("a", 5), work("b", 6)])
    assert inner.asked == ["b"]
    assert judging.collect() == [("b", OUTCOME), ("a", erased(b"a"))]
    assert judging.collect() == [("b", OUTCOME)]
    assert judging.left_out == 1
