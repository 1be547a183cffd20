"""A signal that breaks off is not lost, wherever it strikes."""

import signal
from collections.abc import Callable, Iterator

import pytest

from tests.support.strikes import STRIKES, handlers_kept
from worker.interruption import Interruption

SENT = signal.SIGUSR1


class BrokenOffError(BaseException):
    """What the signal raises."""


@pytest.fixture
def interruption() -> Iterator[Interruption]:
    with handlers_kept(SENT):
        yield Interruption(BrokenOffError(), SENT)


@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")
@pytest.mark.parametrize("strike", STRIKES)
def test_it_ends_what_is_under_way(strike: Callable[[signal.Signals], None], interruption: Interruption) -> None:
    def work() -> None:
        with interruption.told():
            strike(SENT)
            interruption.check()

    with pytest.raises(BrokenOffError):
        work()


def test_without_a_signal_errors_are_what_they_are(interruption: Interruption) -> None:
    interruption.check()
    with pytest.raises(ValueError, match="mine"), interruption.told():
        raise ValueError("mine")
