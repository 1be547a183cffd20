"""What a run and all its ancestors were trained on, by the marks that their dataset steps left."""

import tempfile
from pathlib import Path

from proguard_core.training import marks
from proguard_core.training.gate.evidence import EvidenceError
from proguard_core.training.marks import Marks
from proguard_core.training.registry.records import DamagedError, Step
from proguard_core.training.registry.runs import Registry, Run


def trained_on(registry: Registry, run: str) -> tuple[Marks, tuple[str, ...]]:
    """Marks of the whole lineage, and the runs of which nothing is known: at most the first release.

    Raises EvidenceError where a run that was trained here left no marks, DamagedError.
    """
    found, unknown = marks.NOTHING, []
    for each in registry.lineage(run):
        record = each.step(Step.DATASET)
        if record is not None and marks.FILE in record.files:
            found = found.plus(_read(each))
        elif each.record.parent is None:
            unknown.append(each.record.run)
        else:
            raise EvidenceError(f"run {each.record.run} left no {marks.FILE}: what it was trained on is not known")
    return found, tuple(unknown)


def _read(run: Run) -> Marks:
    with tempfile.TemporaryDirectory(prefix="proguard-marks-") as folder:
        run.fetch_file(Step.DATASET, marks.FILE, Path(folder) / marks.FILE)
        try:
            return marks.read(Path(folder) / marks.FILE)
        except marks.MarksError as error:
            raise DamagedError(f"run {run.record.run}: {error}") from None
