"""How fast vLLM's front prepares pictures for its engine, and what was tried to make it faster. No engine is started.

Pictures are decoded as the worker decodes them (3000 x 2000 to the guard's megapixel) before the clock starts. Each way
renders the same questions, all asked at once; ways alternate within a round. Whatever the way, the engine is given the
same numbers: the run ends with an error where they differ.
"""

import asyncio
import io
import os
import statistics
import tempfile
import time
from collections.abc import Awaitable, Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from benchmarks.shapes import MAX_MODEL_LENGTH, SHAPES, write_shape
from proguard_core.guards.protocol import GuardLimits, GuardRequest, Picture
from proguard_core.guards.vllm.engine import turns
from proguard_core.guards.vllm.rendering import Renderers, more
from proguard_core.guards.vllm.settings import EngineSettings
from proguard_core.images import decode
from proguard_core.policy.loader import load_policy
from proguard_core.policy.prompts import Prompts
from worker.moderation.fetch import image_limits
from worker.settings import ObjectSettings

_SIZE = (3000, 2000)
_DIFFERENT = 8
_ENVIRONMENT = {"HF_HUB_OFFLINE": "1", "VLLM_NO_USAGE_STATS": "1", "VLLM_LOGGING_LEVEL": "WARNING"}
_SHORTEST = 56 * 56


@dataclass(frozen=True, slots=True)
class Way:
    """One way to prepare. render: of one question; torch_threads: of one operation, as vLLM reads OMP_NUM_THREADS."""

    name: str
    render: Callable[[list[dict[str, Any]], Picture], Awaitable[Any]]
    torch_threads: int = 1


@dataclass(frozen=True, slots=True)
class Preparing:
    """Medians over the rounds. cpu_milliseconds: of this process, a picture.

    cores: how many it had. Where several threads had one core between them, something else had the others.
    """

    way: str
    per_second: float
    cpu_milliseconds: float
    cores: float


def preparing(count: int, rounds: int, threads: list[int]) -> list[Preparing]:
    """The first way is vLLM's own."""
    os.environ.update(_ENVIRONMENT)
    questions = _questions(count)
    renderers = more(_config(), max(threads))
    with ThreadPoolExecutor(max(threads), thread_name_prefix="scaling") as pool:
        ways = list(_ways(renderers, threads, pool))
        return asyncio.run(_measured(ways, questions, rounds))


def _config() -> Any:
    from vllm.engine.arg_utils import AsyncEngineArgs

    folder = write_shape(Path(tempfile.mkdtemp(prefix="bench-preparing-")), SHAPES["small"])
    settings = EngineSettings(str(folder), max_model_len=MAX_MODEL_LENGTH, picture_threads=2)
    wanted = {"model", "max_model_len", "limit_mm_per_prompt", "mm_processor_kwargs", "mm_processor_cache_gb"}
    arguments = {name: value for name, value in settings.arguments.items() if name in wanted}
    return AsyncEngineArgs(**arguments, load_format="dummy", renderer_num_workers=2).create_engine_config()


def _questions(count: int) -> list[tuple[list[dict[str, Any]], Picture]]:
    limits = GuardLimits()
    allowed = image_limits(ObjectSettings(), limits.max_pixels)
    decoded = [decode(_photograph(number), allowed).pictures[0] for number in range(_DIFFERENT)]
    prompts = Prompts(load_policy())
    found = []
    for number in range(count):
        picture = replace(decoded[number % _DIFFERENT], digest=f"picture {number}")
        prompt = prompts.render(GuardRequest("", None, picture))
        found.append((turns(prompt.system, prompt.user, picture), picture))
    return found


def _photograph(number: int) -> bytes:
    random = np.random.default_rng(number)
    shades = Image.fromarray(random.integers(0, 256, (20, 30, 3), dtype=np.uint8))
    file = io.BytesIO()
    shades.resize(_SIZE, Image.Resampling.BICUBIC).save(file, "JPEG", quality=90)
    return file.getvalue()


def _ways(renderers: list[Any], threads: list[int], pool: ThreadPoolExecutor) -> Iterator[Way]:
    one = Renderers(renderers[0])

    async def plainly(asked: list[dict[str, Any]], _picture: Picture) -> Any:
        return await one.render(asked, has_picture=True)

    async def scaled_before(asked: list[dict[str, Any]], picture: Picture) -> Any:
        image = await asyncio.get_running_loop().run_in_executor(pool, _as_the_processor_scales, picture.image)
        content = [{**asked[-1]["content"][0], "image_pil": image}, *asked[-1]["content"][1:]]
        return await one.render([*asked[:-1], {**asked[-1], "content": content}], has_picture=True)

    yield Way("vLLM's one thread", plainly)
    yield Way("pictures scaled by us in threads, then vLLM's one thread", scaled_before)
    for count in threads:
        yield Way(f"vLLM's one thread, OMP_NUM_THREADS={count}", plainly, count)
    for count in threads:
        several = Renderers(renderers[0], renderers[1:count])

        async def spread(asked: list[dict[str, Any]], _picture: Picture, several: Renderers = several) -> Any:
            return await several.render(asked, has_picture=True)

        yield Way(f"{count} renderers (`picture_threads`)", spread)


def _as_the_processor_scales(image: Image.Image) -> Image.Image:
    """By the processor's own function, so that it finds nothing left to scale."""
    import torch
    from transformers.image_utils import SizeDict
    from transformers.models.qwen2_vl.image_processing_qwen2_vl import Qwen2VLImageProcessor

    pixels = torch.from_numpy(np.array(image)).permute(2, 0, 1).contiguous()
    size = SizeDict(shortest_edge=_SHORTEST, longest_edge=GuardLimits().max_pixels)
    processor = Qwen2VLImageProcessor()
    scaled = processor.resize(pixels[None], size, processor.resample, factor=28)[0]
    return Image.fromarray(scaled.permute(1, 2, 0).contiguous().numpy())


async def _measured(
    ways: list[Way], questions: list[tuple[list[dict[str, Any]], Picture]], rounds: int
) -> list[Preparing]:
    expected = [_numbers(prompt) for prompt in await _all(ways[0], questions[:_DIFFERENT])]
    found: dict[str, list[tuple[float, float]]] = {way.name: [] for way in ways}
    for number in range(rounds):
        for way in ways if number % 2 == 0 else ways[::-1]:
            with _torch_threads(way.torch_threads):
                began, cpu = time.perf_counter(), time.process_time()
                prompts = await _all(way, questions)
                seconds, cpu = time.perf_counter() - began, time.process_time() - cpu
            found[way.name].append((len(questions) / seconds, cpu / len(questions) * 1000))
            _compare(way, [_numbers(prompt) for prompt in prompts[:_DIFFERENT]], expected)
    return [
        Preparing(
            name,
            statistics.median(rate for rate, _ in runs),
            statistics.median(cpu for _, cpu in runs),
            statistics.median(rate * cpu / 1000 for rate, cpu in runs),
        )
        for name, runs in found.items()
    ]


async def _all(way: Way, questions: list[tuple[list[dict[str, Any]], Picture]]) -> list[Any]:
    return await asyncio.gather(*(way.render(asked, picture) for asked, picture in questions))


@contextmanager
def _torch_threads(count: int) -> Iterator[None]:
    os.environ["OMP_NUM_THREADS"] = str(count)
    try:
        yield
    finally:
        del os.environ["OMP_NUM_THREADS"]


def _numbers(prompt: Any) -> tuple[list[int], dict[str, Any]]:
    (item,) = prompt["mm_kwargs"]["image"]
    return prompt["prompt_token_ids"], item.get_data()


def _compare(way: Way, found: list[Any], expected: list[Any]) -> None:
    import torch

    for (tokens, data), (usual_tokens, usual) in zip(found, expected, strict=True):
        if (
            tokens != usual_tokens
            or data.keys() != usual.keys()
            or not all(torch.equal(data[name], usual[name]) for name in usual)
        ):
            raise RuntimeError(f"{way.name}: the engine would be given something else")


def table(found: list[Preparing]) -> list[str]:
    """Markdown; the ratio is of pictures a second."""
    plain = found[0].per_second
    return [
        "| way | pictures/s | CPU a picture, ms | cores it had | against vLLM's one thread |",
        "| --- | --- | --- | --- | --- |",
        *(
            f"| {each.way} | {each.per_second:.1f} | {each.cpu_milliseconds:.1f} | {each.cores:.2f} | "
            f"{each.per_second / plain:.2f} |"
            for each in found
        ),
    ]
