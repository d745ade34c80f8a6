"""Detects damage to the catalog's write-ahead log, which SQLite does not report.

SQLite drops the first frame with a wrong checksum and all frames after it, as it must after an interrupted
write. Here damage is distinguished from an interrupted write.
"""

from __future__ import annotations

import struct
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

LOOKS, PAUSE_SECONDS = 3, 0.1
"""A running server may write while the log is read, so a fault counts only if every attempt finds one."""
HEADER_BYTES, FRAME_HEADER_BYTES, CHECKED_HEADER_BYTES = 32, 24, 24
CHECKED_FRAME_BYTES = 8
MAGIC, MAGIC_MASK = 0x377F0682, 0xFFFFFFFE
_MASK = 0xFFFFFFFF
Checksum = tuple[int, int]


@dataclass(frozen=True, slots=True)
class _Frame:
    current: bool
    """By its salts (one flipped bit is tolerated), it was written since the log was last restarted."""
    intact: bool
    """Its checksum continues the one stored in the frame before."""


def wal_fault(catalog: Path) -> str | None:
    """A description of a fault in the catalog's write-ahead log, or None.

    No process may have opened the catalog since the server ended.
    """
    path = catalog.with_name(catalog.name + "-wal")
    for look in range(LOOKS):
        fault = _fault(path)
        if fault is None:
            return None
        if look + 1 < LOOKS:
            time.sleep(PAUSE_SECONDS)
    return fault


def _fault(path: Path) -> str | None:
    try:
        content = memoryview(path.read_bytes())
    except FileNotFoundError:
        return None
    header = content[:HEADER_BYTES]
    if len(header) < HEADER_BYTES or not any(header):
        return None
    magic, _, page_bytes, _, *salts, first, second = struct.unpack(">8I", header)
    words = "<" if magic == MAGIC else ">"
    if (first, second) != _checksum(header[:CHECKED_HEADER_BYTES], (0, 0), words) or (
        magic & MAGIC_MASK != MAGIC
    ):
        return f"the header of {path.name} is not as it was written"
    frames = _frames(content[HEADER_BYTES:], page_bytes, salts, (first, second), words)
    bad = next((number for number, frame in enumerate(frames) if not (frame.current and frame.intact)), None)
    if bad is None or not frames[bad].current:
        return None
    # Frames are written in order: no current frame follows one whose write was interrupted, and where such a
    # frame is the last one in the file, it is incomplete.
    if bad == len(frames) - 1 or any(frame.current for frame in frames[bad + 1 :]):
        return f"frame {bad} of {path.name} is not as it was written"
    return None


def _frames(
    content: memoryview, page_bytes: int, salts: Sequence[int], before: Checksum, words: str
) -> list[_Frame]:
    frames = []
    frame_bytes = FRAME_HEADER_BYTES + page_bytes
    for start in range(0, len(content) - frame_bytes + 1, frame_bytes):
        page = content[start + FRAME_HEADER_BYTES : start + frame_bytes]
        _, _, *frame_salts, first, second = struct.unpack(">6I", content[start : start + FRAME_HEADER_BYTES])
        changed = sum((one ^ other).bit_count() for one, other in zip(frame_salts, salts, strict=True))
        current = changed <= 1
        intact = changed == 0 and (first, second) == _checksum(
            page, _checksum(content[start : start + CHECKED_FRAME_BYTES], before, words), words
        )
        frames.append(_Frame(current, intact))
        before = first, second
    return frames


def _checksum(content: memoryview, before: Checksum, words: str) -> Checksum:
    """As SQLite's file format defines it, over pairs of 32-bit words."""
    first, second = before
    for one, other in struct.iter_unpack(f"{words}2I", content):
        first = (first + one + second) & _MASK
        second = (second + other + first) & _MASK
    return first, second
