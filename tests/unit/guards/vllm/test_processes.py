"""The engine's process ends when its worker is gone, and not by a Ctrl-C that the worker still drains after."""

import asyncio
import multiprocessing
import os
import signal
import subprocess
import sys
import time
from multiprocessing.process import BaseProcess

import pytest

from proguard_core.guards.vllm import owner
from proguard_core.guards.vllm.engine import Engine, in_daemon_thread
from proguard_core.guards.vllm.rendering import Renderers
from proguard_core.guards.vllm.settings import EngineSettings

_WORKER = """
import os, subprocess, sys, time
from proguard_core.guards.vllm import owner
engine = "import proguard_core.guards.vllm.owner, time; print('ready', flush=True); time.sleep(100)"
environment = {**os.environ, owner.VARIABLE: str(os.getpid())}
started = subprocess.Popen([sys.executable, "-c", engine], env=environment, stdout=subprocess.PIPE)
started.stdout.readline()
print(started.pid, flush=True)
time.sleep(100)
"""


def _until(gone: int, timeout_s: float) -> bool:
    deadline = time.monotonic() + timeout_s
    while time.monotonic() < deadline:
        # An orphan that nobody waits for stays as a zombie in some containers.
        try:
            with open(f"/proc/{gone}/stat", encoding="ascii") as file:
                if file.read().rpartition(")")[2].split()[0] == "Z":
                    return True
        except OSError:
            return True
        time.sleep(0.1)
    return False


def test_the_engine_ends_when_its_worker_is_killed() -> None:
    worker = subprocess.Popen([sys.executable, "-c", _WORKER], stdout=subprocess.PIPE)
    assert worker.stdout is not None
    engine = int(worker.stdout.readline())
    try:
        time.sleep(2 * owner.EVERY_S)
        assert not _until(engine, 0.2)
        worker.kill()
        worker.wait()
        assert _until(engine, 20)
    finally:
        worker.kill()
        worker.wait()
        worker.stdout.close()
        if not _until(engine, 0.1):
            os.kill(engine, signal.SIGKILL)


def _spawned() -> BaseProcess:
    process = multiprocessing.get_context("spawn").Process(target=_engine, daemon=True)
    process.start()
    return process


def _engine() -> None:
    """Answers signals as vLLM's process does: SIGINT ends it."""
    signal.signal(signal.SIGINT, signal.SIG_DFL)
    time.sleep(100)


async def test_a_ctrl_c_does_not_reach_what_was_started_there() -> None:
    process = await in_daemon_thread(_spawned, BaseProcess.kill)
    assert process.pid is not None
    try:
        for _ in range(20):
            os.kill(process.pid, signal.SIGINT)
            await asyncio.sleep(0.1)
        assert process.is_alive()
    finally:
        process.kill()
        process.join(10)
        process.close()


async def test_what_comes_after_the_wait_was_given_up_is_let_go() -> None:
    let_go: list[str] = []

    def slow() -> str:
        time.sleep(0.2)
        return "engine"

    waiting = asyncio.create_task(in_daemon_thread(slow, let_go.append))
    await asyncio.sleep(0.05)
    waiting.cancel()
    await asyncio.gather(waiting, return_exceptions=True)
    for _ in range(50):
        await asyncio.sleep(0.05)
        if let_go:
            break
    assert let_go == ["engine"]


async def test_what_it_raises_is_raised() -> None:
    def broken() -> str:
        raise ValueError("no model")

    with pytest.raises(ValueError, match="no model"):
        await in_daemon_thread(broken, print)


class _Part:
    """What an engine holds: it notes that it was ended, and may fail at it."""

    def __init__(self, error: Exception | None = None) -> None:
        self.ended, self.error = 0, error

    def shutdown(self) -> None:
        self.ended += 1
        if self.error is not None:
            raise self.error


async def test_the_process_ends_although_a_renderer_does_not() -> None:
    engine, llm, renderer = Engine(EngineSettings("m")), _Part(), _Part(RuntimeError("stuck"))
    engine._llm, engine._renderers = llm, Renderers(_Part(), [renderer])
    with pytest.raises(RuntimeError, match="stuck"):
        await engine.close()
    await engine.close()
    assert (llm.ended, renderer.ended) == (1, 1)
