"""Batches with half a surrogate pair in them, taken apart where ``msgspec`` refuses to.

JavaScript writes such halves, as ``\\ud83d``, where it cuts a text within an emoji. They are JSON by its
grammar: they spoil the event that they are in, and not all others of the batch. This way is slow, and is
gone only where a text holds an escape of this kind.
"""

from __future__ import annotations

import json
import re
from typing import NoReturn

from msgspec import Raw

_ESCAPE = re.compile(rb"\\u[dD][89a-fA-F]")


def members(text: bytes) -> dict[str, Raw] | None:
    """The members of a JSON object; None where it is none, or holds no such half."""
    try:
        return _members(str(text, "utf-8")) if _ESCAPE.search(text) else None
    except (ValueError, IndexError, RecursionError):
        return None


def elements(text: bytes) -> list[Raw] | None:
    """The elements of a JSON list; None where it is none, or holds no such half."""
    try:
        return _elements(str(text, "utf-8")) if _ESCAPE.search(text) else None
    except (ValueError, IndexError, RecursionError):
        return None


def _members(text: str) -> dict[str, Raw]:
    members: dict[str, Raw] = {}
    mark, at = _past(text, 0, "{")
    if text[at] == "}":
        mark, at = _past(text, at, "}")
    while mark != "}":
        name, at = _scan(text, at)
        if not isinstance(name, str):
            raise ValueError(name)
        name.encode()
        _, start = _past(text, at, ":")
        _, end = _scan(text, start)
        members[name] = Raw(text[start:end].encode())
        mark, at = _past(text, end, ",}")
    _end(text, at)
    return members


def _elements(text: str) -> list[Raw]:
    elements: list[Raw] = []
    mark, at = _past(text, 0, "[")
    if text[at] == "]":
        mark, at = _past(text, at, "]")
    while mark != "]":
        _, end = _scan(text, at)
        elements.append(Raw(text[at:end].encode()))
        mark, at = _past(text, end, ",]")
    _end(text, at)
    return elements


def _past(text: str, at: int, marks: str) -> tuple[str, int]:
    """The next character, which must be one of these, and where the one after it and blanks is."""
    at = _blank(text, at)
    mark = text[at]
    if mark not in marks:
        raise ValueError(mark)
    return mark, _blank(text, at + 1)


def _blank(text: str, at: int) -> int:
    while at < len(text) and text[at] in " \t\n\r":
        at += 1
    return at


def _end(text: str, at: int) -> None:
    if at != len(text):
        raise ValueError(text[at])


def _refuse(name: str) -> NoReturn:
    raise ValueError(name)


# Numbers are only passed over: what they are worth is judged with their event.
_scan = json.JSONDecoder(parse_constant=_refuse, parse_int=lambda _: 0, parse_float=lambda _: 0.0).raw_decode
