"""`proguard config check`: one thing that is wrong hides no other."""

import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path

from proguard_core.policy.loader import load_policy
from proguard_core.policy.policy import Policy
from worker import logs
from worker.errors import EXIT_CONFIGURATION, ConfigurationError
from worker.moderation import startup
from worker.moderation.champion import followed
from worker.moderation.run import check_clients, make_guard, make_policy
from worker.retraining import trainers
from worker.settings import Read, Settings


def check(read: Read, online: bool, wait_s: float) -> int:
    """Say what is wrong, on stderr, and what is right, on stdout. 78 if the worker could not run, 1 if none answers.

    What may be otherwise on the machine that the settings are for is a warning.
    """
    if not read.problems:
        print("settings: ok")
    errors = [*read.problems, *_offline_errors(read)]
    for error in errors:
        print(f"error: {logs.mask(error)}", file=sys.stderr)
    code = _check_online(read, wait_s) if online else 0
    return EXIT_CONFIGURATION if errors else code


def _offline_errors(read: Read) -> list[str]:
    """Sections that are wrong are not looked at: what stands there is not what was meant."""
    settings, policy, errors = read.settings, None, []
    if "policy" not in read.wrong:
        try:
            policy = make_policy(settings)
            print(f"policy: ok ({policy.name}, version {policy.version}, {len(policy.codes)} codes)")
        except ConfigurationError as error:
            errors += [f"policy: {line}" for line in str(error).splitlines()]
    for sections, look in _looks(settings, policy):
        if not sections & read.wrong:
            try:
                look()
            except ConfigurationError as error:
                errors.append(str(error))
    for warning in _warnings(settings, policy):
        print(f"warning: {logs.mask(warning)}", file=sys.stderr)
    return errors


def _looks(settings: Settings, policy: Policy | None) -> Iterator[tuple[set[str], Callable[[], object]]]:
    """What raises ConfigurationError where something is wrong, with the sections that it looks at."""
    yield {"guard"}, lambda: _say_guard(settings, policy or load_policy())
    yield {"kafka"}, lambda: check_clients(settings)
    if settings.retraining.follow:
        yield {"guard", "retraining"}, lambda: followed(settings)
    if "trainer" in settings.retraining.model_fields_set:  # who only follows a champion need not say who taught it
        yield {"guard", "retraining"}, lambda: trainers.check(settings)
    if policy is not None:
        yield {"console"}, lambda: settings.console.check_severe(policy.codes)


def _say_guard(settings: Settings, policy: Policy) -> None:
    print(f"guard: ok ({make_guard(settings, policy).name}; not loaded)")


def _warnings(settings: Settings, policy: Policy | None) -> Iterator[str]:
    if policy is not None and (unlike := _unlike_training(settings, policy)):
        yield unlike
    try:
        with tempfile.TemporaryFile(dir=_nearest(settings.kafka.state_dir)):
            pass
    except OSError as error:
        yield f"kafka.state_dir: {settings.kafka.state_dir} cannot be written on this machine: {error.strerror}"
    for key in ("replay", "gate_rows"):
        for path in getattr(settings.retraining, key):
            if not path.is_file():
                yield f"retraining.{key}: there is no file {path} on this machine"


def _nearest(folder: Path) -> Path:
    """The folder, or that above it which is there."""
    return next((each for each in (folder, *folder.parents) if each.exists()), folder)


def _unlike_training(settings: Settings, policy: Policy) -> str | None:
    """What is to be said of prompts that a released checkpoint was not trained on."""
    from proguard_core.policy.prompts.released import warning

    folder = settings.guard.settings.get("prompts")
    return warning(settings.guard.model, Path(str(folder)) if folder else None, policy)


def _check_online(read: Read, wait_s: float) -> int:
    if wrong := sorted(read.wrong & {"kafka", "topics", "objects"}):
        unasked = f"the broker is not asked: {', '.join(wrong)} must be right before"
        if "objects" not in wrong:
            return _check_objects_alone(read.settings, unasked, EXIT_CONFIGURATION)
        print(f"error: {unasked}, and S3 neither", file=sys.stderr)
        return EXIT_CONFIGURATION
    settings, deadline = read.settings, time.monotonic() + wait_s

    def stop() -> bool:
        return time.monotonic() > deadline

    refusals = startup.Refusals()
    try:
        answers = startup.wait_for_broker(settings, stop, refusals)
    except ConfigurationError as refused:
        return _check_objects_alone(settings, str(refused), EXIT_CONFIGURATION)
    if not answers:
        servers = f"{settings.kafka.bootstrap_servers} (kafka.bootstrap_servers)"
        why = refusals.last or "it was not asked"  # --wait 0
        return _check_objects_alone(settings, f"no broker answers at {servers}: {why}", 1)
    report = startup.check(settings, load_policy(), stop)
    for warning in report.warnings:
        print(f"warning: {warning}", file=sys.stderr)
    for error in report.errors:
        print(f"error: {error}", file=sys.stderr)
    if report.errors:
        return EXIT_CONFIGURATION
    print("broker and S3: ok" + (", with warnings" if report.warnings else ""))
    return 0


def _check_objects_alone(settings: Settings, without_broker: str, code: int) -> int:
    """One thing at a time is tedious: S3 is asked although no broker is there."""
    print(f"error: {logs.mask(without_broker)}", file=sys.stderr)
    problems = startup.object_problems(settings)
    for lasting, message in problems:
        print(f"{'error' if lasting else 'warning'}: {message}", file=sys.stderr)
    if not problems:
        print("S3: ok")
    return EXIT_CONFIGURATION if any(lasting for lasting, _ in problems) else code
