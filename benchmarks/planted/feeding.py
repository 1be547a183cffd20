"""The planted month through the mining of a store: batches by the hour, a re-clustering a day, and what came of it."""

from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta

from sqlalchemy import select

from benchmarks.planted.history import DAYS, START, VERDICTS_AN_HOUR, Planted, revision_at
from proguard_core.novelty.novelty import Novelty
from proguard_core.policy.loader import load_policy
from schemas.common import GuardReference, PolicyReference, Source
from schemas.post import Post
from schemas.retraining_hit import RetrainingHit
from worker.console.mining.embedding import Encoder
from worker.console.mining.intake import Batch
from worker.console.mining.miner import Miner
from worker.console.settings import ConsoleSettings
from worker.console.store import Store
from worker.console.store.arrivals import NewRisk, VerdictKey
from worker.console.store.models import ClusterRow, ClusterState, RiskRow

_STEP = timedelta(hours=3)
_RECLUSTERED_AT = 21


@dataclass(slots=True)
class Told:
    """clusters: the cluster of each risk at the end; successors: of a cluster that was merged, the one it is in now.
    kept: of each re-clustering the share of members that kept theirs; events: (time, cluster, state), where state is
    what a cluster became then.
    """

    clusters: dict[str, str | None] = field(default_factory=dict)
    successors: dict[str, str] = field(default_factory=dict)
    kept: list[float] = field(default_factory=list)
    events: list[tuple[datetime, str, str]] = field(default_factory=list)


def hit(planted: Planted) -> RetrainingHit:
    """The record that the worker would have published."""
    return RetrainingHit(
        risk_id=risk_id(planted),
        post_id=f"post-{planted.number}",
        name=planted.name,
        rationale=f"The post is about this: {planted.name.lower()}.",
        nearest=None,
        guard=GuardReference(name="guard", revision=planted.revision),
        policy=PolicyReference(name="default", version="planted"),
        source=Source(topic="moderation.posts", partition=0, offset=planted.number),
        observed_at=planted.observed_at,
        post=Post(
            post_id=f"post-{planted.number}",
            author_id=planted.author,
            text=planted.text,
            language=planted.language,
            images=[{"uri": "s3://pictures/planted.jpg"}] if planted.modality == "text-image" else [],
        ),
    )


def risk_id(planted: Planted) -> str:
    """Of its record."""
    return f"moderation.posts-0-{planted.number}"


class Clock:
    """A time that is set."""

    def __init__(self) -> None:
        self.now = START

    def __call__(self) -> datetime:
        return self.now


def run(store: Store, settings: ConsoleSettings, encoder: Encoder, month: Sequence[Planted]) -> Told:
    """The whole month."""
    clock, told = Clock(), Told()
    miner = Miner(store, settings, encoder, Novelty(load_policy(None)), clock)
    states: dict[str, str] = {}
    for batch in batches(month, clock):
        miner.take(batch)
        if clock.now.hour == _RECLUSTERED_AT:
            done = miner.recluster()
            if done.kept + done.moved:
                told.kept.append(done.kept / (done.kept + done.moved))
        miner.refresh()
        told.events += _changes(store, states, clock.now)
    with store.reading() as session:
        merged = select(ClusterRow.id, ClusterRow.successor).where(ClusterRow.successor.is_not(None))
        told.successors = {str(key): str(into) for key, into in session.execute(merged)}
        told.clusters = {str(key): place for key, place in session.execute(select(RiskRow.risk_id, RiskRow.cluster_id))}
    return told


def batches(month: Sequence[Planted], clock: Clock) -> Iterator[Batch]:
    """What is read every three hours, with the clock set to it."""
    waiting = iter(month)
    pending = next(waiting, None)
    while clock.now < START + timedelta(days=DAYS):
        clock.now += _STEP
        batch = Batch()
        _judged(batch, clock.now)
        while pending is not None and pending.observed_at <= clock.now:
            batch.arrivals.risks[risk_id(pending)] = NewRisk(hit(pending))
            pending = next(waiting, None)
        yield batch


def _judged(batch: Batch, now: datetime) -> None:
    """Verdicts since the last batch: safe ones, as many an hour as ever."""
    hour = now - _STEP
    while hour < now:
        revision = revision_at((hour - START) / timedelta(days=1))
        key = VerdictKey(hour.strftime("%Y-%m-%dT%H"), revision, "text", "safe", "none", "safe")
        batch.arrivals.verdicts += Counter({key: VERDICTS_AN_HOUR})
        seen = batch.arrivals.seen.get(revision, ("guard", hour, hour))
        batch.arrivals.seen[revision] = ("guard", min(seen[1], hour), max(seen[2], hour))
        hour += timedelta(hours=1)


def _changes(store: Store, states: dict[str, str], now: datetime) -> Iterator[tuple[datetime, str, str]]:
    with store.reading() as session:
        rows = session.scalars(select(ClusterRow).where(ClusterRow.state == ClusterState.OPEN)).all()
    for row in rows:
        state = "emerging" if row.emerging else "held" if row.held_since is not None else "calm"
        if states.get(row.id, "calm") != state:
            yield now, row.id, state
        states[row.id] = state
