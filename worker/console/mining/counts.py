"""What the mining process counts of itself. Written by its one thread, read by those that answer scrapes."""

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from time import monotonic

from sqlalchemy import func, select
from sqlalchemy.orm import Session

from proguard_core.novelty.clusters import Floats
from worker.console.mining.embedding import Encoder
from worker.console.mining.miner import MINORS_PROBLEM
from worker.console.store.models import ClusterRow, ClusterState, ReviewRow
from worker.telemetry import mining_table as table
from worker.telemetry.recorder import Recorder


@dataclass(frozen=True, slots=True)
class Stock:
    """How many there are in the store now."""

    open: int = 0
    emerging: int = 0
    held: int = 0
    reviews_waiting: int = 0


@dataclass(slots=True)
class Counts:
    """Since the process began. lag: by topic, as far as it is known; failure: of the store, while it lasts."""

    records: Counter[str] = field(default_factory=Counter)
    left_out: Counter[str] = field(default_factory=Counter)
    risks: int = 0
    lag: Mapping[str, int] = field(default_factory=dict)
    expired: Counter[str] = field(default_factory=Counter)
    store_failures: Counter[str] = field(default_factory=Counter)
    failure: str | None = None
    written_at: datetime | None = None
    published: int = 0
    stock: Stock = field(default_factory=Stock)
    clustering: bool = False
    clustered: int = 0
    clustered_at: datetime | None = None
    moved: Counter[str] = field(default_factory=Counter)
    changes: Counter[str] = field(default_factory=Counter)
    batch_s: Recorder = field(default_factory=lambda: Recorder(table.BATCH_DURATION))
    encode_s: Recorder = field(default_factory=lambda: Recorder(table.ENCODE_DURATION))
    clustering_s: Recorder = field(default_factory=lambda: Recorder(table.CLUSTERING_DURATION))

    def leave_out(self, problems: Mapping[str, int]) -> None:
        """What a batch could not take in, by the reason that the log says."""
        for problem, count in problems.items():
            self.left_out["minors" if problem == MINORS_PROBLEM else "unreadable"] += count


class TimedEncoder:
    """An encoder that says how long it took. clock: monotonic seconds."""

    def __init__(self, encoder: Encoder, seconds: Recorder, clock: Callable[[], float] = monotonic) -> None:
        self._encoder = encoder
        self._seconds = seconds
        self._clock = clock

    def encode(self, texts: Sequence[str]) -> Floats:
        """As the encoder does."""
        begun = self._clock()
        found = self._encoder.encode(texts)
        self._seconds(self._clock() - begun)
        return found


def stock_of(session: Session) -> Stock:
    """Counted in the store."""
    here = ClusterRow.state != ClusterState.GONE
    is_open, is_held = ClusterRow.state == ClusterState.OPEN, ClusterRow.held_since.is_not(None)
    opened, emerging, held = session.execute(
        select(
            *(func.count().filter(is_open, ClusterRow.size > 0), func.count().filter(ClusterRow.emerging)),
            func.count().filter(is_held),
        ).where(here)
    ).one()
    waiting = select(func.count()).select_from(ReviewRow).where(ReviewRow.published_at.is_(None))
    return Stock(opened, emerging, held, session.scalar(waiting) or 0)
