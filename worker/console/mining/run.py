"""`proguard console mine`: reads the outcome topics into the store, and keeps its clusters, until a signal."""

import logging
import time
from collections.abc import Callable
from datetime import UTC, datetime

from proguard_core.novelty.encoder import SentenceEncoder
from proguard_core.novelty.novelty import Novelty
from worker.console.mining import rights
from worker.console.mining.audit_posts import AuditPosts
from worker.console.mining.feed import Feed
from worker.console.mining.intake import Batch, Intake
from worker.console.mining.miner import Miner
from worker.console.mining.publishing import ReviewPublisher
from worker.console.store import Store, StoreError, StoreVersionError
from worker.moderation.run import make_policy
from worker.settings import Settings

log = logging.getLogger(__name__)

MOST_RECORDS = 2000
_RETRY_S = 2.0
# What refreshing and clustering may take of the time: a store that grows slow is refreshed less often.
_SHARE_OF_TIME = 10


def utc_now() -> datetime:
    """The wall clock."""
    return datetime.now(UTC)


def run(settings: Settings, stop: Callable[[], bool]) -> int:
    """Mine until stop() is true. Raises ConfigurationError, StoreVersionError, FencedError, KafkaException."""
    policy = make_policy(settings)
    url = settings.console.url
    store = Store(url, create=url.startswith("sqlite"))
    try:
        if not rights.check(settings, stop):
            return 0
        intake = Intake(settings.topics, settings.console)
        miner = Miner(store, settings.console, SentenceEncoder(), Novelty(policy), utc_now)
        feed = Feed(settings, store, intake)
        posts, reviews = AuditPosts(settings, store, utc_now), ReviewPublisher(settings, store, utc_now)
        try:
            Mining(settings, miner, feed, reviews, posts).run(stop)
        finally:
            feed.close()
            posts.close()
            reviews.close()
    finally:
        store.close()
    return 0


class Mining:
    """The loop. clock: monotonic seconds; sleep: waits so many."""

    def __init__(
        self,
        settings: Settings,
        miner: Miner,
        feed: Feed,
        reviews: ReviewPublisher,
        posts: AuditPosts,
        clock: Callable[[], float] = time.monotonic,
        sleep: Callable[[float], None] = time.sleep,
    ) -> None:
        self._console = settings.console
        self._miner, self._feed, self._reviews, self._posts = miner, feed, reviews, posts
        self._clock, self._sleep = clock, sleep
        self._said_s = settings.telemetry.status_interval_s
        self._records = 0

    def run(self, stop: Callable[[], bool]) -> None:
        """Until stop(). What was read and is not in the store is read again next time."""
        batch, written_at = Batch(), self._clock()
        refresh_at = written_at
        recluster_at = written_at + min(60.0, self._console.recluster_every_s)
        said_at = written_at
        while not stop():
            self._feed.fill(batch, MOST_RECORDS)
            now = self._clock()
            if batch.records and (batch.records >= MOST_RECORDS or now - written_at >= self._console.mine_every_s):
                self._write(batch, stop)
                batch, written_at = Batch(), self._clock()
            if now >= refresh_at:
                refresh_at = self._clock() + max(self._console.refresh_every_s, self._timed(self._look_after, stop))
            if now >= recluster_at:
                recluster_at = self._clock() + max(
                    self._console.recluster_every_s, self._timed(self._miner.recluster, stop)
                )
            if now - said_at >= self._said_s:
                log.info("mined %d records", self._records)
                said_at = now
        if batch.records:
            self._write(batch, lambda: True)

    def _write(self, batch: Batch, stop: Callable[[], bool]) -> None:
        """Until it is in the store: while that is away, full or read-only nothing more is read, and nothing is lost."""
        while True:
            try:
                self._miner.take(batch)
                break
            except StoreVersionError:
                raise
            except StoreError as error:
                log.error("%s; trying again", error)
                if stop():
                    return
                self._sleep(_RETRY_S)
        self._feed.taken(batch)
        self._records += batch.records
        for problem, count in batch.problems.items():
            log.warning("left out: %d times %s", count, problem)

    def _look_after(self) -> None:
        self._miner.refresh()
        self._reviews.publish()
        self._posts.fetch()

    def _timed(self, work: Callable[[], object], stop: Callable[[], bool]) -> float:
        """Do it; after how many seconds it may be done again. A store that fails is tried again later."""
        begun = self._clock()
        try:
            if not stop():
                work()
        except StoreVersionError:
            raise
        except StoreError as error:
            log.error("%s; trying again later", error)
        return _SHARE_OF_TIME * (self._clock() - begun)
