"""Parses the JSON of a request's body into Python values."""

from __future__ import annotations

import json
from typing import Any

from service.bodies.counting import holds_more_values
from service.bodies.reader import TooManyValues
from service.errors import InvalidJSON


def json_of(body: bytes, values_max: int | None = None) -> Any:
    """Parse any JSON value; integers are exact, and the last of duplicate keys wins.

    Raises InvalidJSON, and TooManyValues, before any value is built, if there are more than ``values_max``.
    """
    if values_max is not None and holds_more_values(body, values_max):
        raise TooManyValues(values_max)
    try:
        # Given bytes, the library would also accept UTF-16 and unpaired surrogates.
        return json.loads(str(body, "utf-8-sig"), parse_constant=_refuse)
    except (ValueError, RecursionError):
        raise InvalidJSON(f"The request body is not valid JSON.{_form_hint(body)}") from None


def _form_hint(body: bytes) -> str:
    """A hint for the error message if the body is a form, as ``curl --data`` sends one."""
    name, equals, _ = body[:100].partition(b"=")
    if equals and name.replace(b"_", b"").isalnum():
        return ' It is a form: send an object such as {"event_collection": "purchases"}.'
    return ""


def _refuse(name: str) -> float:
    raise ValueError(name)
