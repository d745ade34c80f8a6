"""A web server for tests: says what it is told to, byte by byte if need be, and keeps what it was asked."""

from __future__ import annotations

import ssl
import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

Reply = tuple[int, Mapping[str, str], bytes]


@dataclass(frozen=True)
class Asked:
    """One request. Names of header fields are in small letters."""

    method: str
    path: str
    headers: Mapping[str, str]
    body: bytes


@dataclass
class WebServer:
    """``replies``: path → the reply, or what makes it from the request. ``raw``: path → what writes to the
    connection by itself."""

    port: int = 0
    asked: list[Asked] = field(default_factory=list)
    replies: dict[str, Reply | Callable[[Asked], Reply]] = field(default_factory=dict)
    raw: dict[str, Callable[[Callable[[bytes], Any]], Any]] = field(default_factory=dict)
    stopped: threading.Event = field(default_factory=threading.Event)

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"


class _Handler(BaseHTTPRequestHandler):
    web: WebServer
    timeout = 20

    def _answer(self) -> None:
        body = self.rfile.read(int(self.headers.get("content-length") or 0))
        headers = {name.lower(): value for name, value in self.headers.items()}
        asked = Asked(self.command, self.path, headers, body)
        self.web.asked.append(asked)
        path = self.path.partition("?")[0]
        if path in self.web.raw:
            try:
                self.web.raw[path](self.wfile.write)
            except OSError:
                pass
            return
        found = self.web.replies.get(path, (404, {}, b"not here"))
        status, fields, content = found(asked) if callable(found) else found
        self.send_response(status)
        for name, value in fields.items():
            self.send_header(name, value)
        self.send_header("content-length", str(len(content)))
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(content)

    do_GET = do_POST = do_HEAD = do_PUT = _answer

    def log_message(self, *_: Any) -> None:
        pass


@contextmanager
def web_server(tls: ssl.SSLContext | None = None, host: str = "127.0.0.1") -> Iterator[WebServer]:
    web = WebServer()
    server = ThreadingHTTPServer((host, 0), type("Handler", (_Handler,), {"web": web}))
    if tls is not None:
        server.socket = tls.wrap_socket(server.socket, server_side=True)
    web.port = server.server_port
    thread = threading.Thread(target=server.serve_forever, args=(0.02,))
    thread.start()
    try:
        yield web
    finally:
        web.stopped.set()
        server.shutdown()
        thread.join()
        server.server_close()
