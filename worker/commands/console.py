"""`proguard console migrate`."""

from worker.console.store import migrate as tables
from worker.console.store.engine import explained, open_engine
from worker.settings import Settings


def migrate(settings: Settings) -> int:
    """Bring the tables up to date; what was done is said. Raises StoreError, ConfigurationError."""
    engine = open_engine(settings.console.url)
    try:
        with explained():
            with engine.connect() as connection:
                before = tables.version_of(connection)
            tables.upgrade(engine)
            with engine.connect() as connection:
                after = tables.version_of(connection)
    finally:
        engine.dispose()
    print(
        f"the risk store is at {after}" + (", as before" if before == after else f", it was at {before or 'nothing'}")
    )
    return 0
