"""What the benchmark of learning rests on: a form that tells nothing, constant answers, intervals. Without torch."""

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from benchmarks.grpo_learning import measure, report, rows
from benchmarks.grpo_learning.pictures import CELL, COLUMNS, LINES, draw_words, words_shown
from benchmarks.grpo_learning.warm_up import random_answer
from proguard_core.policy.prompts.contract import PromptKind
from proguard_core.policy.prompts.renderer import Prompts
from proguard_core.training.descriptions import Descriptions, shipped
from proguard_core.training.strict_answers import read_exactly
from proguard_core.training.truth import Truth
from schemas.common import Outcome

POLICY = rows.small_policy()
CODES = tuple(POLICY.subcategories)


@pytest.fixture(scope="module")
def known() -> Descriptions:
    return shipped(POLICY)


def truths(safe: int, **unsafe: int) -> list[Truth]:
    shown: dict[str, Any] = {"kind": PromptKind.TEXT, "response": Outcome.SAFE, "listed": CODES, "meanings": CODES}
    found = [Truth(request=Outcome.SAFE, **shown)] * safe
    for code, count in unsafe.items():
        found += [Truth(request=Outcome.UNSAFE, codes=(code,), **shown)] * count
    return found


def _named(row: str) -> SimpleNamespace:
    return SimpleNamespace(row=SimpleNamespace(id=row))


def test_prompts_name_every_listed_code_and_little_else() -> None:
    prompts = Prompts(POLICY, rows.TEMPLATES)
    assert prompts.system(PromptKind.TEXT).split() == list(CODES)
    assert prompts.system(PromptKind.TEXT_IMAGE).split() == list(POLICY.categories)


@pytest.mark.parametrize("kind", list(PromptKind))
def test_the_form_is_taught_and_the_labels_are_not(kind: PromptKind) -> None:
    listed = tuple(POLICY.categories) if kind is PromptKind.TEXT_IMAGE else CODES
    truth = SimpleNamespace(kind=kind, listed=listed)
    made = [random_answer(SimpleNamespace(truth=truth, item=_named(f"{at}")), 0) for at in range(400)]  # type: ignore[arg-type]
    read = [read_exactly(text, kind) for text in made]
    assert all(each is not None and each.consistent for each in read)
    unsafe = sum(each is not None and each.request is Outcome.UNSAFE for each in read)
    assert 150 < unsafe < 250
    assert {each.category for each in read if each is not None} == {"None", *listed}


def test_the_best_constant_answer(known: Descriptions) -> None:
    """By hand: "safe" earns 2 for each safe row, a code 1 for an unsafe one and 1 or 0.5 for its category."""
    mostly_safe = truths(6, C7S1=2, C9S3=2)
    value, text = measure._best_constant(mostly_safe, POLICY, known)
    assert value == pytest.approx(1.2)
    assert "Category:None" in text
    mostly_hate = truths(2, C7S1=6, C9S3=2)
    value, text = measure._best_constant(mostly_hate, POLICY, known)
    assert value == pytest.approx((6 * 2 + 2 * 1.5) / 10)
    assert "Category:C7S1" in text


def test_a_guard_that_says_one_thing_beats_nothing(known: Descriptions) -> None:
    asked = truths(45, C7S1=20, C8S2=18, C9S3=17)
    one = "<think>word</think>\n<answer>\nRequest:safe\nResponse:safe\nCategory:None\n</answer>"
    said = measure.measured([one] * len(asked), asked, [True] * len(asked), POLICY, known)
    assert (said.form, said.balanced.value) == (1.0, 0.5)
    assert said.earned.value == pytest.approx(0.9)
    result = {"earned": {"low": said.earned.low}, "constant": said.constant, "balanced": {"low": said.balanced.low}}
    assert not report.is_beaten(result)
    right = [
        one
        if truth.safe
        else one.replace("Request:safe", "Request:unsafe").replace("Category:None", f"Category:{truth.codes[0]}")
        for truth in asked
    ]
    said = measure.measured(right, asked, [True] * len(asked), POLICY, known)
    assert (said.right, said.balanced.low, said.earned.value) == (1.0, 1.0, 2.0)
    # What cannot be read is wrong for safe and for unsafe rows.
    said = measure.measured(["?"] * len(asked), asked, [True] * len(asked), POLICY, known)
    assert (said.form, said.balanced.value, said.earned.value) == (0.0, 0.0, 0.0)


def test_pictures_show_the_longest_words_and_come_again_the_same(tmp_path: Path) -> None:
    from PIL import Image

    shown = words_shown("Tell me: bakery, umbrella, lake, harbour, mountains, violin and grandmother")
    assert shown == ("bakery", "umbrella", "harbour", "mountains", "violin", "grandmother")
    path = draw_words(shown, tmp_path)
    with Image.open(path) as opened:
        assert opened.size == (COLUMNS * CELL, LINES * CELL)
    assert draw_words(shown, tmp_path) == path


def test_the_plot_has_a_line_a_run_and_a_panel_a_modality() -> None:
    curves = {name: [(step, step / 10) for step in range(12)] for name in ("text", "image")}
    runs = [{"sampling": name, "curves": curves} for name in ("balanced", "adaptive")]
    drawn = report.plot(runs)
    assert drawn.count('fill="none"') == 4
    assert drawn.count("reward of rollouts") == 2
