"""Origins of web pages, by which embed tokens and access keys say where charts may be embedded."""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import Any
from urllib.parse import urlsplit

NULL_ORIGIN = "null"
"""The origin of sandboxed frames, as browsers send it."""
NO_ORIGIN = "no-origin"
"""Stands for requests that say nothing of where they come from, as those of backends."""
ORIGINS_MAX = 100
_ORIGIN = re.compile(
    r"(?P<scheme>[a-z][a-z0-9+.-]{0,30})://"
    r"(?P<host>[a-z0-9_](?:[a-z0-9_-]*[a-z0-9_])?(?:\.[a-z0-9_](?:[a-z0-9_-]*[a-z0-9_])?)*|\[[0-9a-f:.]{2,45}\])"
    r"(?::(?P<port>[1-9][0-9]{0,4}))?",
    re.ASCII,
)
_LENGTH_MAX = 300
_DEFAULT_PORTS = {"http": "80", "https": "443"}
_FRAMING = ("http", "https")


def read_origins(value: Any) -> frozenset[str] | None:
    """The origins in a JSON list, in the form in which browsers send them; None where the list is not one."""
    if not isinstance(value, list) or len(value) > ORIGINS_MAX:
        return None
    origins = [_read(one) for one in value]
    return None if None in origins else frozenset(one for one in origins if one is not None)


def origin_of(address: str) -> str | None:
    """The origin of an absolute address, such as that in ``Referer``; None where it has none."""
    try:
        parts = urlsplit(address)
    except ValueError:
        return None
    return _read(f"{parts.scheme}://{parts.netloc.rpartition('@')[2]}") if parts.netloc else None


def frame_ancestors(allowed: Iterable[frozenset[str]]) -> str:
    """The value of the directive ``frame-ancestors`` that lets in the pages that all of these sets allow."""
    sets = list(allowed)
    common = frozenset.intersection(*sets) if sets else frozenset[str]()
    sources = sorted(one for one in common if one.partition("://")[0] in _FRAMING and "[" not in one)
    return " ".join(sources) or "'none'"


def _read(text: Any) -> str | None:
    if text in (NULL_ORIGIN, NO_ORIGIN):
        return str(text)
    if not isinstance(text, str) or len(text) > _LENGTH_MAX:
        return None
    match = _ORIGIN.fullmatch(text.lower()) if text.isascii() else None
    if match is None:
        return None
    scheme, host, port = match["scheme"], match["host"], match["port"]
    plain = port is None or port == _DEFAULT_PORTS.get(scheme)
    return f"{scheme}://{host}" if plain else f"{scheme}://{host}:{port}"
