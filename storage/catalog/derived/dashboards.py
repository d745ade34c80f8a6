"""Dashboards: documents, and what is said of each. Each function runs inside its caller's transaction."""

from __future__ import annotations

from typing import Any

from sqlalchemy import Connection, bindparam, delete, insert, select, update

from storage.catalog.errors import UnknownProject, WrongSecret
from storage.catalog.keyring import Keyring
from storage.catalog.records import Dashboard
from storage.catalog.tables import dashboards, projects

_ALL = (
    select(dashboards.c.name, dashboards.c.metadata, dashboards.c.public_key)
    .where(dashboards.c.project_id == bindparam("wanted_project"))
    .order_by(dashboards.c.name)
)
_ONE = _ALL.where(dashboards.c.name == bindparam("wanted_name"))
_MINE = (
    dashboards.c.project_id == bindparam("wanted_project"),
    dashboards.c.name == bindparam("wanted_name"),
)
_DOCUMENT = select(dashboards.c.document).where(*_MINE)


def list_all(connection: Connection, keyring: Keyring, project_id: str) -> list[Dashboard]:
    """By name."""
    found = connection.execute(_ALL, {"wanted_project": project_id})
    return [_dashboard(row, keyring, project_id) for row in found]


def find(connection: Connection, keyring: Keyring, project_id: str, name: str) -> Dashboard | None:
    row = connection.execute(_ONE, _wanted(project_id, name)).first()
    return None if row is None else _dashboard(row, keyring, project_id)


def document(connection: Connection, project_id: str, name: str) -> str | None:
    return connection.execute(_DOCUMENT, _wanted(project_id, name)).scalar()


def put(
    connection: Connection, keyring: Keyring, project_id: str, dashboard: Dashboard, document: str
) -> bool:
    """Whether it was made; one that exists is replaced. Raises UnknownProject."""
    values = _values(keyring, project_id, dashboard) | {"document": document}
    change = update(dashboards).where(*_MINE).values(values)
    if connection.execute(change, _wanted(project_id, dashboard.name)).rowcount:
        return False
    if connection.execute(select(projects.c.id).where(projects.c.id == project_id)).first() is None:
        raise UnknownProject(f"There is no project {project_id}.")
    connection.execute(insert(dashboards), [values | {"project_id": project_id, "name": dashboard.name}])
    return True


def describe(connection: Connection, keyring: Keyring, project_id: str, dashboard: Dashboard) -> bool:
    """Replaces all but the document. False where there is no such dashboard."""
    change = update(dashboards).where(*_MINE).values(_values(keyring, project_id, dashboard))
    return connection.execute(change, _wanted(project_id, dashboard.name)).rowcount == 1


def remove(connection: Connection, project_id: str, name: str) -> bool:
    """False where there is no such dashboard."""
    return connection.execute(delete(dashboards).where(*_MINE), _wanted(project_id, name)).rowcount == 1


def _wanted(project_id: str, name: str) -> dict[str, str]:
    return {"wanted_project": project_id, "wanted_name": name}


def _values(keyring: Keyring, project_id: str, dashboard: Dashboard) -> dict[str, str | None]:
    key = dashboard.public_key
    sealed = None if key is None else keyring.seal_text(key, _context(project_id, dashboard.name))
    return {"metadata": dashboard.metadata, "public_key": sealed}


def _dashboard(row: Any, keyring: Keyring, project_id: str) -> Dashboard:
    sealed = row.public_key
    try:
        key = None if sealed is None else keyring.unseal_text(sealed, _context(project_id, row.name))
    except WrongSecret:
        # Nobody can be shown it by that key until another is put.
        key = None
    return Dashboard(row.name, row.metadata, key)


def _context(project_id: str, name: str) -> str:
    return f"{project_id}/dashboard/{name}"
