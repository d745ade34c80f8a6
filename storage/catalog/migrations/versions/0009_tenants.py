"""Organisations can be deleted. Keys are sealed from here on, by ``Catalog.prepare``."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0009"
down_revision = "0008"


def upgrade() -> None:
    op.add_column("organisations", sa.Column("deleted_us", sa.BigInteger))
