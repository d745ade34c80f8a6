"""Flushing chunks to Parquet files, with a single commit point.

Order: reserve ids in the catalog → write and sync files → sync their folders → one transaction that makes
the files live, advances every log's ``flushed_lsn`` and adds the counters. A failure before the commit leaves
the events in the logs, and files that garbage collection can find by their reserved ids.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import replace

import pyarrow as pa
import pyarrow.compute as pc

from storage.catalog.catalog import Catalog
from storage.catalog.stored.records import Collection, Counts, FileRow, FlushCommit
from storage.disk.durable_files import SyncedFiles, sync_removals
from storage.disk.file_system import FileSystem
from storage.files.parquet import Encoded, cut_by_time, encode, sort_by_time
from storage.paths import DataFolder, event_file
from storage.schema import CREATED_AT

logger = logging.getLogger("acumen.keeper")


class FileWriter:
    """Writes and syncs Parquet files of collections; they are not live before a commit."""

    def __init__(self, folder: DataFolder, catalog: Catalog, fs: FileSystem) -> None:
        self._folder = folder
        self._catalog = catalog
        self._fs = fs
        self._files = SyncedFiles(fs, folder.events)

    def write(self, collection: Collection, files: Sequence[tuple[str, Encoded]]) -> list[FileRow]:
        """Write files from (span label, content) pairs; their rows for the catalog.

        All files are synced on return. If writing fails, none is left.
        """
        ids = self._catalog.files.reserve(collection.id, len(files))
        rows: list[FileRow] = []
        try:
            for file_id, (label, content) in zip(ids, files, strict=True):
                path = event_file(
                    collection.project_id,
                    collection.name,
                    collection.id,
                    label,
                    file_id,
                )
                rows.append(_row(file_id, collection, label, path, content))
                self._files.write(self._folder.absolute(path), content.data.to_pybytes())
        except BaseException:
            self.discard(rows)
            raise
        return rows

    def discard(self, rows: Sequence[FileRow]) -> None:
        """Remove files that will never become live, so that repeated attempts do not fill the disk.

        Files that cannot be removed now are removed later, with those that were never finished.
        """
        paths = [self._folder.absolute(row.path) for row in rows]
        try:
            for path in paths:
                with suppress(FileNotFoundError):
                    self._fs.remove(path)
            sync_removals(self._fs, paths)
            self._catalog.files.forget([row.id for row in rows])
        except Exception:
            logger.exception("files of a failed write are left for later")


def _row(file_id: int, collection: Collection, label: str, path: str, content: Encoded) -> FileRow:
    return FileRow(
        id=file_id,
        collection_id=collection.id,
        span=label,
        path=path,
        rows=content.rows,
        bytes=content.data.size,
        sha256=content.sha256,
        min_us=content.min_us,
        max_us=content.max_us,
        columns=dict(content.columns),
        created_us=time.time_ns() // 1000,
    )


class Flusher:
    """Flushes all collections in one transaction."""

    def __init__(self, folder: DataFolder, catalog: Catalog, fs: FileSystem) -> None:
        self._catalog = catalog
        self._writer = FileWriter(folder, catalog, fs)

    def flush(
        self,
        number: int,
        positions: Mapping[int, int],
        tables: Mapping[int, Sequence[pa.Table]],
        collections: Mapping[int, Collection],
        counts: Mapping[int, Counts],
        ends: Mapping[int, tuple[int, int]],
    ) -> None:
        """Carry out flush ``number`` of these tables, which hold every event up to ``positions`` of each log,
        and to ``ends`` of its ordinals.

        Raises the errors of the disk and the catalog; then nothing has changed.
        """
        files: list[FileRow] = []
        try:
            for collection_id, parts in tables.items():
                collection = collections[collection_id]
                table = sort_by_time(pa.concat_tables(parts, promote_options="default"))
                contents = [(piece.label, encode(rows)) for piece, rows in cut_by_time(table)]
                arrived_us = pc.min(table.column(CREATED_AT).cast(pa.int64())).as_py()
                written = self._writer.write(collection, contents)
                files.extend(replace(file, arrived_us=arrived_us) for file in written)
            flush = FlushCommit(number, dict(positions), files, dict(counts), dict(ends))
            self._catalog.files.commit_flush(flush)
        except BaseException:
            # A commit may raise although it took effect.
            if self._catalog.files.flushed_number() < number:
                self._writer.discard(files)
            raise
