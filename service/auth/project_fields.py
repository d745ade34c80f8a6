"""Checks the fields of a project that clients send, before they are stored in the catalog."""

from __future__ import annotations

import json
from collections.abc import Iterable
from typing import Any

from service.answerable import check_answerable
from service.auth import preferences
from service.errors import InvalidParameter

USERS_MAX = 1_000
ADDRESS_LENGTH_MAX = 254
PREFERENCES_BYTES_MAX = 65_536


def check_address(text: str) -> str:
    """Return the e-mail address. Raises ValueError, whose text names what is expected."""
    local, at, host = text.rpartition("@")
    plain = all(character.isprintable() and not character.isspace() for character in text)
    if not (at and local and host and plain and len(text) <= ADDRESS_LENGTH_MAX):
        raise ValueError("an e-mail address")
    return text


def addresses(texts: Iterable[str]) -> list[str]:
    """The e-mail addresses without duplicates. Raises InvalidParameter."""
    try:
        return list(dict.fromkeys(map(check_address, texts)))
    except ValueError as error:
        raise InvalidParameter(f"Every user must be {error}.") from None


def checked_preferences(value: Any) -> dict[str, Any]:
    """Return preferences that can be stored and returned again. Raises InvalidParameter."""
    if not isinstance(value, dict):
        raise InvalidParameter("'preferences' must be an object.")
    check_answerable(value, "preferences")
    size = len(json.dumps(value))
    if size > PREFERENCES_BYTES_MAX:
        raise InvalidParameter(f"'preferences' may have at most {PREFERENCES_BYTES_MAX} bytes.")
    preferences.check_preferences(value)
    return value
