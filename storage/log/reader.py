"""Reading a log that is being written, by this process or another."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from storage.disk.file_system import FileSystem
from storage.log.errors import SegmentMissing
from storage.log.format import Frame
from storage.log.position import LogPosition, PositionFile
from storage.log.segments import POSITION_NAME, frames, list_segments, log_directory, read_segment


class LogReader:
    """Reads one log. Holds nothing open but the mapped position, so segments may go at any time."""

    def __init__(self, fs: FileSystem, root: Path, log_id: int) -> None:
        """The log need not exist yet."""
        self._fs = fs
        self._directory = log_directory(root, log_id)
        self.log_id = log_id
        self._position: PositionFile | None = None

    def synced(self) -> LogPosition:
        """The position that the owner published last; ``LogPosition()`` where the log has none yet."""
        if self._position is None:
            path = self._directory / POSITION_NAME
            try:
                self._position = PositionFile(self._fs, path, self.log_id, writable=False)
            except (FileNotFoundError, ValueError):
                return LogPosition()
        return self._position.read()

    def read(self, from_lsn: int, to_lsn: int) -> Iterator[Frame]:
        """The frames from one published position to another, which they tile exactly.

        Each segment's share is read at once; sections are views into it and keep it alive. Raises
        SegmentMissing where a segment was removed meanwhile, LogDamaged, OSError.
        """
        lsn = from_lsn
        if lsn >= to_lsn:
            return
        # Listed anew each time: a segment seen to be open earlier may have been sealed below its end since.
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
        """Frames stay readable."""
        if self._position is not None:
            self._position.close()
            self._position = None
