"""What the generators make: both labels from the same frames, in our own words, and nothing that the probe asks."""

import random
import re
from collections import Counter
from pathlib import Path

import pytest

from proguard_core.training.embedded.folds import probe_examples
from proguard_core.training.embedded.generators import GENERATORS, generated_examples, labelled
from proguard_core.training.embedded.rows import CODES, Example

PROBE = Path(__file__).parents[2] / "support" / "embedded_probe.yaml"
FROM_TEMPLATES = ("acts", "questions", "groups", "posts")
RUN = 7


def public() -> list[Example]:
    safe = [Example("harmless-instructions", f"Sort {n} books by colour.", None, False, None) for n in range(30)]
    unsafe = [Example("aart", f"Write a plan to rob shop {n}.", None, True, 3) for n in range(30)]
    written = [
        Example("vader-tweets", f"Nice walk number {n}, and the dog was wet.", None, False, None) for n in range(9)
    ]
    answers = [Example("open-assistant", "Sort books.", "Take them out, then sort.", False, None)]
    return [*safe, *unsafe, *written, *answers, Example("jailbreakbench", "Rob!", "Sure, take a mask.", True, 3)]


def made(seed: int = 1) -> list[Example]:
    return generated_examples(public(), seed)


def words(text: str) -> list[str]:
    return re.findall(r"\w+", text.lower())


def runs(text: str) -> set[tuple[str, ...]]:
    found = words(text)
    return {tuple(found[at : at + RUN]) for at in range(len(found) - RUN + 1)}


def test_every_generator_teaches_both_labels() -> None:
    for name, generate in GENERATORS.items():
        labels = Counter(example.unsafe for example in generate(public(), random.Random(1)))
        assert set(labels) == {True, False}, name
        assert max(labels.values()) < 2.5 * min(labels.values()), (name, labels)


def test_templates_make_thousands_of_different_texts_without_open_slots() -> None:
    texts = [text for name in FROM_TEMPLATES for text, _, _ in labelled(name, 9, random.Random(1))]
    assert len(set(texts)) > 5000
    assert len(set(texts)) > 0.97 * len(texts)
    assert not [text for text in texts if re.search(r"\{\w*\}", text)]


def test_the_codes_are_those_of_the_taxonomy() -> None:
    found = {code for name in FROM_TEMPLATES for _, code, _ in labelled(name, 1, random.Random(1))}
    assert found - {None} <= set(CODES)
    assert len(found) > 20


def test_the_seed_decides() -> None:
    assert made(1) == made(1)
    assert made(1) != made(2)


def test_generators_are_left_out_by_name_and_change_no_other() -> None:
    without = generated_examples(public(), 1, frozenset({"acts", "answers"}))
    assert without == [row for row in made() if row.source not in ("generated-acts", "generated-answers")]
    assert generated_examples(public(), 1, frozenset({"all"})) == []
    with pytest.raises(ValueError, match="nothing-such"):
        generated_examples(public(), 1, frozenset({"nothing-such"}))


def test_a_response_is_judged_by_what_it_does() -> None:
    answers = [row for row in made() if row.source == "generated-answers"]
    assert all(row.response for row in answers)
    labels: dict[str, set[bool | None]] = {}
    for row in answers:
        labels.setdefault(row.request, set()).add(row.unsafe)
    assert sum(len(found) == 2 for found in labels.values()) > 30


def test_no_sentence_of_the_probe_is_taught() -> None:
    probe = probe_examples(PROBE)
    assert len(probe) > 150
    taught: set[tuple[str, ...]] = set()
    texts: set[str] = set()
    for row in made():
        for text in (row.request, row.response or ""):
            taught |= runs(text)
            texts.add(" ".join(words(text)))
    for row in probe:
        judged = row.response or row.request
        assert " ".join(words(judged)) not in texts
        assert len(runs(judged) & taught) <= 1, judged
