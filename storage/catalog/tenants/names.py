"""Checks of the names, ids and texts that the catalog accepts."""

from __future__ import annotations

import re
import secrets

from storage.catalog.errors import (
    InvalidName,
)

NAME_LENGTH_MAX = 256
PROJECT_ID_LENGTH_MAX = 64
_ALPHANUMERIC = re.compile(r"[A-Za-z0-9]+")


def new_id() -> str:
    """A random id of 24 lower-case hex digits."""
    return secrets.token_hex(12)


def check_name(name: str, whose: str) -> None:
    if not name.strip() or len(name) > NAME_LENGTH_MAX or not is_text(name):
        raise InvalidName(f"{whose}'s name must have 1 to {NAME_LENGTH_MAX} characters, not only spaces.")


def check_token(value: str, what: str, length_min: int, length_max: int) -> None:
    if not length_min <= len(value) <= length_max or not _ALPHANUMERIC.fullmatch(value):
        raise InvalidName(
            f"A {what} must be {length_min} to {length_max} ASCII letters and digits."
            # The value itself may be a secret, so the message leaves it out.
        )


def is_text(value: str) -> bool:
    """False for strings with lone surrogates, which have no UTF-8 form."""
    return value.isascii() or not any("\ud800" <= character <= "\udfff" for character in value)
