"""JSON logging: one object per line on standard error, without anything that clients sent.

Keys and events travel in ``Authorization``, ``api_key``, ``data`` and the URLs of access keys. Of a request's
parameters only known names are logged, never values. A secret of the request that still gets into a message
(in an exception's text, say) is redacted when the line is formatted.
"""

from __future__ import annotations

import contextvars
import json
import logging
import re
import sys
from collections.abc import Iterable, MutableMapping
from datetime import UTC, datetime
from typing import Any
from urllib.parse import parse_qsl, quote, quote_plus

_access = logging.getLogger("acumen.access")

REQUEST_ID: contextvars.ContextVar[str] = contextvars.ContextVar("acumen_request_id", default="")
SECRETS: contextvars.ContextVar[tuple[str, ...]] = contextvars.ContextVar("acumen_secrets", default=())
"""Secrets of the current request, to be redacted from log lines."""

BLOT = "[redacted]"
SECRET_PARAMETERS = frozenset({"api_key", "code", "data", "email", "email_address", "signature", "state"})
_ACCESS_KEY = re.compile(r"/3\.0/projects/[^/]*/keys/([^/]+)")
"""Matches the path of one access key; the group is the key."""
_SECRET_LENGTH_MIN = 4
"""Shorter values are not redacted: they are no secrets, and redacting them would make lines unreadable."""

_NAMES_SHOWN = frozenset(
    {
        "analyses",
        "analysis_type",
        "api_key",
        "as_of",
        "before",
        "content_encoding",
        "content_type",
        "data",
        "delivery",
        "email",
        "email_address",
        "event_collection",
        "expires",
        "explain",
        "filters",
        "group_by",
        "include_metadata",
        "include_schema",
        "interval",
        "jsonp",
        "latest",
        "limit",
        "max_age",
        "modified",
        "order_by",
        "percentile",
        "property_names",
        "redirect",
        "signature",
        "steps",
        "target_property",
        "timeframe",
        "timezone",
        "zero_fill",
    }
)


def secrets_of(scope: MutableMapping[str, Any]) -> tuple[str, ...]:
    """Secrets of a request (keys, signatures, e-mail addresses, event data), as sent and as decoded.

    Longest first, so that a secret is redacted before its own substrings.
    """
    headers: Iterable[tuple[bytes, bytes]] = scope["headers"]
    query_string: bytes = scope["query_string"]
    match = _ACCESS_KEY.match(scope["path"])
    secrets = {match[1], quote(match[1], safe="")} if match is not None else set()
    for sent in (value.decode("latin-1").strip() for name, value in headers if name == b"authorization"):
        # With a scheme in front, as some routes take it, the key alone is secret too.
        secrets |= {sent, sent.rpartition(" ")[2]}
    for cookies in (value.decode("latin-1") for name, value in headers if name == b"cookie"):
        secrets |= {cookie.partition("=")[2].strip() for cookie in cookies.split(";")}
    for name, value in parse_qsl(query_string.decode("latin-1"), keep_blank_values=True):
        if name.strip().lower() in SECRET_PARAMETERS:
            secrets |= {value, value.replace(" ", "+"), quote(value, safe=""), quote_plus(value)}
    for part in query_string.decode("latin-1").split("&"):
        name, _, value = part.partition("=")
        if name.strip().lower() in SECRET_PARAMETERS:
            secrets.add(value)
    return tuple(
        sorted((secret for secret in secrets if len(secret) >= _SECRET_LENGTH_MIN), key=len, reverse=True)
    )


def parameter_names(query_string: bytes) -> list[str]:
    """The known parameter names, followed by "…" if there are unknown ones."""
    names = dict.fromkeys(
        name for name, _ in parse_qsl(query_string.decode("latin-1"), keep_blank_values=True)
    )
    shown = [name for name in names if name in _NAMES_SHOWN]
    return shown if len(shown) == len(names) else [*shown, "…"]


def log_request(scope: MutableMapping[str, Any], status: int, seconds: float) -> None:
    """Write the access log line of a request."""
    SECRETS.set(secrets_of(scope))
    fields = {
        "method": scope["method"],
        "path": scope["path"],
        "parameters": parameter_names(scope["query_string"]),
        "status": status,
        "seconds": round(seconds, 6),
    }
    _access.info("request", extra={"fields": fields})


class JsonLines(logging.Formatter):
    """Formats a record as one line of JSON, merged with the mapping given as ``extra={"fields": …}``."""

    def __init__(self, process: str) -> None:
        super().__init__()
        self._process = process

    def format(self, record: logging.LogRecord) -> str:
        line: dict[str, object] = {
            "time": datetime.fromtimestamp(record.created, UTC).isoformat(timespec="milliseconds"),
            "level": record.levelname.lower(),
            "logger": record.name,
            "process": self._process,
            "message": record.getMessage(),
        }
        request_id = REQUEST_ID.get()
        if request_id:
            line["request_id"] = request_id
        fields = getattr(record, "fields", None)
        if isinstance(fields, dict):
            line.update(fields)
        if record.exc_info:
            line["exception"] = self.formatException(record.exc_info)
        text = json.dumps(line, ensure_ascii=False, default=str)
        for secret in SECRETS.get():
            text = text.replace(secret, BLOT)
            text = text.replace(json.dumps(secret, ensure_ascii=False)[1:-1], BLOT)
        return text


NOISY = ("uvicorn", "uvicorn.error", "asyncio", "alembic", "sqlalchemy", "httpx", "httpcore")
"""Library loggers that log nothing below warnings."""


def set_up(level: str, process: str) -> None:
    """Send every logger of this process to standard error as JSON lines."""
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(JsonLines(process))
    root = logging.getLogger()
    root.handlers[:] = [handler]
    set_level(level)
    for noisy in NOISY:
        logger = logging.getLogger(noisy)
        logger.handlers.clear()
        logger.propagate = True
    logging.getLogger("uvicorn.access").disabled = True


def set_level(level: str) -> None:
    """Set the minimum severity that is logged."""
    root = logging.getLogger()
    root.setLevel(level.upper())
    for noisy in NOISY:
        logging.getLogger(noisy).setLevel(max(logging.WARNING, root.level))
