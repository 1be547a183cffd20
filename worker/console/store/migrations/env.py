"""What Alembic runs: on the connection of `migrate.upgrade`, whose transaction it joins."""

from alembic import context

from worker.console.store.models import Base

context.configure(
    connection=context.config.attributes["connection"], target_metadata=Base.metadata, transactional_ddl=False
)
context.run_migrations()
