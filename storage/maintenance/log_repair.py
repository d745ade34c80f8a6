"""``acumen repair``: replaces damaged logs by their readable frames, while no server runs.

Order: write and sync the readable frames under another name → record the losses in the catalog → move the
damaged log to ``quarantine/`` → move the saved log into its place → record its end in the catalog. An
interrupted repair is completed by the next one, or by the next start of the server.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path

from storage.catalog.catalog import Catalog
from storage.catalog.stored.records import LogRow, LogState, Loss
from storage.disk.file_system import FileSystem, LocalFileSystem
from storage.disk.lock import FolderLock
from storage.errors import StorageError
from storage.log.format import SegmentHeader
from storage.log.position import ClaimedOrdinals, LogPosition, PositionFile
from storage.log.salvage import Salvage, UnreadableRange, WholeFrame
from storage.log.segments import POSITION_NAME, create_segment
from storage.log.writer import LogBusy, LogDamaged, LogReader, SegmentMissing, adopt
from storage.paths import DataFolder
from storage.recovery.takeover import SAVED_SUFFIX, adopt_orphans, finish_repairs


class StillInUse(StorageError):
    """A server or an import is using the data folder."""


@dataclass
class Repaired:
    """The outcome for one damaged log. Frames and events that are already in files are not counted."""

    log_id: int
    frames: int = 0
    events: int = 0
    quarantine: Path | None = None
    losses: list[Loss] = field(default_factory=list)


def repair(folder: DataFolder, catalog: Catalog, fs: FileSystem | None = None) -> list[Repaired]:
    """Repair every log that cannot be read to its end. Raises StillInUse, OSError; after an OSError it may be
    called again."""
    fs = fs or LocalFileSystem()
    lock = FolderLock(folder.keeper_lock)
    if not lock.acquire():
        raise StillInUse("A keeper is at work on the data folder: stop the server, or wait for the import.")
    try:
        finish_repairs(folder)
        adopt_orphans(folder, catalog, fs)
        return [_mend(folder, catalog, fs, row) for row in catalog.logs.all() if _needs_it(folder, fs, row)]
    finally:
        lock.release()


def _needs_it(folder: DataFolder, fs: FileSystem, row: LogRow) -> bool:
    if row.state is LogState.OPEN:
        # An open log without a folder was never begun; logs that could be adopted have just been sealed.
        return folder.log(row.id).exists() and _is_orphan(folder, fs, row.id)
    assert row.end_lsn is not None
    try:
        for _ in LogReader(fs, folder.root, row.id).read(row.flushed_lsn, row.end_lsn):
            pass
    except (LogDamaged, SegmentMissing):
        return True
    return False


def _is_orphan(folder: DataFolder, fs: FileSystem, log_id: int) -> bool:
    """Whether the log is damaged and has no owner. Raises StillInUse where it has one."""
    try:
        adopt(fs, folder.root, log_id)
    except LogDamaged:
        return True
    except LogBusy as busy:
        raise StillInUse(f"{busy}: stop the server first.") from None
    return False


def _mend(folder: DataFolder, catalog: Catalog, fs: FileSystem, row: LogRow) -> Repaired:
    place = folder.log(row.id)
    saved = place.with_name(f"{row.id}{SAVED_SUFFIX}")
    outcome = Repaired(row.id, quarantine=_new_place(folder, row.id) if place.exists() else None)
    salvage = _salvage_of(folder, fs, row)
    end_lsn = _save(fs, saved, salvage, outcome)
    catalog.logs.add_losses(outcome.losses)
    if outcome.quarantine is not None:
        _set_aside(fs, place, outcome.quarantine)
    fs.rename(saved, place)
    fs.sync_directory(folder.logs)
    last = salvage.claims_end - 1 if salvage.claims_end_known else None
    catalog.logs.mend(row.id, end_lsn, last, salvage.voids)
    return outcome


def _salvage_of(folder: DataFolder, fs: FileSystem, row: LogRow) -> Salvage:
    directory = folder.log(row.id)
    confirmed, failed, key = LogPosition(), False, 0
    try:
        position = PositionFile(fs, directory / POSITION_NAME, row.id, writable=False)
    except (FileNotFoundError, ValueError):
        pass
    else:
        confirmed, failed, key = position.confirmed(), position.failed(), position.key()
        position.close()
    return Salvage(fs, directory, row.id, row.flushed_lsn, confirmed, failed, row.end_lsn, key)


def _save(fs: FileSystem, saved: Path, salvage: Salvage, outcome: Repaired) -> int:
    """Write the readable frames that are in no file yet as a log of one segment; the LSN where it ends.

    Ordinals, and with them ids and claims, stay unchanged.
    """
    log_id, base = salvage.log_id, salvage.flushed_lsn
    fs.make_directory(saved)
    end_lsn, fd = base, -1
    try:
        for piece in salvage.pieces():
            if isinstance(piece, UnreadableRange):
                outcome.losses += _losses(piece, outcome, base)
            elif piece.frame.end_lsn > base:
                if fd < 0:
                    fd = create_segment(
                        fs, saved, SegmentHeader(log_id, base, salvage.claims_end, salvage.key)
                    )
                fs.append(fd, bytes(piece.data))
                end_lsn += len(piece.data)
                _count(piece, outcome)
        if fd < 0:
            fd = create_segment(fs, saved, SegmentHeader(log_id, base, salvage.claims_end, salvage.key))
        fs.datasync(fd)
    finally:
        if fd >= 0:
            fs.close(fd)
    position = PositionFile(fs, saved / POSITION_NAME, log_id, writable=True)
    position.publish(end_lsn, ClaimedOrdinals(salvage.claims_end), whole=True)
    position.publish_key(salvage.key)
    position.make_durable()
    position.close()
    fs.sync_directory(saved)
    fs.sync_directory(saved.parent)
    return end_lsn


def _count(piece: WholeFrame, outcome: Repaired) -> None:
    outcome.frames += 1
    outcome.events += piece.frame.count


def _losses(hole: UnreadableRange, outcome: Repaired, flushed_lsn: int) -> Iterable[Loss]:
    """The losses of an unreadable range: its part that had not been flushed."""
    start = max(hole.start, flushed_lsn)
    if hole.end <= start:
        return []
    segment = ""
    if hole.path is not None and outcome.quarantine is not None:
        segment = f"quarantine/{outcome.quarantine.name}/{hole.path.name}"
    return [Loss(outcome.log_id, start, hole.end - start, segment, hole.offset + start - hole.start)]


def _new_place(folder: DataFolder, log_id: int) -> Path:
    folder.quarantine.mkdir(mode=0o700, exist_ok=True)
    number = 1
    while (place := folder.quarantine / f"log-{log_id}-{number}").exists():
        number += 1
    return place


def _set_aside(fs: FileSystem, place: Path, quarantine: Path) -> None:
    fs.rename(place, quarantine)
    fs.sync_directory(quarantine.parent)
    fs.sync_directory(quarantine.parent.parent)
    fs.sync_directory(place.parent)
