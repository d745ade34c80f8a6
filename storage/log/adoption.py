"""Taking over a log whose owner died, and removing segments and logs that are no longer needed."""

from __future__ import annotations

from itertools import pairwise
from pathlib import Path

from storage.disk.file_system import FileSystem
from storage.log.errors import LogBusy, LogDamaged
from storage.log.format import CLAIMED_BIT, Frame, SegmentHeader, frames_beyond
from storage.log.position import ClaimedOrdinals, LogPosition, PositionFile
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
    """Make the content of an ownerless log durable, cut off its torn end, and publish where it ends.

    Returns ``LogPosition()`` where the creation of the log was never finished. Claims past the position's
    ``token_ordinal`` or in its ``voids`` have no event. May be called again at any time, also after a
    failure. Raises LogBusy where the owner is alive, LogDamaged where durable bytes cannot be read (then
    nothing is changed), OSError.
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
    """Remove the segments that lie wholly below ``lsn``, but never the last one. Raises OSError.

    On return the removal is durable. A failure leaves no gap between the remaining segments.
    """
    directory = log_directory(root, log_id)
    segments = list_segments(fs, directory)
    for segment, following in pairwise(segments):
        if following.base > lsn:
            return
        fs.remove(segment.path)
        # Synced one by one: after a power cut, any of several entries removed together may reappear.
        fs.sync_directory(directory)


def delete_log(fs: FileSystem, root: Path, log_id: int) -> None:
    """Remove a log that has no owner, with all its files. Does nothing where there is no such log.

    Raises LogBusy, OSError.
    """
    directory = log_directory(root, log_id)
    try:
        names = fs.names(directory)
    except FileNotFoundError:
        return
    lock_fd = _lock(fs, directory)
    try:
        # The position first, so that it never confirms bytes that are gone, then segments from the oldest
        # on: what a failure leaves must still be readable as a log.
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
        position.publish(lsn, claims, whole=True)
        position.publish_key(key)
        # The log is not adopted again, and all readers rely on this position.
        position.make_durable()
        return position.read()
    finally:
        position.close()


def _recover(
    fs: FileSystem, directory: Path, log_id: int, position: PositionFile
) -> tuple[int, ClaimedOrdinals, int]:
    """Find the log's end and make it durable. Returns the end LSN, the claims of the log, and its key."""
    confirmed = position.confirmed()
    segments = list_segments(fs, directory)
    if not segments:
        if confirmed.lsn:
            raise LogDamaged(
                directory / POSITION_NAME, 0, f"it says LSN {confirmed.lsn}, but no segment is left"
            )
        return 0, ClaimedOrdinals(0), 0
    claims: ClaimedOrdinals | None = None
    evidence = FrameEvidence()
    for segment, following in pairwise(segments):
        header, data = read_segment(fs, segment, log_id, segment.base, following.base)
        claims = claims or _claims_before(header, confirmed)
        for frame in frames(segment, header, data, segment.base, following.base):
            note_claims(claims, frame)
            evidence.note(frame)
    last = segments[-1]
    header, data = read_segment(fs, last, log_id, last.base, None)
    claims = claims or _claims_before(header, confirmed)
    if position.failed():
        # The clients have received an error for what lies past the position, and may have sent it again.
        data = data[: max(0, confirmed.lsn - last.base)]
    evidence.begin_segment()
    end = _end_of_last(last, header, data, claims, evidence, confirmed.lsn)
    _settle(fs, last, header, data[: end - last.base], confirmed.lsn)
    for name in fs.names(directory):
        if name.endswith(DRAFT_SUFFIX):
            fs.remove(directory / name)
    fs.sync_directory(directory)
    return end, claims, header.key


def _claims_before(first: SegmentHeader, confirmed: LogPosition) -> ClaimedOrdinals:
    """The claims of removed segments; their voids can only be known from the position file."""
    return ClaimedOrdinals(first.claimed, tuple(void for void in confirmed.voids if void[1] <= first.claimed))


def _end_of_last(
    segment: SegmentFile,
    header: SegmentHeader,
    data: memoryview,
    claims: ClaimedOrdinals,
    evidence: FrameEvidence,
    confirmed_lsn: int,
) -> int:
    """The LSN up to which the last segment can be read. Raises LogDamaged if it was durable beyond that."""
    lsn = segment.base
    try:
        for frame in frames(segment, header, data, lsn, lsn + len(data)):
            note_claims(claims, frame)
            evidence.note(frame)
            lsn = frame.end_lsn
    except LogDamaged:
        beyond = frames_beyond(data, lsn - segment.base, header.log_id, header.key, lsn)
        witnesses = (frame.synced_lsn for frame in beyond if evidence.believes(frame, header.key))
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
    """Make ``data`` the durable content of the segment, and cut off everything after it."""
    fd = fs.open_write(segment.path)
    try:
        # A sync of bytes past the confirmed position may have failed. The system then caches pages that never
        # reached the disk and treats them as clean, so they are written again for the sync to take effect.
        known = min(max(0, confirmed_lsn - segment.base), len(data))
        fs.write_at(fd, bytes(data[known:]), header.size + known)
        fs.truncate(fd, header.size + len(data))
        fs.datasync(fd)
    finally:
        fs.close(fd)


def note_claims(claims: ClaimedOrdinals, frame: Frame) -> None:
    """Record the claimed ordinals of a frame."""
    if frame.base_ordinal & CLAIMED_BIT:
        claims.note(frame.base_ordinal, frame.count, CLAIMED_BIT)
