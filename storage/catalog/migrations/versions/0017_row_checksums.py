"""A checksum for every row that answers depend on. What is entered of the rows that are there follows once
all migrations are done (``storage.catalog.database.checksums.install``)."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0017"
down_revision = "0016"


def upgrade() -> None:
    op.create_table(
        "row_checksums",
        sa.Column("of", sa.Text, primary_key=True),
        sa.Column("row_key", sa.Text, primary_key=True),
        sa.Column("checksum", sa.BigInteger, nullable=False),
        sqlite_with_rowid=False,
    )
