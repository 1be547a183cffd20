"""Where two guards disagreed, a line of JSON each: digests and labels, no content and no name that a guard made up."""

import hashlib
import logging
from datetime import UTC, datetime
from io import BufferedWriter
from pathlib import Path

import orjson

from proguard_core.guards.protocol import GuardRequest, Judgement
from proguard_core.policy.policy import SEXUAL, concerns_minors
from schemas.common import CategoryKind, Outcome

log = logging.getLogger(__name__)

Said = tuple[str, str, Judgement]
"""A guard's name, its revision and what it said."""


class Disagreements:
    """Appends to a file, or only counts without one. max_bytes: of the file, which is left as it is from then on.

    Nothing is written of what either guard places with minors or near to them (law 11).
    """

    def __init__(self, path: Path | None = None, max_bytes: int = 64 * 1024 * 1024) -> None:
        self._path = path
        self._max_bytes = max_bytes
        self._file: BufferedWriter | None = None
        self._is_full = False

    def note(self, request: GuardRequest, live: Said, second: Said) -> bool:
        """Whether the two disagree; the line is written if so. Raises OSError."""
        if _labels(live[2]) == _labels(second[2]):
            return False
        if self._path is not None and not (_is_withheld(live[2]) or _is_withheld(second[2])):
            self._write(self._path, orjson.dumps(_line(request, live, second), option=orjson.OPT_APPEND_NEWLINE))
        return True

    def close(self) -> None:
        """Close the file; it is opened again when needed."""
        file, self._file = self._file, None
        if file is not None:
            file.close()

    def _write(self, path: Path, line: bytes) -> None:
        if self._file is None:
            path.parent.mkdir(parents=True, exist_ok=True)
            self._file = path.open("ab")
        if self._file.tell() + len(line) > self._max_bytes:
            if not self._is_full:
                log.warning("%s has %d bytes: no more disagreements are written", path.name, self._file.tell())
            self._is_full = True
            return
        self._file.write(line)
        self._file.flush()


def _labels(judgement: Judgement) -> tuple[str | None, ...]:
    """What must be the same. A novel risk has as many names as there are guards, so its name does not count."""
    category = judgement.category
    if judgement.outcome is not Outcome.UNSAFE:
        return (judgement.outcome,)
    return (judgement.outcome, judgement.request, judgement.response, category.kind, category.code)


def _line(request: GuardRequest, live: Said, second: Said) -> dict[str, object]:
    hashed = hashlib.sha256(request.text.encode("utf-8", "surrogatepass"))
    if request.response is not None:
        hashed.update(b"\0" + request.response.encode("utf-8", "surrogatepass"))
    return {
        "noted_at": datetime.now(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z"),
        "text_sha256": hashed.hexdigest() if request.text or request.response else None,
        "picture_sha256": request.picture.digest if request.picture is not None else None,
        "live": _said(live),
        "shadow": _said(second),
    }


def _said(said: Said) -> dict[str, object]:
    name, revision, judgement = said
    return {
        "name": name,
        "revision": revision,
        "outcome": judgement.outcome,
        "reason": judgement.reason,
        "request": judgement.request,
        "response": judgement.response,
        "kind": judgement.category.kind,
        "code": judgement.category.code if judgement.category.kind is CategoryKind.KNOWN else None,
    }


def _is_withheld(judgement: Judgement) -> bool:
    category = judgement.category
    main = (category.code or "").partition("S")[0]
    return main == SEXUAL or concerns_minors(category.kind, category.code, category.nearest)
