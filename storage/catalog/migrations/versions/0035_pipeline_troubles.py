"""Deadlines that pipelines missed, and since when their buckets wait."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0035"
down_revision = "0034"


def upgrade() -> None:
    op.create_table(
        "pipeline_waits",
        sa.Column("pipeline_id", sa.Integer, sa.ForeignKey("pipelines.id"), primary_key=True),
        sa.Column("buckets", sa.Text, nullable=False),
    )
    op.create_table(
        "pipeline_troubles",
        sa.Column("number", sa.Integer, primary_key=True),
        sa.Column("pipeline_id", sa.Integer, sa.ForeignKey("pipelines.id"), nullable=False),
        sa.Column("kind", sa.Text, nullable=False),
        sa.Column("since_us", sa.BigInteger, nullable=False),
        sa.Column("bucket_us", sa.BigInteger, nullable=False),
        sa.Column("why", sa.Text, nullable=False),
        sa.Column("message", sa.Text, nullable=False),
        sa.Column("told_us", sa.BigInteger, nullable=False),
        sa.Column("ended_us", sa.BigInteger),
        sqlite_autoincrement=True,
    )
    op.create_index("pipeline_troubles_of", "pipeline_troubles", ["pipeline_id", "number"])
