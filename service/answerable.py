"""Checks whether JSON from a request can be repeated in an answer."""

from __future__ import annotations

import json
from typing import Any

import orjson

from service.errors import InvalidParameter


def check_answerable(value: Any, name: str) -> None:
    """Raises InvalidParameter for JSON that an answer cannot contain: unpaired surrogates, integers beyond
    64 bits, numbers that are not finite, and very deep nesting."""
    try:
        json.dumps(value, allow_nan=False)
        orjson.dumps([[[[value]]]])
    except (TypeError, ValueError, RecursionError):
        raise InvalidParameter(
            f"'{name}' holds text that is not Unicode, a number that is too large, or is nested too deeply."
        ) from None
