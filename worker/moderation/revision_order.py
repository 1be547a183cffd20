"""Which revision a post is to be judged by, so that in a partition a new one follows the old one once and for all.

Posts start out of order, since pictures take time. When the revision changes, posts behind the last one that started
are judged by the new one; those before it that are late are judged by the old one, as their neighbours were.
"""

from dataclasses import dataclass, field

from worker.moderation.poison import Coordinates

# The guard keeps one revision beside the one in force; an older one would be judged by that anyway.
_KEPT = 2


@dataclass(slots=True)
class _Place:
    """One assignment of a partition. started: the last offset that started; bounds: up to where an old one judges."""

    incarnation: int
    started: int = -1
    bounds: list[tuple[int, str]] = field(default_factory=list)


class RevisionOrder:
    """Used by the pipeline's thread alone; costs one look into a dictionary a post."""

    def __init__(self) -> None:
        self._current = ""
        self._places: dict[tuple[str, int], _Place] = {}

    def wanted(self, source: Coordinates, current: str, incarnation: int = 0) -> str:
        """Ask once a post, when its first question starts. current: the guard's revision now.

        incarnation: of the partition's assignment. What an earlier one had started is forgotten: it was dropped, and
        another worker may have judged it, and posts behind it, by the new revision meanwhile.
        """
        if current != self._current:
            self._note_change(current)
        topic, partition, offset = source
        place = self._places.get((topic, partition))
        if place is None or place.incarnation < incarnation:
            place = self._places[topic, partition] = _Place(incarnation)
        elif place.incarnation > incarnation:  # nobody waits for this post any more
            return current
        for bound, revision in place.bounds:
            if offset <= bound:
                return revision
        if place.started < offset:
            place.started = offset
        return current

    def _note_change(self, current: str) -> None:
        before, self._current = self._current, current
        for place in self._places.values():
            bounds = place.bounds
            if not bounds or bounds[-1][0] < place.started:
                bounds.append((place.started, before))
            del bounds[:-_KEPT]
