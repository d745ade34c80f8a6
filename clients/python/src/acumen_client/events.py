"""One event as it is sent: its JSON, with the time it was recorded and the token that makes it one event."""

from __future__ import annotations

import datetime as dt
import itertools
import os
import secrets
import time
from collections.abc import Mapping
from typing import Any

from acumen_client import _json
from acumen_client.errors import EventError

Event = Mapping[str, Any]

EVENT_BYTES_MAX = 900_000
"""The bytes of one event that a server takes, unless its operator set another limit."""
TOKEN_LENGTH_MAX = 64
_STAMP = b'{"timestamp":"%b.%06dZ","uniqueness_token":"%b%x"}'


def prepare(event: Event, *, timestamp: dt.datetime | str | None = None, token: str | None = None) -> bytes:
    """The event's JSON with ``keen.timestamp`` and ``keen.uniqueness_token``.

    Those that the event has already are kept, unless given here; otherwise the time is now and the token new.
    A ``timestamp`` without a zone is UTC. Raises EventError.
    """
    if not isinstance(event, Mapping):
        raise EventError(f"an event is a mapping of names to values, not {type(event).__name__}")
    body = _joined(event, stamp(timestamp, token)) if "keen" not in event else None
    if body is None:
        body = _dumps({**event, "keen": _keen(event["keen"], timestamp, token)})
    if len(body) > EVENT_BYTES_MAX:
        raise EventError(f"the event has {len(body):,} bytes; a server takes {EVENT_BYTES_MAX:,}")
    return body


def stamp(timestamp: dt.datetime | str | None, token: str | None) -> bytes:
    """The JSON of the object ``keen`` of an event that brings none."""
    if timestamp is None and token is None:
        second, microsecond = _now()
        return _STAMP % (second, microsecond, *_tokens.next())
    return _dumps(_keen({}, timestamp, token))


def _joined(event: Event, keen: bytes) -> bytes:
    """The JSON of an event without ``keen``, with this one put in."""
    rest = _dumps(event)
    return b'{"keen":' + keen + (b"}" if rest == b"{}" else b"," + rest[1:])


def _dumps(value: Any) -> bytes:
    try:
        return _json.dumps(value)
    except (TypeError, ValueError, RecursionError) as error:
        raise EventError(f"the event has no JSON: {error}") from error


def _keen(given: Any, timestamp: dt.datetime | str | None, token: str | None) -> Any:
    """The object ``keen`` of an event, completed. What is no object is the server's to refuse."""
    if not isinstance(given, Mapping):
        return given
    keen = dict(given)
    if timestamp is not None:
        keen["timestamp"] = timestamp
    elif "timestamp" not in keen:
        keen["timestamp"] = now_text()
    if token is not None:
        keen["uniqueness_token"] = _checked(token)
    elif "uniqueness_token" not in keen:
        keen["uniqueness_token"] = new_token()
    return keen


def _checked(token: str) -> str:
    if not isinstance(token, str) or not 1 <= len(token) <= TOKEN_LENGTH_MAX:
        raise EventError(f"a uniqueness token is a text of 1 to {TOKEN_LENGTH_MAX} characters: {token!r}")
    return token


def checked_collection(name: str) -> str:
    """The name, if it can be sent at all; whether it is a good one the server says. Raises EventError."""
    if not isinstance(name, str) or not name:
        raise EventError(f"a collection is named by a text that is not empty: {name!r}")
    if not name.isascii():
        raise EventError(f"a collection is named in ASCII: {name!r}")
    return name


class _Tokens:
    """Tokens of this process: a random beginning and a number. A forked child begins again."""

    def __init__(self) -> None:
        self.begin()

    def next(self) -> tuple[bytes, int]:
        """The beginning and the number of the next one."""
        if self._pid != os.getpid():
            # A fork of which Python was not told.
            self.begin()
        # Taking the next number is one step of the interpreter, so threads that meet here get two.
        start, numbers = self._series
        return start, next(numbers)

    def begin(self) -> None:
        self._pid = os.getpid()
        self._series = (secrets.token_hex(12).encode() + b"-", itertools.count(1))


_tokens = _Tokens()
if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_tokens.begin)


def new_token() -> str:
    """A uniqueness token that no other event has."""
    return (b"%b%x" % _tokens.next()).decode()


_second = (-1, b"")


def now_text() -> str:
    """The time now in UTC, to the microsecond, as the API writes times."""
    return (b"%b.%06dZ" % _now()).decode()


def _now() -> tuple[bytes, int]:
    """The time now in UTC, up to its seconds as text, and its microseconds."""
    global _second
    nanoseconds = time.time_ns()
    seconds = nanoseconds // 1_000_000_000
    known = _second
    if known[0] != seconds:
        text = time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(seconds))
        _second = known = (seconds, text.encode())
    return known[1], nanoseconds // 1000 % 1_000_000
