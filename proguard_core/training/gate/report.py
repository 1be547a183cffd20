"""What a gate found, one line a question, for machines and for people. Quotes no content."""

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum

FORMAT = 1
JSON_FILE, TEXT_FILE = "gate.json", "gate.md"


class Status(StrEnum):
    """Of one question."""

    PASSED = "passed"
    FAILED = "failed"
    NOT_JUDGED = "not judged"


class Outcome(StrEnum):
    """Of the whole. needs human: nothing failed, but something could not be judged, or a person must sign anyway."""

    PASSED = "passed"
    FAILED = "failed"
    NEEDS_HUMAN = "needs human"


@dataclass(frozen=True, slots=True)
class Finding:
    """check: the kind of question; subject: of what; said: the answer in words; figures: what it rests on."""

    check: str
    subject: str
    status: Status
    said: str
    figures: Mapping[str, object] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Report:
    """facts: who was compared, on how many rows, with what settings. sign_off: a person must sign in any case."""

    facts: Mapping[str, object]
    findings: Sequence[Finding]
    sign_off: bool = False

    @property
    def outcome(self) -> Outcome:
        """One question that failed is enough; a report without any question passes nobody."""
        statuses = {finding.status for finding in self.findings}
        if Status.FAILED in statuses or not statuses:
            return Outcome.FAILED
        return Outcome.NEEDS_HUMAN if self.sign_off or Status.NOT_JUDGED in statuses else Outcome.PASSED

    @property
    def reasons(self) -> list[str]:
        """Why it is not simply passed; empty where it is."""
        wanted = Status.FAILED if self.outcome is Outcome.FAILED else Status.NOT_JUDGED
        found = [f"{each.subject}: {each.said}" for each in self.findings if each.status is wanted]
        if self.sign_off and self.outcome is Outcome.NEEDS_HUMAN:
            found.append("the settings ask for a person's signature")
        return found or ([] if self.findings else ["nothing was asked"])

    def as_json(self) -> str:
        """The same text for the same report."""
        said = {
            "format": FORMAT,
            "outcome": self.outcome,
            "reasons": self.reasons,
            "sign_off": self.sign_off,
            **self.facts,
            "findings": [
                {"check": each.check, "subject": each.subject, "status": each.status, "said": each.said, **each.figures}
                for each in self.findings
            ],
        }
        return json.dumps(said, indent=2, ensure_ascii=False) + "\n"

    @property
    def digest(self) -> str:
        """SHA-256 of the JSON: what people sign."""
        return hashlib.sha256(self.as_json().encode()).hexdigest()

    def as_markdown(self) -> str:
        """For people."""
        lines = [f"# Gate: {self.outcome}", ""]
        lines += [f"- {reason}" for reason in self.reasons] or ["- Every question was passed."]
        lines += ["", "## What was compared", ""]
        lines += [f"- {key.replace('_', ' ')}: {_plain(value)}" for key, value in self.facts.items()]
        lines += ["", "## Questions", "", "| question | of | | found |", "| --- | --- | --- | --- |"]
        lines += [
            f"| {each.check} | {_cell(each.subject)} | {each.status} | {_cell(each.said)} |" for each in self.findings
        ]
        use = "To sign this report, name its digest" if self.outcome is Outcome.NEEDS_HUMAN else "Digest of this report"
        return "\n".join([*lines, "", f"{use}: `{self.digest}`"]) + "\n"


def _plain(value: object) -> str:
    if isinstance(value, Mapping):
        return _cell(", ".join(f"{key} {_plain(each)}" for key, each in value.items()))
    if isinstance(value, list | tuple):
        return ", ".join(map(_plain, value))
    return _cell(str(value))


def _cell(text: str) -> str:
    """Names that people confirmed stand in here: no markup of theirs."""
    kept = "".join(letter if letter.isprintable() else " " for letter in text)
    return kept.replace("\\", "\\\\").replace("|", "\\|").replace("<", "&lt;").replace("`", "'")
