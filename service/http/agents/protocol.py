"""Messages of the Model Context Protocol: JSON-RPC 2.0, in the revisions that Acumen speaks.

Since 2026-07-28 each request says by itself which revision it is of, in ``_meta`` and in headers; before, the
method ``initialize`` agreed on one. Both are answered at the same address, and nothing is remembered between
messages.
"""

from __future__ import annotations

import base64
import binascii
from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import IntEnum
from typing import Any

from query.json_encoding import dumps
from service.version import version

Json = dict[str, Any]

MODERN = "2026-07-28"
LEGACY = ("2025-11-25", "2025-06-18")
REVISIONS = (MODERN, *LEGACY)
_PREFIX = "io.modelcontextprotocol/"
_VERSION = f"{_PREFIX}protocolVersion"
_CAPABILITIES = f"{_PREFIX}clientCapabilities"
_NAMED = {"tools/call": "name", "resources/read": "uri", "prompts/get": "name"}
"""Methods whose requests have the header ``Mcp-Name`` → the parameter that it repeats."""
_CACHED_MS = {
    "server/discover": 60_000,
    "tools/list": 60_000,
    "resources/list": 60_000,
    "resources/templates/list": 60_000,
    "resources/read": 0,
}
"""Methods whose results say how long they may be kept."""
_ID_MAX = 1 << 53
_ENCODED, _ENCODED_END = "=?base64?", "?="
_SHOWN_MAX = 100


class Code(IntEnum):
    """Codes of errors, as JSON-RPC and the protocol number them."""

    NOT_JSON = -32700
    NO_MESSAGE = -32600
    NO_METHOD = -32601
    BAD_PARAMETERS = -32602
    INTERNAL = -32603
    HEADERS_DIFFER = -32020
    UNKNOWN_REVISION = -32022


class ProtocolFault(Exception):
    """A message that is answered by an error of JSON-RPC. ``status``: that of the HTTP answer."""

    def __init__(self, code: Code, message: str, status: int = 400, data: Json | None = None) -> None:
        super().__init__(message)
        self.code = code
        self.message = message
        self.status = status
        self.data = data


@dataclass(frozen=True, slots=True)
class ProtocolMessage:
    """A request; or a notification or an answer, which have no ``id`` here and get none."""

    method: str
    id: str | int | None = None
    params: Json = field(default_factory=dict)
    modern: bool = False


def id_of(value: Any) -> str | int | None:
    """The id of a message, where it has a valid one."""
    given = value.get("id") if isinstance(value, dict) else None
    if isinstance(given, str) or (isinstance(given, int) and not isinstance(given, bool)):
        return given if isinstance(given, str) or abs(given) < _ID_MAX else None
    return None


def read_message(value: Any, headers: Mapping[str, str]) -> ProtocolMessage:
    """The message that a body holds. ``headers``: those of its HTTP request. Raises ProtocolFault."""
    if isinstance(value, list):
        raise ProtocolFault(
            Code.NO_MESSAGE,
            "This is a batch, which the protocol has not had since its revision 2025-06-18: send each "
            "message by itself.",
        )
    if not isinstance(value, dict) or value.get("jsonrpc") != "2.0":
        raise ProtocolFault(Code.NO_MESSAGE, "A message must be a JSON object with 'jsonrpc': \"2.0\".")
    method = value.get("method")
    if method is None and ("result" in value or "error" in value):
        return ProtocolMessage("")
    if not isinstance(method, str) or not method:
        raise ProtocolFault(Code.NO_MESSAGE, "A message must have a 'method', which is a text.")
    if "id" not in value:
        return ProtocolMessage(method)
    known = id_of(value)
    if known is None:
        raise ProtocolFault(Code.NO_MESSAGE, "'id' must be a text, or a whole number of at most 53 bits.")
    params = value.get("params")
    if params is not None and not isinstance(params, dict):
        raise ProtocolFault(Code.BAD_PARAMETERS, "'params' must be an object.")
    params = params or {}
    return ProtocolMessage(method, known, params, _is_modern(method, params, headers))


def _is_modern(method: str, params: Json, headers: Mapping[str, str]) -> bool:
    """Whether the request is of a revision without ``initialize``.

    Raises ProtocolFault where its headers say otherwise, or that revision is not spoken.
    """
    meta = params.get("_meta")
    meta = meta if isinstance(meta, dict) else {}
    named, header = meta.get(_VERSION), headers.get("mcp-protocol-version")
    if named is None and header != MODERN:
        if header is not None and header not in LEGACY and method != "initialize":
            raise _unknown_revision(header)
        return False
    if named is None or header is None or named != header:
        raise _differ("MCP-Protocol-Version", header, named)
    if named != MODERN:
        raise _unknown_revision(named)
    if not isinstance(meta.get(_CAPABILITIES), dict):
        raise ProtocolFault(Code.BAD_PARAMETERS, f"'_meta' must have '{_CAPABILITIES}', which is an object.")
    if headers.get("mcp-method") != method:
        raise _differ("Mcp-Method", headers.get("mcp-method"), method)
    if method in _NAMED:
        name, sent = params.get(_NAMED[method]), _decoded(headers.get("mcp-name"))
        if sent is None or sent != name:
            raise _differ("Mcp-Name", sent, name)
    return True


def _unknown_revision(named: Any) -> ProtocolFault:
    shown = str(named)[:_SHOWN_MAX]
    return ProtocolFault(
        Code.UNKNOWN_REVISION,
        f"Unsupported protocol version '{shown}': this server speaks {', '.join(REVISIONS)}.",
        data={"supported": list(REVISIONS), "requested": shown},
    )


def _differ(header: str, sent: str | None, named: Any) -> ProtocolFault:
    said = "is missing" if sent is None else f"says '{sent[:_SHOWN_MAX]}'"
    return ProtocolFault(
        Code.HEADERS_DIFFER,
        f"Header mismatch: {header} {said}, and the message '{str(named)[:_SHOWN_MAX]}'. They must be equal.",
    )


def _decoded(value: str | None) -> str | None:
    if value is None or not (value.startswith(_ENCODED) and value.endswith(_ENCODED_END)):
        return value
    try:
        text = value[len(_ENCODED) : -len(_ENCODED_END)]
        return base64.b64decode(text, validate=True).decode()
    except (binascii.Error, UnicodeDecodeError, ValueError):
        return value


def agreed_revision(params: Json) -> str:
    """The revision that is answered to ``initialize``: the one asked for, if it is spoken."""
    asked = params.get("protocolVersion")
    return asked if asked in LEGACY else LEGACY[0]


def server_info() -> Json:
    return {"name": "acumen", "title": "Acumen", "version": version()}


def success(message: ProtocolMessage, result: Json) -> bytes:
    """The answer to a request, as JSON."""
    if message.modern:
        meta = {f"{_PREFIX}serverInfo": server_info()}
        result = {"resultType": "complete", **result, "_meta": meta}
        if message.method in _CACHED_MS:
            result |= {"ttlMs": _CACHED_MS[message.method], "cacheScope": "private"}
    return dumps({"jsonrpc": "2.0", "id": message.id, "result": result})


def failure(known: str | int | None, fault: ProtocolFault) -> bytes:
    """The error that answers a message; without ``id`` where it has no valid one."""
    error: Json = {"code": int(fault.code), "message": fault.message.encode("utf-8", "replace").decode()}
    if fault.data is not None:
        error["data"] = fault.data
    named = {} if known is None else {"id": known}
    return dumps({"jsonrpc": "2.0", **named, "error": error})
