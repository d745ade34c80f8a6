"""One consistent view of a collection, for a query: files, chunks and the raw rest of every log.

The order of reading is what makes it consistent. First the catalog, in one transaction: live files and
every log's ``flushed_lsn``. Then the keeper's manifest: chunks count only where they belong to the very
flush number of the catalog. Last the logs, up to the position their owners had published as synced:
whatever was acknowledged before the query began is below it.
"""

from __future__ import annotations

import logging
import sys
import threading
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace

import pyarrow as pa

from storage.catalog.catalog import Catalog
from storage.catalog.database.change_mark import Marks
from storage.catalog.database.versions import Area
from storage.catalog.stored.records import Collection
from storage.columns.arrow_chunks import ChunkManifest, ChunksDamaged, ManifestReader
from storage.columns.frame_pieces import CollectionPiece, pieces_of, read_rowwise, wanted_by
from storage.columns.shredder import Shredder
from storage.disk.file_system import FileSystem, LocalFileSystem
from storage.errors import StorageError
from storage.files.verification import Verifier
from storage.log.errors import LogUnreadable
from storage.log.format import Frame
from storage.log.writer import LogDamaged, LogReader, SegmentMissing
from storage.paths import DataFolder
from storage.recovery import damage_marker
from storage.schema import SYSTEM_TYPES, Schema
from storage.source import NOWHERE, Source

ATTEMPTS_MAX = 20
REST_BYTES_MAX = 1 << 30
"""Of what stands in logs alone: bytes of frames, and bytes of the table made of one collection's events."""
CELL_BYTES = 8
"""At least what a row of that table takes in each lane."""


TRUSTED_SECONDS = 1.0
"""How long the marks of the catalog are relied on: who dies between a write and its mark tells nobody."""

COMPLAINT_SECONDS = 60.0
"""Pause between two lines of the server's log about a damaged log, however many questions need it."""

logger = logging.getLogger("acumen.reader")


class SnapshotUnstable(StorageError):
    """Files and logs moved under every attempt to read them together. The server's fault; worth a retry."""


class TooMuchUnsettled(SnapshotUnstable):
    """More stands in the logs alone than a worker may take into its memory: the keeper is behind."""

    def __init__(self) -> None:
        super().__init__("More events wait to be settled than can be read together; please try again later.")


class DataUnreadable(SnapshotUnstable):
    """The disk refused to read a part. Nothing is answered from the others alone; worth a retry."""

    def __init__(self, error: OSError) -> None:
        super().__init__(f"The data can not be read now: {error}")


class _PartGone(Exception):
    """A part of the snapshot is gone: take a new one."""


@dataclass
class _Rest:
    """The frames of one log that are in no chunk yet, in order, kept between queries."""

    reader: LogReader
    frames: list[Frame] = field(default_factory=list)
    end_lsn: int = 0

    def frames_from(self, start_lsn: int) -> list[Frame]:
        """All synced frames from here on: those kept, and what has been synced since.

        Where reading fails, what is kept stays as it was.
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
    """Of the store: the versions of data and of what is derived, and how far each log is synced."""

    version: tuple[int, int]
    synced: tuple[tuple[int, int], ...]
    marks: Marks = field(default=(), compare=False)
    """Of all areas of the catalog, from before the versions were read."""
    looked: float = field(default=0.0, compare=False)
    """When that was, by the monotonic clock."""


class Reader:
    """Builds sources for one worker. Thread-safe."""

    def __init__(self, folder: DataFolder, catalog: Catalog, fs: FileSystem | None = None) -> None:
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
        self._held_logs: tuple[int, tuple[LogReader, ...]] | None = None

    def source(self, project_id: str, collection_name: str) -> Source:
        """A snapshot that holds every event acknowledged before this call, each once.

        Raises SnapshotUnstable where the parts moved faster than they could be read, LogUnreadable where
        a log is damaged: its events may be of this collection. DataUnreadable where the disk refuses.
        """
        for _ in range(ATTEMPTS_MAX):
            try:
                return self._attempt(project_id, collection_name)
            except (_PartGone, SegmentMissing, FileNotFoundError):
                self._forget()
            except ChunksDamaged:
                continue
            except LogDamaged as found:
                raise self._unreadable(found) from None
            except StorageError:
                raise
            except BaseException as error:
                # Nothing that was half read is gone on from.
                self._forget()
                if isinstance(error, OSError):
                    raise DataUnreadable(error) from error
                raise
        raise SnapshotUnstable("The data moved while it was being read; please try again.")

    def collection_names(self, project_id: str, limit: int) -> list[str]:
        """Of the project, those without events too."""
        return self._catalog.collections.names(project_id, limit)

    def moment(self) -> StoreVersion:
        """Where this is as it was, so is every source, and all that is derived. Costs some µs.

        Raises DataUnreadable.
        """
        try:
            return self._moment()
        except OSError as error:
            raise DataUnreadable(error) from error

    def _moment(self) -> StoreVersion:
        looked, marks = time.monotonic(), self._catalog.mark(*Area)
        _, data, derived = self._catalog.versions()
        held = self._held_logs
        if held is None or held[0] != data:
            known = {log.log_id: log for log in held[1]} if held is not None else {}
            ids = (log.id for log in self._catalog.logs.all())
            found = (known.get(i) or LogReader(self._fs, self._folder.root, i) for i in ids)
            self._held_logs = held = (data, tuple(found))
        return StoreVersion((data, derived), _positions(held[1]), marks, looked)

    def surely_stands(self, moment: StoreVersion, *, catalog_alone: bool = False) -> bool:
        """Whether shared memory tells that all is as it was at a moment that this reader gave. Never asks the
        catalog, so an event loop may call it; where it says False, ``moment`` tells."""
        looked_lately = time.monotonic() - moment.looked <= TRUSTED_SECONDS
        if not looked_lately or self._catalog.mark(*Area) != moment.marks:
            return False
        held = self._held_logs
        if catalog_alone:
            return True
        return held is not None and held[0] == moment.version[0] and _positions(held[1]) == moment.synced

    def close(self) -> None:
        self._shredder.close()

    def _attempt(self, project_id: str, name: str) -> Source:
        snapshot = self._catalog.snapshot(project_id, [name])
        if name not in snapshot.collections:
            return NOWHERE
        collection, files, aside = snapshot.collections[name]
        with self._lock:
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
                # Their columns may be those of other lanes than the snapshot's of these names.
                raise _PartGone
            pieces = self._with_lanes(collection, pieces)
            key = (
                collection.schema.version,
                tuple(chunk.name for chunk in chunks),
                tuple((p.piece.log_id, p.piece.first_ordinal) for p in pieces),
            )
            tail = self._tail(collection.id, key, manifest, collection.schema, pieces)
        erased = collection.erase_version
        if erased and not files and not aside and not (tail is not None and tail.num_rows):
            # All its events were taken away: there is no such collection until one comes again.
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

    def _with_lanes(self, collection: Collection, pieces: list[CollectionPiece]) -> list[CollectionPiece]:
        """The pieces, of which those that were logged before lanes were removed are read row by row, once all
        lanes that they need are there. Raises _Moved."""
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
        """Let go of what a flush has put into files: its chunks are deleted, and held by us alone."""
        if flushed_number != self._flushed_number:
            self._flushed_number = flushed_number
            self._tails.clear()

    def _manifest(self, flushed_number: int) -> ChunkManifest | None:
        """The keeper's manifest where it continues this very flush; None where it is behind."""
        manifest = self._manifests.read()
        if manifest is None or manifest.flush_number < flushed_number:
            return None
        if manifest.flush_number > flushed_number:
            raise _PartGone
        return manifest

    def _check_rest(self, starts: Mapping[int, int]) -> None:
        """Know of every log. Raises LogUnreadable, and TooMuchUnsettled before too much of them is read."""
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
            # The keeper was quicker than this query: its chunks hold lanes that the snapshot has not.
            raise _PartGone
        if len(self._tails) > 1_000:
            self._tails.clear()
        self._tails[collection_id] = (key, tail)
        return tail

    def _unreadable(self, found: LogDamaged) -> LogUnreadable:
        """Before the keeper comes to it. Says so once a minute."""
        now = time.monotonic()
        if now >= self._complain_at:
            self._complain_at = now + COMPLAINT_SECONDS
            logger.error("questions can not be answered, since a log is damaged: %s", found)
        return LogUnreadable(int(found.path.parent.name), str(found))

    def _forget(self) -> None:
        with self._lock:
            self._rests.clear()


def _positions(logs: Sequence[LogReader]) -> tuple[tuple[int, int], ...]:
    return tuple((log.log_id, log.synced().lsn) for log in logs)
