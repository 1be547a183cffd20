"""Law 3 for pictures: bounded by bytes and pixels, in order, fair, and nobody starves."""

import asyncio
import random
from collections import defaultdict

import pytest

from worker.moderation.image_budget import Grant, ImageBudget


async def settle() -> None:
    for _ in range(5):
        await asyncio.sleep(0)


def ask(budget: ImageBudget, partition: object, bytes: int, pixels: int = 0) -> "asyncio.Task[Grant]":
    return asyncio.create_task(budget.acquire(str(partition), bytes, pixels))


async def test_room_is_granted_at_once_and_given_back_stage_by_stage() -> None:
    budget = ImageBudget(100, 100)
    grant = await budget.acquire("a", 80, 90)
    assert (budget.held_bytes, budget.held_pixels) == (80, 90)
    grant.shrink(bytes=10)
    assert (budget.held_bytes, budget.held_pixels) == (10, 90)
    grant.shrink(bytes=50, pixels=40)  # more than is held: nothing grows
    assert (grant.bytes, grant.pixels) == (10, 40)
    grant.release()
    grant.release()
    assert (budget.held_bytes, budget.held_pixels) == (0, 0)


@pytest.mark.parametrize("want", [(60, 1), (1, 60)])
async def test_either_cap_makes_wait(want: tuple[int, int]) -> None:
    budget = ImageBudget(100, 100)
    first = await budget.acquire("a", 60, 60)
    second = ask(budget, "b", *want)
    await settle()
    assert not second.done()
    assert budget.waiting == 1
    first.release()
    assert (await second).bytes == want[0]
    assert budget.waiting == 0


async def test_first_come_first_served_within_a_partition() -> None:
    budget = ImageBudget(100, 100)
    held = await budget.acquire("a", 100, 0)
    order: list[int] = []

    async def one(number: int, size: int) -> None:
        grant = await budget.acquire("a", size, 0)
        order.append(number)
        await asyncio.sleep(0)
        grant.release()

    tasks = [asyncio.create_task(one(number, size)) for number, size in enumerate([90, 1, 50, 1, 100, 1])]
    await settle()
    held.release()
    await asyncio.gather(*tasks)
    assert order == [0, 1, 2, 3, 4, 5]


async def test_partitions_take_turns() -> None:
    budget = ImageBudget(10, 10)
    held = await budget.acquire("a", 10, 0)
    order: list[str] = []

    async def one(partition: str) -> None:
        grant = await budget.acquire(partition, 10, 0)
        order.append(partition)
        grant.release()

    tasks = [asyncio.create_task(one(partition)) for partition in "aaaabbc"]
    await settle()
    held.release()
    await asyncio.gather(*tasks)
    assert order == ["a", "b", "c", "a", "b", "a", "a"]


async def test_bigger_than_the_cap_is_admitted_alone() -> None:
    budget = ImageBudget(100, 100)
    small = await budget.acquire("a", 1, 1)
    big = ask(budget, "a", 1_000, 1_000)
    later = ask(budget, "a", 1, 1)
    await settle()
    assert not big.done()
    small.release()
    grant = await big
    await settle()
    assert not later.done()
    grant.release()
    await later


async def test_a_waiting_big_one_is_not_overtaken() -> None:
    budget = ImageBudget(100, 100)
    held = await budget.acquire("a", 60, 0)
    big = ask(budget, "b", 80)
    await settle()
    small = [ask(budget, partition, 1) for partition in range(20)]
    await settle()
    assert not big.done()
    assert not any(task.done() for task in small)
    held.release()
    await asyncio.gather(big, *small)


async def test_cancelling_a_waiter_lets_the_next_in() -> None:
    budget = ImageBudget(100, 100)
    held = await budget.acquire("a", 60, 0)
    big = ask(budget, "a", 100)
    small = ask(budget, "a", 30)
    await settle()
    big.cancel()
    assert (await small).bytes == 30
    held.release()
    (await small).release()
    assert (budget.held_bytes, budget.waiting) == (0, 0)


async def test_cancelled_in_the_moment_of_the_grant_leaks_nothing() -> None:
    budget = ImageBudget(100, 100)
    held = await budget.acquire("a", 100, 100)
    waiter = ask(budget, "a", 100, 100)
    await settle()
    held.release()  # grants the waiter, whose task has not run yet
    waiter.cancel()
    with pytest.raises(asyncio.CancelledError):
        await waiter
    assert (budget.held_bytes, budget.held_pixels) == (0, 0)


@pytest.mark.parametrize("seed", range(5))
async def test_random_load_keeps_every_promise(seed: int) -> None:
    chance = random.Random(seed)
    budget = ImageBudget(100, 100)
    admitted: dict[str, list[int]] = defaultdict(list)
    alone = 0

    async def one(partition: str, number: int, size: int) -> None:
        nonlocal alone
        grant = await budget.acquire(partition, size, size // 2)
        admitted[partition].append(number)
        assert budget.held_bytes <= 100 or budget.held_bytes == size
        alone += size > 100
        for _ in range(chance.randrange(4)):
            await asyncio.sleep(0)
            grant.shrink(bytes=grant.bytes // 2)
        grant.release()

    sizes = [chance.choice([1, 5, 40, 99, 100, 150]) for _ in range(300)]
    work = [one("abc"[number % 3], number, size) for number, size in enumerate(sizes)]
    await asyncio.wait_for(asyncio.gather(*work), 20)
    assert all(numbers == sorted(numbers) for numbers in admitted.values())
    assert sum(map(len, admitted.values())) == 300
    assert alone == sizes.count(150)
    assert (budget.held_bytes, budget.held_pixels, budget.waiting) == (0, 0, 0)
