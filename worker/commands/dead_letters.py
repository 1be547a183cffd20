"""`proguard dead-letters inspect | replay`."""

import json
import sys
from collections.abc import Iterable, Iterator
from datetime import UTC, datetime

import typer
from confluent_kafka import KafkaException
from rich.console import Console
from rich.markup import escape
from rich.table import Table

from schemas.common import DeadLetterReason, Stage
from worker import topics
from worker.commands.connection import connect
from worker.errors import WorkerError
from worker.moderation.dead_letters import DeadLetter, Selection, read
from worker.moderation.dead_letters import replay as send_again
from worker.settings import Settings

_TO_THE_SECOND = len("2026-01-31T12:00:00")


def selection(
    reasons: list[str] | None,
    stages: list[str] | None,
    topic: str | None,
    partition: int | None,
    offsets: str | None,
    since: str | None,
    until: str | None,
    key: str | None,
) -> Selection:
    """The options as a filter; a wrong one is wrong usage."""
    first, last = _offsets(offsets)
    return Selection(
        reasons=_members("--reason", reasons, [reason.value for reason in DeadLetterReason]),
        stages=_members("--stage", stages, [stage.value for stage in Stage]),
        topic=topic,
        partition=partition,
        first_offset=first,
        last_offset=last,
        since_ms=_milliseconds("--since", since),
        until_ms=_milliseconds("--until", until),
        key=None if key is None else key.encode(),
    )


def _members(option: str, given: list[str] | None, known: list[str]) -> frozenset[str]:
    if unknown := sorted(set(given or ()) - set(known)):
        raise typer.BadParameter(f"{', '.join(unknown)} is not one of {', '.join(known)}", param_hint=option)
    return frozenset(given or ())


def _offsets(given: str | None) -> tuple[int | None, int | None]:
    if given is None:
        return None, None
    first, colon, last = given.partition(":")
    try:
        bounds = (int(first) if first else None, int(last) if last else None)
    except ValueError:
        bounds = (None, None)
    if bounds == (None, None):
        raise typer.BadParameter(f"{given!r} is not of the form FIRST:LAST", param_hint="--offsets")
    return bounds if colon else (bounds[0], bounds[0])


def _milliseconds(option: str, given: str | None) -> int | None:
    if given is None:
        return None
    try:
        time = datetime.fromisoformat(given)
    except ValueError:
        time = None
    if time is None or time.tzinfo is None:
        raise typer.BadParameter(f"{given!r} is not an RFC 3339 time with an offset", param_hint=option)
    return int(time.timestamp() * 1000)


def show(settings: Settings, wanted: Selection, limit: int | None, show_value: bool) -> int:
    """List what matches on stdout."""
    connect(settings)
    letters = read(settings, wanted, limit)
    if sys.stdout.isatty():
        _print_table(letters, show_value)
    else:
        for letter in letters:
            print(json.dumps(_row(letter, show_value), ensure_ascii=False), flush=True)
    return 0


def _row(letter: DeadLetter, show_value: bool) -> dict[str, object]:
    said = letter.said
    row: dict[str, object] = {
        "dead_letter": letter.place,
        "time": _time(letter.time_ms),
        "source": f"{said.topic}:{said.partition}:{said.offset}" if said else None,
        "stage": said.stage.value if said else None,
        "reason": said.reason.value if said else None,
        "message": said.message if said else None,
        "key": None if letter.key is None else _escaped(letter.key),
        "value_bytes": None if letter.value is None else len(letter.value),
    }
    if show_value:
        row["value"] = None if letter.value is None else _escaped(letter.value)
    return row


def _print_table(letters: Iterable[DeadLetter], show_value: bool) -> None:
    headings = ("dead letter", "time (UTC)", "source", "stage", "reason", "message", "key", "bytes")
    table = Table(box=None, pad_edge=False)
    for heading in (*headings, *(("value",) if show_value else ())):
        # Folded, never cut: what is shown here is what --reason, --partition and --offsets are given.
        table.add_column(heading, overflow="fold", no_wrap=heading in {"stage", "reason"})
    for letter in letters:
        row = _row(letter, show_value)
        row["dead_letter"] = ":".join(letter.place.split(":")[-2:])  # all are on one topic
        row["time"] = _time(letter.time_ms)[:_TO_THE_SECOND].replace("T", " ")
        table.add_row(*("" if cell is None else escape(str(cell)) for cell in row.values()))
    Console().print(table)
    print(f"{table.row_count} dead letters", file=sys.stderr)


def _time(milliseconds: int) -> str:
    return datetime.fromtimestamp(milliseconds / 1000, UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")


def _escaped(content: bytes) -> str:
    """Text that cannot move a terminal's cursor or look like another line, whatever a stranger sent."""
    text = content.decode("utf-8", "backslashreplace")
    return "".join(letter if letter.isprintable() else letter.encode("unicode_escape").decode() for letter in text)


def replay(settings: Settings, wanted: Selection, limit: int | None, dry_run: bool) -> int:
    """Send what matches again; counts on stdout, 1 if some could not be sent."""
    admin = connect(settings)
    letters = read(settings, wanted, limit)
    if dry_run:
        print(f"{sum(1 for _ in letters)} dead letters would be sent to {settings.topics.posts}")
        return 0
    try:
        states = topics.look(admin, settings)
    except KafkaException as error:
        raise WorkerError(f"the broker does not answer: {topics.text_of(error)}") from None
    if missing := next((state for state in states if state.plan.role == "posts" and state.missing), None):
        raise WorkerError(f"topic {missing.name} (topics.posts) does not exist")
    report = send_again(settings, _counted(letters), topics.posts_max_bytes(states))
    print(f"{report.sent} dead letters sent to {settings.topics.posts}, {report.failed} failed")
    if report.failed:
        print(f"first failure: {report.first_failure}", file=sys.stderr)
    return 1 if report.failed else 0


def _counted(letters: Iterable[DeadLetter]) -> Iterator[DeadLetter]:
    """Say how far we are where somebody watches."""
    for number, letter in enumerate(letters, 1):
        yield letter
        if sys.stderr.isatty() and number % 1000 == 0:
            print(f"\r{number} dead letters read", end="", file=sys.stderr)
    if sys.stderr.isatty():
        print("\r", end="", file=sys.stderr)
