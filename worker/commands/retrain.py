"""`proguard retrain` and what belongs to it: what is said, and how it ends."""

import json
import signal
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from confluent_kafka import KafkaException

from proguard_core.guards.embedded.heads import HeadsError
from proguard_core.policy.loader import load_policy
from proguard_core.policy.policy import Policy
from proguard_core.policy.problems import PolicyError
from proguard_core.training.embedded.heads.taught import DatasetError
from proguard_core.training.gate.evidence import EvidenceError
from proguard_core.training.gate.report import TEXT_FILE
from proguard_core.training.promotion import sign as sign_report
from proguard_core.training.registry.champions import Champions, NotPromotedError
from proguard_core.training.registry.lease import LeaseHeldError, LeaseLostError
from proguard_core.training.registry.records import DamagedError, Step
from proguard_core.training.registry.runs import RunError
from proguard_core.training.registry.store import Refused, StoreError
from worker.commands.connection import connect
from worker.errors import EXIT_TERMINATED, BusyError, ConfigurationError, WorkerError
from worker.interruption import Interruption
from worker.moderation.run import Stop
from worker.retraining import trainers
from worker.retraining.offsets import check_group
from worker.retraining.round_process import RoundProcess
from worker.retraining.run import once as one_round
from worker.retraining.run import open_registry
from worker.retraining.schedule import Scheduler, Times
from worker.retraining.schedule_service import ScheduleService
from worker.settings import Settings
from worker.telemetry.health import Heart
from worker.topics import text_of

_PATIENCE_S = 20.0


def once(settings: Settings) -> int:
    """One round; how it ended as a line of JSON. 0 also where nothing is to be learned or the gate refuses.

    SIGTERM ends it with 143, at the latest before its next step: its files and its lease are put away, and the next
    round goes on behind its last step.
    """
    policy = _checked(settings)
    check_group(connect(settings), settings.retraining.group_id)
    terminated = Interruption(SystemExit(EXIT_TERMINATED), signal.SIGTERM)
    with explained(), terminated.told():
        done = one_round(settings, policy, lambda text: print(text, file=sys.stderr), terminated.check)
    said = {"end": done.end, "run": done.run, "report": done.report, "said": done.said}
    print(json.dumps(said, ensure_ascii=False))
    return 0


def on_schedule(settings: Settings, config: Path | None, times: Times) -> int:
    """Rounds at these times until SIGTERM or Ctrl-C, each a process of its own. config: file of the settings.

    A round that fails is counted and said; the next one is tried at its time.
    """
    _checked(settings)
    stop = Stop()
    stop.install()
    heart = Heart()
    scheduler = Scheduler(times, lambda: RoundProcess(config), beat=heart.beat)
    with ScheduleService(settings, scheduler.counts, heart, times.expression):
        scheduler.run(stop)
    return 0


def _checked(settings: Settings) -> Policy:
    """The policy. ConfigurationError for what can be said before anything is asked of broker or S3."""
    try:
        policy = load_policy(settings.policy.path)
    except PolicyError as error:
        raise ConfigurationError(str(error)) from None
    open_registry(settings)
    trainers.trainer_of(settings, policy, Path())
    return policy


def history(settings: Settings) -> int:
    """Every champion as a line of JSON, the latest first; where there is none that is said."""
    with explained():
        champions = Champions(open_registry(settings, _PATIENCE_S)).history()
    for each in champions:
        print(json.dumps(each.model_dump(mode="json", exclude={"token", "format"}), ensure_ascii=False))
    if not champions:
        print(f"the registry {settings.retraining.registry} has no champion: is it the right one?", file=sys.stderr)
    return 0


def report(settings: Settings, run: str) -> int:
    """The gate's report, for reading, and the digest that a signature names."""
    with explained(), tempfile.TemporaryDirectory(prefix="proguard-report-") as folder:
        path = Path(folder) / TEXT_FILE
        open_registry(settings, _PATIENCE_S).run(run).fetch_file(Step.GATE, TEXT_FILE, path)
        print(path.read_text(encoding="utf-8"), end="")
    return 0


def rollback(settings: Settings, by: str, reason: str, to: str | None) -> int:
    """Back to an earlier champion."""
    with explained():
        champion = Champions(open_registry(settings, _PATIENCE_S)).roll_back(by, reason, to)
    print(json.dumps({"champion": champion.number, "run": champion.run, "revision": champion.revision}))
    return 0


def sign(settings: Settings, run: str, by: str, note: str, report: str) -> int:
    """A person's yes to a gate's report."""
    with explained():
        signed = sign_report(open_registry(settings, _PATIENCE_S).run(run), by, note, report)
    print(json.dumps({"run": run, "report": signed.report, "by": signed.by}))
    return 0


@contextmanager
def explained() -> Iterator[None]:
    """What the loop raises as what ends a process, with its exit code."""
    try:
        yield
    except (LeaseHeldError, LeaseLostError) as error:
        raise BusyError(str(error)) from None
    except Refused as error:
        raise ConfigurationError(str(error)) from None
    except (StoreError, DamagedError, RunError, NotPromotedError) as error:
        raise WorkerError(f"the registry: {error}") from None
    except (DatasetError, HeadsError, EvidenceError) as error:
        raise WorkerError(f"the run cannot go on: {error}") from None
    except KafkaException as error:
        raise WorkerError(f"the broker does not answer: {text_of(error)}") from None
    except OSError as error:
        raise WorkerError(f"this machine: {error.strerror or error}") from None
