"""All risks clustered anew: computed without holding the store, then written, with ids that stay."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

import numpy as np
from sqlalchemy import bindparam, select, update
from sqlalchemy.orm import Session

from proguard_core.novelty import clusters
from proguard_core.novelty.clusters import NONE, Floats, Labels
from worker.console.mining.describing import Described, Describer
from worker.console.store.minors import WITHHELD
from worker.console.store.models import Change, ClusterEventRow, ClusterRow, ClusterState, NoteRow, RiskRow

_AT_ONCE = 1000
_BATCH = "batch"
_NUMBERS = "cluster_numbers"
_DESCRIBED_BY = 500
# A cosine that moved less is not written again.
_WORTH = 0.02
_MOVED: dict[str, Any] = {
    "cluster_id": bindparam("to"),
    "similarity": bindparam("cosine"),
    "assigned_by": bindparam("by"),
}


@dataclass(frozen=True, slots=True)
class Snapshot:
    """Risks that have a vector, the latest first: row numbers, unit vectors, and the cluster that each is in.

    batch: the same where a clustering put it there, None where it only joined since.
    """

    ids: Sequence[int]
    vectors: Floats
    old: Sequence[str | None]
    similarities: Sequence[float | None]
    batch: Sequence[str | None]


@dataclass(slots=True)
class Done:
    """What changed. moved: risks in another cluster than before; kept: in the same one."""

    created: list[str] = field(default_factory=list)
    splits: int = 0
    merges: int = 0
    moved: int = 0
    kept: int = 0


def snapshot(session: Session, risks: int) -> Snapshot:
    """The latest risks, at most so many."""
    asked = select(RiskRow.id, RiskRow.embedding, RiskRow.cluster_id, RiskRow.similarity, RiskRow.assigned_by)
    asked = asked.where(RiskRow.embedding.is_not(None)).order_by(RiskRow.observed_at.desc(), RiskRow.id.desc())
    rows = session.execute(asked.limit(risks)).all()
    vectors = np.stack([np.asarray(row[1]) for row in rows]) if rows else np.zeros((0, 1), dtype=np.float32)
    return Snapshot(
        [row[0] for row in rows],
        clusters.unit(vectors),
        [row[2] for row in rows],
        [row[3] for row in rows],
        [row[2] if row[4] == _BATCH else None for row in rows],
    )


def tell(session: Session, found: Snapshot, labels: Labels, describer: Describer) -> list[Described]:
    """What the crowd of each label is called, in their order."""
    describer.look(session)
    crowds = (np.flatnonzero(labels == label)[:_DESCRIBED_BY] for label in range(int(labels.max()) + 1))
    return [describer.describe(session, [found.ids[at] for at in crowd]) for crowd in crowds]


class Writing:
    """One clustering, written in the session's transaction. What came since keeps its cluster, or follows it.

    A cluster that people decided on is never merged away. A risk leaves its cluster only for another one, or where it
    is too far from the centre.
    """

    def __init__(self, session: Session, found: Snapshot, labels: Labels, describer: Describer, now: datetime) -> None:
        """Whoever decides on a cluster meanwhile waits until the transaction has ended."""
        self._session = session
        self._found = found
        self._labels = labels
        self._describer = describer
        self._now = now
        self._matching = clusters.match(found.old, labels)
        self._centres, _ = clusters.centres_of(found.vectors, labels)
        there = select(ClusterRow).where(ClusterRow.state != ClusterState.GONE).order_by(ClusterRow.id)
        self._rows = {row.id: row for row in session.scalars(there.with_for_update())}
        self.done = Done()

    def run(self, told: Sequence[Described], join: float) -> Done:
        """Write. told: of each label; join: cosine below which a risk without a new label leaves its cluster."""
        names = {label: self._put(label, each) for label, each in enumerate(told)}
        for old, label in self._matching.merges.items():
            self._merge(old, names[label])
        for old, labels in self._matching.splits.items():
            self.done.splits += 1
            self._event(old, Change.SPLIT, {"into": [names[label] for label in labels]})
        self._move(names, join)
        return self.done

    def _put(self, label: int, told: Described) -> str:
        """The id of a label's cluster, its row brought up to date, or made."""
        told = self._describer.again(self._session, told)
        row = self._rows.get(self._matching.ids[label] or "")
        if row is None:
            row = self._create(label, told.name)
        elif row.named_by is None and row.state is ClusterState.OPEN and row.name != told.name:
            self._event(row.id, Change.RENAMED, {"from": row.name, "to": told.name})
            row.name = told.name
        row.centroid, row.words = self._centres[label], [] if row.code in WITHHELD else told.words
        if row.state is ClusterState.OPEN:
            near = told.nearest if row.name == told.name else self._describer.nearest(row.name)
            row.nearest_code, row.nearest_similarity = near
        return row.id

    def _create(self, label: int, name: str) -> ClusterRow:
        row = ClusterRow(
            id=self._next_id(),
            name=name,
            centroid=self._centres[label],
            created_at=self._now,
            first_seen=self._now,
            last_seen=self._now,
        )
        self._session.add(row)
        self._session.flush()
        self._event(row.id, Change.CREATED, {"name": name})
        self.done.created.append(row.id)
        return row

    def _next_id(self) -> str:
        note = self._session.get(NoteRow, _NUMBERS)
        if note is None:
            note = NoteRow(key=_NUMBERS, value={"next": 1})
            self._session.add(note)
        number = int(note.value["next"])
        note.value = {"next": number + 1}
        return f"R{number}"

    def _merge(self, old: str, into: str) -> None:
        row = self._rows.get(old)
        if row is None or row.state is not ClusterState.OPEN or row.named_by is not None or row.id == into:
            return
        row.state, row.successor, row.emerging, row.held_since = ClusterState.GONE, into, False, None
        row.version += 1
        for cluster_id in (old, into):
            self._event(cluster_id, Change.MERGED, {"from": old, "into": into})
        # Its members that were not in the snapshot, too.
        self._session.execute(update(RiskRow).where(RiskRow.cluster_id == old).values(cluster_id=into))
        self.done.merges += 1

    def _move(self, names: dict[int, str], join: float) -> None:
        own = {name: self._centres[label] for label, name in names.items()}
        changed = []
        kept = Counter[bool]()
        for at, (row_id, old) in enumerate(zip(self._found.ids, self._found.old, strict=True)):
            label = int(self._labels[at])
            to = names[label] if label != NONE else self._stays(old)
            centre = self._centre(to, own)
            cosine = None if centre is None else float(centre @ self._found.vectors[at])
            if label == NONE and cosine is not None and cosine < join:
                to, cosine = None, None
            if old is not None:
                kept[to == old] += 1
            moved = to != old or abs((cosine or 0) - (self._found.similarities[at] or 0)) > _WORTH
            if moved or self._found.batch[at] != to:
                by = None if to is None else _BATCH
                changed.append({"risk": row_id, "to": to, "cosine": cosine, "by": by})
        self.done.kept, self.done.moved = kept[True], kept[False]
        self._session.flush()
        # Not by the session, which counts the rows: some may have been erased since.
        moving = update(RiskRow).where(RiskRow.id == bindparam("risk")).values(_MOVED)
        for at in range(0, len(changed), _AT_ONCE):
            self._session.connection().execute(moving, changed[at : at + _AT_ONCE])

    def _stays(self, old: str | None) -> str | None:
        row = self._rows.get(old or "")
        return None if row is None else row.successor or row.id

    def _centre(self, cluster_id: str | None, own: dict[str, Floats]) -> Floats | None:
        if cluster_id is None or cluster_id in own:
            return own.get(cluster_id or "")
        row = self._rows.get(cluster_id)
        return None if row is None else np.asarray(row.centroid)

    def _event(self, cluster_id: str, change: Change, detail: dict[str, Any]) -> None:
        self._session.add(ClusterEventRow(cluster_id=cluster_id, at=self._now, change=change, detail=detail))
