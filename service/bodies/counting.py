"""How much a JSON text holds, counted before anything is made of it.

Values are counted a slice at a time, which holds the interpreter for a fraction of a millisecond; events and
names by a parser that keeps nothing of them and stops at the limit.
"""

from __future__ import annotations

import threading
from collections.abc import Iterator
from typing import Any

import msgspec

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


class _Full(Exception):
    """One more than there may be."""


class _Room:
    """How many more of what is being counted there may be; one count at a time."""

    lock = threading.Lock()
    left = 0

    @classmethod
    def take(cls) -> None:
        cls.left -= 1
        if cls.left < 0:
            raise _Full


class _Counted(msgspec.Struct):
    """An object of which nothing is kept."""

    def __post_init__(self) -> None:
        _Room.take()


class _CountedList(msgspec.Struct, array_like=True):
    """A list of which nothing is kept."""

    def __post_init__(self) -> None:
        _Room.take()


_events = msgspec.json.Decoder(list[_Counted])
_lists = msgspec.json.Decoder(dict[str, _CountedList])


def holds_more_events(text: bytes, limit: int) -> bool | None:
    """Whether a JSON list holds more than so many objects; None where it is no list of objects alone."""
    return _is_beyond(_events, text, limit)


def holds_more_lists(text: bytes, limit: int) -> bool | None:
    """Whether a JSON object holds more than so many lists; None where it is no object of lists alone."""
    return _is_beyond(_lists, text, limit)


def _is_beyond(decoder: msgspec.json.Decoder[Any], text: bytes, limit: int) -> bool | None:
    with _Room.lock:
        _Room.left = limit
        try:
            decoder.decode(text)
        except _Full:
            return True
        except (ValueError, RecursionError, msgspec.MsgspecError):
            return None
    return False
