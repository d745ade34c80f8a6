"""A proxy before a real server, which fails as networks and servers do."""

from __future__ import annotations

import http.client
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, Self
from urllib.parse import urlsplit

HOP_BY_HOP = {"connection", "keep-alive", "transfer-encoding", "content-length", "date", "server"}
CORS = {"Access-Control-Allow-Origin": "*", "Access-Control-Expose-Headers": "Retry-After"}


@dataclass(frozen=True)
class Fault:
    """What becomes of one request.

    ``forward``: whether the server gets it. ``status``: what is answered instead of its answer; with
    None the connection is closed without one.
    """

    forward: bool = False
    status: int | None = None
    headers: dict[str, str] = field(default_factory=dict)
    body: bytes = b""


LOST_REQUEST = Fault()
LOST_ANSWER = Fault(forward=True)
GARBAGE = Fault(forward=True, status=200, body=b"<html>Please log in to the hotel's network</html>")
EMPTY = Fault(forward=True, status=200, body=b"{}")
UNAVAILABLE = Fault(status=503, body=b"no server")


def too_many(seconds: int) -> Fault:
    return Fault(
        status=429, headers={"Retry-After": str(seconds)}, body=b'{"error_code": "RateLimitExceededError"}'
    )


class FaultyProxy:
    """Forwards to ``target``; posts meet the next of ``faults`` until there are none left."""

    def __init__(self, target: str, *faults: Fault) -> None:
        self.target = urlsplit(target)
        self.faults = list(faults)
        self.requests: list[tuple[float, str, int | None]] = []
        """Time, method and answered status of each request, in the order of their answers."""
        self.accepted: list[bytes] = []
        """The bodies of posts that the client was told are stored."""
        self.lock = threading.Lock()
        self.down = False
        """Whether every request is lost."""
        self._server = ThreadingHTTPServer(("127.0.0.1", 0), _handler(self))
        self._server.daemon_threads = True
        self.url = f"http://127.0.0.1:{self._server.server_address[1]}"

    def __enter__(self) -> Self:
        threading.Thread(target=self._server.serve_forever, args=(0.02,), daemon=True).start()
        return self

    def __exit__(self, *_: object) -> None:
        self._server.shutdown()
        self._server.server_close()

    @property
    def posts(self) -> list[int | None]:
        """The status of each post."""
        return [status for _, method, status in self.requests if method == "POST"]

    def next_fault(self, method: str) -> Fault | None:
        with self.lock:
            if self.down:
                return LOST_REQUEST
            return self.faults.pop(0) if method == "POST" and self.faults else None


def _handler(proxy: FaultyProxy) -> Callable[..., BaseHTTPRequestHandler]:
    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def _serve(self) -> None:
            body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
            fault = proxy.next_fault(self.command)
            status: int | None
            if fault is None or fault.forward:
                status, headers, answer = self._forwarded(body)
            if fault is not None:
                status, headers, answer = fault.status, {**CORS, **fault.headers}, fault.body
            with proxy.lock:
                proxy.requests.append((time.time(), self.command, status))
                if self.command == "POST" and status == 200 and fault is None:
                    proxy.accepted.append(body)
            if status is None:
                self.close_connection = True
                return
            self.send_response(status)
            for name, value in headers.items():
                self.send_header(name, value)
            if status != 204:
                self.send_header("Content-Length", str(len(answer)))
            self.end_headers()
            self.wfile.write(answer)

        def _forwarded(self, body: bytes) -> tuple[int, dict[str, str], bytes]:
            assert proxy.target.hostname is not None
            connection = http.client.HTTPConnection(proxy.target.hostname, proxy.target.port, timeout=60)
            try:
                sent = {k: v for k, v in self.headers.items() if k.lower() not in {*HOP_BY_HOP, "host"}}
                connection.request(self.command, self.path, body, sent)
                reply = connection.getresponse()
                kept = {k: v for k, v in reply.getheaders() if k.lower() not in HOP_BY_HOP}
                return reply.status, kept, reply.read()
            finally:
                connection.close()

        do_GET = do_POST = do_OPTIONS = do_PUT = do_DELETE = _serve

        def log_message(self, *_: Any) -> None:
            return None

    return Handler


__all__ = [
    "EMPTY",
    "GARBAGE",
    "LOST_ANSWER",
    "LOST_REQUEST",
    "UNAVAILABLE",
    "Fault",
    "FaultyProxy",
    "too_many",
]
