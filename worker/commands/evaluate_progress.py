"""How far an evaluation is: a bar where somebody watches, log lines otherwise."""

import logging
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

LOG_EVERY_S = 30.0

logger = logging.getLogger("proguard.evaluate")


@contextmanager
def shown(guard: str, rows: int, clock: Callable[[], float] = time.monotonic) -> Iterator[Callable[[int], None]]:
    """What is to be called with the number of rows whenever some of `rows` are done."""
    if not sys.stderr.isatty():
        yield _logged(guard, rows, clock)
        return
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    with Progress(*columns, console=Console(stderr=True)) as progress:
        task = progress.add_task(guard, total=rows)
        yield lambda number: progress.advance(task, number)


def _logged(guard: str, rows: int, clock: Callable[[], float]) -> Callable[[int], None]:
    judged, said_at = 0, clock()

    def done(number: int) -> None:
        nonlocal judged, said_at
        judged += number
        if judged == rows or clock() - said_at >= LOG_EVERY_S:
            said_at = clock()
            logger.info("judged %d of %d rows", judged, rows, extra={"guard": guard, "judged": judged, "rows": rows})

    return done


def log_problems(report: Mapping[str, Any]) -> None:
    """What was wrong with rows, where the tables that name it are not shown."""
    for benchmark in report["benchmarks"]:
        for problem in benchmark["problems"]:
            logger.warning("%s: %s: %d", benchmark["name"], problem["problem"], problem["rows"], extra=problem)
