"""How many tokens are kept in each scope, counted as they come and go."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0019"
down_revision = "0018"


def upgrade() -> None:
    op.create_table(
        "claim_counts",
        sa.Column("scope", sa.Text, primary_key=True),
        sa.Column("count", sa.BigInteger, nullable=False),
        sqlite_with_rowid=False,
    )
    op.execute("INSERT INTO claim_counts SELECT scope, count(*) FROM claims GROUP BY scope")
    op.execute(
        "CREATE TRIGGER claims_come AFTER INSERT ON claims BEGIN "
        "INSERT INTO claim_counts (scope, count) VALUES (new.scope, 1) "
        "ON CONFLICT (scope) DO UPDATE SET count = count + 1; END"
    )
    op.execute(
        "CREATE TRIGGER claims_go AFTER DELETE ON claims BEGIN "
        "UPDATE claim_counts SET count = count - 1 WHERE scope = old.scope; "
        "DELETE FROM claim_counts WHERE scope = old.scope AND count <= 0; END"
    )
