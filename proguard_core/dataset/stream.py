"""Rows from the stream: posts of the retraining topic with the labels that people gave them (docs/retraining.md)."""

from collections import Counter
from collections.abc import Collection, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from enum import StrEnum

from pydantic import BaseModel

from proguard_core.dataset.items import Item, Origin
from proguard_core.dataset.names import read_name
from proguard_core.dataset.reviews import Decided, decide, standing
from proguard_core.evaluation.rows import Problems, Row
from proguard_core.policy.policy import MINORS, SEXUAL, Policy, concerns_minors
from proguard_core.policy.taxonomy import name_key
from schemas.common import Action, CategoryKind, Outcome
from schemas.post import ImageReference, Post
from schemas.retraining_hit import RetrainingHit
from schemas.review import Review
from schemas.verdict import Verdict

STREAM_LICENCE = "the platform's own posts"
SOURCE = "stream"
MINORS_LEFT_OUT = "about minors, or near to it (law 11: left out)"
CONFIRMED = "a review that says what the verdict says (nothing to learn)"


class Labels(StrEnum):
    """`retraining.labels`. reviews: only what people decided; consensus: clusters that mostly agree as well."""

    REVIEWS = "reviews"
    CONSENSUS = "consensus"


@dataclass(frozen=True, slots=True)
class StreamSettings:
    """consensus_*: the share of a cluster's authors that must give one name, and how many authors it must have."""

    labels: Labels = Labels.REVIEWS
    consensus_share: float = 0.8
    consensus_authors: int = 5


DEFAULTS = StreamSettings()


class JudgedPost(BaseModel):
    """A post that people reviewed though it is no hit, and the verdict that they may have overturned."""

    post: Post
    verdict: Verdict


@dataclass(frozen=True, slots=True)
class Labelled:
    """additions: phrases that people confirmed, by code or new name; approvals: reviewers behind each new name."""

    items: list[Item] = field(default_factory=list)
    additions: dict[str, tuple[str, ...]] = field(default_factory=dict)
    approvals: dict[str, int] = field(default_factory=dict)


def label_hits(
    hits: Iterable[RetrainingHit],
    reviews: Iterable[Review],
    clusters: Mapping[str, Collection[str]],
    policy: Policy,
    problems: Problems,
    settings: StreamSettings = DEFAULTS,
    judged: Iterable[JudgedPost] = (),
) -> Labelled:
    """Items of the hits that have a label. clusters: post ids of each cluster's members.

    judged: posts that are no hits; those whose verdict a review overturns are items too.

    A review of a post outdoes one of its cluster. The guard's rationale is never used: it may hold whatever a post made
    the guard write.
    """
    reviews = standing(reviews)
    posts = {hit.post_id: hit for hit in sorted(hits, key=lambda each: each.observed_at)}
    others = {each.post.post_id: each for each in judged if each.post.post_id not in posts}
    decided = decide(reviews, policy, problems)
    labelled = Labelled()
    for (_, target), decision in decided.items():
        if decision.key is not None:
            labelled.additions[decision.key] = (*labelled.additions.get(decision.key, ()), *decision.phrases)
        if decision.name is not None:
            labelled.approvals[decision.name] = max(labelled.approvals.get(decision.name, 0), len(decision.reviewers))
        if target not in others and not _is_known(target, posts, clusters):
            problems.add("a review of what the snapshot does not hold", target)
    told = {review.cluster for review in reviews}  # those too whose reviewers disagree
    alone = {cluster: ids for cluster, ids in clusters.items() if cluster not in told}
    agreed = _agreements(posts, alone, policy, settings)
    clusters_of = _by_post(clusters)
    for post_id, hit in posts.items():
        members = clusters_of.get(post_id, [])
        found = [decided["cluster", cluster] for cluster in members if ("cluster", cluster) in decided]
        if (own := decided.get(("post", post_id))) is not None:
            found = [own]
        origin = Origin.REVIEW if found else Origin.CONSENSUS
        found = found or [agreed[cluster] for cluster in members if cluster in agreed]
        labelled.items.extend(_labelled(_Seen.of_hit(hit), found, origin, policy, problems))
    labelled.items.extend(_overturned(others.values(), decided, policy, problems))
    return labelled


def _overturned(
    judged: Iterable[JudgedPost], decided: Mapping[tuple[str, str], Decided], policy: Policy, problems: Problems
) -> Iterator[Item]:
    """Posts that people call something else than their verdict does."""
    for each in judged:
        decision = decided.get(("post", each.post.post_id))
        if decision is None:  # its reviewers disagree, which is noted already
            continue
        if _says(decision, each.verdict):
            problems.count(CONFIRMED)
        else:
            yield from _labelled(_Seen.of_judged(each), [decision], Origin.REVIEW, policy, problems)


def reference(image: ImageReference) -> str:
    """A picture as rows name it: its URI, with `?versionId=` where the post gives a version."""
    return image.uri if image.version_id is None else f"{image.uri}?versionId={image.version_id}"


def _by_post(clusters: Mapping[str, Collection[str]]) -> dict[str, list[str]]:
    """Clusters of each post."""
    found: dict[str, list[str]] = {}
    for cluster, ids in clusters.items():
        for post_id in dict.fromkeys(ids):
            found.setdefault(post_id, []).append(cluster)
    return found


def _is_known(target: str, posts: Mapping[str, RetrainingHit], clusters: Mapping[str, Collection[str]]) -> bool:
    return target in posts or any(post_id in posts for post_id in clusters.get(target, ()))


@dataclass(frozen=True, slots=True)
class _Seen:
    """A post as the stream showed it. is_withheld: it concerns minors, or may."""

    post: Post
    observed_at: datetime
    is_withheld: bool
    is_cut: bool = False

    @classmethod
    def of_hit(cls, hit: RetrainingHit) -> "_Seen":
        return cls(hit.post, hit.observed_at, is_near_to_minors(hit), hit.post_truncated)

    @classmethod
    def of_judged(cls, judged: JudgedPost) -> "_Seen":
        return cls(judged.post, judged.verdict.judged_at, is_withheld(judged.verdict))


def is_near_to_minors(hit: RetrainingHit) -> bool:
    """As the worker found it, whose encoder may have been another one (law 11)."""
    return concerns_minors(CategoryKind.NOVEL, None, hit.nearest.code if hit.nearest is not None else None)


def is_withheld(verdict: Verdict) -> bool:
    """Whether it says that the post concerns minors, or may (law 11): nobody learns from it, whatever people say."""
    category = verdict.category
    return (
        verdict.action is Action.ESCALATE
        or category.code in (MINORS, SEXUAL)
        or concerns_minors(category.kind, category.code, category.nearest)
    )


def _says(decision: Decided, verdict: Verdict) -> bool:
    """Whether a verdict says what people decided, and so was not overturned."""
    if decision.safe:
        return verdict.outcome is Outcome.SAFE
    if verdict.outcome is not Outcome.UNSAFE:
        return False
    if decision.code is not None:
        return verdict.category.code == decision.code
    return name_key(verdict.category.name or "") == name_key(decision.name or "")


def _labelled(seen: _Seen, found: list[Decided], origin: Origin, policy: Policy, problems: Problems) -> list[Item]:
    """The post as a row, or nothing; why is noted."""
    post = seen.post
    if seen.is_withheld:
        problems.count(MINORS_LEFT_OUT)
        return []
    problem = _problem(seen, found, policy)
    if problem is not None:
        problems.add(problem, post.post_id)
        return []
    decision = found[0]
    label = Outcome.SAFE if decision.safe else Outcome.UNSAFE
    row = Row(
        id=post.post_id,
        request=post.text or "",
        response=post.response or None,
        images=tuple(reference(image) for image in post.images),
        request_label=label,
        response_label=label if post.response else None,
        categories=(decision.code,) if decision.code else (),
        ood_name=decision.name,
        source=SOURCE,
    )
    observed_at = seen.observed_at.astimezone(UTC).isoformat()  # times are compared as texts from here on
    return [Item(row, origin, STREAM_LICENCE, post.author_id, post.post_id, decision.phrases, observed_at)]


def _problem(seen: _Seen, found: list[Decided], policy: Policy) -> str | None:
    """Why a post cannot be learned from."""
    if not found:
        return "not reviewed (waits)"
    if len({(decision.safe, decision.code, name_key(decision.name or "")) for decision in found}) > 1:
        return "reviews that contradict each other (left out)"
    if found[0].name is not None and (problem := read_name(found[0].name, policy).problem) is not None:
        return problem
    if seen.is_cut:
        return "a post that was cut (left out)"
    if seen.post.response and not found[0].safe:
        return "which turn of a conversation is unsafe is not known (left out)"
    return None


def _agreements(
    posts: Mapping[str, RetrainingHit],
    clusters: Mapping[str, Collection[str]],
    policy: Policy,
    settings: StreamSettings,
) -> dict[str, Decided]:
    """Names that clusters without a review mostly agree on, an author a vote; none unless the setting asks for it."""
    if settings.labels is not Labels.CONSENSUS:
        return {}
    agreed = {}
    for cluster, ids in clusters.items():
        members = [posts[post_id] for post_id in ids if post_id in posts]
        votes = {hit.post.author_id or hit.post_id: hit.name for hit in members}
        names = Counter(name_key(name) for name in votes.values())
        if not names:
            continue
        key, count = names.most_common(1)[0]
        if len(votes) < settings.consensus_authors or count < settings.consensus_share * len(votes):
            continue
        name = next(name for name in votes.values() if name_key(name) == key)
        code = read_name(name, policy).code
        agreed[cluster] = Decided(code=code) if code else Decided(name=name)
    return agreed
