"""The fields of a project that people send, checked before the catalog has them."""

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
    """An e-mail address. Raises ValueError, which says what is needed."""
    local, at, host = text.rpartition("@")
    plain = all(character.isprintable() and not character.isspace() for character in text)
    if not (at and local and host and plain and len(text) <= ADDRESS_LENGTH_MAX):
        raise ValueError("an e-mail address")
    return text


def addresses(texts: Iterable[str]) -> list[str]:
    """E-mail addresses, each once. Raises InvalidParameter."""
    try:
        return list(dict.fromkeys(map(check_address, texts)))
    except ValueError as error:
        raise InvalidParameter(f"Every user must be {error}.") from None


def check_preferences(value: Any) -> dict[str, Any]:
    """Preferences that may be kept and shown again. Raises InvalidParameter."""
    if not isinstance(value, dict):
        raise InvalidParameter("'preferences' must be an object.")
    check_answerable(value, "preferences")
    size = len(json.dumps(value))
    if size > PREFERENCES_BYTES_MAX:
        raise InvalidParameter(f"'preferences' may have {PREFERENCES_BYTES_MAX} bytes at most.")
    preferences.check_preferences(value)
    return value
