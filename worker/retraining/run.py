"""One round of the loop: goes on where a run was killed, begins one where there is enough to learn, else says so."""

import secrets
import tempfile
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from datetime import timedelta
from enum import StrEnum
from pathlib import Path

from proguard_core.evaluation.rows import Problems
from proguard_core.novelty.novelty import for_law_11
from proguard_core.policy.policy import Policy
from proguard_core.training.gate.report import Outcome
from proguard_core.training.promotion import SignatureWantedError, promote
from proguard_core.training.registry.lease import Lease
from proguard_core.training.registry.patience import PatientStore
from proguard_core.training.registry.records import Cause, Step, new_run_id
from proguard_core.training.registry.runs import Registry, Run
from worker.errors import ConfigurationError
from worker.retraining import consensus, judging, labels, steps
from worker.retraining.registry_store import S3Store, open_store
from worker.retraining.snapshot import Topics
from worker.retraining.steps import Bench
from worker.retraining.trainers import check_encoder, trainer_of
from worker.settings import Settings

SNAPSHOT_LASTS = timedelta(hours=12)
"""A broker forgets an erasure a day after compaction (delete.retention.ms), and then a snapshot would bring it back."""


class End(StrEnum):
    """How a round ended. Nothing: too little is new; unfit: nothing can be learned from it; waits: for a signature."""

    NOTHING = "nothing to learn"
    UNFIT = "unfit"
    REFUSED = "refused by the gate"
    WAITS = "waits for a signature"
    PROMOTED = "promoted"


@dataclass(frozen=True, slots=True)
class Round:
    """said: why, for people. report: digest of the gate's report, what a person signs."""

    end: End
    said: str
    run: str | None = None
    report: str | None = None


def open_registry(settings: Settings, patience_s: float = 300.0) -> Registry:
    """The registry of the settings. Raises ConfigurationError; nothing is asked of S3 yet."""
    address = settings.retraining.registry
    if address is None:
        raise ConfigurationError("retraining.registry is not set: say where runs and the champion are kept")
    return Registry(PatientStore(open_store(address, settings.objects), patience_s))


def once(
    settings: Settings,
    policy: Policy,
    say: Callable[[str], None] = lambda text: None,
    interrupted: Callable[[], None] = lambda: None,
) -> Round:
    """A round. say: hears what is being done; interrupted: raises where no further step may begin.

    Raises WorkerError, LeaseHeldError and what the registry raises.
    """
    registry = open_registry(settings)
    check_encoder()
    consensus.check(settings.retraining)
    assert settings.retraining.registry is not None
    store = open_store(settings.retraining.registry, settings.objects)
    if isinstance(store, S3Store):
        store.check()
    with Lease(registry) as lease, tempfile.TemporaryDirectory(prefix="proguard-retrain-") as folder:
        trainer = trainer_of(settings, policy, Path(folder))
        novelty = for_law_11(settings.guard.settings.get("novelty"), policy)
        bench = Bench(settings.retraining, policy, registry, Topics(settings), Path(folder), novelty, trainer)

        def check() -> None:
            interrupted()
            lease.check()

        return go_on(bench, check, say)


def go_on(bench: Bench, check: Callable[[], None], say: Callable[[str], None]) -> Round:
    """The round itself. check: raises before something that only the holder of the lease may do."""
    steps.check_bases(bench)
    _released(bench, check)
    _noted(bench)
    waiting = _signed(bench, check)
    if waiting is not None:
        return waiting
    run, is_left = _unfinished(bench)
    if run is not None:
        say(f"going on with run {run.record.run}")
        return _walk(bench, run, check, say)
    found = consensus.with_crowds(bench.topics.snapshot(), bench.settings, bench.policy, bench.novelty)
    if is_left:  # its offsets may be committed, and yet no champion learned anything from it
        found = replace(found, old_hits=frozenset(), old_reviews=frozenset())
    problems = Problems()
    new = labels.newly_labelled(found, bench.policy, problems, pictures=bench.trainer.reads_pictures)
    if new < bench.settings.min_new and not (is_left and new):
        left_out = "".join(f"; {why}: {count}" for why, count in (problems.counts + found.problems.counts).items())
        wanted = bench.settings.min_new
        return _nothing(bench, f"{new} newly labelled posts of {len(found.hits)}, {wanted} are wanted{left_out}")
    champion = bench.champions.current()
    assert champion is not None
    run_id = new_run_id(bench.registry.clock(), secrets.token_hex(4))
    check()
    run = bench.registry.begin(bench.record(run_id, champion.champion.run))
    say(f"run {run_id}: {new} newly labelled posts")
    steps.keep_snapshot(bench, run, found)
    return _walk(bench, run, check, say)


def _walk(bench: Bench, run: Run, check: Callable[[], None], say: Callable[[str], None]) -> Round:
    """Every step that is not done yet."""
    name = run.record.run
    if run.step(Step.SNAPSHOT) is None:
        check()
        found = consensus.with_crowds(bench.topics.snapshot(), bench.settings, bench.policy, bench.novelty)
        steps.keep_snapshot(bench, run, found)
    check()
    dataset = steps.make_dataset(bench, run)
    if dataset.facts["unfit"]:
        return Round(End.UNFIT, f"nothing can be learned: {_listed(dataset.facts['unfit'])}", name)
    for said, step in (("training", steps.train), ("asking", judging.answer), ("judging", judging.judge)):
        say(f"run {name}: {said}")
        check()
        if step(bench, run) is None:
            break
    return _promote(bench, run, check)


def _promote(bench: Bench, run: Run, check: Callable[[], None]) -> Round:
    gate = run.finished(Step.GATE)
    report, reasons = str(gate.facts["report"]), _listed(gate.facts["reasons"])
    if gate.facts["outcome"] == Outcome.FAILED:
        return Round(End.REFUSED, reasons, run.record.run, report)
    check()
    try:
        champion = promote(bench.champions, run)
    except SignatureWantedError:
        return Round(End.WAITS, reasons, run.record.run, report)
    run.finish(Step.PROMOTE, inputs=[Step.GATE], facts={"champion": champion.number})
    return Round(End.PROMOTED, champion.reason, run.record.run, report)


def _released(bench: Bench, check: Callable[[], None]) -> None:
    """The first release, where there is none."""
    if bench.champions.current() is None:
        check()
        steps.release(bench)


def _noted(bench: Bench) -> None:
    """A promotion whose last note was lost to a kill."""
    current = bench.champions.current()
    if current is not None:
        run = bench.registry.run(current.champion.run)
        if run.step(Step.GATE) is not None and run.step(Step.PROMOTE) is None:
            run.finish(Step.PROMOTE, inputs=[Step.GATE], facts={"champion": current.champion.number})


def _signed(bench: Bench, check: Callable[[], None]) -> Round | None:
    """The latest of the runs that the gate let through, or that waited for a signature and have it now."""
    served = {champion.run for champion in bench.champions.history()}
    for run in _of_champion(bench):
        gate = run.step(Step.GATE)
        if gate is None or gate.facts["outcome"] == Outcome.FAILED or run.record.run in served:
            continue  # what was rolled back comes back by hand only
        made = _promote(bench, run, check)
        if made.end is End.PROMOTED:
            return made
    return None


def _unfinished(bench: Bench) -> tuple[Run | None, bool]:
    """The latest run, if it was killed and can go on. True: nothing comes of it, since champion or settings are other
    ones now, or its snapshot is too old for a dataset. A run that waits for a signature is left too where another one
    was promoted meanwhile."""
    begun = [each for each in bench.registry.run_ids() if not each.startswith(steps.RELEASE)]
    if not begun:
        return None, False
    run, champion = bench.registry.run(begun[-1]), bench.champions.current()
    dataset, gate = run.step(Step.DATASET), run.step(Step.GATE)
    if dataset is not None and dataset.facts["unfit"]:
        return None, False
    if gate is not None:
        return None, gate.facts["outcome"] != Outcome.FAILED and _is_overtaken(bench, run)
    same = champion is not None and run.record.parent == champion.champion.run
    if same and run.record.config == bench.config() and not (dataset is None and _is_old(bench, run)):
        return run, False
    return None, True


def _is_old(bench: Bench, run: Run) -> bool:
    """Whether posts of its snapshot may have been erased without a trace that is still there."""
    snapshot = run.step(Step.SNAPSHOT)
    return snapshot is not None and bench.registry.clock() - snapshot.finished_at > SNAPSHOT_LASTS


def _is_overtaken(bench: Bench, run: Run) -> bool:
    """Whether a run that may not become champion any more never was it. After a rollback nothing is learned anew."""
    history = bench.champions.history()
    served = {champion.run for champion in history}
    is_promoted = bool(history) and history[0].cause is Cause.PROMOTION
    return is_promoted and run.record.run not in served and run.record.parent != history[0].run


def _of_champion(bench: Bench) -> Iterator[Run]:
    """Runs that go on from the present champion, the latest first."""
    champion = bench.champions.current()
    for each in reversed(bench.registry.run_ids()):
        run = bench.registry.run(each)
        if champion is not None and run.record.parent == champion.champion.run:
            yield run


def _nothing(bench: Bench, said: str) -> Round:
    """A run that waits for a signature is named again."""
    served = {champion.run for champion in bench.champions.history()}
    waiting = next(
        (run for run in _of_champion(bench) if run.step(Step.GATE) is not None and run.record.run not in served), None
    )
    gate = waiting.finished(Step.GATE) if waiting is not None else None
    if waiting is not None and gate is not None and gate.facts["outcome"] == Outcome.NEEDS_HUMAN:
        return Round(End.WAITS, _listed(gate.facts["reasons"]), waiting.record.run, str(gate.facts["report"]))
    return Round(End.NOTHING, said)


def _listed(value: object) -> str:
    return "; ".join(map(str, value)) if isinstance(value, list) else str(value)
