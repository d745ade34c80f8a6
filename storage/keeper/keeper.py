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
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field

import pyarrow as pa

from storage.catalog.catalog import Catalog
from storage.catalog.errors import UnknownCollection
from storage.catalog.stored.records import Collection, Counts, Erasure, ErasureKind, LogRow, LogState
from storage.columns.arrow_chunks import ChunkStore
from storage.columns.frame_pieces import CollectionPiece, pieces_of, read_rowwise, wanted_by
from storage.columns.shredder import FramePiece, Shredder
from storage.disk.failure_log import FailureLog
from storage.disk.file_system import FileSystem, LocalFileSystem
from storage.disk.lock import FolderLock
from storage.files.compaction import Compactor
from storage.files.deletion import CannotErase, Eraser, Matcher, match_nothing, needs_matcher
from storage.files.flush import Flusher
from storage.files.pruning import columns_of, nulls_in
from storage.keeper.held_clock import HeldClock
from storage.log.writer import Frame, LogDamaged, LogReader, SegmentMissing, delete_log, delete_through
from storage.paths import DataFolder
from storage.recovery import damage_marker
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
    housekeeping_seconds: float = 1.0
    claim_days: float = 31.0
    clock_hold_seconds: float = 3_600.0
    compaction: bool = True


@dataclass
class _LogProgress:
    """How far one log has been read."""

    reader: LogReader
    position: int
    resume: float = 0.0
    """When to try again, after the log could not be read."""
    damaged: bool = False


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
SPOOLED_SECONDS = 60.0
"""A spool file older than this was left by a process that died."""
HOUR_SECONDS, DAY_SECONDS = 3_600, 86_400
TURN_SECONDS = 5.0
"""Within this time after a deletion of events, every worker has begun a new segment."""
FORGET_SECONDS = 86_400.0
"""How long a completed deletion request stays in the catalog."""
FREED_SECONDS = 3_600.0
"""A collection without events is removed after this time. No worker uses a cached copy of it then, since
workers log no event by a cache entry older than ``OUTDATED_SECONDS`` of their collection cache."""
CLAIMS_AT_ONCE, CLAIM_STEPS, CLAIM_PAUSE_SECONDS = 500, 20, 0.005
"""Expired tokens removed per transaction, transactions per round of housekeeping, and the pause between."""
PRUNED_AT_ONCE = 500
"""Collections whose properties are checked after one flush."""
DAMAGED_SECONDS = 60.0
UNREADABLE_SECONDS = 1.0
"""Pauses before a log is read again that is damaged, or that the disk failed to read."""
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
        self._asked_version = -1
        self._retries: dict[int, tuple[float, int]] = {}
        """Requests that failed, though not by CannotErase: when each is tried again, how often it failed."""
        self._scrubs: list[float] = []
        self._retained: tuple[Mapping[int, int], int] = ({}, -1)
        self._retained_at = (-1, -1)
        self._pruned: dict[int, int] = {}
        """Collections whose lanes were checked, and the schema version then."""
        self._to_prune: list[tuple[int, int]] = []
        self._retaining: dict[int, tuple[int, int]] = {}
        """Waiting deletion requests made for retention: id → collection and days."""
        self._pruned_hour = self._freed_minute = -1
        self._freed: dict[int, float] = {}
        """Collections without events → when this process first saw them so, by the monotonic clock."""
        self._removal: tuple[list[int], dict[int, int]] = ([], {})
        """Collections to remove next, and the LSN up to which each log must be read before."""
        self._logs: dict[int, _LogProgress] = {}
        self._collections: dict[int, Collection] = {}
        self._generation = _Generation()
        self._flushed_number = -1
        self._housekept = 0.0
        self._stepped = 0.0
        self._waiting_since: float | None = None
        self._trims: list[tuple[float, int, int]] = []
        self._failures = FailureLog(logger, folder.root)

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
            self._prune(now)
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
        generation, positions = self._generation, self._positions()
        if generation.since is None:
            return False
        tables = {cid: self._chunks.tables(cid) for cid in self._chunks.collections}
        started = time.perf_counter()
        rows = self._chunks.rows
        self._flusher.flush(self._flushed_number + 1, positions, tables, self._collections, generation.counts)
        self._flushed_number += 1
        now = self._clock()
        self._chunks.clear(now)
        self._generation = _Generation()
        if len(self._collections) > COLLECTIONS_MAX:
            self._collections.clear()
        self._publish()
        self._trims.extend((now, log_id, lsn) for log_id, lsn in positions.items())
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
        self._logs = {}
        self._collections = {}
        now = self._clock()
        self._trims = [(now, row.id, row.flushed_lsn) for row in self._refresh_logs()]
        self._asked_version = -1
        self._held_clock.begin()
        self._scrubs = [now]
        self._publish()
        self._chunks.remove_strangers()
        self._remove_unknown_logs()

    def _refresh_logs(self) -> list[LogRow]:
        rows = self._catalog.logs.all()
        for row in rows:
            if row.id not in self._logs and self._folder.log(row.id).exists():
                reader = LogReader(self._fs, self._folder.root, row.id)
                self._logs[row.id] = _LogProgress(reader, row.flushed_lsn)
        for log_id in self._logs.keys() - {row.id for row in rows}:
            del self._logs[log_id]
        return rows

    def _positions(self) -> dict[int, int]:
        return {log_id: progress.position for log_id, progress in self._logs.items()}

    def _shred(self, *, force: bool) -> bool:
        """Read and shred newly synced frames if there are enough, or if they are old enough.

        True where any were read.
        """
        now = self._clock()
        behind = 0
        for progress in self._logs.values():
            if progress.resume <= now:
                behind += max(0, progress.reader.synced().lsn - progress.position)
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
        for progress in self._logs.values():
            for frame in self._frames(progress, now):
                for piece in pieces_of(frame):
                    schema_key = piece.collection_id, piece.lanes_version
                    if schema_key not in row_bytes:
                        row_bytes[schema_key] = self._row_bytes(*schema_key)
                        work.setdefault(piece.collection_id, [])
                    work[piece.collection_id].append(piece)
                    memory += piece.piece.count * row_bytes[schema_key]
                progress.position = frame.end_lsn
                read += frame.end_lsn - frame.lsn
                if read >= 2 * self._settings.shred_bytes or memory >= self._settings.flush_bytes:
                    break
        return work

    def _row_bytes(self, collection_id: int, lanes_version: int) -> int:
        """The least memory of a row: empty events of a collection with many lanes are small in the log."""
        collection = self._collection(collection_id, lanes_version)
        return 0 if collection is None else len(collection.schema.lanes) * CELL_BYTES

    def _frames(self, progress: _LogProgress, now: float) -> Iterator[Frame]:
        """The synced frames of a log. A damaged log ends at the damage and does not delay other logs."""
        synced = progress.reader.synced().lsn
        if synced <= progress.position or now < progress.resume:
            return
        log_id = progress.reader.log_id
        try:
            yield from progress.reader.read(progress.position, synced)
            if progress.damaged:
                progress.damaged = False
                damage_marker.clear(self._folder, log_id)
        except (LogDamaged, SegmentMissing) as error:
            progress.resume = now + DAMAGED_SECONDS
            progress.damaged = True
            damage_marker.note(self._folder, log_id, str(error))
            logger.error("a log is damaged; its events after the damage stay in the log: %s", error)
        except OSError as error:
            progress.resume = now + UNREADABLE_SECONDS
            self._failures.failed(f"Log {log_id} cannot be read now; it is tried again.", error)

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
        self._chunks.publish(self._flushed_number, self._positions())

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
        if erasure.id in self._retaining:
            self._catalog.retention.note_carried_out(*self._retaining.pop(erasure.id))
        # The old segments can be removed once the workers have begun new ones; the other traces of the events
        # are removed with the old files.
        for when in (now, now + TURN_SECONDS):
            self._trims.extend((when, log_id, lsn) for log_id, lsn in self._positions().items())
        self._scrubs.append(now)

    def _settle(self) -> None:
        """Flush everything synced before this call. Raises CannotErase where a log is damaged."""
        self._refresh_logs()
        targets = {log_id: progress.reader.synced().lsn for log_id, progress in self._logs.items()}
        while any(progress.position < targets.get(i, 0) for i, progress in self._logs.items()):
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
        for progress in self._logs.values():
            progress.resume -= seconds
        self._retries = {number: (when - seconds, n) for number, (when, n) in self._retries.items()}
        self._scrubs = [when - seconds for when in self._scrubs]
        self._trims = [(when - seconds, log_id, lsn) for when, log_id, lsn in self._trims]
        self._chunks.turn_back(seconds)

    def _adopt_orphans(self) -> None:
        adopt_orphans(self._folder, self._catalog, self._fs, pause_seconds=DAMAGED_SECONDS)
        self._refresh_logs()

    def _clean(self, now: float) -> None:
        grace = self._settings.grace_seconds
        self._chunks.collect(now, min(grace, CHUNK_GRACE_SECONDS))
        self._trim_segments(now, min(grace, SEGMENT_GRACE_SECONDS))
        self._remove_finished_logs()
        self._compactor.remove_dead(now, grace)
        trusted = self._held_clock.now()
        self._sweep_spool(min(trusted, time.time()))
        self._retain(trusted)
        self._remove_freed(now)
        self._scrub(now, grace)
        self._purge_claims(int((trusted - self._settings.claim_days * 86_400) * 1e6))

    def _purge_claims(self, before_us: int) -> None:
        """Remove old claims in batches with pauses, so that other catalog writers wait for one batch only."""
        for _ in range(CLAIM_STEPS):
            if self._catalog.claims.purge(before_us, CLAIMS_AT_ONCE) < CLAIMS_AT_ONCE:
                return
            time.sleep(CLAIM_PAUSE_SECONDS)

    def _sweep_spool(self, now: float) -> None:
        before = now - SPOOLED_SECONDS
        for path in self._folder.spool.rglob("*.ndjson"):
            with suppress(FileNotFoundError):
                if path.stat().st_mtime < before:
                    path.unlink()

    def _retain(self, now: float) -> None:
        """Request the deletion of events past their collection's retention, in whole UTC days, and of the
        events of purged projects. ``now`` is the time of ``HeldClock``."""
        moment = self._catalog.versions().data, int(now // HOUR_SECONDS)
        if moment == self._retained_at:
            return
        retention = self._catalog.retention.days()
        if (retention, int(now // HOUR_SECONDS)) == self._retained:
            self._retained_at = moment
            return
        today = int(now // DAY_SECONDS)
        waiting = {erasure.collection_id for erasure in self._catalog.erasures.waiting()}
        retained = self._catalog.retention.carried_out()
        for collection_id, days in retention.items():
            end_us = (today - days) * DAY_SECONDS * 1_000_000
            old = any(file.min_us < end_us for file in self._catalog.files.live(collection_id))
            # Where the setting is new, events that are in no file yet may be too old as well.
            if (old or retained.get(collection_id) != days) and collection_id not in waiting:
                number = self._catalog.erasures.request(collection_id, ErasureKind.EVENTS, {"end_us": end_us})
                self._retaining[number] = collection_id, days
        # Segments that a worker replaced later than expected, as on a full disk.
        self._trims.extend((now, row.id, row.flushed_lsn) for row in self._catalog.logs.all())
        # The deletion for a purge may have failed, or some events were in a log that could not be read then.
        for collection_id in self._catalog.collections.purged() - waiting:
            self._catalog.erasures.request(collection_id, ErasureKind.EVENTS, {})
        self._retained = (retention, int(now // HOUR_SECONDS))

    def _prune(self, now: float) -> None:
        """Remove properties that came only with events which were not stored in the end.

        Collections are selected once an hour. Some of them are checked after each flush, when almost all
        logged events are in files.
        """
        if int(now // HOUR_SECONDS) != self._pruned_hour:
            self._pruned_hour = int(now // HOUR_SECONDS)
            versions = self._catalog.collections.lanes_versions()
            self._to_prune = [item for item in versions.items() if self._pruned.get(item[0]) != item[1]]
        for collection_id, _ in self._to_prune[-PRUNED_AT_ONCE:]:
            del self._to_prune[-1]
            with suppress(UnknownCollection):
                self._prune_collection(collection_id)

    def _remove_freed(self, now: float) -> None:
        """Remove collections whose events were all deleted long ago.

        Events that workers may have logged since are read first, since they keep a collection.
        """
        minute = int(now // 60)
        if minute == self._freed_minute:
            return
        self._freed_minute = minute
        ids, targets = self._removal
        if any(progress.position < targets.get(log, 0) for log, progress in self._logs.items()):
            return
        for collection_id in ids:
            if collection_id not in self._generation.counts and self._catalog.collections.remove_freed(
                collection_id
            ):
                self._collections.pop(collection_id, None)
                self._pruned.pop(collection_id, None)
                self._scrubs.append(now)
        # The monotonic clock cannot be set, and like the workers it stops while the machine sleeps.
        elapsed = time.monotonic()
        freed = self._catalog.collections.freed()
        self._freed = {number: self._freed.get(number, elapsed) for number in freed}
        due = [number for number, since in self._freed.items() if elapsed - since >= FREED_SECONDS]
        synced = {log: progress.reader.synced().lsn for log, progress in self._logs.items()}
        self._removal = due[:PRUNED_AT_ONCE], synced

    def _prune_collection(self, collection_id: int) -> None:
        schema = self._catalog.collections.by_id(collection_id).schema
        files, tables = self._catalog.files.live(collection_id), self._chunks.tables(collection_id)
        nulls = nulls_in(self._folder, schema, files, tables)
        removable, _ = schema.unheld(columns_of(tables).union(*(file.columns for file in files)), nulls)
        if removable:
            schema = self._catalog.collections.prune_lanes(collection_id, columns_of(tables), nulls).schema
            self._collections.pop(collection_id, None)
        self._pruned[collection_id] = schema.version

    def _scrub(self, now: float, grace_seconds: float) -> None:
        """Remove the traces of deleted events from the catalog once the grace of their request is over."""
        due = [when for when in self._scrubs if now - when >= grace_seconds]
        if due and self._catalog.checkpoint():
            self._remove_outdated_backups()
            self._catalog.erasures.forget(int((self._held_clock.now() - FORGET_SECONDS) * 1e6))
            self._scrubs = [when for when in self._scrubs if now - when < grace_seconds]

    def _remove_outdated_backups(self) -> None:
        """Remove catalog copies from before a migration that are older than the last erasure.

        They hold tokens and queries about events erased since, and the files they list are gone by now.
        """
        erased_us = self._catalog.erasures.last_us()
        for path in self._folder.catalog_backups():
            if path.stat().st_mtime_ns // 1_000 <= erased_us:
                path.unlink(missing_ok=True)
                logger.info("%s is removed: events were erased since it was made", path.name)

    def _trim_segments(self, now: float, grace_seconds: float) -> None:
        remaining = []
        for when, log_id, lsn in self._trims:
            if now - when < grace_seconds:
                remaining.append((when, log_id, lsn))
            elif self._folder.log(log_id).exists():
                delete_through(self._fs, self._folder.root, log_id, lsn)
        self._trims = remaining

    def _remove_finished_logs(self) -> None:
        for row in self._catalog.logs.all():
            if row.state is LogState.SEALED and row.flushed_lsn == row.end_lsn:
                waiting = any(log_id == row.id for _, log_id, _ in self._trims)
                if not waiting:
                    self._logs.pop(row.id, None)
                    self._catalog.logs.remove(row.id)
                    delete_log(self._fs, self._folder.root, row.id)

    def _remove_unknown_logs(self) -> None:
        """Remove the folders of logs that are not in the catalog.

        A log's row is committed before its folder is created, so a folder without a row is of a finished log.
        """
        folders = [path for path in self._folder.logs.iterdir() if path.name.isdecimal()]
        known = {row.id for row in self._catalog.logs.all()}
        for path in folders:
            if int(path.name) not in known:
                delete_log(self._fs, self._folder.root, int(path.name))

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
