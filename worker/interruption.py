"""A signal that breaks off what is under way."""

import signal
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType


class Interruption:
    """Signals raise an exception where they strike, and are remembered: there it may be lost or come out as another.

    Python only prints what is raised in a finalizer, and pydantic makes an error of its own of it. For what drains
    there is worker.moderation.run.Stop.
    """

    def __init__(self, error: BaseException, *numbers: signal.Signals) -> None:
        """error: what is raised; numbers: the signals, also where a shell made us deaf to them."""
        self._error = error
        self._came = False
        for number in numbers:
            signal.signal(number, self._strike)

    def check(self) -> None:
        """Raise once more where a signal came and what it raised was lost."""
        if self._came:
            raise self._error

    @contextmanager
    def told(self) -> Iterator[None]:
        """What fails inside by the signal ends as the signal's own exception."""
        try:
            yield
        except Exception:
            self.check()
            raise

    def _strike(self, _number: int, _frame: FrameType | None) -> None:
        self._came = True
        raise self._error
