"""Widths of texts as the shipped fonts have them, read from the files: what the core's table is held to."""

from __future__ import annotations

import struct
from functools import cache
from pathlib import Path

FONTS = Path(__file__).resolve().parents[3] / "service" / "assets" / "fonts"


@cache
def advances(style: str) -> dict[int, float]:
    """Characters and their advances in ems."""
    data = (FONTS / f"Inter-{style}.ttf").read_bytes()
    tables = _tables(data)
    em = struct.unpack_from(">H", data, tables["head"] + 18)[0]
    count = struct.unpack_from(">H", data, tables["hhea"] + 34)[0]
    glyphs = _cmap(data, tables["cmap"])

    def advance(glyph: int) -> float:
        width = struct.unpack_from(">H", data, tables["hmtx"] + 4 * min(glyph, count - 1))[0]
        return float(width / em)

    return {code: advance(glyph) for code, glyph in glyphs.items()}


def width(text: str, size: float, bold: bool) -> float | None:
    """In pixels; None where the font lacks a character."""
    known = advances("SemiBold" if bold else "Regular")
    widths = [known.get(ord(char)) for char in text]
    return None if None in widths else size * sum(one for one in widths if one is not None)


def _tables(data: bytes) -> dict[str, int]:
    count = struct.unpack_from(">H", data, 4)[0]
    entries = (struct.unpack_from(">4sIII", data, 12 + 16 * index) for index in range(count))
    return {tag.decode(): offset for tag, _, offset, _ in entries}


def _cmap(data: bytes, start: int) -> dict[int, int]:
    """Characters and glyphs of the subtable in format 4 (which holds the basic plane)."""
    count = struct.unpack_from(">H", data, start + 2)[0]
    for index in range(count):
        offset = start + struct.unpack_from(">HHI", data, start + 4 + 8 * index)[2]
        if struct.unpack_from(">H", data, offset)[0] == 4:
            return _segments(data, offset)
    raise AssertionError("no cmap of format 4")


def _segments(data: bytes, offset: int) -> dict[int, int]:
    size = struct.unpack_from(">H", data, offset + 6)[0]
    ends, starts = offset + 14, offset + 16 + size
    glyphs: dict[int, int] = {}
    for at in range(0, size, 2):
        end, first = (struct.unpack_from(">H", data, place + at)[0] for place in (ends, starts))
        delta, ranged = (struct.unpack_from(">H", data, starts + size * turn + at)[0] for turn in (1, 2))
        for code in range(first, min(end, 0xFFFE) + 1):
            glyph = code
            if ranged:
                where = starts + 2 * size + at + ranged + 2 * (code - first)
                glyph = struct.unpack_from(">H", data, where)[0]
            if glyph or not ranged:
                glyph = (glyph + delta) & 0xFFFF
            if glyph:
                glyphs[code] = glyph
    return glyphs
