"""A new name counts as one however it is typed, and what people confirmed beside it counts as it."""

import unicodedata
from pathlib import Path

import pytest
import yaml

from proguard_core.dataset.items import Item, Origin
from proguard_core.evaluation.answers import Answer
from proguard_core.evaluation.rows import Row
from proguard_core.novelty import bank as banks
from proguard_core.novelty.novelty import Novelty
from proguard_core.training.registry.records import Step
from schemas.common import CategoryKind, Outcome
from schemas.review import Decision
from tests.unit.dataset.builders import POLICY, review
from tests.unit.retraining.test_rounds import CATEGORY, Memory, Place
from tests.unit.training.registry.builders import registry_in, run_record
from worker.retraining import judging, labels
from worker.retraining.run import End
from worker.retraining.settings import RetrainingSettings
from worker.retraining.steps import BANK, Bench

NAME = "Café drug dealing"
SYNONYM = "Drugs sold over the counter of a bar"
WIDE = {ord(letter): ord(letter) + 0xFEE0 for letter in "abcdefghijklmnopqrstuvwxyz"}


@pytest.mark.parametrize("typed", [unicodedata.normalize("NFD", NAME), NAME.translate(WIDE)])
def test_people_are_counted_however_they_type_a_name(typed: str) -> None:
    said = [review("a", Decision.CONFIRM, name=typed), review("a", Decision.CONFIRM, "grace", name=NAME)]
    assert labels.approvals(said, POLICY) == {NAME: 2}


def test_a_name_is_held_against_minors_and_the_policy_however_it_is_typed() -> None:
    typed = "Sexual images of children".translate(WIDE)
    said = [review("a", Decision.CONFIRM, name=typed, synonyms=["Harmless"])]
    assert "Sexual images of children" in labels._new_words(said[0], POLICY)
    assert labels._code(review("a", Decision.CONFIRM, name="Weapons".translate(WIDE)), POLICY) is not None


def test_a_round_under_a_name_that_is_typed_in_wide_letters_waits_for_a_signature(tmp_path: Path) -> None:
    topics = Memory()
    topics.review("ada", "grace")
    typed = {"name": CATEGORY.name.translate(WIDE), "synonyms": [SYNONYM]}
    topics.reviews = [each.model_copy(update=typed) for each in topics.reviews]
    place = Place(tmp_path / "one", topics)
    done = place.round()
    assert done.end is End.WAITS, done
    (run,) = place.begun
    run.fetch_file(Step.DATASET, BANK, tmp_path / "bank.yaml")
    kept = banks.load(tmp_path / "bank.yaml")
    assert kept.of(CATEGORY.name) == (SYNONYM,)
    assert kept.words == banks.load().words, "what the shipped bank has stays"
    assert run.finished(Step.DATASET).facts["bank"] == kept.version


def test_a_confirmed_synonym_counts_as_found(tmp_path: Path) -> None:
    registry = registry_in(tmp_path / "registry")
    run = registry.begin(run_record("one"))
    work = tmp_path / "work"
    (work / "dataset").mkdir(parents=True)
    (work / "dataset" / BANK).write_text(yaml.safe_dump({"format": banks.FORMAT, "phrases": {NAME.upper(): [SYNONYM]}}))
    run.finish(Step.DATASET, facts={"approvals": {NAME: 2}})
    run.finish(Step.TRAIN, facts={"new": [NAME]})
    bench = Bench(RetrainingSettings(), POLICY, registry, Memory(), work, Novelty(POLICY))
    row = Row("a", "A post", request_label=Outcome.UNSAFE, ood_name=NAME)
    (arrival,) = judging._arrivals(bench, run, [Item(row, Origin.REVIEW)])
    assert (arrival.reviewers, len(arrival.items)) == (2, 1)
    assert arrival.is_named(Answer(Outcome.UNSAFE, kind=CategoryKind.NOVEL, name=SYNONYM))
    assert not arrival.is_named(Answer(Outcome.UNSAFE, kind=CategoryKind.NOVEL, name="Scalping"))
