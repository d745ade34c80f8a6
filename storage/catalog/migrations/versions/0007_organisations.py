"""What the organisation API keeps of a project, and when one was deleted."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0007"
down_revision = "0006"


def upgrade() -> None:
    op.add_column("projects", sa.Column("users", sa.Text, nullable=False, server_default="[]"))
    op.add_column("projects", sa.Column("preferences", sa.Text, nullable=False, server_default="{}"))
    op.add_column("projects", sa.Column("deleted_us", sa.BigInteger))
    op.add_column("projects", sa.Column("purged_us", sa.BigInteger))
