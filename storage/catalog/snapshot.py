"""One moment of the catalog as a query needs it, remembered between queries."""

from __future__ import annotations

import threading
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from sqlalchemy import Connection

from storage.catalog.database.connection import Database
from storage.catalog.errors import CatalogDamaged
from storage.catalog.state import read_state
from storage.catalog.stored.collections import named_collections
from storage.catalog.stored.files import files_by_id, find_counters, live_ids
from storage.catalog.stored.logs import list_logs
from storage.catalog.stored.records import Collection, CollectionFiles, Snapshot
from storage.catalog.stored.schemas import SchemaCache
from storage.catalog.tenants.names import is_text
from storage.paths import DataFolder
from storage.source import DataFile

SNAPSHOTS_MAX = 4_096
"""Snapshots that are kept."""
COLLECTIONS_MAX = 4_096
"""Collections whose files are kept decoded."""
_LOGS = "SELECT id, state, flushed_lsn, end_lsn FROM logs ORDER BY id"
_COLLECTIONS = (
    "SELECT id, data_version, erase_version, lanes_version, pruned_version, freed_us IS NOT NULL "
    "FROM collections WHERE project_id = ?"
)


@dataclass(frozen=True, slots=True)
class _KeptFiles:
    """A collection's live files at one data version."""

    version: int
    by_id: Mapping[int, DataFile]
    files: tuple[DataFile, ...]
    damaged: tuple[DataFile, ...]


class Snapshots:
    """Reads snapshots; safe to use from several threads.

    A snapshot holds for as long as its logs and collections are as they were read, which is looked at where
    the version of the catalog's data has changed; of a collection that changed only the files not seen before
    are read.
    """

    def __init__(self, database: Database, folder: DataFolder, schemas: SchemaCache) -> None:
        self._database = database
        self._folder = folder
        self._schemas = schemas
        self._lock = threading.Lock()
        self._snapshots: dict[tuple[str, tuple[str, ...]], tuple[int, Snapshot]] = {}
        """Each with the newest version as of which it is known to be right."""
        self._held: dict[int, _KeptFiles] = {}

    def take(self, project_id: str, names: Sequence[str]) -> Snapshot:
        key = (project_id, tuple(names))
        with self._lock:
            seen, known = self._snapshots.get(key, (-1, None))
        if known is not None:
            if self._database.versions().data == seen:
                return known
            version, witness = self._look(project_id, names)
            if witness == _witness(known):
                self._remember(key, version, known)
                return known
        with self._database.reading() as connection:
            snapshot = self._read(connection, project_id, names)
        self._remember(key, snapshot.version, snapshot)
        return snapshot

    def _look(self, project_id: str, names: Sequence[str]) -> tuple[int, object]:
        """The data's version, and what a snapshot that is right now would have for its witness."""
        wanted = sorted({name for name in names if is_text(name)})
        marks = ", ".join("?" * len(wanted))
        [(version, number)], logs, found = self._database.look(
            ("SELECT data_version, flushed_number FROM state", ()),
            (_LOGS, ()),
            (f"{_COLLECTIONS} AND name IN ({marks}) ORDER BY id", (project_id, *wanted)),
        )
        return int(version), (number, logs, found)

    def _remember(self, key: tuple[str, tuple[str, ...]], version: int, snapshot: Snapshot) -> None:
        with self._lock:
            if version < self._snapshots.get(key, (-1, None))[0]:
                return
            if len(self._snapshots) >= SNAPSHOTS_MAX:
                self._snapshots.clear()
            self._snapshots[key] = version, snapshot

    def _read(self, connection: Connection, project_id: str, names: Sequence[str]) -> Snapshot:
        version, flushed_number = read_state(connection)
        logs = list_logs(connection)
        found = named_collections(connection, self._schemas, project_id, names)
        collections = {collection.name: self._with_files(connection, collection) for collection in found}
        return Snapshot(version, flushed_number, logs, collections)

    def _with_files(self, connection: Connection, collection: Collection) -> CollectionFiles:
        held = self._held.get(collection.id)
        version = collection.data_version
        if held is None or held.version != version:
            held = self._load(connection, collection.id, version, {} if held is None else held.by_id)
            with self._lock:
                if len(self._held) >= COLLECTIONS_MAX:
                    self._held.clear()
                self._held[collection.id] = held
        return CollectionFiles(collection, held.files, held.damaged)

    def _load(
        self,
        connection: Connection,
        collection_id: int,
        version: int,
        known: Mapping[int, DataFile],
    ) -> _KeptFiles:
        ids = live_ids(connection, collection_id)
        read = files_by_id(connection, [file_id for file_id in ids if file_id not in known])
        by_id = {
            file_id: known[file_id] if file_id in known else read[file_id].data_file(self._folder.root)
            for file_id in ids
        }
        rows, stored = (
            sum(file.rows for file in by_id.values()),
            find_counters(connection, collection_id).stored,
        )
        if rows != stored:
            # Counted in one transaction, so the catalog's own bytes are damaged: answers would lack events.
            raise CatalogDamaged(
                f"By the catalog the live files of collection {collection_id} hold {rows} events, and "
                f"{stored} were stored: run 'acumen check'."
            )
        return _KeptFiles(
            version,
            by_id,
            tuple(file for file in by_id.values() if not ids[file.id]),
            tuple(file for file in by_id.values() if ids[file.id]),
        )


def _witness(snapshot: Snapshot) -> object:
    """Equal witnesses mean equal snapshots; made of the same columns as ``Snapshots._look`` reads."""
    logs = [(log.id, log.state.value, log.flushed_lsn, log.end_lsn) for log in snapshot.logs]
    collections = sorted(
        (
            one.id,
            one.data_version,
            one.erase_version,
            one.schema.version,
            one.schema.pruned,
            int(one.freed),
        )
        for one, *_ in snapshot.collections.values()
    )
    return snapshot.flushed_number, logs, collections
