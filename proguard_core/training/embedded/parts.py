"""Fills the templates of `parts/`: {slots} at random, every text once. Own words only; no public row is in them."""

import random
import re
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import yaml

FOLDER = Path(__file__).parent / "parts"
TRIES = 4
_SLOT = re.compile(r"\{(\w+)\}")

Slots = dict[str, list[str]]


def load(name: str) -> dict[str, Any]:
    """One file of parts/, by its name without ending."""
    loaded: dict[str, Any] = yaml.safe_load((FOLDER / f"{name}.yaml").read_text(encoding="utf-8"))
    return loaded


def fill(template: str, slots: Slots, chooser: random.Random) -> str:
    """A template with each {slot} drawn by itself, slots within slots too. A {name} that is no slot stays."""
    filled, before = template, ""
    while filled != before:
        before = filled
        filled = _SLOT.sub(lambda found: chooser.choice(slots.get(found.group(1), [found.group()])), filled)
    return filled


def varied(templates: Sequence[str], slots: Slots, each: int, chooser: random.Random) -> Iterator[str]:
    """At most `each` different fillings of every template, beginning with a capital letter in most of them."""
    for template in templates:
        found: set[str] = set()
        for _ in range(each * TRIES):
            if len(found) == each:
                break
            found.add(fill(template, slots, chooser))
        for text in sorted(found):
            yield text[0].upper() + text[1:] if chooser.random() < 0.7 else text
