"""Deciding whether a frame found after unreadable bytes was written by the log's owner.

Bytes that a client sent, above all the times of events, may happen to look like a frame, or be made to. In a
log with a key they cannot, since no client knows the initial value of the checksum. In a log without a key,
written by an older server, only the content of the frame can be judged.
"""

from __future__ import annotations

from dataclasses import dataclass

import orjson

from storage.log.format import CLAIMED_BIT, Frame

EVENT_BYTES_MIN = 8 + len(b"{}\n")
"""The least bytes of an event in a frame: its time and its text."""


@dataclass
class FrameEvidence:
    """What the frames read so far imply for later ones: the next ordinals expected, and where the last frame
    ended."""

    plain: int = 0
    claimed: int = CLAIMED_BIT
    end_lsn: int | None = None
    """None before the first frame of a segment: any number of frames before it may have failed."""

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
        """Whether a frame found after unreadable bytes is taken as written by the log's owner."""
        expected = self.claimed if frame.base_ordinal & CLAIMED_BIT else self.plain
        if frame.base_ordinal < expected:
            return False
        return key != 0 or (self._is_near(frame, expected) and _is_consistent(frame))

    def _is_near(self, frame: Frame, expected: int) -> bool:
        """Whether the skipped bytes have room for the events of the skipped ordinals."""
        if self.end_lsn is None:
            return True
        return frame.base_ordinal - expected <= (frame.lsn - self.end_lsn) // EVENT_BYTES_MIN


def _is_consistent(frame: Frame) -> bool:
    """Whether the frame's counts match its payload, and the payload is lines of JSON objects."""
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
