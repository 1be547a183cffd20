"""LoRA adapters of a guard: folders under one folder, each a revision of its own that can be swapped in and back out.

An adapter is a folder as PEFT writes it (adapter_config.json, adapter_model.safetensors). Its name is the folder's and
is never used for other weights: engines keep what they computed under a name (vLLM #42125, #48762).
"""

import hashlib
import itertools
import re
from collections import OrderedDict
from collections.abc import Awaitable, Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from proguard_core.guards.protocol import GuardError
from proguard_core.guards.revision import revision_of

BASE = "base"
"""The name that stands for the model without an adapter."""

CONFIG_FILE = "adapter_config.json"
WEIGHTS_FILE = "adapter_model.safetensors"
_FILES = (CONFIG_FILE, WEIGHTS_FILE)
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,99}")
# The one in force and the one before it, on which what is under way ends.
KEPT = 2
_BLOCK_BYTES = 1 << 20


@dataclass(frozen=True, slots=True)
class Adapter:
    """One adapter. number: from 1 on, another for each name of this process. digest: SHA-256 of its files, hex."""

    name: str
    path: Path
    digest: str
    number: int


class Revisions:
    """Which revisions a guard knows: its base model and the adapters that were admitted. One event loop uses it.

    parts: everything that an answer depends on beside the adapter. folder: where adapters lie, None: no adapters.
    files: what an adapter consists of, in the order in which its digest takes them.
    """

    def __init__(self, parts: tuple[str, ...], folder: Path | None, files: tuple[str, ...] = _FILES) -> None:
        self._parts = parts
        self._folder = folder
        self._files = files
        self._base = revision_of(*parts)
        self._digests: dict[str, Adapter] = {}
        self._numbers = itertools.count(1)
        self._used: set[str] = set()
        self._kept: OrderedDict[str, Adapter | None] = OrderedDict({self._base: None})

    @property
    def current(self) -> str:
        """The revision in force: a hash, behind the adapter's name and a dash where there is one."""
        return next(reversed(self._kept))

    @property
    def kept(self) -> list[Adapter]:
        """Adapters that a request may still ask for, the one in force last."""
        return [adapter for adapter in self._kept.values() if adapter is not None]

    def resolve(self, wanted: str | None) -> str:
        """The revision that judges a request: the wanted one while it is kept, else the one in force."""
        return wanted if wanted is not None and wanted in self._kept else self.current

    def adapter(self, revision: str) -> Adapter | None:
        """The adapter of a kept revision, None for the base model. Raises GuardError for one that is not kept."""
        if revision not in self._kept:
            raise GuardError(f"the revision {revision} was replaced twice meanwhile")
        return self._kept[revision]

    def is_current(self, name: str) -> bool:
        """Whether a name or a revision is what is in force."""
        adapter = self._kept[self.current]
        return name in (self.current, BASE if adapter is None else adapter.name)

    def find(self, name: str) -> Adapter | None:
        """The adapter of a name or of a revision that was in force; None for the base model. Reads its files.

        Raises GuardError where there is none, where the name was seen with other weights, and without a folder.
        """
        if name in (BASE, self._base):
            return None
        known = next((a for a in self._digests.values() if name == self.revision(a)), None)
        name = name if known is None else known.name
        if self._folder is None:
            raise GuardError(f"there is no adapter {name!r}: guard.settings.adapters names no folder")
        if not _NAME.fullmatch(name):
            raise GuardError(f"{name!r} is no name of an adapter: letters, digits, dots, dashes, underscores")
        path = self._folder / name
        try:
            digest = _digest(path, self._files)
        except OSError as error:
            raise GuardError(f"the adapter {name!r} cannot be read: {error.strerror} ({path})") from error
        if (seen := self._digests.get(name)) is not None:
            if seen.digest != digest:
                raise GuardError(f"the adapter {name!r} changed after it was loaded: other weights need another name")
            return seen
        adapter = Adapter(name, path, digest, next(self._numbers))
        self._digests[name] = adapter
        return adapter

    def revision(self, adapter: Adapter | None) -> str:
        """What a verdict says that judged."""
        if adapter is None:
            return self._base
        return f"{adapter.name}-{revision_of(*self._parts, adapter.name, adapter.digest)}"

    def begin(self, name: str) -> None:
        """Put an adapter in force before anything was judged. ValueError where it cannot be read."""
        try:
            self.use(self.find(name))
        except GuardError as error:
            raise ValueError(f"guard.settings.adapter: {error}") from error
        self.drop_others()

    async def load_kept(self, load: Callable[[Adapter], Awaitable[None]]) -> None:
        """Load what requests may ask for into an engine that starts. Raises GuardError for the one in force.

        After a restart that is the one before it too, which is forgotten where its files are gone.
        """
        current = self._kept[self.current]
        for adapter in self.kept:
            try:
                await load(adapter)
            except GuardError:
                if adapter is current:
                    raise
                self.drop_others()

    def use(self, adapter: Adapter | None) -> list[Adapter]:
        """Put it in force from the next request on. Returns the adapters that nothing asks for any more."""
        revision = self.revision(adapter)
        if adapter is not None:
            self._used.add(adapter.name)
        self._kept[revision] = adapter
        self._kept.move_to_end(revision)
        dropped: list[Adapter] = []
        while len(self._kept) > KEPT:
            _, old = self._kept.popitem(last=False)
            if old is not None:
                dropped.append(old)
        return dropped

    @contextmanager
    def loading(self, adapter: Adapter | None) -> Iterator[None]:
        """Forget it where that fails: a folder that was still being written may be whole the next time it is looked at.

        One that was ever in force stays known: answers were given under its name.
        """
        try:
            yield
        except Exception:
            if adapter is not None and adapter.name not in self._used:
                self._digests.pop(adapter.name, None)
            raise

    def drop_others(self) -> None:
        """Forget all but the one in force: what was under way is judged by it."""
        while len(self._kept) > 1:
            self._kept.popitem(last=False)


def digest_of(files: Iterable[bytes]) -> str:
    """Digest of an adapter whose files have these contents."""
    return hashlib.sha256(b"".join(hashlib.sha256(content).digest() for content in files)).hexdigest()


def _digest(folder: Path, files: tuple[str, ...]) -> str:
    """SHA-256 over the files, each hashed by itself. Blocks; raises OSError."""
    hashed = hashlib.sha256()
    for name in files:
        one = hashlib.sha256()
        with (folder / name).open("rb") as file:
            while block := file.read(_BLOCK_BYTES):
                one.update(block)
        hashed.update(one.digest())
    return hashed.hexdigest()
