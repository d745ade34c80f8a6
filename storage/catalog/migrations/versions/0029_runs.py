"""The queue of runs, their limits, and what they used."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0029"
down_revision = "0028"


def upgrade() -> None:
    op.add_column("state", sa.Column("runs_version", sa.BigInteger, nullable=False, server_default="0"))
    op.create_table(
        "runs",
        sa.Column("number", sa.Integer, primary_key=True),
        sa.Column("id", sa.Text, nullable=False, unique=True),
        sa.Column("project_id", sa.Text, sa.ForeignKey("projects.id"), nullable=False),
        sa.Column("pool", sa.Text, nullable=False),
        sa.Column("pipeline", sa.Text, nullable=False),
        sa.Column("target", sa.Text, nullable=False),
        sa.Column("cause", sa.Text, nullable=False),
        sa.Column("priority", sa.Integer, nullable=False),
        sa.Column("state", sa.Text, nullable=False),
        sa.Column("asked", sa.Integer, nullable=False),
        sa.Column("attempts", sa.Integer, nullable=False),
        sa.Column("turn_us", sa.BigInteger, nullable=False),
        sa.Column("rank_us", sa.BigInteger, nullable=False),
        sa.Column("due_us", sa.BigInteger, nullable=False),
        sa.Column("created_us", sa.BigInteger, nullable=False),
        sa.Column("started_us", sa.BigInteger),
        sa.Column("ended_us", sa.BigInteger),
        sa.Column("claim", sa.Text),
        sa.Column("cancelling", sa.Boolean, nullable=False),
        sa.Column("message", sa.Text),
        sa.Column("cpu_us", sa.BigInteger, nullable=False),
        sa.Column("bytes", sa.BigInteger, nullable=False),
        sa.Column("detail", sa.Text, nullable=False),
        sa.Column("replays", sa.Text),
        sqlite_autoincrement=True,
    )
    waiting = sa.text("state = 'waiting'")
    target = ["project_id", "pipeline", "target"]
    op.create_index("runs_waiting", "runs", target, unique=True, sqlite_where=waiting)
    op.create_index("runs_by_rank", "runs", ["state", "rank_us"])
    op.create_index("runs_by_turn", "runs", ["state", "project_id", "pool", "priority", "turn_us"])
    op.create_index("runs_by_project", "runs", ["project_id", "number"])
    op.create_index("runs_by_pipeline", "runs", ["project_id", "pipeline", "number"])
    op.create_table(
        "run_limits",
        sa.Column("scope", sa.Text, primary_key=True),
        sa.Column("project_id", sa.Text, primary_key=True),
        sa.Column("name", sa.Text, primary_key=True),
        sa.Column("concurrency", sa.Integer),
        sa.Column("cpu_us_per_day", sa.BigInteger),
        sa.Column("bytes_per_day", sa.BigInteger),
        sa.Column("priority", sa.Integer, nullable=False),
    )
    op.create_table(
        "run_usage",
        sa.Column("day", sa.Integer, primary_key=True),
        sa.Column("pool", sa.Text, primary_key=True),
        sa.Column("project_id", sa.Text, primary_key=True),
        sa.Column("pipeline", sa.Text, primary_key=True),
        sa.Column("cpu_us", sa.BigInteger, nullable=False),
        sa.Column("bytes", sa.BigInteger, nullable=False),
        sa.Column("runs", sa.BigInteger, nullable=False),
    )
