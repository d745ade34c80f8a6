"""JSON by orjson where it is installed, and by the standard library otherwise: the result is the same.

Beside JSON's own types it writes datetimes, dates, times, UUIDs, enumerations, decimals, paths, sets, tuples
and dataclasses. NaN and the infinities, which JSON lacks, become null.
"""

from __future__ import annotations

import dataclasses
import datetime as dt
import enum
import json
import math
import re
import uuid
from collections.abc import Mapping
from decimal import Decimal
from pathlib import PurePath
from typing import Any

try:
    import orjson
except ImportError:
    HAS_ORJSON = False
else:
    HAS_ORJSON = True

_LONG_INTEGER = re.compile(rb"\d{19}")
"""What may be an integer that orjson would read as a float."""


def dumps(value: Any) -> bytes:
    """The value as JSON without spaces, in UTF-8. Raises TypeError or ValueError where it has no JSON."""
    if HAS_ORJSON:
        try:
            return orjson.dumps(value, default=_plain)
        except TypeError:
            # Integers of more than 64 bits, keys that are no text, halves of characters.
            pass
    try:
        return _text(value).encode()
    except ValueError:
        return _text(_without_nan(value)).encode()


def loads(content: bytes) -> Any:
    """The value of a JSON text; integers of any length stay exact. Raises ValueError where it is none."""
    if HAS_ORJSON and _LONG_INTEGER.search(content) is None:
        return orjson.loads(content)
    return json.loads(content)


def _text(value: Any) -> str:
    return json.dumps(value, default=_plain, allow_nan=False, separators=(",", ":"))


def _plain(value: Any) -> Any:
    """What stands in JSON for a value of no JSON type; raises TypeError for an unknown one."""
    if isinstance(value, dt.datetime | dt.date | dt.time):
        return value.isoformat()
    if isinstance(value, uuid.UUID | PurePath):
        return str(value)
    if isinstance(value, enum.Enum):
        return value.value
    if isinstance(value, Decimal):
        return int(value) if value.is_finite() and value == value.to_integral_value() else float(value)
    if isinstance(value, set | frozenset | tuple):
        return list(value)
    if isinstance(value, Mapping):
        return dict(value)
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        return {field.name: getattr(value, field.name) for field in dataclasses.fields(value)}
    if hasattr(value, "tolist"):
        # Scalars and arrays of NumPy.
        return value.tolist()
    raise TypeError(f"a value of type {type(value).__name__} has no JSON")


def _without_nan(value: Any) -> Any:
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    if isinstance(value, Mapping):
        return {name: _without_nan(part) for name, part in value.items()}
    if isinstance(value, list | tuple):
        return [_without_nan(part) for part in value]
    if value is None or isinstance(value, str | int):
        return value
    return _without_nan(_plain(value))
