"""Hits, reviews, items and drawn pictures for the tests of datasets."""

import io
import random
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from typing import Any

from PIL import Image

from proguard_core.dataset.builder import Dataset, DatasetSettings, build
from proguard_core.dataset.items import Item, Origin
from proguard_core.dataset.pictures import PictureGone
from proguard_core.dataset.stream import JudgedPost
from proguard_core.dataset.variants import VariantSettings
from proguard_core.evaluation.rows import Row
from proguard_core.novelty.bank import Bank
from proguard_core.policy.loader import load_policy
from schemas.common import GuardReference, Nearest, Outcome, PolicyReference, Source
from schemas.post import ImageReference, Post
from schemas.retraining_hit import RetrainingHit
from schemas.review import Decision, Review
from schemas.verdict import Verdict
from tests.support.risks import verdict

POLICY = load_policy()
NO_PHRASES = Bank({})
QUICK = DatasetSettings(variants=VariantSettings(masks=20, orders=2))
BEGAN = datetime(2026, 11, 1, tzinfo=UTC)
_WORDS = (
    *("bakery", "garden", "museum", "lake", "market", "station", "choir", "pool", "kitchen", "cinema", "library"),
    *("umbrella", "bread", "soup", "apples", "music", "tickets", "dinner", "morning", "bicycle", "harbour", "river"),
    *("mountain", "letter", "winter", "summer", "violin", "carpet", "window", "ladder", "pepper", "orange", "copper"),
)


def words(seed: object, count: int = 14) -> str:
    """A text that no other seed gives anything near to."""
    return " ".join(random.Random(f"words {seed}").choices(_WORDS, k=count))


def hit(post_id: str, text: str | None = None, **fields: Any) -> RetrainingHit:
    """A hit of a post of its own author; fields: of the post, and name, nearest, rationale, cut."""
    name = fields.pop("name", "Illegal gambling rings")
    nearest = fields.pop("nearest", None)
    rationale = fields.pop("rationale", "The post offers games for money.")
    cut = fields.pop("cut", False)
    author = fields.pop("author", f"author of {post_id}")
    images = [ImageReference(uri=uri) for uri in fields.pop("images", ())]
    post = Post(post_id=post_id, author_id=author, text=text or words(post_id), images=images, **fields)
    return RetrainingHit(
        risk_id=f"posts-0-{post_id}",
        post_id=post_id,
        name=name,
        rationale=rationale,
        nearest=Nearest(code=nearest, similarity=0.5) if nearest else None,
        guard=GuardReference(name="guard", revision="1"),
        policy=PolicyReference(name=POLICY.name, version=POLICY.version),
        source=Source(topic="posts", partition=0, offset=0),
        observed_at=BEGAN,
        post=post,
        post_truncated=cut,
    )


def judged(post_id: str, outcome: Outcome = Outcome.SAFE, **fields: Any) -> JudgedPost:
    """A post that is no hit, with its verdict; fields: of the post, and code, nearest, action."""
    code, nearest = fields.pop("code", None), fields.pop("nearest", None)
    action = fields.pop("action", "allow")
    post = Post(post_id=post_id, author_id=f"author of {post_id}", text=fields.pop("text", words(post_id)), **fields)
    kind = "known" if code else "novel" if nearest else "none"
    reason = "guard_failed" if outcome is Outcome.UNDETERMINED else None
    category = {"kind": kind, "code": code, "nearest": nearest}
    said = verdict(0, post_id, BEGAN, outcome=outcome, action=action, category=category, reason=reason)
    return JudgedPost(post=post, verdict=Verdict.model_validate_json(said))


def review(target: str, decision: Decision, reviewer: str = "ada", hours: int = 0, **fields: Any) -> Review:
    """Of a post, or of a cluster where the target begins with `cluster`."""
    where = {"cluster": target} if target.startswith("cluster") else {"post": target}
    return Review(
        review_id=f"{target} {reviewer} {hours}",
        decision=decision,
        reviewer=reviewer,
        reviewed_at=BEGAN + timedelta(hours=hours),
        **where,
        **fields,
    )


def item(identity: str, text: str | None = None, code: str | None = None, **fields: Any) -> Item:
    """A text row, unsafe where it has a code or a name; fields: of the row and of the item."""
    name = fields.pop("name", None)
    unsafe = fields.pop("unsafe", bool(code or name))
    row = Row(
        id=identity,
        request=words(identity) if text is None else text,
        images=fields.pop("images", ()),
        response=fields.pop("response", None),
        request_label=Outcome.UNSAFE if unsafe else Outcome.SAFE,
        categories=(code,) if code else (),
        ood_name=name,
        source="made",
    )
    return Item(row, fields.pop("origin", Origin.BASE), "CC0", **fields)


def base(count: int, prefix: str = "base") -> list[Item]:
    """Text rows to replay: half of them safe, the others over the codes of the policy."""
    codes = [code for code in POLICY.subcategories if code not in {"C11S1"}]
    return [item(f"{prefix} {at}", code=None if at % 2 else codes[at // 2 % len(codes)]) for at in range(count)]


def picture(seed: int, quality: int | None = None) -> bytes:
    """Blots that are another picture for every seed; as a PNG, or as a JPEG of a quality."""
    chance = random.Random(f"picture {seed}")
    small = Image.new("RGB", (9, 7))
    small.putdata([tuple(chance.randrange(256) for _ in range(3)) for _ in range(63)])
    image = small.resize((126, 98), Image.Resampling.BICUBIC)
    buffer = io.BytesIO()
    if quality is None:
        image.save(buffer, "PNG")
    else:
        image.save(buffer, "JPEG", quality=quality)
    return buffer.getvalue()


class Shelf:
    """Pictures by reference; whatever is not on it is gone."""

    def __init__(self, held: dict[str, bytes]) -> None:
        self.held = held

    def __call__(self, reference: str) -> bytes:
        if reference not in self.held:
            raise PictureGone(reference)
        return self.held[reference]


def made(items: Sequence[Item], settings: DatasetSettings = QUICK, **fields: Any) -> Dataset:
    """A dataset under the shipped policy."""
    return build(items, POLICY, NO_PHRASES, settings, **fields)


def everything(dataset: Dataset) -> str:
    """All that a dataset would write of posts: prompts and truths of both sides."""
    samples = (*dataset.train, *dataset.held_out)
    return "\n".join(f"{sample.prompt().user} {sample.truth.to_json()} {sample.item}" for sample in samples)
