"""What the parts of a worker write to: plain counts, histograms that are recorded once a batch, hearts, the tracer.

An OpenTelemetry counter costs microseconds an addition, so nothing in here does more than add integers a post; the
instruments read the counts when somebody collects them.
"""

from collections import Counter
from collections.abc import Callable
from typing import TYPE_CHECKING

from worker.telemetry.health import Health

if TYPE_CHECKING:
    from worker.telemetry.spans import Tracer

# Outcome, category, action, modality, and the reason where the outcome is undetermined.
Tally = tuple[str, str, str, str, str]
Record = Callable[[float], None]


def _nowhere(_value: float) -> None:
    """Where histograms go that nobody collects."""


class Telemetry:
    """Of one worker. Each count is written by one thread and may be read by any.

    The recorders take seconds (batch_size: questions) and are called once a batch, a picture, a poll or a commit.
    tracer is None where no spans are exported.
    """

    def __init__(self, health: Health | None = None) -> None:
        self.health = health or Health()
        self.tracer: Tracer | None = None
        self.consumed = 0
        self.erasures = 0
        self.fetched_bytes = 0
        self.commits = 0
        self.aborts = 0
        self.recoveries = 0
        self.sent: Counter[str] = Counter()
        self.outcomes: Counter[Tally] = Counter()
        self.dead_letters: Counter[tuple[str, str]] = Counter()
        self.guard_failures: Counter[str] = Counter()
        self.fetch_errors: Counter[str] = Counter()
        self.rebalances: Counter[str] = Counter()
        self.poll_duration: Record = _nowhere
        self.receipt_age: Record = _nowhere
        self.process_duration: Record = _nowhere
        self.commit_duration: Record = _nowhere
        self.batch_size: Record = _nowhere
        self.queue_duration: Record = _nowhere
        self.inference_duration: Record = _nowhere
        self.fetch_duration: Record = _nowhere
        self.decode_duration: Record = _nowhere
