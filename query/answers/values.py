"""Single values of answers: converts cells of the engine to JSON values and sort keys."""

from __future__ import annotations

import json
import math
import re
from collections.abc import Sequence
from datetime import datetime, timedelta
from decimal import ROUND_HALF_UP, Context, Decimal
from itertools import pairwise
from typing import Any

import orjson

from query.plan.keys import KeyPart
from storage.instants import format_instant

_LONG_DIGITS = re.compile(r"\d{19}")
"""Shorter runs of digits fit 64 bits, up to which orjson keeps integers exact."""
_EPOCH = datetime(1970, 1, 1)
_MICROSECOND = timedelta(microseconds=1)
NULL_ORDER = 4
_ROUNDING = Context(prec=40, rounding=ROUND_HALF_UP)
"""Rounds halves of decimals away from zero, as is usual for amounts of money."""
Row = Sequence[Any]


def number(value: Any) -> int | float | None:
    """A result as a JSON value: integral numbers become integers, non-finite ones null."""
    if value is None or isinstance(value, int):
        return value
    if isinstance(value, Decimal):
        value = float(value)
    if not math.isfinite(value):
        return None
    return int(value) if value.is_integer() else float(value)


def rounded(value: Any, decimals: int | None) -> Any:
    """Rounds a result, as the decimal that JSON shows, to ``decimals`` places, halves away from zero."""
    if decimals is None or not isinstance(value, float) or value.is_integer():
        return value
    return number(float(Decimal(repr(value)).quantize(Decimal(1).scaleb(-decimals), context=_ROUNDING)))


def value_order(value: Any) -> tuple[int, Any]:
    """The sort key of a value: numbers, strings, booleans, lists, then null; lists item by item."""
    if isinstance(value, bool):
        return 2, value
    if isinstance(value, int | float):
        return 0, value
    if isinstance(value, str):
        return 1, value
    if isinstance(value, list):
        return 3, [value_order(item) for item in value]
    return NULL_ORDER, 0


def part_value(part: KeyPart, cell: Any) -> tuple[Any, tuple[int, Any]]:
    """A non-null cell of one part as a JSON value, and its sort key."""
    if part is KeyPart.NUMBER:
        value = number(cell)
        return value, (0, value)
    if part is KeyPart.BIG:
        return int(cell), (0, int(cell))
    if part is KeyPart.INSTANT:
        us = instant_us(cell)
        return format_instant(us), (1, us)
    return cell, (2 if part is KeyPart.BOOLEAN else 1, cell)


def instant_us(value: Any) -> int:
    """µs since 1970 of a datetime without a zone."""
    return int((value - _EPOCH) // _MICROSECOND)


def timeframes(edges: tuple[int, ...]) -> list[dict[str, str]]:
    texts = [format_instant(edge) for edge in edges]
    return [{"start": start, "end": end} for start, end in pairwise(texts)]


def loads(text: str) -> Any:
    """Decodes JSON with integers of any size."""
    if len(text) >= 19 and _LONG_DIGITS.search(text):
        return json.loads(text)
    return orjson.loads(text)
