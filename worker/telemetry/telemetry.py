"""What the parts of a worker write to: plain counts, histograms that are recorded once a batch, hearts, the tracer.

OpenTelemetry costs microseconds a call, so nothing in here does more than add integers; instruments read them when
somebody collects.
"""

from collections import Counter
from typing import TYPE_CHECKING

from worker.telemetry import table
from worker.telemetry.health import Health
from worker.telemetry.recorder import Recorder

if TYPE_CHECKING:
    from worker.telemetry.spans import Tracer

# Outcome, category, action, modality, the reason where the outcome is undetermined, and what language the post states.
Tally = tuple[str, str, str, str, str, str]


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
        self.swap_failures = 0
        self.fetch_errors: Counter[str] = Counter()
        self.rebalances: Counter[str] = Counter()
        self.poll_duration = Recorder(table.OPERATION_DURATION)
        self.receipt_age = Recorder(table.RECEIPT_AGE)
        self.process_duration = Recorder(table.PROCESS_DURATION)
        self.commit_duration = Recorder(table.OPERATION_DURATION)
        self.batch_size = Recorder(table.BATCH_SIZE)
        self.queue_duration = Recorder(table.QUEUE_DURATION)
        self.inference_duration = Recorder(table.INFERENCE_DURATION)
        self.fetch_duration = Recorder(table.FETCH_DURATION)
        self.decode_duration = Recorder(table.DECODE_DURATION)
