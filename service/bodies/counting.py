"""Counts the contents of a JSON text before any Python objects are built from it.

Values are counted one slice at a time, each of which holds the interpreter for a fraction of a millisecond.
Events and names are counted by a parser that stores nothing and stops at the limit.
"""

from __future__ import annotations

import threading
from collections.abc import Iterator
from typing import Any

import msgspec

_SLICE_BYTES = 262_144
_OPENING = b"[{,"
"""Each value of a JSON text but the first follows one of these, and at most one value follows each."""


def holds_more_values(text: bytes, limit: int) -> bool:
    """Whether the text holds more than ``limit`` values, counting empty lists and objects too."""
    if len(text) <= limit:
        return False
    if sum(_marks(text[at : at + _SLICE_BYTES]) for at in range(0, len(text), _SLICE_BYTES)) <= limit:
        return False
    count = 0
    for part in _without_texts(text):
        count += _marks(part)
        if count > limit:
            return True
    return False


def _marks(part: bytes) -> int:
    return sum(part.count(mark) for mark in _OPENING)


def _without_texts(text: bytes) -> Iterator[bytes]:
    """The JSON text slice by slice, without its strings."""
    at, within = 0, 0
    while at < len(text):
        part = text[at : at + _SLICE_BYTES]
        backslashes = len(part) - len(part.rstrip(b"\\"))
        if backslashes % 2 and at + len(part) < len(text):
            # The last backslash escapes the first character of the next slice.
            part = part[:-1] or text[at : at + 2]
        at += len(part)
        # Pairs of backslashes first: one that is left before a quotation mark escapes it.
        pieces = part.replace(b"\\\\", b"").replace(b'\\"', b"").split(b'"')
        yield b"".join(pieces[within::2])
        within = (within + len(pieces) - 1) % 2


class _Full(Exception):
    """There are more values than the limit; ends the count early."""


class _Room:
    """The remaining limit of the count in progress; the lock allows one count at a time."""

    lock = threading.Lock()
    left = 0

    @classmethod
    def take(cls) -> None:
        cls.left -= 1
        if cls.left < 0:
            raise _Full


class _Counted(msgspec.Struct):
    """An object that is counted and not stored."""

    def __post_init__(self) -> None:
        _Room.take()


class _CountedList(msgspec.Struct, array_like=True):
    """A list that is counted and not stored."""

    def __post_init__(self) -> None:
        _Room.take()


_events = msgspec.json.Decoder(list[_Counted])
_lists = msgspec.json.Decoder(dict[str, _CountedList])


def holds_more_events(text: bytes, limit: int) -> bool | None:
    """Whether a JSON list holds more than ``limit`` objects; None if it is not a list of objects only."""
    return _is_beyond(_events, text, limit)


def holds_more_lists(text: bytes, limit: int) -> bool | None:
    """Whether a JSON object holds more than ``limit`` lists; None if it is not an object of lists only."""
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
