"""Rollouts: balanced, adaptive, scarce in pictures; the same again after a restart."""

import json
from collections import Counter
from typing import Any

import pytest

from proguard_core.training.grpo.plan import Plan
from proguard_core.training.grpo.settings import GrpoSettings
from schemas.common import Modality

TEXT, BOTH, IMAGE = Modality.TEXT, Modality.TEXT_IMAGE, Modality.IMAGE
ROWS = [*[TEXT] * 50, *[BOTH] * 40, *[IMAGE] * 10]


def settings(**given: Any) -> GrpoSettings:
    return GrpoSettings(**{"prompts": 10, "generations": 4, "updates": 2, "micro_batch": 4, **given})


def counts(plan: Plan, number: int) -> Counter[Modality]:
    return Counter(ROWS[at] for at in plan.rollout(number))


def test_every_rollout_is_balanced_and_no_modality_gains() -> None:
    plan = Plan(ROWS, settings())
    found = [counts(plan, number) for number in range(30)]
    assert all(set(each.values()) <= {3, 4} and sum(each.values()) == 10 for each in found)
    assert sum(found, Counter()) == {TEXT: 100, BOTH: 100, IMAGE: 100}


def test_all_rows_of_a_modality_come_before_one_comes_again() -> None:
    plan = Plan(ROWS, settings())
    seen = [at for number in range(15) for at in plan.rollout(number)]
    for modality, rows in ((TEXT, 50), (BOTH, 40), (IMAGE, 10)):
        own = [at for at in seen if ROWS[at] is modality]
        assert len(own) == 50
        assert all(len(set(own[begin : begin + rows])) == rows for begin in range(0, 50 - rows + 1, rows))
    assert plan.passes(15) == {TEXT: 1.0, BOTH: 1.25, IMAGE: 5.0}
    assert [at for at in seen if ROWS[at] is IMAGE][:10] != [at for at in seen if ROWS[at] is IMAGE][10:20]


def test_few_pictures() -> None:
    plan = Plan(ROWS, settings(prompts=40, sampling="image-scarce", scarce_share=0.05))
    assert counts(plan, 0) == {TEXT: 19, BOTH: 19, IMAGE: 2}


def test_a_modality_that_is_not_there_leaves_its_place() -> None:
    plan = Plan([TEXT] * 5 + [IMAGE] * 5, settings())
    assert plan.present == (TEXT, IMAGE)
    assert Counter(at < 5 for at in plan.rollout(0)) == {True: 5, False: 5}
    alone = Plan([IMAGE] * 5, settings(sampling="image-scarce"))
    assert len(alone.rollout(0)) == 10
    with pytest.raises(ValueError, match="no rows"):
        Plan([], settings())


def test_adaptive_shares_follow_variance_above_a_floor() -> None:
    plan = Plan(ROWS, settings(prompts=100, generations=2, sampling="adaptive", adaptive_memory=0.5, least_share=0.1))
    assert set(counts(plan, 0).values()) == {33, 34}
    plan.observe({TEXT: 0.0, BOTH: 0.2, IMAGE: 0.6})
    assert counts(plan, 1) == pytest.approx({TEXT: 10, BOTH: 28, IMAGE: 62}, abs=1)
    plan.observe({IMAGE: 0.0})
    assert plan.state()["variances"] == {TEXT: 0.0, BOTH: 0.2, IMAGE: 0.3}
    for _ in range(80):
        plan.observe(dict.fromkeys((TEXT, BOTH, IMAGE), 0.0))
    plan.observe(dict.fromkeys((TEXT, BOTH, IMAGE), 0.0))
    assert min(counts(plan, 2).values()) >= 10


def test_nothing_to_learn_anywhere_is_balanced() -> None:
    plan = Plan(ROWS, settings(sampling="adaptive"))
    plan.observe(dict.fromkeys((TEXT, BOTH, IMAGE), 0.0))
    assert set(counts(plan, 0).values()) == {3, 4}


def test_a_restart_draws_the_same() -> None:
    """Also a rollout that was drawn ahead, before what it would now know."""
    one, other = (Plan(ROWS, settings(sampling="adaptive")) for _ in range(2))
    for number in range(3):
        one.rollout(number)
        one.observe({TEXT: 0.1, BOTH: 0.2, IMAGE: 0.1 * number})
    one.rollout(3)
    other.restore(json.loads(json.dumps(one.state())))
    one.observe({TEXT: 0.9})
    other.observe({TEXT: 0.9})
    assert [one.rollout(number) for number in range(8)] == [other.rollout(number) for number in range(8)]


def test_seeds_differ() -> None:
    assert Plan(ROWS, settings()).rollout(0) == Plan(ROWS, settings()).rollout(0)
    assert Plan(ROWS, settings()).rollout(0) != Plan(ROWS, settings(seed=1)).rollout(0)
