"""How much a JSON text holds, counted before anything is made of it.

A slice at a time: a count holds the interpreter for a fraction of a millisecond, and stops at its limit.
"""

from __future__ import annotations

from collections.abc import Iterator

_SLICE_BYTES = 262_144
_OPENING = b"[{,"
"""Each value of a JSON text but the first follows one of these, and at most one follows each."""


def holds_more_values(text: bytes, limit: int) -> bool:
    """Whether the text holds more than so many values and empty lists and objects."""
    if len(text) <= limit:
        return False
    if sum(_marks(text[at : at + _SLICE_BYTES]) for at in range(0, len(text), _SLICE_BYTES)) <= limit:
        return False
    found = 0
    for part in _without_texts(text):
        found += _marks(part)
        if found > limit:
            return True
    return False


def _marks(part: bytes) -> int:
    return sum(part.count(mark) for mark in _OPENING)


def _without_texts(text: bytes) -> Iterator[bytes]:
    """The JSON slice by slice, without the texts in quotation marks."""
    at, within = 0, 0
    while at < len(text):
        part = text[at : at + _SLICE_BYTES]
        backslashes = len(part) - len(part.rstrip(b"\\"))
        if backslashes % 2 and at + len(part) < len(text):
            # The last one escapes what stands in the next slice.
            part = part[:-1] or text[at : at + 2]
        at += len(part)
        # Pairs first: what is left before a quotation mark escapes it.
        pieces = part.replace(b"\\\\", b"").replace(b'\\"', b"").split(b'"')
        yield b"".join(pieces[within::2])
        within = (within + len(pieces) - 1) % 2
