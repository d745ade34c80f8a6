"""The catalog: what exists, where it is stored, and how far each log is flushed.

Every change to data that readers may cache raises the version of its area (``versions()``) in the same
transaction. The repositories are synchronous, safe to use from several threads and processes, and may raise
``CatalogUnavailable``, or ``CatalogBusy`` when writing. A catalog cannot be used after a fork.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from pathlib import Path

from storage.catalog import migration
from storage.catalog.database.change_mark import Marks
from storage.catalog.database.connection import Database
from storage.catalog.database.versions import Area, Versions
from storage.catalog.derived.alerts import Alerts
from storage.catalog.derived.cohorts import Cohorts
from storage.catalog.derived.dashboards import Dashboards
from storage.catalog.derived.datasets import Datasets
from storage.catalog.derived.exports import Exports
from storage.catalog.derived.imports import Imports
from storage.catalog.derived.notices import Notices
from storage.catalog.derived.pipelines import Pipelines
from storage.catalog.derived.reports import Reports
from storage.catalog.derived.saved_queries import SavedQueries
from storage.catalog.derived.shares import Shares
from storage.catalog.derived.webhooks import Webhooks
from storage.catalog.keyring import Keyring
from storage.catalog.people.audit import AuditLog
from storage.catalog.people.identities import Identities
from storage.catalog.people.invitations import Invitations
from storage.catalog.people.password_links import PasswordLinks
from storage.catalog.people.people import People
from storage.catalog.people.sessions import Sessions
from storage.catalog.runs.bucket_states import BucketStates
from storage.catalog.runs.deliveries import Deliveries
from storage.catalog.runs.runs import Runs
from storage.catalog.runs.troubles import PipelineTroubles
from storage.catalog.snapshot import Snapshots
from storage.catalog.sources.secrets import Secrets
from storage.catalog.sources.sources import Sources
from storage.catalog.state import Clock, Meta
from storage.catalog.stored.claims import Claims
from storage.catalog.stored.collections import Collections
from storage.catalog.stored.erasures import Erasures
from storage.catalog.stored.files import Files
from storage.catalog.stored.history import History
from storage.catalog.stored.inventory import Inventory
from storage.catalog.stored.logs import Logs
from storage.catalog.stored.records import Snapshot
from storage.catalog.stored.retention import Retention
from storage.catalog.stored.schemas import SchemaCache
from storage.catalog.stored.streams import Streams
from storage.catalog.tenants.access_keys import AccessKeys, fill_public_ids
from storage.catalog.tenants.activity import ActivityCounts
from storage.catalog.tenants.changes import ChangedTenants
from storage.catalog.tenants.organisations import Organisations
from storage.catalog.tenants.projects import Projects, seal_keys
from storage.paths import DataFolder


def system_clock() -> int:
    """µs since 1970 UTC."""
    return time.time_ns() // 1_000


class Catalog:
    """An open catalog: its repositories, and snapshots of them for queries."""

    def __init__(
        self, folder: DataFolder, database: Database, keyring: Keyring, clock: Callable[[], int]
    ) -> None:
        """Use ``prepare`` or ``open``."""
        self.folder = folder
        self.keyring = keyring
        self._database = database
        schemas = SchemaCache()
        self._snapshots = Snapshots(database, folder, schemas)

        self.organisations = Organisations(database, clock, keyring)
        self.projects = Projects(database, clock, keyring)
        self.access_keys = AccessKeys(database, clock)
        self.activity = ActivityCounts(database, clock)
        self.tenants = ChangedTenants(database, clock, keyring)

        self.people = People(database, clock)
        self.sessions = Sessions(database, clock)
        self.invitations = Invitations(database, clock)
        self.password_links = PasswordLinks(database, clock)
        self.identities = Identities(database, clock)
        self.audit = AuditLog(database, clock)

        self.collections = Collections(database, clock, schemas)
        self.retention = Retention(database, clock)
        self.logs = Logs(database, clock)
        self.claims = Claims(database, clock)
        self.files = Files(database, clock)
        self.history = History(database, clock)
        self.inventory = Inventory(database, clock)
        self.erasures = Erasures(database, clock, schemas)
        self.streams = Streams(database, clock)

        self.saved_queries = SavedQueries(database, clock)
        self.cohorts = Cohorts(database, clock)
        self.dashboards = Dashboards(database, clock, keyring)
        self.shares = Shares(database, clock)
        self.datasets = Datasets(database, clock)
        self.exports = Exports(database, clock)
        self.imports = Imports(database, clock)
        self.webhooks = Webhooks(database, clock, keyring)
        self.alerts = Alerts(database, clock)
        self.notices = Notices(database, clock)
        self.reports = Reports(database, clock)

        self.runs = Runs(database, clock)
        self.deliveries = Deliveries(database, clock, self.runs)
        self.bucket_states = BucketStates(database, clock)
        self.troubles = PipelineTroubles(database, clock)
        self.pipelines = Pipelines(database, clock, schemas)
        self.sources = Sources(database, clock, schemas, self.runs)
        self.secrets = Secrets(database, clock, keyring)

        self.clock = Clock(database, clock)
        self.meta = Meta(database, clock)

    @classmethod
    def prepare(
        cls, data: Path, clock: Callable[[], int] = system_clock, *, secret: str | None = None
    ) -> Catalog:
        """Creates the data folder if missing, migrates an older catalog, and opens it.

        ``secret`` is the server's secret, which seals keys; by default it is read from a file of the folder.
        Raises NewerFormat, before anything is changed, where a newer server wrote the folder; OSError.
        """
        folder = DataFolder.at(data)
        database = migration.prepare(folder)
        catalog = cls(folder, database, Keyring.open(folder.root, secret), clock)
        catalog._seal_keys()
        return catalog

    @classmethod
    def open(
        cls, data: Path, clock: Callable[[], int] = system_clock, *, secret: str | None = None
    ) -> Catalog:
        """Opens a catalog that ``prepare`` has created. Raises CatalogNotReady, NewerFormat, OSError."""
        folder = DataFolder.at(data)
        database = migration.open_ready(folder)
        return cls(folder, database, Keyring.open(folder.root, secret), clock)

    def close(self) -> None:
        self._database.close()

    def seal(self) -> None:
        """Closes the catalog and stores its digest, which the next start checks. No other process may have it
        open. Raises OSError."""
        self._database.seal()

    def checkpoint(self) -> bool:
        """Copies the write-ahead log into the catalog and truncates it, so that no old value of a row remains
        on disk.

        False where a reader still uses the log; the caller should try again later.
        """
        return self._database.checkpoint()

    def mark(self, *areas: Area) -> Marks:
        """A mark of these areas; equal marks mean that nothing in them has changed in between.

        Read it before the data that it is to validate. It does not query the database, so event loops may use
        it.
        """
        return self._database.mark(*areas)

    def versions(self) -> Versions:
        """The areas' versions; an equal one means that nothing in the area has changed. Takes a few µs."""
        return self._database.versions()

    def snapshot(self, project_id: str, names: Sequence[str]) -> Snapshot:
        """A consistent view of the logs, and of these collections with their live files."""
        return self._snapshots.take(project_id, names)

    def _seal_keys(self) -> None:
        """Seal keys, and fill in public ids, that an older format did not have."""
        with self._database.writing() as connection:
            sealed = seal_keys(connection, self.keyring)
            fill_public_ids(connection, self.keyring)
        if sealed:
            # Overwrites the pages and log frames that still contain the unsealed keys.
            self._database.checkpoint()
