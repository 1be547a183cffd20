"""From a snapshot to rows with labels: what is new, what is learned from, and what the gate keeps for itself."""

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

import orjson

from proguard_core.dataset.items import Item, Origin
from proguard_core.dataset.names import near_to_minors, read_name
from proguard_core.dataset.reviews import NAMING, decide, standing
from proguard_core.dataset.stream import MINORS_LEFT_OUT, Labelled, Labels, StreamSettings, label_hits
from proguard_core.dataset.writers import item_record
from proguard_core.evaluation.rows import Problems
from proguard_core.novelty.novelty import Novelty
from proguard_core.policy.policy import MINORS, SEXUAL, Policy
from proguard_core.policy.taxonomy import CATEGORY_NAMES, SUBCATEGORY_NAMES, name_key
from proguard_core.training.gate.evidence import DEFAULTS
from schemas.review import Review
from worker.retraining.snapshot import Snapshot

KEPT_FOR_GATE = "a later post of a new category (kept for the gate)"
BETWEEN = "a later post of an author whose earlier ones are learned from (left out)"
PICTURES = "a post with pictures (the embedded guard's heads read text; left out)"


@dataclass(frozen=True, slots=True)
class Parted:
    """train: what a dataset is made of; gate: the latest rows of each new category, of authors of their own."""

    train: Sequence[Item]
    gate: Sequence[Item]
    additions: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    approvals: Mapping[str, int] = field(default_factory=dict)


def newly_labelled(snapshot: Snapshot, policy: Policy, problems: Problems, *, pictures: bool = False) -> int:
    """Posts whose label is another one than a run has learned already, or that had none; why others have no label.

    pictures: whether posts with pictures are learned from.

    A name that another person confirmed since is new again, up to as many people as the gate asks for: it may be what
    the gate refused it for.
    """
    earlier = replace(
        snapshot,
        hits=[hit for hit in snapshot.hits if hit.post_id in snapshot.old_hits],
        reviews=[review for review in snapshot.reviews if review.review_id in snapshot.old_reviews],
    )
    return len(_labels(snapshot, policy, problems, pictures) - _labels(earlier, policy, Problems(), pictures))


def _labels(snapshot: Snapshot, policy: Policy, problems: Problems, pictures: bool) -> set[tuple[object, ...]]:
    people = {name_key(name): count for name, count in approvals(snapshot.reviews, policy).items()}
    found: set[tuple[object, ...]] = set()
    for item in _read(labelled(snapshot, policy, problems), problems, pictures):
        row = item.row
        listed = policy.find(_name(item))
        name = name_key(listed.name) if listed is not None else _name(item)
        found.add((row.id, row.unsafe, row.categories, name, min(people.get(name, 0), DEFAULTS.approvals)))
    return found


def labelled(snapshot: Snapshot, policy: Policy, problems: Problems) -> Labelled:
    """Items of the posts that a review labels, or that lie in a crowd of the snapshot that agrees."""
    settings = StreamSettings(labels=Labels.CONSENSUS if snapshot.crowds else Labels.REVIEWS)
    clusters = {**members(snapshot.reviews), **snapshot.crowds}
    return label_hits(snapshot.hits, snapshot.reviews, clusters, policy, problems, settings, snapshot.judged)


def kept(snapshot: Snapshot, policy: Policy, novelty: Novelty, problems: Problems) -> Snapshot:
    """What a run keeps of a snapshot: posts that have a label, and their reviews. Nothing about minors (law 11)."""
    items = labelled(snapshot, policy, problems).items
    named = {name for item in items if item.row.ood_name for name in (item.row.ood_name, *item.synonyms)}
    named.update(*(_new_words(review, policy) for review in snapshot.reviews))
    near = near_to_minors(named, policy, novelty)
    ids = {
        item.row.id
        for item in items
        if not near & {item.row.ood_name or "", *item.synonyms} and not {MINORS, SEXUAL} & set(item.row.categories)
    }
    problems.counts[MINORS_LEFT_OUT] += len(items) - len(ids)
    hits = [hit for hit in snapshot.hits if hit.post_id in ids]
    reviews = [
        review
        for review in snapshot.reviews
        if (review.post in ids or not ids.isdisjoint(review.posts)) and not _is_about_minors(review, near, policy)
    ]
    crowds = {
        crowd: left for crowd, posts in snapshot.crowds.items() if (left := [post for post in posts if post in ids])
    }
    judged = [each for each in snapshot.judged if each.post.post_id in ids]
    return replace(snapshot, hits=hits, reviews=reviews, crowds=crowds, judged=judged)


def _new_words(review: Review, policy: Policy) -> set[str]:
    """What it calls a risk that the policy does not list."""
    if review.decision not in NAMING or review.name is None or _code(review, policy) is not None:
        return set()
    written = {review.name, *review.synonyms}
    return written | {read.name for text in written if (read := read_name(text, policy)).name}


def _code(review: Review, policy: Policy) -> str | None:
    return review.code or read_name(review.name or "", policy).code


def _is_about_minors(review: Review, near: Collection[str], policy: Policy) -> bool:
    """Such a review may name posts that have others of their own: it may be of a cluster."""
    return _code(review, policy) in {MINORS, SEXUAL} or not _new_words(review, policy).isdisjoint(near)


def members(reviews: Iterable[Review]) -> dict[str, frozenset[str]]:
    """Posts of each cluster that a review speaks of, as the reviewers saw it."""
    found: dict[str, frozenset[str]] = {}
    for review in standing(reviews):
        if review.cluster is not None:
            found[review.cluster] = found.get(review.cluster, frozenset()) | frozenset(review.posts)
    return found


def part(
    snapshot: Snapshot, policy: Policy, gate_share: float, problems: Problems, *, pictures: bool = False
) -> Parted:
    """Rows for the dataset and for the gate; why others are in neither is noted. The gate's were all reviewed."""
    found = labelled(snapshot, policy, problems)
    items = _read(found, problems, pictures)
    reviewed = _by_name(item for item in items if item.origin is Origin.REVIEW)
    gate = [row for rows in reviewed.values() for row in _latest(rows, gate_share)]
    apart = {item.row.id for item in gate}
    authors = {item.author for item in gate if item.author is not None}
    begins: dict[str, str] = {}
    for item in gate:
        name, time = _name(item), item.observed_at or ""
        begins[name] = min(time, begins.get(name, time))
    train = []
    for item in items:
        if item.row.id in apart:
            problems.count(KEPT_FOR_GATE)
        elif item.author in authors or (item.observed_at or "") >= begins.get(_name(item), "~"):
            problems.count(BETWEEN)
        else:
            train.append(item)
    return Parted(train, gate, found.additions, approvals(snapshot.reviews, policy))


def approvals(reviews: Iterable[Review], policy: Policy) -> dict[str, int]:
    """People behind each new name, and behind each code that only this policy has, under the policy's name for it.

    Two who shared the posts between them are two; one whose name is written in two ways is one.
    """
    found: dict[str, set[str]] = {}
    spelt: dict[str, str] = {}
    for decision in decide(reviews, policy, Problems()).values():
        listed = policy.find(decision.code) if decision.code is not None else None
        name = decision.name or (listed.name if listed is not None and _is_own(listed.code) else None)
        if name is not None:
            name = spelt.setdefault(name_key(name), name)
            found.setdefault(name, set()).update(person.strip().casefold() for person in decision.reviewers)
    return {name: len(people) for name, people in found.items()}


def write_items(items: Iterable[Item], path: Path) -> None:
    """One `item_record` a line."""
    with path.open("wb") as file:
        for item in items:
            file.write(orjson.dumps(item_record(item)))
            file.write(b"\n")


def _read(given: Labelled, problems: Problems, pictures: bool) -> list[Item]:
    found = []
    for item in given.items:
        if item.row.images and not pictures:
            problems.count(PICTURES)
        else:
            found.append(item)
    return found


def _name(item: Item) -> str:
    """Under which a row counts as of a new category; a code of the taxonomy is none. Empty for all others."""
    row = item.row
    if not row.unsafe:
        return ""
    own = next((code for code in row.categories if _is_own(code)), "")
    return name_key(row.ood_name) if row.ood_name else own


def _is_own(code: str) -> bool:
    return code not in CATEGORY_NAMES and code not in SUBCATEGORY_NAMES


def _by_name(items: Iterable[Item]) -> dict[str, list[Item]]:
    found: dict[str, list[Item]] = {}
    for item in items:
        if name := _name(item):
            found.setdefault(name, []).append(item)
    return found


def _latest(items: Sequence[Item], share: float) -> list[Item]:
    """Later than all others, and of authors who have none of the others."""
    ordered = sorted(items, key=lambda item: (item.observed_at or "", item.row.id))
    cut = ordered[: len(ordered) - round(share * len(ordered))]
    if not cut:
        return []
    end, authors = cut[-1].observed_at or "", {item.author for item in cut}
    return [
        item
        for item in ordered[len(cut) :]
        if (item.observed_at or "") > end and item.author is not None and item.author not in authors
    ]
