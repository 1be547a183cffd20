"""`proguard console mine`: reads the outcome topics into the store, and keeps its clusters, until a signal."""

import logging
import time
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime

from proguard_core.novelty.encoder import SentenceEncoder
from proguard_core.novelty.novelty import for_law_11
from worker.console.mining import rights
from worker.console.mining.audit_posts import AuditPosts
from worker.console.mining.counts import Counts, TimedEncoder, stock_of
from worker.console.mining.feed import Feed
from worker.console.mining.intake import Batch, Intake
from worker.console.mining.miner import Miner
from worker.console.mining.publishing import ReviewPublisher
from worker.console.mining.service import MiningService
from worker.console.store import Store, StoreError, StoreVersionError
from worker.moderation.run import make_policy
from worker.settings import Settings
from worker.telemetry.health import Heart

log = logging.getLogger(__name__)

MOST_RECORDS = 2000
_RETRY_S = 2.0
# What refreshing and clustering may take of the time: a store that grows slow is refreshed less often.
_SHARE_OF_TIME = 10


def utc_now() -> datetime:
    """The wall clock."""
    return datetime.now(UTC)


def run(settings: Settings, stop: Callable[[], bool]) -> int:
    """Mine until stop() is true. Raises ConfigurationError, StoreError, FencedError, KafkaException."""
    policy = make_policy(settings)
    url = settings.console.url
    counts, heart = Counts(), Heart()
    store = Store(url, create=url.startswith("sqlite"))
    try:
        store.check_writable()
        with MiningService(settings, counts, heart):
            if not rights.check(settings, stop):
                return 0
            encoder = TimedEncoder(SentenceEncoder(), counts.encode_s)
            miner = Miner(
                store, settings.console, encoder, for_law_11(settings.guard.settings.get("novelty"), policy), utc_now
            )
            feed = Feed(settings, store, Intake(settings.topics, settings.console))
            posts, reviews = AuditPosts(settings, store, utc_now), ReviewPublisher(settings, store, utc_now)
            try:
                Mining(settings, store, Parts(miner, feed, reviews, posts), counts, heart).run(stop)
            finally:
                feed.close()
                posts.close()
                reviews.close()
    finally:
        store.close()
    return 0


@dataclass(frozen=True, slots=True)
class Parts:
    """What the loop moves."""

    miner: Miner
    feed: Feed
    reviews: ReviewPublisher
    posts: AuditPosts


class Mining:
    """The loop. clock: monotonic seconds; sleep: waits so many."""

    def __init__(
        self,
        settings: Settings,
        store: Store,
        parts: Parts,
        counts: Counts,
        heart: Heart,
        clock: Callable[[], float] = time.monotonic,
        sleep: Callable[[float], None] = time.sleep,
    ) -> None:
        self._console = settings.console
        self._store = store
        self._miner, self._feed, self._reviews, self._posts = parts.miner, parts.feed, parts.reviews, parts.posts
        self._counts, self._heart = counts, heart
        self._clock, self._sleep = clock, sleep
        self._said_s = settings.telemetry.status_interval_s

    def run(self, stop: Callable[[], bool]) -> None:
        """Until stop(). What was read and is not in the store is read again next time."""
        batch, written_at = Batch(), self._clock()
        refresh_at = said_at = written_at
        recluster_at = written_at + min(60.0, self._console.recluster_every_s)
        while not stop():
            self._heart.beat()
            self._feed.fill(batch, MOST_RECORDS)
            now = self._clock()
            if batch.records and (batch.records >= MOST_RECORDS or now - written_at >= self._console.mine_every_s):
                self._write(batch, stop)
                batch, written_at = Batch(), self._clock()
            if now >= refresh_at:
                took = self._timed(lambda: self._look_after(stop), stop)
                refresh_at = self._clock() + max(self._console.refresh_every_s, took)
            if now >= recluster_at:
                took = self._timed(self._recluster, stop)
                recluster_at = self._clock() + max(self._console.recluster_every_s, took)
            if now - said_at >= self._said_s:
                log.info("mined %d records", self._counts.records.total())
                said_at = now
        if batch.records:
            self._write(batch, lambda: True)

    def _write(self, batch: Batch, stop: Callable[[], bool]) -> None:
        """Until it is in the store: while that is away, full or read-only nothing more is read, and nothing is lost."""
        begun = self._clock()
        while True:
            self._heart.beat()
            try:
                self._miner.take(batch)
                break
            except StoreVersionError:
                raise
            except StoreError as error:
                self._failed(error, "trying again")
                if stop():
                    return
                self._sleep(_RETRY_S)
        self._feed.taken(batch)
        self._count(batch, self._clock() - begun)

    def _count(self, batch: Batch, seconds: float) -> None:
        counts = self._counts
        counts.batch_s(seconds)
        counts.records.update(batch.by_topic)
        counts.risks += len(batch.arrivals.risks)
        counts.leave_out(batch.problems)
        counts.written_at, counts.failure = utc_now(), None
        for problem, count in batch.problems.items():
            log.warning("left out: %d times %s", count, problem)

    def _failed(self, error: StoreError, what_next: str) -> None:
        self._counts.store_failures[type(error).__name__] += 1
        self._counts.failure = str(error)
        log.error("%s; %s", error, what_next)

    def _look_after(self, stop: Callable[[], bool]) -> None:
        """A step at a time: where the broker is away each of the later two waits for it a while."""
        counts = self._counts
        self._miner.refresh()
        counts.lag, counts.expired = self._feed.lag(), self._feed.expired
        if not stop():
            counts.published += self._reviews.publish()
        if not stop():
            self._posts.fetch()
        self._take_stock()

    def _recluster(self) -> None:
        counts = self._counts
        counts.clustering, begun = True, self._clock()
        try:
            done = self._miner.recluster()
        finally:
            counts.clustering = False
            self._heart.beat()
        counts.clustering_s(self._clock() - begun)
        counts.clustered, counts.clustered_at = self._miner.clustered, utc_now()
        counts.moved.update({"kept": done.kept, "moved": done.moved})
        counts.changes.update({"created": len(done.created), "split": done.splits, "merged": done.merges})
        self._take_stock()

    def _take_stock(self) -> None:
        with self._store.reading() as session:
            self._counts.stock = stock_of(session)

    def _timed(self, work: Callable[[], object], stop: Callable[[], bool]) -> float:
        """Do it; after how many seconds it may be done again. A store that fails is tried again later."""
        begun = self._clock()
        try:
            if not stop():
                work()
        except StoreVersionError:
            raise
        except StoreError as error:
            self._failed(error, "trying again later")
        return _SHARE_OF_TIME * (self._clock() - begun)
