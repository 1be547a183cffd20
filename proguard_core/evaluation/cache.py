"""Judgements on disk, by guard revision and row content: a run goes on where it was, and a second one is quick."""

import hashlib
import json
from collections.abc import Sequence
from pathlib import Path
from typing import IO

from proguard_core.evaluation.answers import Answer, as_json, from_json
from proguard_core.evaluation.rows import Row
from proguard_core.evaluation.withholding import main
from proguard_core.policy.policy import SEXUAL
from proguard_core.questions import SeenImage
from schemas.common import Reason

_NAME_CHARACTERS = 150
_RETRIED = frozenset({Reason.GUARD_FAILED, Reason.GUARD_TIMEOUT, Reason.GUARD_CRASHED})


def content_key(row: Row, shown: Sequence[str]) -> str:
    """SHA-256 of what the guard is shown: request, response, and what was made of the pictures (`seen`)."""
    hashed = hashlib.sha256()
    for part in (row.request, row.response, *shown):
        data = b"" if part is None else part.encode("utf-8", "surrogatepass")
        # With its length, so that no two rows make the same sequence of bytes.
        hashed.update(f"{-1 if part is None else len(data)}:".encode() + data)
    return hashed.hexdigest()


def seen(images: Sequence[SeenImage], max_text_bytes: int) -> list[str]:
    """What is shown beside the words: of each picture its digests, or why it was not looked at, and the cap on text."""
    made = [f"{max_text_bytes} bytes"]
    for image in images:
        made.append(f"{image.reason or 'whole'} {image.frames}")
        made += [picture.digest for picture in image.pictures]
    return made


def near_minors(row: Row, answer: Answer | None) -> bool:
    """Whether nothing of a row may be written down: its category or a guard's says so (law 11)."""
    return any(main(code) == SEXUAL for code in row.categories) or (answer is not None and answer.near_minors)


class JudgementCache:
    """One JSON Lines file a guard revision. A line holds the hash of a row's content and the answer, never content.

    What is near minors is not kept, and neither is a failure: both are asked again. A line that a crash cut off is
    skipped. Not for two processes at once on one folder.
    """

    def __init__(self, folder: Path, guard: str, revision: str) -> None:
        whole = f"{guard}-{revision}"
        safe = "".join(letter if letter.isalnum() or letter in "-._" else "-" for letter in whole)
        if len(safe) > _NAME_CHARACTERS:  # the revision stands last: cut off, two would share a file
            safe = f"{safe[:_NAME_CHARACTERS]}-{hashlib.sha256(whole.encode()).hexdigest()[:24]}"
        self._path = folder / f"{safe}.jsonl"
        self._answers = self._read()
        self._file: IO[str] | None = None

    def __len__(self) -> int:
        """Answers known."""
        return len(self._answers)

    def get(self, key: str) -> Answer | None:
        """The answer to a content, if it is known."""
        return self._answers.get(key)

    def put(self, key: str, row: Row, answer: Answer) -> None:
        """Remember an answer, durably once the next flush is done."""
        if near_minors(row, answer) or answer.reason in _RETRIED:
            return
        self._answers[key] = answer
        if self._file is None:
            self._path.parent.mkdir(parents=True, exist_ok=True)
            torn = self._path.exists() and self._path.stat().st_size > 0 and not self._path.read_bytes().endswith(b"\n")
            self._file = self._path.open("a", encoding="utf-8")
            if torn:
                self._file.write("\n")
        self._file.write(json.dumps({"key": key, **as_json(answer)}, ensure_ascii=False) + "\n")

    def flush(self) -> None:
        """Hand what was put to the operating system."""
        if self._file is not None:
            self._file.flush()

    def close(self) -> None:
        """Idempotent."""
        if self._file is not None:
            self._file.close()
            self._file = None

    def _read(self) -> dict[str, Answer]:
        if not self._path.exists():
            return {}
        found = {}
        with self._path.open(encoding="utf-8", errors="replace") as lines:
            for line in lines:
                try:
                    said = json.loads(line)
                    key = str(said.pop("key"))
                    found[key] = from_json(said)
                except (ValueError, KeyError, TypeError, AttributeError):
                    continue
        return found
