"""Extractions that become files: the jobs, and what was made of them."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0010"
down_revision = "0009"


def upgrade() -> None:
    op.create_table(
        "exports",
        sa.Column("number", sa.Integer, primary_key=True),
        sa.Column("id", sa.Text, nullable=False, unique=True),
        sa.Column("project_id", sa.Text, sa.ForeignKey("projects.id"), nullable=False),
        sa.Column("key_id", sa.Text, nullable=False),
        sa.Column("audience", sa.Text, nullable=False),
        sa.Column("collection", sa.Text, nullable=False),
        sa.Column("question", sa.Text, nullable=False),
        sa.Column("format", sa.Text, nullable=False),
        sa.Column("gzip", sa.Boolean, nullable=False),
        sa.Column("email", sa.Text),
        sa.Column("state", sa.Text, nullable=False),
        sa.Column("message", sa.Text),
        sa.Column("created_us", sa.BigInteger, nullable=False),
        sa.Column("started_us", sa.BigInteger),
        sa.Column("ended_us", sa.BigInteger),
        sa.Column("expires_us", sa.BigInteger),
        sa.Column("attempts", sa.Integer, nullable=False),
        sa.Column("claim", sa.Text),
        sa.Column("lease_us", sa.BigInteger),
        sa.Column("events", sa.BigInteger, nullable=False),
        sa.Column("total", sa.BigInteger),
        sa.Column("bytes", sa.BigInteger),
        sa.Column("file", sa.Text),
        sa.Column("generation", sa.Integer),
        sa.Column("erase_version", sa.Integer),
        sa.Column("mail_state", sa.Text),
        sa.Column("mail_attempts", sa.Integer, nullable=False),
        sa.Column("mail_us", sa.BigInteger),
        sa.Column("mail_message", sa.Text),
        sqlite_autoincrement=True,
    )
    op.create_index("exports_by_project", "exports", ["project_id", "number"])
    op.create_index("exports_by_state", "exports", ["state", "number"])
