"""A whole store in one process, for tests: a log writer per worker, a keeper stepped by hand, a reader."""

from __future__ import annotations

import threading
from array import array
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from storage.catalog.catalog import Catalog
from storage.catalog.stored.records import Collection
from storage.disk.file_system import FileSystem, LocalFileSystem
from storage.events.strict_decoder import Checker
from storage.events.validation import Context, EventLimits, examine
from storage.files.parquet import unmarked
from storage.keeper.keeper import Keeper, KeeperSettings
from storage.log.format import HAS_EMPTY, HAS_NULL, ROWWISE
from storage.log.writer import Batch, LogWriter, Section
from storage.paths import DataFolder
from storage.read.snapshot_reader import Reader
from storage.source import Source
from tests.support.catalogs import migrated

LIMITS = EventLimits()
ALWAYS = KeeperSettings(
    shred_seconds=0.0,
    housekeeping_seconds=0.0,
    grace_seconds=0.0,
    history_seconds=0.0,
    clock_hold_seconds=0.0,
    compaction=False,
)


class Store:
    """Acknowledges, flushes, restarts: the verbs of the storage tests."""

    def __init__(self, data: Path, fs: FileSystem | None = None) -> None:
        self.folder = DataFolder.at(data)
        self.fs = fs or LocalFileSystem()
        self.catalog = Catalog.prepare(migrated(data))
        self.project = self.catalog.projects.ensure_first()[0].id
        self.writers: list[LogWriter] = []
        self.keeper = self.new_keeper()
        self.reader = Reader(self.folder, self.catalog, self.fs)

    def new_keeper(self, settings: KeeperSettings = ALWAYS) -> Keeper:
        keeper = Keeper(self.folder, self.catalog, settings, fs=self.fs)
        keeper.begin()
        return keeper

    def writer(self) -> LogWriter:
        """One more worker's log."""

        def wake(waiters: list[Any], error: Exception | None) -> None:
            for done, failure in waiters:
                failure.append(error)
                done.set()

        log_id = self.catalog.logs.create()
        writer = LogWriter.create(self.fs, self.folder.root, log_id, on_synced=wake)
        self.writers.append(writer)
        return writer

    def send(
        self,
        name: str,
        events: Sequence[bytes],
        *,
        writer: LogWriter | None = None,
        time_us: int = 0,
        known: Collection | None = None,
    ) -> Collection:
        """Post a batch and wait for its acknowledgement; ``time_us`` is the default time of its events.

        ``known``: the collection as the worker remembers it. Returns it as it is remembered afterwards.
        """
        writer = writer or (self.writers[0] if self.writers else self.writer())
        collection = known or self.catalog.collections.ensure(self.project, name)
        found = [examine(event, LIMITS, Context()) for event in events]
        wanted = [pair for event in found for pair in event.wanted]
        if collection.schema.missing(wanted):
            collection = self.catalog.collections.add_lanes(collection.id, wanted, 1_000)
        flags = HAS_NULL * any(e.has_null for e in found) | HAS_EMPTY * any(e.has_empty for e in found)
        flags |= 0 if Checker(collection.schema, LIMITS).covers(wanted) else ROWWISE
        times = array("q", [time_us if e.timestamp_us is None else e.timestamp_us for e in found])
        section = Section(
            collection.id,
            collection.schema.version,
            len(found),
            0,
            flags,
            times.tobytes(),
            b"".join(e.payload + b"\n" for e in found),
        )
        self.append(Batch(time_us, [section]), writer)
        return collection

    def append(self, batch: Batch, writer: LogWriter | None = None, claimed: int | None = None) -> None:
        """Log a batch as it is, with reserved ordinals from ``claimed`` where told, and wait for its
        acknowledgement."""
        writer = writer or (self.writers[0] if self.writers else self.writer())
        done = threading.Event()
        failure: list[Exception | None] = []
        if claimed is None:
            writer.append(batch, (done, failure))
        else:
            writer.append_claimed(batch, (done, failure), claimed)
        assert done.wait(10)
        if failure[0] is not None:
            raise failure[0]

    def source(self, name: str) -> Source:
        return self.reader.source(self.project, name)

    def rows(self, name: str) -> list[dict[str, Any]]:
        """Every event of a collection as a query would see it, by ``keen.id``; empty cells left out."""
        return rows_of(self.source(name))

    def values(self, name: str, column: str) -> list[Any]:
        return [row.get(column) for row in self.rows(name)]

    def close(self) -> None:
        for writer in self.writers:
            writer.close()
        self.writers.clear()
        self.reader.close()
        self.keeper.close()
        self.catalog.close()


def rows_of(source: Source) -> list[dict[str, Any]]:
    """Every event of a source, by ``keen.id``; empty cells left out."""
    tables = [unmarked(pq.read_table(file.path, partitioning=None)) for file in source.files]
    if source.tail is not None:
        tables.append(source.tail)
    if not tables:
        return []
    table = pa.concat_tables(tables, promote_options="default").sort_by("keen.id")
    return [{k: v for k, v in row.items() if v is not None} for row in table.to_pylist()]
