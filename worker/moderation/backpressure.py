"""Which partitions to pause, so that memory stays bounded and none starves another.

Half of each cap is guaranteed, in equal shares; the other half may be borrowed by whoever has more to do. When the half
to borrow is used up, every partition above its share is paused; below its share a partition always flows.
"""

from collections.abc import Callable, Collection

from worker.moderation.partitions import PartitionTrack

_LOW_WATERMARK = 0.5


class _Resource:
    """One cap (posts or bytes) with its high and low watermark."""

    def __init__(self, cap: int, held: Callable[[PartitionTrack], int]) -> None:
        self._half = cap / 2
        self.held = held
        self.pressed = False
        self.share = self._half

    def update(self, tracks: Collection[PartitionTrack]) -> None:
        self.share = self._half / max(1, len(tracks))
        borrowed = sum(max(0.0, self.held(track) - self.share) for track in tracks)
        self.pressed = borrowed >= self._half * (_LOW_WATERMARK if self.pressed else 1.0)


class Backpressure:
    """Pauses and resumes once a change: pausing throws prefetched records away."""

    def __init__(self, max_posts: int, max_bytes: int) -> None:
        self._resources = (
            _Resource(max_posts, lambda track: track.held_posts),
            _Resource(max_bytes, lambda track: track.held_bytes),
        )

    @property
    def pressed(self) -> bool:
        """Whether what may be borrowed is used up; a partition assigned now starts paused."""
        return any(resource.pressed for resource in self._resources)

    def changes(self, tracks: Collection[PartitionTrack]) -> tuple[list[PartitionTrack], list[PartitionTrack]]:
        """The partitions to pause and those to resume, marked so."""
        for resource in self._resources:
            resource.update(tracks)
        pause = [track for track in tracks if not track.paused and self._too_much(track)]
        resume = [track for track in tracks if track.paused and self._may_flow(track)]
        for track in pause:
            track.paused = True
        for track in resume:
            track.paused = False
        return pause, resume

    def _too_much(self, track: PartitionTrack) -> bool:
        return any(resource.pressed and resource.held(track) >= resource.share for resource in self._resources)

    def _may_flow(self, track: PartitionTrack) -> bool:
        return all(
            not resource.pressed or resource.held(track) <= resource.share * _LOW_WATERMARK
            for resource in self._resources
        )
