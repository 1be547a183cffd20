"""Which revision a post is to be judged by, so that in a partition a new one follows the old one once and for all.

Posts start out of order, since pictures take time. When the revision changes, posts behind the last one that started
are judged by the new one; those before it that are late are judged by the old one, as their neighbours were.
"""

from worker.moderation.poison import Coordinates

# The guard keeps one revision beside the one in force; an older one would be judged by that anyway.
_KEPT = 2


class RevisionOrder:
    """Used by the pipeline's thread alone; costs one look into a dictionary a post."""

    def __init__(self) -> None:
        self._current = ""
        self._started: dict[tuple[str, int], int] = {}
        self._bounds: dict[tuple[str, int], list[tuple[int, str]]] = {}

    def wanted(self, source: Coordinates, current: str) -> str:
        """Ask once a post, when its first question starts. current: the guard's revision now."""
        if current != self._current:
            self._note_change(current)
        topic, partition, offset = source
        place = topic, partition
        for bound, revision in self._bounds.get(place, ()):
            if offset <= bound:
                return revision
        if self._started.get(place, -1) < offset:
            self._started[place] = offset
        return current

    def _note_change(self, current: str) -> None:
        before, self._current = self._current, current
        for place, offset in self._started.items():
            bounds = self._bounds.setdefault(place, [])
            if not bounds or bounds[-1][0] < offset:
                bounds.append((offset, before))
            del bounds[:-_KEPT]
