"""The vllm guard on a tiny model, as these tests start it."""

import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from proguard_core.guards.factory import create
from proguard_core.guards.protocol import Guard, GuardLimits, GuardOptions, GuardRequest, Judgement
from proguard_core.guards.vllm.guard import VLLMGuard
from proguard_core.policy.loader import load_policy

POLICY = load_policy()
OUTPUT_CAP = 96
# Of vLLM on a CPU: half a gibibyte of cache for a model of some megabytes.
ENVIRONMENT = {"HF_HUB_OFFLINE": "1", "VLLM_CPU_KVCACHE_SPACE": "1"}
ENGINE: dict[str, object] = {"enforce_eager": True, "gpu_memory_utilization": 0.1}


def settings(adapters: Path | None = None, **more: Any) -> dict[str, object]:
    """For the tiny model's context of 4,096 tokens."""
    sizes = {"max_model_len": 4096, "output_cap": OUTPUT_CAP, "window_bytes": 1024, "max_pixels": 448 * 448}
    folder = {} if adapters is None else {"adapters": str(adapters)}
    return {**sizes, "request_timeout_s": 120.0, "engine": ENGINE, **folder, **more}


def make(model: Path, adapters: Path | None = None, **more: Any) -> VLLMGuard:
    """A guard that is not started; its engine's process inherits ENVIRONMENT."""
    os.environ.update(ENVIRONMENT)
    guard = create("vllm", GuardOptions(str(model), (), settings(adapters, **more)), POLICY)
    assert isinstance(guard, VLLMGuard)
    return guard


class Kept:
    """A guard that was started once for a whole module: starting and closing it do nothing."""

    def __init__(self, guard: Guard) -> None:
        self._guard = guard

    @property
    def name(self) -> str:
        return self._guard.name

    @property
    def revision(self) -> str:
        return self._guard.revision

    @property
    def limits(self) -> GuardLimits:
        return self._guard.limits

    async def start(self) -> None: ...

    async def judge(self, requests: Sequence[GuardRequest]) -> list[Judgement]:
        return await self._guard.judge(requests)

    async def probe(self) -> None:
        await self._guard.probe()

    async def swap(self, revision: str) -> None:
        await self._guard.swap(revision)

    async def close(self) -> None: ...
