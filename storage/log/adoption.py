"""What becomes of a log whose owner died, and of segments that are no longer needed."""

from __future__ import annotations

from itertools import pairwise
from pathlib import Path

from storage.disk.file_system import FileSystem
from storage.log.errors import LogBusy, LogDamaged
from storage.log.format import CLAIMED_BIT, Frame, SegmentHeader, frames_beyond
from storage.log.position import Claims, LogPosition, PositionFile
from storage.log.proof import FrameEvidence
from storage.log.segments import (
    DRAFT_SUFFIX,
    LOCK_NAME,
    POSITION_NAME,
    SegmentFile,
    close_quietly,
    frames,
    list_segments,
    log_directory,
    read_segment,
)


def adopt(fs: FileSystem, root: Path, log_id: int) -> LogPosition:
    """Make durable what the dead owner of a log left, cut its torn end, publish where it ends.

    ``LogPosition()`` where the log was never finished being made. Claims past its ``token_ordinal`` or in its
    ``voids`` have no event. May be called again at any time, also after it failed. Raises LogBusy where the
    owner lives, LogDamaged where durable bytes cannot be read (then nothing is changed), OSError.
    """
    directory = log_directory(root, log_id)
    try:
        fs.names(directory)
    except FileNotFoundError:
        return LogPosition()
    lock_fd = _lock(fs, directory)
    try:
        return _adopt_locked(fs, directory, log_id)
    finally:
        close_quietly(fs, lock_fd)


def delete_through(fs: FileSystem, root: Path, log_id: int, lsn: int) -> None:
    """Remove the segments that lie wholly below ``lsn``, but never the last. Raises OSError.

    They are gone for good when this returns, power cut or not, and never leave a hole when it fails.
    """
    directory = log_directory(root, log_id)
    segments = list_segments(fs, directory)
    for segment, following in pairwise(segments):
        if following.base > lsn:
            return
        fs.remove(segment.path)
        # One by one: entries that are removed together may come back singly.
        fs.sync_directory(directory)


def delete_log(fs: FileSystem, root: Path, log_id: int) -> None:
    """Remove a log that has no owner, and all in it. Raises LogBusy, OSError; nothing where it is gone."""
    directory = log_directory(root, log_id)
    try:
        names = fs.names(directory)
    except FileNotFoundError:
        return
    lock_fd = _lock(fs, directory)
    try:
        # The position first, so that it vouches for nothing that is gone, and then the oldest segment
        # first: what is left when this fails must still read as a log.
        for name in sorted(names, key=lambda name: (name == LOCK_NAME, name != POSITION_NAME, name)):
            fs.remove(directory / name)
            fs.sync_directory(directory)
        fs.remove_directory(directory)
        fs.sync_directory(directory.parent)
    finally:
        close_quietly(fs, lock_fd)


def _lock(fs: FileSystem, directory: Path) -> int:
    try:
        return fs.lock(directory / LOCK_NAME)
    except BlockingIOError as error:
        raise LogBusy(f"{directory} has a living owner") from error


def _adopt_locked(fs: FileSystem, directory: Path, log_id: int) -> LogPosition:
    position = PositionFile(fs, directory / POSITION_NAME, log_id, writable=True)
    try:
        lsn, claims, key = _recover(fs, directory, log_id, position)
        position.publish(lsn, claims, anew=True)
        position.publish_key(key)
        # Nobody adopts it again, and every reader goes by this.
        position.make_durable()
        return position.read()
    finally:
        position.close()


def _recover(fs: FileSystem, directory: Path, log_id: int, position: PositionFile) -> tuple[int, Claims, int]:
    """Where the log ends, after making it end there for good; the claims along it; its key."""
    confirmed = position.confirmed()
    segments = list_segments(fs, directory)
    if not segments:
        if confirmed.lsn:
            raise LogDamaged(
                directory / POSITION_NAME, 0, f"it says LSN {confirmed.lsn}, but no segment is left"
            )
        return 0, Claims(0), 0
    claims: Claims | None = None
    witnessed = FrameEvidence()
    for segment, following in pairwise(segments):
        header, data = read_segment(fs, segment, log_id, segment.base, following.base)
        claims = claims or _claims_before(header, confirmed)
        for frame in frames(segment, header, data, segment.base, following.base):
            note_claims(claims, frame)
            witnessed.note(frame)
    last = segments[-1]
    header, data = read_segment(fs, last, log_id, last.base, None)
    claims = claims or _claims_before(header, confirmed)
    if position.failed():
        # Its senders were told, and may have sent it again.
        data = data[: max(0, confirmed.lsn - last.base)]
    witnessed.begin_segment()
    end = _end_of_last(last, header, data, claims, witnessed, confirmed.lsn)
    _settle(fs, last, header, data[: end - last.base], confirmed.lsn)
    for name in fs.names(directory):
        if name.endswith(DRAFT_SUFFIX):
            fs.remove(directory / name)
    fs.sync_directory(directory)
    return end, claims, header.key


def _claims_before(first: SegmentHeader, confirmed: LogPosition) -> Claims:
    """The claims in segments that are removed: only the position file may still know their voids."""
    return Claims(first.claimed, tuple(void for void in confirmed.voids if void[1] <= first.claimed))


def _end_of_last(
    segment: SegmentFile,
    header: SegmentHeader,
    data: memoryview,
    claims: Claims,
    witnessed: FrameEvidence,
    confirmed_lsn: int,
) -> int:
    """The LSN up to which the last segment reads. Raises LogDamaged where it was durable further."""
    lsn = segment.base
    try:
        for frame in frames(segment, header, data, lsn, lsn + len(data)):
            note_claims(claims, frame)
            witnessed.note(frame)
            lsn = frame.end_lsn
    except LogDamaged:
        beyond = frames_beyond(data, lsn - segment.base, header.log_id, header.key, lsn)
        witnesses = (frame.synced_lsn for frame in beyond if witnessed.believes(frame, header.key))
        if confirmed_lsn > lsn or any(synced > lsn for synced in witnesses):
            raise
        return lsn
    if confirmed_lsn > lsn:
        offset = header.size + len(data)
        raise LogDamaged(segment.path, offset, f"it ends before LSN {confirmed_lsn}, which was durable")
    return lsn


def _settle(
    fs: FileSystem, segment: SegmentFile, header: SegmentHeader, data: memoryview, confirmed_lsn: int
) -> None:
    """Make ``data`` the durable content of the segment, and cut off what lies beyond it."""
    fd = fs.open_write(segment.path)
    try:
        # What no position vouches for may have met a failed sync: the system then holds pages that the disk
        # never got and takes them for clean. Written again they are synced in earnest.
        known = min(max(0, confirmed_lsn - segment.base), len(data))
        fs.write_at(fd, bytes(data[known:]), header.size + known)
        fs.truncate(fd, header.size + len(data))
        fs.datasync(fd)
    finally:
        fs.close(fd)


def note_claims(claims: Claims, frame: Frame) -> None:
    if frame.base_ordinal & CLAIMED_BIT:
        claims.note(frame.base_ordinal, frame.count, CLAIMED_BIT)
