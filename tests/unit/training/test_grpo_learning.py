"""What the benchmark of learning rests on: a form that tells nothing, constant answers, intervals. Without torch."""

import hashlib
import json
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import yaml

from benchmarks.grpo_learning import measure, report, rows
from benchmarks.grpo_learning import round as rounds
from benchmarks.grpo_learning.pictures import CELL, COLUMNS, LINES, draw_words, words_shown
from benchmarks.grpo_learning.warm_up import random_answer
from proguard_core.policy.loader import load_policy
from proguard_core.policy.prompts.contract import PromptKind
from proguard_core.policy.prompts.renderer import Prompts
from proguard_core.training.descriptions import Descriptions, shipped
from proguard_core.training.strict_answers import read_exactly
from proguard_core.training.truth import Truth
from schemas.common import Outcome
from tests.unit.dataset.builders import item, picture

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


def test_the_rounds_policy_file_lists_what_the_benchmark_lists(tmp_path: Path) -> None:
    (tmp_path / "policy.yaml").write_text(yaml.safe_dump(rounds.policy_file(), allow_unicode=True))
    read = load_policy(tmp_path / "policy.yaml")
    assert (read.categories, read.subcategories) == (POLICY.categories, POLICY.subcategories)


def test_hits_are_texts_half_of_them_safe_and_the_same_for_a_seed() -> None:
    texts = [item(f"t{at}", code=rows.CODES[at % 3] if at % 4 else None) for at in range(200)]
    others = [item(f"p{at}", "", images=(f"{at}.png",)) for at in range(100)]
    chosen = rounds.hits([*texts, *others], 3)
    assert len({each.row.id for each in chosen}) == rounds.HITS
    assert sum(each.row.unsafe for each in chosen) == rounds.HITS // 2
    assert not any(each.row.images for each in chosen)
    assert rounds.hits([*texts, *others], 3) == chosen
    assert rounds.hits([*texts, *others], 4) != chosen


def test_a_held_out_row_in_the_rounds_dataset_is_found_by_its_words_and_its_picture(tmp_path: Path) -> None:
    (tmp_path / "a.png").write_bytes(picture(1))
    held = [item("text"), item("picture", "", images=(str(tmp_path / "a.png"),))]
    made: Any = SimpleNamespace(held_out=[SimpleNamespace(item=each) for each in held])
    digest = hashlib.sha256(picture(1)).hexdigest()
    learned = [
        {"id": "other", "request": "Something else", "images": []},
        {"id": "same picture beside other words", "request": "Something else", "images": [f"pictures/{digest}"]},
        {"id": "another id, the same words", "request": held[0].row.request, "images": []},
        {"id": "the picture", "request": "", "images": [f"pictures/{digest}"]},
    ]
    assert rounds.leaked(learned, made) == ["another id, the same words", "the picture"]


def test_curves_are_read_from_the_newest_whole_checkpoint_and_none_is_removed(tmp_path: Path) -> None:
    assert rounds._curves(tmp_path) == {}
    for number, sealed in ((4, True), (20, True), (100, False)):
        folder = tmp_path / "run" / "training" / f"checkpoint-{number}"
        folder.mkdir(parents=True)
        log = [{"step": number, "reward/text": 1.5}, {"step": number, "loss": 0.0}]
        (folder / "trainer_state.json").write_text(json.dumps({"log_history": log}))
        if sealed:
            (folder / "seal.json").write_text("{}")
    assert rounds._curves(tmp_path)["text"] == [(20, 1.5)]
    assert (tmp_path / "run" / "training" / "checkpoint-100").is_dir()


def test_a_round_is_told_from_a_trainer_started_by_itself() -> None:
    after = {
        "rows": 10,
        "earned": {"value": 1.5, "low": 1.4, "high": 1.6},
        "constant": 0.9,
        "balanced": {"value": 0.8, "low": 0.7, "high": 0.9},
        "within": {"value": 0.6, "low": 0.5, "high": 0.7},
        "right": 0.5,
    }
    run = {"seed": 1, "sampling": "balanced", "before": {"text": {**after, "form": 1.0}}, "after": {"text": after}}
    alone, whole = run, {**run, "through": report.RETRAIN}
    first, second = report.table([alone, whole]).splitlines()[-2:]
    assert first.startswith("| 1 | balanced | text | 10 | 100.0% |")
    assert second.startswith("| 1 | balanced, by `proguard retrain` | text | 10 |")
    curves = {"text": [(step, 1.0) for step in range(12)]}
    drawn = report.plot([{**alone, "curves": curves}, {**whole, "curves": curves}])
    assert "by `proguard retrain`</text>" in drawn
    assert drawn.count('fill="none"') == 2
