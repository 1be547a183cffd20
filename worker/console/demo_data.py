"""A month of invented history, so that every page has something to show. Labelled as such wherever it is seen."""

import math
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime, timedelta
from importlib import resources
from typing import Any

import numpy as np
import yaml
from numpy.typing import NDArray
from sqlalchemy.orm import Session

from schemas.common import GuardReference, Nearest, PolicyReference, Source
from schemas.post import Post
from schemas.retraining_hit import RetrainingHit
from schemas.review import Decision
from worker.console.store import Store, arrivals, reviewing
from worker.console.store.arrivals import Arrivals, NewRisk, Place, VerdictKey
from worker.console.store.models import Change, ClusterDayRow, ClusterEventRow, ClusterRow, NoteRow, Stratum
from worker.console.store.reviewing import Decided, Plan

DAYS = 30
MARK = "made_up"
_SWAP = 18
_REVISIONS = ("made-up-1", "made-up-2")
_DIMENSIONS = 384
_LABEL = "(made up)"
_AUTHOR = "made-up"


@dataclass(frozen=True, slots=True)
class Topic:
    """An invented risk and how it moves through the month."""

    name: str
    words: list[str]
    near: str
    shape: str
    a_day: int
    languages: list[str]
    texts: list[str]


def fill(store: Store, now: datetime) -> None:
    """Write the month before now into an empty store, in one transaction. The same for the same time."""
    random = np.random.default_rng(8)
    body = resources.files("worker.console").joinpath("demo_topics.yaml").read_text(encoding="utf-8")
    topics = [Topic(**each) for each in yaml.safe_load(body)]
    with store.writing() as session:
        session.add(NoteRow(key=MARK, value={"at": now.isoformat()}))
        taken = Arrivals(seen=_seen(now), verdicts=_verdicts(now, random), sample=list(_sample(now)))
        numbers = iter(range(1, 1_000_000))
        for at, topic in enumerate(topics, 1):
            _add(session, f"R{at}", topic, now, random, numbers, taken)
        taken.offsets = {Place("moderation.retraining", 0): (0, next(numbers))}
        arrivals.take(session, taken)
    _review(store, now)


def is_made_up(session: Session) -> bool:
    """Whether the store was filled here: then nothing real may be added to it, and every page says so."""
    return session.get(NoteRow, MARK) is not None


def level(shape: str, day: int) -> float:
    """How much of its height a topic has on a day of the month, 0 to 1."""
    if shape == "rising":
        return 1 / (1 + math.exp(-(day - 24) / 2))
    if shape == "falling":
        return math.exp(-day / 9)
    if shape == "burst":
        return 1.0 if day >= DAYS - 3 else 0.06
    if shape == "swap":
        return 1.0 if day >= _SWAP else 0.1
    return 0.5


def _add(
    session: Session,
    cluster_id: str,
    topic: Topic,
    now: datetime,
    random: np.random.Generator,
    numbers: Iterator[int],
    taken: Arrivals,
) -> None:
    """A cluster with its members and days."""
    centre = _unit(random.standard_normal(_DIMENSIONS))
    found: list[NewRisk] = []
    days: Counter[tuple[str, str]] = Counter()
    for day in range(DAYS):
        for _ in range(int(random.poisson(topic.a_day * level(topic.shape, day)))):
            new = _risk(next(numbers), topic, now, day, random)
            new.embedding = _unit(centre + 0.03 * random.standard_normal(_DIMENSIONS))
            new.cluster_id, new.similarity = cluster_id, float(new.embedding @ centre)
            days[new.risk.observed_at.strftime("%Y-%m-%d"), new.risk.guard.revision] += 1
            found.append(new)
    taken.risks |= {new.risk.risk_id: new for new in found}
    session.add(_cluster(cluster_id, topic, now, centre, found))
    session.flush()
    for (day_of, revision), count in days.items():
        authors = max(1, int(count * 0.9))
        session.add(ClusterDayRow(cluster_id=cluster_id, day=day_of, revision=revision, risks=count, authors=authors))
    first = min(new.risk.observed_at for new in found)
    session.add(ClusterEventRow(cluster_id=cluster_id, at=first, change=Change.CREATED, detail={"name": topic.name}))


def _risk(number: int, topic: Topic, now: datetime, day: int, random: np.random.Generator) -> NewRisk:
    back = timedelta(days=DAYS - 1 - day, seconds=int(random.integers(0, 80_000)))
    post = Post.model_validate(
        {
            "post_id": f"{_AUTHOR}-post-{number}",
            "author_id": f"{_AUTHOR}-author-{int(random.integers(1, 400))}",
            "text": f"{_LABEL} {topic.texts[number % len(topic.texts)]}",
            "language": topic.languages[int(random.integers(0, len(topic.languages)))],
        }
    )
    hit = RetrainingHit(
        risk_id=f"{_AUTHOR}-{number}",
        post_id=post.post_id,
        name=topic.name if random.random() < 0.7 else f"{topic.name.split()[0]} {topic.words[-1]}",
        rationale=f"{_LABEL} Speaks of {', '.join(topic.words)}; no category of the policy says that.",
        nearest=Nearest(code=topic.near, similarity=round(0.45 + 0.1 * float(random.random()), 3)),
        guard=GuardReference(name="made-up guard", revision=_REVISIONS[day >= _SWAP]),
        policy=PolicyReference(name="made-up", version="made-up-1"),
        source=Source(topic="moderation.posts", partition=0, offset=number),
        observed_at=now - back,
        post=post,
    )
    return NewRisk(hit)


def _cluster(
    cluster_id: str, topic: Topic, now: datetime, centre: NDArray[np.float32], found: list[NewRisk]
) -> ClusterRow:
    times = [new.risk.observed_at for new in found]
    languages = Counter(new.risk.post.language for new in found if isinstance(new.risk, RetrainingHit))
    authors = {new.risk.post.author_id for new in found if isinstance(new.risk, RetrainingHit)}
    emerging = topic.shape in ("rising", "burst")
    return ClusterRow(
        id=cluster_id,
        name=topic.name,
        words=topic.words,
        centroid=centre,
        nearest_code=topic.near,
        nearest_similarity=0.5,
        created_at=min(times),
        first_seen=min(times),
        last_seen=max(times),
        size=len(found),
        authors=len(authors),
        last_day=sum(time > now - timedelta(days=1) for time in times),
        modalities={"text": len(found)},
        languages={str(name): count for name, count in languages.items()},
        emerging=emerging,
        emerging_since=now - timedelta(days=2) if emerging else None,
        held_since=now - timedelta(hours=8) if topic.shape == "swap" else None,
        held_revision=_REVISIONS[1] if topic.shape == "swap" else None,
        burst_at=now if topic.shape != "steady" else None,
        burst_ratio={"rising": 4.2, "burst": 15.8, "swap": 9.1, "falling": 0.4}.get(topic.shape, 1.0),
        burst_low={"rising": 3.1, "burst": 11.4, "swap": 6.0, "falling": 0.2}.get(topic.shape, 0.7),
        burst_high={"rising": 5.8, "burst": 22.3, "swap": 14.2, "falling": 0.7}.get(topic.shape, 1.4),
        burst_p=1e-9 if emerging else 0.4,
    )


def _seen(now: datetime) -> dict[str, tuple[str, datetime, datetime]]:
    swapped = now - timedelta(days=DAYS - _SWAP)
    first = now - timedelta(days=DAYS)
    return {
        _REVISIONS[0]: ("made-up guard", first, swapped),
        _REVISIONS[1]: ("made-up guard", swapped, now),
    }


def _verdicts(now: datetime, random: np.random.Generator) -> Counter[VerdictKey]:
    """Counts by the hour: mostly safe, a few unsafe, some undetermined, as many as a small platform has."""
    kinds = [
        ("text", "safe", "none", "safe", 800),
        ("text-image", "safe", "none", "safe", 300),
        ("image", "safe", "none", "safe", 120),
        ("text", "unsafe", "C3S1", "none", 14),
        ("text", "unsafe", "C7S1", "none", 9),
        ("image", "unsafe", "C10S2", "none", 3),
        ("text-image", "unsafe", "novel", "none", 5),
        ("text", "undetermined", "none", "undetermined", 12),
        ("image", "undetermined", "none", "undetermined", 8),
    ]
    found: Counter[VerdictKey] = Counter()
    for hours in range(DAYS * 24):
        hour = (now - timedelta(hours=hours)).strftime("%Y-%m-%dT%H")
        revision = _REVISIONS[hours <= (DAYS - _SWAP) * 24]
        for modality, outcome, category, stratum, mean in kinds:
            key = VerdictKey(hour, revision, modality, outcome, category, stratum)
            found[key] += int(random.poisson(mean))
    return found


def _sample(now: datetime) -> Iterator[dict[str, Any]]:
    """Posts that wait for a label, and some that have one."""
    strata = (Stratum.SAFE, Stratum.UNDETERMINED, Stratum.PASSED)
    for number in range(60):
        verdict_id = f"{_AUTHOR}-verdict-{number}"
        labelled = number >= 20
        yield {
            "verdict_id": verdict_id,
            "post_id": f"{_AUTHOR}-sampled-{number}",
            "author_id": f"{_AUTHOR}-author-{number}",
            "stratum": strata[number % 3],
            "judged_at": now - timedelta(hours=number * 8),
            "order_key": arrivals.order_key(verdict_id),
            "draw": arrivals.draw(verdict_id),
            "revision": _REVISIONS[1],
            "modality": "text",
            "language": "en",
            "source_topic": "moderation.posts",
            "source_partition": 0,
            "source_offset": 1_000_000 + number,
            "fetched_at": now,
            "text": f"{_LABEL} An everyday post, number {number}.",
            "images": [],
            "label": ("unsafe" if number % 13 == 0 else "safe") if labelled else None,
            "labelled_by": "ada (made up)" if labelled else None,
            "labelled_at": now - timedelta(hours=number) if labelled else None,
        }


def _review(store: Store, now: datetime) -> None:
    """Decisions of invented people."""
    yesterday = now - timedelta(days=1)
    ada, ben = "ada (made up)", "ben (made up)"
    with store.writing() as session:
        confirmed = Decided(
            Decision.CONFIRM, ada, "Illicit pharmacies", synonyms=("Pills without prescription",), version=1
        )
        reviewing.decide(session, "R3", confirmed, yesterday)
        merged = Decided(Decision.MERGE, ben, code="C1S2", synonyms=("Counterfeit accessories",), version=1)
        reviewing.decide(session, "R6", merged, yesterday)
        reviewing.plan(session, "R1", Plan("high", "add a category", ada, now + timedelta(days=3)), ben, yesterday)


def _unit(vector: NDArray[Any]) -> NDArray[np.float32]:
    return np.asarray(vector / np.linalg.norm(vector), dtype=np.float32)
