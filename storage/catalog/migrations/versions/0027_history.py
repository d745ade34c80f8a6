"""The data versions from and to which a file holds the events, and when each version was made."""

from __future__ import annotations

import time

import sqlalchemy as sa
from alembic import op

revision = "0027"
down_revision = "0026"


def upgrade() -> None:
    op.add_column("collections", sa.Column("history_from", sa.BigInteger, nullable=False, server_default="0"))
    op.add_column("files", sa.Column("added_version", sa.BigInteger, nullable=False, server_default="0"))
    op.add_column("files", sa.Column("removed_version", sa.BigInteger))
    op.add_column("files", sa.Column("flushed", sa.Boolean, nullable=False, server_default="0"))
    op.add_column("files", sa.Column("arrived_us", sa.BigInteger))
    op.add_column("files", sa.Column("outdated", sa.Boolean, nullable=False, server_default="0"))
    op.create_table(
        "moments",
        sa.Column("version", sa.BigInteger, primary_key=True, autoincrement=False),
        sa.Column("at_us", sa.BigInteger, nullable=False),
        sa.Column("ends", sa.Text),
    )
    op.create_index("moments_by_time", "moments", ["at_us"])
    op.create_table(
        "erased_spans",
        sa.Column("id", sa.Integer, primary_key=True),
        sa.Column("collection_id", sa.Integer, sa.ForeignKey("collections.id"), nullable=False),
        sa.Column("version", sa.BigInteger, nullable=False),
        sa.Column("min_us", sa.BigInteger, nullable=False),
        sa.Column("max_us", sa.BigInteger, nullable=False),
        sa.Column("events", sa.BigInteger, nullable=False),
        sa.Column("at_us", sa.BigInteger, nullable=False),
        sqlite_autoincrement=True,
    )
    op.create_index("erased_spans_by_collection", "erased_spans", ["collection_id", "version"])
    # Nothing is known of what a store with files was before: its history begins now.
    begins = sa.text(
        "INSERT INTO moments (version, at_us) SELECT data_version, "
        "CASE WHEN EXISTS (SELECT 1 FROM files) THEN :now ELSE 0 END FROM state"
    )
    op.execute(begins.bindparams(now=time.time_ns() // 1000))
