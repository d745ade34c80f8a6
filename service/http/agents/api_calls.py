"""Calls of the API from within: the same application, the caller's own key and headers, the same checks."""

from __future__ import annotations

from collections.abc import MutableMapping
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import unquote_to_bytes, urlencode

from query.json_encoding import dumps
from service.auth.given_keys import given_keys
from service.http.agents.tools import ApiCall
from service.http.authorization import without_scheme
from service.http.error_rendering import JSON
from service.http.middleware import FIELDS
from service.http.request import raw_path
from service.http.routing import ProjectCall

Message = MutableMapping[str, Any]

_OF_THIS_MESSAGE = frozenset(
    {
        *(b"authorization", b"content-length", b"content-type", b"content-encoding", b"transfer-encoding"),
        *(b"accept", b"accept-encoding", b"if-none-match", b"if-match", b"range", b"idempotency-key"),
    }
)
"""Headers that are about the body and the answer of the message, not of the call."""
_SHARED = ("type", "asgi", "http_version", "scheme", "client", "server", "root_path", "state")


@dataclass(slots=True)
class ApiAnswer:
    """The answer to a call. Of a body that is too long, ``body`` holds only the beginning."""

    status: int = 0
    headers: dict[str, str] = field(default_factory=dict)
    body: bytearray = field(default_factory=bytearray)
    length: int = 0


async def call_api(call: ProjectCall, asked: ApiCall, most: int) -> ApiAnswer:
    """The answer of the API. A client that goes away ends the call, as it would its own."""
    body = b"" if asked.body is None else dumps(asked.body)
    answer, sent = ApiAnswer(), False

    async def receive() -> Message:
        nonlocal sent
        if not sent:
            sent = True
            return {"type": "http.request", "body": body, "more_body": False}
        return await call.request.receive()

    async def send(message: Message) -> None:
        if message["type"] == "http.response.start":
            answer.status = message["status"]
            answer.headers = {
                name.decode("latin-1").lower(): value.decode("latin-1")
                for name, value in message.get("headers", ())
            }
            return
        part = message.get("body", b"")
        answer.length += len(part)
        if answer.length <= most or answer.status >= 400:
            answer.body += part

    await call.request.app(_scope_of(call, asked, body), receive, send)
    return answer


def _scope_of(call: ProjectCall, asked: ApiCall, body: bytes) -> dict[str, Any]:
    outer = call.request.scope
    header, parameter = given_keys(outer)
    headers = [(name, value) for name, value in outer["headers"] if name not in _OF_THIS_MESSAGE]
    if header:
        headers.append((b"authorization", without_scheme(header)))
    if asked.body is not None:
        headers += [(b"content-type", JSON.encode()), (b"content-length", str(len(body)).encode())]
    query = asked.query
    if not header and parameter:
        query = "&".join(part for part in (query, urlencode({"api_key": parameter})) if part)
    path = raw_path(outer).rpartition(b"/")[0] + b"/" + asked.path.encode()
    return {
        **{name: outer[name] for name in _SHARED if name in outer},
        "method": asked.method,
        "path": unquote_to_bytes(path).decode("utf-8", "replace"),
        "raw_path": path,
        "query_string": query.encode(),
        "headers": headers,
        FIELDS: outer[FIELDS],
    }
