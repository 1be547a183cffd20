"""The faults of a storm: drawn by a seed, begun one after another, each mended by itself after a while."""

import random
import time
from collections import Counter
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

from tests.support.kafka_cluster import KafkaCluster
from tests.support.s3_server import S3Server
from tests.support.slow_network import Link, Side
from tests.support.storm_ledger import Fault
from tests.support.storm_workers import WorkerGroup

# How often each kind is in the deck. All are drawn once before any is drawn anew.
KINDS = {
    "kill_worker": 4,
    "stop_worker": 3,
    "kill_broker": 2,
    "join": 2,
    "leave": 2,
    "s3_outage": 1,
    "s3_503": 1,
    "guard_raises": 1,
    "guard_hangs": 1,
    "guard_dies": 1,
    "network_delay": 1,
    "network_cut": 1,
    "network_half_close": 2,
}
_FEWEST_WORKERS = 2
_ALL_SHARE = 0.25  # of the network's and the guard's faults: how often they concern all brokers or workers
_LONGEST_STOP_S = 9.0  # beyond the session's and the transaction's time-out
_LONGEST_DEATH_S = 12.0  # beyond the brokers' session, so that clients too strike a dead broker off
_BUSY = b"HTTP/1.1 503 Service Unavailable\r\nContent-Type: application/xml\r\nContent-Length: %d\r\n\r\n%b" % (
    len(body := b"<Error><Code>SlowDown</Code><Message>Reduce your request rate.</Message></Error>"),
    body,
)


@dataclass(slots=True)
class Begun:
    """A fault under way. rest: what is left of it, run elsewhere; holds: what no other fault may touch meanwhile."""

    subject: str
    holds: str
    rest: Callable[[], None]


class Faults:
    """Draws and begins faults; call strike() from one thread."""

    def __init__(
        self,
        seed: int,
        kinds: tuple[str, ...],
        cluster: KafkaCluster,
        workers: WorkerGroup,
        s3: S3Server,
        s3_link: Link,
        troubles: Callable[[int], Path],
    ) -> None:
        """troubles: the trouble_file of the guard in a slot."""
        self._random = random.Random(seed)
        self._cluster = cluster
        self._workers = workers
        self._s3 = s3
        self._s3_link = s3_link
        self._troubles = troubles
        self._round = [kind for kind in kinds for _ in range(KINDS[kind])]
        self._deck: list[str] = []
        self._held: set[str] = set()
        self._pool = ThreadPoolExecutor(max_workers=12, thread_name_prefix="fault")
        self._running: list[Future[None]] = []
        self.history: list[Fault] = []

    @property
    def counts(self) -> Counter[str]:
        """Faults so far by kind."""
        return Counter(fault.kind for fault in self.history)

    @property
    def under_way(self) -> list[str]:
        """Kinds not mended yet."""
        return [fault.kind for fault in self.history if fault.ended is None]

    def strike(self) -> bool:
        """Begin the next fault that is possible now; False if none is. Raises what went wrong in earlier ones."""
        self._look_at_running()
        if len(self._deck) < len(self._round):
            self._deck += self._random.sample(self._round, len(self._round))
        for kind in dict.fromkeys(self._deck):
            begun = getattr(self, f"_{kind}")()
            if isinstance(begun, Begun):
                self._deck.remove(kind)
                fault = Fault(kind, begun.subject, time.time())
                self.history.append(fault)
                self._held.add(begun.holds)
                self._running.append(self._pool.submit(self._finish, fault, begun))
                return True
        return False

    def over(self) -> bool:
        """Whether every fault is mended. Raises what went wrong in them."""
        self._look_at_running()
        return not self._running

    def close(self) -> None:
        """Begin nothing more; returns when what runs is over."""
        self._pool.shutdown()

    def _finish(self, fault: Fault, begun: Begun) -> None:
        begun.rest()
        fault.ended = time.time()
        self._held.discard(begun.holds)

    def _look_at_running(self) -> None:
        for future in [future for future in self._running if future.done()]:
            self._running.remove(future)
            future.result()

    def _sleep(self, least: float, most: float) -> Callable[[], None]:
        seconds = self._random.uniform(least, most)
        return lambda: time.sleep(seconds)

    def _seized(self) -> int | None:
        """A worker frozen with posts in its guard, while another one runs."""
        sound = self._workers.sound()
        self._random.shuffle(sound)
        return next((slot for slot in sound if len(sound) > 1 and self._workers.seize(slot)), None)

    def _of_worker(self, slot: int, *steps: Callable[[], None]) -> Begun:
        self._workers.busy.add(slot)
        release = (lambda: self._workers.busy.discard(slot),)
        return Begun(f"worker {slot}", f"worker {slot}", _in_turn(*steps, *release))

    def _kill_worker(self) -> Begun | None:
        if (slot := self._seized()) is None:
            return None
        self._workers.kill(slot)
        return self._of_worker(slot, self._sleep(0, 2), lambda: self._workers.start(slot))

    def _stop_worker(self) -> Begun | None:
        if (slot := self._seized()) is None:
            return None
        return self._of_worker(slot, self._sleep(0.5, _LONGEST_STOP_S), self._workers.workers[slot].resume)

    def _join(self) -> Begun | None:
        if (slot := self._workers.free_slot()) is None:
            return None
        self._workers.start(slot)
        return self._of_worker(slot, self._sleep(4, 6))  # it takes that long until it judges

    def _leave(self) -> Begun | None:
        sound = self._workers.sound()
        if len(self._workers.workers) <= _FEWEST_WORKERS or len(sound) < _FEWEST_WORKERS:
            return None
        slot = self._random.choice(sound)
        self._workers.workers[slot].process.terminate()
        return self._of_worker(slot, lambda: self._workers.drain(slot))

    def _kill_broker(self) -> Begun | None:
        """One at a time: the next only when all replicas are in sync again."""
        if "brokers" in self._held:
            return None
        number = self._random.choice(list(self._cluster.links))
        self._cluster.kill(number)
        return Begun(
            f"broker {number}",
            "brokers",
            _in_turn(self._sleep(1, _LONGEST_DEATH_S), lambda: self._cluster.restart(number)),
        )

    def _s3_outage(self) -> Begun | None:
        if "s3" in self._held:
            return None
        if self._random.random() < 0.5:
            self._s3.suspend()
            return Begun("suspended", "s3", _in_turn(self._sleep(1, 8), self._s3.resume))
        self._s3.stop()
        return Begun("stopped", "s3", _in_turn(self._sleep(1, 5), self._s3.start))

    def _s3_503(self) -> Begun | None:
        if "s3" in self._held:
            return None
        share = self._random.choice([0.7, 1.0])
        dice = random.Random(self._random.random())
        self._s3_link.answer(lambda _chunk: _BUSY if dice.random() < share else None)
        return Begun(f"{share:.0%} of requests", "s3", _in_turn(self._sleep(1, 8), self._s3_link.mend))

    def _guard_raises(self) -> Begun | None:
        return self._guard("raise")

    def _guard_hangs(self) -> Begun | None:
        return self._guard("hang")

    def _guard_dies(self) -> Begun | None:
        return self._guard("die")

    def _guard(self, trouble: str) -> Begun | None:
        """The canary fails with it: the guard is down, no post is at fault."""
        sound = self._workers.sound()
        if "guard" in self._held or not sound:
            return None
        everywhere = self._random.random() < _ALL_SHARE
        slots = list(range(self._workers.most)) if everywhere else [self._random.choice(sound)]
        for slot in slots:
            self._troubles(slot).write_text(trouble)
        mend = [self._troubles(slot).unlink for slot in slots]
        return Begun(f"workers {slots}", "guard", _in_turn(self._sleep(1, 6), *mend))

    def _some_links(self) -> dict[int, Link] | None:
        if "network" in self._held:
            return None
        links = self._cluster.links
        if self._random.random() < _ALL_SHARE:
            return links
        number = self._random.choice(list(links))
        return {number: links[number]}

    def _network_delay(self) -> Begun | None:
        if (links := self._some_links()) is None:
            return None
        seconds = self._random.choice([0.02, 0.1, 0.5, 2.0])
        for link in links.values():
            link.delay(seconds)
        subject = f"brokers {list(links)}, {seconds} s"
        return Begun(subject, "network", _in_turn(self._sleep(2, 8), *(link.mend for link in links.values())))

    def _network_cut(self) -> Begun | None:
        if (links := self._some_links()) is None:
            return None
        for link in links.values():
            link.cut()
        mend = [link.mend for link in links.values()]
        return Begun(f"brokers {list(links)}", "network", _in_turn(self._sleep(0.5, 8), *mend))

    def _network_half_close(self) -> Begun | None:
        """Three times in a row, so that what is tried again is hit too."""
        if (links := self._some_links()) is None:
            return None
        side = self._random.choice(list(Side))
        closing = [lambda link=link: link.half_close(side) for link in links.values()]
        pauses = [self._sleep(0.1, 1) for _ in range(2)]
        return Begun(
            f"brokers {list(links)}, the {side.value}s are told",
            "network",
            _in_turn(*closing, pauses[0], *closing, pauses[1], *closing),
        )


def _in_turn(*steps: Callable[[], object]) -> Callable[[], None]:
    def run() -> None:
        for step in steps:
            step()

    return run
