"""From report to champion: passed, refused, signed; and what a lineage was trained on."""

from collections.abc import Sequence
from pathlib import Path

import pytest

from proguard_core.training import marks
from proguard_core.training.gate.ancestry import trained_on
from proguard_core.training.gate.evidence import EvidenceError
from proguard_core.training.gate.report import Finding, Report, Status
from proguard_core.training.promotion import GateClosedError, SignatureWantedError, finish_gate, promote, sign
from proguard_core.training.registry.champions import Champions, LostRaceError
from proguard_core.training.registry.records import DamagedError, Step
from proguard_core.training.registry.runs import Registry, Run, RunError
from tests.unit.training.gate.builders import text_items
from tests.unit.training.registry.builders import registry_in, run_record, trained

PASSED = [Finding("request", "text", Status.PASSED, "as good")]
FAILED = [*PASSED, Finding("single category", "C5", Status.FAILED, "lost")]
OPEN = [*PASSED, Finding("modality", "image", Status.NOT_JUDGED, "12 rows, 1500 are needed")]


@pytest.fixture
def registry(tmp_path: Path) -> Registry:
    return registry_in(tmp_path / "registry")


@pytest.fixture
def champions(registry: Registry, tmp_path: Path) -> Champions:
    found = Champions(registry)
    found.release(trained(registry, tmp_path, "one"), "ops", "shipped")
    return found


@pytest.fixture
def run(champions: Champions, registry: Registry, tmp_path: Path) -> Run:
    return trained(registry, tmp_path, "two", "one")


def gated(run: Run, findings: Sequence[Finding], sign_off: bool = False) -> Report:
    report = Report({"challenger": run.record.run}, findings, sign_off)
    finish_gate(run, report)
    return report


def test_what_passed_is_promoted(champions: Champions, run: Run) -> None:
    report = gated(run, PASSED)
    made = promote(champions, run)
    assert (made.run, made.report, made.signed_by, made.reason) == ("two", report.digest, (), "the gate said passed")
    assert promote(champions, run).digest == made.digest


def test_what_was_never_judged_is_not(champions: Champions, run: Run) -> None:
    with pytest.raises(RunError, match="no gate step"):
        promote(champions, run)


def test_no_signature_opens_a_closed_gate(champions: Champions, run: Run) -> None:
    gated(run, FAILED)
    with pytest.raises(GateClosedError, match="C5: lost"):
        promote(champions, run)
    with pytest.raises(GateClosedError, match="C5: lost"):
        sign(run, "Ada")
    assert len(champions.history()) == 1


@pytest.mark.parametrize(("findings", "wanted"), [(OPEN, False), (PASSED, True)])
def test_what_needs_a_person_waits_for_one(
    champions: Champions, run: Run, findings: Sequence[Finding], wanted: bool
) -> None:
    report = gated(run, findings, wanted)
    with pytest.raises(SignatureWantedError, match=f"waits for a signature of report {report.digest[:16]}"):
        promote(champions, run)
    with pytest.raises(SignatureWantedError, match="not 0123456789"):
        sign(run, "Ada", report="0123456789")
    sign(run, "Ada", "read it", report=report.digest[:12])
    made = promote(champions, run)
    assert made.signed_by == ("Ada",)
    assert made.reason.endswith("signed by Ada")


def test_what_goes_on_from_an_older_champion_is_signed_in_vain_and_told_so(
    champions: Champions, run: Run, registry: Registry, tmp_path: Path
) -> None:
    gated(run, OPEN)
    champions.promote(trained(registry, tmp_path, "three", "one"), "retrain", "passed")
    with pytest.raises(LostRaceError, match="goes on from one, but three is champion now"):
        sign(run, "Ada")
    champions.roll_back("Ada", "worse")
    assert sign(run, "Ada").by == "Ada"
    assert promote(champions, run).signed_by == ("Ada",)


def test_the_first_report_stands(champions: Champions, run: Run) -> None:
    gated(run, FAILED)
    gated(run, PASSED)
    with pytest.raises(GateClosedError):
        promote(champions, run)


def test_a_report_that_was_mended_by_hand_is_refused(champions: Champions, run: Run, tmp_path: Path) -> None:
    gated(run, FAILED)
    path = next((tmp_path / "registry" / "runs" / "two").glob("gate.*/gate.json"))
    path.write_bytes(path.read_bytes().replace(b'"failed"', b'"passed"'))
    with pytest.raises(DamagedError, match="not what its manifest says"):
        promote(champions, run)


def test_the_gate_must_have_judged_this_training(champions: Champions, run: Run, tmp_path: Path) -> None:
    gated(run, PASSED)
    path = tmp_path / "registry" / "runs" / "two" / "train.json"
    path.write_bytes(path.read_bytes().replace(b"revision-two", b"revision-2.1"))
    with pytest.raises(DamagedError, match="judged another training"):
        promote(champions, run)


def with_marks(run: Run, work: Path, prefix: str) -> None:
    folder = work / f"marks-{run.record.run}"
    folder.mkdir()
    marks.of(text_items(10, prefix), {}).write(folder / marks.FILE)
    run.finish(Step.DATASET, folder)


def test_what_ancestors_were_trained_on_counts(registry: Registry, tmp_path: Path) -> None:
    runs = [
        registry.begin(run_record(run, parent)) for run, parent in (("one", None), ("two", "one"), ("three", "two"))
    ]
    with pytest.raises(EvidenceError, match="run three left no"):
        trained_on(registry, "three")
    for run in runs[1:]:
        with_marks(run, tmp_path, run.record.run)
    found, unknown = trained_on(registry, "three")
    assert (len(found.texts), unknown) == (20, ("one",))
    assert len(marks.near(found, text_items(10, "two"), {})) == 10
    with_marks(runs[0], tmp_path, "one")
    found, unknown = trained_on(registry, "three")
    assert (len(found.texts), unknown) == (30, ())


def test_marks_that_are_none_stop_the_gate(registry: Registry, tmp_path: Path) -> None:
    run = registry.begin(run_record("one"))
    (tmp_path / "bad").mkdir()
    (tmp_path / "bad" / marks.FILE).write_bytes(b"x")
    run.finish(Step.DATASET, tmp_path / "bad")
    with pytest.raises(DamagedError, match="no marks"):
        trained_on(registry, "one")
