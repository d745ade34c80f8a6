"""Consistent views of the catalog for queries, cached between queries."""

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
"""Limit of cached snapshots."""
COLLECTIONS_MAX = 4_096
"""Limit of collections whose decoded files are cached."""
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
    """Reads and caches snapshots; safe to use from several threads.

    A cached snapshot is valid as long as its logs and collections are unchanged, which is checked when the
    version of the catalog's data has changed. Of a changed collection only new files are read.
    """

    def __init__(self, database: Database, folder: DataFolder, schemas: SchemaCache) -> None:
        self._database = database
        self._folder = folder
        self._schemas = schemas
        self._lock = threading.Lock()
        self._snapshots: dict[tuple[str, tuple[str, ...]], tuple[int, Snapshot]] = {}
        """Each with the newest data version at which it is known to be current."""
        self._kept_files: dict[int, _KeptFiles] = {}

    def take(self, project_id: str, names: Sequence[str]) -> Snapshot:
        key = (project_id, tuple(names))
        with self._lock:
            seen, cached = self._snapshots.get(key, (-1, None))
        if cached is not None:
            if self._database.versions().data == seen:
                return cached
            version, witness = self._current_witness(project_id, names)
            if witness == _witness(cached):
                self._remember(key, version, cached)
                return cached
        with self._database.reading() as connection:
            snapshot = self._read(connection, project_id, names)
        self._remember(key, snapshot.version, snapshot)
        return snapshot

    def _current_witness(self, project_id: str, names: Sequence[str]) -> tuple[int, object]:
        """The data version, and the witness that a current snapshot would have (see ``_witness``)."""
        texts = sorted({name for name in names if is_text(name)})
        marks = ", ".join("?" * len(texts))
        [(version, number)], logs, collections = self._database.look(
            ("SELECT data_version, flushed_number FROM state", ()),
            (_LOGS, ()),
            (f"{_COLLECTIONS} AND name IN ({marks}) ORDER BY id", (project_id, *texts)),
        )
        return int(version), (number, logs, collections)

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
        collection_list = named_collections(connection, self._schemas, project_id, names)
        collections = {
            collection.name: self._with_files(connection, collection) for collection in collection_list
        }
        return Snapshot(version, flushed_number, logs, collections)

    def _with_files(self, connection: Connection, collection: Collection) -> CollectionFiles:
        kept = self._kept_files.get(collection.id)
        version = collection.data_version
        if kept is None or kept.version != version:
            kept = self._load(connection, collection.id, version, {} if kept is None else kept.by_id)
            with self._lock:
                if len(self._kept_files) >= COLLECTIONS_MAX:
                    self._kept_files.clear()
                self._kept_files[collection.id] = kept
        return CollectionFiles(collection, kept.files, kept.damaged)

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
            # Rows and counters change in one transaction, so the catalog itself is damaged, and results could
            # lack events.
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
    """A value that is equal for equal snapshots, of the columns that ``Snapshots._current_witness`` reads."""
    logs = [(log.id, log.state.value, log.flushed_lsn, log.end_lsn) for log in snapshot.logs]
    collections = sorted(
        (
            collection.id,
            collection.data_version,
            collection.erase_version,
            collection.schema.version,
            collection.schema.pruned,
            int(collection.freed),
        )
        for collection, *_ in snapshot.collections.values()
    )
    return snapshot.flushed_number, logs, collections
