"""HTTP/1.1 on a connection: uvicorn's protocol, with limits and with errors in the API's shape.

Limited are the size of headers and the time they may take to arrive, the requests that wait on one
connection, and the size of answers that a client does not read and how long they are kept.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any

import httptools
from uvicorn.protocols.http.httptools_impl import STATUS_LINE, HttpToolsProtocol, RequestResponseCycle

from service.errors import HeadersTooLarge, TooManyAnswers, TooManyConnections, UriTooLong
from service.http.connections import SLICE_BYTES, Admission, AnswersOverloaded, Connections
from service.http.error_rendering import Rendered, render, rendered
from service.http.fast_path import FastPath, FastRequest
from service.http.middleware import ALLOW_ORIGIN, EXPOSE, App, Message, Receive, Scope, Send, send_error
from service.limits.quotas import Tally

LINGER_SECONDS = 2.0
"""How long a client may go on sending a body after the request was answered early."""
PARSE_BYTES = 16_384
"""Data is parsed in slices of this size, so that many short requests are not begun at once."""
PIPELINED_MAX = 16
"""Requests that may wait on one connection for earlier answers; data after them is not parsed yet."""
PATH_BYTES_MAX = 65_535
"""Longest path: the URL parser accepts none beyond this."""


class _Transport:
    """A transport with its own ``close`` that counts the bytes written and is not read from while ``behind``.

    The other methods that are called for every request are those of the wrapped transport.
    """

    __slots__ = (
        "_closing",
        "_transport",
        "_write",
        "abort",
        "behind",
        "close",
        "get_extra_info",
        "get_write_buffer_size",
        "pause_reading",
        "set_protocol",
        "written",
    )

    def __init__(self, transport: asyncio.Transport, close: Callable[[], None]) -> None:
        self._transport = transport
        self._closing = False
        self.close = close
        self.abort = transport.abort
        self.get_extra_info = transport.get_extra_info
        self.pause_reading = transport.pause_reading
        self.set_protocol = transport.set_protocol
        self.get_write_buffer_size = transport.get_write_buffer_size
        self.written = 0
        self.behind = False
        self._write = transport.write

    def write(self, data: bytes) -> None:
        self.written += len(data)
        self._write(data)

    def resume_reading(self) -> None:
        if not self.behind:
            self._transport.resume_reading()

    def is_closing(self) -> bool:
        return self._closing or self._transport.is_closing()

    def close_now(self) -> None:
        self._closing = True
        self._transport.close()

    def close_slowly(self, loop: asyncio.AbstractEventLoop) -> None:
        """Send what is written, then close after ``LINGER_SECONDS`` of further reading.

        Closing with unread bytes would reset the connection, and the client could lose the answer.
        """
        self._closing = True
        if self._transport.can_write_eof():
            self._transport.write_eof()
        self.behind = False
        self._transport.resume_reading()
        loop.call_later(LINGER_SECONDS, self._transport.close)


class _Answering:
    """The application for one request: sends long bodies in slices, and counts them until they are sent."""

    __slots__ = ("_app", "_connection", "_cycle", "_refused", "_send", "_start")

    def __init__(self, connection: BoundedProtocol, cycle: RequestResponseCycle, app: App) -> None:
        self._connection = connection
        self._cycle = cycle
        self._app = app
        self._start: Message | None = None
        """The start message of a long answer, kept back until there is room for the answer."""
        self._refused = False

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        self._send = send
        await self._app(scope, receive, self.send)

    async def send(self, message: Message) -> None:
        if message["type"] == "http.response.start":
            if _is_long(message) and self._cycle.scope["method"] != "HEAD":
                self._start = message
            else:
                self._start = None
                await self._send(message)
        elif self._refused:
            return
        elif len(message.get("body", b"")) > SLICE_BYTES and self._cycle.scope["method"] != "HEAD":
            await self._send_slices(message["body"], more=message.get("more_body", False))
        else:
            await self._send_start()
            await self._send(message)

    async def _send_start(self) -> None:
        start, self._start = self._start, None
        if start is not None:
            await self._send(start)

    async def _send_slices(self, body: bytes, *, more: bool) -> None:
        table = self._connection.table
        try:
            sending = table.begin(self._connection, len(body))
        except AnswersOverloaded:
            await self._refuse()
            return
        try:
            await self._send_start()
            whole = memoryview(body)
            for at in range(0, len(whole), SLICE_BYTES):
                if self._cycle.disconnected:
                    break
                end = at + SLICE_BYTES
                is_last = end >= len(whole) and not more
                part = {"type": "http.response.body", "body": whole[at:end], "more_body": not is_last}
                await self._send(part)
        except asyncio.CancelledError:
            # The server is stopping and does not wait for this client.
            self._connection.abort()
            raise
        finally:
            table.end(sending)

    async def _refuse(self) -> None:
        self._refused = True
        if self._start is None:
            self._connection.abort()
        else:
            self._start = None
            await send_error(self._send, render(TooManyAnswers()))


def _is_long(start: Message) -> bool:
    for name, value in start.get("headers", ()):
        if name == b"content-length":
            return int(value) > SLICE_BYTES
    return False


class BoundedProtocol(HttpToolsProtocol):
    """A connection of the worker; ``table`` lists all of them."""

    header_bytes_max = 131_072
    header_seconds = 30.0
    express: FastPath | None = None
    table: Connections

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.address = ""
        self._unparsed = b""
        """Data read after ``PIPELINED_MAX`` requests were already waiting."""
        self._header_bytes = 0
        self._read_bytes = 0
        self._begun_bytes = 0
        """Size of the read with the request's first byte; it may include the end of the previous request."""
        self._in_headers = True
        self._head_bytes = 0
        """Bytes given to the parser since the request line began."""
        self._refused = False
        self._refusal: Rendered | None = None
        """The error to send once the requests before it are answered."""
        self._header_timer: asyncio.TimerHandle | None = None
        self._upgrade_head: bytes | None = None
        """The head of a request that asked for another protocol, without its ``Upgrade`` header."""
        self._fast_target: tuple[str, str, Tally] | None = None
        self._fast_parts: list[bytes] = []

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        self._closable = _Transport(transport, self._close)
        super().connection_made(self._closable)  # type: ignore[arg-type]
        self.address = self.client[0] if self.client else ""
        admission = self.table.opened(self)
        if admission is Admission.TAKEN:
            self._start_timer()
        elif admission is Admission.REFUSED:
            self._refuse(render(TooManyConnections()))
        else:
            self.abort()

    def connection_lost(self, exc: Exception | None) -> None:
        self._stop_timer()
        self.table.closed(self)
        super().connection_lost(exc)
        self._drop_references()

    def _drop_references(self) -> None:
        """Drop references back to this object and the data read, so that they are freed now.

        Python's cycle collector would free them later, and blocks the event loop longer the more cycles there
        are.
        """
        self._unparsed, self._fast_parts = b"", []
        self.headers, self.scope = [], None  # type: ignore[assignment]
        if self.cycle is not None and self.cycle.response_complete:
            self.cycle = None  # type: ignore[assignment]
        self._closable.close = self._closable.abort

    # Called by the table of connections

    def sent_bytes(self) -> int:
        return self._closable.written - self.unsent_bytes()

    def unsent_bytes(self) -> int:
        return self._closable.get_write_buffer_size()

    def quiet_since(self) -> float | None:
        if self._refused or (self.cycle is not None and not self.cycle.response_complete):
            return None
        if self._header_timer is not None:
            return self._header_timer.when() - self.header_seconds
        idle = self.timeout_keep_alive_task
        return None if idle is None or self.unsent_bytes() else idle.when() - self.timeout_keep_alive

    def close_quiet(self) -> None:
        self._stop_timer()
        self.transport.close()

    def abort(self) -> None:
        self._closable.abort()

    def data_received(self, data: bytes) -> None:
        if self._refused or self.transport.is_closing():
            return
        if self._unparsed or len(self.pipeline) >= PIPELINED_MAX:
            self._postpone(data)
            return
        self._read_bytes = len(data)
        if self._in_headers:
            self._header_bytes += self._read_bytes
        self._parse(data)
        if self._fast_target is not None:
            # The body is incomplete: only the application waits for the rest.
            self._hand_to_application()
        # Only incomplete headers need a limit and a timer: most arrive whole.
        if self._in_headers and self._header_bytes and not self._refused:
            if self._header_bytes > self.header_bytes_max:
                self._refuse(render(HeadersTooLarge(self.header_bytes_max)))
            elif self._header_timer is None:
                self._start_timer()

    def _parse(self, data: bytes) -> None:
        """Parse as uvicorn does, but answer requests to upgrade (Java's client asks for HTTP/2) in HTTP/1.1.

        The parser would leave out such a request's body, so the head is parsed again without the upgrade.
        """
        self._unset_keepalive_if_required()
        # Most reads are one small request, for which views and slices would cost more than they save.
        rest: bytes | memoryview = data if len(data) <= PARSE_BYTES else memoryview(data)
        while rest and not self._refused:
            if len(self.pipeline) >= PIPELINED_MAX:
                self._postpone(rest)
                return
            if self._in_headers and self._head_bytes > self.header_bytes_max:
                self._refuse(render(HeadersTooLarge(self.header_bytes_max)))
                return
            part, rest = (rest, b"") if len(rest) <= PARSE_BYTES else (rest[:PARSE_BYTES], rest[PARSE_BYTES:])
            self._head_bytes += len(part)
            try:
                self.parser.feed_data(part)
            except httptools.HttpParserUpgrade as stop:
                head, self._upgrade_head = self._upgrade_head, None
                if head is None:
                    return
                rest = memoryview(part)[stop.args[0] :].tobytes() + rest
                self.parser = httptools.HttpRequestParser(self)
                self.parser.set_dangerous_leniencies(lenient_data_after_close=True)
                self.parser.feed_data(head)
            except httptools.HttpParserError as error:
                self.send_400_response(f"The request is not valid HTTP/1.1: {_reason(error)}.")
                return

    def _postpone(self, data: bytes | memoryview) -> None:
        """Keep the data, and stop reading until some of the waiting requests are answered."""
        self._unparsed += bytes(data)
        self._closable.behind = True
        self._closable.pause_reading()

    def _catch_up(self) -> None:
        """Parse the data that was put off, if there is room for more requests."""
        data = self._unparsed
        if not data or len(self.pipeline) >= PIPELINED_MAX or self.parser is None:
            return
        self._unparsed, self._closable.behind = b"", False
        self.data_received(data)
        if not self._closable.behind and not self.flow.read_paused:
            self._closable.resume_reading()

    def on_message_begin(self) -> None:
        self._in_headers, self._head_bytes = True, 0
        self._begun_bytes = self._read_bytes
        super().on_message_begin()

    def on_headers_complete(self) -> None:
        if self.parser.should_upgrade() and self.parser.get_method() != b"CONNECT":
            lines = [name + b": " + value for name, value in self.headers if name != b"upgrade"]
            first = self.parser.get_method() + b" " + self.url + b" HTTP/1.1"
            self._upgrade_head = b"\r\n".join([first, *lines, b"", b""])
            return
        self._in_headers = False
        self._stop_timer()
        # The bytes read bound the headers' size; the exact size is needed only where they exceed the limit.
        read, self._header_bytes = self._begun_bytes + self._header_bytes + self._read_bytes, 0
        if read > self.header_bytes_max and self._header_size() > self.header_bytes_max:
            self._refuse(render(HeadersTooLarge(self.header_bytes_max)))
            return
        if self.express is not None and self._may_take_fast_path():
            self._fast_target = self.express.admits(self.url, self.headers)
            if self._fast_target is not None:
                return
        self._begin()

    def _begin(self) -> None:
        """Hand the request to the application, with a query string as long as the headers may be."""
        url = self.url
        if len(url) <= PATH_BYTES_MAX:
            super().on_headers_complete()
            return
        path, _, query = url.partition(b"?")
        if len(path) > PATH_BYTES_MAX:
            self._refuse(render(UriTooLong(PATH_BYTES_MAX)))
            return
        self.url = path
        super().on_headers_complete()
        self.url = url
        self.scope["query_string"] = query.partition(b"#")[0]

    def _start_asgi_task(self, cycle: RequestResponseCycle, app: Any) -> None:
        super()._start_asgi_task(cycle, _Answering(self, cycle, app))  # type: ignore[arg-type]

    def _header_size(self) -> int:
        return len(self.url) + sum(len(name) + len(value) + 4 for name, value in self.headers)

    def on_body(self, body: bytes) -> None:
        if self._fast_target is not None:
            self._fast_parts.append(body)
        elif not self._refused:
            super().on_body(body)

    def on_message_complete(self) -> None:
        if self._upgrade_head is not None:
            return
        self._in_headers, self._head_bytes = True, 0
        if self._refused or (self._fast_target is not None and self._take_fast_path()):
            return
        super().on_message_complete()

    def _may_take_fast_path(self) -> bool:
        """Whether this is a POST on a connection that stays open and has no other request in progress."""
        return (
            (self.cycle is None or self.cycle.response_complete)
            and self.parser.get_method() == b"POST"
            and self.parser.get_http_version() == "1.1"
            and self.parser.should_keep_alive()
            and not self.flow.write_paused
        )

    def _take_fast_path(self) -> bool:
        """Hand the request to the fast path, or to the application. Returns whether the fast path took it."""
        assert self.express is not None and self._fast_target is not None
        parts = self._fast_parts
        body = parts[0] if len(parts) == 1 else b"".join(parts)
        request = self.express.take(self, self._fast_target, body)
        if request is None:
            self._hand_to_application()
            return False
        self._fast_target, self._fast_parts = None, []
        # In the cycle's place, so that later requests wait for it and a stopping server lets it end.
        self.cycle = request  # type: ignore[assignment]
        return True

    def _hand_to_application(self) -> None:
        """Hand the request to the application, with the part of its body that has arrived."""
        parts, self._fast_target, self._fast_parts = self._fast_parts, None, []
        self._begin()
        for part in parts:
            super().on_body(part)

    def finish(self, request: FastRequest, error: Rendered | None) -> None:
        """Answer a request of the fast path."""
        if not request.disconnected and not self.transport.is_closing():
            headers = self.server_state.default_headers
            if error is None:
                assert self.express is not None
                self.transport.write(self.express.text(headers, keep_alive=request.keep_alive))
            else:
                self.transport.write(_bytes_of(error, headers))
            if error is not None or not request.keep_alive:
                self.transport.close()
        self.on_response_complete()

    def send_400_response(self, msg: str) -> None:
        self._refuse(rendered(400, "BadRequestError", msg))

    def on_response_complete(self) -> None:
        is_last = not self.pipeline
        super().on_response_complete()
        if self._unparsed:
            self.loop.call_soon(self._catch_up)
        if is_last and self._refusal is not None and not self.transport.is_closing():
            self._send_refusal(self._refusal)

    def _refuse(self, error: Rendered) -> None:
        """Send an error and close: the requests that follow on this connection can no longer be parsed.

        The error is sent after the answers to earlier, complete requests.
        """
        if self._refused:
            return
        self._refused = True
        self._fast_target = None
        self._stop_timer()
        if self.transport.is_closing():
            return
        cycle = self.cycle
        if cycle is None or cycle.response_complete:
            self._send_refusal(error)
        elif cycle.more_body and not self.pipeline:
            # The faulty request is the one being answered.
            cycle.disconnected = True
            cycle.message_event.set()
            self._send_refusal(None if cycle.response_started else error)
        else:
            if cycle.more_body:
                self.pipeline.popleft()
            self._refusal = error

    def _send_refusal(self, error: Rendered | None) -> None:
        if error is not None:
            self.table.refusals.count(error.status, error.body)
            self.transport.write(_bytes_of(error, self.server_state.default_headers))
        self._closable.close_slowly(self.loop)

    def _close(self) -> None:
        """Close, but go on reading for a while where a body is still arriving."""
        if self._closable.is_closing():
            return
        unread = self.cycle is not None and self.cycle.more_body and self.cycle.response_complete
        if unread:
            self._closable.close_slowly(self.loop)
        else:
            self._closable.close_now()

    def _start_timer(self) -> None:
        self._header_timer = self.loop.call_later(self.header_seconds, self._headers_overdue)

    def _stop_timer(self) -> None:
        if self._header_timer is not None:
            self._header_timer.cancel()
            self._header_timer = None

    def _headers_overdue(self) -> None:
        self._header_timer = None
        if not self._header_bytes:
            self.transport.close()
            return
        message = f"The request's headers did not come within {self.header_seconds:g} seconds."
        self._refuse(rendered(408, "RequestTimeoutError", message))


def bounded_protocol(
    header_bytes_max: int,
    header_seconds: float,
    express: FastPath | None = None,
    connections: Connections | None = None,
) -> type[asyncio.Protocol]:
    """The protocol class with these limits, as uvicorn takes it."""
    limits = {
        "header_bytes_max": header_bytes_max,
        "header_seconds": header_seconds,
        "express": express,
        "table": Connections() if connections is None else connections,
    }
    return type("LimitedProtocol", (BoundedProtocol,), limits)


def _reason(error: httptools.HttpParserError) -> str:
    """The parser's message, or that of the error in a callback of it."""
    cause = error.__context__ if isinstance(error, httptools.HttpParserCallbackError) else error
    text = str(cause or error).strip().rstrip(".")
    return text[:1].lower() + text[1:200] if text else "it cannot be parsed"


def _bytes_of(error: Rendered, default_headers: list[tuple[bytes, bytes]]) -> bytes:
    headers = [
        *default_headers,
        *((name.encode(), value.encode("latin-1", "replace")) for name, value in error.headers.items()),
        (b"content-length", str(len(error.body)).encode()),
        (b"connection", b"close"),
        ALLOW_ORIGIN,
        EXPOSE,
    ]
    lines = b"".join(name + b": " + value + b"\r\n" for name, value in headers)
    return STATUS_LINE[error.status] + lines + b"\r\n" + error.body
