"""Taking over logs whose owners died, before the first query, so that their events are included.

After a power cut the content of a log's position file is arbitrary; only adoption finds the log's end.
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
"""Suffix of the folder of a repaired log that is not in its place yet."""

logger = logging.getLogger("acumen.recover")


def adopt_orphans(folder: DataFolder, catalog: Catalog, fs: FileSystem, *, pause_seconds: float = 0.0) -> int:
    """Adopt every open log without a living owner, and return their number.

    A damaged log is reported and left unchanged. It does not delay the others, and is not tried again within
    ``pause_seconds``. Raises OSError.
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
    except LogDamaged as error:
        logger.error("log %d cannot be adopted: %s", row.id, error)
        damage_marker.note(folder, row.id, str(error))
        return False
    damage_marker.clear(folder, row.id)
    _seal(catalog, row.id, _not_before_flushed(end, row))
    logger.debug("adopted log %d, which ends at %d", row.id, end.lsn)
    return True


def _not_before_flushed(end: LogPosition, row: LogRow) -> LogPosition:
    """The log's end, at least its flushed LSN.

    It may end before that if it is a restored copy older than the catalog, or if the disk lost synced data.
    The missing events are in files already, and so are the events of all claims.
    """
    if end.lsn >= row.flushed_lsn:
        return end
    logger.warning("log %d ends at %d, and was flushed through %d", row.id, end.lsn, row.flushed_lsn)
    return LogPosition(row.flushed_lsn, LAST_ORDINAL)


def _find_ends(folder: DataFolder, catalog: Catalog, fs: FileSystem) -> None:
    """Find the ends of logs without a position file, which readers need: copied data folders have none."""
    for row in catalog.logs.all():
        path = folder.log(row.id)
        if row.end_lsn is None or row.end_lsn <= row.flushed_lsn or not path.exists():
            continue
        if (path / POSITION_NAME).exists():
            continue
        try:
            end = _not_before_flushed(adopt(fs, folder.root, row.id), row)
        except LogDamaged as error:
            logger.error("log %d cannot be read to its end: %s", row.id, error)
            damage_marker.note(folder, row.id, str(error))
            continue
        if end.lsn < row.end_lsn:
            logger.warning("log %d was copied before it ended: at %d of %d", row.id, end.lsn, row.end_lsn)
            catalog.logs.mend(row.id, end.lsn, end.token_ordinal, end.voids)


def _seal(catalog: Catalog, log_id: int, end: LogPosition) -> None:
    """Mark a log as ended, and void the claims of events that never reached it: their tokens become free."""
    for low, high in end.voids:
        for first in range(low, high, VOIDS_AT_ONCE):
            catalog.claims.void(log_id, range(first, min(first + VOIDS_AT_ONCE, high)))
    catalog.logs.seal(log_id, end.lsn, end.token_ordinal)


def finish_repairs(folder: DataFolder) -> None:
    """Complete or discard what an interrupted repair had saved. Raises OSError."""
    for saved in folder.logs.glob(f"*{SAVED_SUFFIX}"):
        place = saved.with_suffix("")
        if place.exists():
            # The saved log may be incomplete; the damaged log is still in its place.
            shutil.rmtree(saved)
        else:
            saved.rename(place)


def recover(folder: DataFolder, catalog: Catalog, fs: FileSystem) -> None:
    """Prepare the data folder for workers, while no other server runs on it. Raises OSError.

    Removes the chunks of an earlier keeper, which were never synced and may be corrupt after a power cut, and
    spool files of killed processes; then finishes repairs and adopts logs without an owner.
    """
    lock = FolderLock(folder.keeper_lock)
    # If the lock is taken, the keeper of an import is running, and these files are its own.
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
