"""From a gate's report to the champion: what passed becomes it, what a person must see waits for a signature."""

import json
import tempfile
from collections.abc import Sequence
from pathlib import Path

from pydantic import JsonValue

from proguard_core.training.gate.decide import write
from proguard_core.training.gate.report import JSON_FILE, Outcome, Report
from proguard_core.training.registry.champions import Champions, LostRaceError, NotPromotedError
from proguard_core.training.registry.records import Champion, DamagedError, SignOff, Step, StepRecord
from proguard_core.training.registry.runs import Run
from proguard_core.training.registry.sign_offs import sign_off, signed


class GateClosedError(NotPromotedError):
    """The gate did not let the run through; the text says why. No signature changes that."""


class SignatureWantedError(NotPromotedError):
    """The gate leaves it to a person; the text says why, and what to sign."""


def finish_gate(run: Run, report: Report, inputs: Sequence[Step] = (Step.TRAIN,)) -> StepRecord:
    """Keep a report as the run's gate step. Where one is kept already, that one counts."""
    with tempfile.TemporaryDirectory(prefix="proguard-gate-") as folder:
        write(report, Path(folder))
        reasons: list[JsonValue] = [*report.reasons]
        facts: dict[str, JsonValue] = {"outcome": report.outcome.value, "reasons": reasons, "report": report.digest}
        return run.finish(Step.GATE, Path(folder), inputs=inputs, facts=facts)


def sign(run: Run, by: str, note: str = "", report: str | None = None) -> SignOff:
    """A person's yes to the run's report. report: the digest that was read, or at least 8 digits of it.

    Raises GateClosedError where the gate said no, SignatureWantedError where another report was read, and LostRaceError
    where the run goes on from what is champion no more: nobody would promote it.
    """
    outcome, digest, reasons = _gate(run)
    if outcome is Outcome.FAILED:
        raise GateClosedError(f"the gate refused run {run.record.run}: {reasons}")
    current = Champions(run.registry).current()
    if current is not None and current.champion.run not in {run.record.run, run.record.parent}:
        raise LostRaceError(
            f"run {run.record.run} goes on from {run.record.parent}, but {current.champion.run} is champion now"
        )
    if report is not None and not (len(report) >= 8 and digest.startswith(report.lower())):
        raise SignatureWantedError(f"the report of run {run.record.run} is {digest}, not {report}")
    return sign_off(run, digest, by, note)


def promote(champions: Champions, run: Run, by: str = "retrain") -> Champion:
    """Make a run champion, if its gate and, where it must, a person let it through. Again: what is there.

    The gate must have judged the very training that would serve. Raises GateClosedError, SignatureWantedError and what
    `Champions.promote` raises.
    """
    outcome, digest, reasons = _gate(run)
    if outcome is Outcome.FAILED:
        raise GateClosedError(f"the gate refused run {run.record.run}: {reasons}")
    people = signed(run, digest)
    if outcome is Outcome.NEEDS_HUMAN and not people:
        raise SignatureWantedError(f"run {run.record.run} waits for a signature of report {digest[:16]}: {reasons}")
    reason = f"the gate said {outcome}" + (f", signed by {', '.join(people)}" if people else "")
    return champions.promote(run, by, reason[:2000], report=digest, signed_by=people)


def _gate(run: Run) -> tuple[Outcome, str, str]:
    """Outcome, digest and reasons of a report whose file is as it was written. Raises DamagedError, RunError."""
    with tempfile.TemporaryDirectory(prefix="proguard-gate-") as folder:
        record = run.fetch(Step.GATE, Path(folder) / "report")
        if record.inputs.get(Step.TRAIN) != run.finished(Step.TRAIN).digest:
            raise DamagedError(f"the gate of run {run.record.run} judged another training")
        try:
            said = json.loads((Path(folder) / "report" / JSON_FILE).read_bytes())
            outcome = Outcome(said["outcome"])
            reasons = "; ".join(map(str, said["reasons"])) or "every question was passed"
            digest = record.files[JSON_FILE].sha256
        except (OSError, ValueError, KeyError, TypeError) as error:
            raise DamagedError(f"the gate of run {run.record.run} left no report ({type(error).__name__})") from None
    return outcome, digest, reasons
