"""How many bytes and pixels of pictures are held at once: bounded, fair between partitions, never a dead end.

A post asks once for all it may need, so nobody holds a part and waits for the rest.
"""

import asyncio
from collections import OrderedDict, deque
from collections.abc import Hashable
from dataclasses import dataclass


class Grant:
    """What one post holds. Shrinks as more is known; `release` gives back the rest. Not for other threads."""

    __slots__ = ("_budget", "_bytes", "_pixels")

    def __init__(self, budget: "ImageBudget", bytes: int, pixels: int) -> None:
        self._budget = budget
        self._bytes = bytes
        self._pixels = pixels

    @property
    def bytes(self) -> int:
        """Bytes held."""
        return self._bytes

    @property
    def pixels(self) -> int:
        """Pixels held."""
        return self._pixels

    def shrink(self, *, bytes: int | None = None, pixels: int | None = None) -> None:
        """Hold only this much from now on. What is not named stays; asking for more than is held changes nothing."""
        fewer_bytes = self._bytes - min(self._bytes, self._bytes if bytes is None else bytes)
        fewer_pixels = self._pixels - min(self._pixels, self._pixels if pixels is None else pixels)
        self._bytes -= fewer_bytes
        self._pixels -= fewer_pixels
        self._budget._return(fewer_bytes, fewer_pixels)

    def release(self) -> None:
        """Hold nothing any more. Idempotent."""
        self.shrink(bytes=0, pixels=0)


@dataclass(slots=True, eq=False)
class _Waiter:
    bytes: int
    pixels: int
    granted: asyncio.Future[Grant]


class ImageBudget:
    """Lives on one event loop. Granted first come first served within a partition, in turns between partitions.

    Whoever is next in turn is never overtaken by a smaller one, so a big post cannot starve; one that is bigger than a
    cap is admitted alone.
    """

    def __init__(self, max_bytes: int, max_pixels: int) -> None:
        self._max_bytes = max_bytes
        self._max_pixels = max_pixels
        self._held_bytes = 0
        self._held_pixels = 0
        # The order of the keys is the order of turns; a partition without waiters has no key.
        self._waiting: OrderedDict[Hashable, deque[_Waiter]] = OrderedDict()

    @property
    def held_bytes(self) -> int:
        """Granted and not yet given back."""
        return self._held_bytes

    @property
    def held_pixels(self) -> int:
        """Granted and not yet given back."""
        return self._held_pixels

    @property
    def waiting(self) -> int:
        """Posts that wait for a grant."""
        return sum(len(queue) for queue in self._waiting.values())

    async def acquire(self, partition: Hashable, bytes: int, pixels: int) -> Grant:
        """Wait for the turn of this post. The place in the queue is taken at the call, before any suspension."""
        if not self._waiting and self._fits(bytes, pixels):
            return self._granted(bytes, pixels)
        waiter = _Waiter(bytes, pixels, asyncio.get_running_loop().create_future())
        self._waiting.setdefault(partition, deque()).append(waiter)
        try:
            return await waiter.granted
        except asyncio.CancelledError:
            self._forget(partition, waiter)
            raise

    def _forget(self, partition: Hashable, waiter: _Waiter) -> None:
        if waiter.granted.done() and not waiter.granted.cancelled():
            waiter.granted.result().release()  # granted and cancelled in the same turn of the loop
            return
        queue = self._waiting.get(partition)
        if queue is not None and waiter in queue:
            queue.remove(waiter)
            if not queue:
                del self._waiting[partition]
        self._admit()

    def _fits(self, bytes: int, pixels: int) -> bool:
        if self._held_bytes == 0 and self._held_pixels == 0:
            return True
        return self._held_bytes + bytes <= self._max_bytes and self._held_pixels + pixels <= self._max_pixels

    def _granted(self, bytes: int, pixels: int) -> Grant:
        self._held_bytes += bytes
        self._held_pixels += pixels
        return Grant(self, bytes, pixels)

    def _return(self, bytes: int, pixels: int) -> None:
        self._held_bytes -= bytes
        self._held_pixels -= pixels
        if bytes or pixels:
            self._admit()

    def _admit(self) -> None:
        while self._waiting:
            partition, queue = next(iter(self._waiting.items()))
            waiter = queue[0]
            if not waiter.granted.done() and not self._fits(waiter.bytes, waiter.pixels):
                return
            queue.popleft()
            self._waiting.move_to_end(partition)
            if not queue:
                del self._waiting[partition]
            if not waiter.granted.done():
                waiter.granted.set_result(self._granted(waiter.bytes, waiter.pixels))
