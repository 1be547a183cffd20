"""The mining of one store, without Kafka: batches in, clusters and their figures out. One thread."""

import logging
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any

import numpy as np
from sqlalchemy import delete, func, select
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.orm import Session

from proguard_core.novelty import clusters
from proguard_core.novelty.clusters import ClusterSettings, Floats
from proguard_core.novelty.novelty import Novelty
from proguard_core.policy.policy import MINORS
from schemas.retraining_hit import RetrainingHit
from schemas.review import Decision, Review
from worker.console.mining.describing import Describer
from worker.console.mining.embedding import Embedder, Encoder, words_of
from worker.console.mining.figures import Figures, day_of, watched
from worker.console.mining.intake import Batch
from worker.console.mining.reclustering import Done, Writing, snapshot, tell
from worker.console.settings import ConsoleSettings
from worker.console.store import Store, arrivals, erasing, reading
from worker.console.store.arrivals import NewRisk
from worker.console.store.minors import WITHHELD, means_minors
from worker.console.store.models import ClusterRow, QueueRow, ReviewRow, RiskRow

log = logging.getLogger(__name__)

Clock = Callable[[], datetime]
# A risk whose hit does not come within this is embedded by what it says itself.
_WAITS_FOR_HIT = timedelta(minutes=2)
_BARE_AT_ONCE = 500
_SWEPT_EVERY = timedelta(hours=1)
MINORS_PROBLEM = "near to minors (law 11)"


@dataclass(slots=True)
class Centres:
    """Clusters that take members, and their centres as rows. withheld: those that people found to concern minors."""

    ids: list[str] = field(default_factory=list)
    withheld: frozenset[str] = frozenset()
    vectors: Floats = field(default_factory=lambda: np.zeros((0, 1), dtype=np.float32))


class Miner:
    """One store. clock: aware UTC times. Raises StoreError from every method: nothing of that call is in the store.

    clustered: risks that took part in the latest clustering.
    """

    def __init__(
        self, store: Store, settings: ConsoleSettings, encoder: Encoder, novelty: Novelty, clock: Clock
    ) -> None:
        self._store = store
        self._settings = settings
        self._clock = clock
        self._cluster = ClusterSettings(min_size=settings.min_cluster_size, join=settings.assign_similarity)
        self._embedder = Embedder(encoder, self._cluster.name_weight)
        self._novelty = novelty
        self._describer = Describer(self._embedder, novelty)
        self._figures = Figures(settings)
        self._touched: set[str] = set()
        self._swept: datetime | None = None
        self.clustered = 0
        self._centres = Centres()
        self._load_centres()

    def take(self, batch: Batch) -> None:
        """One transaction: what was read, and the offsets to go on at. FencedError: another process mines the store."""
        self._withhold(batch)
        self._embed([new for new in batch.arrivals.risks.values() if isinstance(new.risk, RetrainingHit)])
        self._drop(
            batch, [key for key, new in batch.arrivals.risks.items() if new.cluster_id in self._centres.withheld]
        )
        erased = [each.post_id for each in batch.arrivals.tombstones]
        reviews = [_without_words_of_minors(review, self._novelty) for review in batch.reviews]
        with self._store.writing() as session:
            touched = _clusters_of(session, erased)
            arrivals.take(session, batch.arrivals)
            _put_reviews(session, reviews, self._clock())
        joined = {new.cluster_id for new in batch.arrivals.risks.values() if new.cluster_id is not None}
        self._touched |= joined | touched

    def refresh(self) -> None:
        """Figures of clusters whose members changed, and of those that wait for something. Forgets by age."""
        now = self._clock()
        with self._store.writing() as session:
            self._bare(session, now)
            self._trim(session, now)
            _keep_out(session)
            if self._swept is None or now - self._swept >= _SWEPT_EVERY:
                erasing.sweep(session, now, self._settings.retention_days)
            self._figures.refresh(session, self._touched | set(watched(session)), now)
        if self._swept is None or now - self._swept >= _SWEPT_EVERY:
            self._swept = now
        self._touched.clear()
        self._load_centres()  # people may have decided since

    def recluster(self) -> Done:
        """Cluster the latest risks anew. The store is held only while the outcome is written."""
        now = self._clock()
        with self._store.reading() as session:
            found = snapshot(session, self._settings.recluster_risks)
        self.clustered = len(found.ids)
        if not found.ids:
            self._all_expired(now)
            return Done()
        labels = clusters.settled(clusters.cluster(found.vectors, self._cluster), found.batch)
        with self._store.reading() as session:
            told = tell(session, found, labels, self._describer)
        with self._store.writing() as session:
            done = Writing(session, found, labels, self._describer, now).run(told, self._cluster.join)
            session.flush()
            _keep_out(session)
            self._figures.refresh(session, session.scalars(select(ClusterRow.id)), now)
        self._load_centres()
        log.info(
            "clustered anew: %d risks, %d clusters, %d of them new, %d splits, %d merges, %d risks moved",
            *(len(found.ids), len(self._centres.ids), len(done.created), done.splits, done.merges, done.moved),
        )
        return done

    def _all_expired(self, now: datetime) -> None:
        """No risk is left: clusters that had some have to say so."""
        with self._store.writing() as session:
            self._figures.refresh(session, session.scalars(select(ClusterRow.id).where(ClusterRow.size > 0)), now)

    def _load_centres(self) -> None:
        with self._store.reading() as session:
            found = reading.centroids(session)
            withheld = session.scalars(select(ClusterRow.id).where(ClusterRow.code.in_(WITHHELD)))
            kept_out = frozenset(withheld)
        vectors = np.stack(list(found.values())) if found else np.zeros((0, 1), dtype=np.float32)
        self._centres = Centres(list(found), kept_out, clusters.unit(vectors))

    def _withhold(self, batch: Batch) -> None:
        """Law 11 by the name too: a guard that does not say what a risk is near to may still have named it so."""
        risks = batch.arrivals.risks
        names = sorted({new.risk.name for new in risks.values()})
        near = {name for name, (code, _) in zip(names, self._novelty.near(names), strict=True) if code in WITHHELD}
        self._drop(batch, [key for key, new in risks.items() if new.withheld or new.risk.name in near])

    @staticmethod
    def _drop(batch: Batch, risk_ids: Iterable[str]) -> None:
        for risk_id in risk_ids:
            del batch.arrivals.risks[risk_id]
            batch.problems[MINORS_PROBLEM] += 1

    def _embed(self, risks: Sequence[NewRisk]) -> None:
        if not risks:
            return
        hits = [new.risk for new in risks if isinstance(new.risk, RetrainingHit)]
        posts = [words_of(hit.post.text, hit.post.response, hit.rationale) for hit in hits]
        vectors = self._embedder.embed(posts, [hit.name for hit in hits])
        for new, vector, (cluster_id, similarity) in zip(risks, vectors, self._join(vectors), strict=True):
            new.embedding, new.cluster_id, new.similarity = vector, cluster_id, similarity

    def _join(self, vectors: Floats) -> list[tuple[str | None, float | None]]:
        rows, similarities = clusters.nearest(vectors, self._centres.vectors)
        return [
            (self._centres.ids[row], float(cosine)) if cosine >= self._cluster.join else (None, None)
            for row, cosine in zip(rows, similarities, strict=True)
        ]

    def _bare(self, session: Session, now: datetime) -> None:
        """Risks whose hit never came: by name and rationale."""
        waiting = select(RiskRow).where(RiskRow.embedding.is_(None), RiskRow.observed_at < now - _WAITS_FOR_HIT)
        rows = list(session.scalars(waiting.order_by(RiskRow.observed_at).limit(_BARE_AT_ONCE)))
        if not rows:
            return
        vectors = self._embedder.embed(
            [words_of(row.text, row.response, row.rationale) for row in rows], [row.name for row in rows]
        )
        for row, vector, (cluster_id, similarity) in zip(rows, vectors, self._join(vectors), strict=True):
            if cluster_id in self._centres.withheld:
                session.delete(row)
                continue
            row.embedding, row.cluster_id, row.similarity = vector, cluster_id, similarity
            row.assigned_by = None if cluster_id is None else "online"
            if cluster_id is not None:
                self._touched.add(cluster_id)
        session.flush()

    def _trim(self, session: Session, now: datetime) -> None:
        """Of each day and stratum only those with the smallest draws stay: a random sample of fixed size.

        Of every day that is kept: mining may have been away for some.
        """
        most, day = self._settings.audit_posts_per_day, day_of(session, QueueRow.judged_at)
        kept = QueueRow.judged_at >= erasing.oldest(now, self._settings.retention_days)
        counted = select(day.label("day"), QueueRow.stratum).where(kept).group_by("day", QueueRow.stratum)
        for each, stratum in session.execute(counted.having(func.count() > most)).all():
            here = (kept, day == each, QueueRow.stratum == stratum)
            last = session.scalar(select(QueueRow.draw).where(*here).order_by(QueueRow.draw).offset(most).limit(1))
            session.execute(delete(QueueRow).where(*here, QueueRow.draw >= last, QueueRow.label.is_(None)))


def _keep_out(session: Session) -> None:
    """Law 11: what still joined a cluster after people had found that it concerns minors."""
    withheld = select(ClusterRow.id).where(ClusterRow.code.in_(WITHHELD))
    session.execute(delete(RiskRow).where(RiskRow.cluster_id.in_(withheld)))


def _clusters_of(session: Session, post_ids: Sequence[str]) -> set[str]:
    if not post_ids:
        return set()
    asked = select(RiskRow.cluster_id).where(RiskRow.post_id.in_(post_ids), RiskRow.cluster_id.is_not(None))
    return {str(each) for each in session.scalars(asked.distinct())}


def _put_reviews(session: Session, reviews: Iterable[Review], now: datetime) -> None:
    """Reviews of the topic: our own come back, others' consoles' come in. Known ones are left as they are.

    What another console found to concern minors leaves this store too (law 11), and does not wait for a second person.
    """
    insert = sqlite.insert if session.get_bind().dialect.name == "sqlite" else postgresql.insert
    for review in reviews:
        if session.get(ReviewRow, review.review_id) is not None:
            continue
        if review.code in WITHHELD and review.decision is not Decision.REJECT and review.undoes is None:
            erasing.withhold(session, [*review.posts, *([review.post] if review.post else [])])
        row: dict[str, Any] = {
            "review_id": review.review_id,
            "cluster_id": review.cluster,
            "post_id": review.post,
            "decision": review.decision.value,
            "name": review.name,
            "code": review.code,
            "synonyms": review.synonyms,
            "posts": review.posts,
            "reviewer": review.reviewer,
            "reviewed_at": review.reviewed_at,
            "undoes": review.undoes,
            "before": {},
            "published_at": now,
        }
        session.execute(insert(ReviewRow).on_conflict_do_nothing(), row)


def _without_words_of_minors(review: Review, novelty: Novelty) -> Review:
    """A review that says minors by a name or a synonym alone is a merge into C11S1."""
    if review.decision is Decision.REJECT:
        return review
    if review.code not in WITHHELD and not means_minors((review.name, *review.synonyms), novelty):
        return review
    code = review.code if review.code in WITHHELD else MINORS
    merge: dict[str, Any] = {"decision": Decision.MERGE, "name": None, "code": code, "synonyms": []}
    return review.model_copy(update=merge)
