"""The store on SQLite and on PostgreSQL: what is written once is there once, and errors lose nothing."""

import random
import time
from collections import Counter
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from alembic.autogenerate import compare_metadata
from alembic.runtime.migration import MigrationContext
from sqlalchemy import event, select, text
from sqlalchemy.orm import Session

from schemas.risk import Risk
from tests.support.risks import NOW, hit, new_risk, unit
from worker.console.store import Store, StoreReadOnlyError, StoreVersionError, arrivals, erasing, migrate, reading
from worker.console.store.arrivals import Arrivals, NewRisk, Place, VerdictKey
from worker.console.store.engine import open_engine
from worker.console.store.erasing import Tombstone
from worker.console.store.models import Base, ClusterRow, RiskRow
from worker.console.store.search import RiskFilter, search
from worker.errors import FencedError

HITS = Place("moderation.retraining", 0)
KEY = VerdictKey("2026-11-26T08", "r1", "text", "safe", "none", "safe")


def taken(*risks: NewRisk, at: tuple[int, int] = (0, 1), tombstones: tuple[Tombstone, ...] = ()) -> Arrivals:
    seen = {"r1": ("guard", NOW - timedelta(days=1), NOW)}
    by_id = {each.risk.risk_id: each for each in risks}
    return Arrivals(by_id, Counter({KEY: 3}), [], seen, list(tombstones), {HITS: at})


def take(store: Store, what: Arrivals) -> None:
    with store.writing() as session:
        arrivals.take(session, what)


def cluster(cluster_id: str) -> ClusterRow:
    return ClusterRow(
        id=cluster_id, name="n", centroid=unit(1), words=[], created_at=NOW, first_seen=NOW, last_seen=NOW
    )


def ids(store: Store) -> list[str]:
    with store.reading() as session:
        return list(session.scalars(select(RiskRow.post_id).order_by(RiskRow.id)))


def test_the_tables_are_those_of_the_models(store: Store) -> None:
    with store.engine.connect() as connection:
        context = MigrationContext.configure(connection, opts={"compare_type": False})
        found = compare_metadata(context, Base.metadata)
    own = [each for each in found if "risks_words" not in str(each) and "risks_text" not in str(each)]
    assert [each for each in own if not (isinstance(each, tuple) and "words" in str(each[-1]))] == []


def test_rows_and_offsets_are_one_transaction(store: Store) -> None:
    take(store, taken(new_risk(1), at=(0, 1)))
    with pytest.raises(FencedError, match="another mining process"):
        take(store, taken(new_risk(2), at=(0, 2)))
    assert ids(store) == ["post-1"]
    take(store, taken(new_risk(2), at=(1, 2)))
    with store.reading() as session:
        assert arrivals.offsets_of(session, [HITS.topic]) == {HITS: 2}
        counted = reading.rates(session, reading.RateFilter(NOW - timedelta(days=1), NOW, parts=("outcome",)))
    assert counted == {("safe",): 6}


def test_a_risk_and_its_hit_are_one_row_whichever_comes_first(store: Store) -> None:
    whole = new_risk(1)
    fields = Risk.model_fields
    bare = NewRisk(Risk.model_validate({name: getattr(whole.risk, name) for name in fields}))
    take(store, taken(bare, at=(0, 1)))
    take(store, taken(whole, at=(1, 2)))
    take(store, taken(bare, at=(2, 3)))
    with store.reading() as session:
        (row,) = session.scalars(select(RiskRow)).all()
        assert row.text == "text of post 1"
        assert row.author_id == "author-1"
        assert row.embedding is not None
        assert float(row.embedding @ unit(1)) == pytest.approx(1, abs=2e-3)
        assert row.observed_at == whole.risk.observed_at


def test_strange_texts_are_kept_as_far_as_a_database_can(store: Store) -> None:
    take(store, taken(new_risk(1, text="nul \x00 and 🙂", rationale="<script>\x00", name="’; DROP TABLE risks; --")))
    with store.reading() as session:
        row = reading.risk_of_post(session, "post-1")
        assert row is not None
        assert row.text == "nul \ufffd and 🙂"
        assert row.name == "’; DROP TABLE risks; --"


def test_what_is_near_to_minors_is_not_written(store: Store) -> None:
    take(store, taken(new_risk(1, nearest="C11S1"), new_risk(2, nearest="C11"), new_risk(3, nearest="C3")))
    assert ids(store) == ["post-3"]


def test_a_tombstone_erases_what_was_before_it_and_nothing_later(store: Store) -> None:
    take(store, taken(new_risk(1, observed_at=NOW), new_risk(2), at=(0, 2)))
    take(store, taken(tombstones=(Tombstone("post-1", NOW),), at=(2, 3)))
    assert ids(store) == ["post-2"]
    with store.reading() as session:
        assert erasing.was_erased(session, "post-1")
        assert not erasing.was_erased(session, "post-2")
    # The same hit, read late from another topic, stays out; a new one under that id is another life.
    take(store, taken(new_risk(1, observed_at=NOW), at=(3, 4)))
    assert ids(store) == ["post-2"]
    take(store, taken(new_risk(7, post_id="post-1", observed_at=NOW + timedelta(hours=1)), at=(4, 5)))
    assert ids(store) == ["post-2", "post-1"]


def test_an_edited_post_has_one_risk(store: Store) -> None:
    take(store, taken(new_risk(1, post_id="p", observed_at=NOW), at=(0, 1)))
    take(store, taken(new_risk(2, post_id="p", observed_at=NOW + timedelta(minutes=1)), at=(1, 2)))
    with store.reading() as session:
        assert [row.risk_id for row in session.scalars(select(RiskRow))] == ["moderation.posts-0-2"]


def test_an_author_is_erased_and_age_forgets(store: Store) -> None:
    old = new_risk(3, observed_at=NOW - timedelta(days=100))
    take(store, taken(new_risk(1, author_id="ann"), new_risk(2), old))
    with store.writing() as session:
        assert erasing.erase_author(session, "ann", "admin", NOW).risks == 1
        assert erasing.sweep(session, NOW, 90).risks == 1
    assert ids(store) == ["post-2"]
    with store.reading() as session:
        assert search(session, "ticket").risks.total == 1


@pytest.mark.parametrize("query", ["ticket", "TICK", "price tic", "offers tickets", '"ticket" OR ('])
def test_search_finds_names_and_rationales(store: Store, query: str) -> None:
    other = new_risk(2, name="Organ trade", rationale="A kidney is for sale.")
    take(store, taken(new_risk(1), other))
    with store.reading() as session:
        found = search(session, query)
        expected = [] if " OR " in query else ["post-1"]
        assert [row.post_id for row in found.risks.rows] == expected
        assert search(session, "").risks.total == 2
        assert search(session, "kidney", RiskFilter(modality="text")).risks.total == 1
        assert search(session, "kidney", RiskFilter(modality="image")).risks.total == 0


@pytest.mark.parametrize(
    ("name", "queries"),
    [
        ("Straßenhandel mit Pillen", ("Straßenhandel", "straßen")),
        ("Ärzte ohne Zulassung", ("Ärzte", "ärzte")),
        ("ЗАКЛАДКИ наркотиков", ("Закладки", "закладки")),
        ("İlaç satışı", ("İlaç", "İlaç satışı")),
        ("Λόγος μίσους", ("Λόγος", "ΛΌΓΟΣ")),
        ("under_score", ("under_score", "under_s")),
    ],
)
def test_letters_of_any_script_are_found_in_risks_and_clusters(
    store: Store, name: str, queries: tuple[str, ...]
) -> None:
    with store.writing() as session:
        times = {"created_at": NOW, "first_seen": NOW, "last_seen": NOW}
        session.add_all(
            ClusterRow(id=each, name=called, centroid=unit(1), **times)
            for each, called in (("R1", name), ("R2", "underXscore"))
        )
    take(store, taken(new_risk(1, name=name), new_risk(2)))
    with store.reading() as session:
        for query in queries:
            found = search(session, query)
            assert [row.post_id for row in found.risks.rows] == ["post-1"], query
            assert [row.id for row in found.clusters] == ["R1"], query


def test_a_word_that_most_risks_have_is_found_as_any_other(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    take(store, taken(*(new_risk(at, name="Ticket touting" if at % 4 else "Organ trade") for at in range(200))))
    asked = [
        (None, 0),
        (None, 140),
        (RiskFilter(since=NOW - timedelta(hours=30)), 5),
        (RiskFilter(modality="image"), 0),
    ]

    def found() -> list[tuple[int, list[str]]]:
        with store.reading() as session:
            pages = [search(session, "touting", wanted, offset, 20).risks for wanted, offset in asked]
        return [(page.total, [row.post_id for row in page.rows]) for page in pages]

    few = found()
    monkeypatch.setattr("worker.console.store.search._MANY", 1)
    assert found() == few
    assert [(total, len(rows)) for total, rows in few] == [(150, 20), (150, 10), (few[2][0], 20), (0, 0)]
    assert 0 < few[2][0] < 150


def test_a_store_without_tables_or_of_another_code_names_the_command(store_url: str) -> None:
    with pytest.raises(StoreVersionError, match="proguard console migrate"):
        Store(store_url)
    store = Store(store_url, create=True)
    for version, said in (("0000", "newer than this code"), (None, "older|no tables")):
        with store.engine.begin() as connection:
            if version is None:
                connection.exec_driver_sql("DELETE FROM alembic_version")
            else:
                connection.exec_driver_sql(f"UPDATE alembic_version SET version_num = '{version}'")
        with pytest.raises(StoreVersionError, match=said):
            Store(store_url)
    store.close()


def test_a_store_of_an_earlier_release_is_told_and_migrated_with_what_is_in_it(store_url: str) -> None:
    engine = open_engine(store_url)
    migrate.upgrade(engine, "0001")
    with Session(engine.execution_options(proguard_writes=True)) as session, session.begin():
        arrivals.take(session, taken(new_risk(1)))
    with pytest.raises(StoreVersionError, match=r"\(0001\) is older than this code .*proguard console migrate"):
        Store(store_url, create=True)
    migrate.upgrade(engine)
    migrate.upgrade(engine)
    engine.dispose()
    store = Store(store_url)
    test_the_tables_are_those_of_the_models(store)
    assert ids(store) == ["post-1"]
    store.close()


def _vacuum(store: Store) -> None:
    """As autovacuum does in time: an index answers alone only where every page is known to be visible to all.

    VACUUM knows of what is on the disk, and leaves pages out that are younger than anyone's snapshot: autovacuum
    may be counting another table of this database just then.
    """
    seen = text("SELECT relpages = relallvisible FROM pg_class WHERE relname = 'risks'")
    with store.engine.connect().execution_options(isolation_level="AUTOCOMMIT") as autocommit:
        autocommit.execute(text("CHECKPOINT"))
        for _ in range(120):
            autocommit.execute(text("VACUUM ANALYZE risks"))
            if autocommit.execute(seen).scalar_one():
                return
            time.sleep(0.5)
    raise AssertionError("a snapshot has been held for a minute")


def test_a_clusters_page_counts_without_reading_its_members(store: Store) -> None:
    with store.writing() as session:
        session.add_all([cluster("R1"), cluster("R2")])
        session.flush()
        arrivals.take(session, taken(*(new_risk(at, "R2" if at % 5 else "R1") for at in range(1000))))
    if not store.is_sqlite:
        _vacuum(store)
    asked: list[tuple[str, Any]] = []
    with store.reading() as session:
        connection = session.connection()
        event.listen(connection, "before_cursor_execute", lambda *told: asked.append((told[2], told[3])))
        assert reading.spread(session, "R1").names == {"Ticket touting": 200}
        explain = "EXPLAIN QUERY PLAN" if store.is_sqlite else "EXPLAIN"
        plans = [str(connection.exec_driver_sql(f"{explain} {sql}", given).all()) for sql, given in list(asked)]
    assert len(plans) == 3
    assert all("COVERING INDEX" in plan or "Index Only Scan" in plan for plan in plans), plans


def test_the_longest_fields_fit_the_indexes(store: Store) -> None:
    """PostgreSQL takes at most 2,704 bytes into an entry: what cannot be compressed, of four bytes a character."""
    drawn = random.Random(1)
    name, author, revision = (
        "".join(chr(drawn.randrange(0x20000, 0x2A000)) for _ in range(length)) for length in (120, 512, 512)
    )
    longest = new_risk(1, name=name, author_id=author, revision=revision)
    with store.writing() as session:
        session.add(cluster("R" + "9" * 63))
        session.flush()
        longest.cluster_id, longest.similarity = "R" + "9" * 63, 0.9
        arrivals.take(session, taken(longest))
    with store.reading() as session:
        assert reading.spread(session, "R" + "9" * 63).names == {name: 1}


def test_a_store_that_cannot_be_written_says_so_and_loses_nothing(postgres: object, tmp_path: Path) -> None:
    path = tmp_path / "risks.db"
    store = Store(f"sqlite:///{path}", create=True)
    take(store, taken(new_risk(1), at=(0, 1)))
    store.close()
    closed = Store(f"sqlite:///file:{path}?mode=ro&uri=true")
    with pytest.raises(StoreReadOnlyError, match="nothing is lost"):
        take(closed, taken(new_risk(2), at=(1, 2)))
    assert ids(closed) == ["post-1"]
    closed.close()
    reopened = Store(f"sqlite:///{path}")
    take(reopened, taken(NewRisk(hit(2)), at=(1, 2)))
    assert ids(reopened) == ["post-1", "post-2"]
    reopened.close()
