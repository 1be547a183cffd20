"""Posts of the audit sample: where another post lies at the place that a verdict names, nobody sees it."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import orjson
import pytest
from sqlalchemy import select

from tests.support.console_pages import settings_of
from tests.support.risks import NOW
from worker.console.mining import audit_posts
from worker.console.mining.audit_posts import NO_POST, AuditPosts
from worker.console.store import Store
from worker.console.store.models import QueueRow, Stratum


class Record:
    """Of the posts topic."""

    def __init__(self, post_id: str) -> None:
        self._value = orjson.dumps({"post_id": post_id, "text": f"words of {post_id}"})

    def value(self) -> bytes:
        return self._value


@pytest.fixture
def store(tmp_path: Path) -> Iterator[Store]:
    """One post waits."""
    store = Store(f"sqlite:///{tmp_path / 'risks.db'}", create=True)
    facts: dict[str, Any] = {"stratum": Stratum.SAFE, "judged_at": NOW, "order_key": "0", "draw": 0.1, "revision": "r"}
    source = {"source_topic": "moderation.posts", "source_partition": 0, "source_offset": 7, "modality": "text"}
    with store.writing() as session:
        session.add(QueueRow(verdict_id="v1", post_id="alice-post", author_id="alice", **facts, **source))
    yield store
    store.close()


@pytest.mark.parametrize(
    ("there", "expected"), [("alice-post", ("words of alice-post", None)), ("bob-post", (None, NO_POST))]
)
def test_only_the_post_that_was_judged_is_shown(
    store: Store, monkeypatch: pytest.MonkeyPatch, there: str, expected: tuple[str | None, str | None]
) -> None:
    monkeypatch.setattr(audit_posts, "watermarks", lambda *_: (0, 100))
    monkeypatch.setattr(audit_posts, "read", lambda *_: iter([Record(there)]))
    posts = AuditPosts(settings_of(), store, lambda: NOW)
    assert posts.fetch() == 1
    posts.close()
    with store.reading() as session:
        row = session.scalars(select(QueueRow)).one()
    assert (row.text, row.missing) == expected
