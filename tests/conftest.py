"""Shared by all tests: fixtures, marks that follow from where a test lies and what it uses, CI's rule about skips."""

import os
from pathlib import Path

import pytest

pytest_plugins = ["tests.support.fixtures"]

_TESTS = Path(__file__).parent
_TIERS = ("unit", "integration", "engines")
_KAFKA_FIXTURES = {"kafka", "kafka_three", "kafka_secure"}
_skipped_in_ci: list[str] = []


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """A test's tier is its folder; its servers are its fixtures. Nobody has to remember a mark."""
    for item in items:
        tier = next((name for name in _TIERS if item.path.is_relative_to(_TESTS / name)), None)
        if tier is not None:
            item.add_marker(tier)
        used = set(getattr(item, "fixturenames", ()))
        if used & _KAFKA_FIXTURES:
            item.add_marker("kafka")
        if "s3" in used:
            item.add_marker("s3")


def _note_skip(report: pytest.TestReport | pytest.CollectReport) -> None:
    expected = hasattr(report, "wasxfail") or "nightly" in getattr(report, "keywords", {})
    if os.environ.get("CI") == "true" and report.skipped and not expected:
        _skipped_in_ci.append(report.nodeid)


def pytest_runtest_logreport(report: pytest.TestReport) -> None:
    """A skipped test in CI is a missing environment, and that must not look like success."""
    _note_skip(report)


def pytest_collectreport(report: pytest.CollectReport) -> None:
    """The same for a module that skips itself."""
    _note_skip(report)


@pytest.hookimpl(trylast=True)
def pytest_sessionfinish(session: pytest.Session) -> None:
    """Let the run fail for the skips noted."""
    if _skipped_in_ci and session.exitstatus == pytest.ExitCode.OK:
        session.exitstatus = pytest.ExitCode.TESTS_FAILED


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """Name what made the run fail."""
    for nodeid in _skipped_in_ci:
        terminalreporter.write_line(f"SKIPPED IN CI, which fails the run: {nodeid}", red=True)
