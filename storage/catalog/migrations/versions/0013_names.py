"""Names that nothing holds any more leave the catalog: lanes of collections, and collections."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0013"
down_revision = "0012"


def upgrade() -> None:
    op.add_column("collections", sa.Column("pruned_version", sa.Integer, nullable=False, server_default="0"))
    op.add_column("collections", sa.Column("freed_us", sa.BigInteger))
