"""Reading requests and building answers for the routes: paths, parameters, keys, JSON."""

from __future__ import annotations

from collections.abc import Callable, Coroutine, Iterable, Sequence
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass
from typing import Any
from urllib.parse import parse_qsl, quote, unquote_to_bytes

import orjson
from starlette.requests import Request
from starlette.responses import Response

from query.language.fields import whole, wrong
from query.language.parameters import SENT_BY_SDKS, check_keys
from query.language.query_string import ambiguous
from service.auth.given_keys import given_keys
from service.auth.principal import Caller, key_of
from service.bodies import body_thread
from service.bodies.json_body import json_of
from service.bodies.reader import BodyReader
from service.errors import InvalidParameter
from service.http.error_rendering import JSON, Rendered
from service.http.middleware import FIELDS, Scope, as_headers
from service.http.models.shared import ROW_ID_MAX
from service.http.pixel import BadBeacon, check_callback
from service.limits.rate_limiter import Rate, RateLimits, fields_of

Pairs = list[tuple[str, str]]
_NOTHING: Any = object()
HARMLESS = frozenset({"api_key", "_"})
"""Parameters allowed in any query string: the key, and ``_``, which clients add against caches."""
_WARNING_LENGTH_MAX = 500
_AUDITED = "acumen.audited"
"""Key in a request's scope: details for the audit log."""
_ACTION = "acumen.audited_action"
"""Key in a request's scope: the action for the audit log, in place of the words of the route."""


@dataclass(frozen=True, slots=True)
class EventAddress:
    """What a path below ``/events`` names; the last two are None for the list of collections."""

    project_id: str
    collection: str | None = None
    property_name: str | None = None


def event_address(scope: Scope) -> EventAddress:
    """The address in the path as sent.

    The collection is all between ``/events/`` and the end or ``/properties/``. Slashes in a name may be raw
    or ``%2F``; ``/properties/`` is recognised only with raw slashes.
    """
    parts = raw_path(scope).split(b"/", 5)
    project_id = _decoded(parts[3])
    rest = parts[5] if len(parts) > 5 else b""
    if not rest:
        return EventAddress(project_id)
    collection, found, name = rest.rpartition(b"/properties/")
    if found and collection and name:
        return EventAddress(project_id, _decoded(collection), _decoded(name))
    return EventAddress(project_id, _decoded(rest))


def collection_before(scope: Scope, end: str) -> str:
    """The collection between ``/events/`` and ``end``; slashes in its name may be raw or ``%2F``."""
    return _decoded(raw_path(scope).split(b"/", 5)[5].removesuffix(end.encode()))


def project_of(scope: Scope) -> str:
    """The project id in a path below ``/3.0/projects/``, or below ``/projects/`` for dashboards."""
    first, *rest = raw_path(scope).split(b"/", 4)[1:]
    return _decoded(rest[0] if first == b"projects" else rest[1])


def segment_of(scope: Scope, number: int) -> str:
    """One segment of the path as sent, decoded; the first has number 1."""
    return _decoded(raw_path(scope).split(b"/")[number])


def raw_path(scope: Scope) -> bytes:
    path: bytes = scope.get("raw_path") or quote(scope["path"], safe="/").encode()
    return path.partition(b"?")[0]


def _decoded(part: bytes) -> str:
    return unquote_to_bytes(part).decode("utf-8", "replace")


def pairs_of(scope: Scope) -> Pairs:
    """The query string's parameters; stray ``?`` and ``&`` around them are ignored."""
    text = scope["query_string"].decode("latin-1").lstrip("?&")
    try:
        pairs = parse_qsl(text, keep_blank_values=True, errors="strict")
    except UnicodeDecodeError:
        raise InvalidParameter(
            "A parameter in the address is not percent-encoded UTF-8, so that it is not certain what it says."
        ) from None
    return [(name, value) for name, value in pairs if name]


def parameter(pairs: Pairs, name: str) -> str | None:
    """The last non-empty value of a parameter."""
    return next((value for found, value in reversed(pairs) if found == name and value), None)


def limit_of(pairs: Pairs, usual: int, most: int) -> int:
    """How many of a listing are to be shown. Raises InvalidQuery."""
    limit = whole("limit", parameter(pairs, "limit") or usual, 1)
    if limit > most:
        raise wrong("limit", f"an integer from 1 to {most}", limit)
    return limit


def number_before(pairs: Pairs) -> int | None:
    """The number below which those of a listing are to be. Raises InvalidQuery."""
    before = parameter(pairs, "before")
    return None if before is None else min(whole("before", before, 0), ROW_ID_MAX)


def check_names(names: Iterable[str], known: Sequence[str], what: str) -> None:
    """Raises InvalidQuery for a parameter that ``what``, a deletion or change, does not take.

    This holds whatever the settings say: a misspelt name must not widen a deletion from a part to everything.
    """
    check_keys(dict.fromkeys(name for name in names if name not in HARMLESS), known, what, kind="parameter")


def check_parameters(pairs: Pairs, known: Sequence[str], what: str) -> None:
    """Raises InvalidQuery for a parameter with two values, or unknown to both ``what`` and the SDKs."""
    sent: dict[str, str] = {}
    for name, value in pairs:
        if name not in SENT_BY_SDKS and value and sent.setdefault(name, value) != value:
            raise ambiguous(name)
    check_keys(sent, known, what, kind="parameter")


def count_rate(rates: RateLimits, request: Request, caller: Caller, rate: Rate) -> None:
    """Count a request towards its rate limit, and add what is left to the answer's headers.

    Called after the key's rights are checked and before the body is read. Raises RateLimited.
    """
    quotas = rates.check(caller.project.id, rate, caller.counted_as, by_token=caller.embed is not None)
    if quotas:
        request.scope[FIELDS].extend(as_headers(fields_of(quotas)))


def cookie_of(scope: Scope, wanted: str) -> str | None:
    """The value of a cookie; None where it is absent, or there with two values: a sibling domain may have set
    one of them."""
    found: set[str] = set()
    for name, value in scope["headers"]:
        if name == b"cookie":
            for cookie in value.decode("latin-1").split(";"):
                known, _, text = cookie.strip().partition("=")
                if known == wanted:
                    found.add(text)
    return found.pop() if len(found) == 1 else None


def request_key(request: Request) -> str | None:
    """The request's key, None where it has none. Raises InvalidParameter for two keys of one kind."""
    header, parameter = given_keys(request.scope)
    return key_of(header.decode("latin-1"), parameter or None)


def callback_of(pairs: Pairs) -> str | None:
    """The JSONP callback, None where none is requested. Raises InvalidParameter."""
    name = parameter(pairs, "jsonp")
    try:
        return check_callback(name) if name is not None else None
    except BadBeacon as error:
        raise InvalidParameter(str(error)) from None


async def read_json(bodies: BodyReader, request: Request, limit: int, empty: Any = _NOTHING) -> Any:
    """The request's body, or ``empty``, if given, for an empty body. Raises BodyError, InvalidJSON."""
    async with opened(bodies, request, limit) as body:
        if empty is not _NOTHING and not body.strip():
            return empty
        return await decoded(bodies, body)


async def decoded(bodies: BodyReader, body: bytes) -> Any:
    """The JSON of a body. Raises InvalidJSON, BodyError."""
    large = len(body) > body_thread.SLOW_INLINE_BYTES_MAX
    return await body_thread.call_if(large, json_of, body, bodies.limits.values_max)


def opened(bodies: BodyReader, request: Request, limit: int) -> AbstractAsyncContextManager[bytes]:
    """A context with the request's body, inflated; its memory counts until the end. Raises BodyError."""
    length, encoding = (request.headers.get(name) for name in ("content-length", "content-encoding"))
    return bodies.opened(
        request.receive,
        length.encode("latin-1") if length else None,
        encoding.encode("latin-1") if encoding else None,
        limit,
    )


def audit_details(request: Request, **details: Any) -> None:
    """Add to what the audit log will say of this request; no secrets."""
    request.scope[_AUDITED] = audited_details(request) | details


def audit_action(request: Request, action: str) -> None:
    """Say what this request does, where the words of its route say more than one thing."""
    request.scope[_ACTION] = action


def audited_action(request: Request, otherwise: str) -> str:
    return str(request.scope.get(_ACTION, otherwise))


def audited_details(request: Request) -> dict[str, Any]:
    found: dict[str, Any] = request.scope.get(_AUDITED, {})
    return found


def gone_of(request: Request) -> Callable[[], Coroutine[Any, Any, None]]:
    """A function that returns once the client has disconnected."""

    async def gone() -> None:
        while (await request.receive())["type"] != "http.disconnect":
            pass

    return gone


def warning_headers(warnings: Sequence[str]) -> dict[str, str] | None:
    return {"warning": ", ".join(_warning(text) for text in warnings)} if warnings else None


def _warning(text: str) -> str:
    """A warning as in RFC 7234. The text may quote a client's input, so only plain characters pass."""
    plain = "".join(c if c.isascii() and c.isprintable() and c not in '"\\' else "?" for c in text)
    return f'199 acumen "{plain[:_WARNING_LENGTH_MAX]}"'


def json_answer(value: Any, status: int = 200, headers: dict[str, str] | None = None) -> Response:
    """An answer whose body is the value as JSON; bytes are taken as JSON already."""
    body = value if isinstance(value, bytes) else orjson.dumps(value)
    return Response(body, status, headers, JSON)


def empty_answer() -> Response:
    """A 204 that closes the connection.

    Keen's client for Node never notices the end of such an answer, and its process would run on until the
    connection ends.
    """
    return Response(status_code=204, headers={"connection": "close"})


def error_answer(error: Rendered, callback: str | None = None) -> Response:
    if callback is not None:
        return script_answer(callback, error.body, error.status, error.headers)
    return Response(error.body, error.status, error.headers)


def script_answer(
    callback: str, body: bytes, status: int = 200, headers: dict[str, str] | None = None
) -> Response:
    """``callback(body);`` as JavaScript, with headers that keep browsers from reading it as another type."""
    # U+2028 and U+2029 end lines in older JavaScript, but are ordinary characters in JSON.
    body = body.replace(b"\xe2\x80\xa8", b"\\u2028").replace(b"\xe2\x80\xa9", b"\\u2029")
    kept = {name: value for name, value in (headers or {}).items() if name != "content-type"}
    kept |= {
        "content-type": "text/javascript; charset=utf-8",
        "x-content-type-options": "nosniff",
        "cross-origin-resource-policy": "cross-origin",
    }
    return Response(callback.encode() + b"(" + body + b");", status, kept)
