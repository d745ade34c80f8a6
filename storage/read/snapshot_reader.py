"""Building a consistent view of a collection for a query: files, chunks and the unshredded rest of each log.

The order of reading makes it consistent. First the catalog, in one transaction: live files and every log's
``flushed_lsn``. Then the keeper's manifest: its chunks are used only if they belong to the catalog's flush
number. Last the logs, up to the positions that their owners had published as synced: everything that was
acknowledged before the query began is below those.
"""

from __future__ import annotations

import logging
import sys
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import TypeVar

import pyarrow as pa

from storage.catalog.catalog import Catalog
from storage.catalog.database.change_mark import Marks
from storage.catalog.database.versions import Area
from storage.catalog.stored.records import Collection, Snapshot
from storage.columns.arrow_chunks import ChunkManifest, ChunksDamaged, ManifestReader
from storage.columns.frame_pieces import (
    CollectionPiece,
    ends_with,
    pieces_of,
    read_rowwise,
    wanted_by,
)
from storage.columns.shredder import Shredder
from storage.disk.file_system import FileSystem, LocalFileSystem
from storage.errors import StorageError
from storage.files.verification import Verifier
from storage.instants import parse_instant
from storage.log.errors import LogUnreadable
from storage.log.format import Frame
from storage.log.writer import LogDamaged, LogReader, SegmentMissing
from storage.paths import DataFolder
from storage.read.past import PastReader, part_of
from storage.read.versions import PastUnavailable, Version, read_version
from storage.recovery import damage_marker
from storage.schema import SYSTEM_TYPES, Schema
from storage.source import NOWHERE, Source

T = TypeVar("T")
ATTEMPTS_MAX = 20
REST_BYTES_MAX = 1 << 30
"""Limit for events that are only in logs: bytes of frames, and bytes of one collection's table of them."""
CELL_BYTES = 8
"""Least bytes of a row of that table for each lane."""


_AREAS = (Area.TENANTS, Area.DATA, Area.DERIVED)
"""The areas on which answers depend."""
TRUSTED_SECONDS = 1.0
"""How long the catalog's marks are relied on: a process that dies after a write may not have marked it."""

COMPLAINT_SECONDS = 60.0
"""Pause between two log lines about a damaged log, however many queries need it."""

logger = logging.getLogger("acumen.reader")


class SnapshotUnstable(StorageError):
    """Files and logs changed during every attempt to read them together. A server error; worth a retry."""


class TooMuchUnsettled(SnapshotUnstable):
    """More events are only in logs than a worker may load into memory: the keeper is behind."""

    def __init__(self) -> None:
        super().__init__("More events wait to be settled than can be read together; please try again later.")


class DataUnreadable(SnapshotUnstable):
    """The disk failed to read a part, and queries are not answered from the rest alone. Worth a retry."""

    def __init__(self, error: OSError) -> None:
        super().__init__(f"The data cannot be read now: {error}")


class _PartGone(Exception):
    """A part of the snapshot is gone or does not match the others: take a new snapshot."""


@dataclass
class _Rest:
    """The frames of one log that are in no chunk yet, in order, cached between queries."""

    reader: LogReader
    frames: list[Frame] = field(default_factory=list)
    end_lsn: int = 0

    def frames_from(self, start_lsn: int) -> list[Frame]:
        """All synced frames from ``start_lsn`` on: the cached ones, and those synced since.

        If reading fails, the cache is unchanged.
        """
        frames, end_lsn = [frame for frame in self.frames if frame.lsn >= start_lsn], self.end_lsn
        if not frames or frames[0].lsn != start_lsn:
            frames, end_lsn = [], start_lsn
        synced = self.reader.synced().lsn
        if synced > end_lsn:
            frames.extend(self.reader.read(end_lsn, synced))
            end_lsn = synced
        self.frames, self.end_lsn = frames, end_lsn
        return frames


@dataclass(frozen=True, slots=True)
class StoreVersion:
    """The version of the whole store: of its data, of derived data, and how far each log is synced."""

    version: tuple[int, int]
    synced: tuple[tuple[int, int], ...]
    marks: Marks = field(default=(), compare=False)
    """The marks of all areas of the catalog, read before the versions."""
    looked: float = field(default=0.0, compare=False)
    """When the marks were read, by the monotonic clock."""


class Reader:
    """Builds sources for one worker. Thread-safe."""

    def __init__(
        self,
        folder: DataFolder,
        catalog: Catalog,
        fs: FileSystem | None = None,
        *,
        history_seconds: float = 7 * 86_400.0,
    ) -> None:
        """``history_seconds``: how long earlier versions can be read."""
        self._folder = folder
        self._catalog = catalog
        self._fs = fs or LocalFileSystem()
        self._manifests = ManifestReader(folder.chunks, self._fs)
        self._shredder = Shredder(folder.spool)
        self._rests: dict[int, _Rest] = {}
        self._tails: dict[int, tuple[object, pa.Table | None]] = {}
        self._flushed_number = -1
        self._lock = threading.Lock()
        self._complain_at = 0.0
        self.verify = Verifier(folder, catalog, self._fs)
        self.past = PastReader(folder, catalog, self.verify, history_seconds)
        self._cached_logs: tuple[int, tuple[LogReader, ...]] | None = None

    def source(self, project_id: str, collection_name: str) -> Source:
        """A snapshot with every event acknowledged before this call, each once.

        Raises SnapshotUnstable where the parts changed faster than they could be read, LogUnreadable where
        a log is damaged, since its events may be of this collection, DataUnreadable where the disk fails.
        """
        return self._steady(lambda: self._attempt(project_id, collection_name))

    def source_at(self, project_id: str, collection_name: str, version: Version) -> Source:
        """The events of an earlier version. Raises PastUnavailable, SourceGone, and as ``source`` does."""
        return self._steady(lambda: self._attempt_at(project_id, collection_name, version))

    def version(self, instant_us: int) -> Version:
        """The present version: with every event acknowledged before this call. Raises as ``source`` does."""
        return self._steady(lambda: self._attempt_version(instant_us))

    def named_version(self, text: str, now_us: int) -> Version:
        """The version that a client names: by its text, or by an instant. Raises PastUnavailable."""
        instant = parse_instant(text)
        if instant is not None:
            return self.past.resolve(instant, now_us)
        version = read_version(text)
        if version is None:
            raise PastUnavailable(
                "it is neither the version that an 'explain' named nor an instant, as 2026-01-31T12:00:00Z."
            )
        self.past.check(version, now_us)
        return version

    def _steady(self, attempt: Callable[[], T]) -> T:
        """The result of an attempt during which nothing moved."""
        for _ in range(ATTEMPTS_MAX):
            try:
                return attempt()
            except (_PartGone, SegmentMissing, FileNotFoundError):
                self._forget()
            except ChunksDamaged:
                continue
            except LogDamaged as error:
                raise self._unreadable(error) from None
            except StorageError:
                raise
            except BaseException as error:
                # Partly read state must not be continued from.
                self._forget()
                if isinstance(error, OSError):
                    raise DataUnreadable(error) from error
                raise
        raise SnapshotUnstable("The data moved while it was being read; please try again.")

    def arrived(self, project_id: str, collection_name: str, pieces: Sequence[CollectionPiece]) -> Source:
        """A source with no other events than these, of which those of other collections are left out.

        Raises SnapshotUnstable, and StorageError where the catalog cannot be read.
        """
        for _ in range(ATTEMPTS_MAX):
            collection = self._collection(project_id, collection_name)
            if collection is None:
                return NOWHERE
            own = [piece for piece in pieces if piece.collection_id == collection.id]
            if any(piece.lanes_version > collection.schema.version for piece in own):
                continue
            try:
                own = self._with_lanes(collection, own)
            except _PartGone:
                continue
            with self._lock:
                tail = self._shredder.shred(collection.schema, [one.piece for one in own]) if own else None
            return Source(
                collection.schema,
                tail=tail,
                collection_id=collection.id,
                erase_version=collection.erase_version,
            )
        raise SnapshotUnstable("The data moved while it was being read; please try again.")

    def collection_id(self, project_id: str, collection_name: str) -> int | None:
        """The id of a collection; None where there is none of this name."""
        collection = self._collection(project_id, collection_name)
        return None if collection is None else collection.id

    def _collection(self, project_id: str, name: str) -> Collection | None:
        found = self._catalog.snapshot(project_id, [name]).collections.get(name)
        return None if found is None else found.collection

    def collection_names(self, project_id: str, limit: int) -> list[str]:
        """The collections of a project, those without events too; at most ``limit``."""
        return self._catalog.collections.names(project_id, limit)

    def moment(self) -> StoreVersion:
        """The store's version: while it is equal, every source and all derived data is. Takes some µs.

        Raises DataUnreadable.
        """
        try:
            return self._moment()
        except OSError as error:
            raise DataUnreadable(error) from error

    def _moment(self) -> StoreVersion:
        looked, marks = time.monotonic(), self._catalog.mark(*_AREAS)
        _, data, derived, *_ = self._catalog.versions()
        cached = self._cached_logs
        if cached is None or cached[0] != data:
            known = {log.log_id: log for log in cached[1]} if cached is not None else {}
            ids = (log.id for log in self._catalog.logs.all())
            readers = (known.get(i) or LogReader(self._fs, self._folder.root, i) for i in ids)
            self._cached_logs = cached = (data, tuple(readers))
        return StoreVersion((data, derived), _positions(cached[1]), marks, looked)

    def surely_stands(self, moment: StoreVersion, *, catalog_alone: bool = False) -> bool:
        """Whether shared memory shows that the store is unchanged since ``moment``, from this reader.

        Never queries the catalog, so an event loop may call it. Where it returns False, only a new call of
        ``moment()`` shows whether anything changed.
        """
        is_recent = time.monotonic() - moment.looked <= TRUSTED_SECONDS
        if not is_recent or self._catalog.mark(*_AREAS) != moment.marks:
            return False
        known = self._cached_logs
        if catalog_alone:
            return True
        return known is not None and known[0] == moment.version[0] and _positions(known[1]) == moment.synced

    def open(self) -> None:
        """Prepares to shred what is in no chunk yet; otherwise the first source with such events does."""
        with self._lock:
            self._shredder.open()

    def close(self) -> None:
        self._shredder.close()

    def _attempt(self, project_id: str, name: str) -> Source:
        snapshot = self._catalog.snapshot(project_id, [name])
        if name not in snapshot.collections:
            return NOWHERE
        collection, files, aside = snapshot.collections[name]
        with self._lock:
            tail, key = self._unflushed(snapshot, collection)
        erased = collection.erase_version
        if erased and not files and not aside and not (tail is not None and tail.num_rows):
            # All its events were deleted: the collection does not exist until a new event comes.
            return replace(NOWHERE, collection_id=collection.id, erase_version=erased)
        return Source(
            collection.schema,
            files,
            tail,
            version=f"{collection.id}.{collection.data_version}.{hash(key):x}",
            collection_id=collection.id,
            erase_version=erased,
            damaged=aside,
            verify=self.verify,
        )

    def _unflushed(self, snapshot: Snapshot, collection: Collection) -> tuple[pa.Table | None, object]:
        """The collection's events that are in no file of the snapshot, and a key that is equal for the same.

        Raises _PartGone, LogUnreadable, TooMuchUnsettled, ChunksDamaged.
        """
        self._drop_flushed(snapshot.flushed_number)
        manifest = self._manifest(snapshot.flushed_number)
        starts = {log.id: log.flushed_lsn for log in snapshot.logs}
        if manifest is not None:
            starts |= {i: lsn for i, lsn in manifest.positions.items() if i in starts}
        self._check_rest(starts)
        pieces = list(self._pieces(starts, collection.id))
        if any(piece.lanes_version > collection.schema.version for piece in pieces):
            raise _PartGone
        chunks = manifest.collections.get(collection.id, []) if manifest is not None else []
        self._manifests.check(chunks)
        if any(chunk.pruned > collection.schema.pruned for chunk in chunks):
            # A column may be of another lane than the snapshot's column of the same name.
            raise _PartGone
        pieces = self._with_lanes(collection, pieces)
        key = (
            collection.schema.version,
            tuple(chunk.name for chunk in chunks),
            tuple((p.piece.log_id, p.piece.first_ordinal) for p in pieces),
        )
        return self._tail(collection.id, key, manifest, collection.schema, pieces), key

    def _attempt_version(self, instant_us: int) -> Version:
        state = self._catalog.history.state()
        with self._lock:
            manifest = self._manifest(state.flushed_number)
            flushed = {log.id: log.flushed_lsn for log in state.logs}
            starts, ends = dict(flushed), dict[int, tuple[int, int]]()
            if manifest is not None:
                starts |= {i: lsn for i, lsn in manifest.positions.items() if i in starts}
                ends = {i: manifest.ends[i] for i in starts if starts[i] > flushed[i] and i in manifest.ends}
            self._check_rest(starts)
            for log_id, rest in self._rests.items():
                for frame in rest.frames_from(starts[log_id]):
                    ends[log_id] = ends_with(ends.get(log_id, (0, 0)), frame)
        return Version(state.version, instant_us, ends)

    def _attempt_at(self, project_id: str, name: str, version: Version) -> Source:
        snapshot = self._catalog.snapshot(project_id, [name])
        if name not in snapshot.collections:
            return NOWHERE
        collection = snapshot.collections[name].collection
        part = self.past.part(collection.id, version)
        tables = list(part.tables)
        known = collection.schema.by_column.keys() | SYSTEM_TYPES.keys()
        if any(file.columns.keys() - known for file in part.files):
            # They have lanes that the snapshot lacks.
            raise _PartGone
        if not part.complete:
            with self._lock:
                tail, _ = self._unflushed(snapshot, collection)
            tables += part_of([] if tail is None else [tail], version)
            # A flush since the files were listed would have taken events from the tail.
            if self._catalog.files.flushed_number() != snapshot.flushed_number:
                raise _PartGone
        if not (part.files or part.damaged or tables):
            return replace(
                NOWHERE,
                collection_id=collection.id,
                erase_version=collection.erase_version,
                past=True,
                erased=part.erased,
            )
        return Source(
            collection.schema,
            part.files,
            pa.concat_tables(tables, promote_options="default") if tables else None,
            version=f"{collection.id}.at.{version}.{collection.erase_version}",
            collection_id=collection.id,
            erase_version=collection.erase_version,
            damaged=part.damaged,
            verify=self.verify,
            past=True,
            erased=part.erased,
        )

    def _with_lanes(self, collection: Collection, pieces: list[CollectionPiece]) -> list[CollectionPiece]:
        """The pieces, of which those logged before lanes were removed are flagged to be read row by row.

        Adds the lanes that they need, and then raises _PartGone for a snapshot with those lanes.
        """
        pruned = collection.schema.pruned
        outdated = [piece for piece in pieces if piece.lanes_version < pruned]
        if not outdated:
            return pieces
        missing = collection.schema.missing(wanted_by(piece.piece for piece in outdated))
        if missing:
            self._catalog.collections.add_lanes(collection.id, missing, sys.maxsize)
            raise _PartGone
        return [
            replace(piece, piece=read_rowwise(piece.piece)) if piece.lanes_version < pruned else piece
            for piece in pieces
        ]

    def _drop_flushed(self, flushed_number: int) -> None:
        """Drop the cached tails after a flush: only this cache keeps their deleted chunks open."""
        if flushed_number != self._flushed_number:
            self._flushed_number = flushed_number
            self._tails.clear()

    def _manifest(self, flushed_number: int) -> ChunkManifest | None:
        """The keeper's manifest for this flush number; None where it is behind. Raises _PartGone if ahead."""
        manifest = self._manifests.read()
        if manifest is None or manifest.flush_number < flushed_number:
            return None
        if manifest.flush_number > flushed_number:
            raise _PartGone
        return manifest

    def _check_rest(self, starts: Mapping[int, int]) -> None:
        """Prepare to read the rest of each log.

        Raises LogUnreadable, and TooMuchUnsettled where too much would have to be read.
        """
        for log_id in self._rests.keys() - starts.keys():
            del self._rests[log_id]
        waiting = 0
        for log_id, start in starts.items():
            if log_id not in self._rests:
                try:
                    self._fs.status(self._folder.log(log_id))
                except FileNotFoundError:
                    continue
                self._rests[log_id] = _Rest(LogReader(self._fs, self._folder.root, log_id))
            why = damage_marker.noted(self._folder, log_id, self._fs)
            if why is not None:
                raise LogUnreadable(log_id, why)
            waiting += max(0, self._rests[log_id].reader.synced().lsn - start)
        if waiting > REST_BYTES_MAX:
            raise TooMuchUnsettled

    def _pieces(self, starts: Mapping[int, int], collection_id: int) -> Iterator[CollectionPiece]:
        for log_id, rest in self._rests.items():
            for frame in rest.frames_from(starts[log_id]):
                for piece in pieces_of(frame):
                    if piece.collection_id == collection_id and piece.piece.count:
                        yield piece

    def _tail(
        self,
        collection_id: int,
        key: object,
        manifest: ChunkManifest | None,
        schema: Schema,
        pieces: Sequence[CollectionPiece],
    ) -> pa.Table | None:
        cached = self._tails.get(collection_id)
        if cached is not None and cached[0] == key:
            return cached[1]
        tables = []
        if manifest is not None:
            tables = self._manifests.tables(manifest.collections.get(collection_id, []))
        if pieces:
            rows = sum(piece.piece.count for piece in pieces)
            if rows * len(schema.lanes) * CELL_BYTES > REST_BYTES_MAX:
                raise TooMuchUnsettled
            tables = [*tables, self._shredder.shred(schema, [piece.piece for piece in pieces])]
        tail = pa.concat_tables(tables, promote_options="default") if tables else None
        if tail is not None and any(
            name not in schema.by_column and name not in SYSTEM_TYPES for name in tail.column_names
        ):
            # The keeper's chunks are newer than the snapshot: they have lanes that the snapshot lacks.
            raise _PartGone
        if len(self._tails) > 1_000:
            self._tails.clear()
        self._tails[collection_id] = (key, tail)
        return tail

    def _unreadable(self, damage: LogDamaged) -> LogUnreadable:
        """The error for damage that the keeper has not marked yet; logged once a minute."""
        now = time.monotonic()
        if now >= self._complain_at:
            self._complain_at = now + COMPLAINT_SECONDS
            logger.error("queries cannot be answered, since a log is damaged: %s", damage)
        return LogUnreadable(int(damage.path.parent.name), str(damage))

    def _forget(self) -> None:
        with self._lock:
            self._rests.clear()


def _positions(logs: Sequence[LogReader]) -> tuple[tuple[int, int], ...]:
    return tuple((log.log_id, log.synced().lsn) for log in logs)
