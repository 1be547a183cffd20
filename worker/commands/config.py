"""`proguard config show | check`."""

import json
import sys
import time
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from proguard_core.policy.policy import Policy
from worker import logs
from worker.errors import EXIT_CONFIGURATION, ConfigurationError
from worker.secret_values import masked
from worker.settings import Settings


def show(settings: Settings) -> int:
    """The settings in force as a TOML file that could be loaded again, but for its masked secrets."""
    tables = masked(settings.model_dump(mode="json"))
    print("\n".join(_toml(tables)), end="\n")
    return 0


def _toml(table: Mapping[str, Any], path: str = "") -> Iterator[str]:
    """A table's own values first, then the tables below it, as TOML wants them."""
    below = {key: value for key, value in table.items() if isinstance(value, Mapping)}
    own = {key: value for key, value in table.items() if key not in below}
    if path and (own or not below):
        yield f"\n[{path}]"
    for key, value in own.items():
        # TOML has no null: what is not set is shown as a comment.
        yield f"# {_key(key)} = (not set)" if value is None else f"{_key(key)} = {_value(value)}"
    for key, value in below.items():
        yield from _toml(value, f"{path}.{_key(key)}" if path else _key(key))


def _key(key: str) -> str:
    bare = key.replace("_", "").replace("-", "")
    return key if bare.isalnum() and bare.isascii() else _text(key)


def _text(text: str) -> str:
    # A JSON string is a TOML basic string, but for DEL, and for surrogate pairs, which ensure_ascii would write.
    return json.dumps(text, ensure_ascii=False).replace("\x7f", "\\u007F")


def _value(value: Any) -> str:
    if isinstance(value, str):
        return _text(value)
    if isinstance(value, list):
        return f"[{', '.join(_value(each) for each in value)}]"
    if isinstance(value, Mapping):
        return f"{{ {', '.join(f'{_key(key)} = {_value(each)}' for key, each in value.items())} }}"
    return json.dumps(value)


def check(settings: Settings, online: bool, wait_s: float) -> int:
    """Say what is wrong, on stderr, and what is right, on stdout. 78 if the worker could not run, 1 if none answers."""
    print("settings: ok")
    errors = _offline_errors(settings)
    code = EXIT_CONFIGURATION if errors else 0
    if online:
        code = code or _check_online(settings, wait_s)
    for error in errors:
        print(f"error: {error}", file=sys.stderr)
    return code


def _offline_errors(settings: Settings) -> list[str]:
    from worker.moderation.champion import followed
    from worker.moderation.run import check_clients, make_guard, make_policy

    try:
        policy = make_policy(settings)
    except ConfigurationError as error:
        return [f"policy: {line}" for line in str(error).splitlines()]
    print(f"policy: ok ({policy.name}, version {policy.version}, {len(policy.codes)} codes)")
    try:
        guard = make_guard(settings, policy)
        check_clients(settings)
        if settings.retraining.follow:
            followed(settings)
    except ConfigurationError as error:
        return [str(error)]
    print(f"guard: ok ({guard.name}; not loaded)")
    if unlike := _unlike_training(settings, policy):
        print(f"warning: {unlike}", file=sys.stderr)
    return []


def _unlike_training(settings: Settings, policy: Policy) -> str | None:
    """What is to be said of prompts that a released checkpoint was not trained on."""
    from proguard_core.policy.prompts.released import warning

    folder = settings.guard.settings.get("prompts")
    return warning(settings.guard.model, Path(str(folder)) if folder else None, policy)


def _check_online(settings: Settings, wait_s: float) -> int:
    from worker.moderation import startup
    from worker.moderation.run import make_policy

    deadline = time.monotonic() + wait_s

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
    report = startup.check(settings, make_policy(settings), stop)
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
    from worker.moderation import startup

    print(f"error: {logs.mask(without_broker)}", file=sys.stderr)
    problems = startup.object_problems(settings)
    for lasting, message in problems:
        print(f"{'error' if lasting else 'warning'}: {message}", file=sys.stderr)
    if not problems:
        print("S3: ok")
    return EXIT_CONFIGURATION if any(lasting for lasting, _ in problems) else code
