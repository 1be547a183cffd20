"""One run at a time: a lock in the registry that expires by itself, renewed from a thread while its holder lives.

Clocks of two machines may differ, so a lease is taken over only a while after its end. Should two holders exist all the
same, the champion's conditional writes keep them apart: the lease saves work, it does not guard the truth.
"""

import os
import secrets
import socket
import threading
from datetime import timedelta
from pathlib import Path
from types import TracebackType
from typing import Self

from pydantic import AwareDatetime, Field

from proguard_core.training.registry.records import DamagedError, Record
from proguard_core.training.registry.runs import Registry
from proguard_core.training.registry.store import Conflict, Missing, Stored, StoreError

LEASE = "lease.json"
LASTS = timedelta(minutes=2)
SKEW = timedelta(seconds=30)


class LeaseHeldError(RuntimeError):
    """Another run is under way; the text says whose, and until when."""


class LeaseLostError(RuntimeError):
    """The lease ran out or somebody took it: the run must stop before it changes anything."""


class LeaseRecord(Record):
    """lease.json. until: it is free after that; a released one has ended at once. place and process: see `_place`."""

    holder: str
    owner: str = Field(max_length=300)
    place: str | None = None
    process: str | None = None
    until: AwareDatetime


class Lease:
    """A context manager; entering raises LeaseHeldError. check() belongs before everything that cannot be undone."""

    def __init__(self, registry: Registry, lasts: timedelta = LASTS, skew: timedelta = SKEW) -> None:
        self._registry = registry
        self._lasts = lasts
        self._skew = skew
        self._holder = secrets.token_hex(8)
        self._tag = ""
        self._until = registry.clock()
        self._writing = threading.Lock()
        self._ending = threading.Event()
        self._lost: str | None = None
        self._thread = threading.Thread(target=self._keep, name="retraining-lease", daemon=True)

    def check(self) -> None:
        """Raises LeaseLostError."""
        if self._lost is None and self._registry.clock() >= self._until:
            self._lost = "it could not be renewed in time"
        if self._lost is not None:
            raise LeaseLostError(f"the lease of this run is lost: {self._lost}")

    def renew(self) -> None:
        """Make it last from now on. Raises LeaseLostError, StoreError."""
        with self._writing:
            self.check()
            record = self._record(self._lasts)
            try:
                self._tag = self._registry.store.replace(LEASE, record.encoded(), self._tag)
            except Conflict:
                if not self._is_written(record):
                    self._lost = "another run took it"
                    self.check()
            self._until = record.until

    def take(self) -> None:
        """Once. Raises LeaseHeldError, StoreError."""
        store = self._registry.store
        record = self._record(self._lasts)
        try:
            stored = store.read(LEASE)
        except Missing:
            stored = None
        try:
            if stored is None:
                self._tag = store.create(LEASE, record.encoded())
            else:
                self._check_free(stored)
                self._tag = store.replace(LEASE, record.encoded(), stored.tag)
        except Conflict:
            raise LeaseHeldError("another run has just begun") from None
        self._until = record.until

    def give_back(self) -> None:
        """Free at once. What cannot be given back ends by itself."""
        with self._writing:
            if self._lost is not None:
                return
            self._lost = "it was given back"
            try:
                self._registry.store.replace(LEASE, self._record(-self._skew).encoded(), self._tag)
            except StoreError:
                return

    def _is_written(self, record: LeaseRecord) -> bool:
        """After a renewal without an answer the tag of what we wrote is not known: the record tells whose it is."""
        try:
            stored = self._registry.store.read(LEASE)
            found = LeaseRecord.decoded(stored.body, LEASE)
        except (Missing, DamagedError):
            return False
        if found.holder != self._holder:
            return False
        self._tag = self._registry.store.replace(LEASE, record.encoded(), stored.tag)
        return True

    def _check_free(self, stored: Stored) -> None:
        try:
            found = LeaseRecord.decoded(stored.body, LEASE)
        except DamagedError:
            return  # nobody can hold what nobody can read
        if self._registry.clock() < found.until + self._skew and not _is_dead(found):
            raise LeaseHeldError(
                f"{found.owner} is at work, and holds the lease until {found.until:%Y-%m-%d %H:%M:%S %Z}"
            )

    def _record(self, lasts: timedelta) -> LeaseRecord:
        return LeaseRecord(
            holder=self._holder,
            owner=f"process {os.getpid()} on {socket.gethostname()}",
            place=_place(),
            process=_process(os.getpid()),
            until=self._registry.clock() + lasts,
        )

    def _keep(self) -> None:
        pause = self._lasts.total_seconds() / 4
        while not self._ending.wait(pause):
            try:
                self.renew()
            except LeaseLostError:
                return
            except StoreError:
                continue  # tried again; check() knows when it is too late

    def __enter__(self) -> Self:
        self.take()
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._ending.set()
        self._thread.join(timeout=self._lasts.total_seconds())
        self.give_back()


def _place() -> str | None:
    """Boot and process namespace: where process ids mean the same. None where the system does not say."""
    try:
        boot = Path("/proc/sys/kernel/random/boot_id").read_text().strip()
        return f"{boot}/{os.stat('/proc/self/ns/pid').st_ino}"
    except OSError:
        return None


def _process(pid: int) -> str | None:
    """Id and start time, which no other process of this place ever had. None where there is no such process."""
    try:
        fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    except OSError:
        return None
    state, started = fields[0], fields[19]
    return None if state in "ZX" else f"{pid}@{started}"


def _is_dead(record: LeaseRecord) -> bool:
    """Whether the holder is known to be gone: it ran here, and does not run any more. Spares the wait after a kill."""
    if record.place is None or record.process is None or record.place != _place():
        return False
    return _process(int(record.process.partition("@")[0])) != record.process
