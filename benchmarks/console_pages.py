"""How long the console's pages take on a large store: `python -m benchmarks.console_pages [sqlite postgresql]`.

A planted month (benchmarks/planted) goes through the mining into the store: all twelve topics and two hundred small
crowds as clusters, an hour's batches, every figure made as in service. Vectors are drawn around each crowd's centre,
not encoded: pages do not care. Then the real server answers one request after another; times are a client's, in ms.
`--without INDEX...` measures the same store in turn with and without these indexes, and says the ratio.
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
from sqlalchemy import select

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
from worker.console.store.models import Base, ClusterRow

_RISKS, _CROWDS, _DIMENSIONS = 100_000, 200, 384
_TURNS = 3
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


def addresses(largest: str) -> dict[str, list[str]]:
    """What is asked for, by kind of page. largest: the cluster of the most risks."""
    return {
        "overview": ["/"],
        "clusters": ["/clusters", "/clusters?q=essay", "/clusters?emerging=true"],
        "cluster": [f"/clusters/R{at}" for at in (1, 2, 3, 5, 8, 11, 12, 40)],
        "largest": [f"/clusters/{largest}"],
        "search": [f"/search?q={words.replace(' ', '+')}" for words in _WORDS],
        "review": ["/review"],
    }


def asked(where: str, largest: str, times: int) -> dict[str, dict[str, float]]:
    """Quantiles of each kind, after a round that is not counted."""
    found, base = {}, where.partition("/login")[0]
    opener = urllib.request.build_opener(urllib.request.HTTPCookieProcessor())
    opener.open(where).close()
    for kind, pages in addresses(largest).items():
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


def settle(store: Store) -> None:
    """What autovacuum does in time: until then PostgreSQL plans for a table that it believes to be small."""
    if not store.is_sqlite:
        with store.engine.connect().execution_options(isolation_level="AUTOCOMMIT") as connection:
            connection.exec_driver_sql("VACUUM ANALYZE")


@contextmanager
def dropped(store: Store, names: Sequence[str]) -> Iterator[None]:
    """The store without these indexes of risks, for as long as it lasts. StopIteration: it has none of that name."""
    indexes = [next(index for index in Base.metadata.tables["risks"].indexes if index.name == name) for name in names]
    with store.writing() as session:
        for index in indexes:
            index.drop(session.connection())
    yield
    with store.writing() as session:
        for index in indexes:
            index.create(session.connection())


def measured(store: Store, times: int, without: Sequence[str]) -> dict[str, object]:
    """Quantiles; with `without` also those without the indexes, of rounds in turn, and how many times as long it is."""
    with store.reading() as session:
        largest = session.scalars(select(ClusterRow.id).order_by(ClusterRow.size.desc())).first()
    assert largest is not None
    with serving(store) as where:
        settle(store)
        found: dict[str, object] = {**asked(where, largest, times)}
        if not without:
            return found
        bare, again = [], []
        for _ in range(_TURNS):
            with dropped(store, without):
                bare.append(asked(where, largest, times))
            again.append(asked(where, largest, times))
    ratios = {
        kind: {name: round(_median(bare, kind, name) / _median(again, kind, name), 2) for name in ("p50", "p95")}
        for kind in bare[0]
    }
    medians = {
        label: {kind: {name: _median(rounds, kind, name) for name in ("p50", "p95")} for kind in bare[0]}
        for label, rounds in (("without", bare), ("with", again))
    }
    return {**medians, "ratio": ratios}


def _median(rounds: Sequence[dict[str, dict[str, float]]], kind: str, name: str) -> float:
    return float(np.median([each[kind][name] for each in rounds]))


def main() -> None:
    """A line of JSON a database."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("databases", nargs="*", default=["sqlite", "postgresql"])
    parser.add_argument("--risks", type=int, default=_RISKS)
    parser.add_argument("--times", type=int, default=100, help="requests of each kind")
    parser.add_argument(
        "--without", nargs="*", default=[], metavar="INDEX", help="compare with the store without these"
    )
    arguments = parser.parse_args()
    for kind in arguments.databases:
        with database(kind) as url:
            store = Store(url, create=True)
            begun = time.monotonic()
            fill(store, arguments.risks)
            filled = round(time.monotonic() - begun, 1)
            found = measured(store, arguments.times, arguments.without)
            print(json.dumps({"store": kind, "filled_s": filled, **found}), flush=True)
            store.close()


if __name__ == "__main__":
    main()
