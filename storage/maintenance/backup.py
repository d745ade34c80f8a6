"""``acumen backup`` and ``acumen restore``: copying a data folder while a server may run on it, and back.

The log is copied first, then the catalog, then the Parquet files that the copied catalog lists. Events
flushed after the log was copied are in those files, so every event acknowledged before the backup began is in
it once. Superseded files are left out, since only earlier versions need them, and segments, since they hold
erased events. The manifest is written last; a copy without it is not a backup.
"""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Callable, Iterable
from dataclasses import asdict, dataclass
from itertools import pairwise
from pathlib import Path

from storage.catalog.catalog import Catalog
from storage.catalog.database import connection
from storage.catalog.errors import CatalogDamaged
from storage.catalog.stored.records import FileRow
from storage.disk.durable_files import make_folder, new_file, sha256_of
from storage.disk.file_system import FileSystem, LocalFileSystem, full_sync
from storage.disk.lock import holding
from storage.errors import StorageError
from storage.log.adoption import note_claims
from storage.log.errors import LogError
from storage.log.format import SegmentHeader
from storage.log.position import ClaimedOrdinals
from storage.log.segments import (
    DRAFT_SUFFIX,
    LOCK_NAME,
    POSITION_NAME,
    SegmentFile,
    create_segment,
    frames,
    list_segments,
    read_segment,
)
from storage.maintenance.integrity_check import Report, check
from storage.paths import DataFolder

MANIFEST = "BACKUP.json"
ATTEMPTS_MAX = 5
"""Attempts at a copy, which starts again if something was erased or removed meanwhile."""
READ_BYTES = 1 << 20
FILE_MODE = 0o600

Say = Callable[[str], None]


class BackupFailed(StorageError):
    """A backup or restore failed; the text says why and what would help."""


@dataclass(frozen=True, slots=True)
class BackupManifest:
    """The content of ``BACKUP.json``. ``last_erasure``: the last deletion or change that it includes."""

    taken_us: int
    files: int
    events: int
    bytes: int
    last_erasure: int


class _FileGone(Exception):
    """A file was removed while it was being copied: start the copy again."""


def back_up(
    folder: DataFolder,
    catalog: Catalog,
    target: Path,
    now_us: int,
    *,
    previous: Path | None = None,
    accept_damage: bool = False,
    say: Say,
) -> tuple[BackupManifest, Report]:
    """Copy the data folder into ``target``, and check the copy.

    Files of ``previous``, an earlier backup on the same disk, are linked instead of copied, since Parquet
    files never change. A damaged copy gets no manifest unless ``accept_damage`` is set. Raises BackupFailed,
    OSError.
    """
    if target.resolve().is_relative_to(folder.root.resolve()):
        raise BackupFailed(f"{target} is in the data folder itself: a backup belongs in another place.")
    copy = _new_folder(target)
    _check_room(catalog, target)
    for _ in range(ATTEMPTS_MAX):
        try:
            last_erasure = _copy(folder, catalog, copy, previous, say)
            break
        except _FileGone:
            say("The data moved while it was copied: the log and the catalog are copied again.")
    else:
        raise BackupFailed(f"Deletions and flushes came faster than copies, {ATTEMPTS_MAX} times: try again.")
    say("Checking the copy")
    copied = Catalog.open(copy.root)
    try:
        report = check(copy, copied)
    finally:
        copied.close()
    _tidy_catalog(copy)
    manifest = BackupManifest(now_us, report.files, report.rows + report.buffered, report.bytes, last_erasure)
    if report.sound or accept_damage:
        with new_file(copy.root / MANIFEST) as file:
            file.write(json.dumps(asdict(manifest), indent=1).encode() + b"\n")
    return manifest, report


def read_manifest(source: Path) -> BackupManifest:
    """Read a backup's manifest. Raises BackupFailed where the folder is not a finished backup."""
    try:
        return BackupManifest(**json.loads((source / MANIFEST).read_bytes()))
    except FileNotFoundError:
        raise BackupFailed(
            f"{source} is not a finished backup: it has no {MANIFEST}, which 'acumen backup' writes last."
        ) from None
    except (OSError, ValueError, TypeError) as error:
        raise BackupFailed(f"{source / MANIFEST} cannot be read: {error}") from None


def restore(
    source: Path, data: Path, *, secret_file: Path | None, accept_damage: bool = False, say: Say
) -> BackupManifest:
    """Check a backup and restore it to ``data``, which must be empty or not exist.

    The folder appears as a whole or not at all. Raises BackupFailed, OSError.
    """
    manifest = read_manifest(source)
    if data.exists() and any(data.iterdir()):
        raise BackupFailed(f"{data} is not empty: restore into a new folder, or give --replace.")
    say("Checking the backup")
    backup = Catalog.open(source)
    try:
        report = check(DataFolder.at(source), backup)
    finally:
        backup.close()
        _tidy_catalog(DataFolder.at(source))
    if not report.sound and not accept_damage:
        raise BackupFailed(f"The backup is damaged: {report.faults[0]} ({len(report.faults)} faults in all).")
    draft = data.absolute().with_name(data.name + ".restoring")
    shutil.rmtree(draft, ignore_errors=True)
    make_folder(draft)
    _copy_tree(source, draft, say)
    _end_access(DataFolder.at(draft), say, accept_damage=accept_damage)
    if secret_file is not None:
        with new_file(draft / "secret.key") as file:
            file.write(secret_file.read_bytes())
    LocalFileSystem().sync_directory(draft)
    if data.exists():
        data.rmdir()
    draft.rename(data)
    LocalFileSystem().sync_directory(data.absolute().parent)
    return manifest


def _end_access(draft: DataFolder, say: Say, *, accept_damage: bool) -> None:
    """End all sessions of the copy, and void its one-time links: some have ended or were used since,
    and nobody knows which."""
    copied = Catalog.open(draft.root)
    try:
        copied.sessions.end_everything()
    except CatalogDamaged as error:
        if not accept_damage:
            raise
        say(f"The sessions and links of the backup could not be ended: {error}")
    finally:
        copied.close()
    _tidy_catalog(draft)


def _copy_references(folder: DataFolder, copy: DataFolder) -> None:
    """Copy the reference tables of pipelines, which never change and are named by their content."""
    if not folder.references.is_dir():
        return
    make_folder(copy.references)
    for path in sorted(folder.references.glob("*.parquet")):
        if not (copy.references / path.name).exists():
            with new_file(copy.references / path.name) as file:
                file.write(path.read_bytes())


def _copy_sources(folder: DataFolder, copy: DataFolder) -> None:
    """Copy what sources have read and is not stored in full. Raises OSError."""
    shutil.rmtree(copy.sources, ignore_errors=True)
    make_folder(copy.sources)
    for path in sorted(folder.sources.glob("*.events")):
        try:
            data = path.read_bytes()
        except FileNotFoundError:
            # Of a source that was removed, or not recorded yet.
            continue
        with new_file(copy.sources / path.name) as file:
            file.write(data)


def _copy(folder: DataFolder, catalog: Catalog, copy: DataFolder, previous: Path | None, say: Say) -> int:
    """Make one attempt at the whole copy; the last erasure that it includes. Raises _FileGone."""
    erased_before = catalog.erasures.last()
    shutil.rmtree(copy.logs, ignore_errors=True)
    copy.catalog.unlink(missing_ok=True)
    with new_file(copy.format_stamp) as file:
        file.write(folder.format_stamp.read_bytes())
    # What sources store meanwhile may be in no copy of the log: the copied catalog must not count it.
    with holding(folder.sources_lock):
        say("Copying the log")
        _copy_logs(folder, copy)
        say("Copying the catalog")
        connection.back_up(folder.catalog, copy.catalog)
        _copy_sources(folder, copy)
    copied = Catalog.open(copy.root)
    try:
        if copied.erasures.last() != erased_before:
            raise _FileGone
        copied.history.forget_all()
        _drop_flushed_segments(copy, copied)
        _copy_files(folder, copy, copied.files.live(), previous, say)
        _copy_references(folder, copy)
    finally:
        copied.close()
    for path in (copy.chunks, copy.results, copy.exports, copy.imports, copy.spool, copy.tmp, copy.events):
        make_folder(path)
    _tidy_catalog(copy)
    return erased_before


def _tidy_catalog(copy: DataFolder) -> None:
    """Remove the files that opening a copy's catalog left beside it."""
    for path in copy.root.glob("catalog.sqlite-*"):
        if path.name.endswith("-shm") or path.stat().st_size == 0:
            path.unlink()
    copy.migrate_lock.unlink(missing_ok=True)
    LocalFileSystem().sync_directory(copy.root)


def _copy_logs(folder: DataFolder, copy: DataFolder) -> None:
    """Copy the segments to their current ends. Positions are left out, since they change during the copy."""
    make_folder(copy.logs)
    for log in sorted(folder.logs.iterdir()):
        target = copy.logs / log.name
        make_folder(target)
        try:
            for path in sorted(log.iterdir()):
                if path.name not in (POSITION_NAME, LOCK_NAME) and path.suffix != DRAFT_SUFFIX:
                    _copy_file(path, target / path.name)
        except FileNotFoundError:
            raise _FileGone from None
        LocalFileSystem().sync_directory(target)
    LocalFileSystem().sync_directory(copy.logs)


def _drop_flushed_segments(copy: DataFolder, catalog: Catalog) -> None:
    """Remove the part of the logs that is in files by the copied catalog: it may hold erased events."""
    flushed = {row.id: row.flushed_lsn for row in catalog.logs.all()}
    for log in copy.logs.iterdir():
        if int(log.name) not in flushed:
            shutil.rmtree(log)
            continue
        fs, lsn = LocalFileSystem(), flushed[int(log.name)]
        for segment in _ended_before(list_segments(fs, log), lsn):
            segment.path.unlink()
        _drop_flushed_frames(fs, log, lsn)
        fs.sync_directory(log)


def _drop_flushed_frames(fs: FileSystem, log: Path, lsn: int) -> None:
    """Make the first remaining segment begin at ``lsn``, up to which all events are in files.

    A segment of an older server, or a damaged one, stays unchanged; the check of the copy reports damage.
    """
    first = next(iter(list_segments(fs, log)), None)
    if first is None or first.base >= lsn:
        return
    try:
        header, data = read_segment(fs, first, int(log.name), first.base, None)
        end = first.base + len(data)
        claims = ClaimedOrdinals(header.claimed)
        for frame in frames(first, header, data, first.base, min(lsn, end)):
            note_claims(claims, frame)
    except LogError:
        return
    if not header.key:
        return
    if end >= lsn:
        rest = SegmentHeader(header.log_id, lsn, claims.end, header.key)
        descriptor = create_segment(fs, log, rest)
        fs.append(descriptor, bytes(data[lsn - first.base :]))
        fs.datasync(descriptor)
        fs.close(descriptor)
    first.path.unlink()


def _ended_before(segments: list[SegmentFile], lsn: int) -> Iterable[SegmentFile]:
    return (segment for segment, following in pairwise(segments) if following.base <= lsn)


def _copy_files(
    folder: DataFolder, copy: DataFolder, files: list[FileRow], previous: Path | None, say: Say
) -> None:
    done, total = 0, sum(file.bytes for file in files)
    for number, file in enumerate(files, 1):
        target = copy.absolute(file.path)
        make_folder(target.parent)
        if not (target.exists() and sha256_of(target) == file.sha256):
            target.unlink(missing_ok=True)
            if not _linked(previous, file, target):
                _copy_event_file(folder.absolute(file.path), target)
        done += file.bytes
        if number % 100 == 0 or number == len(files):
            say(f"Copied {number:,} of {len(files):,} Parquet files ({done / max(1, total):.0%})")
    for parent in {copy.absolute(file.path).parent for file in files}:
        LocalFileSystem().sync_directory(parent)


def _linked(previous: Path | None, file: FileRow, target: Path) -> bool:
    if previous is None:
        return False
    source = previous / file.path
    try:
        if sha256_of(source) != file.sha256:
            return False
        os.link(source, target)
    except OSError:
        return False
    return True


def _copy_event_file(source: Path, target: Path) -> None:
    """Copy an event file. A damaged file is copied unchanged; the check of the copy reports it."""
    try:
        _copy_file(source, target)
    except FileNotFoundError:
        raise _FileGone from None


def _copy_tree(source: Path, target: Path, say: Say) -> None:
    paths = [path for path in sorted(source.rglob("*")) if path.name != MANIFEST]
    files = [path for path in paths if path.is_file()]
    for path in (path for path in paths if path.is_dir()):
        make_folder(target / path.relative_to(source))
    for number, path in enumerate(files, 1):
        _copy_file(path, target / path.relative_to(source))
        if number % 100 == 0 or number == len(files):
            say(f"Restored {number:,} of {len(files):,} files")
    for path in (path for path in paths if path.is_dir()):
        LocalFileSystem().sync_directory(target / path.relative_to(source))


def _new_folder(target: Path) -> DataFolder:
    if target.exists() and (not target.is_dir() or any(target.iterdir())):
        raise BackupFailed(f"{target} is not empty: a backup is a folder of its own.")
    try:
        make_folder(target)
    except OSError as error:
        raise BackupFailed(
            f"{target} cannot be made ({error.strerror}): choose a folder on a disk that can be written to."
        ) from None
    return DataFolder.at(target)


def _check_room(catalog: Catalog, target: Path) -> None:
    needed = sum(file.bytes for file in catalog.files.live()) + catalog.folder.catalog.stat().st_size
    free = shutil.disk_usage(target).free
    if free < needed:
        raise BackupFailed(f"{target} has {free:,} bytes free, and the backup needs {needed:,} at least.")


def _copy_file(source: Path, target: Path) -> None:
    """Copy a file and make the copy's content durable."""
    descriptor = os.open(target, os.O_CREAT | os.O_TRUNC | os.O_WRONLY, FILE_MODE)
    with open(source, "rb") as origin, open(descriptor, "wb") as copy:
        while block := origin.read(READ_BYTES):
            copy.write(block)
        copy.flush()
        full_sync(copy.fileno())
