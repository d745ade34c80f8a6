"""The keeper: the only process that turns logs into files.

It reads every log up to its published position, shreds each event once into chunks that the workers map,
flushes the chunks to Parquet in one catalog transaction, adopts logs whose owners died, compacts files, and
removes files that no query can be reading any more. The process that holds ``keeper.lock`` is the keeper; the
next keeper reads from the logs again whatever this one did not commit.
"""

from __future__ import annotations

import logging
import math
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field

import pyarrow as pa

from storage.catalog.catalog import Catalog
from storage.catalog.errors import UnknownCollection
from storage.catalog.stored.records import Collection, Counts, Erasure
from storage.columns.arrow_chunks import ChunkStore
from storage.columns.frame_pieces import CollectionPiece, ends_with, pieces_of, read_rowwise, wanted_by
from storage.columns.shredder import FramePiece, Shredder
from storage.disk.failure_log import FailureLog
from storage.disk.file_system import FileSystem, LocalFileSystem
from storage.disk.lock import FolderLock
from storage.files.compaction import Compactor
from storage.files.deletion import CannotErase, Eraser, Matcher, match_nothing, needs_matcher
from storage.files.flush import Flusher
from storage.keeper.freed_collections import FreedCollections
from storage.keeper.held_clock import HeldClock
from storage.keeper.lane_pruner import LanePruner
from storage.keeper.leftovers import Leftovers
from storage.keeper.log_follower import DAMAGED_SECONDS, LogFollower
from storage.keeper.partials_keeper import PartialsKeeper
from storage.keeper.retention import RetentionRequests
from storage.log.segments import TURN_SECONDS
from storage.paths import DataFolder
from storage.recovery.takeover import adopt_orphans

logger = logging.getLogger("acumen.keeper")


@dataclass(frozen=True, slots=True)
class KeeperSettings:
    """When to shred, flush and clean up; sizes are of Arrow data in memory."""

    flush_events: int = 250_000
    flush_bytes: int = 192 << 20
    flush_seconds: float = 30.0
    shred_seconds: float = 0.2
    shred_bytes: int = 8 << 20
    poll_seconds: float = 0.05
    retry_seconds: float = 1.0
    grace_seconds: float = 600.0
    history_seconds: float = 7 * 86_400.0
    housekeeping_seconds: float = 1.0
    claim_days: float = 31.0
    clock_hold_seconds: float = 3_600.0
    compaction: bool = True
    partials_bytes: int = 4 << 30


@dataclass
class _Generation:
    """The events shredded since the last flush."""

    counts: dict[int, Counts] = field(default_factory=dict)
    since: float | None = None

    def count(self, collection_id: int, stored: int, duplicates: int) -> None:
        before = self.counts.get(collection_id, Counts())
        self.counts[collection_id] = Counts(
            before.logged + stored + duplicates, before.stored + stored, before.duplicates + duplicates, 0
        )


CELL_BYTES = 8
"""Least memory of a row for each lane of its collection, with or without a value."""
COLLECTIONS_MAX = 10_000
"""Most collections that stay cached after a flush."""
CHUNK_GRACE_SECONDS = 5.0
SEGMENT_GRACE_SECONDS = 60.0
"""How long chunks and segments stay after they are no longer needed. The times are short, since under load
chunks alone take some hundred megabytes a second; a reader that misses one takes a new snapshot."""
SPOOL = "keeper"
EVER_US = 1 << 62
RETRY_SECONDS = (1.0, 2.0, 5.0, 15.0, 60.0)
"""Pauses before a failed request is tried again."""


class Keeper:
    """Runs in its own process, or step by step in tests: ``step`` does the work that is due and returns."""

    def __init__(
        self,
        folder: DataFolder,
        catalog: Catalog,
        settings: KeeperSettings | None = None,
        *,
        fs: FileSystem | None = None,
        clock: Callable[[], float] = time.time,
        matcher: Matcher | None = None,
    ) -> None:
        self._folder = folder
        self._catalog = catalog
        self._settings = settings or KeeperSettings()
        self._fs = fs or LocalFileSystem()
        self._clock = clock
        self._held_clock = HeldClock(catalog, clock, self._settings.clock_hold_seconds)
        self._shredder = Shredder(folder.spool / SPOOL)
        self._chunks = ChunkStore(folder.chunks, self._fs)
        self._flusher = Flusher(folder, catalog, self._fs)
        self._compactor = Compactor(folder, catalog, self._fs, clock)
        self._matches = matcher is not None
        self._eraser = Eraser(folder, catalog, self._fs, matcher or match_nothing)
        self._swapping = threading.Lock()
        """Locked while files are replaced: by a merge, or by a request that deletes or changes events."""
        self._failures = FailureLog(logger, folder.root)
        self._logs = LogFollower(folder, catalog, self._fs, self._failures)
        self._leftovers = Leftovers(folder, catalog, self._fs, self._held_clock, self._logs)
        self._retention = RetentionRequests(catalog)
        self._pruner = LanePruner(folder, catalog, self._chunks, self._forget_schema)
        self._partials = PartialsKeeper(folder, catalog, self._settings.partials_bytes)
        self._freed = FreedCollections(catalog, self._logs, self._forget_collection)
        self._asked_version = -1
        self._retries: dict[int, tuple[float, int]] = {}
        """Requests that failed, though not by CannotErase: when each is tried again, how often it failed."""
        self._collections: dict[int, Collection] = {}
        self._generation = _Generation()
        self._flushed_number = -1
        self._housekept = 0.0
        self._stepped = 0.0
        self._waiting_since: float | None = None

    def run(self, stop: threading.Event) -> None:
        """Run until ``stop``, then shred and flush everything synced. Waits for the keeper's lock first."""
        with self._lock(stop) as has_lock:
            if not has_lock:
                return
            self._clear_up()
            compacting = threading.Thread(target=self._compact_until, args=(stop,), daemon=True)
            if self._settings.compaction:
                compacting.start()
            begun = False
            while not stop.is_set():
                try:
                    if not begun:
                        self.begin()
                        begun = True
                    busy = self.step()
                except Exception as error:
                    self._failures.failed("The keeper failed a step and starts again from the logs.", error)
                    begun = False
                    stop.wait(self._settings.retry_seconds)
                    continue
                if not busy:
                    stop.wait(self._settings.poll_seconds)
            try:
                if not begun:
                    self.begin()
            except Exception as error:
                self._failures.failed("The keeper could not start; all events are still in the logs.", error)
                return
            self.finish()

    def _clear_up(self) -> None:
        """Remove unfinished files of a keeper that died: they may hold events that were deleted since.

        The lock ensures that no other process writes such files.
        """
        try:
            self._compactor.remove_unfinished(EVER_US)
            for path in (self._folder.spool / SPOOL).glob("*.ndjson"):
                path.unlink(missing_ok=True)
        except Exception:
            logger.exception("unfinished files of an earlier keeper could not be removed yet")

    def step(self) -> bool:
        """Shred, flush, and do housekeeping and requests as due. True where there was work."""
        now = self._clock()
        if now < self._stepped:
            self._turn_back(self._stepped - now)
        self._stepped = now
        if now - self._housekept >= self._settings.housekeeping_seconds:
            self._housekept = now
            self._keep_house(now)
        busy = self._shred(force=False)
        if self._flush_due(now):
            self.flush()
            self._pruner.step(now)
        return self._erase(now) or busy

    def finish(self) -> None:
        """Shred and flush everything synced. On a failure the events are still in the logs."""
        try:
            self._keep_house(self._clock())
            while self._shred(force=True):
                if self._flush_due(self._clock()):
                    self.flush()
            self.flush()
            self._keep_house(self._clock())
        except Exception as error:
            what = "The last flush failed; its events are read from the logs at the next start."
            self._failures.failed(what, error)

    def flush(self) -> bool:
        """Flush all chunks to files, in one transaction. False where there was nothing to flush."""
        generation, positions = self._generation, self._logs.positions()
        if generation.since is None:
            return False
        tables = {cid: self._chunks.tables(cid) for cid in self._chunks.collections}
        started = time.perf_counter()
        rows = self._chunks.rows
        number, ends = self._flushed_number + 1, self._logs.ends()
        self._flusher.flush(number, positions, tables, self._collections, generation.counts, ends)
        self._flushed_number += 1
        now = self._clock()
        self._chunks.clear(now)
        self._generation = _Generation()
        if len(self._collections) > COLLECTIONS_MAX:
            self._collections.clear()
        self._publish()
        self._leftovers.note_segments(now, positions)
        # Otherwise this process would keep the memory that Arrow caches for reuse while no events come in.
        pa.default_memory_pool().release_unused()
        self._failures.wrote()
        logger.debug("flushed %d events in %.2f s", rows, time.perf_counter() - started)
        return True

    @property
    def unflushed_events(self) -> int:
        """Events in chunks that are in no Parquet file yet. For any thread."""
        return self._chunks.rows

    def close(self) -> None:
        self._shredder.close()

    # Reading logs

    def begin(self) -> None:
        """Start from the flushed positions in the catalog. ``run`` calls this itself."""
        self._flushed_number = self._catalog.files.flushed_number()
        self._chunks.clear(self._clock())
        self._generation = _Generation()
        self._collections = {}
        self._leftovers.begin(self._clock(), self._logs.begin())
        self._asked_version = -1
        self._held_clock.begin()
        self._publish()
        self._chunks.remove_strangers()
        self._leftovers.remove_unknown_logs()

    def _shred(self, *, force: bool) -> bool:
        """Read and shred newly synced frames if there are enough, or if they are old enough.

        True where any were read.
        """
        now = self._clock()
        behind = self._logs.bytes_behind(now)
        if not behind:
            self._waiting_since = None
            return False
        if self._waiting_since is None:
            self._waiting_since = now
        waited = now - self._waiting_since
        if not force and behind < self._settings.shred_bytes and waited < self._settings.shred_seconds:
            return False
        self._waiting_since = None
        work = self._read(now)
        for collection_id, pieces in work.items():
            self._keep(collection_id, pieces, now)
        if work:
            self._publish()
        return bool(work)

    def _read(self, now: float) -> dict[int, list[CollectionPiece]]:
        """Read frames of all logs, up to the limits of one shredding: collection id → its pieces."""
        work: dict[int, list[CollectionPiece]] = {}
        row_bytes: dict[tuple[int, int], int] = {}
        read = memory = 0
        for progress in self._logs.all():
            for frame in self._logs.frames(progress, now):
                for piece in pieces_of(frame):
                    schema_key = piece.collection_id, piece.lanes_version
                    if schema_key not in row_bytes:
                        row_bytes[schema_key] = self._row_bytes(*schema_key)
                        work.setdefault(piece.collection_id, [])
                    work[piece.collection_id].append(piece)
                    memory += piece.piece.count * row_bytes[schema_key]
                progress.position = frame.end_lsn
                progress.ends = ends_with(progress.ends, frame)
                read += frame.end_lsn - frame.lsn
                if read >= 2 * self._settings.shred_bytes or memory >= self._settings.flush_bytes:
                    break
        return work

    def _row_bytes(self, collection_id: int, lanes_version: int) -> int:
        """The least memory of a row: empty events of a collection with many lanes are small in the log."""
        collection = self._collection(collection_id, lanes_version)
        return 0 if collection is None else len(collection.schema.lanes) * CELL_BYTES

    def _keep(self, collection_id: int, pieces: list[CollectionPiece], now: float) -> None:
        if self._generation.since is None:
            self._generation.since = now
        lanes_version = max(piece.lanes_version for piece in pieces)
        collection = self._collection(collection_id, lanes_version)
        if collection is None:
            # The collection has not even counters: the catalog is a restored copy, older than the logs.
            lost = sum(piece.piece.count for piece in pieces)
            logger.error("%d events are of collection %d, which does not exist", lost, collection_id)
            return
        nonempty = [piece for piece in pieces if piece.piece.count]
        stored = sum(piece.piece.count for piece in nonempty)
        self._generation.count(collection_id, stored, sum(piece.duplicates for piece in pieces))
        if nonempty:
            collection, frame_pieces = self._learn(collection, nonempty)
            table = self._shredder.shred(collection.schema, frame_pieces)
            self._chunks.add(collection_id, table, now, collection.schema.pruned)

    def _learn(
        self, collection: Collection, pieces: list[CollectionPiece]
    ) -> tuple[Collection, list[FramePiece]]:
        """The collection with all lanes of the pieces, and the pieces as they are to be shredded.

        The lanes are in the catalog already, unless they were removed since, or the catalog is a restored
        copy older than the logs. Then they are derived from the events and added.
        """
        schema = collection.schema
        doubtful = {
            id(piece)
            for piece in pieces
            if piece.lanes_version < schema.pruned or piece.lanes_version > schema.version
        }
        if doubtful:
            pairs = wanted_by(piece.piece for piece in pieces if id(piece) in doubtful)
            collection = self._catalog.collections.add_lanes(collection.id, pairs, sys.maxsize)
            self._collections[collection.id] = collection
        return collection, [
            read_rowwise(piece.piece) if id(piece) in doubtful else piece.piece for piece in pieces
        ]

    def _collection(self, collection_id: int, lanes_version: int) -> Collection | None:
        """The collection at this schema version or a later one; None where it does not exist."""
        known = self._collections.get(collection_id)
        if known is None or known.schema.version < lanes_version:
            try:
                known = self._catalog.collections.by_id(collection_id)
            except UnknownCollection:
                return None
            self._collections[collection_id] = known
        return known

    def _publish(self) -> None:
        self._chunks.publish(self._flushed_number, self._logs.positions(), self._logs.ends())

    def _flush_due(self, now: float) -> bool:
        since, settings = self._generation.since, self._settings
        if since is None:
            return False
        return (
            now - since >= settings.flush_seconds
            or self._chunks.rows >= settings.flush_events
            or self._chunks.bytes >= settings.flush_bytes
        )

    # Deleting and changing events

    def _erase(self, now: float) -> bool:
        """Carry out the waiting requests that are due. True where there were any."""
        version = self._catalog.versions().data
        again = min((when for when, _ in self._retries.values()), default=math.inf)
        if version == self._asked_version and now < again:
            return False
        waiting = self._catalog.erasures.waiting()
        if not self._matches:
            # Requests that need a matcher wait for a keeper that has one.
            waiting = [erasure for erasure in waiting if not needs_matcher(erasure)]
        due = [erasure for erasure in waiting if now >= self._retries.get(erasure.id, (0.0, 0))[0]]
        for erasure in due:
            try:
                self._settle()
                self._carry_out(erasure, now)
            except CannotErase as error:
                self._catalog.erasures.fail(erasure, str(error))
        unknown = self._retries.keys() - {erasure.id for erasure in waiting}
        for erasure_id in unknown:
            del self._retries[erasure_id]
        self._asked_version = version
        return bool(due)

    def _carry_out(self, erasure: Erasure, now: float) -> None:
        """Carry out a request. Raises CannotErase; after any other failure the request is tried again later,
        without delaying others."""
        started = time.perf_counter()
        try:
            with self._swapping:
                events = self._eraser.carry_out(erasure)
            # The collection's lanes may have changed.
            self._collections.pop(erasure.collection_id, None)
        except CannotErase:
            raise
        except Exception as error:
            what = f"Deletion or update {erasure.id} could not be carried out; it is tried again."
            self._failures.failed(what, error)
            failures = self._retries.get(erasure.id, (0.0, 0))[1]
            pause = RETRY_SECONDS[min(failures, len(RETRY_SECONDS) - 1)]
            self._retries[erasure.id] = now + pause, failures + 1
            return
        fields = {"events": events, "seconds": round(time.perf_counter() - started, 3), "request": erasure.id}
        logger.info("Events were deleted or changed, as requested.", extra={"fields": fields})
        self._retention.note_carried_out(erasure)
        # The old segments can be removed once the workers have begun new ones; the other traces of the events
        # are removed with the old files.
        for when in (now, now + TURN_SECONDS):
            self._leftovers.note_segments(when, self._logs.positions())
        self._leftovers.note_deletion(now)

    def _settle(self) -> None:
        """Flush everything synced before this call. Raises CannotErase where a log is damaged."""
        self._logs.refresh()
        targets = self._logs.synced()
        while not self._logs.is_past(targets):
            if not self._shred(force=True):
                raise CannotErase("A log cannot be read in full, so not every event can be reached now.")
            if self._flush_due(self._clock()):
                self.flush()
        self.flush()

    # Housekeeping

    def _keep_house(self, now: float) -> None:
        """Adopt logs and remove what is not needed. A failure is retried and does not stop flushes."""
        try:
            self._adopt_orphans()
            self._clean(now)
        except Exception as error:
            self._failures.failed("Removing what is no longer needed failed; it is tried again.", error)

    def _turn_back(self, seconds: float) -> None:
        """Adjust all recorded times to a clock that was set back, so that no wait becomes longer."""
        self._housekept -= seconds
        if self._waiting_since is not None:
            self._waiting_since -= seconds
        if self._generation.since is not None:
            self._generation.since -= seconds
        self._logs.turn_back(seconds)
        self._retries = {number: (when - seconds, n) for number, (when, n) in self._retries.items()}
        self._leftovers.turn_back(seconds)
        self._chunks.turn_back(seconds)

    def _adopt_orphans(self) -> None:
        adopt_orphans(self._folder, self._catalog, self._fs, pause_seconds=DAMAGED_SECONDS)
        self._logs.refresh()

    def _clean(self, now: float) -> None:
        grace = self._settings.grace_seconds
        self._chunks.collect(now, min(grace, CHUNK_GRACE_SECONDS))
        self._leftovers.trim_segments(now, min(grace, SEGMENT_GRACE_SECONDS))
        self._leftovers.remove_finished_logs()
        trusted, history = self._held_clock.now(), self._settings.history_seconds
        self._compactor.remove_dead(now, grace, history_seconds=history, trusted=trusted)
        self._partials.step(now)
        self._leftovers.sweep_spool(min(trusted, time.time()))
        if self._retention.request(trusted):
            # Segments that a worker replaced later than expected, as on a full disk.
            flushed = {row.id: row.flushed_lsn for row in self._catalog.logs.all()}
            self._leftovers.note_segments(now, flushed)
        self._remove_freed(now)
        self._leftovers.scrub(now, grace)
        self._leftovers.purge_claims(int((trusted - self._settings.claim_days * 86_400) * 1e6))

    def _remove_freed(self, now: float) -> None:
        self._freed.step(now, self._generation.counts)

    def _forget_schema(self, collection_id: int) -> None:
        self._collections.pop(collection_id, None)

    def _forget_collection(self, collection_id: int) -> None:
        """A collection was removed: its name may be a trace of its events."""
        self._forget_schema(collection_id)
        self._pruner.forget(collection_id)
        self._leftovers.note_deletion(self._clock())

    def _compact_until(self, stop: threading.Event) -> None:
        while not stop.wait(self._settings.housekeeping_seconds):
            try:
                while not stop.is_set() and self._merge():
                    pa.default_memory_pool().release_unused()
            except Exception as error:
                self._failures.failed("Merging files failed; the files it read are still there.", error)

    def _merge(self) -> bool:
        with self._swapping:
            return self._compactor.step()

    @contextmanager
    def _lock(self, stop: threading.Event) -> Iterator[bool]:
        """Wait for the keeper's lock; yields False where ``stop`` was set first."""
        lock = FolderLock(self._folder.keeper_lock)
        while not lock.acquire():
            if stop.wait(0.2):
                yield False
                return
        try:
            yield True
        finally:
            lock.release()
