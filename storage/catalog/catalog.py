"""The catalog: what exists, where it is, and how far the logs are settled.

Every change that readers may have cached something of bumps ``version()`` in its own transaction.
All methods are synchronous, safe to call from several threads and processes, and may raise
``CatalogUnavailable``, or ``CatalogBusy`` where they write. A catalog does not survive a fork.
"""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence, Set
from contextlib import contextmanager, suppress
from dataclasses import replace
from pathlib import Path
from typing import Any

from sqlalchemy import Connection

from storage.catalog import migration
from storage.catalog import state as catalog_state
from storage.catalog.database.connection import Database
from storage.catalog.derived import dashboards as catalog_dashboards
from storage.catalog.derived import datasets as catalog_datasets
from storage.catalog.derived import exports as catalog_exports
from storage.catalog.derived import saved_queries as catalog_saved
from storage.catalog.errors import TooManyCollections, TooManyProperties, UnknownCollection
from storage.catalog.keyring import Keyring
from storage.catalog.records import (
    AccessKey,
    Activity,
    ActivityOf,
    Claim,
    ClockMark,
    Collection,
    Counts,
    Dashboard,
    Dataset,
    DatasetRun,
    DatasetStatus,
    Erasure,
    ErasureKind,
    Export,
    ExportFile,
    FileRow,
    FlushCommit,
    KeyKind,
    LogRow,
    Loss,
    MailState,
    NewExport,
    Organisation,
    Project,
    ReservedFile,
    SavedQuery,
    SavedRun,
    Snapshot,
    TokenHolder,
    Usage,
)
from storage.catalog.snapshot import Snapshots
from storage.catalog.stored import claims as catalog_claims
from storage.catalog.stored import collections as catalog_collections
from storage.catalog.stored import erasures, files
from storage.catalog.stored import logs as catalog_logs
from storage.catalog.stored import streams as catalog_streams
from storage.catalog.stored.collections import SchemaCache
from storage.catalog.stored.stream_positions import Batch, Position, Settled
from storage.catalog.tenants import access_keys as catalog_keys
from storage.catalog.tenants import activity as catalog_activity
from storage.catalog.tenants import projects as catalog_tenants
from storage.catalog.tenants import usage as catalog_usage
from storage.paths import DataFolder
from storage.schema import LaneKind


def system_clock() -> int:
    """µs since 1970 UTC."""
    return time.time_ns() // 1_000


class Catalog:
    def __init__(
        self, folder: DataFolder, database: Database, keyring: Keyring, clock: Callable[[], int]
    ) -> None:
        """Use ``prepare`` or ``open``."""
        self.folder = folder
        self.keyring = keyring
        self._database = database
        self._clock = clock
        self._schemas = SchemaCache()
        self._snapshots = Snapshots(database, folder, self._schemas)

    @classmethod
    def prepare(
        cls, data: Path, clock: Callable[[], int] = system_clock, *, secret: str | None = None
    ) -> Catalog:
        """Makes the data folder where there is none, migrates an older catalog, and opens it.

        ``secret`` is what keys are sealed with; without one, it is in a file of the folder. Raises
        NewerFormat, before anything is changed, where a newer server wrote the folder; OSError.
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
        """Opens what ``prepare`` has made. Raises CatalogNotReady, NewerFormat, OSError."""
        folder = DataFolder.at(data)
        database = migration.open_ready(folder)
        return cls(folder, database, Keyring.open(folder.root, secret), clock)

    def close(self) -> None:
        self._database.close()

    def seal(self) -> None:
        """Close, with a digest that the next start compares. Nobody else may have it open. Raises OSError."""
        self._database.seal()

    def mark(self) -> int:
        """Equal numbers mean that nothing was written in between. Never asks the database: for event loops.
        Must be read before what it is to vouch for."""
        return self._database.mark()

    def version(self) -> int:
        """Equal numbers mean that nothing but claims and meta values has changed. Costs some µs."""
        return self._database.version()

    def _seal_keys(self) -> None:
        with self._database.writing() as connection:
            sealed = catalog_tenants.seal_keys(connection, self.keyring)
        if sealed:
            # What they stood in as they were is overwritten.
            self._database.checkpoint()

    # Tenants

    def tenants_version(self) -> int:
        """Equal numbers mean that no project, organisation or key has changed."""
        with self._database.reading() as connection:
            return catalog_state.tenants_version(connection)

    def create_organisation(self, name: str) -> Organisation:
        """Raises InvalidName."""
        with self._changing_tenants() as connection:
            return catalog_tenants.create_organisation(connection, self.keyring, name, self._clock())

    def organisations(self) -> list[Organisation]:
        """Oldest first."""
        with self._database.reading() as connection:
            return catalog_tenants.list_organisations(connection, self.keyring)

    def rename_organisation(self, organisation_id: str, name: str) -> None:
        """Raises UnknownOrganisation, InvalidName."""
        with self._changing_tenants() as connection:
            catalog_tenants.rename_organisation(connection, organisation_id, name)

    def renew_organisation_key(self, organisation_id: str) -> str:
        """The new key; the old one is dead. Raises UnknownOrganisation."""
        with self._changing_tenants() as connection:
            return catalog_tenants.renew_organisation_key(connection, self.keyring, organisation_id)

    def delete_organisation(self, organisation_id: str, *, with_projects: bool) -> None:
        """For good; its projects are deleted as by ``delete_project``, but can not be brought back.

        Raises UnknownOrganisation, OrganisationInUse.
        """
        with self._changing_tenants() as connection:
            catalog_tenants.delete_organisation(
                connection, organisation_id, self._clock(), with_projects=with_projects
            )

    def create_project(
        self,
        name: str,
        *,
        id: str | None = None,
        organisation_id: str | None = None,
        master_key: str | None = None,
        write_key: str | None = None,
        read_key: str | None = None,
        users: Sequence[str] = (),
        preferences: Mapping[str, Any] | None = None,
        own_name: bool = False,
    ) -> Project:
        """Ids and keys that are not given are made up; the organisation is then the oldest. ``own_name``:
        another project of the organisation may not have the name.

        Raises InvalidName, DuplicateProject, UnknownOrganisation.
        """
        keys = {KeyKind.MASTER: master_key, KeyKind.WRITE: write_key, KeyKind.READ: read_key}
        with self._changing_tenants() as connection:
            return catalog_tenants.create_project(
                connection,
                self.keyring,
                name,
                project_id=id,
                organisation_id=organisation_id,
                keys=keys,
                now_us=self._clock(),
                users=users,
                preferences=preferences,
                own_name=own_name,
            )

    def update_project(
        self,
        project_id: str,
        *,
        name: str | None = None,
        users: Sequence[str] | None = None,
        preferences: Mapping[str, Any] | None = None,
        own_name: bool = False,
    ) -> Project:
        """What is None stays; ``own_name`` is as for a new one. Raises UnknownProject, InvalidName,
        DuplicateProject."""
        with self._changing_tenants() as connection:
            return catalog_tenants.update_project(
                connection,
                self.keyring,
                project_id,
                name=name,
                users=users,
                preferences=preferences,
                own_name=own_name,
            )

    def renew_project_keys(self, project_id: str, keys: Mapping[KeyKind, str | None]) -> None:
        """Other keys of these kinds, made up where None is given; the old ones are dead.

        Raises UnknownProject, InvalidName.
        """
        with self._changing_tenants() as connection:
            catalog_tenants.renew_project_keys(connection, self.keyring, project_id, keys)

    def delete_project(self, project_id: str) -> None:
        """Its keys are dead from now on; its data stays until it is purged. Raises UnknownProject."""
        with self._changing_tenants() as connection:
            catalog_tenants.find_project(connection, self.keyring, project_id)
            catalog_tenants.mark_deleted(connection, project_id, self._clock())

    def restore_project(self, project_id: str) -> Project:
        """Brings a deleted project back, keys and data. Raises UnknownProject where it was purged."""
        with self._changing_tenants() as connection:
            catalog_tenants.mark_deleted(connection, project_id, None)
            return catalog_tenants.find_project(connection, self.keyring, project_id)

    def deleted_projects(self) -> list[Project]:
        """Whose data is still there; oldest first."""
        with self._database.reading() as connection:
            return catalog_tenants.list_projects(connection, self.keyring, deleted=True)

    def begin_purge(self, project: Project) -> bool:
        """From now on it can not be brought back. False where it was meanwhile."""
        with self._changing_tenants() as connection:
            return catalog_tenants.begin_purge(connection, project)

    def end_purge(self, project: Project) -> None:
        """All of it is gone, or asked to go: its keys and names go too."""
        with self._changing_tenants() as connection:
            catalog_tenants.end_purge(connection, project, self._clock())

    def ensure_first_project(self) -> tuple[Project, bool]:
        """The oldest project, and whether this call made it."""
        existing = self.projects()
        if existing:
            return existing[0], False
        with self._changing_tenants() as connection:
            existing = catalog_tenants.list_projects(connection, self.keyring)
            if existing:
                return existing[0], False
            project = catalog_tenants.create_project(
                connection,
                self.keyring,
                catalog_tenants.FIRST_PROJECT,
                project_id=None,
                organisation_id=None,
                keys={},
                now_us=self._clock(),
            )
            return project, True

    def usage(self) -> Mapping[str, Usage]:
        """Project id → what it holds, for projects that hold anything."""
        with self._database.reading() as connection:
            return catalog_usage.usage_by_project(connection)

    def add_activity(
        self, counted: Mapping[tuple[str, str], Activity], project_ids: Sequence[str]
    ) -> Mapping[str, ActivityOf]:
        """Adds what was sent and asked, by project and key, to today's counts; what projects come to."""
        now_us = self._clock()
        if not counted:
            with self._database.reading() as connection:
                return catalog_activity.activity_of(connection, project_ids, now_us)
        with self._database.writing() as connection:
            catalog_activity.add(connection, counted, now_us)
            return catalog_activity.activity_of(connection, project_ids, now_us)

    def activity(self, project_id: str) -> ActivityOf:
        """What the project's keys have sent and asked today and this month."""
        return self.add_activity({}, [project_id])[project_id]

    def stored_bytes(self, project_id: str) -> int:
        """Of the project's events in files."""
        with self._database.reading() as connection:
            return catalog_activity.stored_bytes(connection, project_id)

    def projects(self) -> list[Project]:
        """Oldest first."""
        with self._database.reading() as connection:
            return catalog_tenants.list_projects(connection, self.keyring)

    def project(self, project_id: str) -> Project:
        """Raises UnknownProject."""
        with self._database.reading() as connection:
            return catalog_tenants.find_project(connection, self.keyring, project_id)

    # Access keys

    def create_access_key(self, key: AccessKey) -> None:
        """Raises UnknownProject."""
        with self._changing_tenants() as connection:
            catalog_keys.create_access_key(connection, key)

    def access_key(self, project_id: str, digest: str) -> AccessKey | None:
        with self._database.reading() as connection:
            return catalog_keys.find_access_key(connection, project_id, digest)

    def access_keys(
        self, project_id: str, *, name: str | None = None, offset: int = 0, limit: int = 1_000_000
    ) -> list[AccessKey]:
        """Oldest first; those of this very name, where one is given."""
        with self._database.reading() as connection:
            return catalog_keys.list_access_keys(connection, project_id, name, offset, limit)

    def update_access_key(
        self,
        project_id: str,
        digest: str,
        *,
        name: str,
        is_active: bool | None,
        permitted: tuple[str, ...],
        options: Mapping[str, Any],
    ) -> AccessKey:
        """Replaces all that can be changed; ``is_active`` None stays as it is. Raises UnknownAccessKey."""
        with self._changing_tenants() as connection:
            return catalog_keys.update_access_key(
                connection,
                project_id,
                digest,
                name=name,
                is_active=is_active,
                permitted=permitted,
                options=options,
            )

    def activate_access_key(self, project_id: str, digest: str, active: bool) -> AccessKey:
        """Raises UnknownAccessKey."""
        with self._changing_tenants() as connection:
            return catalog_keys.activate_access_key(connection, project_id, digest, active)

    def delete_access_key(self, project_id: str, digest: str) -> None:
        """Raises UnknownAccessKey."""
        with self._changing_tenants() as connection:
            catalog_keys.delete_access_key(connection, project_id, digest)

    # Collections

    def collections(self, project_id: str) -> list[Collection]:
        """By name; none for a project that does not exist."""
        with self._database.reading() as connection:
            return catalog_collections.list_collections(connection, self._schemas, project_id)

    def collection_names(self, project_id: str, limit: int) -> list[str]:
        """By name, those without events too, but none whose events were all deleted."""
        with self._database.reading() as connection:
            return catalog_collections.collection_names(connection, project_id, limit)

    def all_collections(self) -> list[Collection]:
        """Of all projects, by id."""
        with self._database.reading() as connection:
            return catalog_collections.all_collections(connection, self._schemas)

    def collection(self, project_id: str, name: str) -> Collection:
        """Names are case-sensitive. Raises UnknownCollection."""
        with self._database.reading() as connection:
            found = catalog_collections.named_collections(connection, self._schemas, project_id, [name])
        if not found:
            raise UnknownCollection(f"There is no collection {name!r} in project {project_id}.")
        return found[0]

    def named_collections(self, project_id: str, names: Sequence[str]) -> list[Collection]:
        """Those of the names that exist."""
        with self._database.reading() as connection:
            return catalog_collections.named_collections(connection, self._schemas, project_id, names)

    def collections_by_ids(self, ids: Sequence[int]) -> list[Collection]:
        """Those of the ids that exist."""
        with self._database.reading() as connection:
            return catalog_collections.find_collections(connection, self._schemas, ids)

    def collection_by_id(self, collection_id: int) -> Collection:
        """Raises UnknownCollection."""
        with self._database.reading() as connection:
            return catalog_collections.find_collection(connection, self._schemas, collection_id)

    def ensure_collection(self, project_id: str, name: str, collections_max: int = sys.maxsize) -> Collection:
        """The collection, made where there is none. Raises TooManyCollections, UnknownProject,
        InvalidName."""
        with suppress(UnknownCollection):
            found = self.collection(project_id, name)
            if not found.freed:
                return found
        made = self.ensure_collections(project_id, {name: []}, 0, collections_max)
        if not made:
            raise TooManyCollections(f"Project {project_id} has {collections_max} collections already.")
        return made[0]

    def ensure_collections(
        self,
        project_id: str,
        wanted: Mapping[str, Sequence[tuple[str, LaneKind]]],
        properties_max: int,
        collections_max: int = sys.maxsize,
    ) -> list[Collection]:
        """Collections with their lanes, in one transaction. One that would have too many properties is there
        afterwards without the lanes that are new; those that the project has no room for are not there.
        Raises UnknownProject, InvalidName."""
        found: list[Collection] = []
        with self._changing() as connection:
            names, now_us = list(wanted), self._clock()
            for current in catalog_collections.ensure_collections(
                connection, self._schemas, project_id, names, collections_max, now_us
            ):
                schema = current.schema
                with suppress(TooManyProperties):
                    schema = catalog_collections.append_lanes(
                        connection, current, wanted[current.name], properties_max
                    )
                found.append(replace(current, schema=schema))
        return found

    def freed_collections(self) -> list[int]:
        """Ids of collections without events and properties, to be removed with their names in a while."""
        with self._database.reading() as connection:
            return catalog_collections.freed_collections(connection)

    def remove_freed(self, collection_id: int) -> bool:
        """Forgets a collection that ``freed_collections`` tells. False where it was brought back."""
        with self._changing() as connection:
            return catalog_collections.remove_freed(connection, collection_id)

    def add_lanes(
        self, collection_id: int, wanted: Sequence[tuple[str, LaneKind]], properties_max: int
    ) -> Collection:
        """The collection with a lane for each wanted pair, committed. Other workers' lanes may be new too.

        ``properties_max`` bounds distinct paths. Raises TooManyProperties (then none is added),
        UnknownCollection.
        """
        current = self.collection_by_id(collection_id)
        if not current.schema.missing(wanted):
            return current
        with self._changing() as connection:
            current = catalog_collections.find_collection(connection, self._schemas, collection_id)
            schema = catalog_collections.append_lanes(connection, current, wanted, properties_max)
        return replace(current, schema=schema)

    def prune_lanes(self, collection_id: int, columns: Set[str], nulls: Set[str]) -> Collection:
        """The collection without the lanes that no event needs any more. What live files hold is read here;
        ``columns`` are those of events in no file yet, ``nulls`` all paths that an event, in a file or not,
        holds as an explicit null.

        Only the keeper may call this: what it reads of logs afterwards may hold lanes that are removed here,
        and then it adds them anew. Raises UnknownCollection.
        """
        with self._database.writing() as connection:
            current, changed = self._prune(connection, collection_id, columns, nulls)
            if changed:
                catalog_state.bump(connection)
        return current

    def _prune(
        self, connection: Connection, collection_id: int, columns: Set[str], nulls: Set[str]
    ) -> tuple[Collection, bool]:
        current = catalog_collections.find_collection(connection, self._schemas, collection_id)
        live = files.list_live(connection, collection_id)
        held = set(columns).union(*(file.columns for file in live))
        schema = catalog_collections.prune_lanes(connection, current, held, nulls)
        return replace(current, schema=schema), schema is not current.schema

    def lanes_versions(self) -> Mapping[int, int]:
        """Collection id → the version of its lanes, where some were added since some were last removed."""
        with self._database.reading() as connection:
            return catalog_collections.lanes_versions(connection)

    # Logs

    def create_log(self) -> int:
        """The id of a new, open log; committed."""
        with self._changing() as connection:
            return catalog_logs.create_log(connection, self._clock())

    def logs(self) -> list[LogRow]:
        with self._database.reading() as connection:
            return list(catalog_logs.list_logs(connection))

    def seal_log(self, log_id: int, end_lsn: int, last_claimed_ordinal: int | None) -> None:
        """Ends a log; claims of its ordinals after the last recovered one (None: of all) are void.

        Raises UnknownLog, LogConflict.
        """
        with self._changing() as connection:
            catalog_logs.seal_log(connection, log_id, end_lsn, last_claimed_ordinal)

    def remove_log(self, log_id: int) -> None:
        """Forgets a sealed log that is flushed to its end. Raises UnknownLog, LogConflict."""
        with self._changing() as connection:
            catalog_logs.remove_log(connection, log_id)

    def mend_log(
        self,
        log_id: int,
        end_lsn: int,
        last_claimed_ordinal: int | None,
        voids: Iterable[tuple[int, int]],
    ) -> None:
        """Ends a log where its repair ended it; see ``storage.catalog.stored.logs``.

        Raises UnknownLog, LogConflict.
        """
        with self._changing() as connection:
            catalog_logs.mend_log(connection, log_id, end_lsn, last_claimed_ordinal, voids)

    def losses(self) -> list[Loss]:
        """What repairs could not read."""
        with self._database.reading() as connection:
            return catalog_state.losses(connection)

    def add_losses(self, losses: Sequence[Loss]) -> None:
        """They are kept for ever; those known already are known once."""
        with self._database.writing() as connection:
            catalog_state.add_losses(connection, losses)

    # Claims: they never change what readers have cached

    def claim(self, claims: Sequence[Claim], now_us: int, ttl_us: int) -> list[Claim]:
        """For each entry the claim that holds its (scope, token): the entry itself, or an earlier one.

        Claims older than ``ttl_us`` give way. Of entries with one token the first counts.
        """
        if not claims:
            return []
        with self._database.writing() as connection:
            held_us = catalog_state.held_us(connection, now_us)
            return catalog_claims.claim(connection, claims, held_us - ttl_us)

    def claims_of(self, pairs: Iterable[tuple[str, str]]) -> Mapping[tuple[str, str], Claim]:
        """The claims that exist for these (scope, token) pairs, expired ones too."""
        with self._database.reading() as connection:
            return catalog_claims.claims_of(connection, pairs)

    def kept_tokens(self, project_id: str) -> int:
        """How many uniqueness tokens and idempotency keys of the project are kept."""
        with self._database.reading() as connection:
            return catalog_claims.kept_tokens(connection, project_id)

    def void_claims(self, log_id: int, ordinals: Sequence[int]) -> None:
        """Frees the tokens held by these ordinals of this log."""
        with self._database.writing() as connection:
            catalog_claims.void_claims(connection, log_id, ordinals)

    def purge_claims(self, before_us: int, limit: int) -> int:
        """Removes at most ``limit`` claims made before then, oldest first; returns how many."""
        with self._database.reading() as connection:
            if not catalog_claims.any_expired(connection, before_us):
                # Nobody else who writes has to wait for a look.
                return 0
        with self._database.writing() as connection:
            return catalog_claims.purge_claims(connection, before_us, limit)

    # Streaming out

    def streams(self) -> Mapping[int, tuple[Position, Batch | None]] | None:
        """Collection id → how far it was streamed, and what was planned and is perhaps not done.

        None where streaming was never begun.
        """
        with self._database.reading() as connection:
            return catalog_streams.find(connection) if catalog_streams.is_begun(connection) else None

    def begin_streams(self, positions: Mapping[int, Position]) -> None:
        """What these cover was there before; collections without one are streamed from their first event."""
        with self._database.writing() as connection:
            catalog_streams.begin(connection, positions)

    def settled(self, collection_id: int) -> Settled:
        """Raises UnknownCollection."""
        with self._database.reading() as connection:
            return catalog_streams.settled(connection, collection_id)

    def plan_stream(self, collection_id: int, position: Position, batch: Batch) -> None:
        """``position``: as it is, for a collection that has none yet."""
        with self._database.writing() as connection:
            catalog_streams.plan(connection, collection_id, position, batch)

    def end_stream(self, collection_id: int, position: Position) -> None:
        """What was planned is done."""
        with self._database.writing() as connection:
            catalog_streams.set_position(connection, collection_id, position)

    # Erasures

    def request_erasure(self, collection_id: int, kind: ErasureKind, parameters: Mapping[str, Any]) -> int:
        """The id of a request that the keeper will do, committed."""
        with self._changing() as connection:
            return erasures.request_erasure(connection, collection_id, kind, parameters, self._clock())

    def waiting_erasures(self) -> list[Erasure]:
        """Oldest first."""
        with self._database.reading() as connection:
            return erasures.waiting_erasures(connection)

    def erasure(self, erasure_id: int) -> Erasure | None:
        with self._database.reading() as connection:
            return erasures.find_erasure(connection, erasure_id)

    def last_erasure(self) -> int:
        """The id of the last request that was done; 0 before the first."""
        with self._database.reading() as connection:
            return erasures.last_erasure(connection)

    def last_erasure_us(self) -> int:
        """When the last request was done; 0 before the first."""
        with self._database.reading() as connection:
            return erasures.last_erasure_us(connection)

    def commit_erasure(
        self,
        erasure: Erasure,
        remove_ids: Sequence[int],
        add: Sequence[FileRow],
        *,
        erased: int,
        events: int,
        holders: Iterable[TokenHolder] = (),
        nulls: Set[str] = frozenset(),
        changed: bool = True,
    ) -> bool:
        """Swaps files and ends the request, at once. ``erased``: rows that are no more; ``events``: what the
        request is told; ``holders``: events that are no more, whose tokens are free again. Where nothing
        was ``changed``, no file is removed or added, and all that was computed from the collection stands.

        Names that no event holds any more are removed, of properties as of the collection: all that was read
        of the logs is in files. ``nulls`` are the paths that an event holds as an explicit null.

        False, and nothing changed, where a file or the request is not what it was. Raises as ``swap_files``.
        """
        with self._changing() as connection:
            now_us = self._clock()
            counts = Counts(0, -erased, 0, erased)
            swapped = not changed or files.swap_files(
                connection, erasure.collection_id, remove_ids, add, counts, now_us, changed=True
            )
            done = swapped and erasures.end_erasure(connection, erasure, now_us, events=events)
            if done:
                erasures.forget_claims(connection, holders)
                self._prune(connection, erasure.collection_id, frozenset(), nulls)
                catalog_collections.free_empty(connection, erasure.collection_id, now_us)
            else:
                connection.rollback()
            return done

    def free_tokens(self, holders: Iterable[TokenHolder]) -> None:
        """Of events that are about to be no more."""
        with self._database.writing() as connection:
            erasures.forget_claims(connection, holders)

    def fail_erasure(self, erasure: Erasure, problem: str) -> None:
        """Ends a request that can not be done."""
        with self._changing() as connection:
            erasures.end_erasure(connection, erasure, self._clock(), problem=problem)

    def forget_erasures(self, before_us: int) -> int:
        """Removes requests that ended before then; returns how many."""
        with self._database.writing() as connection:
            return erasures.forget_erasures(connection, before_us)

    def retentions(self) -> Mapping[int, int]:
        """Collection id → days, of those that keep events for so long only."""
        with self._database.reading() as connection:
            return erasures.retentions(connection)

    def retained(self) -> Mapping[int, int]:
        """Collection id → days, of those whose retention was carried out at least once since it was set."""
        with self._database.reading() as connection:
            return erasures.retained(connection)

    def note_retained(self, collection_id: int, days: int) -> None:
        """All events that were older when this retention was first carried out are gone."""
        with self._database.writing() as connection:
            erasures.note_retained(connection, collection_id, days)

    def purged_collections(self) -> set[int]:
        """Collections of purged projects that have events in files still."""
        with self._database.reading() as connection:
            return erasures.purged_collections(connection)

    def set_retention(self, collection_id: int, days: int | None) -> None:
        """None: events are kept for ever."""
        with self._changing() as connection:
            erasures.set_retention(connection, collection_id, days)

    def scrub(self) -> bool:
        """Write the catalog's own log into it and empty that: what was overwritten stands nowhere then.

        False where a reader holds it; it is to be tried again then.
        """
        return self._database.checkpoint()

    # Files

    def reserve_files(self, collection_id: int, n: int) -> list[int]:
        """Ids for files about to be written, committed before any of them exists. UnknownCollection."""
        with self._database.writing() as connection:
            return files.reserve_files(connection, collection_id, n, self._clock())

    def commit_flush(self, flush: FlushCommit) -> None:
        """The one commit point of a flush: files, log positions, counters and data versions.

        Raises, and changes nothing: FlushConflict (not the next flush; a file id given up; a collection
        deleted), LogConflict (a position goes back), CountsDisagree, UnknownCollection, UnknownLog.
        """
        with self._changing() as connection:
            files.commit_flush(connection, flush)

    def swap_files(
        self,
        collection_id: int,
        remove_ids: Sequence[int],
        add: Sequence[FileRow],
        counts: Counts | None = None,
    ) -> bool:
        """Replaces live files by others with as many rows, less what ``counts`` says was erased.

        False, and nothing changed, where any of them is not live any more. Raises CountsDisagree,
        FlushConflict, UnknownCollection.
        """
        with self._changing() as connection:
            swapped = files.swap_files(
                connection, collection_id, remove_ids, add, counts or Counts(), self._clock()
            )
            if not swapped:
                connection.rollback()
            return swapped

    def live_files(self, collection_id: int | None = None) -> list[FileRow]:
        """By id; of all collections where none is given."""
        with self._database.reading() as connection:
            return files.list_live(connection, collection_id)

    def set_aside(self, file_id: int, why: str | None) -> bool:
        """Marks a live file as damaged, or with None as sound again. False where it is so already, or not
        live."""
        with self._changing() as connection:
            return files.set_aside(connection, file_id, why)

    def damaged_files(self) -> list[FileRow]:
        """Live files that are set aside."""
        with self._database.reading() as connection:
            return files.damaged_files(connection)

    def unverified_file(self, before_us: int) -> FileRow | None:
        """The live file that was verified, or else written, the longest ago, where that was before then."""
        with self._database.reading() as connection:
            return files.unverified_file(connection, before_us)

    def verified(self, file_id: int) -> None:
        """The file's bytes are what was written, as of now. No version is bumped: nothing has changed."""
        with self._database.writing() as connection:
            files.verified(connection, file_id, self._clock())

    def mergeable(self) -> Mapping[int, int]:
        """Collection id → data version, of those with more than one live file."""
        with self._database.reading() as connection:
            return files.mergeable(connection)

    def dead_files(self, before_us: int) -> list[FileRow]:
        """Files that were replaced before then."""
        with self._database.reading() as connection:
            return files.dead_files(connection, before_us)

    def writing_files(self, before_us: int) -> list[ReservedFile]:
        """Files that were reserved before then and never became live."""
        with self._database.reading() as connection:
            return files.writing_files(connection, before_us)

    def forget_files(self, ids: Iterable[int]) -> int:
        """Removes the rows of dead and reserved files; live ones stay. Returns how many went."""
        with self._database.writing() as connection:
            return files.forget_files(connection, ids)

    def counters(self, collection_id: int) -> Counts:
        """Raises UnknownCollection."""
        with self._database.reading() as connection:
            return files.find_counters(connection, collection_id)

    def all_counters(self) -> Mapping[int, Counts]:
        """Collection id → its counts."""
        with self._database.reading() as connection:
            return files.all_counters(connection)

    def clock_mark(self) -> ClockMark | None:
        """What the keeper last told of the clock; None before it ever did."""
        with self._database.reading() as connection:
            return catalog_state.clock_mark(connection)

    def mark_clock(self, mark: ClockMark) -> None:
        with self._database.writing() as connection:
            catalog_state.mark_clock(connection, mark)

    def held_us(self, now_us: int) -> int:
        """The time by which data may be deleted for its age: now, or earlier where the clock has jumped."""
        with self._database.reading() as connection:
            return catalog_state.held_us(connection, now_us)

    def newest_moment_us(self) -> int:
        """Of all that was made and is known still; 0 where nothing is."""
        with self._database.reading() as connection:
            return catalog_state.newest_moment_us(connection)

    def flushed_number(self) -> int:
        """The number of the last flush; 0 before the first."""
        with self._database.reading() as connection:
            return catalog_state.read_state(connection)[1]

    # Saved queries

    def saved_queries(self, project_id: str) -> list[SavedQuery]:
        """By name."""
        with self._database.reading() as connection:
            return catalog_saved.list_saved(connection, project_id)

    def saved_query(self, project_id: str, name: str) -> SavedQuery | None:
        with self._database.reading() as connection:
            return catalog_saved.find_saved(connection, project_id, name)

    def saved_query_and_run(
        self, project_id: str, name: str, audience: str
    ) -> tuple[SavedQuery, SavedRun | None] | None:
        """A query and its last run for this audience, of one moment."""
        with self._database.reading() as connection:
            found = catalog_saved.find_saved(connection, project_id, name)
            if found is None:
                return None
            return found, catalog_saved.find_run(connection, found.id, audience)

    def refreshed_queries(self) -> list[SavedQuery]:
        """Saved queries of all projects whose results are kept, oldest first."""
        with self._database.reading() as connection:
            return catalog_saved.list_refreshed(connection)

    def put_saved_query(
        self, project_id: str, name: str, new_name: str, *, query: str, metadata: str, refresh_rate: int
    ) -> tuple[SavedQuery, bool]:
        """The query as it is now, and whether it was made; one that exists is replaced, and renamed.

        Raises UnknownProject, and DuplicateSavedQuery where the new name is another's.
        """
        with self._changing() as connection:
            return catalog_saved.put_saved(
                connection,
                project_id,
                name,
                new_name,
                query=query,
                metadata=metadata,
                refresh_rate=refresh_rate,
                now_us=self._clock(),
            )

    def remove_saved_query(self, project_id: str, name: str) -> list[str] | None:
        """The files of its results, which no run refers to any more; None where there is no such query."""
        with self._changing() as connection:
            found = catalog_saved.find_saved(connection, project_id, name)
            return None if found is None else catalog_saved.remove_saved(connection, found)

    def saved_runs(self, query_id: int | None = None) -> list[SavedRun]:
        """Of all queries where none is given."""
        with self._database.reading() as connection:
            return catalog_saved.list_runs(connection, query_id)

    def store_saved_run(self, run: SavedRun) -> str | None:
        """Enters a run, one that failed beside the last result. Returns the file of a result to which no run
        refers any more: the one before it, or its own where the query was changed meanwhile."""
        with self._changing() as connection:
            return catalog_saved.store_run(connection, run)

    def remove_saved_run(self, run: SavedRun) -> bool:
        """False where it is not the last run any more; then its file is not the caller's to remove."""
        with self._changing() as connection:
            return catalog_saved.remove_run(connection, run)

    # Dashboards

    def dashboards(self, project_id: str) -> list[Dashboard]:
        """By name."""
        with self._database.reading() as connection:
            return catalog_dashboards.list_all(connection, self.keyring, project_id)

    def dashboard(self, project_id: str, name: str) -> Dashboard | None:
        with self._database.reading() as connection:
            return catalog_dashboards.find(connection, self.keyring, project_id, name)

    def dashboard_document(self, project_id: str, name: str) -> str | None:
        """A JSON text."""
        with self._database.reading() as connection:
            return catalog_dashboards.document(connection, project_id, name)

    def put_dashboard(self, project_id: str, dashboard: Dashboard, document: str) -> bool:
        """Whether it was made; one that exists is replaced. Raises UnknownProject."""
        with self._changing() as connection:
            return catalog_dashboards.put(connection, self.keyring, project_id, dashboard, document)

    def describe_dashboard(self, project_id: str, dashboard: Dashboard) -> bool:
        """Replaces what is said of it, not the document. False where there is no such dashboard."""
        with self._changing() as connection:
            return catalog_dashboards.describe(connection, self.keyring, project_id, dashboard)

    def remove_dashboard(self, project_id: str, name: str) -> bool:
        """False where there is no such dashboard."""
        with self._changing() as connection:
            return catalog_dashboards.remove(connection, project_id, name)

    # Datasets

    def create_dataset(self, project_id: str, name: str, definition: str) -> Dataset:
        """Raises DuplicateDataset, UnknownProject."""
        with self._changing() as connection:
            return catalog_datasets.create(connection, project_id, name, definition, self._clock())

    def dataset(self, project_id: str, name: str) -> Dataset:
        """Raises UnknownDataset."""
        with self._database.reading() as connection:
            return catalog_datasets.find(connection, project_id, name)

    def datasets(self, project_id: str) -> list[Dataset]:
        """By name, without their files."""
        with self._database.reading() as connection:
            return catalog_datasets.list_datasets(connection, project_id)

    def all_datasets(self) -> list[Dataset]:
        """Of all projects, oldest first."""
        with self._database.reading() as connection:
            return catalog_datasets.list_all(connection)

    def delete_dataset(self, project_id: str, name: str) -> int:
        """Its id, whose folder is nobody's now. Raises UnknownDataset."""
        with self._changing() as connection:
            return catalog_datasets.remove(connection, project_id, name)

    def begin_dataset_run(self, dataset_id: int, status: DatasetStatus, now_us: int) -> None:
        with self._changing() as connection:
            catalog_datasets.begin_run(connection, dataset_id, status, now_us)

    def fail_dataset_run(self, dataset_id: int, status: DatasetStatus, message: str) -> None:
        """What was computed before stands."""
        with self._changing() as connection:
            catalog_datasets.fail_run(connection, dataset_id, status, message)

    def commit_dataset_run(self, run: DatasetRun) -> None:
        """Makes the run's files live in one transaction. Raises DatasetChanged."""
        with self._changing() as connection:
            catalog_datasets.commit_run(connection, run, self._clock())

    def end_dataset_files(self, dataset_id: int) -> None:
        """All of its files are to go, whether or not others can be made."""
        with self._changing() as connection:
            catalog_datasets.end_files(connection, dataset_id, self._clock())

    def reserve_dataset_file(self, dataset_id: int) -> int:
        """The id of a file about to be written, committed before it exists. Raises DatasetChanged."""
        with self._database.writing() as connection:
            return catalog_datasets.reserve_file(connection, dataset_id, self._clock())

    def forgettable_dataset_files(self, before_us: int, *, given_up: bool) -> list[tuple[int, int]]:
        """(file, dataset) of files replaced before then, and of all that were never finished where told."""
        with self._database.reading() as connection:
            return catalog_datasets.forgettable(connection, before_us, given_up=given_up)

    def forget_dataset_files(self, ids: Sequence[int]) -> None:
        with self._database.writing() as connection:
            catalog_datasets.forget_files(connection, ids)

    # Extractions that become files

    def create_export(
        self, new: NewExport, admit: Callable[[int, int, int], None] = lambda *_: None
    ) -> Export:
        """``admit`` is told what ``exports_held`` tells, of this very moment, and may raise.

        Raises UnknownProject.
        """
        with self._changing() as connection:
            admit(*catalog_exports.held(connection, new.project_id))
            return catalog_exports.create(connection, new, self._clock())

    def export(self, project_id: str, export_id: str) -> tuple[Export, tuple[int, int]] | None:
        """A job, and the generation and erase version of its collection, of one moment."""
        with self._database.reading() as connection:
            found = catalog_exports.find(connection, project_id, export_id)
            if found is None:
                return None
            return found, catalog_exports.moment(connection, project_id, found.collection)

    def exports(
        self,
        project_id: str,
        *,
        of: tuple[str, str] | None = None,
        before: int | None = None,
        limit: int | None = None,
    ) -> list[Export]:
        """Newest first. ``of``: of this key and audience; ``before``: with lesser numbers than this."""
        with self._database.reading() as connection:
            return catalog_exports.list_exports(connection, project_id, of=of, before=before, limit=limit)

    def exports_held(self, project_id: str) -> tuple[int, int, int]:
        """Of a project: jobs that wait or run, jobs in all, bytes of files."""
        with self._database.reading() as connection:
            return catalog_exports.held(connection, project_id)

    def moment(self, project_id: str, collection: str) -> tuple[int, int]:
        """The generation and erase version of a collection, be it there or not."""
        with self._database.reading() as connection:
            return catalog_exports.moment(connection, project_id, collection)

    def claim_export(self, claim: str, now_us: int, lease_us: int) -> Export | None:
        """The next job that nobody works at, now the claimant's until the lease ends."""
        with self._database.reading() as connection:
            if not catalog_exports.any_waits(connection, now_us):
                return None
        with self._database.writing() as connection:
            return catalog_exports.claim(connection, claim, now_us, lease_us)

    def progress_export(self, export: Export, events: int, total: int | None, lease_us: int) -> bool:
        """The claimant goes on. False where the job is not its own any more."""
        with self._database.writing() as connection:
            return catalog_exports.progress(connection, export, events, total, lease_us)

    def release_export(self, export: Export, *, forgiven: bool = False) -> bool:
        """The job waits again; ``forgiven``: the attempt is not counted."""
        with self._database.writing() as connection:
            return catalog_exports.release(connection, export, forgiven=forgiven)

    def finish_export(self, export: Export, file: ExportFile, now_us: int, expires_us: int) -> bool:
        """False, and nothing changed, where the job is not the claimant's any more, or events of its
        collection were taken away or changed since they were read."""
        with self._changing() as connection:
            return catalog_exports.finish(connection, export, file, now_us, expires_us)

    def fail_export(self, export: Export, message: str, now_us: int) -> bool:
        """False where the job is not the claimant's any more."""
        with self._changing() as connection:
            return catalog_exports.fail(connection, export, message, now_us)

    def outdated_exports(self) -> list[Export]:
        """With files of events of which some were taken away or changed since."""
        with self._database.reading() as connection:
            return catalog_exports.outdated(connection)

    def overdue_exports(self, now_us: int) -> list[Export]:
        """With files whose time is up."""
        with self._database.reading() as connection:
            return catalog_exports.overdue(connection, now_us)

    def expire_export(self, export: Export, message: str) -> bool:
        """The job has no file any more. False where it had none."""
        with self._changing() as connection:
            return catalog_exports.expire(connection, export, message)

    def export_files(self) -> set[str]:
        """The files that jobs refer to."""
        with self._database.reading() as connection:
            return catalog_exports.files(connection)

    def remove_export(self, export: Export) -> None:
        """Its file is the caller's to remove."""
        with self._changing() as connection:
            catalog_exports.remove(connection, export)

    def forget_exports(self, before_us: int) -> int:
        """Jobs that failed, or whose file went, before then; how many there were."""
        with self._database.writing() as connection:
            return catalog_exports.forget(connection, before_us)

    def mail_due(self, now_us: int, next_us: int) -> Export | None:
        """The next job to write a mail about, with the attempt counted; the next one is at ``next_us``."""
        with self._database.reading() as connection:
            if not catalog_exports.any_mail_waits(connection, now_us):
                return None
        with self._database.writing() as connection:
            return catalog_exports.mail_due(connection, now_us, next_us)

    def export_mailed(self, export: Export, state: MailState, at_us: int, message: str | None = None) -> None:
        """What became of the attempt; ``at_us``: when it was sent, or is tried next."""
        with self._database.writing() as connection:
            catalog_exports.mailed(connection, export, state, at_us, message)

    # Views

    def snapshot(self, project_id: str, names: Sequence[str]) -> Snapshot:
        """One moment: the logs, and these collections with their live files."""
        return self._snapshots.take(project_id, names)

    def get_meta(self, name: str) -> str | None:
        with self._database.reading() as connection:
            return catalog_state.get_meta(connection, name)

    def set_meta(self, name: str, value: str) -> None:
        with self._database.writing() as connection:
            catalog_state.set_meta(connection, name, value)

    @contextmanager
    def _changing_tenants(self) -> Iterator[Connection]:
        """A write to projects, organisations or keys."""
        with self._database.writing() as connection:
            catalog_state.bump_tenants(connection)
            yield connection

    @contextmanager
    def _changing(self) -> Iterator[Connection]:
        """A write that readers must notice."""
        with self._database.writing() as connection:
            catalog_state.bump(connection)
            yield connection
