"""What a round reads of erasures on a real broker: those before its snapshot, those since, and all of them."""

from datetime import timedelta

from tests.support.rounds import Rounds, confirmations, novel_hits
from tests.support.streams import StreamUnderTest
from tests.support.topics import produce
from worker.retraining.snapshot import Topics
from worker.settings import load


def erase(stream: StreamUnderTest, *post_ids: str) -> None:
    produce(stream.config, stream.topics.retraining, [(each.encode(), None) for each in post_ids])


def test_what_was_erased_before_a_snapshot_since_and_ever(plain_stream: StreamUnderTest) -> None:
    """post-2 was written again behind its erasure; the others stay erased."""
    rounds = Rounds(plain_stream, "none", "http://127.0.0.1:1", settings={"registry": "none"})
    topics = Topics(load(None, rounds.tables()))
    hits = novel_hits(5)
    rounds.hits(hits)
    rounds.reviews(confirmations(hits, "ada"))
    erase(plain_stream, "post-1", "post-2", "of another topic's post")
    again = hits[2].model_copy(update={"observed_at": hits[2].observed_at + timedelta(hours=1)})
    rounds.hits([again])
    found = topics.snapshot()
    assert sorted(each.post_id for each in found.hits) == ["post-0", "post-2", "post-3", "post-4"]
    assert len(found.reviews) == 5
    assert found.old_hits == frozenset()
    assert topics.erased_since(found.ends) == frozenset()
    erase(plain_stream, "post-3")
    assert topics.erased_since(found.ends) == {"post-3"}
    assert topics.erased_since({}) == {"post-1", "post-2", "post-3", "of another topic's post"}
    topics.commit(found.ends)
    later = topics.snapshot()
    assert later.old_hits >= {"post-0", "post-2", "post-4"}
    assert len(later.old_reviews) == 5
    assert "post-3" not in {each.post_id for each in later.hits}
