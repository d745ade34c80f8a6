"""Files that are damaged are set aside, and it is known when each was verified last."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0015"
down_revision = "0014"


def upgrade() -> None:
    op.add_column("files", sa.Column("damaged", sa.Text))
    op.add_column("files", sa.Column("verified_us", sa.BigInteger))
