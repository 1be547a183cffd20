"""A rename changes what a new category is called, and nothing else: what was merged or rejected stays so."""

from typing import Any

import pytest

from proguard_core.dataset.items import Item
from proguard_core.dataset.stream import label_hits
from proguard_core.evaluation.rows import Problems
from schemas.common import Outcome
from schemas.review import Decision, Review
from tests.unit.dataset.builders import POLICY, hit, review
from worker.retraining.labels import approvals

NAME = "Illegal gambling rings"
REJECT: dict[str, Any] = {"decision": Decision.REJECT}
MERGE: dict[str, Any] = {"decision": Decision.MERGE, "code": "C6S1"}
CONFIRM: dict[str, Any] = {"decision": Decision.CONFIRM, "name": "Gambling", "synonyms": ["Secret casinos"]}
RENAME: dict[str, Any] = {"decision": Decision.RENAME, "name": NAME, "synonyms": ["Rigged lotteries"]}


def labelled(*reviews: Review) -> Item:
    problems = Problems()
    (item,) = label_hits([hit("a")], reviews, {"cluster 1": {"a"}}, POLICY, problems).items
    assert not problems.counts
    return item


def said(*steps: tuple[str, dict[str, Any]]) -> list[Review]:
    """An hour apart, about a cluster."""
    return [review("cluster 1", reviewer=who, hours=at, **what) for at, (who, what) in enumerate(steps)]


@pytest.mark.parametrize("who", ["ada", "ben"])
@pytest.mark.parametrize("steps", [(0, 1), (1, 0)])
def test_what_was_rejected_stays_safe_and_what_was_merged_its_code(who: str, steps: tuple[int, ...]) -> None:
    for decided, label, codes in ((REJECT, Outcome.SAFE, ()), (MERGE, Outcome.UNSAFE, ("C6S1",))):
        both = [("ada", decided), (who, RENAME)]
        item = labelled(*said(*(both[at] for at in steps)))
        assert (item.row.request_label, item.row.categories, item.row.ood_name) == (label, codes, None)


def test_a_rename_keeps_what_was_confirmed_with_the_earlier_name() -> None:
    item = labelled(*said(("ada", CONFIRM), ("ada", RENAME)))
    assert (item.row.ood_name, item.synonyms) == (NAME, ("Secret casinos", "Rigged lotteries"))
    twice = labelled(*said(("ada", RENAME), ("ada", {**RENAME, "name": "Betting", "synonyms": []})))
    assert (twice.row.ood_name, twice.synonyms) == ("Betting", ("Rigged lotteries",))


def test_a_rename_by_somebody_else_keeps_the_earlier_name_as_a_phrase() -> None:
    item = labelled(*said(("ada", CONFIRM), ("ben", RENAME)))
    assert (item.row.ood_name, item.synonyms) == (NAME, ("Gambling", "Secret casinos", "Rigged lotteries"))


def test_a_confirmed_code_keeps_its_code_under_another_name() -> None:
    coded = {**CONFIRM, "code": "C6S1"}
    for who in ("ada", "ben"):
        assert labelled(*said(("ada", coded), (who, RENAME))).row.categories == ("C6S1",)


def test_a_new_name_that_the_policy_lists_is_that_category_and_one_that_it_does_not_is_none() -> None:
    listed = {**RENAME, "name": "Financial fraud"}
    assert labelled(*said(("ada", CONFIRM), ("ben", listed))).row.categories == ("C6S1",)
    assert labelled(*said(("ada", {**CONFIRM, "name": "Financial fraud"}), ("ben", RENAME))).row.ood_name == NAME


def test_a_later_decision_replaces_the_same_persons_rename() -> None:
    assert labelled(*said(("ada", RENAME), ("ada", CONFIRM))).row.ood_name == "Gambling"


def test_a_rename_settles_no_contradiction() -> None:
    problems = Problems()
    reviews = said(("ada", REJECT), ("ben", MERGE), ("eve", RENAME))
    assert not label_hits([hit("a")], reviews, {"cluster 1": {"a"}}, POLICY, problems).items
    assert any("contradict each other" in kind for kind in problems.counts)


def test_whoever_gave_a_new_name_stands_behind_it_and_nobody_else() -> None:
    assert approvals(said(("ada", CONFIRM), ("ada", RENAME), ("ben", RENAME)), POLICY) == {NAME: 2}
    assert approvals(said(("ada", CONFIRM), ("ben", RENAME)), POLICY) == {NAME: 1}
