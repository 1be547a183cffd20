"""What people said about a gate's report. Each word belongs to one report, by its hash."""

import hashlib

from proguard_core.training.registry.records import SignOff
from proguard_core.training.registry.runs import Run
from proguard_core.training.registry.store import Conflict


def sign_off(run: Run, report: str, by: str, note: str = "") -> SignOff:
    """Leave a person's yes. report: SHA-256 of the report that was read. Again by the same person: what is there.

    Who may write to the registry may sign with any name: its rights are what protects this.
    """
    record = SignOff(run=run.record.run, report=report, by=by, note=note, at=run.registry.clock())
    key = _key(run, record)
    try:
        run.registry.store.create(key, record.encoded())
    except Conflict:
        return run.registry.read(SignOff, key)
    return record


def signed(run: Run, report: str) -> tuple[str, ...]:
    """The people who signed this report, sorted."""
    folder = f"runs/{run.record.run}/sign-offs"
    found = [run.registry.read(SignOff, f"{folder}/{name}") for name in run.registry.store.names(folder)]
    return tuple(sorted({each.by for each in found if each.report == report and each.run == run.record.run}))


def _key(run: Run, record: SignOff) -> str:
    """One a person and report; the name itself may hold anything."""
    who = hashlib.sha256(f"{record.report}\0{record.by.casefold()}".encode()).hexdigest()[:24]
    return f"runs/{run.record.run}/sign-offs/{who}.json"
