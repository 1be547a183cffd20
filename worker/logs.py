"""Logging: text on a terminal, one JSON object a line otherwise. No secrets, no post content above DEBUG."""

import json
import logging
import re
import sys
import threading
import traceback
from datetime import UTC, datetime
from pathlib import Path
from types import TracebackType
from typing import Literal, TextIO

from worker.secret_values import without_credentials

Format = Literal["auto", "json", "text"]
Level = Literal["DEBUG", "INFO", "WARNING", "ERROR"]

# Attributes that every record has: what else it carries was given as `extra`.
_STANDARD = frozenset(vars(logging.makeLogRecord({}))) | {"message", "asctime", "taskName"}
# `password=...`, `sasl.password: ...`, `"secret_key": "..."` and the like, as libraries print them.
_SECRET = re.compile(
    r"""(?ix)
    ((?:[\w.\-]*(?:password|secret|token|passphrase)[\w.\-]*) ["']? \s* [=:] \s*)
    ("[^"]*" | '[^']*' | [^\s,;&"']+)"""
)
# Libraries whose INFO lines are chatter of every request.
_NOISY = ("botocore", "boto3", "urllib3", "s3transfer", "PIL", "httpx2", "httpcore2")

# Shorter ones would blacken half of every line; docs/security.md says so.
_SHORTEST_HIDDEN = 6

logger = logging.getLogger("proguard")
_hidden: set[str] = set()


def hide(*values: str) -> None:
    """Leave these values out of whatever is logged from now on, wherever they stand; those below 6 characters stay."""
    for value in values:
        if len(value) >= _SHORTEST_HIDDEN:
            _hidden.update((value, repr(value)[1:-1], *(json.dumps(form)[1:-1] for form in (value, repr(value)[1:-1]))))


def _without_hidden(text: str) -> str:
    for value in sorted(_hidden, key=len, reverse=True):
        text = text.replace(value, "********")
    return text


def mask(text: str) -> str:
    """The text without the values of what looks like a secret, and without those that are known to be one."""
    return _without_hidden(without_credentials(_SECRET.sub(r"\1********", text)))


def _trace(record: logging.LogRecord) -> str | None:
    """At DEBUG the traceback of a record; otherwise only which error arose where: messages may quote a post."""
    if not record.exc_info or record.exc_info[0] is None:
        return None
    kind, error, trace = record.exc_info
    if logger.isEnabledFor(logging.DEBUG):
        return mask("".join(traceback.format_exception(kind, error, trace)))
    return f"{kind.__qualname__}{_place(trace)} (log level DEBUG shows more)"


def _place(trace: TracebackType | None) -> str:
    frames = traceback.extract_tb(trace)
    return f" at {Path(frames[-1].filename).name}:{frames[-1].lineno}, in {frames[-1].name}" if frames else ""


def _time(record: logging.LogRecord) -> str:
    return datetime.fromtimestamp(record.created, UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")


class JsonFormatter(logging.Formatter):
    """One object a line: time (RFC 3339, UTC), level, logger, message, the extra fields, and `trace` of an error."""

    def format(self, record: logging.LogRecord) -> str:
        """The line, without its end."""
        line: dict[str, object] = {
            "time": _time(record),
            "level": record.levelname,
            "logger": record.name,
            "message": mask(record.getMessage()),
        }
        for key, value in vars(record).items():
            if key not in _STANDARD and key not in line:
                line[key] = _masked_extra(key, value)
        if trace := _trace(record):
            line["trace"] = trace
        return _without_hidden(json.dumps(line, ensure_ascii=False, default=str))


def _masked_extra(key: str, value: object) -> object:
    if mask(f"{key}=x") != f"{key}=x":
        return "********"
    return mask(value) if isinstance(value, str) else value


class TextFormatter(logging.Formatter):
    """`12:00:00 WARNING message  key=value`; times are UTC as everywhere."""

    def format(self, record: logging.LogRecord) -> str:
        """The line, or several with a traceback."""
        extra = {key: value for key, value in vars(record).items() if key not in _STANDARD}
        fields = "".join(f"  {key}={_masked_extra(key, value)}" for key, value in extra.items())
        line = _without_hidden(f"{_time(record)[11:19]} {record.levelname:<7} {mask(record.getMessage())}{fields}")
        trace = _trace(record)
        return f"{line}\n{trace}" if trace else line


class _Handler(logging.StreamHandler[TextIO]):
    """Writes to whatever stderr is now: tests and progress displays replace it."""

    def __init__(self) -> None:
        logging.Handler.__init__(self)

    @property
    def stream(self) -> TextIO:
        return sys.stderr

    @stream.setter
    def stream(self, stream: TextIO) -> None:
        raise AttributeError("the stream is always stderr")


def set_up(level: Level = "INFO", form: Format = "auto") -> None:
    """Send all logging to stderr (stdout is for results) and log what would kill a process or a thread.

    form auto is text where stderr is a terminal, JSON lines otherwise. May be called again to change either.
    """
    as_text = form == "text" or (form == "auto" and sys.stderr.isatty())
    handler = _Handler()
    handler.setFormatter(TextFormatter() if as_text else JsonFormatter())
    root = logging.getLogger()
    for old in [handler for handler in root.handlers if isinstance(handler, _Handler)]:
        root.removeHandler(old)
    root.addHandler(handler)
    root.setLevel(level)
    for name in _NOISY:
        logging.getLogger(name).setLevel(max(logging.WARNING, logging.getLevelNamesMapping()[level]))
    logging.captureWarnings(True)
    sys.excepthook = _uncaught
    threading.excepthook = _uncaught_in_thread


def unexpected(error: BaseException) -> None:
    """Log an error that nobody expected and that ends the process."""
    _uncaught(type(error), error, error.__traceback__)


def _uncaught(kind: type[BaseException], error: BaseException, trace: TracebackType | None) -> None:
    if issubclass(kind, KeyboardInterrupt):
        sys.__excepthook__(kind, error, trace)
        return
    logger.critical("unexpected %s ends the process", kind.__qualname__, exc_info=(kind, error, trace))


def _uncaught_in_thread(arguments: threading.ExceptHookArgs) -> None:
    name = arguments.thread.name if arguments.thread else "?"
    error = arguments.exc_value or arguments.exc_type()
    logger.critical("thread %s died", name, exc_info=(arguments.exc_type, error, arguments.exc_traceback))
