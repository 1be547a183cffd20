"""`retraining.labels = "consensus"`: crowds among the hits of a snapshot, whose names may agree.

Whether a crowd agrees, and on what, says `proguard_core.dataset.stream`.
"""

import importlib.util
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING

from proguard_core.dataset.names import near_to_minors
from proguard_core.dataset.reviews import NAMING, standing
from proguard_core.dataset.stream import is_near_to_minors
from proguard_core.novelty.novelty import Novelty
from proguard_core.policy.policy import Policy
from proguard_core.policy.taxonomy import name_key
from schemas.retraining_hit import RetrainingHit
from schemas.review import Review
from worker.errors import ConfigurationError
from worker.retraining.settings import RetrainingSettings
from worker.retraining.snapshot import Snapshot

if TYPE_CHECKING:
    from proguard_core.novelty.clusters import Floats

# The encoder reads 64 tokens; longer texts are cut before they are cut into tokens, which is slow.
_CHARACTERS = 600
# No identifier of a record may hold it, so no review names such a cluster.
_MARK = "\x1f"


def check(settings: RetrainingSettings) -> None:
    """ConfigurationError where consensus is asked for and scikit-learn, which finds the crowds, is missing."""
    if settings.labels == "consensus" and importlib.util.find_spec("sklearn") is None:
        raise ConfigurationError(
            "retraining.labels = \"consensus\" needs scikit-learn: `.venv/bin/pip install -e '.[console]'`"
        )


def with_crowds(snapshot: Snapshot, settings: RetrainingSettings, policy: Policy, novelty: Novelty) -> Snapshot:
    """The snapshot, with its crowds where the setting asks for them."""
    if settings.labels != "consensus":
        return snapshot
    return replace(snapshot, crowds=crowds(snapshot, policy, novelty))


def crowds(snapshot: Snapshot, policy: Policy, novelty: Novelty) -> Mapping[str, Sequence[str]]:
    """Post ids of each crowd of like risks that no review speaks against. The same hits give the same crowds."""
    from proguard_core.novelty.clusters import NONE, cluster

    hits = _fit(snapshot.hits, policy, novelty)
    if not hits:
        return {}
    found: dict[int, list[RetrainingHit]] = {}
    for hit, label in zip(hits, map(int, cluster(_vectors(hits))), strict=True):
        if label != NONE:
            found.setdefault(label, []).append(hit)
    reviews = standing(snapshot.reviews)
    return {
        f"{_MARK}{label}": [hit.post_id for hit in members]
        for label, members in sorted(found.items())
        if not _is_spoken_against(members, reviews)
    }


def _is_spoken_against(members: Sequence[RetrainingHit], reviews: Sequence[Review]) -> bool:
    """Whether a review of any of its posts says anything but the name that most of its authors got.

    What lies beside what somebody rejected, merged or called something else is for people.
    """
    ids = {hit.post_id for hit in members}
    votes = Counter({hit.post.author_id: name_key(hit.name) for hit in members}.values())
    name, _ = votes.most_common(1)[0]
    return any(
        review.decision not in NAMING or review.code is not None or name_key(review.name or "") != name
        for review in reviews
        if review.post in ids or not ids.isdisjoint(review.posts)
    )


def _fit(hits: Sequence[RetrainingHit], policy: Policy, novelty: Novelty) -> list[RetrainingHit]:
    """Hits that consensus may label, by post id: of known authors, with a text that is whole and the only turn.

    Nothing near to minors (law 11). A post without an author would be a vote of its own.
    """
    whole = [
        hit
        for hit in sorted(hits, key=lambda each: each.post_id)
        if (hit.post.text or "").strip() and hit.post.author_id and not hit.post.response and not hit.post_truncated
    ]
    near = near_to_minors({hit.name for hit in whole}, policy, novelty)
    return [hit for hit in whole if hit.name not in near and not is_near_to_minors(hit)]


def _vectors(hits: Sequence[RetrainingHit]) -> "Floats":
    """The posts' texts with the guard's names beside."""
    import numpy as np

    from proguard_core.novelty.clusters import beside
    from proguard_core.novelty.encoder import SentenceEncoder

    texts = [(hit.post.text or "")[:_CHARACTERS] for hit in hits]
    names = [hit.name for hit in hits]
    # By length, so that a batch is not padded to its longest text.
    distinct = sorted({*texts, *names}, key=lambda text: (len(text), text))
    vectors = SentenceEncoder().encode(distinct)
    place = {text: at for at, text in enumerate(distinct)}
    rows = [np.array([place[text] for text in some]) for some in (texts, names)]
    return beside(vectors[rows[0]], vectors[rows[1]])
