"""HTTP/1.1 on a connection: uvicorn's protocol, with bounds and errors in the API's shape.

Bounded are the bytes and the time of headers, the requests that wait on one connection, and the bytes and
the time of answers that a client does not read.
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
"""How long a client may go on sending a body that was answered before its end."""
PARSE_BYTES = 16_384
"""What was read is parsed in slices of this size, so that many short requests are not begun at once."""
PIPELINED_MAX = 16
"""Requests that may wait for the answers before them; what comes behind is not parsed yet."""
PATH_BYTES_MAX = 65_535
"""The library that takes addresses apart knows none that are longer."""


class _Transport:
    """A transport that closes the way ``close`` says, counts what is written, and is not read from while
    ``behind``. What else is called for every request goes straight on."""

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
        """Send what is written, and go on reading: closing on unread bytes would reset the connection, and
        the client could lose the answer."""
        self._closing = True
        if self._transport.can_write_eof():
            self._transport.write_eof()
        self.behind = False
        self._transport.resume_reading()
        loop.call_later(LINGER_SECONDS, self._transport.close)


class _Answering:
    """The application for one request: it sends long bodies in slices, and counts them while they wait."""

    __slots__ = ("_app", "_connection", "_cycle", "_refused", "_send", "_start")

    def __init__(self, connection: BoundedProtocol, cycle: RequestResponseCycle, app: App) -> None:
        self._connection = connection
        self._cycle = cycle
        self._app = app
        self._start: Message | None = None
        """The beginning of a long answer, kept back until there is room for the answer."""
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
            # The server stops, and will not wait for this client.
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
    """A connection of the worker; ``table`` knows all of them."""

    header_bytes_max = 131_072
    header_seconds = 30.0
    express: FastPath | None = None
    table: Connections

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.address = ""
        self._unparsed = b""
        """What was read behind as many requests as may wait."""
        self._header_bytes = 0
        self._read_bytes = 0
        self._begun_bytes = 0
        """Read together with a request's first byte, and not counted where one before it ended there."""
        self._in_headers = True
        self._head_bytes = 0
        """Given to the parser since the line and headers of a request began."""
        self._refused = False
        self._refusal: Rendered | None = None
        """What is still to be answered, behind those that are not answered yet."""
        self._header_timer: asyncio.TimerHandle | None = None
        self._again: bytes | None = None
        """The head of a request that asked for another protocol, without that."""
        self._express_for: tuple[str, str, Tally] | None = None
        self._express_parts: list[bytes] = []

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
        self._let_go()

    def _let_go(self) -> None:
        """Of what refers back here, and of what was read: it is freed now, not when Python next looks for
        cycles, which holds up the event loop the longer the more there are."""
        self._unparsed, self._express_parts = b"", []
        self.headers, self.scope = [], None  # type: ignore[assignment]
        if self.cycle is not None and self.cycle.response_complete:
            self.cycle = None  # type: ignore[assignment]
        self._closable.close = self._closable.abort

    # What the table of connections asks

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
            self._put_off(data)
            return
        self._read_bytes = len(data)
        if self._in_headers:
            self._header_bytes += self._read_bytes
        self._parse(data)
        if self._express_for is not None:
            # Its end is not here yet; waiting for it is the ordinary way's business.
            self._take_ordinary_way()
        # Only headers that are still incomplete count: most come whole, and cost no timer.
        if self._in_headers and self._header_bytes and not self._refused:
            if self._header_bytes > self.header_bytes_max:
                self._refuse(render(HeadersTooLarge(self.header_bytes_max)))
            elif self._header_timer is None:
                self._start_timer()

    def _parse(self, data: bytes) -> None:
        """As uvicorn does. But what asks for another protocol as well (Java's client for HTTP/2) is answered
        in this one, and has its body: the parser would leave that out."""
        self._unset_keepalive_if_required()
        rest = memoryview(data)
        while rest and not self._refused:
            if len(self.pipeline) >= PIPELINED_MAX:
                self._put_off(rest)
                return
            if self._in_headers and self._head_bytes > self.header_bytes_max:
                self._refuse(render(HeadersTooLarge(self.header_bytes_max)))
                return
            part = rest[:PARSE_BYTES]
            self._head_bytes += len(part)
            try:
                self.parser.feed_data(part)
                rest = rest[len(part) :]
            except httptools.HttpParserUpgrade as stop:
                head, self._again = self._again, None
                if head is None:
                    return
                rest = rest[stop.args[0] :]
                self.parser = httptools.HttpRequestParser(self)
                self.parser.set_dangerous_leniencies(lenient_data_after_close=True)
                self.parser.feed_data(head)
            except httptools.HttpParserError as error:
                self.send_400_response(f"The request is not valid HTTP/1.1: {_reason(error)}.")
                return

    def _put_off(self, data: bytes | memoryview) -> None:
        """Read no more until some of the requests that wait are answered."""
        self._unparsed += bytes(data)
        self._closable.behind = True
        self._closable.pause_reading()

    def _catch_up(self) -> None:
        """Go on with what was read behind the requests that waited."""
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
            self._again = b"\r\n".join([first, *lines, b"", b""])
            return
        self._in_headers = False
        self._stop_timer()
        # They can not be longer than what was read, which says nearly always that they are short enough.
        read, self._header_bytes = self._begun_bytes + self._header_bytes + self._read_bytes, 0
        if read > self.header_bytes_max and self._header_size() > self.header_bytes_max:
            self._refuse(render(HeadersTooLarge(self.header_bytes_max)))
            return
        if self.express is not None and self._may_be_express():
            self._express_for = self.express.admits(self.url, self.headers)
            if self._express_for is not None:
                return
        self._begin()

    def _begin(self) -> None:
        """Hand the request to the application, with an address of any length that the headers may have."""
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
        if self._express_for is not None:
            self._express_parts.append(body)
        elif not self._refused:
            super().on_body(body)

    def on_message_complete(self) -> None:
        if self._again is not None:
            return
        self._in_headers, self._head_bytes = True, 0
        if self._refused or (self._express_for is not None and self._take_express()):
            return
        super().on_message_complete()

    def _may_be_express(self) -> bool:
        """A POST on a connection that waits for nothing else and stays open."""
        return (
            (self.cycle is None or self.cycle.response_complete)
            and self.parser.get_method() == b"POST"
            and self.parser.get_http_version() == "1.1"
            and self.parser.should_keep_alive()
            and not self.flow.write_paused
        )

    def _take_express(self) -> bool:
        """Hand the request over to the lane, or let it go the ordinary way."""
        assert self.express is not None and self._express_for is not None
        parts = self._express_parts
        body = parts[0] if len(parts) == 1 else b"".join(parts)
        request = self.express.take(self, self._express_for, body)
        if request is None:
            self._take_ordinary_way()
            return False
        self._express_for, self._express_parts = None, []
        # In the cycle's place: so what comes behind it waits, and the server's stop lets it end.
        self.cycle = request  # type: ignore[assignment]
        return True

    def _take_ordinary_way(self) -> None:
        """What has come of the request goes to the application."""
        parts, self._express_for, self._express_parts = self._express_parts, None, []
        self._begin()
        for part in parts:
            super().on_body(part)

    def finish(self, request: FastRequest, error: Rendered | None) -> None:
        """Answer a request of the express lane."""
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
        """Answer, and close: what follows on this connection cannot be told apart any more.

        The answer waits for those to the requests that came whole before.
        """
        if self._refused:
            return
        self._refused = True
        self._express_for = None
        self._stop_timer()
        if self.transport.is_closing():
            return
        cycle = self.cycle
        if cycle is None or cycle.response_complete:
            self._send_refusal(error)
        elif cycle.more_body and not self.pipeline:
            # The one that is being answered is the one that went wrong.
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
        """Close, but with patience for a body that is still on its way."""
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
    """What the parser says, or what went wrong in a call that it made."""
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
