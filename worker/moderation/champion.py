"""A worker follows the registry's champion: its files come here whole and checked, then `guard.revision_file` names it.

So a worker that starts while the registry is away serves what it served last.
"""

import asyncio
import logging
import os
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

from proguard_core.training.registry.champions import Champions, NotPromotedError, check_base
from proguard_core.training.registry.records import Base, Champion, DamagedError, Step
from proguard_core.training.registry.runs import Registry, RunError, measured
from proguard_core.training.registry.store import StoreError
from worker.errors import ConfigurationError
from worker.moderation import revision_watch
from worker.moderation.revision_watch import RETRY_S, Wanted
from worker.retraining import bases
from worker.retraining.registry_store import open_store
from worker.settings import Settings
from worker.telemetry.telemetry import Telemetry

log = logging.getLogger(__name__)

_NO_CHAMPION = "the registry has no champion yet"


class Follower:
    """A `revision_watch.Wanted`. folder: where adapters lie; file: names the revision, for this worker and the next.

    base: gives the model that is served, once, or None where that cannot be told.
    What cannot be fetched changes nothing, is counted as a failed swap and said, and is tried again every RETRY_S.
    """

    def __init__(
        self,
        champions: Champions,
        folder: Path,
        file: Path,
        telemetry: Telemetry,
        every_s: float,
        clock: Callable[[], float] = time.monotonic,
        base: Callable[[], Base | None] = lambda: None,
    ) -> None:
        self._find_base = base
        self._base: Base | None = None
        self._is_base_known = False
        self._champions = champions
        self._folder = folder
        self._file = file
        self._named = revision_watch.file(file)
        self._telemetry = telemetry
        self._every_s = every_s
        self._clock = clock
        self._ask_at = clock()
        self._tag: str | None = None
        self._said: str | None = None

    async def __call__(self) -> str | None:
        """The name in the file, once it was looked whether there is another champion."""
        if self._clock() >= self._ask_at:
            pause = self._every_s if await asyncio.to_thread(self._asked) else RETRY_S
            self._ask_at = self._clock() + pause
        return await self._named()

    def _asked(self) -> bool:
        """False where it failed."""
        try:
            current = self._champions.changed(self._tag)
            if current is not None:
                bring(self._champions, current.champion, self._folder, self._served_base())
                _name(self._file, current.champion.revision)
                self._tag = current.tag
            elif self._tag is None and self._said != _NO_CHAMPION:
                log.info("%s, the revision in force stays", _NO_CHAMPION)
            self._said = None if self._tag is not None else _NO_CHAMPION
        except (StoreError, DamagedError, RunError, NotPromotedError, ConfigurationError, OSError) as error:
            self._telemetry.swap_failures += 1
            if self._said != str(error):
                log.error("the champion cannot be fetched, the revision in force stays: %s", error)
            self._said = str(error)
            return False
        return True

    def _served_base(self) -> Base | None:
        """Read at the first champion: gigabytes, where it is a chat model's."""
        if not self._is_base_known:
            self._base = self._find_base()
            self._is_base_known = True
            if self._base is None:
                log.warning("which base the guard stands on cannot be told here: champions are not compared with it")
        return self._base


def bring(champions: Champions, champion: Champion, folder: Path, base: Base | None = None) -> Path:
    """The champion's files under the name of its revision, compared with their hashes. base: the one that is served.

    Raises as Champions.fetch.
    """
    if base is not None:
        check_base(base, champion.base, champion.run)
    into = folder / champion.revision
    if "/" in champion.revision or champion.revision.startswith("."):
        raise DamagedError(f"the revision {champion.revision!r} is no name of a folder")
    if not into.exists():
        try:
            champions.fetch(champion, into)
        except (OSError, RunError):
            if not into.exists():  # else another worker was first
                raise
    record = champions.registry.run(champion.run).finished(Step.TRAIN)
    if record.digest != champion.train:
        raise DamagedError(f"the training record of {champion.run} is not the one that became champion")
    for name, file in record.files.items():
        if measured(into / name) != file:
            raise DamagedError(f"{into / name} is not what the registry says; remove {into}, and it is fetched again")
    return into


def follower(settings: Settings, telemetry: Telemetry) -> Wanted | None:
    """Who says what a worker serves; None where nobody does. Raises ConfigurationError."""
    own = settings.retraining
    file = settings.guard.revision_file
    if not own.follow:
        return None if file is None else revision_watch.file(file)
    registry, folder, file = followed(settings)
    champions = Champions(Registry(open_store(registry, settings.objects)))
    return Follower(champions, folder, file, telemetry, own.follow_every_s, base=lambda: bases.served(settings))


def followed(settings: Settings) -> tuple[str, Path, Path]:
    """Registry, folder of adapters and file of a worker that follows. ConfigurationError names what is not set."""
    registry, file = settings.retraining.registry, settings.guard.revision_file
    folder = settings.guard.settings.get("adapters")
    if registry and file and folder:
        return registry, Path(str(folder)), file
    given = {"retraining.registry": registry, "guard.revision_file": file, "guard.settings.adapters": folder}
    raise ConfigurationError(f"retraining.follow needs {', '.join(name for name, value in given.items() if not value)}")


def _name(file: Path, revision: str) -> None:
    """Renamed onto the file, so that nobody reads a half."""
    file.parent.mkdir(parents=True, exist_ok=True)
    handle, made = tempfile.mkstemp(prefix=f".{file.name}.", dir=file.parent)
    with os.fdopen(handle, "w", encoding="utf-8") as opened:
        opened.write(f"{revision}\n")
    Path(made).chmod(0o644)
    os.replace(made, file)
