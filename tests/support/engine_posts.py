"""Posts for a real engine: texts, pictures with words, pictures alone; as records of a stream and as requests."""

import io
import random
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import orjson
from PIL import Image

from proguard_core.guards.protocol import GuardLimits, GuardRequest
from proguard_core.images import decode
from proguard_core.questions import plan
from schemas.post import Post
from tests.support.kafka_cluster import ClientConfig
from tests.support.s3_server import S3Server
from tests.support.topics import produce
from worker.moderation.fetch import FetchedImage, image_limits
from worker.settings import GuardSettings, ObjectSettings

_WORDS = [
    "we",
    "walked",
    "along",
    "the",
    "river",
    "until",
    "the",
    "rain",
    "came",
    "and",
    "then",
    "sat",
    "in",
    "the",
    "small",
    "cafe",
    "by",
    "the",
    "bridge",
    "where",
    "the",
    "owner",
    "makes",
    "her",
    "own",
    "bread",
    "every",
    "morning",
    "and",
    "tells",
    "everyone",
    "who",
    "will",
    "listen",
    "about",
    "the",
    "year",
    "when",
    "the",
    "water",
    "stood",
    "in",
    "the",
    "cellar",
]
# Words of a post: from a remark to a paragraph, 25 on average.
_SHORTEST, _LONGEST = 5, 45
# Of ten posts, six are text, three text with a picture, one a picture alone.
_KINDS = ("text", "text", "text-image", "text", "text", "text-image", "text", "image", "text", "text-image")
_SIZE = (448, 336)


@dataclass(frozen=True, slots=True)
class EnginePosts:
    """The same posts for both ways. pictures: bytes of each object by its key in the bucket."""

    bucket: str
    posts: Sequence[dict[str, Any]]
    pictures: dict[str, bytes] = field(repr=False)

    def store(self, server: S3Server) -> None:
        """Pictures into S3."""
        client = server.client()
        client.create_bucket(Bucket=self.bucket)
        for key, body in self.pictures.items():
            client.put_object(Bucket=self.bucket, Key=key, Body=body)

    def lay_down(self, config: ClientConfig, topic: str, server: S3Server) -> None:
        """Pictures into S3, then posts onto the topic."""
        self.store(server)
        produce(config, topic, ((str(post["post_id"]).encode(), orjson.dumps(post)) for post in self.posts))

    def requests(self, limits: GuardLimits) -> list[GuardRequest]:
        """What the worker would ask a guard with these limits, in the order of the posts; pictures are decoded."""
        most = GuardSettings().max_text_bytes
        return [
            question.request
            for post in self.posts
            for question in plan(Post.model_validate(post), self._seen(post, limits), limits, most).questions
        ]

    def _seen(self, post: dict[str, Any], limits: GuardLimits) -> list[FetchedImage]:
        allowed = image_limits(ObjectSettings(), limits.max_pixels)
        bodies = (self.pictures[image["uri"].rpartition("/")[2]] for image in post.get("images", ()))
        decoded = (decode(body, allowed) for body in bodies)
        return [FetchedImage(each.pictures, each.frames, None) for each in decoded]


def engine_posts(bucket: str, count: int, seed: int, *, pictures: bool = True) -> EnginePosts:
    """`count` posts of all kinds (of text alone without pictures); no two have the same text or picture."""
    chance = random.Random(seed)
    bodies: dict[str, bytes] = {}
    posts: list[dict[str, Any]] = []
    for number in range(count):
        kind = _KINDS[number % len(_KINDS)] if pictures else "text"
        post: dict[str, Any] = {"post_id": f"post-{number:06d}", "author_id": f"author-{number % 997}"}
        if kind != "image":
            post["text"] = " ".join(_sentence(chance))
        if kind != "text":
            key = f"{number:06d}.jpg"
            bodies[key] = _photograph(seed * 1_000_003 + number)
            post["images"] = [{"uri": f"s3://{bucket}/{key}"}]
        posts.append(post)
    return EnginePosts(bucket, posts, bodies)


def _sentence(chance: random.Random) -> Iterator[str]:
    for _ in range(chance.randint(_SHORTEST, _LONGEST)):
        yield chance.choice(_WORDS)


def _photograph(seed: int) -> bytes:
    """Soft shapes as a JPEG of some 15 KB."""
    shades = np.random.default_rng(abs(seed)).integers(0, 256, (12, 16, 3), dtype=np.uint8)
    file = io.BytesIO()
    Image.fromarray(shades).resize(_SIZE, Image.Resampling.BICUBIC).save(file, "JPEG", quality=90)
    return file.getvalue()
