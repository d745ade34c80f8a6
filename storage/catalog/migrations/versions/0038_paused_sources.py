"""Whether a source is paused."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0038"
down_revision = "0037"


def upgrade() -> None:
    op.add_column("sources", sa.Column("paused", sa.Boolean, nullable=False, server_default="0"))
