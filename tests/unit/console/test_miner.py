"""The miner without a broker: what it remembers has a bound."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest

from proguard_core.novelty import novelty as module
from proguard_core.novelty.clusters import Floats
from proguard_core.novelty.novelty import Novelty, Place
from proguard_core.policy.loader import load_policy
from tests.support.risks import NOW, hit, unit
from worker.console.mining.intake import Batch
from worker.console.mining.miner import Miner
from worker.console.settings import ConsoleSettings
from worker.console.store import Store
from worker.console.store.arrivals import NewRisk


class Encoder:
    """One vector for all."""

    def encode(self, texts: Sequence[str]) -> Floats:
        return np.stack([unit(1) for _ in texts])


class Compared:
    """In the place of the encoder: nothing is near to anything; asked: the names."""

    def __init__(self) -> None:
        self.asked: list[str] = []

    def near(self, names: Sequence[str]) -> list[Place]:
        self.asked += names
        return [(None, None) for _ in names]


def test_names_seen_lately_are_compared_once_and_old_ones_forgotten(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "REMEMBERED", 3)
    compared, novelty = Compared(), Novelty(load_policy(None))
    monkeypatch.setattr(novelty, "_loaded", lambda: compared)
    store = Store(f"sqlite:///{tmp_path / 'risks.db'}", create=True)
    miner = Miner(store, ConsoleSettings(), Encoder(), novelty, lambda: NOW)
    for names in ("ab", "abcde", "a", "ef", "b"):
        batch = Batch()
        for number, name in enumerate(names):
            made = hit(number, name=name)
            batch.arrivals.risks[made.risk_id] = NewRisk(made)
        miner.take(batch)
        assert len(novelty._known) <= 3
    assert compared.asked[:5] == ["a", "b", "c", "d", "e"]
    assert len(compared.asked) > 5
    store.close()
