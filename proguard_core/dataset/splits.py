"""Two sides of a dataset that share no author, no picture and no near-duplicate, with like shares of every label."""

import math
import random
from collections import Counter, defaultdict
from collections.abc import Sequence

from proguard_core.dataset.items import Item

Stratum = tuple[str, str]


def split(items: Sequence[Item], groups: Sequence[int], held_out: float, seed: int) -> tuple[list[int], list[int]]:
    """Places of the items to learn from, and of those held out: whole groups only.

    groups: of each item, what must stay together. held_out: the share wanted of each stratum (modality and label).
    Groups go, the largest first, to the held-out side while it lacks what they hold, by modality and safety and by
    label; a group that is larger than what is lacking is learned from.
    """
    members: dict[int, list[int]] = defaultdict(list)
    for place in range(len(items)):
        members[groups[place]].append(place)
    totals = Counter(_stratum(item) for item in items)
    lacking: dict[Stratum, float] = {stratum: held_out * count for stratum, count in totals.items()}
    # A label that is rare lacks a part of a row: which of them give one is left to chance, how many is not.
    of_kind = Counter(_kind(item) for item in items)
    lacking_kind: dict[Stratum, float] = {kind: held_out * count for kind, count in of_kind.items()}
    order = list(members.values())
    random.Random(f"split {seed}").shuffle(order)
    order.sort(key=len, reverse=True)
    aside: list[int] = []
    for group in order:
        held = Counter(_stratum(items[place]) for place in group)
        kinds = Counter(_kind(items[place]) for place in group)
        if any(count > lacking_kind[kind] + 0.5 for kind, count in kinds.items()):
            continue
        if all(count <= math.ceil(lacking[stratum]) for stratum, count in held.items()):
            aside += group
            for stratum, count in held.items():
                lacking[stratum] -= count
            for kind, count in kinds.items():
                lacking_kind[kind] -= count
    kept_out = set(aside)
    return [place for place in range(len(items)) if place not in kept_out], sorted(aside)


def _stratum(item: Item) -> Stratum:
    return item.modality.value, item.stratum


def _kind(item: Item) -> Stratum:
    return item.modality.value, "unsafe" if item.row.unsafe else "safe"
