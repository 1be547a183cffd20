"""What engines with a chat model ask once an answer is parsed: which listed category a novel name is close to."""

import asyncio
import hashlib
import json
import threading
from collections import OrderedDict
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from proguard_core.guards import checked
from proguard_core.guards.protocol import Category, GuardError
from proguard_core.novelty import bank as banks
from proguard_core.novelty.manifest import FOLDER, read_manifest
from proguard_core.policy.policy import Policy
from schemas.common import CategoryKind

if TYPE_CHECKING:
    from proguard_core.novelty.nearest import Nearest

KEYS = frozenset({"bank"})
REMEMBERED = 8192

Place = tuple[str | None, float | None]


class Novelty:
    """Under one policy. path: a bank of your own, beside the shipped one. Encoder and bank load at the first name.

    BankError for a wrong bank, ValueError where the encoder's packages or files are missing or changed.
    """

    def __init__(self, policy: Policy, path: Path | None = None, folder: Path = FOLDER) -> None:
        self._policy = policy
        self._folder = folder
        self._manifest = _manifest(folder)
        shipped = banks.load()
        self._bank = shipped if path is None else shipped.joined(banks.load(path))
        self._loading = threading.Lock()
        self._nearest: Nearest | None = None
        self._known: OrderedDict[str, Place] = OrderedDict()

    @property
    def policy(self) -> Policy:
        """Whose listed codes names are compared with."""
        return self._policy

    @property
    def version(self) -> str:
        """Changes with encoder, thresholds and bank: part of a guard's revision."""
        parts = [self._bank.version, json.dumps(self._manifest, sort_keys=True)]
        return hashlib.sha256(" ".join(parts).encode()).hexdigest()[:16]

    async def place(self, category: Category) -> Category:
        """A novel category with `nearest` and `similarity` where it is close to a listed one; any other as it is.

        Runs in a thread. Raises GuardError where the encoder fails.
        """
        if category.kind is not CategoryKind.NOVEL or category.nearest is not None or not category.name:
            return category
        known = self._known.get(category.name)
        if known is None:
            try:
                (known,) = await asyncio.to_thread(self.near, [category.name])
            except Exception as error:  # whatever onnxruntime raises: without it law 11 cannot be kept
                raise GuardError(f"the sentence encoder failed: {type(error).__name__}") from error
        nearest, similarity = known
        return category if nearest is None else replace(category, nearest=nearest, similarity=similarity)

    def near(self, names: Sequence[str]) -> list[Place]:
        """Of each name the listed code that it is close to, and how close; None twice where it is close to none.

        The latest REMEMBERED names are not encoded again.
        """
        found = {name: self._known[name] for name in names if name in self._known}
        new = [name for name in dict.fromkeys(names) if name not in found]
        for name, place in zip(new, self._loaded().near(new) if new else (), strict=True):
            found[name] = place
            self._remember(name, place)
        return [found[name] for name in names]

    def same(self, names: Sequence[str]) -> list[str | None]:
        """Of each name the listed code that has it in other words, or None."""
        return self._loaded().same(names)

    def _loaded(self) -> "Nearest":
        from proguard_core.novelty.encoder import SentenceEncoder
        from proguard_core.novelty.nearest import Nearest, Thresholds, phrases_of

        with self._loading:
            if self._nearest is None:
                bounds = Thresholds(**self._manifest["thresholds"])
                phrases = phrases_of(self._policy, self._bank)
                self._nearest = Nearest(
                    SentenceEncoder(self._folder), phrases, self._policy.codes, bounds, self._bank.words
                )
            return self._nearest

    def _remember(self, name: str, place: Place) -> None:
        self._known[name] = place
        while len(self._known) > REMEMBERED:
            self._known.popitem(last=False)


def from_setting(value: object, policy: Policy) -> Novelty | None:
    """`guard.settings.novelty`: absent for the shipped bank, false for none, or a table. ValueError names the key."""
    value = checked.spelled(value)
    said = value if isinstance(value, bool) else checked.FLAGS.get(value.lower()) if isinstance(value, str) else None
    if said is False:
        return None
    table = {} if value is None or said else value
    if not isinstance(table, Mapping) or set(table) - KEYS:
        raise ValueError(f"guard.settings.novelty must be false or a table with {', '.join(sorted(KEYS))}")
    path = table.get("bank")
    if path is not None and (not isinstance(path, str) or not path):
        raise ValueError("guard.settings.novelty.bank must be the path of a bank")
    try:
        return Novelty(policy, None if path is None else Path(path))
    except ValueError as error:
        raise ValueError(f"guard.settings.novelty: {error}") from error


def for_law_11(value: object, policy: Policy) -> Novelty:
    """By the bank that `guard.settings.novelty` names, where a guard wants none by the shipped one. ValueError."""
    return from_setting(value, policy) or Novelty(policy)


def _manifest(folder: Path) -> dict[str, dict[str, float]]:
    """The part that the places of names depend on."""
    manifest = read_manifest(folder)
    return {"thresholds": manifest["thresholds"], "files": manifest["files"]}
