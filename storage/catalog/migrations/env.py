"""Run by alembic: migrates over the connection that storage.catalog.migration hands it."""

from __future__ import annotations

from alembic import context

connection = context.config.attributes["connection"]
# SQLite can roll DDL back, once the driver's own transactions are off: a migration is all or nothing.
context.configure(connection=connection, transactional_ddl=True)
with context.begin_transaction():
    context.run_migrations()
