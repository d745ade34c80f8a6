"""Dashboards: their documents, and the metadata and public key of each."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from sqlalchemy import bindparam, delete, insert, select, update

from storage.catalog.database.connection import Database
from storage.catalog.database.versions import Area
from storage.catalog.derived.records import Dashboard
from storage.catalog.errors import UnknownProject, WrongSecret
from storage.catalog.keyring import Keyring
from storage.catalog.repository import Repository
from storage.catalog.tables import dashboard_shares, dashboards, projects

_ALL = (
    select(dashboards.c.name, dashboards.c.metadata, dashboards.c.public_key)
    .where(dashboards.c.project_id == bindparam("wanted_project"))
    .order_by(dashboards.c.name)
)
_ONE = _ALL.where(dashboards.c.name == bindparam("wanted_name"))
_THIS = (
    dashboards.c.project_id == bindparam("wanted_project"),
    dashboards.c.name == bindparam("wanted_name"),
)
_DOCUMENT = select(dashboards.c.document).where(*_THIS)
_DELETE_SHARES = delete(dashboard_shares).where(
    dashboard_shares.c.dashboard_id.in_(select(dashboards.c.id).where(*_THIS))
)


class Dashboards(Repository):
    """Dashboards by project and name."""

    def __init__(self, database: Database, clock: Callable[[], int], keyring: Keyring) -> None:
        super().__init__(database, clock)
        self._keyring = keyring

    def of_project(self, project_id: str) -> list[Dashboard]:
        """All dashboards of the project, ordered by name."""
        with self._database.reading() as connection:
            rows = connection.execute(_ALL, {"wanted_project": project_id})
            return [_dashboard(row, self._keyring, project_id) for row in rows]

    def find(self, project_id: str, name: str) -> Dashboard | None:
        with self._database.reading() as connection:
            row = connection.execute(_ONE, _key(project_id, name)).first()
            return None if row is None else _dashboard(row, self._keyring, project_id)

    def document(self, project_id: str, name: str) -> str | None:
        """The dashboard's document as JSON text; None where there is no such dashboard."""
        with self._database.reading() as connection:
            return connection.execute(_DOCUMENT, _key(project_id, name)).scalar()

    def put(
        self,
        project_id: str,
        dashboard: Dashboard,
        document: str,
        check: Callable[[str | None], None] = lambda _: None,
    ) -> bool:
        """Creates or replaces a dashboard; True where it was created. Raises UnknownProject.

        ``check`` gets the document that would be replaced, None where there is none; what it raises leaves
        everything as it was.
        """
        with self._database.changing(Area.DERIVED) as connection:
            check(connection.execute(_DOCUMENT, _key(project_id, dashboard.name)).scalar())
            values = _values(self._keyring, project_id, dashboard) | {"document": document}
            change = update(dashboards).where(*_THIS).values(values)
            if connection.execute(change, _key(project_id, dashboard.name)).rowcount:
                return False
            if connection.execute(select(projects.c.id).where(projects.c.id == project_id)).first() is None:
                raise UnknownProject(f"There is no project {project_id}.")
            connection.execute(
                insert(dashboards), [values | {"project_id": project_id, "name": dashboard.name}]
            )
            return True

    def describe(self, project_id: str, dashboard: Dashboard) -> bool:
        """Replaces the metadata and public key, not the document. False where there is no such dashboard."""
        with self._database.changing(Area.DERIVED) as connection:
            change = update(dashboards).where(*_THIS).values(_values(self._keyring, project_id, dashboard))
            return connection.execute(change, _key(project_id, dashboard.name)).rowcount == 1

    def remove(self, project_id: str, name: str) -> bool:
        """Removes a dashboard with its shares. False where there is no such dashboard."""
        with self._database.changing(Area.DERIVED) as connection:
            connection.execute(_DELETE_SHARES, _key(project_id, name))
            return connection.execute(delete(dashboards).where(*_THIS), _key(project_id, name)).rowcount == 1


def _key(project_id: str, name: str) -> dict[str, str]:
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
        # The dashboard cannot be shown by that key until a new one is stored.
        key = None
    return Dashboard(row.name, row.metadata, key)


def _context(project_id: str, name: str) -> str:
    return f"{project_id}/dashboard/{name}"
