"""Risks, hits and verdicts for tests of the store and the mining: records as the worker publishes them."""

from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import numpy as np
import orjson
from numpy.typing import NDArray

from schemas.common import GuardReference, Nearest, PolicyReference, Source
from schemas.post import Post
from schemas.retraining_hit import RetrainingHit
from worker.console.store.arrivals import NewRisk

NOW = datetime(2026, 11, 26, 9, 0, tzinfo=UTC)
DIMENSIONS = 384


def hit(number: int, **changed: Any) -> RetrainingHit:
    """A retraining hit; changed: text, author_id, name, nearest (a code), revision, observed_at, images, language."""
    post: dict[str, Any] = {
        "post_id": changed.get("post_id", f"post-{number}"),
        "author_id": changed.get("author_id", f"author-{number}"),
        "text": changed.get("text", f"text of post {number}"),
        "images": changed.get("images", []),
        "language": changed.get("language"),
    }
    return RetrainingHit(
        risk_id=f"moderation.posts-0-{number}",
        post_id=post["post_id"],
        name=changed.get("name", "Ticket touting"),
        rationale=changed.get("rationale", "The post offers tickets far above their price."),
        nearest=Nearest(code=changed["nearest"], similarity=0.5) if changed.get("nearest") else None,
        guard=GuardReference(name="guard", revision=changed.get("revision", "r1")),
        policy=PolicyReference(name="default", version="p1"),
        source=Source(topic="moderation.posts", partition=0, offset=number),
        observed_at=changed.get("observed_at", NOW - timedelta(hours=number % 48)),
        post=Post.model_validate({key: value for key, value in post.items() if value is not None}),
    )


def verdict(number: int, post_id: str, judged_at: datetime, revision: str | None = None, **changed: Any) -> bytes:
    """A safe verdict's record, in shape that of the schema's example. revision: of the guard, else the example's.

    changed: fields of it as they are to be; guard: its name alone.
    """
    shown = orjson.loads((Path(__file__).parents[2] / "schemas/examples/verdict.json").read_bytes())
    source = {"topic": "moderation.posts", "partition": 0, "offset": number}
    none = {"kind": "none", "code": None, "name": None, "nearest": None, "similarity": None}
    safe = {"verdict_id": f"v-{number}", "post_id": post_id, "outcome": "safe", "action": "allow", "category": none}
    even = {"text_bytes": 1, "text_bytes_judged": 1, "images": 0, "images_judged": 0, "frames": 0, "frames_judged": 0}
    guard = shown["guard"] | ({} if revision is None else {"revision": revision})
    guard |= {"name": changed.pop("guard", guard["name"])}
    beside = {"source": source, "coverage": even, "reason": None, "guard": guard, "judged_at": judged_at.isoformat()}
    return orjson.dumps(shown | safe | beside | changed)


def new_risk(number: int, cluster_id: str | None = None, **changed: Any) -> NewRisk:
    """The hit with an embedding, as mining hands it to the store."""
    return NewRisk(hit(number, **changed), embedding=unit(number), cluster_id=cluster_id, similarity=0.9)


def unit(seed: int) -> NDArray[np.float32]:
    """A unit vector that is the same for the same seed."""
    vector = np.random.default_rng(seed).standard_normal(DIMENSIONS)
    return np.asarray(vector / np.linalg.norm(vector), dtype=np.float32)
