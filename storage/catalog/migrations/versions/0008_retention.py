"""How long a collection keeps its events."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0008"
down_revision = "0007"


def upgrade() -> None:
    op.add_column("collections", sa.Column("retention_days", sa.Integer))
