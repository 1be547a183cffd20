"""Law 5: a dependency that is down is waited for by all with one prober, and it is said aloud."""

import asyncio
import logging

import pytest

from worker.moderation.dependency import Dependency


class Service:
    """Something that is up or down, and slow to say so."""

    def __init__(self) -> None:
        self.up = True
        self.probes = 0
        self.running = 0
        self.most_running = 0

    async def probe(self) -> None:
        self.probes += 1
        self.running += 1
        self.most_running = max(self.most_running, self.running)
        try:
            await asyncio.sleep(0.002)
            if not self.up:
                raise ConnectionError("connection refused")
        finally:
            self.running -= 1


@pytest.fixture
def service() -> Service:
    return Service()


async def test_callers_at_the_same_time_share_one_probe(service: Service) -> None:
    dependency = Dependency("s3://pictures", service.probe)
    assert await asyncio.gather(*(dependency.check() for _ in range(50))) == [True] * 50
    assert service.probes == 1
    service.up = False
    assert await dependency.check() is False
    assert service.probes == 2


async def test_all_waiters_leave_together_and_one_probes(service: Service) -> None:
    dependency = Dependency("s3://pictures", service.probe, max_backoff_s=0.02)
    service.up = False
    waiters = [asyncio.create_task(dependency.wait_until_up()) for _ in range(100)]
    await asyncio.sleep(0.15)
    assert not any(waiter.done() for waiter in waiters)
    assert service.most_running == 1
    assert dependency.snapshot().waiting == 100
    service.up = True
    await asyncio.wait_for(asyncio.gather(*waiters), 1)
    assert dependency.snapshot().waiting == 0
    assert dependency.down_since is None


async def test_pauses_grow_up_to_the_cap(service: Service) -> None:
    service.up = False
    dependency = Dependency("guard", service.probe, max_backoff_s=0.05)
    waiter = asyncio.create_task(dependency.wait_until_up())
    await asyncio.sleep(0.5)
    assert 5 < service.probes < 120
    waiter.cancel()


async def test_status_says_since_when_and_why(service: Service) -> None:
    now = 100.0
    dependency = Dependency("s3://pictures", service.probe, lambda: now)
    assert dependency.snapshot().up
    service.up = False
    await dependency.check()
    now = 107.5
    await dependency.check()
    status = dependency.snapshot()
    assert (status.up, status.down_for_s, dependency.down_since) == (False, 7.5, 100.0)
    assert status.cause == "ConnectionError: connection refused"
    service.up = True
    await dependency.check()
    assert dependency.snapshot().up
    assert dependency.cause is None


async def test_what_was_tried_before_it_came_back_is_not_held_against_anybody(service: Service) -> None:
    now = 1.0
    dependency = Dependency("s3://pictures", service.probe, lambda: now)
    assert not dependency.failed_since(0.0)
    service.up = False
    await dependency.check()
    assert dependency.failed_since(0.0)
    assert dependency.failed_since(5.0)
    service.up, now = True, 7.0
    await dependency.check()
    assert dependency.failed_since(6.0)
    assert not dependency.failed_since(7.5)


async def test_it_is_said_when_down_every_ten_seconds_and_when_up(
    service: Service, caplog: pytest.LogCaptureFixture
) -> None:
    now = 0.0
    dependency = Dependency("s3://pictures", service.probe, lambda: now)
    caplog.set_level(logging.INFO)
    service.up = False
    for now in (0.0, 3.0, 9.9, 10.0, 12.0, 21.0):  # noqa: B007  the clock reads it
        await dependency.check()
    service.up = True
    await dependency.check()
    await dependency.check()
    said = [(record.levelname, record.getMessage()) for record in caplog.records]
    assert said == [
        ("WARNING", "s3://pictures is down, waiting: ConnectionError: connection refused"),
        ("WARNING", "s3://pictures is still down after 10 s: ConnectionError: connection refused"),
        ("WARNING", "s3://pictures is still down after 21 s: ConnectionError: connection refused"),
        ("INFO", "s3://pictures is up again after 21.0 s"),
    ]


async def test_a_cancelled_waiter_does_not_disturb_the_others(service: Service) -> None:
    service.up = False
    dependency = Dependency("s3://pictures", service.probe, max_backoff_s=0.02)
    first, second = (asyncio.create_task(dependency.wait_until_up()) for _ in range(2))
    await asyncio.sleep(0.02)
    first.cancel()
    await asyncio.sleep(0.02)
    assert not second.done()
    service.up = True
    await asyncio.wait_for(second, 1)


async def test_nobody_left_ends_the_prober_and_a_newcomer_starts_another(service: Service) -> None:
    service.up = False
    dependency = Dependency("s3://pictures", service.probe, max_backoff_s=0.02)
    waiter = asyncio.create_task(dependency.wait_until_up())
    await asyncio.sleep(0.02)
    waiter.cancel()
    with pytest.raises(asyncio.CancelledError):
        await waiter
    newcomer = asyncio.create_task(dependency.wait_until_up())  # in the same turn, before the old prober is gone
    service.up = True
    await asyncio.wait_for(newcomer, 1)
    asked = service.probes
    await asyncio.sleep(0.1)
    assert service.probes == asked


async def test_close_ends_the_prober(service: Service) -> None:
    service.up = False
    dependency = Dependency("s3://pictures", service.probe, max_backoff_s=0.02)
    waiter = asyncio.create_task(dependency.wait_until_up())
    await asyncio.sleep(0.02)
    await dependency.close()
    await dependency.close()
    with pytest.raises(asyncio.CancelledError):
        await waiter
