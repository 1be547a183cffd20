"""The records to publish for one source record: verdict, maybe risk and retraining hit; or dead letter; or erasures.

Written as plain dictionaries: a pydantic verdict would cost three times as much. A test holds them to the models.
"""

import random
from dataclasses import dataclass
from datetime import UTC, datetime
from time import time_ns
from typing import Any

import orjson

from proguard_core.guards.protocol import NO_CATEGORY, Category
from proguard_core.policy.policy import MINORS, Policy, concerns_minors
from proguard_core.questions import Assessment, Coverage
from schemas import cloudevents
from schemas.common import SCHEMA_VERSION, CategoryKind
from schemas.common import Outcome as Label
from schemas.dead_letter import DeadLetterHeaders
from schemas.post import ImageReference, Post
from schemas.verdict import MAX_NAME_CHARACTERS, MAX_RATIONALE_CHARACTERS
from worker.moderation.decode import NotAPost
from worker.moderation.partitions import Outcome, OutcomeRecord
from worker.moderation.tracing import child_traceparent, new_traceparent
from worker.settings import TopicSettings

Headers = dict[str, str | bytes | None] | list[tuple[str, str | bytes | None]] | None

# Our headers without the post_id: names, type, source, times and trace; topic names are at most 249 characters.
_HEADERS_BYTES = 400
# Asking an enumeration for a member costs more than a dictionary look-up, for every post.
_UNSAFE, _UNDETERMINED, _NOVEL, _NONE = Label.UNSAFE, Label.UNDETERMINED, CategoryKind.NOVEL, CategoryKind.NONE.value


@dataclass(slots=True)
class Judged:
    """A post with its assessment. Times in milliseconds on the monotonic clock.

    traceparent: of what is published, where the post's trace is sampled; else one is made from the post's headers.
    """

    post: Post
    assessment: Assessment
    coverage: Coverage
    guard_name: str
    guard_revision: str
    fetch_ms: float
    queue_ms: float
    judge_ms: float
    total_ms: float
    traceparent: str | None = None


class OutcomeWriter:
    """Builds outcomes under one policy. max_hit_bytes bounds a retraining hit's value."""

    def __init__(self, topics: TopicSettings, policy: Policy, group_id: str, max_hit_bytes: int) -> None:
        self._topics = topics
        self._policy = policy
        self._policy_reference = orjson.Fragment(orjson.dumps({"name": policy.name, "version": policy.version}))
        self._guard_references: dict[tuple[str, str], orjson.Fragment] = {}
        self._group_id = group_id
        self._max_hit_bytes = max_hit_bytes

    def judged(self, source: tuple[str, int, int], headers: Headers, judged: Judged) -> Outcome:
        """Verdict, and for a novel risk also the risk and the hit, unless the law on minors forbids it.

        Then null values take what an earlier judgement, by another guard or of other content, may have published.
        """
        topic, partition, offset = source
        identity = f"{topic}-{partition}-{offset}"
        now = _now()
        verdict = self._verdict(identity, source, judged, now)
        key = judged.post.post_id.encode()
        common = self._headers(cloudevents.VERDICT_TYPE, identity, judged, topic, now, headers)
        value = orjson.dumps(verdict)
        records: tuple[OutcomeRecord, ...] = ((self._topics.verdicts, key, value, common),)
        category = judged.assessment.category
        unsafe_novel = judged.assessment.outcome is _UNSAFE and category.kind is _NOVEL
        if concerns_minors(category.kind, category.code, category.nearest):
            records += ((self._topics.risks, key, None, []), (self._topics.retraining, key, None, []))
        elif unsafe_novel:
            risk = self._risk(identity, verdict, category)
            hit_headers = self._headers(cloudevents.RETRAINING_HIT_TYPE, identity, judged, topic, now, headers)
            risk_headers = self._headers(cloudevents.RISK_TYPE, identity, judged, topic, now, headers)
            records += ((self._topics.risks, key, orjson.dumps(risk), risk_headers),)
            records += ((self._topics.retraining, key, self._hit(risk, judged.post), hit_headers),)
        reason = judged.assessment.reason
        failure = reason is not None and judged.assessment.outcome is _UNDETERMINED and reason.is_failure
        tally = (
            judged.assessment.outcome._value_,
            _counted_category(category),
            verdict["action"]._value_,
            verdict["modality"]._value_,
            "" if reason is None else reason._value_,
            _counted_language(judged.post.language),
        )
        # The key is also a header; counting eight headers a post would cost more than the rest of the bookkeeping.
        weight = len(value) + 2 * len(key) + _HEADERS_BYTES if len(records) == 1 else None
        return Outcome(records, failure, tally, weight=weight)

    def erased(self, key: bytes) -> Outcome:
        """Null values under the post's key, so that compaction forgets what was said of it."""
        topics = (self._topics.verdicts, self._topics.risks, self._topics.retraining)
        return Outcome(tuple((topic, key, None, []) for topic in topics))

    def dead_letter(
        self, source: tuple[str, int, int], key: bytes | None, value: bytes | None, headers: Headers, why: NotAPost
    ) -> Outcome:
        """Key, value and headers as they came, and Kafka Connect's headers that say why."""
        topic, partition, offset = source
        said = DeadLetterHeaders(
            topic=topic,
            partition=partition,
            offset=offset,
            stage=why.stage,
            reason=why.reason,
            message=why.message,
            group=self._group_id,
        ).model_dump(by_alias=True)
        added = [(name, str(content).encode()) for name, content in said.items()]
        return Outcome(((self._topics.dead_letters, key, value, [*pairs(headers), *added]),), failure=True)

    def _verdict(self, identity: str, source: tuple[str, int, int], judged: Judged, now: str) -> dict[str, Any]:
        post, assessment, category = judged.post, judged.assessment, judged.assessment.category
        withheld = category is not NO_CATEGORY and concerns_minors(category.kind, category.code, category.nearest)
        action = self._policy.action(assessment.outcome, category.kind, category.code, category.nearest)
        if withheld:
            action = self._policy.action(Label.UNSAFE, CategoryKind.KNOWN, MINORS)
        return {
            "schema_version": SCHEMA_VERSION,
            "verdict_id": identity,
            "post_id": post.post_id,
            "author_id": post.author_id,
            "outcome": assessment.outcome,
            "reason": assessment.reason,
            "action": action,
            "request": assessment.request,
            "response": assessment.response if post.response else None,
            "score": assessment.score,
            "category": _NO_CATEGORY if category is NO_CATEGORY else _category(category, withheld),
            "rationale": "" if withheld else _cut(assessment.rationale, MAX_RATIONALE_CHARACTERS),
            "image": assessment.image,
            "coverage": _coverage(judged.coverage),
            "modality": post.modality,
            "guard": self._guard_reference(judged.guard_name, judged.guard_revision),
            "policy": self._policy_reference,
            "source": {"topic": source[0], "partition": source[1], "offset": source[2]},
            "timings_ms": {
                "fetch": int(judged.fetch_ms * 100) / 100,  # round() takes five times as long
                "queue": int(judged.queue_ms * 100) / 100,
                "judge": int(judged.judge_ms * 100) / 100,
                "total": int(judged.total_ms * 100) / 100,
            },
            "judged_at": now,
        }

    def _guard_reference(self, name: str, revision: str) -> orjson.Fragment:
        """Serialised once a revision, since every verdict carries it."""
        reference = self._guard_references.get((name, revision))
        if reference is None:
            reference = orjson.Fragment(orjson.dumps({"name": name, "revision": revision}))
            self._guard_references[name, revision] = reference
        return reference

    def _risk(self, identity: str, verdict: dict[str, Any], category: Category) -> dict[str, Any]:
        nearest = None
        if category.nearest is not None:
            nearest = {"code": category.nearest, "similarity": category.similarity or 0.0}
        return {
            "schema_version": SCHEMA_VERSION,
            "risk_id": identity,
            "post_id": verdict["post_id"],
            "name": _cut(category.name or "", MAX_NAME_CHARACTERS),
            "rationale": verdict["rationale"],
            "nearest": nearest,
            "guard": verdict["guard"],
            "policy": verdict["policy"],
            "source": verdict["source"],
            "observed_at": verdict["judged_at"],
        }

    def _hit(self, risk: dict[str, Any], post: Post) -> bytes:
        """The risk with its post, cut where it would not fit the topic: a hit must never block the stream."""
        # pydantic writes the post: it holds whatever JSON can say, integers of any length among it.
        hit = _with_post(risk, post, truncated=False)
        if len(hit) <= self._max_hit_bytes:
            return hit
        excess = len(hit) - self._max_hit_bytes
        known = {name: getattr(post, name) for name in Post.model_fields if name != "context"}
        for name in ("text", "response"):
            text = (known[name] or "").encode()
            known[name] = text[: max(0, len(text) - excess)].decode(errors="ignore") or None
        known["text"] = known["text"] or "(cut)"
        known["images"] = [ImageReference(uri=image.uri, version_id=image.version_id) for image in post.images]
        return _with_post(risk, Post.model_construct(**known), truncated=True)

    def _headers(
        self, event_type: str, identity: str, judged: Judged, topic: str, now: str, incoming: Headers
    ) -> list[tuple[str, str | bytes | None]]:
        traceparent = judged.traceparent
        if traceparent is None:
            traceparent = (
                child_traceparent(pairs(incoming), random.getrandbits)
                if incoming
                else new_traceparent(random.getrandbits)
            )
        return cloudevents.headers(event_type, identity, topic, judged.post.post_id, now, traceparent)


def _coverage(coverage: Coverage) -> dict[str, int]:
    return {
        "text_bytes": coverage.text_bytes,
        "text_bytes_judged": coverage.text_bytes_judged,
        "images": coverage.images,
        "images_judged": coverage.images_judged,
        "frames": coverage.frames,
        "frames_judged": coverage.frames_judged,
    }


def _counted_category(category: Category) -> str:
    """The policy's code of a known risk, the kind of any other: a guard's own names are no label."""
    if category is NO_CATEGORY:
        return _NONE
    if category.kind is CategoryKind.KNOWN and category.code is not None:
        return category.code
    return category.kind._value_


def _counted_language(stated: str | None) -> str:
    """What metrics count: no more kinds than matter, whatever posts state."""
    if not stated:
        return "unstated"
    return "en" if stated.lower().replace("_", "-").partition("-")[0] == "en" else "other"


def _with_post(risk: dict[str, Any], post: Post, *, truncated: bool) -> bytes:
    content = orjson.Fragment(post.model_dump_json(exclude_none=True))
    return orjson.dumps({**risk, "post": content, "post_truncated": truncated})


def pairs(headers: Headers) -> list[tuple[str, str | bytes | None]]:
    """Headers as they came, in order and with repeats."""
    return list(headers.items() if isinstance(headers, dict) else headers or ())


def _category(category: Category, withheld: bool) -> dict[str, Any]:
    name = None if withheld and category.kind is CategoryKind.NOVEL else category.name
    return {
        "kind": category.kind,
        "code": category.code,
        "name": None if name is None else _cut(name, MAX_NAME_CHARACTERS),
        "nearest": category.nearest,
        "similarity": category.similarity,
    }


_NO_CATEGORY = orjson.Fragment(orjson.dumps(_category(NO_CATEGORY, withheld=False)))


def _cut(text: str, characters: int) -> str:
    # Lone surrogates cannot be written as UTF-8.
    clean = text if text.isascii() else text.encode("utf-8", "replace").decode()
    return clean if len(clean) <= characters else clean[: characters - 1] + "…"


_second = (0, "")
_millisecond = (0, "")


def _now() -> str:
    """The wall clock, RFC 3339 in UTC with milliseconds; the posts of a batch mostly share one."""
    global _second, _millisecond
    millisecond = time_ns() // 1_000_000
    if millisecond != _millisecond[0]:
        second, rest = divmod(millisecond, 1000)
        if second != _second[0]:
            _second = (second, datetime.fromtimestamp(second, UTC).strftime("%Y-%m-%dT%H:%M:%S"))
        _millisecond = (millisecond, f"{_second[1]}.{rest:03d}Z")
    return _millisecond[1]
