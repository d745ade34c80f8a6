"""Shares of dashboards. A dashboard that is removed takes its shares with it: ``Dashboards.remove``."""

from __future__ import annotations

from typing import Any

from sqlalchemy import bindparam, delete, func, insert, select, update

from storage.catalog.database.versions import Area
from storage.catalog.derived.records import DashboardShare, SharedDashboard
from storage.catalog.repository import Repository
from storage.catalog.tables import dashboard_shares, dashboards

_FIELDS = tuple(DashboardShare.__dataclass_fields__)
_OF = (
    dashboards.c.project_id == bindparam("wanted_project"),
    dashboards.c.name == bindparam("wanted_name"),
)
_ID = select(dashboards.c.id).where(*_OF)
_JOINED = dashboard_shares.join(dashboards, dashboard_shares.c.dashboard_id == dashboards.c.id)
_COLUMNS = tuple(dashboard_shares.c[name] for name in _FIELDS)
_ALL = select(*_COLUMNS).select_from(_JOINED).where(*_OF).order_by(dashboard_shares.c.number)
_NUMBER = select(func.count()).where(dashboard_shares.c.dashboard_id == bindparam("wanted_id"))
_BY_PUBLIC_ID = (
    select(*_COLUMNS, dashboards.c.name.label("dashboard"), dashboards.c.document)
    .select_from(_JOINED)
    .where(
        dashboard_shares.c.project_id == bindparam("wanted_project"),
        dashboard_shares.c.public_id == bindparam("wanted_public"),
    )
)
_THIS = (dashboard_shares.c.id == bindparam("wanted_share"), dashboard_shares.c.dashboard_id.in_(_ID))


class Shares(Repository):
    """Shares by project and dashboard."""

    def create(self, project_id: str, dashboard: str, share: DashboardShare, most: int) -> bool:
        """Stores a new share. False where the dashboard has ``most`` already, or there is no such
        dashboard."""
        with self._database.changing(Area.DERIVED) as connection:
            found = connection.execute(_ID, _of(project_id, dashboard)).scalar()
            if found is None or connection.execute(_NUMBER, {"wanted_id": found}).scalar_one() >= most:
                return False
            values = {name: getattr(share, name) for name in _FIELDS}
            connection.execute(
                insert(dashboard_shares), values | {"project_id": project_id, "dashboard_id": found}
            )
            return True

    def of_dashboard(self, project_id: str, dashboard: str) -> list[DashboardShare]:
        """The dashboard's shares, oldest first."""
        with self._database.reading() as connection:
            return [_share(row) for row in connection.execute(_ALL, _of(project_id, dashboard))]

    def find_public(self, project_id: str, public_id: str) -> SharedDashboard | None:
        """The share that a token names by this id, with its dashboard."""
        values = {"wanted_project": project_id, "wanted_public": public_id}
        with self._database.reading() as connection:
            row = connection.execute(_BY_PUBLIC_ID, values).first()
        return None if row is None else SharedDashboard(_share(row), row.dashboard, row.document)

    def remove(self, project_id: str, dashboard: str, share_id: str) -> DashboardShare | None:
        """The share that was removed; None where the dashboard has none of this id."""
        values = _of(project_id, dashboard) | {"wanted_share": share_id}
        with self._database.changing(Area.DERIVED) as connection:
            row = connection.execute(select(*_COLUMNS).where(*_THIS), values).first()
            if row is None:
                return None
            connection.execute(delete(dashboard_shares).where(*_THIS), values)
            return _share(row)

    def note_use(self, share_id: str) -> None:
        """Stores that the share is used now. No reader caches it, so that it raises no version."""
        change = update(dashboard_shares).where(dashboard_shares.c.id == bindparam("wanted_share"))
        with self._database.writing() as connection:
            connection.execute(change.values(used_us=self._clock()), {"wanted_share": share_id})


def _of(project_id: str, dashboard: str) -> dict[str, str]:
    return {"wanted_project": project_id, "wanted_name": dashboard}


def _share(row: Any) -> DashboardShare:
    return DashboardShare(**{name: getattr(row, name) for name in _FIELDS})
