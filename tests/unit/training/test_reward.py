"""The reward meets its golden table, by itself and through both adapters; it fails where it cannot be computed."""

import json
import shutil
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray

from proguard_core.judgement import parse
from proguard_core.novelty.description import PAPER_BOUNDS
from proguard_core.novelty.manifest import FOLDER
from proguard_core.policy.prompts.contract import PromptKind
from proguard_core.training.descriptions import Descriptions, RewardError, shipped
from proguard_core.training.reward import RewardSettings, rewards
from proguard_core.training.strict_answers import read_exactly
from proguard_core.training.trl_reward import trl_reward
from proguard_core.training.truth import Truth, TruthError, from_json
from proguard_core.training.verl_reward import compute_score
from schemas.common import Outcome
from tests.unit.training.golden import POLICY, Case, cases, well_formed

NAMED = pytest.mark.parametrize("case", cases(), ids=lambda case: case.name)
PARTS = ("form", "request", "response", "category")


def test_the_table_is_long_enough() -> None:
    assert len(cases()) >= 60
    assert len({case.name for case in cases()}) == len(cases())


@NAMED
def test_function(case: Case) -> None:
    scores = rewards([case.answer], [case.truth], POLICY, case.descriptions, case.reward_settings)
    assert [getattr(scores, part)[0] for part in PARTS] == pytest.approx(case.expected, abs=1e-6)
    assert scores.total[0] == pytest.approx(case.total, abs=1e-6)
    assert scores.faults.get(0) == case.fault


@NAMED
def test_trl(case: Case) -> None:
    reward = trl_reward(POLICY, case.descriptions, case.reward_settings)
    turn = [{"role": "assistant", "content": case.answer}]
    columns = {"prompts": ["", ""], "completion_ids": [[], []], "trainer_state": None, "images": [[], []]}
    given_both = reward(completions=[turn, case.answer], ground_truth=[case.truth.to_json()] * 2, **columns)
    assert given_both == pytest.approx([case.total] * 2, abs=1e-6)


@NAMED
def test_verl(case: Case) -> None:
    said = compute_score(
        "proguard/text", case.answer, case.truth.to_json(), {"index": 0},
        made=(POLICY, case.descriptions), reward_router_address=None, reward_model_tokenizer=None, **case.settings,
    )  # fmt: skip
    assert said["score"] == pytest.approx(case.total, abs=1e-6)
    assert [said[part] for part in PARTS] == pytest.approx(case.expected, abs=1e-6)


def test_a_batch_is_the_same_as_its_rows_and_takes_one_embedding_batch() -> None:
    calls: list[int] = []

    class Counting:
        def encode(self, texts: Sequence[str]) -> NDArray[np.float32]:
            calls.append(len(texts))
            seeds = [sum(map(ord, text)) for text in texts]
            vectors = np.stack([np.random.default_rng(seed).normal(size=16) for seed in seeds])
            return np.asarray(vectors / np.linalg.norm(vectors, axis=1, keepdims=True), np.float32)

    plain = [case for case in cases() if not case.settings]
    answers, truths = [case.answer for case in plain], [case.truth for case in plain]
    descriptions = Descriptions(Counting(), POLICY, PAPER_BOUNDS)
    calls.clear()
    together = rewards(answers, truths, POLICY, descriptions)
    assert len(calls) == 1
    alone = [rewards([a], [t], POLICY, descriptions).total[0] for a, t in zip(answers, truths, strict=True)]
    assert together.total == pytest.approx(alone, abs=1e-6)
    before = len(calls)
    rewards(answers[:3], truths[:3], POLICY, descriptions)
    assert len(calls) == before, "without a guessed name nothing is embedded"


@NAMED
def test_truths_survive_json(case: Case) -> None:
    assert from_json(case.truth.to_json()) == case.truth


@pytest.mark.parametrize(
    "text",
    ["", "[]", "{}", '{"kind": "sound"}', '{"kind": "text", "codes": "C1"}', '{"kind": "text", "request": "bad"}',
     '{"kind": "text", "request": "unsafe", "codes": ["C1S1"], "listed": ["C1S2"]}',
     '{"kind": "text", "request": "safe", "codes": ["C1S1"], "listed": ["C1S1"]}'],
)  # fmt: skip
def test_what_is_no_truth_is_refused(text: str) -> None:
    with pytest.raises(TruthError):
        from_json(text)


LABEL = st.sampled_from(["safe", "unsafe"])
REASONING = st.text(st.characters(exclude_categories=["Cs"]), min_size=1, max_size=60)


@given(
    REASONING,
    st.sampled_from(["safe", "unsafe"]),
    st.sampled_from(["safe", "unsafe"]),
    st.sampled_from(list(PromptKind)),
)
def test_what_learning_accepts_serving_reads_the_same(
    reasoning: str, request: str, response: str, kind: PromptKind
) -> None:
    said = {"request": request} | ({} if kind is PromptKind.IMAGE else {"response": response})
    is_unsafe = "unsafe" in said.values()
    code = "C8" if kind is PromptKind.TEXT_IMAGE else "C8S1"
    text = well_formed(said | {"category": code if is_unsafe else "None"})
    text = text.replace("It speaks for itself.", reasoning)
    strict = read_exactly(text, kind)
    if strict is None:
        return
    served = parse(text, kind, POLICY, has_response=True)
    assert (served.request, served.response) == (strict.request, strict.response)
    assert served.category.code == (code if is_unsafe else None)
    assert served.outcome is (Outcome.UNSAFE if is_unsafe else Outcome.SAFE)


class Broken:
    def __init__(self, answer: NDArray[np.float32] | None = None) -> None:
        self.answer = answer

    def encode(self, texts: Sequence[str]) -> NDArray[np.float32]:
        if self.answer is None:
            raise ConnectionError("nobody answers")
        return np.broadcast_to(self.answer, (len(texts), self.answer.shape[-1])).copy()


@pytest.mark.parametrize(
    "answer", [None, np.zeros(4, np.float32), np.full(4, np.nan, np.float32), np.ones(4, np.float32)]
)
def test_an_encoder_that_fails_stops_the_training(answer: NDArray[np.float32] | None) -> None:
    with pytest.raises(RewardError, match="encoder"):
        Descriptions(Broken(answer), POLICY, PAPER_BOUNDS)
    encoder = Broken(np.array([1, 0, 0, 0], np.float32))
    descriptions = Descriptions(encoder, POLICY, PAPER_BOUNDS)
    encoder.answer = answer
    truth = Truth(PromptKind.IMAGE, Outcome.UNSAFE, phrases=("Secret casinos",))
    name = well_formed({"request": "unsafe", "category": "Underground betting parlours"})
    with pytest.raises(RewardError, match="encoder"):
        trl_reward(POLICY, descriptions)(completions=[name], ground_truth=[truth.to_json()])
    with pytest.raises(RewardError, match="encoder"):
        compute_score("", name, truth.to_json(), made=(POLICY, descriptions))


def test_a_missing_or_changed_encoder_is_said(tmp_path: Path) -> None:
    with pytest.raises(RewardError, match="cannot be read"):
        shipped(POLICY, tmp_path)
    folder = tmp_path / "model"
    shutil.copytree(FOLDER, folder)
    (folder / "tokenizer.json").write_bytes(b"{}")
    with pytest.raises(RewardError, match="not the one that its thresholds were fitted to"):
        shipped(POLICY, folder)


def test_an_encoder_without_fitted_thresholds_is_said(tmp_path: Path) -> None:
    folder = tmp_path / "model"
    shutil.copytree(FOLDER, folder)
    manifest = json.loads((folder / "manifest.json").read_text())
    del manifest["description"]
    (folder / "manifest.json").write_text(json.dumps(manifest))
    with pytest.raises(RewardError, match="no fitted thresholds"):
        shipped(POLICY, folder)


def test_a_misspelt_setting_of_verl_is_said() -> None:
    with pytest.raises(RewardError, match="no gate: consistent, exact, gated"):
        compute_score("", "", "{}", gate=False)
    with pytest.raises(RewardError, match="there is no such file"):
        compute_score("", "", "{}", policy_path="no such file")


def test_trl_logs_the_parts() -> None:
    logged: dict[str, float] = {}
    some = cases()[:3]
    reward = trl_reward(POLICY, some[0].descriptions)
    reward([case.answer for case in some], [case.truth.to_json() for case in some], log_metric=logged.__setitem__)
    assert logged["reward/form"] == pytest.approx(2 / 3)
    assert logged["reward/text"] == pytest.approx(2)
    assert set(logged) >= {"reward/request", "reward/response", "reward/category", "reward/bonus", "reward/name_faults"}


GENERAL = (
    *("Harmful and Dangerous Content", "Dangerous Behavior Encouragement", "Inappropriate Material Sharing"),
    *("Offensive Social Media Posts", "Unethical Conduct Guidance", "Criminal Activity Support"),
)


def bonuses(descriptions: Descriptions, names: Sequence[str], phrases: tuple[str, ...], main: str) -> list[float]:
    listed = tuple(code for code in POLICY.subcategories if not code.startswith(f"{main}S"))
    truth = Truth(
        PromptKind.IMAGE, Outcome.UNSAFE, phrases=phrases, mains=(main,), listed=listed, meanings=listed
    )  # fmt: skip
    answers = [well_formed({"request": "unsafe", "category": name}) for name in names]
    found: list[float] = rewards(answers, [truth] * len(answers), POLICY, descriptions).bonus.tolist()
    return found


def test_with_the_shipped_encoder_general_names_earn_no_bonus_and_synonyms_do() -> None:
    descriptions = shipped(POLICY)
    of_general: list[float] = []
    of_synonyms: list[float] = []
    for item in POLICY.subcategories.values():
        phrases = (item.name, *item.synonyms)
        of_general += bonuses(descriptions, GENERAL, phrases, item.main)
        of_synonyms += bonuses(descriptions, phrases[-1:], phrases[:-1], item.main)
    assert np.mean(of_general) < 0.01
    assert np.mean(np.array(of_synonyms) > 0) > 0.5


def test_settings_are_named_and_apply() -> None:
    truth = Truth(PromptKind.TEXT, Outcome.SAFE, Outcome.SAFE, listed=("C8S1",), meanings=("C8S1",))
    answer = well_formed({"request": "safe", "response": "safe", "category": "None"})
    settings = RewardSettings(request=3, response=5, exact=7)
    assert rewards([answer], [truth], POLICY, cases()[0].descriptions, settings).total.tolist() == [15]
    with pytest.raises(RewardError, match="2 answers to 1"):
        rewards([answer, answer], [truth], POLICY, cases()[0].descriptions)
