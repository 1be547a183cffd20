"""Rows with codes that only the policy of the round has: replayed, learned, judged; others are refused by name."""

import json
from dataclasses import replace
from pathlib import Path

import pytest

from proguard_core.dataset.items import Item, Origin
from proguard_core.evaluation.rows import Row
from proguard_core.policy.loader import load_policy
from proguard_core.policy.policy import Policy
from proguard_core.training.embedded.heads.replay import replay_items
from proguard_core.training.gate.report import JSON_FILE
from proguard_core.training.registry.records import Step
from schemas.common import Outcome
from tests.unit.retraining.test_rounds import CATEGORY, Memory, Place
from worker.errors import ConfigurationError
from worker.local import emerging
from worker.retraining.labels import write_items
from worker.retraining.run import End

CODE = "C12"


def listing() -> Policy:
    """Ours with match fixing under a code of its own."""
    policy = load_policy()
    alike = policy.categories["C9"]
    own = replace(alike, code=CODE, name=CATEGORY.name, description=CATEGORY.description, synonyms=CATEGORY.synonyms)
    return replace(policy, version="listing", categories={**policy.categories, CODE: own})


def rows(code: str, count: int, seed: int) -> list[Item]:
    return [
        Item(
            Row(f"{seed} {at}", text, request_label=Outcome.UNSAFE, categories=(code,)),
            Origin.OWN,
            author=f"{seed} author {at}",
        )
        for at, text in enumerate(emerging.texts(emerging.POSTS, count, seed))
    ]


@pytest.fixture
def place(tmp_path: Path) -> Place:
    topics = Memory()
    topics.review("ada", "grace")
    return Place(tmp_path / "one", topics, listing())


def test_a_platforms_category_is_replayed_learned_and_judged(place: Place) -> None:
    write_items([*replay_items(0, 50, 50), *rows(CODE, 30, 7)], place.replay)
    gate_rows = place.folder / "gate.jsonl"
    write_items(rows(CODE, 60, 99), gate_rows)
    waits = place.round(gate_rows=[gate_rows])
    assert waits.end is End.WAITS, waits
    (run,) = place.begun
    file = place.folder / "file"
    run.fetch_file(Step.DATASET, "train.jsonl", file)
    taught = [json.loads(line)["category"] for line in file.read_text().splitlines()]
    assert taught.count(CODE) > 30, "replayed and reviewed rows have the policy's code"
    run.fetch_file(Step.GATE, JSON_FILE, file)
    found = json.loads(file.read_text())
    assert found["rows"]["text"] >= 60
    (of_it,) = [each for each in found["findings"] if each["subject"].startswith(f"{CATEGORY.name}: its own rows")]
    assert of_it["rows"] > 0


def test_a_code_that_nobody_lists_is_refused_by_name(place: Place) -> None:
    gate_rows = place.folder / "gate.jsonl"
    write_items([*rows(CODE, 2, 99), *rows("C14", 2, 98)], gate_rows)
    with pytest.raises(ConfigurationError, match=r"gate_rows: .*'C14' is not in the taxonomy, and the policy does not"):
        place.round(gate_rows=[gate_rows])
