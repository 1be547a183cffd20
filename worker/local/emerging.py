"""Posts of a risk that no policy lists yet, for showing how the loop closes: the fixing of matches (emerging.yaml)."""

import random
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

import yaml

from proguard_core.training.embedded.parts import fill

FILE = Path(__file__).parent / "emerging.yaml"
POSTS, NEIGHBOURS = "posts", "neighbours"
_TRIES = 20


@dataclass(frozen=True, slots=True)
class Emerging:
    """The category as a person would name it, and the entry that a policy would have for it."""

    name: str
    synonyms: tuple[str, ...]
    code: str
    description: str


def category() -> Emerging:
    """What reviewers confirm and the operator adds."""
    loaded = _load()
    return Emerging(loaded["name"], tuple(loaded["synonyms"]), loaded["code"], loaded["description"])


def texts(kind: str, count: int, seed: int) -> list[str]:
    """Different texts of POSTS (unsafe) or NEIGHBOURS (safe), drawn by the seed. ValueError if there are too few."""
    loaded, chooser = _load(), random.Random(f"{seed} {kind}")
    found: dict[str, None] = {}
    for _ in range(count * _TRIES):
        text = fill(chooser.choice(loaded[kind]), loaded["slots"], chooser)
        found.setdefault(text[0].upper() + text[1:])
        if len(found) == count:
            return list(found)
    raise ValueError(f"there are no {count} different {kind}")


@cache
def _load() -> dict[str, Any]:
    loaded: dict[str, Any] = yaml.safe_load(FILE.read_text(encoding="utf-8"))
    return loaded
