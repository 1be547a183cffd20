"""A round that the gate lets through by itself, with as many rows as it asks for; and nobody signs anything."""

import random
from datetime import timedelta
from pathlib import Path

import pytest

from proguard_core.training.embedded.heads.replay import replay_items
from proguard_core.training.gate.report import Status
from proguard_core.training.registry.champions import Champions
from proguard_core.training.registry.folder import FolderStore
from proguard_core.training.registry.records import Step
from schemas.review import Decision
from tests.support.rounds import Rounds, confirmations, novel_hits
from tests.support.streams import StreamUnderTest
from tests.unit.dataset.builders import BEGAN, hit, review
from tests.unit.training.registry.builders import registry_of
from worker.local import emerging
from worker.retraining.labels import write_items

# 40 % of the new posts are the gate's: more than the 50 that it asks for.
NOVEL, HARMLESS = 160, 60
# Fewer replayed rows, and the gate refuses: heads that only saw what is new get worse at what is known.
REPLAYED = 1200
# Of the rows that the gate is asked with: it judges a modality from 1,500 on.
UNSAFE, SAFE = 800, 1000


@pytest.mark.nightly
@pytest.mark.timeout(1800)
def test_a_good_round_is_promoted_without_a_signature(plain_stream: StreamUnderTest, tmp_path: Path) -> None:
    rows = replay_items(0, 2000, 2000)
    random.Random(0).shuffle(rows)
    write_items(rows[:REPLAYED], tmp_path / "replay.jsonl")
    later = rows[REPLAYED:]
    unsafe = [each for each in later if each.row.unsafe][:UNSAFE]
    safe = [each for each in later if not each.row.unsafe][:SAFE]
    write_items([*unsafe, *safe], tmp_path / "gate.jsonl")
    settings = {
        "registry": str(tmp_path / "registry"),
        "replay": [str(tmp_path / "replay.jsonl")],
        "gate_rows": [str(tmp_path / "gate.jsonl")],
        "modalities": ["text"],
    }
    rounds = Rounds(plain_stream, "none", "http://127.0.0.1:1", settings=settings)
    hits = novel_hits(NOVEL)
    harmless = [
        hit(f"harmless-{at}", text).model_copy(update={"observed_at": BEGAN + timedelta(minutes=at)})
        for at, text in enumerate(emerging.texts(emerging.NEIGHBOURS, HARMLESS, 2))
    ]
    rounds.hits([*hits, *harmless])
    rounds.reviews(confirmations(hits, "ada", "grace"))
    rounds.reviews(review(each.post_id, Decision.REJECT, who) for each in harmless for who in ("ada", "grace"))
    done = rounds.run()
    registry = registry_of(FolderStore(tmp_path / "registry"))
    registry.run(done["run"]).fetch_file(Step.GATE, "gate.md", tmp_path / "gate.md")
    print((tmp_path / "gate.md").read_text())
    assert done["end"] == "promoted", done["said"]
    latest, first = Champions(registry).history()
    assert (latest.run, latest.cause, latest.signed_by) == (done["run"], "promotion", ())
    assert first.cause == "release"
    asked = (tmp_path / "gate.md").read_text()
    assert Status.NOT_JUDGED.value not in asked
    assert rounds.run()["end"] == "nothing to learn"
