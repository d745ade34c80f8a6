"""The layer around all routes except the write routes, which come before it and do the same for their own
answers (``service.http.write_api``).

It gives each request an id, adds the CORS headers (to errors too, or a browser cannot read them), answers
preflights on every path, counts and logs requests, and turns uncaught exceptions into errors of the API.
"""

from __future__ import annotations

import logging
import re
import secrets
import time
from collections.abc import Awaitable, Callable, Mapping, MutableMapping
from typing import Any

from service.bodies.accepted import takes_gzip
from service.bodies.compressing import compressed, encoded_headers, is_compressible
from service.http.error_rendering import Rendered, render
from service.telemetry.json_logging import REQUEST_ID, SECRETS, log_request, secrets_of
from service.telemetry.metrics import ROUTES, STATUSES, Metrics
from service.telemetry.refusals import Refusals

Scope = MutableMapping[str, Any]
Message = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]
App = Callable[[Scope, Receive, Send], Awaitable[None]]
Headers = list[tuple[bytes, bytes]]

FIELDS = "acumen.fields"
"""Key in a request's scope: header fields to add to the answer, success or error."""

ALLOW_ORIGIN = (b"access-control-allow-origin", b"*")
EXPOSE = (
    b"access-control-expose-headers",
    b"Retry-After, RateLimit, RateLimit-Policy, Warning, X-Request-Id, Acumen-Duplicates, Acumen-Truncated, "
    b"ETag",
)
NO_STORE = (b"cache-control", b"no-store")
PREFLIGHT: Headers = [
    ALLOW_ORIGIN,
    (b"access-control-allow-methods", b"GET, POST, PUT, DELETE, OPTIONS, HEAD"),
    (
        b"access-control-allow-headers",
        b"origin, content-type, accept, authorization, user-agent, keen-sdk, x-keen-blob-metadata, "
        b"content-encoding, idempotency-key, if-match",
    ),
    (b"access-control-max-age", b"86400"),
]

ASKED_BYTES_MAX = 4_096
"""Length limit of the list of headers that a preflight asks for."""
_NAMES = re.compile(rb"[A-Za-z0-9!#$%&'*+.^_`|~-]+(?:[ \t]*,[ \t]*[A-Za-z0-9!#$%&'*+.^_`|~-]+)*")

_log = logging.getLogger("acumen.edge")


def preflight(headers: Headers) -> Headers:
    """The headers of a preflight's answer: any header may be sent, since only the named ones are read."""
    requested = b", ".join(value for name, value in headers if name == b"access-control-request-headers")
    if not requested or len(requested) > ASKED_BYTES_MAX or _NAMES.fullmatch(requested) is None:
        return PREFLIGHT
    fields = [
        (name, value + b", " + requested if name == b"access-control-allow-headers" else value)
        for name, value in PREFLIGHT
    ]
    return [*fields, (b"vary", b"Access-Control-Request-Headers")]


class RequestMiddleware:
    """An ASGI application around another one."""

    def __init__(
        self, app: App, metrics: Metrics, *, refusals: Refusals | None = None, access_log: bool = False
    ) -> None:
        self._app = app
        self._access_log = access_log
        self._refusals = refusals or Refusals(metrics, 0)
        self._prefix = secrets.token_hex(6)
        self._number = 0
        self._seconds = {route: metrics.histogram("acumen_request_seconds", route) for route in ROUTES}
        self._answers = {
            route: [metrics.counter("acumen_requests_total", route, status) for status in STATUSES]
            for route in ROUTES
        }

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        self._number += 1
        exchange = _Exchange(scope, send, f"{self._prefix}{self._number:08x}")
        started = time.perf_counter()
        REQUEST_ID.set(exchange.request_id)
        try:
            if scope["method"] == "OPTIONS":
                await _empty(exchange.send, 204, preflight(scope["headers"]))
            else:
                scope[FIELDS] = exchange.fields
                await self._app(scope, receive, exchange.send)
        except Exception as error:
            await self._fail(exchange, error)
        finally:
            self._count(exchange, time.perf_counter() - started)

    async def _fail(self, exchange: _Exchange, error: Exception) -> None:
        _note_secrets(exchange.scope)
        if exchange.status:
            # Too late for another answer: the connection is cut so that the client sees it is incomplete.
            _log.error("An answer broke off.", exc_info=error)
            raise error
        await send_error(exchange.send, render(error))

    def _count(self, exchange: _Exchange, seconds: float) -> None:
        route = route_of(exchange.scope)
        self._seconds[route].observe(seconds)
        if exchange.status:
            self._answers[route][exchange.status // 100 - 1].add()
            self._refusals.count(exchange.status, exchange.error_body)
        if self._access_log:
            log_request(exchange.scope, exchange.status, seconds)


class _Exchange:
    """One request and its answer, which passes through ``send``."""

    __slots__ = ("_held", "_send", "error_body", "fields", "request_id", "scope", "status")

    def __init__(self, scope: Scope, send: Send, request_id: str) -> None:
        self.scope = scope
        self._send = send
        self.request_id = request_id
        self.status = 0
        self.error_body = b""
        self.fields: Headers = []
        self._held: Message | None = None
        """The start of an answer that is to be compressed, until its body is there."""

    async def send(self, message: Message) -> None:
        if message["type"] == "http.response.start":
            self.status = message["status"]
            headers: Headers = list(message.get("headers", ()))
            if not any(name == ALLOW_ORIGIN[0] for name, _ in headers):
                headers.append(ALLOW_ORIGIN)
            headers.append(EXPOSE)
            if self.scope["path"].startswith(("/3.0/", "/projects/", "/account")) and not any(
                name == NO_STORE[0] for name, _ in headers
            ):
                # A cached answer must not reach another key, nor the same key once it is revoked.
                headers.append(NO_STORE)
            for name, value in self.fields:
                _join(headers, name, value)
            headers.append((b"x-request-id", self.request_id.encode()))
            message["headers"] = headers
            if is_compressible(headers):
                _join(headers, b"vary", b"Accept-Encoding")
                if self.scope["method"] != "HEAD" and takes_gzip(_joined(self.scope, b"accept-encoding")):
                    self._held = message
                    return
        elif self.status >= 400:
            self.error_body = message.get("body", b"")
        if self._held is not None:
            start, self._held = self._held, None
            if not message.get("more_body", False):
                body = await compressed(message["body"])
                start["headers"] = encoded_headers(start["headers"], len(body))
                message = {**message, "body": body}
            await self._send(start)
        await self._send(message)


def _joined(scope: Scope, name: bytes) -> str:
    """The values of all fields of this name in the request, as one list."""
    values: list[bytes] = [value for known, value in scope["headers"] if known == name]
    return b",".join(values).decode("latin-1")


def _join(headers: Headers, name: bytes, value: bytes) -> None:
    """Add a field; if one has the same name, append the value to its list."""
    for at, (known, before) in enumerate(headers):
        if known == name:
            headers[at] = (name, before + b", " + value)
            return
    headers.append((name, value))


def route_of(scope: Scope) -> str:
    """The kind of request that the metrics count it as."""
    parts = scope["path"].split("/", 5)
    if len(parts) > 4 and parts[2] == "projects":
        if parts[4] == "events":
            if scope["method"] == "POST" or b"data=" in scope["query_string"]:
                return "record"
            return "tail" if parts[5:] and parts[5].endswith("/tail") else "schema"
        return "queries" if parts[4] == "queries" else "other"
    if len(parts) > 1 and parts[1] in ("health", "ready", "metrics", "openapi.json", "docs", "clients"):
        return "system"
    # "OPTIONS *" has a path without a slash.
    return "discovery" if len(parts) > 1 and parts[1] in ("", "3.0", "timezones") else "other"


def as_headers(fields: Mapping[str, str]) -> Headers:
    return [(name.encode(), value.encode("latin-1", "replace")) for name, value in fields.items()]


async def send_error(send: Send, error: Rendered) -> None:
    """Send the whole error, with the CORS headers for answers that no middleware adds them to."""
    headers = as_headers(error.headers)
    headers += [(b"content-length", str(len(error.body)).encode()), ALLOW_ORIGIN]
    await send({"type": "http.response.start", "status": error.status, "headers": headers})
    await send({"type": "http.response.body", "body": error.body})


async def _empty(send: Send, status: int, headers: Headers) -> None:
    await send({"type": "http.response.start", "status": status, "headers": headers})
    await send({"type": "http.response.body", "body": b""})


def _note_secrets(scope: Scope) -> None:
    SECRETS.set(secrets_of(scope))
