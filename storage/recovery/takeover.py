"""Logs whose owners died: taken over before anybody asks, so that what they hold is counted.

After a power cut a log's position file may say anything; only adoption knows where the log ends.
"""

from __future__ import annotations

import logging
import shutil

from storage.catalog.catalog import Catalog
from storage.catalog.stored.records import LogRow, LogState
from storage.disk.file_system import FileSystem
from storage.disk.lock import FolderLock
from storage.log.segments import POSITION_NAME
from storage.log.writer import LogBusy, LogDamaged, LogPosition, adopt
from storage.paths import DataFolder
from storage.recovery import damage_marker

VOIDS_AT_ONCE = 1_000
LAST_ORDINAL = 2**63 - 1
SAVED_SUFFIX = ".saved"
"""Ends the name of a log's folder that a repair has not put in place yet."""

logger = logging.getLogger("acumen.recover")


def adopt_orphans(folder: DataFolder, catalog: Catalog, fs: FileSystem, *, pause_seconds: float = 0.0) -> int:
    """Adopt every open log without a living owner; how many there were.

    A damaged log is reported and left as it is: it holds up no other, and is not read again for a while.
    Raises OSError.
    """
    adopted = 0
    for row in catalog.logs.all():
        if row.state is not LogState.OPEN or not folder.log(row.id).exists():
            continue
        if not damage_marker.noted_within(folder, row.id, pause_seconds):
            adopted += _adopt(folder, catalog, fs, row)
    return adopted


def _adopt(folder: DataFolder, catalog: Catalog, fs: FileSystem, row: LogRow) -> bool:
    try:
        end = adopt(fs, folder.root, row.id)
    except LogBusy:
        return False
    except LogDamaged as found:
        logger.error("log %d can not be adopted: %s", row.id, found)
        damage_marker.note(folder, row.id, str(found))
        return False
    damage_marker.clear(folder, row.id)
    _seal(catalog, row.id, _not_before_flushed(end, row))
    logger.debug("adopted log %d, which ends at %d", row.id, end.lsn)
    return True


def _not_before_flushed(end: LogPosition, row: LogRow) -> LogPosition:
    """A log that is older than the catalog, put back from a copy, or a disk that lied: what is missing stands
    in files already, and so do the events of all claims."""
    if end.lsn >= row.flushed_lsn:
        return end
    logger.warning("log %d ends at %d, and was flushed through %d", row.id, end.lsn, row.flushed_lsn)
    return LogPosition(row.flushed_lsn, LAST_ORDINAL)


def _find_ends(folder: DataFolder, catalog: Catalog, fs: FileSystem) -> None:
    """A copy of a data folder has no positions, by which readers go: find them anew."""
    for row in catalog.logs.all():
        path = folder.log(row.id)
        if row.end_lsn is None or row.end_lsn <= row.flushed_lsn or not path.exists():
            continue
        if (path / POSITION_NAME).exists():
            continue
        try:
            end = _not_before_flushed(adopt(fs, folder.root, row.id), row)
        except LogDamaged as found:
            logger.error("log %d can not be read to its end: %s", row.id, found)
            damage_marker.note(folder, row.id, str(found))
            continue
        if end.lsn < row.end_lsn:
            logger.warning("log %d was copied before it ended: at %d of %d", row.id, end.lsn, row.end_lsn)
            catalog.logs.mend(row.id, end.lsn, end.token_ordinal, end.voids)


def _seal(catalog: Catalog, log_id: int, end: LogPosition) -> None:
    """Claims of events that never reached the log are void: another may have the token."""
    for low, high in end.voids:
        for first in range(low, high, VOIDS_AT_ONCE):
            catalog.claims.void(log_id, range(first, min(first + VOIDS_AT_ONCE, high)))
    catalog.logs.seal(log_id, end.lsn, end.token_ordinal)


def finish_repairs(folder: DataFolder) -> None:
    """Put in place, or away, what a repair that was broken off had saved. Raises OSError."""
    for saved in folder.logs.glob(f"*{SAVED_SUFFIX}"):
        place = saved.with_suffix("")
        if place.exists():
            # Not all of it may be there; the damaged log is still where it was.
            shutil.rmtree(saved)
        else:
            saved.rename(place)


def recover(folder: DataFolder, catalog: Catalog, fs: FileSystem) -> None:
    """Make ready for workers, with no other server on the folder: no chunks of an earlier keeper, which were
    never synced and may say anything after a power cut, nothing that killed processes left in the spool, and
    no log without an owner. Raises OSError."""
    lock = FolderLock(folder.keeper_lock)
    # Else the keeper of an import is at work, and these are its own.
    if lock.acquire():
        try:
            for path in folder.chunks.iterdir():
                path.unlink()
            for path in folder.spool.rglob("*"):
                if path.is_file():
                    path.unlink()
        finally:
            lock.release()
    finish_repairs(folder)
    _find_ends(folder, catalog, fs)
    adopt_orphans(folder, catalog, fs)
