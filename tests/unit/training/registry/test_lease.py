"""One run at a time."""

import subprocess
import sys
import time
from datetime import timedelta
from pathlib import Path

import pytest

from proguard_core.training.registry.folder import FolderStore
from proguard_core.training.registry.lease import LEASE, Lease, LeaseHeldError, LeaseLostError
from proguard_core.training.registry.runs import Registry, now
from proguard_core.training.registry.store import Unavailable
from tests.unit.training.registry.builders import Clock, registry_in

ROOT = Path(__file__).resolve().parents[4]


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def registry(tmp_path: Path, clock: Clock) -> Registry:
    return registry_in(tmp_path, clock)


def test_the_second_waits_for_another_day(registry: Registry) -> None:
    with Lease(registry) as lease:
        lease.check()
        with pytest.raises(LeaseHeldError, match="is at work, and holds the lease until 2026-11-26 06:02:00 UTC"):
            Lease(registry).take()
    with Lease(registry):
        pass


def test_a_lease_ends_by_itself_some_time_after_its_end(registry: Registry, clock: Clock) -> None:
    first, second = Lease(registry), Lease(registry)
    first.take()
    clock.move(121)
    with pytest.raises(LeaseLostError, match="not be renewed in time"):
        first.check()
    with pytest.raises(LeaseHeldError):  # the other machine's clock may be slow
        second.take()
    clock.move(30)
    second.take()
    with pytest.raises(LeaseLostError):
        first.renew()
    second.check()


def test_who_lost_it_gives_nothing_back(registry: Registry, clock: Clock) -> None:
    first, second, third = Lease(registry), Lease(registry), Lease(registry)
    first.take()
    clock.move(151)
    second.take()
    first.give_back()
    with pytest.raises(LeaseHeldError):
        third.take()


def test_a_renewal_finds_that_another_took_it(registry: Registry, clock: Clock) -> None:
    slow, quick = Clock(), clock
    first = Lease(Registry(registry.store, slow))  # its clock stands still
    first.take()
    quick.move(151)
    Lease(registry).take()
    with pytest.raises(LeaseLostError, match="another run took it"):
        first.renew()
    with pytest.raises(LeaseLostError):
        first.check()


def test_renewing_makes_it_last(registry: Registry, clock: Clock) -> None:
    lease = Lease(registry)
    lease.take()
    for _ in range(5):
        clock.move(100)
        lease.renew()
    lease.check()
    with pytest.raises(LeaseHeldError):
        Lease(registry).take()


def test_a_renewal_that_was_done_without_an_answer_is_no_loss(
    registry: Registry, monkeypatch: pytest.MonkeyPatch
) -> None:
    lease = Lease(registry)
    lease.take()
    replace = FolderStore.replace

    def done_but_unheard(store: FolderStore, key: str, body: bytes, tag: str) -> str:
        replace(store, key, body, tag)
        raise Unavailable("away")

    with monkeypatch.context() as patched:
        patched.setattr(FolderStore, "replace", done_but_unheard)
        with pytest.raises(Unavailable):
            lease.renew()
    registry.clock.move(10)  # type: ignore[attr-defined]
    lease.renew()
    lease.check()


def test_the_thread_renews(tmp_path: Path) -> None:
    registry = Registry(FolderStore(tmp_path), now)
    with Lease(registry, lasts=timedelta(seconds=2), skew=timedelta(0)) as lease:
        first = registry.store.read(LEASE).tag
        deadline = time.monotonic() + 20
        while registry.store.read(LEASE).tag == first:
            assert time.monotonic() < deadline
            time.sleep(0.05)
        lease.check()


def test_what_nobody_can_read_nobody_holds(registry: Registry) -> None:
    registry.store.create(LEASE, b"{")
    with Lease(registry) as lease:
        lease.check()


def test_a_killed_holder_of_this_machine_is_not_waited_for(tmp_path: Path) -> None:
    code = (
        "import sys, time; from pathlib import Path\n"
        "from proguard_core.training.registry.folder import FolderStore\n"
        "from proguard_core.training.registry.lease import Lease\n"
        "from proguard_core.training.registry.runs import Registry\n"
        f"lease = Lease(Registry(FolderStore(Path({str(tmp_path)!r})))); lease.__enter__()\n"
        "print('held', flush=True); time.sleep(60)"
    )
    holder = subprocess.Popen([sys.executable, "-c", code], cwd=ROOT, stdout=subprocess.PIPE)
    try:
        assert holder.stdout is not None
        assert holder.stdout.readline() == b"held\n"
        registry = Registry(FolderStore(tmp_path), now)
        with pytest.raises(LeaseHeldError, match=f"process {holder.pid}"):
            Lease(registry).take()
    finally:
        holder.kill()
        holder.wait()
        assert holder.stdout is not None
        holder.stdout.close()
    with Lease(registry):
        pass
