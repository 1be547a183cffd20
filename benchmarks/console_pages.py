"""How long the console's pages take on a large store: `python -m benchmarks.console_pages [sqlite postgresql]`.

A planted month (benchmarks/planted) goes through the mining into the store: all twelve topics and two hundred small
crowds as clusters, an hour's batches, every figure made as in service. Vectors are drawn around each crowd's centre,
not encoded: pages do not care. Then the real server answers one request after another; times are a client's, in ms.
"""

import argparse
import json
import tempfile
import time
import urllib.request
import zlib
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import numpy as np

from benchmarks.planted import feeding
from benchmarks.planted.history import GROWTH, NOISE, START, Planted, history
from proguard_core.novelty import clusters
from proguard_core.novelty.clusters import Floats
from proguard_core.novelty.novelty import Novelty
from proguard_core.policy.loader import load_policy
from tests.support.console_server import serving
from tests.support.postgres import PostgresServer
from worker.console.mining.miner import Miner
from worker.console.settings import ConsoleSettings
from worker.console.store import Store
from worker.console.store.models import ClusterRow

_RISKS, _CROWDS, _DIMENSIONS = 100_000, 200, 384
_WORDS = (
    "parking",
    "essay",
    "ticket",
    "drone",
    "meter",
    "wildlife",
    "the",
    "organ donor",
    "gift card",
    "no such words",
)


class Centres:
    """An encoder that knows of each text which crowd it is of; names, and what it does not know, go anywhere."""

    def __init__(self, month: Sequence[Planted]) -> None:
        self.ids = [*GROWTH, *(f"{NOISE}-{at}" for at in range(_CROWDS))]
        drawn = np.random.default_rng(1).standard_normal((len(self.ids), _DIMENSIONS))
        self.vectors = clusters.unit(drawn.astype(np.float32))
        self._place = {each.text: self._of(each) for each in month}

    def encode(self, texts: Sequence[str]) -> Floats:
        """Unit vectors, a row a text."""
        rows = [self._vector(text) for text in texts]
        return clusters.unit(np.stack(rows))

    def _vector(self, text: str) -> Floats:
        own = np.random.default_rng(zlib.crc32(text.encode())).standard_normal(_DIMENSIONS).astype(np.float32)
        place = self._place.get(text)
        return own if place is None else self.vectors[place] + 0.02 * own

    def _of(self, planted: Planted) -> int | None:
        topic, _, number = planted.topic.partition("-")
        if topic in GROWTH:
            return self.ids.index(topic)
        return len(GROWTH) + int(number) % _CROWDS if topic == NOISE else None


def fill(store: Store, risks: int) -> None:
    """The month, in batches of three hours."""
    month = history("own", risks)
    centres, clock = Centres(month), feeding.Clock()
    with store.writing() as session:
        for at, name in enumerate(centres.ids, 1):
            times = {"created_at": START, "first_seen": START, "last_seen": START}
            session.add(
                ClusterRow(id=f"R{at}", name=name.title(), centroid=centres.vectors[at - 1], words=[name], **times)
            )
    miner = Miner(store, ConsoleSettings(), centres, Novelty(load_policy(None)), clock)
    for batch in feeding.batches(month, clock):
        miner.take(batch)
    miner.refresh()


def addresses() -> dict[str, list[str]]:
    """What is asked for, by kind of page."""
    return {
        "overview": ["/"],
        "clusters": ["/clusters", "/clusters?q=essay", "/clusters?emerging=true"],
        "cluster": [f"/clusters/R{at}" for at in (1, 2, 3, 5, 8, 11, 12, 40)],
        "search": [f"/search?q={words.replace(' ', '+')}" for words in _WORDS],
        "review": ["/review"],
    }


def asked(where: str, times: int) -> dict[str, dict[str, float]]:
    """Quantiles of each kind, after a round that is not counted."""
    found, base = {}, where.partition("/login")[0]
    opener = urllib.request.build_opener(urllib.request.HTTPCookieProcessor())
    opener.open(where).close()
    for kind, pages in addresses().items():
        took = []
        for at in range(len(pages) + times):
            begun = time.perf_counter()
            with opener.open(base + pages[at % len(pages)]) as answer:
                answer.read()
            took.append(1000 * (time.perf_counter() - begun))
        counted = took[len(pages) :]
        found[kind] = {name: round(float(np.quantile(counted, q)), 1) for name, q in (("p50", 0.5), ("p95", 0.95))}
    return found


@contextmanager
def database(kind: str) -> Iterator[str]:
    """The URL of an empty store."""
    if kind == "sqlite":
        with tempfile.TemporaryDirectory() as folder:
            yield f"sqlite:///{Path(folder) / 'risks.db'}"
    else:
        with PostgresServer() as server:
            yield server.new_database()


def main() -> None:
    """A line of JSON a database."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("databases", nargs="*", default=["sqlite", "postgresql"])
    parser.add_argument("--risks", type=int, default=_RISKS)
    parser.add_argument("--times", type=int, default=100, help="requests of each kind")
    arguments = parser.parse_args()
    for kind in arguments.databases:
        with database(kind) as url:
            store = Store(url, create=True)
            begun = time.monotonic()
            fill(store, arguments.risks)
            filled = round(time.monotonic() - begun, 1)
            with serving(store) as where:
                print(json.dumps({"store": kind, "filled_s": filled, **asked(where, arguments.times)}), flush=True)
            store.close()


if __name__ == "__main__":
    main()
