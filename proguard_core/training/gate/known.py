"""What the guards know already: labels and categories, a modality each, and no main category that is lost."""

from collections.abc import Iterable, Iterator, Mapping, Sequence

import numpy as np

from proguard_core.dataset.items import Item
from proguard_core.evaluation import category_tables, comparison, intervals
from proguard_core.evaluation.answers import Answer
from proguard_core.evaluation.rows import Row
from proguard_core.evaluation.withholding import main
from proguard_core.training.gate.evidence import Evidence, GateSettings, Judged
from proguard_core.training.gate.report import Finding, Status
from schemas.common import Modality


def findings(evidence: Evidence, items: Sequence[Item], settings: GateSettings) -> Iterator[Finding]:
    """Every question about known risks. items: rows that nothing was trained on."""
    for modality in settings.modalities:
        rows = [item.row for item in items if item.modality is modality]
        if (lacking := _lacking(rows, settings)) is not None:
            yield Finding("modality", modality.value, Status.NOT_JUDGED, lacking, {"rows": len(rows)})
            continue
        for called, other in evidence.others:
            yield from _compared(modality, rows, called, other, evidence.challenger, settings)
    rows = [item.row for item in items]
    for called, other in evidence.others:
        yield from _harmed(rows, called, other.answers, evidence.challenger.answers, settings)


def noninferior(
    difference: intervals.Interval, margin: float, called: str, values: Sequence[float], figure: str
) -> tuple[Status, str]:
    """Status and words for a difference (challenger less the other): passed where its whole interval is above -margin.

    values: of the other, and of the challenger.
    That nothing worse was seen is no pass: rows that cannot show it let nobody through.
    """
    said = (
        f"{figure} {values[1]:.3f}, {called} {values[0]:.3f}: difference {difference.value:+.3f} "
        f"(95 % interval {difference.low:+.3f} to {difference.high:+.3f}), "
    )
    if difference.low >= -margin:
        return Status.PASSED, f"{said}not worse by more than {margin:g}"
    if difference.high < -margin:
        return Status.FAILED, f"{said}worse by more than {margin:g}"
    return Status.FAILED, f"{said}it may be worse by more than {margin:g}; more rows could tell"


def _lacking(rows: Sequence[Row], settings: GateSettings) -> str | None:
    if len(rows) < settings.fewest_rows:
        return f"{len(rows)} rows, {settings.fewest_rows} are needed"
    counts = {"safe": sum(row.safe for row in rows), "unsafe": sum(row.unsafe for row in rows)}
    for label, count in counts.items():
        if count < settings.fewest_of_label:
            return f"{count} {label} rows, {settings.fewest_of_label} are needed"
    return None


def _compared(
    modality: Modality, rows: Sequence[Row], called: str, other: Judged, challenger: Judged, settings: GateSettings
) -> Iterator[Finding]:
    first, second = (_kept(judged, modality.value, rows) for judged in (other, challenger))
    for line in comparison.compare(first, second):
        question, count = str(line["question"]), int(str(line["rows"]))
        subject = f"{modality.value}, {question} against {called}"
        is_request = question == "request"
        if not is_request and count < settings.fewest_placed:
            said = f"{count} rows, {settings.fewest_placed} are needed"
            yield Finding(question, subject, Status.NOT_JUDGED, said, {"rows": count})
            continue
        found = line["difference"]
        assert isinstance(found, Mapping)
        difference = intervals.Interval(*(float(found[key]) for key in ("value", "low", "high")))
        values = float(str(line["first"])), float(str(line["second"]))
        margin = settings.margin if is_request else settings.placing_margin
        status, said = noninferior(difference, margin, called, values, str(line["figure"]))
        yield Finding(question, subject, status, said, {"margin": margin, **line})


def _kept(judged: Judged, name: str, rows: Sequence[Row]) -> comparison.Kept:
    lines = comparison.lines(judged.run, name, rows, judged.answers)
    return comparison.Kept(judged.run, {(str(line["set"]), str(line["id"])): dict(line) for line in lines})


def _harmed(
    rows: Iterable[Row], called: str, before: Mapping[str, Answer], after: Mapping[str, Answer], settings: GateSettings
) -> Iterator[Finding]:
    """A category of a few dozen rows can be lost without a trace in an average, so each is looked at by itself.

    So few rows cannot show that nothing is lost; they can show that something is. Exact McNemar tests, corrected for
    their number by Holm, and a loss that matters.
    """
    tests = [(code, *_pairs(members, before, after)) for code, members in sorted(_by_main(rows).items(), key=_number)]
    corrected = intervals.holm([intervals.mcnemar(lost, gained) for _, _, lost, gained in tests])
    harmed = [
        (code, count, lost, gained, p_value)
        for (code, count, lost, gained), p_value in zip(tests, corrected, strict=True)
        if p_value < comparison.SIGNIFICANT and (lost - gained) / count > settings.harm
    ]
    for code, count, lost, gained, p_value in harmed:
        said = f"of {count} rows {lost} are not found and placed any more, {gained} are newly so (p {p_value:.2g})"
        figures = {"rows": count, "lost": lost, "gained": gained, "p_value_corrected": p_value}
        yield Finding("single category", f"{code} against {called}", Status.FAILED, said, figures)
    if tests and not harmed:
        said = f"no main category lost more than {settings.harm:g} by more than chance"
        figures = {"rows": sum(count for _, count, _, _ in tests)}
        yield Finding("single category", f"{len(tests)} against {called}", Status.PASSED, said, figures)


def _by_main(rows: Iterable[Row]) -> dict[str, list[Row]]:
    found: dict[str, list[Row]] = {}
    for row in rows:
        mains = {main(code) for code in row.categories}
        if row.unsafe and len(mains) == 1:
            found.setdefault(mains.pop(), []).append(row)
    return found


def _pairs(rows: Sequence[Row], before: Mapping[str, Answer], after: Mapping[str, Answer]) -> tuple[int, int, int]:
    """Number of rows, and of those that one alone finds and places in their main category."""
    right = [np.array([category_tables.is_main_right(row, said[row.id]) for row in rows]) for said in (before, after)]
    return len(rows), int(np.sum(right[0] & ~right[1])), int(np.sum(right[1] & ~right[0]))


def _number(pair: tuple[str, list[Row]]) -> int:
    return int(pair[0][1:])
