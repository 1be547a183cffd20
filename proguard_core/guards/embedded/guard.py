"""The guard that ships with the project: English text by a small encoder, pictures by their text and by nudity."""

import asyncio
import hashlib
import importlib.util
import os
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path

from proguard_core.guards import checked
from proguard_core.guards.adapters import Adapter, Revisions
from proguard_core.guards.embedded.familiar import FAMILIAR
from proguard_core.guards.embedded.heads import FILES, HeadsError
from proguard_core.guards.embedded.reader import Readers
from proguard_core.guards.embedded.scoring import Scoring
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
_SETTINGS = {"threads", "workers", "adapters", "adapter"}


class EmbeddedGuard:
    """Keeps the guard protocol. settings: threads (of one inference, default 1), workers (inferences at once,
    default 2 or the number of processors), adapters (a folder in which heads lie, heads.py), adapter (the one to begin
    with). options.model: another folder with the artefact's five files.

    All inference runs in threads of its own. Nothing depends on the other requests of a batch or on their order. A
    request is judged by the heads that it names, while they are among the last two.
    """

    def __init__(self, options: GuardOptions, policy: Policy) -> None:
        own = options.settings
        checked.in_process(options, "the embedded guard")
        checked.engines_own(own, _SETTINGS, "the embedded guard")
        self._folder = Path(options.model) if options.model else FOLDER
        self._threads = checked.whole(own, "threads", 1)
        self._workers = checked.whole(own, "workers", min(MOST_WORKERS, os.cpu_count() or 1))
        self._policy = policy
        self._revisions = Revisions((_revision(self._folder, policy),), checked.folder(own, "adapters"), FILES)
        self._revisions.begin(checked.adapter(own))
        self._scorings: dict[str, Scoring] = {}
        self._readers: Readers | None = None
        self._pool: ThreadPoolExecutor | None = None
        self._swapping = asyncio.Lock()

    @property
    def name(self) -> str:
        """The engine; there is one model to it."""
        return NAME

    @property
    def revision(self) -> str:
        """Hash of artefact, this package's code and words, the policy's version and the heads, behind their name."""
        return self._revisions.current

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
        loop = asyncio.get_running_loop()
        try:
            readers = await loop.run_in_executor(pool, Readers, self._folder, self._threads, self._policy)
            # Heads that were loaded stay in memory: a restart does not depend on their files.
            for adapter in self._revisions.kept:
                if adapter.name not in self._scorings:
                    self._scorings[adapter.name] = await loop.run_in_executor(pool, _loaded, readers, adapter)
        except Exception as error:
            pool.shutdown(wait=False)
            raise GuardError(f"the artefact in {self._folder.name} cannot be loaded: {error}") from error
        self._readers, self._pool = readers, pool

    async def judge(self, requests: Sequence[GuardRequest]) -> list[Judgement]:
        """One judgement a request, in order; each says which revision judged."""
        readers, pool = self._readers, self._pool
        if readers is None or pool is None:
            raise GuardDied("the embedded guard is not started")
        loop = asyncio.get_running_loop()
        revisions = [self._revisions.resolve(request.revision) for request in requests]
        try:
            asked = [
                loop.run_in_executor(pool, readers.judge, request, self._scoring(readers, revision))
                for request, revision in zip(requests, revisions, strict=True)
            ]
            judgements = await asyncio.gather(*asked)
        except Exception as error:
            raise GuardError(f"the embedded guard failed: {type(error).__name__}") from error
        return [replace(said, revision=revision) for said, revision in zip(judgements, revisions, strict=True)]

    async def probe(self) -> None:
        """Judge an everyday sentence."""
        try:
            await self.judge([CANARY])
        except GuardError as error:
            raise GuardUnavailable(str(error)) from error

    async def swap(self, revision: str) -> None:
        """Load heads, judge an everyday sentence by them and put them in force; `base` is the artefact without any.

        Requests that name the revision before it are still judged by that one. Batches go on meanwhile.
        """
        async with self._swapping:
            if self._revisions.is_current(revision):
                return
            readers, pool = self._readers, self._pool
            if readers is None or pool is None:
                raise GuardDied("the embedded guard is not started")
            adapter = await asyncio.to_thread(self._revisions.find, revision)
            try:
                with self._revisions.loading(adapter):
                    scoring = await asyncio.to_thread(_loaded, readers, adapter)
                    await asyncio.get_running_loop().run_in_executor(pool, readers.judge, CANARY, scoring)
            except Exception as error:
                said = str(error) if isinstance(error, HeadsError) else type(error).__name__
                raise GuardError(f"the heads {revision!r} cannot be served: {said}") from error
            if adapter is not None:
                self._scorings[adapter.name] = scoring
            for dropped in self._revisions.use(adapter):
                self._scorings.pop(dropped.name, None)

    def _scoring(self, readers: Readers, revision: str) -> Scoring:
        adapter = self._revisions.adapter(revision)
        return readers.own if adapter is None else self._scorings[adapter.name]

    async def close(self) -> None:
        """Wait for what is running and forget the networks."""
        pool, self._pool, self._readers = self._pool, None, None
        if pool is not None:
            await asyncio.to_thread(pool.shutdown, wait=True, cancel_futures=True)


def _loaded(readers: Readers, adapter: Adapter | None) -> Scoring:
    """The artefact's own heads for None."""
    return readers.own if adapter is None else readers.heads(adapter.path, adapter.digest)


def _revision(folder: Path, policy: Policy) -> str:
    absent = [name for name in (MODEL, TOKENIZER, CALIBRATION, FAMILIAR, MANIFEST) if not (folder / name).is_file()]
    if absent:
        made = "; python -m proguard_core.training.embedded.familiar makes it (docs/embedded-guard.md)"
        raise ValueError(
            f"guard.model: the folder {folder.name} lacks {', '.join(absent)}{made if absent == [FAMILIAR] else ''}"
        )
    parts = [(folder / name).read_bytes() for name in (MODEL, TOKENIZER, CALIBRATION, FAMILIAR)]
    here = Path(__file__).parent
    parts += [path.read_bytes() for path in (*sorted(here.glob("*.py")), *sorted(here.glob("*.yaml")))]
    hashed = hashlib.sha256()
    for part in (*parts, policy.version.encode()):
        hashed.update(hashlib.sha256(part).digest())
    return hashed.hexdigest()[:16]
