"""Embed tokens: what a backend gives to a browser instead of an access key.

A token is made offline and can only narrow what its access key may see. It carries the key's public id, never
the key. Who holds a token can narrow it further, and can neither read nor take away what was said before.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import hmac
import json
import math
import os
import re
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from datetime import datetime, timedelta
from typing import Any

VERSION = "ae1"
NARROWINGS_MAX = 8
TOKEN_BYTES_MAX = 8192
NONCE_BYTES = 12
HOUR_SECONDS = 3600
TAG_BYTES = 32
ALLOWABLE = ("queries", "extractions", "tail", "schema", "exports")
_ORIGIN = re.compile(r"[A-Za-z][A-Za-z0-9+.-]*://[^/?#\s]+|null|no-origin")
VIEWER_MAY_CHANGE = ("timeframe", "interval", "filters")


def embed_token(
    access_key: str,
    *,
    filters: Iterable[Any] | None = None,
    saved_queries: Iterable[str] | None = None,
    dashboards: Iterable[str] | None = None,
    datasets: Iterable[str] | None = None,
    expires_in: float | timedelta | None = HOUR_SECONDS,
    expires_at: datetime | float | None = None,
    origins: Iterable[str] | None = None,
    queries: int | None = None,
    allow: Iterable[str] | None = None,
    viewer: Mapping[str, Any] | None = None,
) -> str:
    """A token that shows results under an access key, narrowed by these conditions.

    It may be sent wherever a read key may. Without ``allow`` it shows results of saved queries, datasets and
    dashboards only. It ends after ``expires_in`` seconds (None: with the key) or at ``expires_at``, an aware
    datetime or a Unix time, where that is given. ``queries`` is how many answers it may get in all;
    ``viewer`` is what a viewer may change, as
    ``{"timeframe": True, "interval": True, "filters": ["country"]}``.

    A token has no right that its key lacks. Results of saved queries need ``saved_queries`` or
    ``cached_queries`` among the key's permissions, and what a viewer changes needs ``queries``.

    Raises ValueError where a condition is not one, and ConfigurationError without ``acumen-client[embed]``.
    """
    _must_be_text("access_key", access_key)
    ends = _expiry(expires_in, expires_at)
    conditions = _conditions(
        filters, saved_queries, dashboards, datasets, ends, origins, queries, allow, viewer
    )
    return _bounded(sealed(access_key, conditions, os.urandom(NONCE_BYTES)))


def narrow_embed_token(
    token: str,
    *,
    filters: Iterable[Any] | None = None,
    saved_queries: Iterable[str] | None = None,
    dashboards: Iterable[str] | None = None,
    datasets: Iterable[str] | None = None,
    expires_in: float | timedelta | None = None,
    expires_at: datetime | float | None = None,
    origins: Iterable[str] | None = None,
    queries: int | None = None,
    allow: Iterable[str] | None = None,
    viewer: Mapping[str, Any] | None = None,
) -> str:
    """A token that shows only what both the given one and these conditions let through.

    Needs no key. Without ``expires_in`` and ``expires_at`` it ends when the given one does. Raises ValueError
    where the token is none, or was narrowed eight times already.
    """
    ends = _expiry(expires_in, expires_at)
    conditions = _conditions(
        filters, saved_queries, dashboards, datasets, ends, origins, queries, allow, viewer
    )
    return _bounded(narrowed(token, conditions, os.urandom(NONCE_BYTES)))


def key_id(access_key: str) -> str:
    """The public id of an access key: what a token carries in its place."""
    return hashlib.sha256(b"acumen key id v1\0" + access_key.encode()).hexdigest()[:32]


def sealed(access_key: str, conditions: bytes, nonce: bytes) -> str:
    """The token of these conditions under this nonce, which must never be used twice with one key."""
    head = f"{VERSION}.{key_id(access_key)}"
    seal = _encrypted(
        _derived(access_key.encode(), b"acumen embed v1 seal"), nonce, conditions, head.encode()
    )
    head = f"{head}.{seal}"
    tag = _mac(_derived(access_key.encode(), b"acumen embed v1 chain"), head)
    return f"{head}.{_text(tag)}"


def narrowed(token: str, conditions: bytes, nonce: bytes) -> str:
    """The token with these conditions added under this nonce."""
    head, tag = _parted(token)
    narrowing = _encrypted(_derived(tag, b"acumen embed v1 narrow"), nonce, conditions, VERSION.encode())
    return f"{head}.{narrowing}.{_text(_mac(tag, narrowing))}"


def _parted(token: str) -> tuple[str, bytes]:
    """A token's head and its tag; ValueError where it is no token, or one that cannot be narrowed again."""
    parts = token.split(".") if isinstance(token, str) else []
    if len(parts) < 4 or parts[0] != VERSION:
        raise ValueError("this is not an embed token of a version that this package knows")
    if len(parts) - 4 >= NARROWINGS_MAX:
        raise ValueError(f"an embed token can be narrowed {NARROWINGS_MAX} times at most")
    try:
        tag = base64.b64decode(parts[-1] + "=" * (-len(parts[-1]) % 4), b"-_", validate=True)
    except (binascii.Error, ValueError):
        tag = b""
    if len(tag) != TAG_BYTES:
        raise ValueError("this is not a whole embed token: its tag is broken")
    return ".".join(parts[:-1]), tag


def _bounded(token: str) -> str:
    if len(token) > TOKEN_BYTES_MAX:
        raise ValueError(
            f"the embed token would have {len(token):,} bytes, more than the {TOKEN_BYTES_MAX:,} that it may "
            "have; allow a longer list by an access key's own options instead"
        )
    return token


def _conditions(
    filters: Iterable[Any] | None,
    saved_queries: Iterable[str] | None,
    dashboards: Iterable[str] | None,
    datasets: Iterable[str] | None,
    expires_at: int | None,
    origins: Iterable[str] | None,
    queries: int | None,
    allow: Iterable[str] | None,
    viewer: Mapping[str, Any] | None,
) -> bytes:
    """The conditions as JSON, without those that were not given."""
    given = {
        "filters": _filters(filters),
        "saved_queries": _texts("saved_queries", saved_queries),
        "dashboards": _texts("dashboards", dashboards),
        "datasets": _texts("datasets", datasets),
        "expires_at": expires_at,
        "origins": _origins(origins),
        "queries": _budget(queries),
        "allow": _texts("allow", allow, ALLOWABLE),
        "viewer": _viewer(viewer),
    }
    present = {name: value for name, value in given.items() if value is not None}
    return json.dumps(present, ensure_ascii=False, separators=(",", ":"), allow_nan=False).encode()


def _filters(filters: Iterable[Any] | None) -> list[Any] | None:
    from acumen_client.query import filters_as_json

    if filters is None:
        return None
    listed = filters_as_json(filters)
    _check_filters(listed)
    return listed


def _check_filters(filters: Any) -> None:
    """Raises ValueError for what a server would not take; the pattern of a regex and the classes of
    ``in_group`` are not judged."""
    if not isinstance(filters, list):
        raise ValueError(f"filters must be a list of filters, not {filters!r}")
    for one in filters:
        operator = one.get("operator") if isinstance(one, dict) else None
        if operator == "or":
            if not one.get("operands"):
                raise ValueError("a filter 'or' needs operands")
            _check_filters(one["operands"])
            continue
        if operator not in _OPERANDS:
            raise ValueError(f"a filter's operator is one of {', '.join(_OPERANDS)} and or: {one!r}")
        if not isinstance(one.get("property_name"), str) or not one["property_name"]:
            raise ValueError(f"a filter needs a property_name: {one!r}")
        if "property_value" not in one or not _OPERANDS[operator](one["property_value"]):
            value = repr(one["property_value"]) if "property_value" in one else "nothing"
            raise ValueError(
                f"the filter on {one['property_name']!r} cannot compare with {value} by '{operator}'"
            )


def _is_scalar(value: object) -> bool:
    return value is None or isinstance(value, str | bool | int | float)


def _are_scalars(value: object) -> bool:
    return isinstance(value, list) and all(map(_is_scalar, value))


def _is_ordered(value: object) -> bool:
    return isinstance(value, str) or _is_number(value)


_OPERANDS: dict[str, Callable[[Any], bool]] = {
    **dict.fromkeys(("eq", "ne"), lambda value: _is_scalar(value) or _are_scalars(value)),
    **dict.fromkeys(("lt", "lte", "gt", "gte"), _is_ordered),
    "exists": lambda value: isinstance(value, bool),
    "in": _are_scalars,
    **dict.fromkeys(("contains", "not_contains"), lambda value: _is_scalar(value) and value is not None),
    "within": lambda value: isinstance(value, dict),
    "regex": lambda value: isinstance(value, str),
    "in_group": _is_scalar,
}
"""What each operator of a filter compares with."""


def _expiry(expires_in: float | timedelta | None, expires_at: datetime | float | None) -> int | None:
    """The Unix time at which a token ends, in whole seconds; None where it ends with its key."""
    if expires_at is not None:
        return math.ceil(_unix_time(expires_at))
    if expires_in is None:
        return None
    seconds = expires_in.total_seconds() if isinstance(expires_in, timedelta) else expires_in
    if not _is_number(seconds) or seconds <= 0:
        raise ValueError("expires_in must be a number of seconds above 0, a timedelta, or None")
    return math.ceil(time.time() + seconds)


def _unix_time(instant: datetime | float) -> float:
    if isinstance(instant, datetime):
        if instant.tzinfo is None:
            raise ValueError(f"expires_at needs a zone: datetime.now(UTC), not {instant!r}")
        return instant.timestamp()
    if not _is_number(instant):
        raise ValueError(f"expires_at must be a datetime with a zone or a Unix time, not {instant!r}")
    return instant


def _is_number(value: object) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value)


def _budget(queries: int | None) -> int | None:
    if queries is not None and (isinstance(queries, bool) or not isinstance(queries, int) or queries < 1):
        raise ValueError("queries must be how many answers the token may get in all, an integer of 1 or more")
    return queries


def _texts(name: str, values: Iterable[str] | None, known: Sequence[str] = ()) -> list[str] | None:
    if values is None:
        return None
    if isinstance(values, str):
        raise ValueError(f"{name} must be a list of texts: [{values!r}], not {values!r}")
    listed = list(values)
    for value in listed:
        if not isinstance(value, str):
            raise ValueError(f"{name} must be a list of texts; {value!r} is none")
        if known and value not in known:
            raise ValueError(f"{name} may hold {', '.join(known)}; not {value!r}")
    return listed


def _origins(origins: Iterable[str] | None) -> list[str] | None:
    listed = _texts("origins", origins)
    for origin in listed or ():
        if not _ORIGIN.fullmatch(origin):
            raise ValueError(f"{origin!r} is no origin, as 'https://shop.example' is, without a path")
    return listed


def _viewer(viewer: Mapping[str, Any] | None) -> dict[str, Any] | None:
    if viewer is None:
        return None
    for name, value in viewer.items():
        if name not in VIEWER_MAY_CHANGE:
            raise ValueError(f"a viewer may change {', '.join(VIEWER_MAY_CHANGE)}; not {name!r}")
        if name != "filters" and not isinstance(value, bool):
            raise ValueError(f"{name!r} of viewer must be True or False, not {value!r}")
    return {**viewer, **({"filters": _texts("filters", viewer["filters"])} if "filters" in viewer else {})}


def _must_be_text(name: str, value: object) -> None:
    if not isinstance(value, str) or not value:
        raise ValueError(f"{name} must be a text that is not empty")


def _encrypted(key: bytes, nonce: bytes, plain: bytes, associated: bytes) -> str:
    from acumen_client._extras import wanted

    aead = wanted("cryptography.hazmat.primitives.ciphers.aead", "embed", "embed tokens")
    return _text(nonce + aead.AESGCM(key).encrypt(nonce, plain, associated))


def _derived(key: bytes, info: bytes) -> bytes:
    from acumen_client._extras import wanted

    hkdf = wanted("cryptography.hazmat.primitives.kdf.hkdf", "embed", "embed tokens")
    hashes = wanted("cryptography.hazmat.primitives.hashes", "embed", "embed tokens")
    derived: bytes = hkdf.HKDF(hashes.SHA256(), 32, None, info).derive(key)
    return derived


def _mac(key: bytes, text: str) -> bytes:
    return hmac.new(key, text.encode("ascii"), hashlib.sha256).digest()


def _text(raw: bytes) -> str:
    return base64.urlsafe_b64encode(raw).decode("ascii").rstrip("=")
