"""What guards count, for whoever shows it: a guard that counts has `counts()`, and a wrapper adds what is inside it.

Counts only grow, from 0 when the guard is made. Reading them blocks nothing and may be done from any thread.
"""

from typing import Protocol, runtime_checkable

Counts = dict[str, dict[str, int]]
"""Name of the count, then its kinds, as in KINDS."""

TOKENS = "tokens"
CACHE = "cache"
SHADOW = "shadow"
CASCADE = "cascade"
CASCADE_UNSAFE = "cascade_unsafe"

KINDS: dict[str, tuple[str, ...]] = {
    TOKENS: ("prompt", "cached", "completion"),
    CACHE: ("hit", "miss"),
    SHADOW: ("agreed", "disagreed", "dropped", "failed"),
    CASCADE: ("passed", "forwarded", "audited"),
    CASCADE_UNSAFE: ("found", "missed"),
}


@runtime_checkable
class Counting(Protocol):
    """A guard that counts."""

    def counts(self) -> Counts: ...


def counts_of(guard: object) -> Counts:
    """What a guard counts, with what is inside its wrappers; empty for one that counts nothing."""
    return guard.counts() if isinstance(guard, Counting) else {}
