"""Micro-batches by count, cost and deadline, first come, first served."""

from dataclasses import dataclass

import pytest
from hypothesis import given
from hypothesis import strategies as st

from worker.moderation.batcher import Batcher
from worker.settings import BatchingSettings


@dataclass(frozen=True)
class Item:
    cost: int = 1
    name: int = 0


def batcher(max_posts: int = 4, max_cost: int = 10, max_wait_ms: float = 20) -> Batcher[Item]:
    return Batcher(BatchingSettings(max_posts=max_posts, max_cost=max_cost, max_wait_ms=max_wait_ms))


def test_nothing_to_wait_for() -> None:
    waiting = batcher()
    assert waiting.wait_s(0.0) is None
    assert waiting.take() == []


def test_the_first_item_sets_the_deadline() -> None:
    waiting = batcher()
    waiting.add(Item(), 100.0)
    waiting.add(Item(), 100.015)
    assert waiting.wait_s(100.0) == pytest.approx(0.02)
    assert waiting.wait_s(100.015) == pytest.approx(0.005)
    assert waiting.wait_s(100.1) == 0.0


def test_a_full_batch_is_due_at_once_by_count_and_by_cost() -> None:
    many, costly = batcher(max_posts=2), batcher(max_cost=10)
    many.add(Item(), 0.0)
    costly.add(Item(9), 0.0)
    assert (many.wait_s(0.0), costly.wait_s(0.0)) == (0.02, 0.02)
    many.add(Item(), 0.0)
    costly.add(Item(1), 0.0)
    assert (many.wait_s(0.0), costly.wait_s(0.0)) == (0.0, 0.0)


def test_an_item_bigger_than_the_bound_goes_alone() -> None:
    waiting = batcher(max_cost=10)
    for cost in (99, 1, 1):
        waiting.add(Item(cost), 0.0)
    assert [item.cost for item in waiting.take()] == [99]
    assert [item.cost for item in waiting.take()] == [1, 1]


@given(st.lists(st.integers(1, 15)), st.integers(1, 5), st.integers(1, 20))
def test_law_1_every_item_leaves_once_in_order_within_bounds(costs: list[int], max_posts: int, max_cost: int) -> None:
    waiting = batcher(max_posts, max_cost)
    items = [Item(cost, name) for name, cost in enumerate(costs)]
    for item in items:
        waiting.add(item, 0.0)
    left: list[Item] = []
    while len(waiting):
        batch = waiting.take()
        assert 1 <= len(batch) <= max_posts
        assert len(batch) == 1 or sum(item.cost for item in batch) <= max_cost
        left += batch
    assert left == items
    assert waiting.wait_s(0.0) is None
    waiting.add(Item(max_cost), 0.0)
    assert waiting.wait_s(0.0) == 0.0  # the costs of those that left are forgotten


def test_law_3_what_nobody_waits_for_is_dropped_with_its_cost() -> None:
    waiting = batcher(max_posts=10, max_cost=10)
    for name in range(4):
        waiting.add(Item(3, name), 0.0)
    waiting.discard(lambda item: item.name != 2)
    assert waiting.wait_s(0.0) == 0.02
    assert [item.name for item in waiting.take()] == [2]
