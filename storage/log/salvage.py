"""What of a damaged log can still be read: every whole frame, and the stretches between that are lost.

A frame proves itself by its checksum, and one that is found behind damage by more: ``storage.log.proof``.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass, field, replace
from pathlib import Path

from storage.disk.file_system import FileSystem
from storage.log.errors import BadFrame
from storage.log.format import (
    CLAIMED_BIT,
    SEGMENT_HEADER_SIZE,
    Frame,
    decode_frame,
    decode_segment_header,
    frames_beyond,
    header_size_by_frames,
)
from storage.log.position import LogPosition
from storage.log.proof import FrameEvidence
from storage.log.segments import SegmentFile, list_segments


@dataclass(frozen=True, slots=True)
class WholeFrame:
    """A frame that reads, and its bytes."""

    frame: Frame
    data: memoryview


@dataclass(frozen=True, slots=True)
class UnreadableRange:
    """LSNs that can not be read, ``start`` included and ``end`` not. ``path`` is None where no segment
    holds them."""

    start: int
    end: int
    path: Path | None
    offset: int = 0
    """Of ``start`` in the file."""


@dataclass
class Salvage:
    """Walks one log; ``claims_end`` and ``voids`` are whole once ``pieces`` is exhausted."""

    fs: FileSystem
    directory: Path
    log_id: int
    flushed_lsn: int
    confirmed: LogPosition
    failed: bool
    """Whether what lies past the confirmed position failed, and its senders were told."""
    end_lsn: int | None
    """Where the catalog says that the log ends; None where it does not know."""
    key: int = 0
    """Of the log; where a header reads, what that says."""
    claims_end: int = 0
    """1 + the greatest claimed ordinal of the log; 0 where there is none."""
    claims_end_known: bool = False
    """Else claims beyond it may have an event that stands in a file already."""
    voids: list[tuple[int, int]] = field(default_factory=list)
    """Claimed ordinals, from (included) to (excluded), whose events are lost or never were."""
    _witnessed: FrameEvidence = field(default_factory=FrameEvidence)
    _header_size: int = SEGMENT_HEADER_SIZE
    """Of the segment that is being read."""

    def pieces(self) -> Iterator[WholeFrame | UnreadableRange]:
        """From the first segment to the log's end, in order, without a gap; the bytes behind the log's end,
        of which nobody was told that they are stored, are left out. Raises OSError."""
        try:
            segments = list_segments(self.fs, self.directory)
        except FileNotFoundError:
            segments = []
        ends: list[int | None] = [segment.base for segment in segments[1:]]
        for segment in segments:
            self._find_key(segment)
        lsn = min(self.flushed_lsn, segments[0].base) if segments else self.flushed_lsn
        for segment, end in zip(segments, [*ends, None] if segments else [], strict=True):
            if segment.base > lsn:
                yield self._hole(UnreadableRange(lsn, segment.base, None))
            data = self._read(segment)
            if segment is segments[0] and self.claims_end_known:
                self.voids += [void for void in self.confirmed.voids if void[1] <= self.claims_end]
            for piece in self._of_segment(segment, data, end):
                lsn = piece.frame.end_lsn if isinstance(piece, WholeFrame) else piece.end
                yield piece
        durable = max(self.end_lsn or 0, self.confirmed.lsn)
        if durable > lsn:
            yield self._hole(
                self._in_file(segments[-1], lsn, durable) if segments else UnreadableRange(lsn, durable, None)
            )

    def _content(self, segment: SegmentFile, size: int | None = None) -> bytes:
        fd = self.fs.open_read(segment.path)
        try:
            return self.fs.read_at(fd, self.fs.size(fd) if size is None else size, 0)
        finally:
            self.fs.close(fd)

    def _find_key(self, segment: SegmentFile) -> None:
        with suppress(BadFrame):
            self.key = decode_segment_header(self._content(segment, SEGMENT_HEADER_SIZE)).key

    def _read(self, segment: SegmentFile) -> memoryview:
        """What stands behind the header, which is heeded where it reads."""
        content = self._content(segment)
        try:
            header = decode_segment_header(content[:SEGMENT_HEADER_SIZE])
        except BadFrame:
            self._header_size = header_size_by_frames(content, self.log_id, self.key)
        else:
            self._header_size, claimed = header.size, header.claimed
            if claimed >= self.claims_end:
                if self.claims_end_known and claimed > (self.claims_end or CLAIMED_BIT):
                    self.voids.append((self.claims_end or CLAIMED_BIT, claimed))
                self.claims_end, self.claims_end_known = claimed, True
        return memoryview(content)[self._header_size :]

    def _of_segment(
        self, segment: SegmentFile, data: memoryview, end: int | None
    ) -> Iterator[WholeFrame | UnreadableRange]:
        """``end`` is the base of the next segment; None for the last one."""
        if end is not None:
            # What lies beyond failed, and was written again in the next segment.
            data = data[: end - segment.base]
        elif self.failed:
            data = data[: max(0, self.confirmed.lsn - segment.base)]
        wholes = list(self._wholes(segment, data))
        if end is None:
            witnesses = [whole.frame.synced_lsn for whole in wholes]
            durable = max([self.confirmed.lsn, self.end_lsn or 0, *witnesses])
            wholes = _without_torn_end(wholes, segment.base, durable)
            # What is missing beyond the last whole frame is told once all segments are read.
            end = segment.base
        lsn = segment.base
        for whole in wholes:
            if whole.frame.lsn > lsn:
                yield self._hole(self._in_file(segment, lsn, whole.frame.lsn))
            yield whole
            self._note(whole.frame)
            lsn = whole.frame.end_lsn
        if end > lsn:
            yield self._hole(self._in_file(segment, lsn, end))

    def _wholes(self, segment: SegmentFile, data: memoryview) -> Iterator[WholeFrame]:
        """Every frame that reads. One that stands behind damage must also fit what came before."""
        offset, beyond = 0, False
        # A frame is not noted before it is clear that it is not part of a torn end.
        witnessed = replace(self._witnessed, claimed=self.claims_end or CLAIMED_BIT)
        witnessed.begin_segment()
        while offset < len(data):
            try:
                frame = decode_frame(data, offset, segment.base + offset, self.log_id, self.key)
            except (BadFrame, ValueError):
                lsn = segment.base + offset
                found = next(frames_beyond(data, offset, self.log_id, self.key, lsn), None)
                if found is None:
                    return
                offset, beyond = found.lsn - segment.base, True
                continue
            if beyond and not witnessed.believes(frame, self.key):
                offset += 1
                continue
            beyond = False
            size = frame.end_lsn - frame.lsn
            yield WholeFrame(frame, data[offset : offset + size])
            offset += size
            witnessed.note(frame)

    def _note(self, frame: Frame) -> None:
        """Follow the ordinals; what the claimed ones leave out is void, unless it may stand in a file."""
        end = frame.base_ordinal + frame.count
        self._witnessed.note(frame)
        if not frame.base_ordinal & CLAIMED_BIT:
            return
        expected = self.claims_end or CLAIMED_BIT
        if self.claims_end_known and frame.base_ordinal > expected:
            self.voids.append((expected, frame.base_ordinal))
        if frame.count:
            self.claims_end, self.claims_end_known = end, True

    def _in_file(self, segment: SegmentFile, start: int, end: int) -> UnreadableRange:
        return UnreadableRange(start, end, segment.path, self._header_size + start - segment.base)

    def _hole(self, hole: UnreadableRange) -> UnreadableRange:
        if hole.start < self.flushed_lsn:
            # Events of it stand in files, and so may what their claims stand for.
            self.claims_end_known = False
        return hole


def _without_torn_end(wholes: list[WholeFrame], lsn: int, durable: int) -> list[WholeFrame]:
    """Up to the first gap past which nothing shows that it had been durable: a crash leaves such an end."""
    kept: list[WholeFrame] = []
    for whole in wholes:
        if whole.frame.lsn > lsn >= durable:
            break
        kept.append(whole)
        lsn = whole.frame.end_lsn
    return kept
