"""Collections count how often stored events were taken away or changed."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0005"
down_revision = "0004"


def upgrade() -> None:
    op.add_column("collections", sa.Column("erase_version", sa.Integer, nullable=False, server_default="0"))
