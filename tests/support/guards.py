"""A guard that follows a script, for tests and benchmarks: what it says stands in the post itself.

`[guard] engine = "tests.support.guards:scripted"`, `[guard.settings]` as in Script.
Text with `unsafe:CODE` is unsafe of that code, `novel:NAME` is a novel risk, anything else is safe.
A picture whose first pixel is red is as text with `unsafe:C3S1`.
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
    GuardDied,
    GuardError,
    GuardLimits,
    GuardOptions,
    GuardRequest,
    GuardUnavailable,
    Judgement,
    Picture,
)
from proguard_core.policy.policy import Policy
from schemas.common import CategoryKind, Outcome

RED = (255, 0, 0)
_SAFE = Judgement(Outcome.SAFE, request=Outcome.SAFE)
_KNOWN = re.compile(r"unsafe:(C\d+(?:S\d+)?)")
_NOVEL = re.compile(r"novel:([a-z ]+)")


class ScriptedGuard:
    """settings: delay_ms, jitter_ms a batch (seed), down_file (unavailable while it is there), log_file (of texts).

    trouble_file: while it is there nothing is judged, the canary neither, and its content says how that looks: `raise`,
    `hang` or `die`. An engine that died has to be started again, and that fails while the file is there.
    """

    def __init__(self, options: GuardOptions) -> None:
        settings = options.settings
        self._delay_s = float(str(settings.get("delay_ms", 0))) / 1000
        self._jitter_s = float(str(settings.get("jitter_ms", 0))) / 1000
        self._random = random.Random(str(settings.get("seed", "0")))
        self._down_file = Path(str(settings["down_file"])) if "down_file" in settings else None
        self._trouble_file = Path(str(settings["trouble_file"])) if "trouble_file" in settings else None
        self._dead = False
        self._log_file = Path(str(settings["log_file"])) if "log_file" in settings else None
        self.name = "scripted"
        self.revision = str(settings.get("revision", "1"))
        self.limits = GuardLimits(window_bytes=int(str(settings.get("window_bytes", 4096))))

    async def start(self) -> None:
        """Nothing to load, but an engine that died may not come back yet."""
        if self._dead and self._trouble() == "die":
            raise GuardError("the engine does not start")
        self._dead = False

    async def judge(self, requests: Sequence[GuardRequest]) -> list[Judgement]:
        """As the texts say."""
        self._check_up()
        await self._be_in_trouble()
        texts = [f"{request.text} {request.response or ''}{_shown(request.picture)}" for request in requests]
        if any("guard:kill" in text for text in texts):
            os.kill(os.getpid(), signal.SIGKILL)
        if any("guard:hang" in text for text in texts):
            await asyncio.sleep(3600)
        if self._delay_s or self._jitter_s:
            await asyncio.sleep(self._delay_s + self._random.random() * self._jitter_s)
        if self._dead:
            raise GuardDied("the engine died meanwhile")
        if any("guard:raise" in text for text in texts):
            raise GuardError("told to")
        if self._log_file is not None:
            with self._log_file.open("a") as file:
                file.writelines(text.replace("\n", " ") + "\n" for text in texts)
        return [_judgement(text) for text in texts]

    async def probe(self) -> None:
        """Up unless down_file or trouble_file says otherwise."""
        self._check_up()
        await self._be_in_trouble()

    async def swap(self, revision: str) -> None:
        """Another name for the same script."""
        self.revision = revision

    async def close(self) -> None:
        """Nothing to release."""

    def _check_up(self) -> None:
        if self._down_file is not None and self._down_file.exists():
            raise GuardUnavailable("down_file exists")

    async def _be_in_trouble(self) -> None:
        trouble = self._trouble()
        while trouble == "hang":
            await asyncio.sleep(0.05)
            trouble = self._trouble()
        if trouble == "raise":
            raise GuardUnavailable("trouble_file says so")
        if trouble == "die" or self._dead:
            self._dead = True
            raise GuardDied("trouble_file says so")

    def _trouble(self) -> str:
        """What the file says; empty without one."""
        if self._trouble_file is None or not self._trouble_file.exists():
            return ""
        try:
            return self._trouble_file.read_text()
        except FileNotFoundError:  # over just now
            return ""


def scripted(options: GuardOptions, _policy: Policy) -> ScriptedGuard:
    """The factory."""
    return ScriptedGuard(options)


def _shown(picture: Picture | None) -> str:
    return " unsafe:C3S1" if picture is not None and picture.image.getpixel((0, 0)) == RED else ""


def _judgement(text: str) -> Judgement:
    if match := _KNOWN.search(text):
        category = Category(CategoryKind.KNOWN, match.group(1))
        return Judgement(Outcome.UNSAFE, request=Outcome.UNSAFE, category=category, rationale="as told", score=0.9)
    if match := _NOVEL.search(text):
        category = Category(CategoryKind.NOVEL, name=match.group(1).strip(), nearest="C3S1", similarity=0.4)
        return Judgement(Outcome.UNSAFE, request=Outcome.UNSAFE, category=category, rationale="as told", score=0.9)
    return _SAFE
