"""How many pixels the decoding threads hold between them: what a picture takes while it is decoded, whatever its size
afterwards, lies outside of the budget for pictures that wait for the guard.
"""

import threading
from collections import deque
from collections.abc import Iterator
from contextlib import contextmanager


class DecodingRoom:
    """Called by threads. First come, first served, so that a big picture cannot starve; one bigger than all the room
    is let in alone."""

    def __init__(self, max_pixels: int) -> None:
        self._max_pixels = max_pixels
        self._held = 0
        self._changed = threading.Condition()
        self._waiting: deque[object] = deque()

    @contextmanager
    def __call__(self, pixels: int) -> Iterator[None]:
        """Wait for room for so many pixels, and keep it as long as the block runs."""
        ticket = object()
        with self._changed:
            self._waiting.append(ticket)
            self._changed.wait_for(lambda: self._waiting[0] is ticket and self._fits(pixels))
            self._waiting.popleft()
            self._held += pixels
            self._changed.notify_all()  # the next may fit beside this one
        try:
            yield
        finally:
            with self._changed:
                self._held -= pixels
                self._changed.notify_all()

    def _fits(self, pixels: int) -> bool:
        return not self._held or self._held + pixels <= self._max_pixels
