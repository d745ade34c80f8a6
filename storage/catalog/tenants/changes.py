"""What changed of projects, keys and organisations, for those who keep all of them in memory."""

from __future__ import annotations

from collections.abc import Callable

from sqlalchemy import select

from storage.catalog.database.connection import Database
from storage.catalog.keyring import Keyring
from storage.catalog.repository import Repository
from storage.catalog.tables import state
from storage.catalog.tenants.organisations import changed_organisations
from storage.catalog.tenants.projects import changed_projects
from storage.catalog.tenants.records import TenantChanges

_VERSION = select(state.c.tenants_version)


class ChangedTenants(Repository):
    """Projects and organisations by when they changed: reading costs what has changed, not what there is."""

    def __init__(self, database: Database, clock: Callable[[], int], keyring: Keyring) -> None:
        super().__init__(database, clock)
        self._keyring = keyring

    def version(self) -> int:
        """Equal numbers mean that no project, organisation or key has changed. Costs some µs."""
        return self._database.versions().tenants

    def since(self, version: int) -> TenantChanges:
        """What changed after this version, of one moment; -1: all there is. Raises WrongSecret."""
        with self._database.reading() as connection:
            now = int(connection.execute(_VERSION).scalar_one())
            projects, gone_projects = changed_projects(connection, self._keyring, version)
            organisations, gone_organisations = changed_organisations(connection, self._keyring, version)
        return TenantChanges(now, tuple(projects), gone_projects, tuple(organisations), gone_organisations)
