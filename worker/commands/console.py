"""`proguard console mine` and `proguard console migrate`."""

from confluent_kafka import KafkaException

from worker.console.store import migrate as tables
from worker.console.store.engine import explained, open_engine
from worker.errors import WorkerError
from worker.moderation.run import Stop
from worker.settings import Settings
from worker.topics import text_of


def mine(settings: Settings) -> int:
    """Mine until SIGTERM or Ctrl-C. Raises WorkerError and its kinds."""
    from worker.console.mining import run

    stop = Stop()
    stop.install()
    try:
        return run.run(settings, stop)
    except KafkaException as error:
        raise WorkerError(f"the broker does not answer: {text_of(error)}") from None


def migrate(settings: Settings) -> int:
    """Bring the tables up to date; what was done is said. Raises StoreError, ConfigurationError."""
    engine = open_engine(settings.console.url)
    try:
        with explained(engine):
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
