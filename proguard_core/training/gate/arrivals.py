"""New categories: confirmed by enough people, and found again in rows that are new in every sense.

What a hundred posts of one day say is easily learned by heart. So a category's own rows come later than everything it
was learned from, from authors that nothing was learned from, and people reviewed them.
"""

from collections import Counter
from collections.abc import Iterator, Sequence

import numpy as np

from proguard_core.dataset.duplicates import distinct
from proguard_core.dataset.items import Item, Origin
from proguard_core.evaluation import intervals
from proguard_core.evaluation.intervals import Interval
from proguard_core.evaluation.rows import Problems
from proguard_core.novelty.significance import share_of
from proguard_core.training import marks
from proguard_core.training.gate.evidence import Arrival, Evidence, GateSettings
from proguard_core.training.gate.report import Finding, Status

_CHECK = "new category"


def findings(evidence: Evidence, items: Sequence[Item], settings: GateSettings) -> Iterator[Finding]:
    """Every question about every new category. items: the gate's other rows, to be taken for none of them."""
    for arrival in evidence.arrivals:
        yield _approved(arrival, settings)
        yield _found(arrival, evidence, settings)
        yield _kept_apart(arrival, evidence, items, settings)


def fit(arrival: Arrival, evidence: Evidence) -> tuple[list[Item], dict[str, int]]:
    """The category's own rows that may judge it, one an author and one of a kind, and why the others may not.

    What a hundred accounts post in the same words says one thing, not a hundred.
    """
    latest = max(
        (time for key in (*arrival.keys, *arrival.codes) if (time := (evidence.trained.latest or {}).get(key))),
        default=None,
    )
    seen = marks.near(evidence.trained, arrival.items, evidence.prints)
    why: Counter[str] = Counter()
    kept: dict[str, Item] = {}
    for item in arrival.items:
        if (reason := _unfit(item, arrival, evidence, latest, seen)) is not None:
            why[reason] += 1
        elif item.author in kept:
            why["another one of the same author"] += 1
        else:
            kept[item.author or ""] = item
    shown = [item for item in kept.values() if all(image in evidence.prints for image in item.row.images)]
    different = distinct(shown, evidence.prints, Problems()).items
    why["its picture is gone"] += len(kept) - len(shown)
    why["near to another one of them"] += len(shown) - len(different)
    return different, dict(+why)


def _unfit(item: Item, arrival: Arrival, evidence: Evidence, latest: str | None, seen: set[str]) -> str | None:
    if item.origin is not Origin.REVIEW:
        return "not reviewed"
    if not arrival.holds(item.row):
        return "not labelled as of this category"
    if item.row.id in seen:
        return "near to a row that was trained on"
    if item.author is None:
        return "of no known author"
    if marks.author_mark(item.author) in evidence.trained.authors:
        return "of an author that was trained on"
    if item.observed_at is None or (latest is not None and item.observed_at <= latest):
        return "not later than what was trained on"
    return None if item.row.id in evidence.challenger.answers else "not answered"


def _approved(arrival: Arrival, settings: GateSettings) -> Finding:
    enough = arrival.reviewers >= settings.approvals
    said = f"confirmed by {arrival.reviewers}, {settings.approvals} people are needed"
    status = Status.PASSED if enough else Status.FAILED
    return Finding(_CHECK, f"{arrival.name}: approvals", status, said, {"reviewers": arrival.reviewers})


def _found(arrival: Arrival, evidence: Evidence, settings: GateSettings) -> Finding:
    kept, why = fit(arrival, evidence)
    subject = f"{arrival.name}: its own rows"
    figures: dict[str, object] = {"rows": len(kept), "left_out": why}
    left_out = "".join(f"; {count} {reason}" for reason, count in sorted(why.items()))
    if len(kept) < settings.fewest_new:
        said = f"{len(kept)} fit rows, {settings.fewest_new} are needed{left_out}"
        return Finding(_CHECK, subject, Status.NOT_JUDGED, said, figures)
    now, before = (
        np.array([arrival.is_named(judged.answers[item.row.id]) for item in kept], np.float64)
        for judged in (evidence.challenger, evidence.champion)
    )
    seed = intervals.generator("gate", "new", arrival.name)
    share = _exact(int(now.sum()), len(kept))
    more = intervals.of_mean(now - before, seed)
    figures |= {"found": share.as_json(), "more_than_the_champion": more.as_json()}
    said = (
        f"{int(now.sum())} of {len(kept)} are found and named (95 % interval {share.low:.2f} to {share.high:.2f}, "
        f"{settings.newly_found:g} wanted), {int(before.sum())} by the champion{left_out}"
    )
    passed = share.low >= settings.newly_found and more.low > 0
    return Finding(_CHECK, subject, Status.PASSED if passed else Status.FAILED, said, figures)


def _kept_apart(arrival: Arrival, evidence: Evidence, items: Sequence[Item], settings: GateSettings) -> Finding:
    """Rows of anything else, safe ones above all, that are taken for it."""
    subject = f"{arrival.name}: everything else"
    others = [item.row for item in items if not arrival.holds(item.row)]
    if len(others) < settings.fewest_rows:
        said = f"{len(others)} rows, {settings.fewest_rows} are needed"
        return Finding(_CHECK, subject, Status.NOT_JUDGED, said, {"rows": len(others)})
    taken = sum(arrival.is_named(evidence.challenger.answers[row.id]) for row in others)
    share = _exact(taken, len(others))
    said = f"{taken} of {len(others)} are taken for it, at most {settings.newly_false:g} of them may be"
    status = Status.PASSED if share.high <= settings.newly_false else Status.FAILED
    return Finding(_CHECK, subject, status, said, {"rows": len(others), "taken_for_it": share.as_json()})


def _exact(part: int, whole: int) -> Interval:
    """A bootstrap is too narrow near 0 and in few rows: it would let through more than it promises."""
    found = share_of(part, whole)
    return Interval(found.value, found.low, found.high)
