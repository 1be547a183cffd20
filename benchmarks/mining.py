"""The mining of risks: `python -m benchmarks.mining PART...`, a line of JSON a part.

    planted-own, planted-reworded, planted-mixed   a month with planted truth (benchmarks/planted), by the real encoder
    taking, taking-encoded                         risks a second into a store, without and with the encoder
    reclustering                                   50,000 risks clustered anew, with the peak of memory

Rates are by the process's own CPU time: what one core can do, whatever else the machine does; wall time stands beside.
"""

import argparse
import json
import resource
import tempfile
import time
import zlib
from collections import Counter
from collections.abc import Sequence
from datetime import timedelta
from pathlib import Path

import numpy as np
from sklearn.metrics import adjusted_rand_score

from benchmarks.planted import feeding
from benchmarks.planted.history import BURSTS, FLOOD, RISKS, START, Planted, history
from proguard_core.novelty import clusters
from proguard_core.novelty.clusters import Floats
from proguard_core.novelty.encoder import SentenceEncoder
from proguard_core.novelty.novelty import Novelty
from proguard_core.policy.loader import load_policy
from worker.console.mining.embedding import Encoder
from worker.console.mining.intake import Batch, Intake, Read, moved
from worker.console.mining.miner import Miner
from worker.console.settings import ConsoleSettings
from worker.console.store import Store
from worker.console.store.arrivals import Place
from worker.settings import TopicSettings

_TAKEN, _ENCODED, _RECLUSTERED = 20_000, 2_000, 50_000
_BATCH = 2000


class Instant:
    """An encoder that takes no time: unit vectors picked by a text's hash."""

    def __init__(self) -> None:
        self._vectors = clusters.unit(np.random.default_rng(1).standard_normal((4096, 384)).astype(np.float32))

    def encode(self, texts: Sequence[str]) -> Floats:
        """As the real one."""
        return self._vectors[[zlib.crc32(text.encode()) % len(self._vectors) for text in texts]]


def planted(wording: str, risks: int) -> dict[str, object]:
    """ARI, ids, bursts and the flood of one month."""
    month = history(wording, risks)
    begun, cpu = time.monotonic(), time.process_time()
    with tempfile.TemporaryDirectory() as folder:
        store = Store(f"sqlite:///{folder}/risks.db", create=True)
        told = feeding.run(store, ConsoleSettings(), SentenceEncoder(), month)
        store.close()
    topics = _topics(month, told)
    emerged: dict[str, float] = {}
    for at, cluster, state in told.events:
        if state == "emerging":
            emerged.setdefault(topics[cluster], round((at - START) / timedelta(days=1), 2))
    return {
        "risks": len(month),
        "ari": round(_ari(month, told), 4),
        "clusters": len({*told.clusters.values()} - {None}),
        "ids_kept_all": round(float(np.average(told.kept)), 4),
        "ids_kept_least": round(min(told.kept), 4),
        "reclusterings": len(told.kept),
        "days_to_burst": {topic: round(emerged[topic] - day, 2) for topic, day in BURSTS.items() if topic in emerged},
        "bursts_missed": sorted(BURSTS.keys() - emerged.keys()),
        "emerged_besides": {topic: day for topic, day in emerged.items() if topic not in BURSTS},
        "held": sorted({topics[cluster] for _, cluster, state in told.events if state == "held"}),
        "flood_emerged": FLOOD in emerged,
        "cpu_s": round(time.process_time() - cpu, 1),
        "wall_s": round(time.monotonic() - begun, 1),
    }


def taking(risks: int, encoder: Encoder, texts: Sequence[Planted]) -> dict[str, object]:
    """Records of the retraining topic into a store, from their bytes to the committed transaction."""
    topics = TopicSettings()
    values = [feeding.hit(each).model_dump_json().encode() for each in texts[:risks]]
    with tempfile.TemporaryDirectory() as folder:
        store = Store(f"sqlite:///{folder}/risks.db", create=True)
        settings = ConsoleSettings()
        miner = Miner(store, settings, encoder, Novelty(load_policy(None)), feeding.Clock())
        intake = Intake(topics, settings)
        begins = {Place(topics.retraining, 0): 0}
        _warm(miner, encoder)
        begun, cpu = time.monotonic(), time.process_time()
        for first in range(0, risks, _BATCH):
            batch = Batch()
            for offset, value in enumerate(values[first : first + _BATCH], first):
                record = Read(topics.retraining, 0, offset, None, value, 0)
                intake.add(batch, record)
                moved(batch.arrivals.offsets, begins, record)
            miner.take(batch)
            begins = {place: go_on for place, (_, go_on) in batch.arrivals.offsets.items()}
        cpu, wall = time.process_time() - cpu, time.monotonic() - begun
        store.close()
    return {"risks": risks, "a_cpu_second": round(risks / cpu), "a_second": round(risks / wall)}


def reclustering(risks: int) -> dict[str, object]:
    """Vectors as those of the planted month, many times over with a little of their own."""
    month = history("mixed", 3000)
    encoder = SentenceEncoder()
    base = clusters.beside(encoder.encode([each.text for each in month]), encoder.encode([each.name for each in month]))
    draw = np.random.default_rng(1)
    picked = draw.integers(0, len(base), risks)
    vectors = clusters.unit(base[picked] + draw.normal(0, 0.02, (risks, base.shape[1])).astype(np.float32))
    old = [f"R{int(each)}" for each in picked % 12]
    begun, cpu = time.monotonic(), time.process_time()
    labels = clusters.cluster(vectors)
    clusters.match(old, labels)
    return {
        "risks": risks,
        "clusters": int(labels.max()) + 1,
        "cpu_s": round(time.process_time() - cpu, 1),
        "wall_s": round(time.monotonic() - begun, 1),
        "peak_mb": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024,
    }


def _warm(miner: Miner, encoder: Encoder) -> None:
    encoder.encode(["warm"])
    miner.take(Batch())


def _ari(month: Sequence[Planted], told: feeding.Told) -> float:
    """Noise is a cluster each in the truth, and so is what was put in none."""
    found = [told.clusters[feeding.risk_id(each)] or f"none-{each.number}" for each in month]
    return float(adjusted_rand_score([each.topic for each in month], found))


def _topics(month: Sequence[Planted], told: feeding.Told) -> dict[str, str]:
    """Of each cluster the topic that most of its members are of; of one that was merged, that of where they are now."""
    counts: dict[str, Counter[str]] = {}
    for each in month:
        if (cluster := told.clusters[feeding.risk_id(each)]) is not None:
            counts.setdefault(cluster, Counter())[each.topic.partition("-")[0]] += 1
    found = {cluster: topics.most_common(1)[0][0] for cluster, topics in counts.items()}
    for _, cluster, _ in told.events:
        now = cluster
        while now in told.successors:
            now = told.successors[now]
        found.setdefault(cluster, found.get(now, "gone"))
    return found


def main() -> None:
    """One part after another."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("parts", nargs="+")
    parser.add_argument("--risks", type=int, default=RISKS, help="of the planted month")
    parser.add_argument("--out", type=Path, help="JSON lines are added here too")
    arguments = parser.parse_args()
    for part in arguments.parts:
        kind, _, wording = part.partition("-")
        if kind == "planted":
            found = planted(wording, arguments.risks)
        elif part == "reclustering":
            found = reclustering(_RECLUSTERED)
        else:
            encoder: Encoder = SentenceEncoder() if wording else Instant()
            found = taking(_ENCODED if wording else _TAKEN, encoder, history("own", RISKS))
        line = json.dumps({"part": part, **found})
        print(line, flush=True)
        if arguments.out is not None:
            with arguments.out.open("a") as file:
                file.write(line + "\n")


if __name__ == "__main__":
    main()
