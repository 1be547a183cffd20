"""`proguard topics create | show`."""

import json
import sys
from collections.abc import Sequence

from confluent_kafka import KafkaException
from confluent_kafka.admin import AdminClient
from rich.console import Console
from rich.table import Table
from tenacity import Retrying, retry_if_result, stop_after_delay, wait_fixed

from worker import topics
from worker.commands.connection import connect
from worker.errors import EXIT_CONFIGURATION, WorkerError
from worker.settings import Settings

_LOOK_AGAIN_S = 0.2
_KNOWN_WITHIN_S = 15.0
_MS_AN_HOUR = 3_600_000
_HOURS_A_DAY = 24


def create(settings: Settings, partitions: int | None, replication_factor: int | None) -> int:
    """Make what is missing and say so on stdout; 78 if a topic that exists does not do."""
    admin = connect(settings)
    try:
        made = topics.create(admin, settings, partitions or topics.DEFAULT_PARTITIONS, replication_factor)
        states = _look_until_known(admin, settings, made)
    except KafkaException as error:
        raise WorkerError(f"the broker does not answer: {topics.text_of(error)}") from None
    for state in states:
        print(f"{'created' if state.name in made else 'exists '}  {state.name}")
    return _complain(states)


def _look_until_known(admin: AdminClient, settings: Settings, made: Sequence[str]) -> list[topics.TopicState]:
    """Which broker answers is not ours to say, and each hears of a new topic in its own time."""
    looking = Retrying(
        retry=retry_if_result(lambda states: any(state.missing and state.name in made for state in states)),
        wait=wait_fixed(_LOOK_AGAIN_S),
        stop=stop_after_delay(_KNOWN_WITHIN_S),
        retry_error_callback=lambda last: last.outcome.result() if last.outcome else [],
    )
    return looking(topics.look, admin, settings)


def show(settings: Settings) -> int:
    """A table on a terminal, JSON lines otherwise; problems on stderr and 78 if the worker could not run."""
    admin = connect(settings)
    try:
        states = topics.look(admin, settings)
    except KafkaException as error:
        raise WorkerError(f"the broker does not answer: {topics.text_of(error)}") from None
    if sys.stdout.isatty():
        _print_table(states)
    else:
        for state in states:
            print(json.dumps(_row(state, topics.posts_max_bytes(states)), ensure_ascii=False))
    return _complain(states)


def _complain(states: list[topics.TopicState]) -> int:
    largest = topics.posts_max_bytes(states)
    errors = [error for state in states for error in topics.errors_of(state, largest)]
    for state in states:
        for warning in topics.warnings_of(state):
            print(f"warning: {warning}", file=sys.stderr)
    for error in errors:
        print(f"error: {error}", file=sys.stderr)
    return EXIT_CONFIGURATION if errors else 0


def _row(state: topics.TopicState, largest: int) -> dict[str, object]:
    values = state.settings or {}
    retention = values.get("retention.ms")
    return {
        "topic": state.name,
        "role": state.plan.role,
        "exists": state.error is None,
        "partitions": state.partitions,
        "replication": state.replication,
        "cleanup_policy": values.get("cleanup.policy"),
        "retention_ms": None if retention is None else int(retention),
        "max_message_bytes": state.max_bytes,
        "problems": topics.errors_of(state, largest) + topics.warnings_of(state),
    }


def _print_table(states: list[topics.TopicState]) -> None:
    table = Table(box=None, pad_edge=False, padding=(0, 1, 0, 0))
    for heading in ("topic", "partitions", "replication", "cleanup", "retention", "max bytes", "problems"):
        right = heading in {"partitions", "replication", "max bytes"}
        whole = heading in {"topic", "max bytes"}  # cut in two they read wrong; the headings of the rest may fold
        table.add_column(heading, justify="right" if right else "left", overflow="fold", no_wrap=whole)
    for state in states:
        row = _row(state, topics.posts_max_bytes(states))
        problems = len(topics.errors_of(state, topics.posts_max_bytes(states))) + len(topics.warnings_of(state))
        table.add_row(
            state.name,
            *(_text(row[name]) for name in ("partitions", "replication")),
            _text(row["cleanup_policy"]).replace(",", ", "),
            _duration(state),
            _text(row["max_message_bytes"]),
            "[red]missing[/red]" if state.missing else str(problems or ""),
        )
    Console().print(table)


def _text(value: object) -> str:
    return "?" if value is None else str(value)


def _duration(state: topics.TopicState) -> str:
    """Retention as people say it; a topic that is only compacted has none."""
    values = state.settings or {}
    if "retention.ms" not in values:
        return "?"
    milliseconds = int(values["retention.ms"])
    if milliseconds < 0 or "delete" not in values.get("cleanup.policy", "delete"):
        return "for ever"
    hours = milliseconds / _MS_AN_HOUR
    return f"{hours / _HOURS_A_DAY:g} days" if hours >= _HOURS_A_DAY else f"{hours:g} hours"
