"""Thirty days of made-up risks: twelve topics that grow differently, noise, a flood by one author, two guard swaps.

wording: `own` or `reworded` (the same topics in other sentences), or `mixed`. Everything is drawn by the seed.
"""

import random
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from functools import cache
from pathlib import Path
from typing import Any

import yaml

from proguard_core.training.embedded.parts import fill

FOLDER = Path(__file__).parent
START = datetime(2026, 10, 27, tzinfo=UTC)
DAYS = 30
SWAPS = (10, 20)
"""Days on which another guard revision begins, which calls every topic by other names."""
RISKS = 20_000
NOISE_SHARE = 0.12
FLOOD = "flood"
FLOOD_POSTS, FLOOD_DAY = 400, 16
VERDICTS_AN_HOUR = 2000
"""Posts judged in every hour: what rates refer to."""
NOISE = "noise"
# A day's expected share of a topic, before scaling: (kind, day from which, factor).
GROWTH: dict[str, tuple[str, int, float]] = {
    "touting": ("steady", 0, 1.0),
    "essays": ("step", 15, 4.0),
    "dogfights": ("new", 12, 1.0),
    "organs": ("steady", 0, 0.5),
    "wildlife": ("fading", 0, 1.5),
    "reviews": ("weekly", 0, 1.2),
    "odometers": ("doubling", 0, 0.2),
    "drones": ("spike", 23, 6.0),
    "meters": ("new", 25, 1.4),
    "gifting": ("step", 7, 3.0),
    "logging": ("steady", 0, 0.8),
    "fireworks": ("swap", 20, 2.5),
}
BURSTS = {"essays": 15, "dogfights": 12, "drones": 23, "meters": 25, "gifting": 7}
"""Day on which a real burst of a topic begins. That of `fireworks` is the new guard's eagerness and nothing else."""
_MODALITIES = ("text", "text", "text", "text-image")
_LANGUAGES = ("en", "en", "en", "en-GB", None)


@dataclass(frozen=True, slots=True)
class Planted:
    """One risk. topic: the truth; noise is its own topic each time (`noise-12`)."""

    number: int
    topic: str
    text: str
    name: str
    author: str
    observed_at: datetime
    revision: str
    modality: str
    language: str | None


def history(wording: str, risks: int = RISKS, seed: int = 1) -> list[Planted]:
    """About `risks` risks in the order of time."""
    chooser = random.Random(f"{seed} {wording}")
    planned = [*_topics(chooser, risks), *_noise(chooser, int(risks * NOISE_SHARE)), *_flood(chooser, risks)]
    planned.sort()
    return [_made(number, at, topic, wording, chooser) for number, (at, topic) in enumerate(planned)]


def revision_at(day: float) -> str:
    """Of the guard then."""
    return f"r{1 + sum(day >= swap for swap in SWAPS)}"


def _topics(chooser: random.Random, risks: int) -> Iterator[tuple[float, str]]:
    shares = {topic: [_share(topic, day) for day in range(DAYS)] for topic in GROWTH}
    whole = sum(sum(days) for days in shares.values())
    scale = (risks * (1 - NOISE_SHARE) - FLOOD_POSTS * risks / RISKS) / whole
    for topic, days in shares.items():
        for day, share in enumerate(days):
            expected = share * scale
            count = max(0, round(chooser.gauss(expected, expected**0.5)))
            yield from ((day + chooser.random(), topic) for _ in range(count))


def _share(topic: str, day: int) -> float:
    kind, since, factor = GROWTH[topic]
    if kind == "new":
        return factor if day >= since else 0.0
    if kind in ("step", "swap"):
        return factor if day >= since else 1.0
    if kind == "spike":
        return factor if since <= day < since + 3 else 0.6
    if kind == "fading":
        return float(factor * 0.93**day)
    if kind == "doubling":
        return float(factor * 2 ** (day / 8))
    if kind == "weekly":
        return factor * (1.25 if day % 7 in (4, 5) else 0.9)
    return factor


def _noise(chooser: random.Random, count: int) -> list[tuple[float, str]]:
    return [(DAYS * chooser.random(), f"{NOISE}-{number}") for number in range(count)]


def _flood(chooser: random.Random, risks: int) -> list[tuple[float, str]]:
    return [(FLOOD_DAY + 0.4 * chooser.random(), FLOOD) for _ in range(FLOOD_POSTS * risks // RISKS)]


def _made(number: int, day: float, topic: str, wording: str, chooser: random.Random) -> Planted:
    revision = revision_at(day)
    if topic.startswith(NOISE):
        noise = _loaded("noise")
        slots = {key: value for key, value in noise.items() if key not in ("names", "forms")}
        text, name = fill(chooser.choice(noise["forms"]), slots, chooser), chooser.choice(noise["names"])
        author = f"somebody-{chooser.randrange(9000)}"
    elif topic == FLOOD:
        text = f"Buy my miracle bracelet number {chooser.randrange(99)}, cures debt, {chooser.choice('abcdef')}!!"
        name, author = "Miracle bracelet spam", "flooder"
    else:
        entry = next(each for each in _loaded("topics") if each["key"] == topic)
        style = chooser.choice(("own", "reworded")) if wording == "mixed" else wording
        text = fill(chooser.choice(entry[style]), entry["slots"], chooser)
        name = chooser.choice(entry["names"][int(revision[1:]) - 1])
        author = f"{topic}-{int(chooser.paretovariate(1.2) * 40) % 3000}"
    return Planted(
        number,
        topic,
        text[0].upper() + text[1:],
        name,
        author,
        START + timedelta(days=day),
        revision,
        chooser.choice(_MODALITIES),
        chooser.choice(_LANGUAGES),
    )


@cache
def _loaded(name: str) -> Any:
    return yaml.safe_load((FOLDER / f"{name}.yaml").read_text(encoding="utf-8"))
