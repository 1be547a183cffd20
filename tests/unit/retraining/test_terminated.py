"""SIGTERM ends a round with 143, wherever it strikes, and no later step begins."""

import signal
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from proguard_core.policy.loader import load_policy
from tests.support.strikes import STRIKES, handlers_kept
from tests.unit.retraining.test_what_is_missing import settings_in
from worker.commands import retrain
from worker.errors import EXIT_TERMINATED
from worker.retraining import run


@pytest.fixture(autouse=True)
def handler() -> Iterator[None]:
    with handlers_kept(signal.SIGTERM):
        yield


@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")
@pytest.mark.parametrize("strike", STRIKES)
def test_the_command_ends_with_143(
    strike: Callable[[signal.Signals], None], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    def one_round(_settings: Any, _policy: Any, _say: Any, interrupted: Callable[[], None]) -> None:
        strike(signal.SIGTERM)
        interrupted()
        pytest.fail("a further step")

    monkeypatch.setattr(retrain, "one_round", one_round)
    monkeypatch.setattr(retrain, "connect", lambda _: None)
    monkeypatch.setattr(retrain, "check_group", lambda *_: None)
    with pytest.raises(SystemExit) as ended:
        retrain.once(settings_in(tmp_path))
    assert ended.value.code == EXIT_TERMINATED


def test_no_step_begins_where_it_is_interrupted(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """And the lease is given back."""

    def interrupted() -> None:
        raise KeyboardInterrupt

    def go_on(_bench: Any, check: Callable[[], None], _say: Any) -> None:
        check()
        pytest.fail("a step that only the holder of the lease may do")

    monkeypatch.setattr(run, "go_on", go_on)
    for _ in range(2):
        with pytest.raises(KeyboardInterrupt):
            run.once(settings_in(tmp_path), load_policy(), interrupted=interrupted)
