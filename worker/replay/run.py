"""`proguard replay`: a range of the posts topic judged again by the worker's own stream, into topics of its own.

At least once: offsets are noted in a group of the replay's own once the broker has acknowledged the outcomes. A run
that was cut off goes on from there, so a few outcomes may be there twice, with the same verdict_id.
"""

import asyncio
import logging
from dataclasses import dataclass, field
from datetime import datetime

from confluent_kafka import Consumer, KafkaException

from worker.commands.connection import connect
from worker.errors import ConfigurationError, WorkerError
from worker.moderation.judging import JudgingThread
from worker.moderation.objects import ObjectStore
from worker.moderation.poison import Journal
from worker.moderation.run import Stop, build_pipeline, make_guard, make_policy, make_writer
from worker.replay import destination
from worker.replay.again import STOPPED, Again, Judged
from worker.replay.comparison import Comparison
from worker.replay.erasures import earliest_time_ms
from worker.replay.ranges import Bound, Range, resolve
from worker.replay.reader import config_of
from worker.replay.stream import ReplayWriter
from worker.replay.verdicts import compare
from worker.settings import Settings
from worker.topics import text_of

log = logging.getLogger(__name__)

# Clocks of producers differ: this much before the earliest post is looked through too.
_CLOCKS_DIFFER_MS = 24 * 60 * 60 * 1000


@dataclass(frozen=True, slots=True)
class Request:
    """What is asked. first and until as in ranges.resolve; restart: judge again what an earlier run has done."""

    first: Bound | None = None
    until: Bound | None = None
    partitions: tuple[int, ...] = ()
    suffix: str = destination.DEFAULT_SUFFIX
    create_topics: bool = False
    restart: bool = False
    compare: bool = False
    dry_run: bool = False


@dataclass(slots=True)
class Report:
    """What came of it. topics: those written; notes: what of the range cannot be had."""

    topics: tuple[str, ...]
    ranges: tuple[Range, ...]
    notes: tuple[str, ...]
    judged: Judged = field(default_factory=Judged)
    comparison: Comparison | None = None

    @property
    def offsets(self) -> int:
        """Offsets in the range."""
        return sum(each.size for each in self.ranges)


def run(settings: Settings, request: Request) -> Report:
    """Judge the range again. Raises WorkerError. The live group is not joined, the live topics are only read."""
    stop = Stop()
    stop.install()
    replay = destination.beside(settings, request.suffix)
    admin = connect(settings)
    looking = Consumer(config_of(settings, replay.kafka.group_id))
    try:
        resolved = resolve(looking, settings.topics.posts, request.partitions, request.first, request.until)
        report = Report(destination.written(replay), resolved.ranges, resolved.notes)
        if not request.dry_run:
            posts_max_bytes = destination.prepare(admin, settings, replay, create=request.create_topics)
            _check_objects(settings)
            _run(settings, replay, request, posts_max_bytes, looking, report, stop)
        return report
    except KafkaException as error:
        raise WorkerError(f"the broker does not answer: {text_of(error)}") from None
    finally:
        looking.close()


def _run(
    live: Settings,
    replay: Settings,
    request: Request,
    posts_max_bytes: int,
    looking: Consumer,
    report: Report,
    stop: Stop,
) -> None:
    policy = make_policy(live)
    guard = make_guard(live, policy)
    writer = make_writer(replay, policy, posts_max_bytes, ReplayWriter)
    asked = (request.first, request.until, sorted(request.partitions), policy.version, live.guard.model_dump())
    journal = Journal(replay.kafka.state_dir, destination.group_of(replay, asked))
    judging = JudgingThread(lambda deliver: build_pipeline(replay, policy, guard, writer, journal, deliver))
    try:
        if not judging.start(stop):
            report.judged.unfinished = STOPPED
            return
        since_ms = _since_ms(looking, live.topics.posts, request, report.ranges)
        group = destination.group_of(replay, asked, guard.name, guard.revision)
        again = Again(replay, group, writer, posts_max_bytes, stop)
        report.judged = again.judge(judging, looking, report.ranges, since_ms, restart=request.restart)
    finally:
        judging.close()
        journal.close()
    if request.compare and report.judged.unfinished is None:
        judged_by = (policy.version, guard.revision)
        report.comparison = compare(looking, live, replay, report.ranges, judged_by, since_ms, stop)
        if stop():
            report.judged.unfinished = STOPPED


def _check_objects(settings: Settings) -> None:
    """ConfigurationError for what waiting cannot mend; a bucket that does not answer is waited for."""
    for problem in asyncio.run(ObjectStore(settings.objects).check_access()):
        if problem.reachable:
            raise ConfigurationError(problem.message)
        log.warning("%s", problem.message)


def _since_ms(looking: Consumer, topic: str, request: Request, ranges: tuple[Range, ...]) -> int | None:
    """From when on erasures and live verdicts of the range can be; None: from the beginning."""
    if isinstance(request.first, datetime):
        earliest: int | None = int(request.first.timestamp() * 1000)
    else:
        earliest = earliest_time_ms(looking, topic, ranges)
    return None if earliest is None else max(0, earliest - _CLOCKS_DIFFER_MS)
