"""Suspects that will not come: their partition belongs to another worker by now, or went on without them."""

import time
from collections.abc import Callable, Iterable

from worker.moderation.poison import Coordinates, Journal

# Longer than a group takes to settle after a death, several sessions included.
ABSENT_S = 900.0


class Absentees:
    """Acquits them: else they would be suspects, and keep the journal, for ever."""

    def __init__(self, journal: Journal, clock: Callable[[], float] = time.monotonic) -> None:
        self._journal = journal
        self._clock = clock
        self._since: float | None = None
        self._reached: dict[tuple[str, int], int] = {}
        self._met: set[Coordinates] = set()

    def look(self, delivered: Iterable[Coordinates]) -> None:
        """Call with the posts of each delivery, in the order of their partitions, while there are suspects."""
        now = self._clock()
        self._since = now if self._since is None else self._since
        for source in delivered:
            self._reached[source[:2]] = source[2]
            if self._journal.is_suspect(source):
                self._met.add(source)
        late = now - self._since >= ABSENT_S
        for suspect in [suspect for suspect in self._journal.suspects if suspect not in self._met]:
            reached = self._reached.get(suspect[:2])
            if late if reached is None else reached > suspect[2]:
                self._journal.acquit(suspect)
