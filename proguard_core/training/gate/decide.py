"""The gate: every question that a challenger must pass, and the report of all of them."""

from collections import Counter
from collections.abc import Iterator
from dataclasses import asdict
from pathlib import Path

from proguard_core.training.gate import arrivals, known, novel
from proguard_core.training.gate.evidence import DEFAULTS, Evidence, GateSettings, Judged, as_json
from proguard_core.training.gate.report import JSON_FILE, TEXT_FILE, Finding, Report, Status


def decide(evidence: Evidence, settings: GateSettings = DEFAULTS) -> Report:
    """The report. Deterministic. Raises EvidenceError where the evidence does not fit together."""
    items = evidence.unseen()
    found = [
        *_asked_alike(evidence),
        *known.findings(evidence, items, settings),
        *novel.findings(evidence, items, settings),
        *arrivals.findings(evidence, items, settings),
    ]
    counts = Counter(item.modality.value for item in items)
    facts: dict[str, object] = {
        "challenger": _described(evidence.challenger),
        "champion": _described(evidence.champion),
        "first_release": _described(evidence.first),
        "served": asdict(evidence.serves),
        "rows": dict(sorted(counts.items())),
        "rows_left_out_as_near_to_trained_ones_or_unanswered": len(evidence.items) - len(items),
        "trained_on_rows_nobody_can_name": list(evidence.unknown),
        "new_categories": [arrival.name for arrival in evidence.arrivals],
        "names_scored_by": _scorer(evidence),
        "settings": as_json(settings),
    }
    return Report(facts, found, settings.sign_off)


def write(report: Report, folder: Path) -> None:
    """gate.json, whose SHA-256 is the report's digest, and gate.md."""
    folder.mkdir(parents=True, exist_ok=True)
    (folder / JSON_FILE).write_bytes(report.as_json().encode())
    (folder / TEXT_FILE).write_text(report.as_markdown(), encoding="utf-8")


def _asked_alike(evidence: Evidence) -> Iterator[Finding]:
    """Figures of another engine, quantisation, prompt or policy than the one that serves say nothing about serving."""
    differing = [
        f"{judged.run} was asked with {asked[key]} for {key}, {serving} will serve"
        for judged in (evidence.challenger, evidence.champion, evidence.first)
        for asked in [asdict(judged.served)]
        for key, serving in asdict(evidence.serves).items()
        if asked[key] != serving
    ]
    said = "; ".join(dict.fromkeys(differing)) or "all guards were asked as the challenger will be"
    yield Finding("serving", "how guards were asked", Status.FAILED if differing else Status.PASSED, said)
    same = evidence.challenger.revision == evidence.champion.revision
    said = "it is the champion's: nothing was trained" if same else "it is another one than the champion's"
    yield Finding("serving", "the challenger's revision", Status.FAILED if same else Status.PASSED, said)


def _described(judged: Judged) -> dict[str, str]:
    return {"run": judged.run, "revision": judged.revision}


def _scorer(evidence: Evidence) -> dict[str, str] | None:
    if evidence.naming is None:
        return None
    return {"encoder": evidence.naming.encoder.name, "bank": evidence.naming.bank.version}
