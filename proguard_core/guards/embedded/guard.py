"""The guard that ships with the project: English text by a small encoder, pictures by their text and by nudity."""

import asyncio
import hashlib
import importlib.util
import os
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from proguard_core.guards.embedded.reader import Readers
from proguard_core.guards.embedded.text_model import CALIBRATION, FOLDER, MANIFEST, MODEL, TOKENIZER
from proguard_core.guards.protocol import (
    GuardDied,
    GuardError,
    GuardLimits,
    GuardOptions,
    GuardRequest,
    GuardUnavailable,
    Judgement,
)
from proguard_core.policy.policy import Policy

NAME = "embedded"
CANARY = GuardRequest("The bakery opens at eight and the bread is still warm.")
MOST_WORKERS = 2
_PICTURE_PACKAGES = ("rapidocr_onnxruntime", "nudenet")
_SETTINGS = {"threads", "workers"}


class EmbeddedGuard:
    """Keeps the guard protocol. settings: threads (of one inference, default 1), workers (inferences at once,
    default 2 or the number of processors). options.model: another folder with the artefact's four files.

    All inference runs in threads of its own. Nothing depends on the other requests of a batch or on their order.
    """

    def __init__(self, options: GuardOptions, policy: Policy) -> None:
        unknown = sorted(set(options.settings) - _SETTINGS)
        if unknown:
            raise ValueError(
                f"guard.settings has no {', '.join(unknown)} for the embedded guard, only threads and workers"
            )
        self._folder = Path(options.model) if options.model else FOLDER
        self._threads = _positive(options.settings, "threads", 1)
        self._workers = _positive(options.settings, "workers", min(MOST_WORKERS, os.cpu_count() or 1))
        self._policy = policy
        self._revision = _revision(self._folder, policy)
        self._readers: Readers | None = None
        self._pool: ThreadPoolExecutor | None = None

    @property
    def name(self) -> str:
        """The engine; there is one model to it."""
        return NAME

    @property
    def revision(self) -> str:
        """Hash of the artefact, of this package's code and of the policy's version."""
        return self._revision

    @property
    def limits(self) -> GuardLimits:
        """Windows of this size become at most about ten token windows."""
        return GuardLimits()

    async def start(self) -> None:
        """Load the text network (below a second); picture networks load at the first picture. Raises GuardError."""
        if self._readers is not None:
            return
        missing = [package for package in _PICTURE_PACKAGES if importlib.util.find_spec(package) is None]
        if missing:
            raise GuardError(f"the embedded guard needs {' and '.join(missing)} for pictures")
        pool = ThreadPoolExecutor(self._workers, thread_name_prefix="embedded-guard")
        try:
            self._readers = await asyncio.get_running_loop().run_in_executor(
                pool, Readers, self._folder, self._threads, self._policy
            )
        except Exception as error:
            pool.shutdown(wait=False)
            raise GuardError(f"the artefact in {self._folder.name} cannot be loaded: {error}") from error
        self._pool = pool

    async def judge(self, requests: Sequence[GuardRequest]) -> list[Judgement]:
        """One judgement a request, in order."""
        readers, pool = self._readers, self._pool
        if readers is None or pool is None:
            raise GuardDied("the embedded guard is not started")
        loop = asyncio.get_running_loop()
        try:
            asked = [loop.run_in_executor(pool, readers.judge, request) for request in requests]
            return list(await asyncio.gather(*asked))
        except Exception as error:
            raise GuardError(f"the embedded guard failed: {type(error).__name__}") from error

    async def probe(self) -> None:
        """Judge an everyday sentence."""
        try:
            await self.judge([CANARY])
        except GuardError as error:
            raise GuardUnavailable(str(error)) from error

    async def swap(self, revision: str) -> None:
        """This edition serves the one artefact that it was made with; any other revision is refused."""
        if revision != self._revision:
            raise GuardError(f"the embedded guard serves {self._revision} only, not {revision}")

    async def close(self) -> None:
        """Wait for what is running and forget the networks."""
        pool, self._pool, self._readers = self._pool, None, None
        if pool is not None:
            await asyncio.to_thread(pool.shutdown, wait=True, cancel_futures=True)


def _positive(settings: dict[str, object], key: str, default: int) -> int:
    value = settings.get(key, default)
    if isinstance(value, bool) or not isinstance(value, int) or value < 1:
        raise ValueError(f"guard.settings.{key} = {value!r} must be a whole number from 1 on")
    return value


def _revision(folder: Path, policy: Policy) -> str:
    absent = [name for name in (MODEL, TOKENIZER, CALIBRATION, MANIFEST) if not (folder / name).is_file()]
    if absent:
        raise ValueError(f"guard.model: the folder {folder.name} lacks {', '.join(absent)}")
    parts = [(folder / name).read_bytes() for name in (MODEL, TOKENIZER, CALIBRATION)]
    parts += [path.read_bytes() for path in sorted(Path(__file__).parent.glob("*.py"))]
    hashed = hashlib.sha256()
    for part in (*parts, policy.version.encode()):
        hashed.update(hashlib.sha256(part).digest())
    return hashed.hexdigest()[:16]
