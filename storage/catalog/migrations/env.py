"""Run by alembic: migrates over the connection that storage.catalog.migration passes to it."""

from __future__ import annotations

from alembic import context

connection = context.config.attributes["connection"]
# SQLite can roll back DDL once the driver's own transactions are off, so a migration is all or nothing.
context.configure(connection=connection, transactional_ddl=True)
with context.begin_transaction():
    context.run_migrations()
