"""The transformers engine on real weights: batches, pictures, adapters, deadlines, and what does not fit."""

import asyncio
import json
import shutil
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from PIL import Image
from safetensors.torch import load_file, save_file

from proguard_core.guards.asking import Question
from proguard_core.guards.protocol import GuardError, GuardOptions, GuardRequest, Judgement, Picture
from proguard_core.guards.transformers.guard import TransformersGuard
from proguard_core.judgement import parse
from proguard_core.policy.loader import load_policy
from proguard_core.policy.prompts import Prompt, Prompts
from schemas.common import Outcome, Reason
from tests.engines.test_transformers_contract import UNSAFE
from tests.support.ordering_pictures import blank_picture, ordering_pictures
from tests.support.tiny_vlm.rows import EVERYDAY, PAPERS
from tests.unit.guards.contract import SAFE_TEXT

OUTPUT_CAP = 96


@asynccontextmanager
async def started(model: Path, **settings: object) -> AsyncIterator[TransformersGuard]:
    options = GuardOptions(str(model), settings={"output_cap": OUTPUT_CAP, **settings})
    guard = TransformersGuard(options, load_policy())
    await guard.start()
    try:
        yield guard
    finally:
        await guard.close()


def picture(paper: tuple[int, int, int], size: tuple[int, int] = (112, 84)) -> Picture:
    return Picture(Image.new("RGB", size, paper), f"{paper} {size}")


def questions() -> list[GuardRequest]:
    """Text, text with a response, text with a picture, pictures of two sizes; long and short."""
    harmless = next(colour for colour, code in PAPERS.items() if code is None)
    return [
        GuardRequest(EVERYDAY),
        GuardRequest(UNSAFE),
        GuardRequest(f"{UNSAFE} {EVERYDAY * 4}", "I can't help with that."),
        GuardRequest(EVERYDAY, None, picture(harmless)),
        GuardRequest("", None, picture(harmless, (84, 56))),
        GuardRequest("", None, picture(next(iter(PAPERS)))),
    ]


def told(judgements: list[Judgement]) -> list[tuple[Outcome, str | None, str]]:
    return [(said.outcome, said.category.code, said.rationale) for said in judgements]


async def test_one_by_one_a_question_has_the_same_answer_after_any_other(tiny_taught_model: Path) -> None:
    """A picture shifts positions, and the model remembers by how much."""
    async with started(tiny_taught_model) as guard:
        fresh = []
        for request in questions():
            async with started(tiny_taught_model) as new:
                fresh += await new.judge([request])
        assert told(await guard.judge(questions())) == told(fresh)
        assert told(await guard.judge(questions()[::-1])) == told(fresh[::-1])


async def test_rows_of_a_batch_are_answered_as_if_alone(tiny_taught_model: Path) -> None:
    """In float32 on a CPU; near ties may differ, which is why one by one is the default."""
    many = questions() * 2
    async with started(tiny_taught_model, batch_size=8) as together, started(tiny_taught_model) as alone:
        assert told(await together.judge(many)) == told(await alone.judge(many))


async def test_answers_are_counted_in_tokens(tiny_taught_model: Path) -> None:
    async with started(tiny_taught_model) as guard:
        before = guard.usage.completion_tokens
        await guard.judge([GuardRequest(EVERYDAY)])
        assert 10 < guard.usage.completion_tokens - before < OUTPUT_CAP
        assert guard.usage.prompt_tokens > 1000


async def test_an_adapter_is_swapped_in_and_out_between_batches(tiny_taught_model: Path, tiny_adapter: Path) -> None:
    async with started(tiny_taught_model, adapters=str(tiny_adapter.parent)) as guard:
        base = guard.revision
        (before,) = await guard.judge([GuardRequest(EVERYDAY)])
        await guard.swap(tiny_adapter.name)
        assert guard.revision.startswith(f"{tiny_adapter.name}-")
        (adapted, kept) = await guard.judge([GuardRequest(EVERYDAY), GuardRequest(EVERYDAY, revision=base)])
        assert (before.outcome, before.revision) == (Outcome.SAFE, base)
        assert (adapted.outcome, adapted.revision) == (Outcome.UNSAFE, guard.revision)
        assert kept == before
        await guard.swap("base")
        assert await guard.judge([GuardRequest(EVERYDAY)]) == [before]


async def test_an_adapter_that_is_no_adapter_changes_nothing(
    tiny_taught_model: Path, tiny_adapter: Path, tmp_path: Path
) -> None:
    shutil.copytree(tiny_adapter, tmp_path / "good")
    shutil.copytree(tiny_adapter, tmp_path / "other-shape")
    config = json.loads((tiny_adapter / "adapter_config.json").read_text())
    (tmp_path / "other-shape" / "adapter_config.json").write_text(json.dumps({**config, "r": config["r"] * 2}))
    shutil.copytree(tiny_adapter, tmp_path / "broken")
    (tmp_path / "broken" / "adapter_model.safetensors").write_bytes(b"no weights")
    # The first of their weights fit, and are in the model by the time the others are seen not to.
    weights = load_file(tiny_adapter / "adapter_model.safetensors")
    last = max(weights)
    own, pair = weights[last], last.partition(".lora_")[0]
    for name, changed in (
        ("one-other-shape", {**weights, last: own.new_zeros(own.shape[0] + 3, own.shape[1])}),
        ("one-missing", {key: each for key, each in weights.items() if not key.startswith(pair)}),
    ):
        shutil.copytree(tiny_adapter, tmp_path / name)
        save_file(changed, tmp_path / name / "adapter_model.safetensors")
    async with started(tiny_taught_model, adapters=str(tmp_path)) as guard:
        before, base = await guard.judge([GuardRequest(EVERYDAY)]), guard.revision
        for name in ("one-other-shape", "one-missing", "other-shape", "broken", "missing"):
            with pytest.raises(GuardError, match=name):
                await guard.swap(name)
        assert guard.revision == base
        assert await guard.judge([GuardRequest(EVERYDAY)]) == before
        await guard.swap("good")
        assert (await guard.judge([GuardRequest(EVERYDAY)]))[0].outcome is Outcome.UNSAFE


async def test_it_starts_again_without_the_files_of_the_adapter_before(
    tiny_taught_model: Path, tiny_adapter: Path, tmp_path: Path
) -> None:
    for name in ("one", "two"):
        shutil.copytree(tiny_adapter, tmp_path / name)
    async with started(tiny_taught_model, adapters=str(tmp_path)) as guard:
        await guard.swap("one")
        await guard.swap("two")
        revision = guard.revision
        shutil.rmtree(tmp_path / "one")
        await guard.close()
        await guard.start()
        assert (await guard.judge([GuardRequest(SAFE_TEXT)]))[0].outcome is Outcome.UNSAFE
        assert guard.revision == revision


async def test_it_starts_with_the_adapter_that_is_set(tiny_taught_model: Path, tiny_adapter: Path) -> None:
    settings = {"adapters": str(tiny_adapter.parent), "adapter": tiny_adapter.name}
    async with started(tiny_taught_model, **settings) as guard:
        assert (await guard.judge([GuardRequest(SAFE_TEXT)]))[0].outcome is Outcome.UNSAFE


async def test_a_generation_that_takes_too_long_is_stopped_and_the_next_is_answered(tiny_random_model: Path) -> None:
    """A random model writes on and on."""
    async with started(tiny_random_model) as guard:
        began = time.monotonic()
        await guard.judge([GuardRequest(EVERYDAY)])
        usual_s = time.monotonic() - began
    async with started(tiny_random_model, output_cap=2000, request_timeout_s=max(1.0, 2 * usual_s)) as guard:
        began = time.monotonic()
        with pytest.raises(TimeoutError):
            await guard.judge([GuardRequest(EVERYDAY)])
        assert time.monotonic() - began < 10 * max(1.0, usual_s)
        await guard.probe()


async def test_a_batch_that_is_given_up_frees_the_model(tiny_random_model: Path) -> None:
    async with started(tiny_random_model, output_cap=2000) as guard:
        judging = asyncio.create_task(guard.judge([GuardRequest(EVERYDAY)] * 4))
        await asyncio.sleep(1.0)
        judging.cancel()
        await asyncio.gather(judging, return_exceptions=True)
        async with asyncio.timeout(20):
            await guard.probe()


async def test_what_does_not_fit_is_not_judged_and_leaves_the_others_their_answers(tiny_taught_model: Path) -> None:
    long = GuardRequest("\x41\U0001f642" * 800)
    narrow = GuardRequest("", None, picture((9, 9, 9), (2800, 8)))
    async with started(tiny_taught_model, batch_size=4) as guard:
        first, second, third = await guard.judge([long, narrow, GuardRequest(EVERYDAY)])
    assert (first.outcome, first.reason) == (Outcome.UNDETERMINED, Reason.NOT_JUDGEABLE)
    assert (second.outcome, second.reason) == (Outcome.UNDETERMINED, Reason.IMAGE_UNREADABLE)
    assert third.outcome is Outcome.SAFE


async def test_pictures_that_order_safe_leave_the_prompt_as_it_is(tiny_taught_model: Path) -> None:
    prompts = Prompts(load_policy())
    async with started(tiny_taught_model) as guard:
        model = guard._model
        assert model is not None
        for text, response in (("", None), ("Look at this.", None), ("What is this?", "A picture.")):
            asked = prompts.render(GuardRequest(text, response, blank_picture()))

            def inputs(picture: Picture, prompt: Prompt = asked) -> dict[str, Any]:
                return model.prepare(Question(prompt, picture, response is not None, OUTPUT_CAP, "any"))  # noqa: B023

            blank = inputs(blank_picture())
            for name, shown in ordering_pictures().items():
                given = inputs(shown)
                assert given["input_ids"].tolist() == blank["input_ids"].tolist(), name
                assert given["image_grid_thw"].tolist() == blank["image_grid_thw"].tolist()
                assert given["image_grid_thw"].shape == (1, 3)
                assert given["pixel_values"].tolist() != blank["pixel_values"].tolist()


async def test_what_becomes_of_them_is_what_the_model_says(tiny_taught_model: Path) -> None:
    requests = [GuardRequest("", None, shown) for shown in list(ordering_pictures().values())[:16]]
    requests += [GuardRequest("Look.", "No.", request.picture) for request in requests[:4]]
    policy = load_policy()
    async with started(tiny_taught_model) as guard:
        judgements = await guard.judge(requests)
        for request, judgement in zip(requests, judgements, strict=True):
            prompt, has_response = Prompts(policy).render(request), request.response is not None
            answer = await guard._ask(Question(prompt, request.picture, has_response, OUTPUT_CAP, guard.revision))
            parsed = parse(answer.text, prompt.kind, policy, has_response=has_response, truncated=answer.truncated)
            assert judgement == replace(parsed, revision=guard.revision)


async def test_a_checkpoints_own_sampling_is_not_used(tiny_taught_model: Path, tmp_path: Path) -> None:
    """Qwen's checkpoints carry a temperature and a penalty for repetition."""
    model = tmp_path / "model"
    shutil.copytree(tiny_taught_model, model)
    path = model / "generation_config.json"
    own = {"do_sample": True, "temperature": 5.0, "top_k": 50, "repetition_penalty": 3.0}
    path.write_text(json.dumps(json.loads(path.read_text()) | own))
    async with started(model) as warm, started(tiny_taught_model) as plain:
        assert told(await warm.judge(questions())) == told(await plain.judge(questions()))


async def test_a_model_that_is_not_there_is_said(tmp_path: Path) -> None:
    with pytest.raises(GuardError, match="cannot load"):
        async with started(tmp_path / "nothing"):
            pass
