"""A signal that breaks off is not lost, wherever it strikes."""

import signal
import weakref
from collections.abc import Callable, Iterator

import pytest

from worker.interruption import Interruption

SENT = signal.SIGUSR1


class BrokenOffError(BaseException):
    """What the signal raises."""


@pytest.fixture
def interruption() -> Iterator[Interruption]:
    before = signal.getsignal(SENT)
    yield Interruption(BrokenOffError(), SENT)
    signal.signal(SENT, before)


def in_our_code() -> None:
    signal.raise_signal(SENT)


def in_a_finalizer() -> None:
    class Pool: ...

    pool = Pool()
    weakref.finalize(pool, in_our_code)
    del pool  # Python prints what it raises, and goes on


def in_a_library() -> None:
    try:
        in_our_code()
    except BrokenOffError as error:
        raise ValueError("as pydantic's SchemaError") from error


@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")
@pytest.mark.parametrize("strike", [in_our_code, in_a_finalizer, in_a_library])
def test_it_ends_what_is_under_way(strike: Callable[[], None], interruption: Interruption) -> None:
    def work() -> None:
        with interruption.told():
            strike()
            interruption.check()

    with pytest.raises(BrokenOffError):
        work()


def test_without_a_signal_errors_are_what_they_are(interruption: Interruption) -> None:
    interruption.check()
    with pytest.raises(ValueError, match="mine"), interruption.told():
        raise ValueError("mine")
