"""Where a signal may strike: what its handler raises there is raised, lost, or comes out as another error."""

import signal
import weakref
from collections.abc import Callable, Iterator
from contextlib import contextmanager


@contextmanager
def handlers_kept(*numbers: signal.Signals) -> Iterator[None]:
    """Who hears these signals outside hears them afterwards too."""
    before = {number: signal.getsignal(number) for number in numbers}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def in_our_code(sent: signal.Signals) -> None:
    """Raised as it is."""
    signal.raise_signal(sent)


def in_a_finalizer(sent: signal.Signals) -> None:
    """Lost: Python prints it, and goes on."""

    class Pool: ...

    pool = Pool()
    weakref.finalize(pool, signal.raise_signal, sent)
    del pool


def in_a_library(sent: signal.Signals) -> None:
    """Another error, as pydantic's SchemaError."""
    try:
        signal.raise_signal(sent)
    except BaseException as error:
        raise ValueError("not of this kind") from error


STRIKES: list[Callable[[signal.Signals], None]] = [in_our_code, in_a_finalizer, in_a_library]
