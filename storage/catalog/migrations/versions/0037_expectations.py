"""What the expectations of pipelines found, the rows that they set aside, and those that were accepted."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0037"
down_revision = "0036"


def upgrade() -> None:
    # Alembic would add the column without its reference.
    op.execute("ALTER TABLE pipelines ADD COLUMN quarantine_id INTEGER REFERENCES collections (id)")
    op.add_column(
        "pipeline_buckets", sa.Column("quarantined", sa.BigInteger, nullable=False, server_default="0")
    )
    op.add_column("pipeline_buckets", sa.Column("report", sa.Text))
    op.create_table(
        "pipeline_accepted",
        sa.Column("pipeline_id", sa.Integer, sa.ForeignKey("pipelines.id"), primary_key=True),
        sa.Column("digest", sa.Text, primary_key=True),
        sa.Column("accepted_us", sa.BigInteger, nullable=False),
    )
