"""Micro-batches by count, by cost and by deadline. Pure: time is passed in."""

from collections import deque
from collections.abc import Callable
from typing import Generic, Protocol, TypeVar

from worker.settings import BatchingSettings


class Costly(Protocol):
    """What can wait for a batch. cost: estimated prompt tokens."""

    @property
    def cost(self) -> int: ...


Item = TypeVar("Item", bound=Costly)


class Batcher(Generic[Item]):
    """First come, first served. since and now are seconds on one monotonic clock."""

    def __init__(self, settings: BatchingSettings) -> None:
        self._max_posts = settings.max_posts
        self._max_cost = settings.max_cost
        self._max_wait_s = settings.max_wait_ms / 1000
        self._queue: deque[tuple[Item, float, int]] = deque()  # item, since when it waits, its cost
        self._cost = 0

    def __len__(self) -> int:
        return len(self._queue)

    def add(self, item: Item, now: float) -> None:
        """Queue one item."""
        cost = item.cost
        self._queue.append((item, now, cost))
        self._cost += cost

    def discard(self, unwanted: Callable[[Item], bool]) -> None:
        """Drop the items of which unwanted says True."""
        self._queue = deque(waiting for waiting in self._queue if not unwanted(waiting[0]))
        self._cost = sum(cost for _item, _since, cost in self._queue)

    def wait_s(self, now: float) -> float | None:
        """Seconds until a batch is due: 0 for now, None for nothing to wait for."""
        if not self._queue:
            return None
        if len(self._queue) >= self._max_posts or self._cost >= self._max_cost:
            return 0.0
        return max(0.0, self._queue[0][1] + self._max_wait_s - now)

    def take(self) -> list[Item]:
        """The next batch: at least one item, however costly, and no more than the bounds allow."""
        batch: list[Item] = []
        cost = 0
        while self._queue and len(batch) < self._max_posts:
            item, _since, own = self._queue[0]
            if batch and cost + own > self._max_cost:
                break
            self._queue.popleft()
            batch.append(item)
            cost += own
        self._cost -= cost
        return batch
