"""Salvaging a damaged log: every whole frame, and the ranges between them that are lost.

A frame is valid if its checksum matches; a frame after damage must pass ``storage.log.proof`` as well.
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
    """A readable frame and its bytes."""

    frame: Frame
    data: memoryview


@dataclass(frozen=True, slots=True)
class UnreadableRange:
    """LSNs that cannot be read, from ``start`` (included) to ``end`` (excluded). ``path`` is None where they
    are in no segment."""

    start: int
    end: int
    path: Path | None
    offset: int = 0
    """Offset of ``start`` in the file."""


@dataclass
class Salvage:
    """Walks one log; ``claims_end`` and ``voids`` are complete once ``pieces`` is exhausted."""

    fs: FileSystem
    directory: Path
    log_id: int
    flushed_lsn: int
    confirmed: LogPosition
    failed: bool
    """Whether writes past the confirmed position failed, with an error returned to their clients."""
    end_lsn: int | None
    """The log's end according to the catalog; None where the catalog does not know it."""
    key: int = 0
    """Key of the log; replaced by the key in a readable segment header."""
    claims_end: int = 0
    """1 + the greatest claimed ordinal of the log; 0 where there is none."""
    claims_end_known: bool = False
    """If False, claims beyond ``claims_end`` may have an event that is in a file already."""
    voids: list[tuple[int, int]] = field(default_factory=list)
    """Ranges, end excluded, of claimed ordinals whose events are lost or never existed."""
    _evidence: FrameEvidence = field(default_factory=FrameEvidence)
    _header_size: int = SEGMENT_HEADER_SIZE
    """Header size of the segment that is being read."""

    def pieces(self) -> Iterator[WholeFrame | UnreadableRange]:
        """The frames and unreadable ranges from the first segment to the log's end, in order, without a gap.

        Bytes past the log's end, which were never acknowledged, are left out. Raises OSError.
        """
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
        """The bytes after a segment's header. A readable header also updates the claims."""
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
        """The pieces of one segment. ``end`` is the base of the next segment, None for the last one."""
        if end is not None:
            # Bytes past it belong to a failed write; the next segment holds them if they were written again.
            data = data[: end - segment.base]
        elif self.failed:
            data = data[: max(0, self.confirmed.lsn - segment.base)]
        wholes = list(self._wholes(segment, data))
        if end is None:
            witnesses = [whole.frame.synced_lsn for whole in wholes]
            durable = max([self.confirmed.lsn, self.end_lsn or 0, *witnesses])
            wholes = _without_torn_end(wholes, segment.base, durable)
            # Bytes missing after the last whole frame are reported once all segments are read.
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
        """Every readable frame. A frame after damage must also be consistent with the frames before it."""
        offset, beyond = 0, False
        # Works on a copy: a frame is recorded in ``self`` only once it is known not to be in a torn end.
        evidence = replace(self._evidence, claimed=self.claims_end or CLAIMED_BIT)
        evidence.begin_segment()
        while offset < len(data):
            try:
                frame = decode_frame(data, offset, segment.base + offset, self.log_id, self.key)
            except (BadFrame, ValueError):
                lsn = segment.base + offset
                following = next(frames_beyond(data, offset, self.log_id, self.key, lsn), None)
                if following is None:
                    return
                offset, beyond = following.lsn - segment.base, True
                continue
            if beyond and not evidence.believes(frame, self.key):
                offset += 1
                continue
            beyond = False
            size = frame.end_lsn - frame.lsn
            yield WholeFrame(frame, data[offset : offset + size])
            offset += size
            evidence.note(frame)

    def _note(self, frame: Frame) -> None:
        """Track the ordinals; skipped claimed ordinals are void, unless their events may be in a file."""
        end = frame.base_ordinal + frame.count
        self._evidence.note(frame)
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
            # Some of its events are in files, and so may be the events of its claims.
            self.claims_end_known = False
        return hole


def _without_torn_end(wholes: list[WholeFrame], lsn: int, durable: int) -> list[WholeFrame]:
    """The frames up to the first gap with no evidence of durable data after it, as a crash leaves one."""
    kept: list[WholeFrame] = []
    for whole in wholes:
        if whole.frame.lsn > lsn >= durable:
            break
        kept.append(whole)
        lsn = whole.frame.end_lsn
    return kept
