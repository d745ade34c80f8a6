"""Changes of projects, keys and organisations, for processes that cache all of them in memory."""

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
    """Reads changed projects and organisations, at a cost that depends on the number of changes only."""

    def __init__(self, database: Database, clock: Callable[[], int], keyring: Keyring) -> None:
        super().__init__(database, clock)
        self._keyring = keyring

    def version(self) -> int:
        """The tenants' version; equal while no project, organisation or key changes. Takes a few µs."""
        return self._database.versions().tenants

    def since(self, version: int) -> TenantChanges:
        """The changes after this version, from one consistent view; -1 for everything. Raises WrongSecret."""
        with self._database.reading() as connection:
            now = int(connection.execute(_VERSION).scalar_one())
            projects, gone_projects = changed_projects(connection, self._keyring, version)
            organisations, gone_organisations = changed_organisations(connection, self._keyring, version)
        return TenantChanges(now, tuple(projects), gone_projects, tuple(organisations), gone_organisations)
