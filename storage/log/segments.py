"""The paths of a log's files, and creating and reading segments."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from storage.disk.file_system import FileSystem
from storage.log.errors import BadFrame, LogDamaged
from storage.log.format import (
    SEGMENT_HEADER_SIZE,
    Frame,
    SegmentHeader,
    decode_frame,
    decode_segment_header,
    encode_segment_header,
)

SEGMENT_SUFFIX = ".seg"
DRAFT_SUFFIX = ".new"
POSITION_NAME = "position"
LOCK_NAME = "lock"
BASE_DIGITS = 20
TURN_SECONDS = 5.0
"""Within this time after a deletion of events, every worker has begun a new segment."""


@dataclass(frozen=True, slots=True)
class SegmentFile:
    """A segment as its file name identifies it: the LSNs from ``base`` to the next segment's base."""

    base: int
    path: Path


def log_directory(root: Path, log_id: int) -> Path:
    """The directory of a log; ``root`` is the data folder."""
    return root / "log" / str(log_id)


def segment_path(directory: Path, base: int) -> Path:
    return directory / f"{base:0{BASE_DIGITS}d}{SEGMENT_SUFFIX}"


def list_segments(fs: FileSystem, directory: Path) -> list[SegmentFile]:
    """The segments of a log, ordered by base. Raises FileNotFoundError where there is no such log."""
    return sorted(
        (
            SegmentFile(int(name[:BASE_DIGITS]), directory / name)
            for name in fs.names(directory)
            if name.endswith(SEGMENT_SUFFIX)
        ),
        key=lambda segment: segment.base,
    )


def create_segment(fs: FileSystem, directory: Path, header: SegmentHeader) -> int:
    """Create a segment and return a descriptor for appending frames; it is durable and complete on return.

    A segment of the same base is replaced: nothing in it was ever synced, since the base of a new segment is
    the LSN up to which the log is durable. Raises OSError; an unfinished draft does not count as a segment,
    and the next attempt removes it.
    """
    path = segment_path(directory, header.base_lsn)
    draft = path.with_suffix(DRAFT_SUFFIX)
    try:
        fs.remove(draft)
    except FileNotFoundError:
        pass
    fd = fs.create(draft)
    try:
        fs.append(fd, encode_segment_header(header))
        fs.datasync(fd)
        fs.rename(draft, path)
        fs.sync_directory(directory)
    except BaseException:
        close_quietly(fs, fd)
        raise
    return fd


def read_segment(
    fs: FileSystem, segment: SegmentFile, log_id: int, start: int, end: int | None
) -> tuple[SegmentHeader, memoryview]:
    """The header, and the bytes from LSN ``start`` to ``end`` or, without ``end``, to the end of the file.

    Returns fewer bytes where the file is shorter. Raises LogDamaged for a bad header, FileNotFoundError.
    """
    fd = fs.open_read(segment.path)
    try:
        try:
            header = decode_segment_header(fs.read_at(fd, SEGMENT_HEADER_SIZE, 0))
        except BadFrame as error:
            raise LogDamaged(segment.path, 0, str(error)) from None
        offset = header.size + start - segment.base
        size = max(0, fs.size(fd) - offset) if end is None else end - start
        data = fs.read_at(fd, size, offset)
    finally:
        fs.close(fd)
    if (header.log_id, header.base_lsn) != (log_id, segment.base):
        raise LogDamaged(segment.path, 0, f"it is segment {header.base_lsn} of log {header.log_id}")
    return header, memoryview(data)


def frames(
    segment: SegmentFile, header: SegmentHeader, data: memoryview, start: int, end: int
) -> Iterator[Frame]:
    """The frames that cover the LSNs from ``start`` to ``end``; ``data`` begins at ``start``.

    Raises LogDamaged where they do not cover them.
    """
    data = data[: end - start]
    lsn = start
    while lsn < end:
        try:
            frame = decode_frame(data, lsn - start, lsn, header.log_id, header.key)
        except BadFrame as error:
            offset = header.size + lsn - segment.base
            raise LogDamaged(segment.path, offset, str(error)) from None
        yield frame
        lsn = frame.end_lsn


def close_quietly(fs: FileSystem, fd: int) -> None:
    """Close a descriptor that is given up, ignoring errors."""
    try:
        fs.close(fd)
    except OSError:
        pass
