"""The policy page on both databases: two versions that really differ, compared line by line."""

import re
from datetime import timedelta
from html import unescape
from importlib import resources
from pathlib import Path

import pytest

from proguard_core.policy.loader import load_policy
from tests.support.console_pages import SCRIPT, Visitor, visiting
from tests.support.risks import NOW
from worker.console.store import Store, policy_versions

SHIPPED = resources.files("proguard_core.policy").joinpath("default.yaml").read_text(encoding="utf-8")
OLD_LINE, NEW_LINE = "      - Piracy of creative works", f'      - "{SCRIPT}"'


@pytest.fixture
def file(tmp_path: Path) -> Path:
    """A copy of the shipped policy, to be edited."""
    path = tmp_path / "policy.yaml"
    path.write_text(SHIPPED, encoding="utf-8")
    return path


def edit(file: Path) -> None:
    """Another synonym in place of one, and a stricter threshold."""
    changed = SHIPPED.replace(OLD_LINE, NEW_LINE, 1).replace("  threshold: 0.5", "  threshold: 0.4", 1)
    file.write_text(changed, encoding="utf-8")


def changes(visitor: Visitor, old: str, new: str) -> dict[str, list[str]]:
    """Lines of the page's diff by what the page calls them."""
    page = visitor.get(f"/policy?old={old}&new={new}").text
    (shown,) = re.findall(r'<pre class="diff".*?</pre>', page, re.DOTALL)
    found: dict[str, list[str]] = {"added": [], "removed": [], "same": []}
    for kind, line in re.findall(r'<span class="(\w+)">(.*?)</span>', shown, re.DOTALL):
        found[kind].append(unescape(line))
    return found


def test_two_versions_are_compared_line_by_line(store: Store, file: Path) -> None:
    old = load_policy(file).version
    with visiting(store, policy=file) as visitor:
        assert f"version {old}" in visitor.get("/policy").text
    edit(file)
    new = load_policy(file).version
    assert new != old
    with visiting(store, now=NOW + timedelta(days=1), policy=file) as visitor:
        page = visitor.get("/policy").text
        assert f"version {new}" in page
        assert page.index(f'value="{new}"') < page.index(f'value="{old}"')  # the latest first
        assert "2026-11-27" in page
        chosen = re.findall(r'<option value="(\w+)" selected>', page)
        assert chosen == [old], "from the version before, to the first of the list: the latest"
        shown = changes(visitor, old, new)
        assert shown["added"] == [f"+++ b/{new}", "+  threshold: 0.4", f"+{NEW_LINE}"]
        assert shown["removed"] == [f"--- a/{old}", "-  threshold: 0.5", f"-{OLD_LINE}"]
        assert " name: proguard-default" in shown["same"]
        back = changes(visitor, new, old)
        assert (back["added"][1:], back["removed"][1:]) == (
            ["+  threshold: 0.5", f"+{OLD_LINE}"],
            ["-  threshold: 0.4", f"-{NEW_LINE}"],
        )
        assert SCRIPT not in visitor.get(f"/policy?old={old}&new={new}").text
        assert "They are the same." in visitor.get(f"/policy?old={new}&new={new}").text
        assert "Version 0000 was never seen here." in visitor.get(f"/policy?old={old}&new=0000").text


def test_a_version_is_kept_as_it_was_first_seen(store: Store, file: Path) -> None:
    version = load_policy(file).version
    with visiting(store, policy=file) as visitor:
        visitor.get("/policy")
        file.write_text(f"# a comment means nothing\n{SHIPPED}", encoding="utf-8")
        visitor.get("/policy")
    with store.reading() as session:
        (known,) = policy_versions.versions(session)
        assert (known.version, known.seen_at) == (version, NOW.isoformat())
        assert policy_versions.text_of(session, version) == SHIPPED


def test_a_file_that_is_no_policy_is_said_and_older_versions_can_still_be_compared(store: Store, file: Path) -> None:
    old = load_policy(file).version
    with visiting(store, policy=file) as visitor:
        visitor.get("/policy")
        edit(file)
        new = load_policy(file).version
        visitor.get("/policy")
        file.write_text("categories: 7\n", encoding="utf-8")
        answer = visitor.get("/policy")
        assert answer.status_code == 200
        assert 'role="alert"' in answer.text
        assert f"+{NEW_LINE}" in changes(visitor, old, new)["added"]
