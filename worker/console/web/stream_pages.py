"""What is not in the store: dead letters from Kafka, guards from the registry. Where one is away, the page says so."""

import heapq
from datetime import UTC, datetime, timedelta
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Annotated, Any

from fastapi import APIRouter, Query, Request
from fastapi import Path as InPath
from starlette.responses import Response

from proguard_core.training.gate.report import TEXT_FILE
from proguard_core.training.registry.champions import Champions
from proguard_core.training.registry.records import RUN_ID, DamagedError, Step
from proguard_core.training.registry.runs import Registry, Run, RunError
from proguard_core.training.registry.store import StoreError as RegistryError
from schemas.common import DeadLetterReason
from worker.console.store import reading
from worker.console.web import render
from worker.console.web.inputs import Optional
from worker.console.web.parts import Console, Here, Refused, Viewer
from worker.errors import WorkerError

if TYPE_CHECKING:
    from worker.moderation.dead_letters import DeadLetter

router = APIRouter(include_in_schema=False)
_LETTERS = 100
# Offsets of each partition, from its end: a topic that nobody empties is not read whole for a page.
_LOOKED_AT = 500
_KAFKA_S = 3.0
_REGISTRY_S = 3.0
_RUNS = 50
_REPORT_CHARACTERS = 200_000


@router.get("/dead-letters")
def dead_letters(request: Request, console: Here, _: Viewer, reason: Annotated[Optional, Query()] = None) -> Response:
    """Records that were no posts: where, when, why. Their content is never shown: nobody judged it."""
    letters, problem = [], None
    try:
        letters = _letters(console, reason)
    except WorkerError as error:
        problem = str(error)
    reasons = [each.value for each in DeadLetterReason]
    context: dict[str, Any] = {
        "letters": letters,
        "problem": problem,
        "reason": reason,
        "reasons": reasons,
        "most": _LETTERS,
    }
    return render.page(request, "dead_letters", **context)


def _letters(console: Console, reason: str | None) -> list[dict[str, Any]]:
    """The latest ones as rows, the latest first. Raises WorkerError."""
    from worker.commands.connection import connect
    from worker.moderation.dead_letters import Selection, read

    connect(console.settings, _KAFKA_S)
    since = console.clock() - timedelta(days=7)
    reasons = frozenset({reason}) if reason else frozenset[str]()
    wanted = Selection(reasons=reasons, since_ms=int(since.timestamp() * 1000))
    rows = map(_letter_row, read(console.settings, wanted, last=_LOOKED_AT))
    return heapq.nlargest(_LETTERS, rows, key=lambda row: row["at"])


def _letter_row(letter: "DeadLetter") -> dict[str, Any]:
    """Without what the record holds."""
    said = letter.said
    return {
        "place": letter.place,
        "at": datetime.fromtimestamp(letter.time_ms / 1000, UTC),
        "source": f"{said.topic}:{said.partition}:{said.offset}" if said else None,
        "stage": said.stage.value if said else None,
        "reason": said.reason.value if said else None,
        "bytes": len(letter.value or b""),
    }


@router.get("/guards")
def guards(request: Request, console: Here, _: Viewer) -> Response:
    """Revisions that judged, with their verdicts; champions and runs of the registry."""
    now = console.clock()
    with console.store.reading() as session:
        revisions = reading.revisions(session)
        span = reading.RateFilter(now - timedelta(days=30), now + timedelta(hours=1), parts=("revision", "outcome"))
        counted = reading.rates(session, span)
    champions, runs, problem = _registry_facts(console)
    context: dict[str, Any] = {
        "revisions": revisions,
        "counted": counted,
        "champions": champions,
        "runs": runs,
        "problem": problem,
        "configured": console.settings.retraining.registry is not None,
    }
    return render.page(request, "guards", **context)


def _registry(console: Console) -> Registry:
    from worker.retraining.run import open_registry

    return open_registry(console.settings, _REGISTRY_S)


def _registry_facts(console: Console) -> tuple[list[Any], list[dict[str, Any]], str | None]:
    """Champions, the latest runs with the steps that they did, and what was wrong."""
    if console.settings.retraining.registry is None:
        return [], [], None
    try:
        registry = _registry(console)
        champions = Champions(registry).history()
        runs = [_run_facts(registry.run(name)) for name in registry.run_ids()[: -_RUNS - 1 : -1]]
        return list(champions), runs, None
    except (RegistryError, DamagedError, RunError, WorkerError) as error:
        return [], [], f"the registry: {error}"


def _run_facts(run: Run) -> dict[str, Any]:
    steps = {step: record for step in Step if (record := run.step(step)) is not None}
    gate = steps.get(Step.GATE)
    return {
        "record": run.record,
        "steps": steps,
        "outcome": None if gate is None else str(gate.facts.get("outcome", "")),
        "has_report": gate is not None and TEXT_FILE in gate.files,
        "metrics": [(step.value, sorted(record.metrics.items())) for step, record in steps.items() if record.metrics],
    }


@router.get("/guards/runs/{run}")
def run_report(
    request: Request, console: Here, _: Viewer, run: Annotated[str, InPath(pattern=f"^{RUN_ID.pattern}$")]
) -> Response:
    """One training run: its steps, figures and the gate's report."""
    if console.settings.retraining.registry is None:
        raise Refused(404, "There is no registry", "retraining.registry is not set.")
    try:
        found = _registry(console).run(run)
        facts = _run_facts(found)
        report = _report(found) if facts["has_report"] else None
    except RunError as error:
        raise Refused(404, "There is no such run", str(error)) from None
    except (RegistryError, DamagedError, WorkerError) as error:
        raise Refused(503, "The registry does not answer", str(error)) from None
    return render.page(request, "run", run=facts, report=report)


def _report(run: Run) -> str:
    with TemporaryDirectory(prefix="proguard-console-") as folder:
        path = Path(folder) / TEXT_FILE
        run.fetch_file(Step.GATE, TEXT_FILE, path)
        return path.read_text(encoding="utf-8", errors="replace")[:_REPORT_CHARACTERS]
