"""The vllm engine on the real AsyncLLM. One start serves the module: it takes a minute on two cores."""

import asyncio
import json
import re
import shutil
import signal
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace
from multiprocessing import active_children
from pathlib import Path
from typing import Any

import pytest
import pytest_asyncio
from PIL import Image

from proguard_core.guards import forced
from proguard_core.guards.adapters import BASE, WEIGHTS_FILE
from proguard_core.guards.asking import Question
from proguard_core.guards.protocol import Guard, GuardDied, GuardError, GuardRequest, Picture
from proguard_core.guards.vllm import budget
from proguard_core.guards.vllm.engine import Engine
from proguard_core.guards.vllm.guard import VLLMGuard
from proguard_core.judgement import parse
from proguard_core.policy.prompts import PromptKind, Prompts
from schemas.common import Outcome, Reason
from tests.engines.vllm.guard import OUTPUT_CAP, POLICY, Kept, make, settings
from tests.support.ordering_pictures import blank_picture, ordering_pictures
from tests.support.pictures import gradient
from tests.unit.guards import contract

pytestmark = pytest.mark.asyncio(loop_scope="module")

SAFE = GuardRequest(contract.SAFE_TEXT)
UNSAFE_TEXT = "I sell fake investment returns in this town, write to me."
RESTARTS = "it starts twice, ends twice and starts again"
# A block of vLLM's prefix cache on a CPU.
BLOCK = 128


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def guard(
    tiny_taught_model: Path, tiny_adapter: Path, tmp_path_factory: pytest.TempPathFactory
) -> AsyncIterator[VLLMGuard]:
    folder = tmp_path_factory.mktemp("adapters")
    shutil.copytree(tiny_adapter, folder / "suspicious-1")
    made = make(tiny_taught_model, folder)
    await made.start()
    yield made
    await made.close()


@pytest.fixture
def adapters(guard: VLLMGuard) -> Path:
    folder = guard._settings.adapters
    assert folder is not None
    return folder


def _engine(guard: VLLMGuard) -> Engine:
    assert guard._engine is not None
    return guard._engine


def _picture(width: int = 56, height: int = 56) -> Picture:
    return Picture(Image.new("RGB", (width, height), (20, 120, 40)), f"{width} x {height}")


async def _question(guard: VLLMGuard, request: GuardRequest, **more: Any) -> Question[Picture]:
    prompt = Prompts(POLICY).render(request)
    return Question(prompt, request.picture, request.response is not None, OUTPUT_CAP, guard.revision, **more)


@pytest.mark.parametrize("title", [title for title in contract.CASES if title != RESTARTS])
async def test_contract(guard: VLLMGuard, title: str) -> None:
    @asynccontextmanager
    async def kept() -> AsyncIterator[Guard]:
        yield Kept(guard)

    await contract.run(contract.Engine("vllm", kept, UNSAFE_TEXT), title)


async def test_too_much_text_is_undetermined_and_the_others_are_judged(guard: VLLMGuard) -> None:
    long = "".join(chr(0x4E00 + number % 5000) for number in range(6000))
    safe, too_long = await guard.judge([SAFE, GuardRequest(long)])
    assert safe.outcome is Outcome.SAFE
    assert (too_long.outcome, too_long.reason) == (Outcome.UNDETERMINED, Reason.NOT_JUDGEABLE)


async def test_a_picture_that_the_model_does_not_take_is_undetermined(guard: VLLMGuard) -> None:
    safe, strip = await guard.judge([SAFE, GuardRequest("", None, _picture(3000, 5))])
    assert safe.outcome is Outcome.SAFE
    assert (strip.outcome, strip.reason) == (Outcome.UNDETERMINED, Reason.IMAGE_UNREADABLE)


async def test_every_thread_makes_of_a_picture_what_the_models_own_processor_makes(guard: VLLMGuard) -> None:
    """Of one that is scaled down to max_pixels, one that fits, and one that is enlarged to whole patches.

    The engine takes bytes: vLLM has its model normalise them.
    """
    import torch
    from transformers import AutoProcessor

    processor = AutoProcessor.from_pretrained(guard._settings.model).image_processor
    size = {**dict(processor.size), "longest_edge": guard._settings.max_pixels}
    engine, threads = _engine(guard), guard._settings.picture_threads
    assert threads >= 2  # four, or as many as there are processors
    assert engine._renderers is not None
    assert len(engine._renderers) == threads
    asked = Prompts(POLICY).render(GuardRequest("", None, blank_picture()))
    for width, height in ((1000, 700), (448, 448), (333, 111)):
        picture = Picture(gradient(width, height), f"gradient {width} x {height}")
        usual = processor(picture.image, size=size, do_rescale=False, do_normalize=False, return_tensors="pt")
        given = [engine.render(asked.system, asked.user, picture) for _ in range(2 * threads)]
        prompts = await asyncio.gather(*given)
        for prompt in prompts:
            assert prompt["prompt_token_ids"] == prompts[0]["prompt_token_ids"]
            (item,) = prompt["mm_kwargs"]["image"]
            data = item.get_data()
            assert data["pixel_values"].dtype is torch.uint8
            assert torch.equal(data["pixel_values"], usual["pixel_values"])
            assert data["image_grid_thw"].tolist() == usual["image_grid_thw"][0].tolist()


async def test_pictures_go_to_every_thread_and_texts_to_one(guard: VLLMGuard, monkeypatch: pytest.MonkeyPatch) -> None:
    renderers = _engine(guard)._renderers
    assert renderers is not None
    asked = [0] * len(renderers)
    for index, renderer in enumerate(renderers._all):

        async def counted(*arguments: Any, index: int = index, render: Any = renderer.render_chat_async) -> Any:
            asked[index] += 1
            return await render(*arguments)

        monkeypatch.setattr(renderer, "render_chat_async", counted)
    pictures = [_picture(56, 56 + 28 * number) for number in range(4 * len(renderers))]
    await guard.judge([GuardRequest("", None, picture) for picture in pictures])
    assert min(asked) >= 2
    before = asked[1:]
    await guard.judge([SAFE] * 3)
    assert asked[1:] == before


async def test_a_picture_that_was_prepared_and_given_up_is_judged_when_it_is_asked_for_again(guard: VLLMGuard) -> None:
    """vLLM's own processor cache would believe that the engine has it."""
    request = GuardRequest("", None, _picture(84, 112))
    prompt = Prompts(POLICY).render(request)
    await _engine(guard).render(prompt.system, prompt.user, request.picture)
    (judgement,) = await guard.judge([request])
    assert judgement.rationale


async def test_pictures_that_order_safe_leave_the_prompt_as_it_is(guard: VLLMGuard) -> None:
    for text, response in (("", None), ("Look at this.", None), ("What is this?", "A picture.")):
        asked = Prompts(POLICY).render(GuardRequest(text, response, blank_picture()))
        blank = await _engine(guard).render(asked.system, asked.user, blank_picture())
        for name, picture in ordering_pictures().items():
            shown = await _engine(guard).render(asked.system, asked.user, picture)
            assert shown["prompt_token_ids"] == blank["prompt_token_ids"], name
            (place,) = shown["mm_placeholders"]["image"]
            (usual,) = blank["mm_placeholders"]["image"]
            assert (place.offset, place.length) == (usual.offset, usual.length)
            ids = shown["prompt_token_ids"]
            images = [at for at, token in enumerate(ids) if token == ids[place.offset]]
            assert images == list(range(place.offset, place.offset + place.length))


async def test_what_becomes_of_them_is_what_the_model_says(guard: VLLMGuard) -> None:
    requests = [GuardRequest("", None, picture) for picture in ordering_pictures().values()]
    requests += [GuardRequest("Look.", "No.", request.picture) for request in requests[:8]]
    for request, judgement in zip(requests, await guard.judge(requests), strict=True):
        question = await _question(guard, request)
        answer = await guard._ask(question)
        has_response = request.response is not None
        parsed = parse(answer.text, question.prompt.kind, POLICY, has_response=has_response, truncated=answer.truncated)
        if parsed.reason is None:
            assert (judgement.outcome, judgement.category.code) == (parsed.outcome, parsed.category.code)
        else:
            assert judgement.outcome is not Outcome.SAFE


async def test_the_policy_is_read_once_and_tokens_are_counted(guard: VLLMGuard) -> None:
    await guard.judge([SAFE])
    before = replace(guard._asking.usage)
    await guard.judge([GuardRequest("Another post altogether, about the weather in spring.")])
    used = guard._asking.usage
    policy = len((await _engine(guard).render(Prompts(POLICY).system(PromptKind.TEXT), "", None))["prompt_token_ids"])
    assert used.answers == before.answers + 1
    assert 0 < used.completion_tokens - before.completion_tokens <= OUTPUT_CAP
    assert used.prompt_tokens - before.prompt_tokens > policy
    assert used.cached_tokens - before.cached_tokens >= 0.8 * policy - BLOCK


async def test_a_request_that_takes_too_long_fails_its_batch_and_nothing_else(
    guard: VLLMGuard, monkeypatch: pytest.MonkeyPatch
) -> None:
    with monkeypatch.context() as patched:
        patched.setattr(guard, "_settings", replace(guard._settings, request_timeout_s=0.001))
        with pytest.raises(TimeoutError):
            await guard.judge([SAFE])
        with pytest.raises(GuardDied, match="no answer to anything"):
            await guard.probe()
    assert (await guard.judge([SAFE]))[0].outcome is Outcome.SAFE


async def test_a_prescribed_form_is_kept(guard: VLLMGuard, monkeypatch: pytest.MonkeyPatch) -> None:
    for request in (SAFE, GuardRequest("Hello", "Good morning"), GuardRequest("", None, _picture())):
        question = replace(await _question(guard, request, forced=True), output_cap=1500)
        said = json.loads((await guard._ask(question)).text)
        assert list(said) == forced.schema(question.has_response)["required"]
        assert said["request"] in {"safe", "unsafe"}


async def test_the_first_answer_can_have_its_form_prescribed(guard: VLLMGuard, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(guard, "_settings", replace(guard._settings, structured_answer=True))
    for request in (SAFE, GuardRequest(UNSAFE_TEXT, "No."), GuardRequest("", None, _picture())):
        question = await _question(guard, request)
        said = (await guard._ask(question)).text
        assert re.fullmatch(forced.pattern(question.prompt.kind, POLICY, has_response=question.has_response), said)


async def test_what_cannot_fit_is_refused_at_the_start(guard: VLLMGuard) -> None:
    fits = guard._settings
    for small in (replace(fits, window_bytes=4096), replace(fits, max_model_len=2048), replace(fits, output_cap=4000)):
        with pytest.raises(GuardError, match=r"of policy and prompt.*max_model_len"):
            await budget.check(_engine(guard), Prompts(POLICY), small)


async def test_a_swap_in_the_middle_of_batches_loses_and_delays_none(guard: VLLMGuard) -> None:
    base = guard.revision
    batches = [
        asyncio.create_task(guard.judge([GuardRequest(f"{contract.SAFE_TEXT} {number}")] * 4)) for number in range(4)
    ]
    await asyncio.sleep(0.05)
    await guard.swap("suspicious-1")
    assert re.fullmatch(r"suspicious-1-[0-9a-f]{16}", guard.revision)
    pinned = replace(SAFE, revision=base)
    by_new, by_old, by_unknown = await guard.judge([SAFE, pinned, replace(SAFE, revision="an older one")])
    assert [judgement.outcome for judgement in (by_new, by_old, by_unknown)] == [
        Outcome.UNSAFE,
        Outcome.SAFE,
        Outcome.UNSAFE,
    ]
    assert [judgement.revision for judgement in (by_new, by_old, by_unknown)] == [guard.revision, base, guard.revision]
    for judgement in [judgement for batch in await asyncio.gather(*batches) for judgement in batch]:
        assert (judgement.outcome, judgement.revision) == (Outcome.SAFE, base)
    await guard.swap(BASE)
    assert guard.revision == base
    assert (await guard.judge([SAFE]))[0].outcome is Outcome.SAFE


def _with_keys(adapters: Path, name: str, change: Any) -> str:
    from safetensors.torch import load_file, save_file

    shutil.copytree(adapters / "suspicious-1", adapters / name, dirs_exist_ok=True)
    weights = load_file(adapters / name / WEIGHTS_FILE)
    save_file(change(weights), str(adapters / name / WEIGHTS_FILE))
    return name


async def test_adapters_that_vllm_would_not_apply_whole_are_refused(guard: VLLMGuard, adapters: Path) -> None:
    def of_the_vision_tower(weights: dict[str, Any]) -> dict[str, Any]:
        key = next(iter(weights))
        return weights | {"base_model.model.model.visual.blocks.0.attn.qkv.lora_A.weight": weights[key].clone()}

    def of_another_model(weights: dict[str, Any]) -> dict[str, Any]:
        return {key.replace("layers.1.", "layers.31."): value for key, value in weights.items()}

    def half(weights: dict[str, Any]) -> dict[str, Any]:
        return {key: value for key, value in weights.items() if "lora_A" in key}

    before = guard.revision
    for change, complaint in (
        (of_the_vision_tower, "visual"),
        (of_another_model, "belong to no layer"),
        (half, "half"),
        (lambda _weights: {}, "empty"),
    ):
        name = _with_keys(adapters, f"refused-{complaint.split()[-1]}", change)
        with pytest.raises(GuardError, match=complaint):
            await guard.swap(name)
    (adapters / "torn").mkdir()
    shutil.copy(adapters / "suspicious-1" / "adapter_config.json", adapters / "torn")
    (adapters / "torn" / WEIGHTS_FILE).write_bytes(b"half a file")
    for name in ("torn", "no-such", "../suspicious-1"):
        with pytest.raises(GuardError):
            await guard.swap(name)
    assert guard.revision == before
    assert (await guard.judge([SAFE]))[0].outcome is Outcome.SAFE


async def test_an_adapter_of_too_high_a_rank_is_refused_by_vllm_and_the_engine_lives(
    guard: VLLMGuard, adapters: Path
) -> None:
    import torch

    def wider(weights: dict[str, Any]) -> dict[str, Any]:
        wide = {key: torch.cat([value] * 16, 0 if "lora_A" in key else 1) for key, value in weights.items()}
        return {key: value.contiguous() for key, value in wide.items()}

    name = _with_keys(adapters, "wide", wider)
    config = adapters / name / "adapter_config.json"
    config.write_text(json.dumps(json.loads(config.read_text()) | {"r": 128}))
    with pytest.raises(GuardError, match="cannot load the adapter 'wide'"):
        await guard.swap(name)
    assert (await guard.judge([SAFE]))[0].outcome is Outcome.SAFE


async def test_the_death_of_the_engine_fails_its_batches_and_a_new_start_serves_the_same_adapter(
    guard: VLLMGuard,
) -> None:
    await guard.swap("suspicious-1")
    revision = guard.revision
    judging = asyncio.create_task(guard.judge([SAFE] * 8))
    await asyncio.sleep(0.05)
    for child in active_children():
        child.kill()
    with pytest.raises(GuardDied):
        await asyncio.wait_for(judging, 60)
    with pytest.raises(GuardDied):
        await guard.probe()
    began = time.monotonic()
    await guard.close()
    assert time.monotonic() - began < 20
    with pytest.raises(GuardDied):
        await guard.judge([SAFE])
    await guard.start()
    await guard.start()
    assert guard.revision == revision
    assert (await guard.judge([SAFE]))[0].outcome is Outcome.UNSAFE
    await guard.swap(BASE)
    assert (await guard.judge([SAFE]))[0].outcome is Outcome.SAFE


async def test_a_ctrl_c_in_a_terminal_does_not_reach_the_engine(guard: VLLMGuard) -> None:
    import os

    for child in active_children():
        if child.pid is not None:
            os.kill(child.pid, signal.SIGINT)
    await asyncio.sleep(0.5)
    assert (await guard.judge([SAFE]))[0].outcome is Outcome.SAFE


async def test_it_ends_twice_and_leaves_no_process(guard: VLLMGuard) -> None:
    await guard.close()
    await guard.close()
    assert active_children() == []


async def test_an_argument_that_vllm_does_not_know_is_named(tiny_random_model: Path) -> None:
    guard = make(tiny_random_model, engine={"tensor_paralel_size": 2})
    with pytest.raises(GuardError, match="tensor_paralel_size"):
        await guard.start()


async def test_a_model_that_is_not_there_is_named(tmp_path: Path) -> None:
    guard = make(tmp_path / "no-such-model")
    with pytest.raises(GuardError, match="no-such-model"):
        await guard.start()
    assert settings()["output_cap"] == OUTPUT_CAP
