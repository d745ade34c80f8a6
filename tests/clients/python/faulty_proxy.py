"""A small HTTP proxy in front of a served Acumen that fails in the ways that networks and servers do.

Each request that comes takes the next fault of a list, or passes when there is none left.
"""

from __future__ import annotations

import http.client
import socket
import threading
import time
from collections.abc import Callable, Iterable
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from types import TracebackType
from typing import Self

HOP_BY_HOP = {"connection", "keep-alive", "transfer-encoding", "content-length", "date", "server"}

Fault = Callable[["Exchange"], None]


class Exchange(BaseHTTPRequestHandler):
    """One request on its way through the proxy."""

    protocol_version = "HTTP/1.1"
    server: _Server

    def handle_one_request(self) -> None:
        try:
            super().handle_one_request()
        except (ConnectionError, TimeoutError):
            self.close_connection = True

    def relay(self) -> None:
        self.body = self.rfile.read(int(self.headers.get("content-length", 0)))
        fault = self.server.proxy.next_fault()
        if fault is None:
            self.give(*self.forward())
        else:
            fault(self)

    do_GET = do_POST = do_PUT = do_DELETE = do_HEAD = relay

    def forward(self) -> tuple[int, dict[str, str], bytes]:
        """What the server answers."""
        connection = http.client.HTTPConnection("127.0.0.1", self.server.proxy.target_port, timeout=60)
        try:
            headers = {k: v for k, v in self.headers.items() if k.lower() not in HOP_BY_HOP | {"host"}}
            connection.request(self.command, self.path, self.body, headers)
            answer = connection.getresponse()
            return answer.status, dict(answer.getheaders()), answer.read()
        except OSError:
            return 502, {"content-type": "text/html"}, b"<h1>502 Bad Gateway</h1>"
        finally:
            connection.close()

    def give(self, status: int, headers: dict[str, str], body: bytes) -> None:
        self.send_response(status)
        for name, value in headers.items():
            if name.lower() not in HOP_BY_HOP:
                self.send_header(name, value)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def cut(self) -> None:
        """End the connection without a word."""
        self.close_connection = True
        self.connection.shutdown(socket.SHUT_RDWR)

    def log_message(self, *_: object) -> None:
        pass


class _Server(ThreadingHTTPServer):
    daemon_threads = True
    request_queue_size = 64
    proxy: FaultyProxy

    def handle_error(self, *_: object) -> None:
        pass


class FaultyProxy:
    """As a context manager it listens at ``url``; ``faults`` are those of the next requests."""

    def __init__(self, target_port: int, faults: Iterable[Fault] = ()) -> None:
        self.target_port = target_port
        self.faults = list(faults)
        self.always: Fault | None = None
        """What befalls every request after these."""
        self.requests = 0
        self._lock = threading.Lock()
        self._server = _Server(("127.0.0.1", 0), Exchange)
        self._server.proxy = self
        self.url = f"http://127.0.0.1:{self._server.server_port}"

    def next_fault(self) -> Fault | None:
        with self._lock:
            self.requests += 1
            return self.faults.pop(0) if self.faults else self.always

    def __enter__(self) -> Self:
        threading.Thread(target=self._server.serve_forever, args=(0.02,), daemon=True).start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._server.shutdown()
        self._server.server_close()


def answer(status: int, body: bytes = b"", **headers: str) -> Fault:
    """An answer that is not the server's; the request does not reach it."""

    def fault(exchange: Exchange) -> None:
        exchange.give(status, {name.replace("_", "-"): value for name, value in headers.items()}, body)

    return fault


def overloaded(status: int = 503, retry_after: str = "0") -> Fault:
    body = b'{"message": "Try again shortly.", "error_code": "ServiceUnavailableError"}'
    return answer(status, body, retry_after=retry_after)


def lose_answer(exchange: Exchange) -> None:
    """The server does what it is asked, and its answer gets lost."""
    exchange.forward()
    exchange.cut()


def lose_request(exchange: Exchange) -> None:
    exchange.cut()


def half_answer(exchange: Exchange) -> None:
    """The connection ends in the middle of the server's answer."""
    status, _, body = exchange.forward()
    exchange.send_response(status)
    exchange.send_header("Content-Length", str(len(body) + 10))
    exchange.end_headers()
    exchange.wfile.write(body[: len(body) // 2])
    exchange.cut()


def no_http(exchange: Exchange) -> None:
    exchange.forward()
    exchange.wfile.write(b"\x16\x03\x01 no HTTP at all\r\n\r\n")
    exchange.cut()


def garbage_after(exchange: Exchange) -> None:
    """The server does what it is asked; what comes back is a page of something in between."""
    exchange.forward()
    exchange.give(200, {"content-type": "text/html"}, b"<html>Please log in to this network</html>")


def slow(seconds: float) -> Fault:
    def fault(exchange: Exchange) -> None:
        time.sleep(seconds)
        exchange.give(*exchange.forward())

    return fault


EVERY_FAULT: dict[str, Fault] = {
    "429": overloaded(429),
    "503": overloaded(503),
    "502 page": answer(502, b"<h1>Bad Gateway</h1>", content_type="text/html"),
    "500 empty": answer(500),
    "400 of a proxy": answer(400, b"<h1>Bad Request</h1>", content_type="text/html"),
    "lost answer": lose_answer,
    "lost request": lose_request,
    "half an answer": half_answer,
    "no HTTP": no_http,
    "200 with a page": garbage_after,
    "200 with other JSON": answer(200, b"{}", content_type="application/json"),
    "200 with a list": answer(200, b"[]", content_type="application/json"),
    "200 of fewer events": answer(200, b'{"c": [{"success": true}]}', content_type="application/json"),
    "200 empty": answer(200),
    "204": answer(204),
    "slow": slow(0.2),
}
