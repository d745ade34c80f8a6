"""Whether a file's instants are marked as UTC: those of earlier formats are not."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0016"
down_revision = "0015"


def upgrade() -> None:
    op.add_column("files", sa.Column("marked", sa.Boolean, nullable=False, server_default="0"))
