"""``keen:url_parser``: the parts of a URL.

Names in a query string become names of properties: those that cannot be one are changed, so that no
address a browser was sent to can make its event invalid.
"""

from __future__ import annotations

from typing import Any
from urllib.parse import SplitResult, unquote_plus, urlsplit

from service.ingest.enrich.definitions import NAME_LENGTH_MAX

PARAMETERS_MAX = 100
"""Of a longer query string the rest is left out: each name is a property of the collection."""


def split_url(text: str) -> SplitResult | None:
    """The URL in its parts; None for what is none: it has a host, or is a file's."""
    try:
        parts = urlsplit(text.strip())
        known = bool(parts.hostname) or (parts.scheme == "file" and bool(parts.path))
    except ValueError:
        return None
    return parts if known else None


def host_of(parts: SplitResult) -> str:
    """The host's name in lower case, without port, user or a dot at its end."""
    return (parts.hostname or "").rstrip(".")


def parse_url(text: str) -> dict[str, Any] | None:
    """``protocol``, ``domain``, ``path``, ``query_string`` and ``anchor``, each where it is there."""
    parts = split_url(text)
    if parts is None:
        return None
    found: dict[str, Any] = {
        "protocol": parts.scheme,
        "domain": host_of(parts),
        "path": parts.path,
        "query_string": parse_query(parts.query),
        "anchor": parts.fragment,
    }
    return {name: value for name, value in found.items() if value}


def parse_query(query: str) -> dict[str, str]:
    """Name → value, of a repeated name the last."""
    found: dict[str, str] = {}
    for pair in query.split("&", PARAMETERS_MAX)[:PARAMETERS_MAX]:
        name, _, value = pair.partition("=")
        if name := _as_property(unquote_plus(name)):
            found[name] = unquote_plus(value)
    return found


def _as_property(name: str) -> str:
    """The name as one that a property may have; empty where there is none."""
    plain = name.replace(".", "_")[:NAME_LENGTH_MAX]
    return "_" + plain[1:] if plain.startswith("$") else plain
