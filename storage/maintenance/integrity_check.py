"""``acumen check``: checks that every acknowledged event is stored, once, and undamaged.

It reads the catalog in one snapshot, then every file that is live or kept for earlier versions, and every
frame that is not flushed yet. On a live server a file may be replaced while it is being read; it is then no
longer needed, which is not a fault.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

import pyarrow.parquet as pq

from storage.catalog.catalog import Catalog
from storage.catalog.database.seal import integrity_faults
from storage.catalog.stored.records import Collection, Counts, FileRow, LogRow, LogState
from storage.columns.arrow_chunks import ChunksDamaged, ManifestReader
from storage.columns.frame_pieces import pieces_of
from storage.disk.durable_files import sha256_of
from storage.disk.file_system import FileSystem, LocalFileSystem
from storage.files.dataset_file import is_whole
from storage.log.errors import LogDamaged, LogError, SegmentMissing
from storage.log.format import Frame
from storage.log.position import LogPosition
from storage.log.salvage import Salvage, UnreadableRange
from storage.log.segments import POSITION_NAME
from storage.log.writer import LogReader
from storage.paths import DataFolder
from storage.recovery import damage_marker

SHA256_LENGTH = 64


@dataclass
class Report:
    """The result of a check. Each of ``faults`` names the collection, file or log and says what is wrong."""

    files: int = 0
    bytes: int = 0
    rows: int = 0
    past_files: int = 0
    past_bytes: int = 0
    """Of superseded files, which are kept for earlier versions."""
    frames: int = 0
    buffered: int = 0
    faults: list[str] = field(default_factory=list)
    damaged_logs: set[int] = field(default_factory=set)
    """Logs that cannot be read in full: ``acumen repair`` mends them."""

    losses: list[str] = field(default_factory=list)
    """What earlier repairs of logs could not save: not a fault of the present data, but always reported."""

    @property
    def sound(self) -> bool:
        return not self.faults

    def log_fault(self, log_id: int, what: str) -> None:
        self.faults.append(f"log {log_id}: {what}")
        self.damaged_logs.add(log_id)


def check(
    folder: DataFolder,
    catalog: Catalog,
    *,
    fs: FileSystem | None = None,
    progress: Callable[[str], None] = lambda line: None,
) -> Report:
    """Check every live and superseded file, every frame that is not flushed, and that no event is lost."""
    report = Report()
    report.faults += [f"the catalog: {fault}" for fault in integrity_faults(folder.catalog)]
    if report.faults:
        # A damaged catalog would make all other checks meaningless.
        return report
    for collection in catalog.collections.all():
        progress(f"{collection.project_id} {collection.name}")
        _check_collection(folder, catalog, collection, report)
    _check_results(folder, catalog, report)
    _check_chunks(folder, fs or LocalFileSystem(), report)
    _check_logs(folder, catalog, fs or LocalFileSystem(), report)
    report.losses += [loss.told() for loss in catalog.logs.losses()]
    return report


def _check_collection(folder: DataFolder, catalog: Catalog, collection: Collection, report: Report) -> None:
    files, counts = _settled(catalog, collection)
    name = f"collection {collection.name!r} of project {collection.project_id}"
    rows = sum(file.rows for file in files)
    if rows != counts.stored:
        report.faults.append(f"{name}: the live files hold {rows} events, {counts.stored} were stored")
    if not counts.balanced:
        report.faults.append(
            f"{name}: {counts.logged} logged, but {counts.stored} stored + {counts.duplicates} duplicate "
            f"+ {counts.erased} erased"
        )
    for file in files:
        fault = _file_fault(folder, file)
        if fault is not None and any(live.id == file.id for live in catalog.files.live(collection.id)):
            report.faults.append(f"{name}: {file.path}: {fault}")
        report.files += 1
        report.bytes += file.bytes
        report.rows += file.rows
    _check_past(folder, catalog, collection, name, report)


def _check_past(
    folder: DataFolder, catalog: Catalog, collection: Collection, name: str, report: Report
) -> None:
    """Check the files that are kept for earlier versions of the collection's events."""
    for file in catalog.files.superseded(collection.id):
        fault = _file_fault(folder, file)
        if fault is not None and any(one.id == file.id for one in catalog.files.superseded(collection.id)):
            report.faults.append(f"{name}: {file.path}, of earlier versions: {fault}")
        report.past_files += 1
        report.past_bytes += file.bytes


def _settled(catalog: Catalog, collection: Collection) -> tuple[list[FileRow], Counts]:
    """Files and counters of the same version: both are read again if a flush or swap came between."""
    while True:
        version = catalog.versions().data
        files, counts = catalog.files.live(collection.id), catalog.files.counters(collection.id)
        if catalog.versions().data == version:
            return files, counts


def _file_fault(folder: DataFolder, file: FileRow) -> str | None:
    path = folder.absolute(file.path)
    try:
        if sha256_of(path) != file.sha256:
            return "its content is not what was written (SHA-256 differs)"
        rows = pq.ParquetFile(path).metadata.num_rows
    except OSError as error:
        return f"cannot be read ({error.strerror or error})"
    return None if rows == file.rows else f"holds {rows} rows, {file.rows} were written"


def _check_results(folder: DataFolder, catalog: Catalog, report: Report) -> None:
    """Check the stored results. The server never answers from a damaged result, and computes it again.

    A missing result is not a fault: backups contain none.
    """
    for run in catalog.saved_queries.runs():
        result = run.result
        if result is not None and not _is_sound_or_gone(folder.results / result.file, result.sha256):
            report.faults.append(f"{folder.results / result.file}: the result of a saved query is damaged")
    for dataset in catalog.datasets.all():
        for file in dataset.files:
            path = folder.dataset_file(dataset.id, file.id)
            if path.exists() and not is_whole(path):
                report.faults.append(f"{path}: results of dataset {dataset.name!r} are damaged")
    for name in catalog.exports.files():
        digest = name.partition(".")[0].rpartition("-")[2]
        if len(digest) == SHA256_LENGTH and not _is_sound_or_gone(folder.exports / name, digest):
            report.faults.append(f"{folder.exports / name}: the file of an extraction is damaged")


def _is_sound_or_gone(path: Path, digest: str) -> bool:
    try:
        return sha256_of(path) == digest
    except FileNotFoundError:
        return True
    except OSError:
        return False


def _check_chunks(folder: DataFolder, fs: FileSystem, report: Report) -> None:
    """Check the chunks. They come and go on a live server, which reads the events of a damaged one from the
    logs."""
    chunks = ManifestReader(folder.chunks, fs)
    try:
        manifest = chunks.read()
        if manifest is not None:
            chunks.check(ref for refs in manifest.collections.values() for ref in refs)
    except ChunksDamaged as error:
        report.faults.append(str(error))
    except OSError:
        pass


def _check_logs(folder: DataFolder, catalog: Catalog, fs: FileSystem, report: Report) -> None:
    for row in catalog.logs.all():
        if not folder.log(row.id).exists():
            if row.state is LogState.SEALED and row.flushed_lsn != row.end_lsn:
                report.log_fault(row.id, "it is gone, and not all of it was flushed")
            continue
        try:
            for frame in _frames(folder, fs, row):
                report.frames += 1
                for piece in pieces_of(frame):
                    report.buffered += piece.piece.count
        except SegmentMissing:
            if any(log.id == row.id and log.flushed_lsn == row.flushed_lsn for log in catalog.logs.all()):
                report.log_fault(row.id, f"a segment past {row.flushed_lsn} is missing")
        except LogError as error:
            report.log_fault(row.id, str(error))
        why = damage_marker.noted(folder, row.id, fs)
        if why is not None and row.id not in report.damaged_logs:
            report.log_fault(row.id, f"it could not be taken over: {why}")


def _frames(folder: DataFolder, fs: FileSystem, row: LogRow) -> Iterator[Frame]:
    """The frames of a log that are in no file yet, with their checksums verified."""
    directory = folder.log(row.id)
    if not (directory / POSITION_NAME).exists():
        # A copied log has no position file: its content alone shows how far it goes.
        yield from _frames_of_copy(
            Salvage(fs, directory, row.id, row.flushed_lsn, LogPosition(), False, None)
        )
        return
    reader = LogReader(fs, folder.root, row.id)
    end = reader.synced().lsn if row.end_lsn is None else row.end_lsn
    if end > row.flushed_lsn:
        yield from reader.read(row.flushed_lsn, end)


def _frames_of_copy(copy: Salvage) -> Iterator[Frame]:
    for piece in copy.pieces():
        if isinstance(piece, UnreadableRange):
            if piece.end > copy.flushed_lsn:
                raise LogDamaged(piece.path or copy.directory, piece.offset, "not all of it can be read")
        elif piece.frame.end_lsn > copy.flushed_lsn:
            yield piece.frame
