"""What was not checked never looks like a clean bill."""

import json

from scripts.audit_report import EXIT_KNOWN, EXIT_NOT_CHECKED, summary

CLEAN = {"name": "a", "version": "1", "vulns": []}
KNOWN = {"name": "b", "version": "2", "vulns": [{"id": "PYSEC-1", "fix_versions": ["2.1"]}]}
SKIPPED = {"name": "c", "skip_reason": "not found"}


def report(*packages: object) -> str:
    return json.dumps({"dependencies": packages, "fixes": []})


def test_clean() -> None:
    assert summary("x.lock", report(CLEAN)) == (0, ["x.lock: no known vulnerability in 1 packages"])


def test_known_ones_are_listed() -> None:
    code, lines = summary("x.lock", report(CLEAN, KNOWN))
    assert code == EXIT_KNOWN
    assert lines[1] == "  b 2: PYSEC-1, mended in 2.1"


def test_no_answer_and_half_an_answer_are_not_checked() -> None:
    assert summary("x.lock", "")[0] == EXIT_NOT_CHECKED
    assert summary("x.lock", report())[0] == EXIT_NOT_CHECKED
    code, lines = summary("x.lock", report(CLEAN, KNOWN, SKIPPED))
    assert code == EXIT_NOT_CHECKED
    assert "1 of 3" in lines[0]
    assert "PYSEC-1" in lines[1]
