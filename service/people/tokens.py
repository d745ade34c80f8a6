"""Random tokens of sessions and one-time links. Only their digests are stored."""

from __future__ import annotations

import hashlib
import re
import secrets

DAY_US = 86_400_000_000
_BYTES = 32
_TOKEN = re.compile(r"[A-Za-z0-9_-]{43}", re.ASCII)


def new_token() -> tuple[str, str]:
    """A token and its digest."""
    token = secrets.token_urlsafe(_BYTES)
    return token, _digest(token)


def digest_of(token: str) -> str | None:
    """The digest by which a token is looked up; None for what cannot be a token.

    A token has 256 random bits, so that a fast hash is enough, and the time of the look-up tells nothing.
    """
    return _digest(token) if _TOKEN.fullmatch(token) else None


def _digest(token: str) -> str:
    return hashlib.sha256(token.encode()).hexdigest()
