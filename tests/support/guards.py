"""A guard that follows a script, for tests and benchmarks: what it says stands in the post itself.

`[guard] engine = "tests.support.guards:scripted"`, `[guard.settings]` as in Script.
Text with `unsafe:CODE` is unsafe of that code, `novel:NAME` is a novel risk, anything else is safe.
`guard:raise` fails its batch, `guard:hang` never answers, `guard:kill` ends the process as a crash of the engine would.
"""

import asyncio
import os
import random
import re
import signal
from collections.abc import Sequence
from pathlib import Path

from proguard_core.guards.protocol import (
    Category,
    GuardError,
    GuardLimits,
    GuardOptions,
    GuardRequest,
    GuardUnavailable,
    Judgement,
)
from proguard_core.policy.policy import Policy
from schemas.common import CategoryKind, Outcome

_SAFE = Judgement(Outcome.SAFE, request=Outcome.SAFE)
_KNOWN = re.compile(r"unsafe:(C\d+(?:S\d+)?)")
_NOVEL = re.compile(r"novel:([a-z ]+)")


class ScriptedGuard:
    """settings: delay_ms, jitter_ms a batch (seed), down_file (unavailable while it is there), log_file (of texts)."""

    def __init__(self, options: GuardOptions) -> None:
        settings = options.settings
        self._delay_s = float(str(settings.get("delay_ms", 0))) / 1000
        self._jitter_s = float(str(settings.get("jitter_ms", 0))) / 1000
        self._random = random.Random(str(settings.get("seed", "0")))
        self._down_file = Path(str(settings["down_file"])) if "down_file" in settings else None
        self._log_file = Path(str(settings["log_file"])) if "log_file" in settings else None
        self.name = "scripted"
        self.revision = str(settings.get("revision", "1"))
        self.limits = GuardLimits(window_bytes=int(str(settings.get("window_bytes", 4096))))

    async def start(self) -> None:
        """Nothing to load."""

    async def judge(self, requests: Sequence[GuardRequest]) -> list[Judgement]:
        """As the texts say."""
        self._check_up()
        texts = [f"{request.text} {request.response or ''}" for request in requests]
        if any("guard:kill" in text for text in texts):
            os.kill(os.getpid(), signal.SIGKILL)
        if any("guard:hang" in text for text in texts):
            await asyncio.sleep(3600)
        if self._delay_s or self._jitter_s:
            await asyncio.sleep(self._delay_s + self._random.random() * self._jitter_s)
        if any("guard:raise" in text for text in texts):
            raise GuardError("told to")
        if self._log_file is not None:
            with self._log_file.open("a") as file:
                file.writelines(text.replace("\n", " ") + "\n" for text in texts)
        return [_judgement(text) for text in texts]

    async def probe(self) -> None:
        """Up unless down_file says otherwise."""
        self._check_up()

    async def swap(self, revision: str) -> None:
        """Another name for the same script."""
        self.revision = revision

    async def close(self) -> None:
        """Nothing to release."""

    def _check_up(self) -> None:
        if self._down_file is not None and self._down_file.exists():
            raise GuardUnavailable("down_file exists")


def scripted(options: GuardOptions, _policy: Policy) -> ScriptedGuard:
    """The factory."""
    return ScriptedGuard(options)


def _judgement(text: str) -> Judgement:
    if match := _KNOWN.search(text):
        category = Category(CategoryKind.KNOWN, match.group(1))
        return Judgement(Outcome.UNSAFE, request=Outcome.UNSAFE, category=category, rationale="as told", score=0.9)
    if match := _NOVEL.search(text):
        category = Category(CategoryKind.NOVEL, name=match.group(1).strip(), nearest="C3S1", similarity=0.4)
        return Judgement(Outcome.UNSAFE, request=Outcome.UNSAFE, category=category, rationale="as told", score=0.9)
    return _SAFE
