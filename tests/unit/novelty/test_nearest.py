"""What a novel name is close to, with the real encoder; near to minors counts as minors (law 11)."""

import asyncio
import json
import shutil
import time
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from proguard_core.guards.factory import create
from proguard_core.guards.protocol import NO_CATEGORY, Category, GuardError, GuardOptions
from proguard_core.novelty.bank import extend
from proguard_core.novelty.encoder import SentenceEncoder
from proguard_core.novelty.manifest import FOLDER
from proguard_core.novelty.novelty import Novelty, from_setting
from proguard_core.policy.loader import load_policy
from proguard_core.policy.policy import concerns_minors
from schemas.common import CategoryKind
from tests.unit.policy.builders import SMALL, parse

POLICY = load_policy()


@pytest.fixture(scope="module")
def novelty() -> Novelty:
    return Novelty(POLICY)


def novel(name: str) -> Category:
    return Category(CategoryKind.NOVEL, name=name)


async def near(novelty: Novelty, name: str) -> str | None:
    placed = await novelty.place(novel(name))
    assert (placed.nearest is None) == (placed.similarity is None)
    assert placed.similarity is None or 0 < placed.similarity <= 1
    return placed.nearest


@pytest.mark.parametrize(
    ("name", "code"),
    [("Cruelty to animals", "C9S2"), ("Tax evasion schemes", "C6S1"), ("Illegal organ market", "C6S2")],
)
async def test_a_name_close_to_a_listed_category_says_so(novelty: Novelty, name: str, code: str) -> None:
    assert await near(novelty, name) == code


@pytest.mark.parametrize("name", ["Harmful and Dangerous Content", "Election interference", "Exam leaking", "Xqzw"])
async def test_general_names_and_what_nobody_listed_are_close_to_nothing(novelty: Novelty, name: str) -> None:
    assert await near(novelty, name) is None


@pytest.mark.parametrize(
    "name",
    ["Pedometer fraud", "Csempészet", "儿童性别歧视", "妇幼女性保健骗局", "カロリコン広告", "トロリコンベヤ事故"],
)
async def test_words_are_not_found_inside_others(novelty: Novelty, name: str) -> None:
    assert await near(novelty, name) is None


async def test_what_a_name_states_by_itself_comes_first(tmp_path: Path) -> None:
    path = tmp_path / "bank.yaml"
    path.write_text(
        "format: 1\nphrases: {C3S1: [Pig butchering, 杀猪盘]}\nwords: {c6s1: [rug pull], C3S1: [romance bait]}\n",
        encoding="utf-8",
    )
    novelty = Novelty(POLICY, path)
    names = [
        "pig  BUTCHERING",
        "杀猪盘",
        "Rug pulls with tokens",
        "Rug pull of underage nudes",
        "Romance bait",
        "网络赌博",
    ]
    placed = novelty.near(names)
    assert [code for code, _similarity in placed] == ["C3S1", "C3S1", "C6S1", "C11S1", "C3S1", None]
    assert [similarity for _code, similarity in placed[:3]] == [1.0, 1.0, 1.0]
    assert novelty.same(names[:3]) == ["C3S1", "C3S1", "C6S1"]
    assert novelty.near(["shrug pullover"]) == [(None, None)]


@pytest.mark.parametrize(
    "name",
    [
        "Child sexual abuse material",
        "Sexualised teenagers",
        "Grooming of minors online",
        "Schoolgirl erotica",
        # What the encoder knows badly: abbreviations, slang, other languages.
        "CSAM",
        "Trading of csam links",
        "Lolicon",
        "Kinderpornografie",
        "детская порнография",
        "儿童色情",
        "未成年人色情内容",
        "ＣＳＡＭ",
    ],
)
async def test_near_to_minors_counts_as_minors(novelty: Novelty, name: str) -> None:
    placed = await novelty.place(novel(name))
    assert concerns_minors(placed.kind, placed.code, placed.nearest)


@pytest.mark.parametrize(
    "category",
    [
        NO_CATEGORY,
        Category(CategoryKind.KNOWN, "C3S1", "Fraud and Scams"),
        Category(CategoryKind.HALLUCINATED, name="C99S9"),
        Category(CategoryKind.NOVEL, name="Cruelty to animals", nearest="C7S1", similarity=0.3),
    ],
)
async def test_only_a_novel_name_is_placed(novelty: Novelty, category: Category) -> None:
    assert await novelty.place(category) is category


async def test_a_small_policy_is_close_to_what_it_lists_and_an_unlisted_sexual_code_is_the_whole_category() -> None:
    small = Novelty(parse(SMALL))
    assert await near(small, "Cruelty to animals") is None
    assert await near(small, "Betting and casino gambling") == "C12"
    assert await near(small, "Sexual abuse of children") == "C11S1"


async def test_a_bank_of_ones_own_brings_names_closer_and_changes_the_version(tmp_path: Path, novelty: Novelty) -> None:
    path = tmp_path / "bank.yaml"
    extend(path, {"C2S1": ["Leaked exam papers", "Exam answers for sale", "Sold exam questions", "Exam leaks"]})
    own = from_setting({"bank": str(path)}, POLICY)
    assert own is not None
    assert await near(novelty, "Exam paper leaks") is None
    assert await near(own, "Exam paper leaks") == "C2S1"
    assert own.version != novelty.version
    assert Novelty(POLICY).version == novelty.version


def test_a_vector_does_not_depend_on_its_batch() -> None:
    encoder = SentenceEncoder()
    names = ["Animal cruelty", "a much longer text beside it, so that the others are padded to its length"]
    together, alone = encoder.encode(names), encoder.encode(names[:1])
    assert np.abs(together[0] - alone[0]).max() < 1e-5
    assert np.allclose(np.linalg.norm(together, axis=1), 1, atol=1e-5)


async def longest_wait_of_the_loop() -> float:
    placing = asyncio.create_task(Novelty(POLICY).place(novel("Cruelty to animals")))
    loop, longest = asyncio.get_running_loop(), 0.0
    while not placing.done():
        began = loop.time()
        await asyncio.sleep(0.001)
        longest = max(longest, loop.time() - began)
    assert (await placing).nearest == "C9S2"
    return longest


async def test_the_loop_is_not_blocked_while_the_encoder_loads() -> None:
    """For the whole of that it would be. The best of three: others may have the processors."""
    began = time.perf_counter()
    Novelty(POLICY).near(["Cruelty to animals"])
    whole = time.perf_counter() - began
    waits = [await longest_wait_of_the_loop() for _ in range(3)]
    assert min(waits) < whole / 2


@pytest.mark.parametrize("value", [False, "false", "False", "0"])
def test_none_is_wanted(value: Any) -> None:
    assert from_setting(value, POLICY) is None


@pytest.mark.parametrize("value", [None, True, "true", "{}"])
def test_the_shipped_one_is_wanted(value: Any) -> None:
    found = from_setting(value, POLICY)
    assert found is not None
    assert found.version == Novelty(POLICY).version


@pytest.mark.parametrize("value", [7, "yes", {"banks": "x"}, {"bank": 7}, {"bank": "/no/such/bank.yaml"}])
def test_wrong_settings_are_named(value: Any) -> None:
    with pytest.raises(ValueError, match=r"guard\.settings\.novelty"):
        from_setting(value, POLICY)


def test_a_missing_or_changed_encoder_is_said_at_once(tmp_path: Path) -> None:
    folder = tmp_path / "model"
    with pytest.raises(ValueError, match="cannot be read"):
        Novelty(POLICY, folder=folder)
    shutil.copytree(FOLDER, folder)
    (folder / "tokenizer.json").write_text("{}")
    with pytest.raises(ValueError, match="not the one"):
        Novelty(POLICY, folder=folder)


async def test_an_encoder_that_fails_later_fails_the_batch(monkeypatch: pytest.MonkeyPatch) -> None:
    novelty = Novelty(POLICY)
    monkeypatch.setattr(novelty, "near", lambda _names: 1 / 0)
    with pytest.raises(GuardError, match="ZeroDivisionError"):
        await novelty.place(novel("Anything at all"))


def test_engines_with_a_chat_model_have_it_unless_it_is_turned_off() -> None:
    def revision(**settings: Any) -> str:
        return create("openai", GuardOptions("m", ("http://127.0.0.1:1/v1",), settings), POLICY).revision

    assert revision() == revision(novelty={})
    assert revision() != revision(novelty=False)
    with pytest.raises(ValueError, match="embedded guard finds"):
        create("embedded", GuardOptions(settings={"novelty": {}}), POLICY)


def test_the_manifest_says_what_the_thresholds_do() -> None:
    manifest = json.loads((FOLDER / "manifest.json").read_text())
    held_out = manifest["held_out"]
    assert held_out["withheld_called_close"] <= 0.21
    assert held_out["right_category_where_close"] >= 0.75
    assert held_out["minors_kept"] >= 0.9
