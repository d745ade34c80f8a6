"""Encodes answers as JSON bytes, with integers of any size."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator
from itertools import islice
from typing import Any

import orjson

STEP_VALUES = 20_000
Written = orjson.Fragment
"""A value that is already encoded as JSON."""


def dumps(value: Any) -> bytes:
    """Encodes as UTF-8 JSON without spaces; dicts keep their order. Non-finite floats become ``null``.

    A value that contains ``Written`` parts may contain integers of up to 64 bits only.

    Raises TypeError for values that JSON cannot represent.
    """
    try:
        return orjson.dumps(value)
    except orjson.JSONEncodeError:
        # orjson supports 64 bits only; the standard library encodes the rare longer integers.
        value = _finite(value)
    try:
        return json.dumps(value, ensure_ascii=False, separators=(",", ":")).encode()
    except UnicodeEncodeError:
        # A lone surrogate, echoed from the request, can only be written as an escape.
        return json.dumps(value, separators=(",", ":")).encode()


def in_parts(texts: Iterable[bytes], most: int) -> Iterator[bytes]:
    """Joins encoded elements into parts for ``array``, at most ``most`` elements in each."""
    remaining = iter(texts)
    while part := b",".join(islice(remaining, most)):
        yield part


def array(parts: list[bytes]) -> bytes:
    """Joins parts, each some elements separated by commas, into a JSON array.

    Empties ``parts``, so that only the returned copy stays in memory.
    """
    if not parts:
        return b"[]"
    parts[0] = b"[" + parts[0]
    parts[-1] += b"]"
    text = b",".join(parts)
    parts.clear()
    return text


def dumps_in_steps(value: Any) -> bytes:
    """As ``dumps``, for a list or an object of lists that may be long.

    Each step encodes at most ``STEP_VALUES`` values, so that other threads can run in between. They can also
    run while the steps are joined.
    """
    if not isinstance(value, dict | list):
        return dumps(value)
    return b"".join(_steps(value))


def _steps(value: Any) -> Iterator[bytes]:
    if isinstance(value, dict):
        for number, (name, item) in enumerate(value.items()):
            yield (b"," if number else b"{") + dumps(name) + b":"
            yield from _steps(item)
        yield b"}" if value else b"{}"
    elif isinstance(value, list) and len(value) > STEP_VALUES:
        for start in range(0, len(value), STEP_VALUES):
            yield (b"," if start else b"[") + dumps(value[start : start + STEP_VALUES])[1:-1]
        yield b"]"
    else:
        yield dumps(value)


def _finite(value: Any) -> Any:
    """The value with non-finite floats replaced by None, as orjson does."""
    if isinstance(value, float):
        return value if value - value == 0 else None
    if isinstance(value, dict):
        return {key: _finite(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_finite(item) for item in value]
    return value
