"""Damage of the catalog's write-ahead log, of which SQLite says nothing: it drops the first frame whose
checksum is wrong and all that follow, as it must after a write that was cut short. Here the two are told
apart.
"""

from __future__ import annotations

import struct
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

LOOKS, PAUSE_SECONDS = 3, 0.1
"""A server that runs may write while the log is read: what is wrong must stay so."""
HEADER_BYTES, FRAME_HEADER_BYTES, CHECKED_HEADER_BYTES = 32, 24, 24
CHECKED_FRAME_BYTES = 8
MAGIC, MAGIC_MASK = 0x377F0682, 0xFFFFFFFE
_MASK = 0xFFFFFFFF
Checksum = tuple[int, int]


@dataclass(frozen=True, slots=True)
class _Frame:
    current: bool
    """By its salts, of which a bit may have changed, it was written since the log was last begun anew."""
    intact: bool
    """Its checksum follows from the frame before, as that stands there."""


def wal_fault(catalog: Path) -> str | None:
    """What is wrong with the log beside the catalog. Nobody may have opened it since the server ended."""
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
    # Frames are written one after the other: no current one follows a frame of which the writing was cut
    # short, and where the file ends with such a frame, it ends before all of it is there.
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
        _, _, *found, first, second = struct.unpack(">6I", content[start : start + FRAME_HEADER_BYTES])
        changed = sum((one ^ other).bit_count() for one, other in zip(found, salts, strict=True))
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
