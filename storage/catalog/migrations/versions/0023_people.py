"""People, their places in organisations and projects, sessions, one-time links and the audit log, with a
version of their own."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0023"
down_revision = "0022"


def upgrade() -> None:
    op.add_column("state", sa.Column("people_version", sa.BigInteger, nullable=False, server_default="0"))
    _create_people()
    _create_sessions()
    _create_links()
    op.create_table(
        "audit",
        sa.Column("id", sa.Integer, primary_key=True),
        sa.Column("at_us", sa.BigInteger, nullable=False),
        sa.Column("organisation_id", sa.Text),
        sa.Column("project_id", sa.Text),
        sa.Column("actor_kind", sa.Text, nullable=False),
        sa.Column("actor_id", sa.Text, nullable=False),
        sa.Column("actor_name", sa.Text, nullable=False),
        sa.Column("action", sa.Text, nullable=False),
        sa.Column("object", sa.Text, nullable=False),
        sa.Column("details", sa.Text, nullable=False),
        sqlite_autoincrement=True,
    )
    op.create_index("audit_by_organisation", "audit", ["organisation_id", "id"])
    op.create_index("audit_by_time", "audit", ["at_us"])


def _create_people() -> None:
    op.create_table(
        "people",
        sa.Column("number", sa.Integer, primary_key=True),
        sa.Column("id", sa.Text, nullable=False, unique=True),
        sa.Column("email", sa.Text, nullable=False, unique=True),
        sa.Column("name", sa.Text, nullable=False),
        sa.Column("password", sa.Text, nullable=False),
        sa.Column("created_us", sa.BigInteger, nullable=False),
        sa.Column("factor", sa.LargeBinary),
        sa.Column("factor_offered", sa.LargeBinary),
        sa.Column("factor_step", sa.BigInteger, nullable=False, server_default="0"),
        sa.Column("recovery", sa.Text, nullable=False, server_default="[]"),
        sqlite_autoincrement=True,
    )
    op.create_table(
        "members",
        sa.Column("organisation_id", sa.Text, sa.ForeignKey("organisations.id"), primary_key=True),
        sa.Column("person_id", sa.Text, sa.ForeignKey("people.id"), primary_key=True),
        sa.Column("is_owner", sa.Boolean, nullable=False),
    )
    op.create_index("members_by_person", "members", ["person_id"])
    op.create_table(
        "roles",
        sa.Column("person_id", sa.Text, sa.ForeignKey("people.id"), primary_key=True),
        sa.Column("project_id", sa.Text, sa.ForeignKey("projects.id"), primary_key=True),
        sa.Column("role", sa.Text, nullable=False),
    )
    op.create_index("roles_by_project", "roles", ["project_id"])


def _create_sessions() -> None:
    op.create_table(
        "sessions",
        sa.Column("number", sa.Integer, primary_key=True),
        sa.Column("id", sa.Text, nullable=False, unique=True),
        sa.Column("digest", sa.Text, nullable=False, unique=True),
        sa.Column("person_id", sa.Text, sa.ForeignKey("people.id")),
        sa.Column("project_id", sa.Text, sa.ForeignKey("projects.id")),
        sa.Column("sealed_key", sa.LargeBinary),
        sa.Column("device", sa.Text, nullable=False),
        sa.Column("created_us", sa.BigInteger, nullable=False),
        sa.Column("expires_us", sa.BigInteger, nullable=False),
        sqlite_autoincrement=True,
    )
    op.create_index("sessions_by_person", "sessions", ["person_id"])
    op.create_index("sessions_by_expiry", "sessions", ["expires_us"])


def _create_links() -> None:
    op.create_table(
        "invitations",
        sa.Column("number", sa.Integer, primary_key=True),
        sa.Column("id", sa.Text, nullable=False, unique=True),
        sa.Column("digest", sa.Text, nullable=False, unique=True),
        sa.Column("organisation_id", sa.Text, sa.ForeignKey("organisations.id"), nullable=False),
        sa.Column("email", sa.Text),
        sa.Column("roles", sa.Text, nullable=False),
        sa.Column("is_owner", sa.Boolean, nullable=False),
        sa.Column("is_first", sa.Boolean, nullable=False),
        sa.Column("invited_by", sa.Text),
        sa.Column("created_us", sa.BigInteger, nullable=False),
        sa.Column("expires_us", sa.BigInteger, nullable=False),
        sqlite_autoincrement=True,
    )
    op.create_index("invitations_by_organisation", "invitations", ["organisation_id"])
    op.create_index("invitations_by_expiry", "invitations", ["expires_us"])
    op.create_table(
        "password_links",
        sa.Column("number", sa.Integer, primary_key=True),
        sa.Column("digest", sa.Text, nullable=False, unique=True),
        sa.Column("person_id", sa.Text, sa.ForeignKey("people.id"), nullable=False),
        sa.Column("expires_us", sa.BigInteger, nullable=False),
        sqlite_autoincrement=True,
    )
    op.create_index("password_links_by_person", "password_links", ["person_id"])
