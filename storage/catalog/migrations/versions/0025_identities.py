"""Who people are at a provider of log-in, and the log-ins that have come back from it."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0025"
down_revision = "0024"


def upgrade() -> None:
    op.create_table(
        "identities",
        sa.Column("number", sa.Integer, primary_key=True),
        sa.Column("issuer", sa.Text, nullable=False),
        sa.Column("subject", sa.Text, nullable=False),
        sa.Column("person_id", sa.Text, sa.ForeignKey("people.id")),
        sa.Column("created_us", sa.BigInteger, nullable=False),
        sqlite_autoincrement=True,
    )
    op.create_index("identities_by_subject", "identities", ["issuer", "subject"], unique=True)
    op.create_index("identities_by_person", "identities", ["person_id"])
    op.create_table(
        "openid_returns",
        sa.Column("digest", sa.Text, primary_key=True),
        sa.Column("expires_us", sa.BigInteger, nullable=False),
    )
