"""For how many days a collection's retention was last carried out. Logs with a key begin with this format."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0014"
down_revision = "0013"


def upgrade() -> None:
    op.add_column("collections", sa.Column("retained_days", sa.Integer))
