"""Posts that people reviewed though they are no hits: their verdicts and, from where these say, the posts themselves.

The verdicts topic is compacted by post, so it also tells which of them were erased: those have no verdict any more.
"""

from collections import defaultdict
from collections.abc import Collection, Iterable, Iterator, Mapping

from confluent_kafka import Consumer, Message
from pydantic import ValidationError

from proguard_core.dataset.reviews import standing
from proguard_core.dataset.stream import JudgedPost, is_withheld
from proguard_core.evaluation.rows import Problems
from schemas.post import Post
from schemas.review import Review
from schemas.verdict import Verdict
from worker.errors import ConfigurationError
from worker.partitions import partitions_of, watermarks
from worker.replay.erasures import Erasures
from worker.replay.ranges import Range, since
from worker.replay.reader import read
from worker.settings import Settings

NO_VERDICT = "a reviewed post without a verdict in retraining.overturned_days: erased, expired or unknown (left out)"
EXPIRED = "a reviewed post whose record has expired (left out)"
ELSEWHERE = "a reviewed post that was judged from another topic (left out)"
EDITED = "a reviewed post that was written again since its review (left out)"
_DAY_S = 86_400


def overturnable(
    consumer: Consumer,
    settings: Settings,
    reviews: Iterable[Review],
    hits: Collection[str],
    problems: Problems,
    now: float,
) -> list[JudgedPost]:
    """Reviewed posts that are none of the hits, with their latest verdicts. Why others are missing is counted.

    Reads the verdicts of `retraining.overturned_days` once, and only where there is such a review of that time; then
    one record a post. now: seconds since the epoch. Call it behind the reading of hits: an erasure that comes later is
    seen there. Raises ConfigurationError where posts or verdicts cannot be read.
    """
    days, topic = settings.retraining.overturned_days, settings.topics.posts
    if days == 0:
        return []
    _check(consumer, topic, settings.topics.verdicts)
    begin = now - days * _DAY_S
    ordered = sorted(standing(reviews), key=lambda each: each.reviewed_at)
    recent = [each for each in ordered if each.reviewed_at.timestamp() >= begin]
    reviewed = {each.post: each.reviewed_at for each in recent if each.post is not None and each.post not in hits}
    if not reviewed:
        return []
    ranges = since(consumer, settings.topics.verdicts, int(begin * 1000))
    verdicts = _verdicts(read(consumer, settings.topics.verdicts, ranges), reviewed)
    # What was judged later than it was reviewed may be another text than people saw.
    same = [each for each in verdicts.values() if each.judged_at <= reviewed[each.post_id]]
    here = [each for each in same if each.source.topic == topic]
    found = []
    for post_id, (post, written_ms) in _posts(consumer, topic, here).items():
        if written_ms <= reviewed[post_id].timestamp() * 1000:
            found.append(JudgedPost(post=post, verdict=verdicts[post_id]))
    missing = {NO_VERDICT: len(reviewed) - len(verdicts), EDITED: len(verdicts) - len(same)}
    missing |= {ELSEWHERE: len(same) - len(here), EXPIRED: len(here) - len(found)}
    for kind, count in missing.items():
        for _ in range(count):
            problems.count(kind)
    return found


def _check(consumer: Consumer, *topics: str) -> None:
    """At every round, so that a right that is missing is not first missed when it is needed."""
    for topic in topics:
        try:
            partitions_of(consumer, topic)
        except ConfigurationError as error:
            raise ConfigurationError(f"{error}; retraining.overturned_days = 0 does without it") from None


def _verdicts(messages: Iterable[Message], wanted: Collection[str]) -> dict[str, Verdict]:
    """The latest verdict of each post; none where an erasure came behind it.

    One that kept the post from everybody (law 11) stays, whatever a later guard says of it.
    """
    keys = {post_id.encode(): post_id for post_id in wanted}
    found: dict[str, tuple[int, int, Verdict]] = {}
    erasures = Erasures()
    for message in messages:
        key, value = message.key(), message.value()
        post_id = keys.get(key) if isinstance(key, bytes) else None
        if post_id is None:
            continue
        place = message.partition() or 0, message.offset() or 0
        if value is None:
            erasures.note(post_id.encode(), *place)
            continue
        earlier = found.get(post_id)
        if earlier is not None and is_withheld(earlier[2]):
            continue
        try:
            verdict = Verdict.model_validate_json(value)
        except ValidationError:
            found.pop(post_id, None)
            continue
        if verdict.post_id == post_id:
            found[post_id] = (*place, verdict)
    return {post_id: verdict for post_id, (*place, verdict) in found.items() if not erasures.covers(post_id, *place)}


def _posts(consumer: Consumer, topic: str, verdicts: Iterable[Verdict]) -> dict[str, tuple[Post, int]]:
    """The posts that the verdicts name, and when their records were written (ms); of each partition one at a time."""
    places: dict[int, dict[int, Verdict]] = defaultdict(dict)
    for verdict in verdicts:
        places[verdict.source.partition][verdict.source.offset] = verdict
    there = set(places).intersection(partitions_of(consumer, topic))
    bounds = {partition: watermarks(consumer, topic, partition) for partition in there}
    waiting = {
        partition: sorted(offset for offset in places[partition] if low <= offset < high)
        for partition, (low, high) in bounds.items()
    }
    found = {}
    for ranges in _steps(waiting):
        for message in read(consumer, topic, ranges):
            verdict = places[message.partition() or 0][message.offset() or 0]
            try:
                post = Post.model_validate_json(message.value() or b"")
            except ValidationError:
                continue
            if post.post_id == verdict.post_id:
                found[post.post_id] = (post, message.timestamp()[1])
    return dict(sorted(found.items()))


def _steps(waiting: Mapping[int, list[int]]) -> Iterator[list[Range]]:
    for at in range(max(map(len, waiting.values()), default=0)):
        yield [Range(partition, some[at], some[at] + 1) for partition, some in waiting.items() if at < len(some)]
