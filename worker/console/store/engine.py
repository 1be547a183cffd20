"""Opens the store: SQLite or PostgreSQL behind one set of sessions, with errors that say what to do."""

import logging
import re
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from sqlalchemy import Connection, Engine, create_engine, event, text
from sqlalchemy.engine import make_url
from sqlalchemy.exc import ArgumentError, DBAPIError, NoSuchModuleError
from sqlalchemy.orm import Session

from worker.console.store import migrate
from worker.errors import EXIT_CONFIGURATION, ConfigurationError, WorkerError

log = logging.getLogger(__name__)

_BUSY_MS = 10_000
_WRITES = "proguard_writes"
_READ_ONLY = re.compile(r"readonly database|read-only transaction|unable to open database file", re.IGNORECASE)
_FULL = re.compile(r"database or disk is full|No space left on device|disk full", re.IGNORECASE)
_ALIEN = re.compile(r"file is not a database", re.IGNORECASE)
_BUSY = re.compile(r"database is locked|deadlock detected|could not serialize", re.IGNORECASE)


class StoreError(WorkerError):
    """The store cannot do what it was asked; nothing of the transaction is in it."""


class StoreAwayError(StoreError):
    """It does not answer, or is busy: trying again later helps."""


class StoreReadOnlyError(StoreError):
    """It cannot be written; reading goes on."""

    exit_code = EXIT_CONFIGURATION


class StoreFullError(StoreError):
    """No room is left; trying again helps once there is."""


class StoreVersionError(ConfigurationError):
    """Its tables are older or newer than the code."""


class Store:
    """A store whose tables are those of the code. For several threads, and for several processes at once.

    Raises StoreVersionError, StoreAwayError, ConfigurationError. create: make the tables where there are none at all.
    """

    def __init__(self, url: str, *, create: bool = False) -> None:
        self.engine = open_engine(url)
        with explained(self.engine):
            migrate.check(self.engine, create=create)
        self._writing = self.engine.execution_options(**{_WRITES: True})

    @property
    def is_sqlite(self) -> bool:
        """Whether it is a file of this machine."""
        return self.engine.dialect.name == "sqlite"

    @contextmanager
    def reading(self) -> Iterator[Session]:
        """A session that sees one state and writes nothing; its rows can be used afterwards. Raises StoreError."""
        with explained(), Session(self.engine, expire_on_commit=False, autoflush=False) as session:
            try:
                yield session
            finally:
                session.expunge_all()  # a rollback would make the rows forget what they hold
                session.rollback()

    @contextmanager
    def writing(self) -> Iterator[Session]:
        """One transaction: all of it is in the store afterwards, or, where anything is raised, nothing.

        SQLite has one writer at a time, which others wait for up to ten seconds. Raises StoreError.
        """
        with explained(), Session(self._writing, expire_on_commit=False) as session, session.begin():
            yield session

    def check_writable(self) -> None:
        """StoreReadOnlyError where nothing can be written; nothing is changed. Neither database says so before."""
        with self.writing() as session:
            session.execute(text("UPDATE alembic_version SET version_num = version_num"))

    def close(self) -> None:
        """Let go of all connections."""
        self.engine.dispose()


def open_engine(url: str) -> Engine:
    """Connections to the store, none made yet. ConfigurationError for an URL that is none, or of another database."""
    try:
        parsed = make_url(url)
        backend = parsed.get_backend_name()
        if backend == "postgresql" and parsed.drivername == "postgresql":
            parsed = parsed.set(drivername="postgresql+psycopg")
        if backend not in ("sqlite", "postgresql"):
            raise ConfigurationError(f"console.store_url_secret: {backend} is neither sqlite nor postgresql")
        if backend == "sqlite" and parsed.database and not parsed.database.startswith("file:"):
            _make_folder(Path(parsed.database).parent)
        engine = create_engine(parsed, pool_pre_ping=backend == "postgresql", future=True)
    except (ArgumentError, NoSuchModuleError) as error:
        raise ConfigurationError(
            "console.store_url_secret is not of the form postgresql+psycopg://user@host/risks or "
            f"sqlite:///FILE ({type(error).__name__})"
        ) from None
    except ModuleNotFoundError as error:
        raise ConfigurationError(
            f"{error.name} is missing: `.venv/bin/pip install -e '.[console]'`, or requirements/console.lock"
        ) from None
    except OSError as error:
        raise ConfigurationError(f"console.store_path: {error.filename}: {error.strerror}") from None
    if backend == "sqlite":
        event.listen(engine, "connect", _on_connect)
        event.listen(engine, "begin", _on_begin)
    return engine


def _make_folder(folder: Path) -> None:
    """Said, since a mistyped path would otherwise look like a store that has nothing in it."""
    if not folder.is_dir():
        folder.mkdir(parents=True, exist_ok=True)
        log.info("made the folder %s for the risk store", folder)


@contextmanager
def explained(opened: Engine | None = None) -> Iterator[None]:
    """The database's errors as StoreError, without the statement and its values, which may be content.

    opened: the store that is looked at for the first time; ConfigurationError where its file is none of SQLite's.
    """
    try:
        yield
    except DBAPIError as error:
        said = str(error.orig).strip().splitlines()
        if opened is not None and said and _ALIEN.search(said[0]):
            raise ConfigurationError(f"console.store_path: {opened.url.database} is no file of SQLite's") from None
        raise _explained(said[0] if said else type(error.orig).__name__, error) from None


def _explained(said: str, error: DBAPIError) -> Exception:
    if _FULL.search(said):
        return StoreFullError(f"the risk store is full, nothing was written and nothing is lost: {said}")
    if _READ_ONLY.search(said):
        return StoreReadOnlyError(f"the risk store cannot be written, nothing is lost: {said}")
    if _BUSY.search(said):
        return StoreAwayError(f"the risk store is busy, try again: {said}")
    if error.connection_invalidated or _is_away(error.orig):
        return StoreAwayError(f"the risk store does not answer: {said}")
    return StoreError(f"the risk store refused: {type(error.orig).__name__}")


def _is_away(error: BaseException | None) -> bool:
    """Whether PostgreSQL could not be reached, is starting or going down; SQLite's errors have no such class."""
    code = getattr(error, "sqlstate", "")
    return code is None or code[:2] in ("08", "57", "53")


def _on_connect(connection: Any, _record: object) -> None:
    """WAL: readers and the one writer do not wait for each other. Transactions are begun by `_on_begin`."""
    connection.isolation_level = None
    # Its own knows the letters of ASCII alone.
    connection.create_function("lower", 1, _lower, deterministic=True)
    cursor = connection.cursor()
    cursor.execute(f"PRAGMA busy_timeout={_BUSY_MS}")
    try:
        cursor.execute("PRAGMA journal_mode=WAL")
    except Exception as error:  # a read-only file stays as it is
        if not _READ_ONLY.search(str(error)):
            raise
    cursor.execute("PRAGMA synchronous=NORMAL")
    cursor.execute("PRAGMA foreign_keys=ON")
    cursor.execute("PRAGMA secure_delete=ON")  # what is erased leaves the file
    cursor.execute("PRAGMA cache_size=-65536")
    cursor.close()


def _lower(value: Any) -> Any:
    return value.lower() if isinstance(value, str) else value


def _on_begin(connection: Connection) -> None:
    writes = connection.get_execution_options().get(_WRITES, False)
    connection.exec_driver_sql("BEGIN IMMEDIATE" if writes else "BEGIN")
