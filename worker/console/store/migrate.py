"""Tables of the code and tables of a store: whether they are the same, and how the latter catch up.

Alembic's scripts lie in `migrations/`; they are part of the package.
"""

import logging
from pathlib import Path

from alembic import command
from alembic.config import Config
from alembic.runtime.migration import MigrationContext
from alembic.script import ScriptDirectory
from sqlalchemy import Connection, Engine, inspect

COMMAND = "proguard console migrate"
_FOLDER = Path(__file__).parent / "migrations"
# Of PostgreSQL's advisory locks: two processes that migrate at once do it one after the other.
_LOCK = 5_081_996_441
# One line each of its own plugins at every start otherwise.
logging.getLogger("alembic.runtime.plugins").setLevel(logging.WARNING)


def check(engine: Engine, *, create: bool) -> None:
    """Raises StoreVersionError where the tables are not the code's; an empty store gets them if create says so."""
    from worker.console.store.engine import StoreVersionError

    with engine.connect() as connection:
        found = version_of(connection)
        empty = found is None and not inspect(connection).get_table_names()
    if empty and create:
        upgrade(engine)
        return
    wanted = _scripts().get_current_head()
    if found == wanted:
        return
    if empty:
        raise StoreVersionError(f"the risk store has no tables yet: {COMMAND} makes them")
    if found is not None and found not in {script.revision for script in _scripts().walk_revisions()}:
        raise StoreVersionError(
            f"the risk store ({found}) is newer than this code ({wanted}): install the release that migrated it"
        )
    raise StoreVersionError(f"the risk store ({found}) is older than this code ({wanted}): run {COMMAND}")


def version_of(connection: Connection) -> str | None:
    """The migration that the store is at; None where it has none."""
    return MigrationContext.configure(connection).get_current_revision()


def upgrade(engine: Engine, to: str = "head") -> None:
    """Bring the tables to a migration, in one transaction."""
    config = Config()
    config.set_main_option("script_location", str(_FOLDER).replace("%", "%%"))
    with engine.execution_options(proguard_writes=True).begin() as connection:
        if engine.dialect.name == "postgresql":
            connection.exec_driver_sql(f"SELECT pg_advisory_xact_lock({_LOCK})")
        config.attributes["connection"] = connection
        command.upgrade(config, to)


def _scripts() -> ScriptDirectory:
    return ScriptDirectory(str(_FOLDER))
