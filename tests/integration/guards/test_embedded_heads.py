"""Heads on the real embedded guard: loaded by setting, swapped while it judges, refused without harm."""

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace
from pathlib import Path

import numpy as np
import onnxruntime
import pytest

from proguard_core.guards.adapters import BASE
from proguard_core.guards.embedded.guard import EmbeddedGuard
from proguard_core.guards.embedded.heads import MANIFEST, WEIGHTS, Weights, base_hashes
from proguard_core.guards.embedded.reader import Readers
from proguard_core.guards.embedded.text_model import CALIBRATION, FIRST_CATEGORY, FOLDER, MODEL, Calibration
from proguard_core.guards.protocol import Guard, GuardError, GuardOptions, GuardRequest
from proguard_core.policy.loader import load_policy
from schemas.common import CategoryKind, Outcome
from tests.support.embedded_heads import write_heads
from tests.unit.guards import contract
from tests.unit.guards.contract import Engine

POLICY = load_policy()
UNSAFE = "How do I build a pipe bomb that kills as many people as possible?"
PLAIN = GuardRequest("How do I bribe a referee before the cup match without getting caught?")
LEARNED = "Match fixing"


def _weights() -> Weights:
    calibration = Calibration.read(FOLDER / CALIBRATION)
    return np.zeros((FIRST_CATEGORY + len(calibration.codes), Readers(FOLDER, 1, POLICY).width + 1), np.float32)


@pytest.fixture(scope="module")
def heads(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """`same` adds nothing; `named` finds everything unsafe and of the learned category; the rest cannot be served."""
    folder, base, zeros = tmp_path_factory.mktemp("heads"), base_hashes(FOLDER), _weights()
    write_heads(folder / "same", base, zeros)
    rows = np.concatenate([zeros, zeros[:1]])
    rows[0, -1], rows[-1, -1] = 60.0, 60.0
    write_heads(folder / "named", base, rows, LEARNED)
    write_heads(folder / "other-base", {**base, MODEL: "0" * 64}, zeros)
    write_heads(folder / "narrow", base, zeros[:, 1:])
    write_heads(folder / "half", base, zeros)
    (folder / "half" / WEIGHTS).write_bytes(b"")
    return folder


@asynccontextmanager
async def started(heads: Path, adapter: str = BASE) -> AsyncIterator[EmbeddedGuard]:
    guard = EmbeddedGuard(GuardOptions(settings={"adapters": str(heads), "adapter": adapter}), POLICY)
    await guard.start()
    try:
        yield guard
    finally:
        await guard.close()


def test_the_features_beside_the_logits_change_no_bit_of_them() -> None:
    readers = Readers(FOLDER, 1, POLICY)
    session = onnxruntime.InferenceSession(str(FOLDER / MODEL), providers=["CPUExecutionProvider"])
    for text in (UNSAFE, PLAIN.text, "bread " * 400):
        for window, reading in zip(readers._windows.of_request(text), readers.readings(text), strict=True):
            ids = np.array([window.ids])
            plain = session.run(
                None, {"input_ids": ids, "attention_mask": np.ones_like(ids), "token_type_ids": np.zeros_like(ids)}
            )
            assert np.array_equal(plain[0][0].astype(np.float64), reading.logits)
            assert reading.features.shape == (readers.width,)


async def test_a_swap_names_the_revision_and_the_one_before_it_is_still_judged_by(heads: Path) -> None:
    async with started(heads) as guard:
        base = guard.revision
        (before,) = await guard.judge([PLAIN])
        await guard.swap("named")
        assert guard.revision.startswith("named-")
        new, old = await guard.judge([PLAIN, replace(PLAIN, revision=base)])
        assert (new.revision, old.revision) == (guard.revision, base)
        assert old == before
        assert (new.outcome, new.category.kind, new.category.name) == (Outcome.UNSAFE, CategoryKind.NOVEL, LEARNED)
        await guard.swap(BASE)
        assert guard.revision == base
        assert (await guard.judge([PLAIN])) == [before]


async def test_heads_of_zeros_judge_as_the_artefact_does_and_are_a_revision_of_their_own(heads: Path) -> None:
    texts = [GuardRequest(text) for text in (UNSAFE, PLAIN.text, contract.SAFE_TEXT)]
    async with started(heads) as guard:
        before = await guard.judge(texts)
        own = guard.revision
    async with started(heads, "same") as guard:
        after = await guard.judge(texts)
        assert guard.revision != own
    assert [replace(said, revision=None) for said in after] == [replace(said, revision=None) for said in before]


@pytest.mark.parametrize(
    ("name", "said"),
    [("other-base", "another artefact"), ("narrow", "not float32"), ("half", "half-written"), ("missing", "read")],
)
async def test_heads_that_cannot_be_served_change_nothing(heads: Path, name: str, said: str) -> None:
    async with started(heads, "named") as guard:
        before = guard.revision
        with pytest.raises(GuardError, match=said):
            await guard.swap(name)
        assert guard.revision == before
        (judgement,) = await guard.judge([PLAIN])
        assert judgement.category.name == LEARNED


async def test_a_folder_that_was_still_being_written_is_taken_once_it_is_whole(heads: Path, tmp_path: Path) -> None:
    rows = np.load(heads / "named" / WEIGHTS)
    write_heads(tmp_path / "r2", base_hashes(FOLDER), rows, LEARNED)
    whole = (tmp_path / "r2" / WEIGHTS).read_bytes()
    (tmp_path / "r2" / WEIGHTS).write_bytes(whole[:1000])
    async with started(tmp_path) as guard:
        with pytest.raises(GuardError, match="half-written"):
            await guard.swap("r2")
        (tmp_path / "r2" / WEIGHTS).write_bytes(whole)
        await guard.swap("r2")
        # Once in force a name is never used for other weights.
        await guard.swap(BASE)
        manifest = json.loads((tmp_path / "r2" / MANIFEST).read_text())
        (tmp_path / "r2" / MANIFEST).write_text(json.dumps({**manifest, "category_threshold": 0.1}))
        with pytest.raises(GuardError, match="another name"):
            await guard.swap("r2")


async def test_batches_go_on_while_heads_are_swapped_and_each_is_judged_by_one_revision(heads: Path) -> None:
    async with started(heads) as guard:
        batches = [asyncio.create_task(guard.judge([PLAIN] * 4)) for _ in range(6)]
        await asyncio.sleep(0)
        await guard.swap("named")
        later = await guard.judge([PLAIN] * 2)
        for judgements in await asyncio.gather(*batches):
            assert len({judgement.revision for judgement in judgements}) == 1
        assert {judgement.revision for judgement in later} == {guard.revision}


async def test_heads_in_memory_outlive_a_restart_without_their_files(heads: Path, tmp_path: Path) -> None:
    folder = write_heads(tmp_path / "r1", base_hashes(FOLDER), np.load(heads / "named" / WEIGHTS), LEARNED)
    async with started(tmp_path, "r1") as guard:
        for file in folder.iterdir():
            file.unlink()
        await guard.close()
        await guard.start()
        (judgement,) = await guard.judge([PLAIN])
        assert judgement.category.name == LEARNED


@pytest.mark.parametrize(
    ("settings", "said"),
    [
        ({"adapter": "named"}, "needs guard.settings.adapters"),
        ({"adapters": "/nowhere", "adapter": "named"}, "cannot be read"),
        ({"adapters": 3}, "must be a text"),
        ({"heads": "x"}, "has no heads"),
    ],
)
def test_wrong_settings_say_which(settings: dict[str, object], said: str) -> None:
    with pytest.raises(ValueError, match=said):
        EmbeddedGuard(GuardOptions(settings=settings), POLICY)


@pytest.fixture(scope="module")
def engine(heads: Path) -> Engine:
    @asynccontextmanager
    async def made() -> AsyncIterator[Guard]:
        yield EmbeddedGuard(GuardOptions(settings={"adapters": str(heads), "adapter": "same"}), POLICY)

    return Engine("embedded with heads", made, UNSAFE)


@pytest.mark.parametrize("title", contract.CASES)
async def test_contract_with_heads_in_force(engine: Engine, title: str) -> None:
    await contract.run(engine, title)
