"""Replacing the rows of one bucket of a derived collection, in one transaction.

A derived row has an id that begins with ``f``; ids of events that clients sent begin with the number of a
log, which is lower. So an event that was sent to the collection before it became an output is never replaced.
"""

from __future__ import annotations

import hashlib
import secrets
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc

from storage.catalog.catalog import Catalog
from storage.catalog.derived.pipeline_records import DerivedBucket
from storage.catalog.derived.pipelines import BucketCommit, CollectionChange
from storage.catalog.stored.records import Collection, FileRow
from storage.columns.arrow_lanes import Lanes
from storage.columns.shredder import FramePiece, event_ids
from storage.disk.file_system import FileSystem
from storage.errors import StorageError
from storage.files.flush import FileWriter
from storage.files.parquet import cut_by_time, encode, encode_parts, parts_of, repetitive_in, sort_by_time
from storage.paths import DataFolder
from storage.schema import CREATED_AT, EVENT_ID, TIMESTAMP, LaneKind

ATTEMPTS_MAX = 20
"""Most attempts to replace files that are merged meanwhile."""
DERIVED_LOG = 0xF0000000
"""Ids of derived rows name logs from this number on, which no log has."""


class BucketBusy(StorageError):
    """The files of the bucket changed during every attempt; worth a retry."""


class BucketFileDamaged(StorageError):
    """A file with rows of the bucket differs from what was written."""


@dataclass(frozen=True, slots=True)
class DerivedRows:
    """The rows of a bucket: their times, and their values by lane."""

    times: pa.Array
    """Timestamps in µs without a zone, within the bucket."""
    lanes: Lanes = field(default_factory=dict)


@dataclass(slots=True)
class _Replacement:
    rows: int
    remove: list[int] = field(default_factory=list)
    add: list[FileRow] = field(default_factory=list)
    rows_before: int = 0

    def change(self, collection_id: int) -> CollectionChange:
        return CollectionChange(collection_id, self.rows, self.remove, self.add, self.rows_before)


class BucketWriter:
    """Writes derived rows. Used by one thread at a time."""

    def __init__(self, folder: DataFolder, catalog: Catalog, fs: FileSystem) -> None:
        self._folder = folder
        self._catalog = catalog
        self._writer = FileWriter(folder, catalog, fs)

    def replace(
        self,
        pipeline_id: int,
        version: int,
        bucket: DerivedBucket,
        rows: Mapping[int, DerivedRows],
        accepted: Sequence[str],
        properties_max: int,
        also: Callable[[Any], None] | None = None,
    ) -> None:
        """Make these the bucket's rows, by collection, and record the bucket as it is given.

        ``accepted``: the digests of accepted rows that they were derived with; ``also``: as in BucketCommit.

        Raises PipelineChanged, TooManyProperties, BucketBusy, BucketFileDamaged, and the errors of the disk
        and the catalog; then nothing has changed.
        """
        tables: list[tuple[Collection, pa.Table]] = []
        for collection_id, some in rows.items():
            pairs = list(some.lanes)
            collection = self._catalog.collections.add_lanes(collection_id, pairs, properties_max)
            tables.append((collection, _table(collection, some, bucket)))
        for _ in range(ATTEMPTS_MAX):
            if self._attempt(pipeline_id, version, bucket, tables, accepted, also):
                return
        raise BucketBusy("It or its files were changed during every attempt to replace its rows.")

    def _attempt(
        self,
        pipeline_id: int,
        version: int,
        bucket: DerivedBucket,
        tables: Sequence[tuple[Collection, pa.Table]],
        accepted: Sequence[str],
        also: Callable[[Any], None] | None,
    ) -> bool:
        changes: list[tuple[Collection, _Replacement]] = []
        seen = self._catalog.pipelines.bucket(pipeline_id, bucket.start_us)
        try:
            for collection, table in tables:
                changes.append((collection, _Replacement(table.num_rows)))
                self._replace_in(changes[-1][1], collection, bucket, table)
            done_in = [one.change(collection.id) for collection, one in changes]
            commit = BucketCommit(pipeline_id, version, bucket, seen, done_in, accepted, also)
            done = self._catalog.pipelines.commit(commit)
        except FileNotFoundError:
            # A merge has replaced it, long enough ago that it is removed.
            done = False
        except BaseException:
            # A commit may raise although it took effect.
            for collection, one in changes:
                live = {file.id for file in self._catalog.files.live(collection.id)}
                if live.isdisjoint(file.id for file in one.add):
                    self._writer.discard(one.add)
            raise
        if not done:
            for _, one in changes:
                self._writer.discard(one.add)
        return done

    def _replace_in(
        self, change: _Replacement, collection: Collection, bucket: DerivedBucket, table: pa.Table
    ) -> None:
        """Write the files of the bucket's rows in one collection, and note which they replace."""
        for file in self._catalog.files.live(collection.id):
            if file.max_us >= bucket.start_us and file.min_us < bucket.end_us:
                self._without_bucket(change, collection, file, bucket)
        if table.num_rows:
            cut = cut_by_time(sort_by_time(table))
            change.add += self._writer.write(collection, [(one.label, encode(part)) for one, part in cut])

    def _without_bucket(
        self, change: _Replacement, collection: Collection, file: FileRow, bucket: DerivedBucket
    ) -> None:
        """Note how the file is replaced by one without the derived rows of the bucket."""
        content = self._folder.absolute(file.path).read_bytes()
        if hashlib.sha256(content).hexdigest() != file.sha256:
            raise BucketFileDamaged(
                f"The file {file.path} differs from what was written: 'acumen check' says more."
            )
        gone = sum(
            pc.sum(_of_bucket(part, bucket)).as_py() or 0 for part in parts_of(content, [EVENT_ID, TIMESTAMP])
        )
        if not gone:
            return
        change.remove.append(file.id)
        change.rows_before += gone
        if gone < file.rows:
            left = encode_parts(lambda: _parts_without(content, bucket), repetitive_in(content))
            assert left is not None
            change.add += self._writer.write(collection, [(file.span, left)])


def _of_bucket(part: pa.Table, bucket: DerivedBucket) -> pa.ChunkedArray:
    """Which rows are derived ones of the bucket."""
    times = part.column(TIMESTAMP).cast(pa.int64())
    within = pc.and_(pc.greater_equal(times, bucket.start_us), pc.less(times, bucket.end_us))
    return pc.and_(within, pc.starts_with(part.column(EVENT_ID), "f"))


def _parts_without(content: bytes, bucket: DerivedBucket) -> Iterator[pa.Table]:
    for part in parts_of(content):
        yield part.filter(pc.invert(_of_bucket(part, bucket)))


def _table(collection: Collection, rows: DerivedRows, bucket: DerivedBucket) -> pa.Table:
    """The rows as a file has them, with ids that no other row has."""
    count = len(rows.times)
    first = secrets.randbits(31) << 32
    piece = FramePiece(b"", count, b"", 0, DERIVED_LOG | secrets.randbits(28), first, 0)
    created = pa.scalar(bucket.changed_us, pa.int64()).cast(pa.timestamp("us"))
    columns = {
        TIMESTAMP: rows.times,
        CREATED_AT: pa.repeat(created, count),
        EVENT_ID: event_ids([piece]) if count else pa.array([], pa.string()),
    }
    columns |= dict(_lane_columns(collection, rows.lanes))
    return pa.table(columns)


def _lane_columns(collection: Collection, lanes: Lanes) -> Sequence[tuple[str, pa.ChunkedArray]]:
    by_pair: dict[tuple[str, LaneKind], str] = {
        (lane.path, lane.kind): lane.column for lane in collection.schema.lanes
    }
    return [(by_pair[pair], values) for pair, values in lanes.items()]
