"""Workers under random faults while posts arrive at a steady rate: nothing lost, nothing doubled, nothing reordered.

A kill or stop counts only if the worker had posts in the guard at that moment: its journal tells, while it is frozen.
"""

import random
import signal
import threading
import time
from collections import Counter
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import orjson
from confluent_kafka import Message, Producer

from tests.support.kafka_cluster import KafkaCluster
from tests.support.pictures import jpeg
from tests.support.s3_server import S3Server
from tests.support.slow_network import Link, SlowNetwork
from tests.support.storm_faults import KINDS, Faults
from tests.support.storm_ledger import PICTURES, Findings, Ledger, storm_posts
from tests.support.storm_watch import Watch
from tests.support.storm_workers import StuckError, WorkerGroup
from tests.support.topics import TopicNames
from tests.support.worker_process import WorkerProcess

_PAUSE_S = (1.0, 4.0)
_TICK_S = 0.1
_SAY_EVERY_S = 5.0
_FLUSH_S = 120.0
# A partition may go from one broken worker to the next for a while, but not for so long.
_STUCK_S = 90.0
# Nothing more is broken while the group is so far behind: that it comes back each time is a promise, too.
_BEHIND_S = 20.0
_START_S = 180.0
_CRASHES = {-signal.SIGABRT, -signal.SIGSEGV, -signal.SIGBUS}
_MENDED_S = 180.0


@dataclass(frozen=True, slots=True)
class StormPlan:
    """Posts arrive at `rate` a second until so many faults of these kinds were begun and are over."""

    faults: int
    seed: int
    rate: int = 150
    workers: int = 3
    most_workers: int = 4
    kinds: tuple[str, ...] = tuple(KINDS)
    group_protocol: str = "classic"


@dataclass(slots=True)
class StormReport:
    """What a read_committed reader saw after the storm. history: of the posts concerned, empty when all is well.

    unacknowledged: of the posts, those that the storm's own producer wrote without being told, or twice.
    """

    posts: int
    unacknowledged: int
    counts: Counter[str]
    findings: Findings
    exits: list[tuple[int, int]] = field(default_factory=list)
    history: str = ""

    def line(self) -> str:
        """The closing line."""
        found = self.findings
        return (
            f"faults={sum(self.counts.values())} posts={self.posts} lost={found.lost} doubled={found.doubled} "
            f"reordered={found.reordered} dead_lettered={found.dead_lettered} undetermined={found.undetermined}"
        )

    @property
    def clean(self) -> bool:
        """Whether every promise held, and no worker crashed by itself."""
        return self.findings.clean and not any(code in _CRASHES for _slot, code in self.exits)


class Storm:
    """One run on a cluster with slow_network whose topics exist, and a bucket of an S3 server. say: progress lines."""

    def __init__(
        self,
        cluster: KafkaCluster,
        s3: S3Server,
        bucket: str,
        topics: TopicNames,
        directory: Path,
        plan: StormPlan,
        say: Callable[[str], None] = lambda line: None,
    ) -> None:
        self._cluster = cluster
        self._s3 = s3
        self._bucket = bucket
        self._topics = topics
        self._directory = directory
        self._plan = plan
        self._say = say
        self._ledger = Ledger()
        self._over = threading.Event()
        self._began = self._said_at = time.monotonic()

    def run(self) -> StormReport:
        """Produce, break, wait for the end, look. Workers are ended and servers mended whatever happens.

        Raises StuckError when posts wait and nothing moves.
        """
        for number in range(PICTURES):
            self._s3.client().put_object(Bucket=self._bucket, Key=f"{number}.jpg", Body=jpeg(320 + number, 240))
        config = self._cluster.client_config()
        with SlowNetwork() as network, Watch(config, self._topics.posts) as watch, ThreadPoolExecutor(1) as pool:
            link = network.link(urlsplit(self._s3.endpoint_url).port or 0)
            workers = WorkerGroup(lambda slot: self._worker(slot, link), self._plan.most_workers)
            faults = Faults(
                self._plan.seed, self._plan.kinds, self._cluster, workers, self._s3, link, self._trouble_file
            )
            try:
                self._rage(workers, faults, watch, pool)
            finally:
                self._over.set()
                faults.close()
                workers.end()
        findings = self._ledger.check(config, self._topics)
        history = "" if findings.clean else self._ledger.history(config, self._topics, faults.history)
        ledger = self._ledger
        return StormReport(len(ledger.written), ledger.unacknowledged, faults.counts, findings, workers.exits, history)

    def _rage(self, workers: WorkerGroup, faults: Faults, watch: Watch, pool: ThreadPoolExecutor) -> None:
        for slot in range(self._plan.workers):
            workers.start(slot)
        producing = pool.submit(self._produce)
        self._until(lambda: watch.committed > 0, _START_S, "no post was judged", workers, faults, watch)
        pauses = random.Random(f"pauses {self._plan.seed}")
        while len(faults.history) < self._plan.faults:
            self._pass_time(time.monotonic() + pauses.uniform(*_PAUSE_S), workers, faults, watch)
            while watch.lag > self._plan.rate * _BEHIND_S or not faults.strike():
                self._pass_time(time.monotonic() + _TICK_S, workers, faults, watch)
            self._raise_if_failed(producing)
        self._until(faults.over, _MENDED_S, "the faults are not over", workers, faults, watch)
        self._over.set()
        producing.result(_FLUSH_S)
        end = self._ledger.take_stock(self._cluster.client_config(), self._topics.posts)
        self._until(lambda: watch.committed == end, float("inf"), "", workers, faults, watch)
        workers.leave()

    def _until(
        self,
        true: Callable[[], bool],
        timeout_s: float,
        otherwise: str,
        workers: WorkerGroup,
        faults: Faults,
        watch: Watch,
    ) -> None:
        deadline = time.monotonic() + timeout_s
        while not true():
            if time.monotonic() > deadline:
                raise StuckError(f"{otherwise}\n{workers.tails()}")
            self._pass_time(time.monotonic() + _TICK_S, workers, faults, watch)

    def _pass_time(self, until: float, workers: WorkerGroup, faults: Faults, watch: Watch) -> None:
        while True:
            workers.revive()
            if stuck := watch.stuck(_STUCK_S):
                raise StuckError(f"{stuck}; faults under way: {faults.under_way}\n{workers.tails()}")
            if time.monotonic() - self._said_at >= _SAY_EVERY_S:
                self._said_at = time.monotonic()
                self._say(
                    f"{self._said_at - self._began:5.0f} s: {len(faults.history)} faults, "
                    f"{len(self._ledger.written)} posts, {watch.lag} behind, "
                    f"workers {sorted(workers.sound())} sound, under way: {', '.join(faults.under_way) or 'nothing'}"
                )
            if (left := until - time.monotonic()) <= 0:
                return
            time.sleep(min(left, _TICK_S))

    @staticmethod
    def _raise_if_failed(producing: Future[None]) -> None:
        if producing.done():
            producing.result()
            raise RuntimeError("the storm's own posts ended too early")

    def _produce(self) -> None:
        """Straight to the brokers: the slow network is the workers'. Raises RuntimeError if a post was not written."""
        failures: list[str] = []
        own = {"enable.idempotence": True, "linger.ms": 5, "log_level": 0}
        producer = Producer({**self._cluster.client_config(), **own})
        began = time.monotonic()
        for number, post in enumerate(storm_posts(self._plan.seed, self._bucket)):
            if self._over.is_set():
                break
            ahead = number / self._plan.rate - (time.monotonic() - began)
            if ahead > 0:
                time.sleep(ahead)

            def note(error: object, message: Message, post: dict[str, Any] = post) -> None:
                failures.append(str(error)) if error else self._ledger.note(post, message)

            producer.produce(self._topics.posts, orjson.dumps(post), post["post_id"], on_delivery=note)
            producer.poll(0)
        if producer.flush(_FLUSH_S) or failures:
            raise RuntimeError(f"the storm's own posts were not written: {failures[:3]}")

    def _trouble_file(self, slot: int) -> Path:
        return self._directory / f"trouble-{slot}"

    def _worker(self, slot: int, s3_link: Link) -> WorkerProcess:
        plan = self._plan
        classic = {"session.timeout.ms": "6000", "heartbeat.interval.ms": "1000"}
        guard = {
            "delay_ms": 20,
            "jitter_ms": 100,
            "seed": f"{plan.seed}-{slot}",
            "trouble_file": str(self._trouble_file(slot)),
        }
        settings: dict[str, dict[str, Any]] = {
            "kafka": {
                "group_protocol": plan.group_protocol,
                "transaction_timeout_ms": 6000,
                "consumer": classic if plan.group_protocol == "classic" else {},
            },
            "objects": {
                "endpoint_url": f"http://127.0.0.1:{s3_link.port}",
                "buckets": [self._bucket],
                "timeout_s": 5.0,
            },
            "guard": {"settings": guard, "timeout_s": 2.0},
            "batching": {"in_flight": 6, "max_posts": 64},
        }
        servers = self._cluster.slow_servers
        return WorkerProcess(self._directory, servers, self._topics, slot, settings, self._s3.environment)
