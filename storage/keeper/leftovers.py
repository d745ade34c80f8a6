"""Removes what flushes, deletions and ended processes leave behind, once nothing can need it any more."""

from __future__ import annotations

import logging
import time
from collections.abc import Iterable, Mapping
from contextlib import suppress

from storage.catalog.catalog import Catalog
from storage.catalog.stored.records import LogRow, LogState
from storage.disk.file_system import FileSystem
from storage.keeper.held_clock import HeldClock
from storage.keeper.log_follower import LogFollower
from storage.log.adoption import delete_log, delete_through
from storage.paths import DataFolder

_log = logging.getLogger("acumen.keeper")

SPOOLED_SECONDS = 60.0
"""A spool file older than this was left by a process that died."""
FORGET_SECONDS = 86_400.0
"""How long a completed deletion request stays in the catalog."""
CLAIMS_AT_ONCE, CLAIM_STEPS, CLAIM_PAUSE_SECONDS = 500, 20, 0.005
"""Expired tokens removed per transaction, transactions per round of housekeeping, and the pause between."""


class Leftovers:
    """Segments and logs, traces of deleted events in the catalog, spool files, expired claims."""

    def __init__(
        self, folder: DataFolder, catalog: Catalog, fs: FileSystem, clock: HeldClock, logs: LogFollower
    ) -> None:
        self._folder = folder
        self._catalog = catalog
        self._fs = fs
        self._clock = clock
        self._logs = logs
        self._trims: list[tuple[float, int, int]] = []
        """Since when segments of a log are no longer needed, the log, and the LSN before which they end."""
        self._scrubs: list[float] = []
        """When events were deleted whose traces are still in the catalog."""

    def begin(self, now: float, rows: Iterable[LogRow]) -> None:
        """Forget what was noted, and note that all flushed segments of these logs are no longer needed."""
        self._trims = [(now, row.id, row.flushed_lsn) for row in rows]
        self._scrubs = [now]

    def note_segments(self, when: float, lsns: Mapping[int, int]) -> None:
        """Note that the logs' segments up to these LSNs are no longer needed from ``when`` on."""
        self._trims.extend((when, log_id, lsn) for log_id, lsn in lsns.items())

    def note_deletion(self, when: float) -> None:
        """Note that the catalog may hold traces of events that were deleted then."""
        self._scrubs.append(when)

    def trim_segments(self, now: float, grace_seconds: float) -> None:
        """Delete segments whose grace is over."""
        remaining = []
        for when, log_id, lsn in self._trims:
            if now - when < grace_seconds:
                remaining.append((when, log_id, lsn))
            elif self._folder.log(log_id).exists():
                delete_through(self._fs, self._folder.root, log_id, lsn)
        self._trims = remaining

    def remove_finished_logs(self) -> None:
        """Remove logs that ended, were flushed to their end and have no segment in its grace."""
        for row in self._catalog.logs.all():
            if row.state is LogState.SEALED and row.flushed_lsn == row.end_lsn:
                waiting = any(log_id == row.id for _, log_id, _ in self._trims)
                if not waiting:
                    self._logs.forget(row.id)
                    self._catalog.logs.remove(row.id)
                    delete_log(self._fs, self._folder.root, row.id)

    def remove_unknown_logs(self) -> None:
        """Remove the folders of logs that are not in the catalog.

        A log's row is committed before its folder is created, so a folder without a row is of a finished log.
        """
        folders = [path for path in self._folder.logs.iterdir() if path.name.isdecimal()]
        known = {row.id for row in self._catalog.logs.all()}
        for path in folders:
            if int(path.name) not in known:
                delete_log(self._fs, self._folder.root, int(path.name))

    def scrub(self, now: float, grace_seconds: float) -> None:
        """Remove the traces of deleted events from the catalog once the grace of their request is over."""
        due = [when for when in self._scrubs if now - when >= grace_seconds]
        if due and self._catalog.checkpoint():
            self._remove_outdated_backups()
            self._catalog.erasures.forget(int((self._clock.now() - FORGET_SECONDS) * 1e6))
            self._scrubs = [when for when in self._scrubs if now - when < grace_seconds]

    def _remove_outdated_backups(self) -> None:
        """Remove catalog copies from before a migration that are older than the last erasure.

        They hold tokens and queries about events erased since, and the files they list are gone by now.
        """
        erased_us = self._catalog.erasures.last_us()
        for path in self._folder.catalog_backups():
            if path.stat().st_mtime_ns // 1_000 <= erased_us:
                path.unlink(missing_ok=True)
                _log.info("%s is removed: events were erased since it was made", path.name)

    def sweep_spool(self, now: float) -> None:
        """Delete files that shredding processes left when they died."""
        before = now - SPOOLED_SECONDS
        for path in self._folder.spool.rglob("*.ndjson"):
            with suppress(FileNotFoundError):
                if path.stat().st_mtime < before:
                    path.unlink()

    def purge_claims(self, before_us: int) -> None:
        """Remove old claims in batches with pauses, so that other catalog writers wait for one batch only."""
        for _ in range(CLAIM_STEPS):
            if self._catalog.claims.purge(before_us, CLAIMS_AT_ONCE) < CLAIMS_AT_ONCE:
                return
            time.sleep(CLAIM_PAUSE_SECONDS)

    def turn_back(self, seconds: float) -> None:
        """Adjust all recorded times to a clock that was set back."""
        self._scrubs = [when - seconds for when in self._scrubs]
        self._trims = [(when - seconds, log_id, lsn) for when, log_id, lsn in self._trims]
