"""The public id of an access key, which embed tokens name it by. Those of older keys are filled in by
``Catalog.prepare``, which has the secret that unseals the keys."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0022"
down_revision = "0021"


def upgrade() -> None:
    op.add_column("access_keys", sa.Column("public_id", sa.Text))
    op.create_index("access_keys_by_public_id", "access_keys", ["project_id", "public_id"])
