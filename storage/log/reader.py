"""Reading a log while this process or another writes it."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from storage.disk.file_system import FileSystem
from storage.log.errors import SegmentMissing
from storage.log.format import Frame
from storage.log.position import LogPosition, PositionFile
from storage.log.segments import POSITION_NAME, frames, list_segments, log_directory, read_segment


class LogReader:
    """Reads one log. Keeps only the position mapped, so segments may be removed at any time."""

    def __init__(self, fs: FileSystem, root: Path, log_id: int) -> None:
        """A reader of a log, which need not exist yet."""
        self._fs = fs
        self._directory = log_directory(root, log_id)
        self.log_id = log_id
        self._position: PositionFile | None = None

    def synced(self) -> LogPosition:
        """The position published last by the owner; ``LogPosition()`` where the log has none yet."""
        if self._position is None:
            path = self._directory / POSITION_NAME
            try:
                self._position = PositionFile(self._fs, path, self.log_id, writable=False)
            except (FileNotFoundError, ValueError):
                return LogPosition()
        return self._position.read()

    def read(self, from_lsn: int, to_lsn: int) -> Iterator[Frame]:
        """The frames between two published positions, which they cover without gaps.

        Each segment's part is read at once; the frames' sections are views that keep it in memory. Raises
        SegmentMissing where a segment was removed meanwhile, LogDamaged, OSError.
        """
        lsn = from_lsn
        if lsn >= to_lsn:
            return
        # Listed on every call: a segment that was open before may have been sealed below its end since.
        try:
            segments = list_segments(self._fs, self._directory)
        except FileNotFoundError:
            segments = []
        ends = [segment.base for segment in segments[1:]] + [to_lsn]
        for segment, next_base in zip(segments, ends, strict=False):
            end = min(next_base, to_lsn)
            if end <= lsn:
                continue
            if segment.base > lsn:
                break
            try:
                header, data = read_segment(self._fs, segment, self.log_id, lsn, end)
            except FileNotFoundError:
                break
            yield from frames(segment, header, data, lsn, end)
            lsn = end
        if lsn < to_lsn:
            raise SegmentMissing(self.log_id, lsn)

    def close(self) -> None:
        """Unmap the position. Frames already read stay usable."""
        if self._position is not None:
            self._position.close()
            self._position = None
