"""Full text of risks: names and rationales. SQLite: an FTS5 table kept by triggers; PostgreSQL: a generated column."""

import sqlite3

import sqlalchemy as sa

_SECURE_DELETE_SINCE = (3, 42, 0)
_SQLITE = (
    """CREATE VIRTUAL TABLE risks_text USING fts5(
        name, rationale, content='risks', content_rowid='id', tokenize='unicode61 remove_diacritics 2')""",
    """CREATE TRIGGER risks_text_insert AFTER INSERT ON risks BEGIN
        INSERT INTO risks_text(rowid, name, rationale) VALUES (new.id, new.name, new.rationale);
    END""",
    """CREATE TRIGGER risks_text_delete AFTER DELETE ON risks BEGIN
        INSERT INTO risks_text(risks_text, rowid, name, rationale) VALUES ('delete', old.id, old.name, old.rationale);
    END""",
    """CREATE TRIGGER risks_text_update AFTER UPDATE OF name, rationale ON risks BEGIN
        INSERT INTO risks_text(risks_text, rowid, name, rationale) VALUES ('delete', old.id, old.name, old.rationale);
        INSERT INTO risks_text(rowid, name, rationale) VALUES (new.id, new.name, new.rationale);
    END""",
)
_POSTGRESQL = (
    """ALTER TABLE risks ADD COLUMN words tsvector GENERATED ALWAYS AS (
        to_tsvector('simple', left(name || ' ' || rationale, 8192))) STORED""",
    "CREATE INDEX risks_words ON risks USING gin (words)",
)


def create(connection: sa.Connection) -> None:
    """Make it for the risks table that is there."""
    for statement in _SQLITE if connection.dialect.name == "sqlite" else _POSTGRESQL:
        connection.exec_driver_sql(statement)
    if connection.dialect.name == "sqlite" and sqlite3.sqlite_version_info >= _SECURE_DELETE_SINCE:
        # Else an erased risk's words stay in the index until `erasing.sweep` merges it.
        connection.exec_driver_sql("INSERT INTO risks_text(risks_text, rank) VALUES ('secure-delete', 1)")
