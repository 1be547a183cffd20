"""Splits that leave categories out of the policy, so that rows of these are risks that the policy does not list."""

import hashlib
import random
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, replace

from proguard_core.evaluation.rows import Row
from proguard_core.policy.policy import SEXUAL, Policy

MAX_SHARE = 0.25
OWN, UNTRAINED = "the set's own", "never trained"


@dataclass(frozen=True, slots=True)
class Split:
    """withheld: main categories left out of the policy; none where the set has rows outside the taxonomy itself."""

    name: str
    withheld: frozenset[str] = frozenset()

    def out_of_taxonomy(self, row: Row) -> bool | None:
        """Whether an unsafe row's risk is outside the policy; None where that cannot be said."""
        if not row.categories:
            return True if row.ood_name else None
        withheld = {main(code) in self.withheld for code in row.categories}
        return withheld.pop() if len(withheld) == 1 else None


def main(code: str) -> str:
    """The main category of a code: C3 of C3S1."""
    return code.partition("S")[0]


def splits(
    name: str,
    rows: Sequence[Row],
    policy: Policy,
    wanted: int,
    most: float = MAX_SHARE,
    untrained: frozenset[str] = frozenset(),
) -> list[Split]:
    """Up to `wanted` different splits of a set, each withholding at most that share of its unsafe rows, those included
    that the set itself names as outside of the taxonomy.

    Deterministic for a set's name. No category is in two splits unless a split would be empty without it. The sexual
    category is never withheld: every policy lists minors. Fewer splits where the set does not allow as many.
    untrained: main categories that no training of the guard saw; the first split withholds exactly these, whatever
    their share, where the set has rows of them and of others.
    """
    unsafe = [row for row in rows if row.unsafe and row.categories]
    sizes = Counter(next(iter(mains)) for row in unsafe if len(mains := {main(code) for code in row.categories}) == 1)
    own = sum(map(_is_outside, rows))
    room = most * (len(unsafe) + own) - own
    candidates = sorted(code for code in sizes if code != SEXUAL and code in policy.categories)
    withheld = untrained & set(candidates)
    found = [Split(UNTRAINED, withheld)] if withheld and len(withheld) < len(sizes) else []
    used: Counter[str] = Counter()
    for number in range(1, 4 * wanted + 1):
        if len(found) == wanted:
            break
        order = candidates.copy()
        random.Random(f"{name} {number}").shuffle(order)
        order.sort(key=lambda code: used[code])
        chosen: list[str] = []
        for code in order:
            if chosen and used[code]:  # another split has it, and this one does not need it
                continue
            together = sum(sizes[each] for each in (*chosen, code))
            # At least one category stays in, or there is nothing to tell a novel risk from.
            if together <= room and len(chosen) + 1 < len(sizes):
                chosen.append(code)
        split = Split(f"split {len(found) + 1}", frozenset(chosen))
        if chosen and all(split.withheld != other.withheld for other in found):
            found.append(split)
            used.update(chosen)
    return found


def own_split(rows: Sequence[Row]) -> Split | None:
    """The split that the set makes itself by rows with a name outside the taxonomy."""
    return Split(OWN) if any(map(_is_outside, rows)) else None


def _is_outside(row: Row) -> bool:
    """Whether the set itself names an unsafe row's risk as outside of the taxonomy."""
    return row.unsafe and bool(row.ood_name) and not row.categories


def without(policy: Policy, withheld: frozenset[str]) -> Policy:
    """The policy without main categories and what is below them; another version, so that no answer is mixed up."""
    if not withheld:
        return policy
    left_out = ",".join(sorted(withheld))
    return replace(
        policy,
        name=f"{policy.name} without {left_out}"[:120],
        version=hashlib.sha256(f"{policy.version} without {left_out}".encode()).hexdigest()[: len(policy.version)],
        categories={code: item for code, item in policy.categories.items() if code not in withheld},
        subcategories={code: item for code, item in policy.subcategories.items() if main(code) not in withheld},
    )
