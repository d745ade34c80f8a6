"""Whether a frame found behind bytes that do not read is one that the log's owner wrote.

A client chooses bytes too: of what it sent, the times of events above all, some may look like a frame. In a
log with a key none does, since no client knows what its checksum would start from. A log without one, of an
older server, has only what a frame says of itself.
"""

from __future__ import annotations

from dataclasses import dataclass

import orjson

from storage.log.format import CLAIMED_BIT, Frame

EVENT_BYTES_MIN = 8 + len(b"{}\n")
"""What an event takes at least: its time and its text."""


@dataclass
class FrameEvidence:
    """What the frames read so far say of those to come; ``end_lsn`` is where the last one ended."""

    plain: int = 0
    claimed: int = CLAIMED_BIT
    end_lsn: int | None = None
    """None where no frame of this segment was read: before its first one any number may have failed."""

    def note(self, frame: Frame) -> None:
        end = frame.base_ordinal + frame.count
        if frame.base_ordinal & CLAIMED_BIT:
            self.claimed = end
        else:
            self.plain = end
        self.end_lsn = frame.end_lsn

    def begin_segment(self) -> None:
        self.end_lsn = None

    def believes(self, frame: Frame, key: int) -> bool:
        """Of a frame that stands behind bytes that do not read."""
        expected = self.claimed if frame.base_ordinal & CLAIMED_BIT else self.plain
        if frame.base_ordinal < expected:
            return False
        return key != 0 or (self._is_near(frame, expected) and _is_consistent(frame))

    def _is_near(self, frame: Frame, expected: int) -> bool:
        """Whether the ordinals left out have room in the bytes left out."""
        if self.end_lsn is None:
            return True
        return frame.base_ordinal - expected <= (frame.lsn - self.end_lsn) // EVENT_BYTES_MIN


def _is_consistent(frame: Frame) -> bool:
    if not frame.count or frame.synced_lsn > frame.lsn:
        return False
    for section in frame.sections:
        lines = bytes(section.payload).split(b"\n")
        if lines.pop() or len(lines) != section.count:
            return False
        try:
            if not all(isinstance(orjson.loads(line), dict) for line in lines):
                return False
        except orjson.JSONDecodeError:
            return False
    return True
