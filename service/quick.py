"""An answer that is always the same, written to the connection at once.

uvicorn checks and joins the headers of every answer anew and writes head and body apart; for the answer to
a single event that is more work than all else about it. Where ``send`` is uvicorn's own and the connection
is in its usual state, the answer is written in one piece, and the cycle is left as ``send`` would leave it;
in any other case nothing is done here.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, MutableMapping
from typing import Any

from uvicorn.protocols.http.httptools_impl import STATUS_LINE, RequestResponseCycle

Send = Callable[[MutableMapping[str, Any]], Awaitable[None]]
Headers = list[tuple[bytes, bytes]]


class QuickAnswer:
    """One status, some headers and a body; only the value of the last header, ``x-request-id``, varies."""

    def __init__(self, status: int, headers: Headers, body: bytes) -> None:
        self._status_line = STATUS_LINE[status]
        self._lines = b"".join(name + b": " + value + b"\r\n" for name, value in headers)
        self._end = b"\r\n\r\n" + body
        self._seen: Headers | None = None
        self._head = b""

    def write(self, send: Send, request_id: bytes) -> bool:
        """Whether the answer is written; where not, it must be sent the usual way."""
        cycle = getattr(send, "__self__", None)
        if (
            type(cycle) is not RequestResponseCycle
            or cycle.response_started
            or cycle.disconnected
            or cycle.access_log
            or not cycle.keep_alive
            or cycle.flow.write_paused
        ):
            return False
        if cycle.default_headers is not self._seen:
            # A new list once a second, with the date.
            self._seen = cycle.default_headers
            lines = b"".join(name + b": " + value + b"\r\n" for name, value in self._seen)
            self._head = self._status_line + lines + self._lines + b"x-request-id: "
        cycle.waiting_for_100_continue = False
        cycle.response_started = cycle.response_complete = True
        cycle.transport.write(self._head + request_id + self._end)
        cycle.message_event.set()
        cycle.on_response()
        return True
