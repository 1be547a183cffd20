"""What people do while risks are clustered anew stands: on SQLite, with its one writer, and on PostgreSQL."""

import itertools
import threading
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import pytest
from sqlalchemy import select

from proguard_core.novelty import clusters
from proguard_core.novelty.clusters import Floats
from proguard_core.novelty.novelty import Novelty
from proguard_core.policy.loader import load_policy
from schemas.review import Decision
from tests.integration.console.test_store import cluster, ids, take, taken
from tests.support.risks import NOW, new_risk, unit
from worker.console.mining import miner as mining
from worker.console.mining import reclustering
from worker.console.mining.miner import Miner
from worker.console.mining.reclustering import Writing
from worker.console.settings import ConsoleSettings
from worker.console.store import Store, erasing, reviewing
from worker.console.store.arrivals import NewRisk
from worker.console.store.models import ClusterRow, ClusterState, RiskRow
from worker.console.store.reviewing import Decided

NAME = "A name that a person gave"
Clusters = dict[str, ClusterRow]


class Numbers:
    """An encoder to which no two texts are alike; it says when it was asked."""

    def __init__(self) -> None:
        self.asked: Callable[[], None] = lambda: None

    def encode(self, texts: Sequence[str]) -> Floats:
        self.asked()
        return np.stack([unit(int.from_bytes(text.encode()[-4:], "big")) for text in texts])


def member(number: int, cluster_id: str | None, **changed: Any) -> NewRisk:
    """One of a crowd around the first axis."""
    new = new_risk(number, cluster_id, name=f"Touting {number % 3}", **changed)
    vector = unit(1) + 0.2 * unit(1000 + number)
    new.embedding = (vector / np.linalg.norm(vector)).astype(np.float32)
    return new


@pytest.fixture
def encoder() -> Numbers:
    return Numbers()


@pytest.fixture
def miner(store: Store, encoder: Numbers) -> Miner:
    """Of a store with two clusters that are one crowd."""
    with store.writing() as session:
        session.add_all([cluster("R1"), cluster("R2")])
    take(store, taken(*(member(number, "R1" if number < 21 else "R2") for number in range(40))))
    return Miner(store, ConsoleSettings(), encoder, Novelty(load_policy(None)), lambda: NOW)


@pytest.fixture
def while_computed(monkeypatch: pytest.MonkeyPatch) -> Callable[[Callable[[], object]], None]:
    """Has something done when the crowds are found, and nothing is written yet."""
    real = clusters.cluster

    def during(work: Callable[[], object]) -> None:
        def found(*given: Any) -> Any:
            labels = real(*given)
            work()
            return labels

        monkeypatch.setattr(clusters, "cluster", found)

    return during


@pytest.fixture
def while_written(monkeypatch: pytest.MonkeyPatch) -> Callable[[Callable[[], object]], threading.Thread]:
    """Has something begun in a thread, and given time, when the transaction has seen the clusters."""
    real = Writing.run

    def during(work: Callable[[], object]) -> threading.Thread:
        thread = threading.Thread(target=work)

        def run(*given: Any) -> Any:
            thread.start()
            thread.join(0.5)
            return real(*given)

        monkeypatch.setattr(Writing, "run", run)
        return thread

    return during


def decide(store: Store, cluster_id: str, decision: Decision, **said: Any) -> None:
    with store.writing() as session:
        reviewing.decide(session, cluster_id, Decided(decision, "rita", version=1, **said), NOW)


def found_in(store: Store) -> Clusters:
    with store.reading() as session:
        return {row.id: row for row in session.scalars(select(ClusterRow))}


def test_who_is_erased_meanwhile_stays_so_and_names_nothing(
    store: Store, miner: Miner, monkeypatch: pytest.MonkeyPatch
) -> None:
    def erase() -> None:
        with store.writing() as session:
            for number in range(40):
                if number % 3 != 1:
                    erasing.erase_author(session, f"author-{number}", "admin", NOW)

    def told(*given: Any) -> Any:
        described = reclustering.tell(*given)
        erase()
        return described

    monkeypatch.setattr(mining, "tell", told)
    assert miner.recluster().merges == 1
    assert found_in(store)["R1"].name == "Touting 1"
    assert len(ids(store)) == 13
    with store.reading() as session:
        assert set(session.scalars(select(RiskRow.cluster_id))) == {"R1"}


def test_law_11_what_a_person_withholds_meanwhile_gets_neither_words_nor_members(
    store: Store, miner: Miner, while_computed: Callable[[Callable[[], object]], None]
) -> None:
    while_computed(lambda: decide(store, "R1", Decision.MERGE, code="C11S1"))
    miner.recluster()
    rows = found_in(store)
    assert (rows["R1"].name, rows["R1"].words, rows["R1"].size) == ("(withheld)", [], 0)
    with store.reading() as session:
        assert list(session.scalars(select(RiskRow.id).where(RiskRow.cluster_id == "R1"))) == []


@pytest.mark.parametrize(
    ("cluster_id", "decision"), [("R1", Decision.RENAME), ("R1", Decision.CONFIRM), ("R2", Decision.REJECT)]
)
def test_a_decision_while_it_is_written_waits_and_stands(
    store: Store,
    miner: Miner,
    while_written: Callable[[Callable[[], object]], threading.Thread],
    cluster_id: str,
    decision: Decision,
) -> None:
    refused = list[str]()

    def work() -> None:
        try:
            decide(store, cluster_id, decision, name=NAME)
        except reviewing.ConflictError as error:
            refused.append(str(error))

    thread = while_written(work)
    miner.recluster()
    thread.join(20)
    row = found_in(store)[cluster_id]
    if cluster_id == "R2":  # it was merged before, and whoever decided hears of it
        assert (row.state, refused) == (ClusterState.GONE, ["cluster R2 has become part of R1"])
    else:
        assert (row.name, row.named_by, row.version, refused) == (NAME, "rita", 2, [])


def test_the_store_is_free_while_names_are_encoded(store: Store, miner: Miner, encoder: Numbers) -> None:
    numbers, times = itertools.count(), list[int]()

    def write() -> None:
        times.append(next(numbers))
        with store.writing() as session:
            session.get_one(ClusterRow, "R1").owner = f"owner {times[-1]}"

    encoder.asked = write
    miner.recluster()
    assert times
    assert found_in(store)["R1"].owner == f"owner {times[-1]}"
