"""The one thread that talks to Kafka: poll, hand posts to the pipeline, collect outcomes, publish, commit.

No call in here waits for inference, and none blocks longer than a slice, so that the group never loses this worker.
"""

import logging
import time
from collections.abc import Callable, Iterable, Sequence
from typing import Protocol

from confluent_kafka import TIMESTAMP_NOT_AVAILABLE, Message, TopicPartition

from schemas.common import DeadLetterReason, Stage
from worker.moderation.backpressure import Backpressure
from worker.moderation.breaker import Breaker
from worker.moderation.decode import LARGE_POST_BYTES, NotAPost, decode, parsed_bytes
from worker.moderation.group_view import GroupView
from worker.moderation.outcome import Headers, OutcomeWriter, pairs
from worker.moderation.partitions import NOTHING, Outcome, PartitionTrack, Slot, record_bytes
from worker.moderation.pipeline import Work
from worker.moderation.progress import Progress
from worker.moderation.publisher import SLICE_S, Publisher
from worker.moderation.source import Records
from worker.settings import Settings
from worker.telemetry.telemetry import Telemetry

log = logging.getLogger(__name__)

_POLL_RECORDS = 500
# With work under way the loop comes round often, so that an outcome does not wait for the end of a long poll.
_BUSY_POLL_S = 0.005
# So many posts keep any guard busy (twice what it takes at once, if that is more); beyond them records trickle in, up
# to kafka.max_posts. More at once would only fall out of the processor's caches.
_ENOUGH_POSTS = 1024
_FULL_S = 0.002
# With no answer for so long the guard is slow or down, and there is no hurry.
_QUIET_S = 0.5


class Judging(Protocol):
    """The pipeline's thread, as the stream sees it."""

    def submit(self, works: Sequence[Work]) -> None:
        """Hand posts over."""
        ...

    def collect(self) -> list[tuple[object, Outcome]]:
        """What is done since the last call; raises if the pipeline broke."""
        ...

    @property
    def fetching(self) -> int:
        """Posts that wait for their pictures."""
        ...


class Stream:
    """Owns the partitions. Also the listener of the source's rebalances, which run inside poll()."""

    def __init__(
        self,
        settings: Settings,
        publisher: Publisher,
        judging: Judging,
        writer: OutcomeWriter,
        progress: Progress,
        clock: Callable[[], float] = time.monotonic,
        telemetry: Telemetry | None = None,
    ) -> None:
        self._settings = settings
        self._publisher = publisher
        self._judging = judging
        self._writer = writer
        self._progress = progress
        self._clock = clock
        self._telemetry = telemetry or Telemetry()
        self.group: GroupView | None = None
        self._breaker = Breaker(settings.breaker)
        batching = settings.batching
        self._enough = max(_ENOUGH_POSTS, 2 * batching.in_flight * batching.max_posts)
        self._backpressure = Backpressure(settings.kafka.max_posts, settings.kafka.max_bytes)
        self._skip = {_coordinates(entry) for entry in settings.kafka.skip}
        self._tracks: dict[tuple[str, int], PartitionTrack] = {}
        self._incarnations = 0
        self._source: Records | None = None
        self._drain_until: float | None = None
        self._leave_now = False
        self._answered_at = clock()

    def stop(self) -> None:
        """First call: finish what is under way, up to kafka.drain_timeout_ms. Second: leave at once. Signal-safe."""
        if self._drain_until is not None:
            self._leave_now = True
        else:
            self._drain_until = self._clock() + self._settings.kafka.drain_timeout_ms / 1000

    def run(self, source: Records) -> None:
        """Until stopped. Raises WorkerError when going on is pointless, and whatever broke the pipeline."""
        self._source = source
        try:
            while not self._may_leave():
                self.turn(source)
        except BaseException:
            self._close(list(self._tracks.values()))  # what broke must not be gone on with while leaving
            raise
        finally:
            source.close()
            self._publisher.close()
            self._progress.say(self._tracks.values(), self._publisher.unconfirmed, final=True)

    def turn(self, source: Records) -> None:
        """Once around."""
        self._telemetry.health.stream.beat()
        self._admit(self._poll(source))
        self._collect()
        self._publish(self._tracks.values())
        self._publisher.step(commit_now=self._drain_until is not None)
        self._balance(source)
        self._progress.tick(self._tracks.values(), self._publisher.unconfirmed, self._breaker.tripped, source.stopped)
        if self.group is not None:
            self.group.tick(self._tracks.values())

    def _poll(self, source: Records) -> list[Message]:
        unanswered = held = 0
        for track in self._tracks.values():
            unanswered += track.unanswered
            held += track.held_posts
        began = self._clock()
        if unanswered - self._judging.fetching >= self._enough:
            # The judging thread has its hands full: leave it Python's lock. One record is asked for all the same, since
            # this serves rebalances; pausing would throw prefetched records away, to be fetched again and again. Posts
            # that wait for S3, or are answered and wait for the head of their partition, are no work: backpressure
            # alone bounds those, so that text flows beside an S3 that is down.
            time.sleep(_FULL_S if self._clock() - self._answered_at < _QUIET_S else SLICE_S)
            messages = source.poll(1, 0)
        else:
            busy = unanswered or self._publisher.unconfirmed
            room = max(1, self._settings.kafka.max_posts - held)  # one in any case: this serves rebalances
            messages = source.poll(min(_POLL_RECORDS, room), _BUSY_POLL_S if busy else SLICE_S)
        if messages:
            self._telemetry.consumed += len(messages)
            self._telemetry.poll_duration(self._clock() - began)
            kind, milliseconds = messages[0].timestamp()
            if kind != TIMESTAMP_NOT_AVAILABLE:
                self._telemetry.receipt_age(max(0.0, time.time() - milliseconds / 1000))
        return messages

    def assigned(self, partitions: Sequence[TopicPartition]) -> bool:
        """See AssignmentListener."""
        paused = self._backpressure.pressed or self._halted
        for partition in partitions:
            self._incarnations += 1
            track = PartitionTrack(partition.topic, partition.partition, self._incarnations, paused=paused)
            self._tracks[track.key] = track
        self._telemetry.rebalances["assigned"] += 1
        log.info("assigned: %s", _names(partitions))
        return paused

    def revoked(self, partitions: Sequence[TopicPartition]) -> None:
        """See AssignmentListener: commit what is finished, drop the rest, which the next owner judges."""
        tracks = self._of(partitions)
        self._collect()
        self._publish(tracks)
        self._publisher.finish(tracks, self._clock() + self._settings.kafka.revoke_timeout_ms / 1000)
        self._close(tracks)
        self._telemetry.rebalances["revoked"] += 1
        log.info("revoked: %s", _names(partitions))

    def lost(self, partitions: Sequence[TopicPartition]) -> None:
        """See AssignmentListener: commit nothing."""
        self._close(self._of(partitions))
        self._telemetry.rebalances["lost"] += 1
        log.warning("lost: %s", _names(partitions))

    def starts_at(self, partition: TopicPartition) -> None:
        """See AssignmentListener: a record before the first, already answered by nothing, carries the offset."""
        track = self._tracks.get((partition.topic, partition.partition))
        if track is None:
            return
        if track.last_delivered >= 0:  # the log was cut or made anew below what we had read: begin as if just assigned
            self._close([track])
            self._incarnations += 1
            track = PartitionTrack(partition.topic, partition.partition, self._incarnations, paused=track.paused)
            self._tracks[track.key] = track
        if (slot := track.deliver(partition.offset - 1, 0)) is not None:
            track.finish(slot, NOTHING)

    @property
    def _halted(self) -> bool:
        return self._drain_until is not None or self._breaker.tripped is not None

    def _may_leave(self) -> bool:
        if self._drain_until is None:
            return False
        if self._leave_now or self._clock() >= self._drain_until:
            return True
        waiting = self._breaker.tripped is None and any(track.unfinished for track in self._tracks.values())
        return not waiting and self._publisher.unconfirmed == 0

    @property
    def tracks(self) -> list[PartitionTrack]:
        """The partitions that are ours; may be read from any thread."""
        return list(self._tracks.values())

    @property
    def tripped(self) -> str | None:
        """Why the breaker holds the stream."""
        return self._breaker.tripped

    @property
    def draining(self) -> bool:
        """Whether a signal to stop came."""
        return self._drain_until is not None

    def _of(self, partitions: Sequence[TopicPartition]) -> list[PartitionTrack]:
        keys = ((partition.topic, partition.partition) for partition in partitions)
        return [self._tracks[key] for key in keys if key in self._tracks]

    def _close(self, tracks: Sequence[PartitionTrack]) -> None:
        for track in tracks:
            track.close()
            del self._tracks[track.key]
        self._publisher.drop(tracks)

    def _admit(self, messages: Sequence[Message]) -> None:
        if not messages or self._drain_until is not None:  # what comes while draining is the next owner's
            return
        received = self._clock()
        works: list[Work] = []
        for message in messages:
            track = self._tracks.get((message.topic() or "", message.partition() or 0))
            offset = message.offset()
            if track is None or offset is None:
                continue
            record = _Record(message)
            slot = track.deliver(offset, record.size)
            if slot is None:
                continue
            outcome = self._interpret(record, slot, received, works)
            if outcome is not None:
                track.finish(slot, outcome)
        if works:
            self._judging.submit(works)

    def _interpret(self, record: "_Record", slot: Slot, received: float, works: list[Work]) -> Outcome | None:
        """The outcome of what is no post; a post is added to works."""
        if record.value is None and record.key is not None:
            self._progress.erasures += 1
            self._telemetry.erasures += 1
            return self._writer.erased(record.key)
        try:
            if record.value is None:
                raise NotAPost(Stage.ERASE, DeadLetterReason.NULL_KEY_AND_VALUE, "neither key nor value")
            post = decode(record.value)
            if len(record.value) > LARGE_POST_BYTES or post.images or post.__pydantic_extra__ or post.context:
                slot.track.charge(slot, parsed_bytes(record.value, post))
        except NotAPost as why:
            return self._dead_letter(record, slot, received, why)
        track, coordinates = slot.track, slot.coordinates
        skipped = bool(self._skip) and coordinates in self._skip
        work = Work(slot, coordinates, post, record.headers, received, track.is_closed, skipped, track.incarnation)
        if record.headers and self._telemetry.tracer is not None:
            work.trace = self._telemetry.tracer.receive(record.pairs, coordinates, received)
        works.append(work)
        return None

    def _dead_letter(self, record: "_Record", slot: Slot, received: float, why: NotAPost) -> Outcome:
        self._progress.dead_letters[why.reason] += 1
        self._telemetry.dead_letters[why.stage.value, why.reason.value] += 1
        if record.headers and self._telemetry.tracer is not None:
            self._telemetry.tracer.refused(record.pairs, slot.coordinates, received, why.reason.value)
        outcome = self._writer.dead_letter(slot.coordinates, record.key, record.value, record.headers, why)
        if slot.coordinates in self._skip:
            outcome.failure = False  # the operator knows of it: no news for the breaker
        return outcome

    def _collect(self) -> None:
        judged = 0
        for token, outcome in self._judging.collect():
            assert isinstance(token, Slot)
            track = token.track
            if not track.closed:  # an older incarnation's result is nobody's
                track.finish(token, outcome)
                judged += 1
        if judged:
            self._progress.judged += judged
            self._answered_at = self._clock()

    def _publish(self, tracks: Iterable[PartitionTrack]) -> None:
        admits, add = self._breaker.admits, self._publisher.add
        for track in tracks:
            key = track.key
            for slot, outcome in track.finished_prefix():
                if not admits(key, outcome.failure):
                    return
                add(slot)

    def _balance(self, source: Records) -> None:
        if self._halted:
            pause = [track for track in self._tracks.values() if not track.paused]
            for track in pause:
                track.paused = True
            resume: list[PartitionTrack] = []
        else:
            pause, resume = self._backpressure.changes(self._tracks.values())
        if pause:
            source.pause([TopicPartition(*track.key) for track in pause])
        if resume:
            source.resume([TopicPartition(*track.key) for track in resume])


class _Record:
    """What a message holds, asked of the client once."""

    __slots__ = ("headers", "key", "value")

    def __init__(self, message: Message) -> None:
        key, value = message.key(), message.value()
        self.key = key.encode() if isinstance(key, str) else key
        self.value = value.encode() if isinstance(value, str) else value
        self.headers = _headers(message)

    @property
    def size(self) -> int:
        """What it weighs in memory."""
        return record_bytes(self.key, self.value, self.pairs if self.headers else ())

    @property
    def pairs(self) -> list[tuple[str, str | bytes | None]]:
        """The headers in order."""
        return pairs(self.headers)


def _headers(message: Message) -> Headers:
    """None where a header's name is not UTF-8: the client cannot say it, and asking twice gives a broken list."""
    try:
        return message.headers()
    except (SystemError, UnicodeDecodeError):
        log.warning("headers of %s[%s]@%s cannot be read", message.topic(), message.partition(), message.offset())
        return None


def _names(partitions: Sequence[TopicPartition]) -> str:
    return ", ".join(f"{partition.topic}[{partition.partition}]" for partition in partitions)


def _coordinates(entry: str) -> tuple[str, int, int]:
    topic, partition, offset = entry.rsplit(":", 2)
    return topic, int(partition), int(offset)
