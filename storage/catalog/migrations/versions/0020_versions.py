"""A version for each area of the catalog instead of one for all of it, and of each project, organisation and
collection the version as of which it last changed: whoever keeps many reads only those that did."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0020"
down_revision = "0019"


def upgrade() -> None:
    for area in ("tenants", "data", "derived"):
        column = sa.Column(f"{area}_version", sa.BigInteger, nullable=False, server_default="0")
        op.add_column("state", column)
    op.execute(
        "UPDATE state SET data_version = version, derived_version = version, "
        "tenants_version = COALESCE((SELECT CAST(value AS INTEGER) FROM meta "
        "WHERE name = 'tenants_version'), 0)"
    )
    op.execute("DELETE FROM meta WHERE name = 'tenants_version'")
    op.drop_column("state", "version")
    for table in ("projects", "organisations", "collections"):
        op.add_column(table, sa.Column("changed", sa.BigInteger, nullable=False, server_default="0"))
        op.create_index(f"{table}_by_change", table, ["changed"])
    op.create_index("projects_by_organisation", "projects", ["organisation_id"])
