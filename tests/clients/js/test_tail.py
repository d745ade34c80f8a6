"""Tailing, against a server of streams as the API describes them, which breaks off, is slow and repeats."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import parse_qs, urlsplit

from tests.clients.js.conftest import Run

Part = str | int
"""Text of the stream; a number is the status of an answer in its place."""


@contextmanager
def streams(*connections: list[Part]) -> Iterator[tuple[str, list[dict[str, list[str]]]]]:
    """Each connection's parts, sent one by one and then cut off; the queries that came are listed."""
    waiting = [list(parts) for parts in connections]
    asked: list[dict[str, list[str]]] = []

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_GET(self) -> None:
            asked.append(parse_qs(urlsplit(self.path).query))
            asked[-1]["key"] = [self.headers.get("Authorization", "")]
            parts = waiting.pop(0) if waiting else [503]
            self.close_connection = True
            if isinstance(parts[0], int):
                self.send_response(parts[0])
                self.send_header("Content-Length", "34")
                self.end_headers()
                self.wfile.write(b'{"error_code": "InvalidApiKeyErr"}')
                return
            self.send_response(200)
            self.send_header("Content-Type", "text/event-stream; charset=utf-8")
            self.send_header("Connection", "close")
            self.end_headers()
            for part in parts:
                self.wfile.write(str(part).encode())
                self.wfile.flush()

        def log_message(self, *_: Any) -> None:
            return None

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.daemon_threads = True
    threading.Thread(target=server.serve_forever, args=(0.02,), daemon=True).start()
    yield f"http://127.0.0.1:{server.server_address[1]}", asked
    server.shutdown()
    server.server_close()


def event(cursor: int, **properties: Any) -> str:
    return f"id: {cursor}\nevent: event\ndata: {json.dumps({'n': cursor, **properties})}\n\n"


def tailed(run: Run, url: str, count: int, **more: Any) -> dict[str, Any]:
    client = {"url": url, "projectId": "p", "readKey": "r"}
    report: dict[str, Any] = run("tail.mjs", {"client": client, "count": count, **more})
    return report


def test_a_tail_goes_on_where_it_broke_off(run: Run) -> None:
    text = event(2, text="naïve\u2028 ☕")
    first: list[Part] = [": hello\n\n", event(1), text[:20], text[20:], event(3)[:-1]]
    with streams(first, [503], [event(3), 'event: gap\ndata: {"events":7}\n\n', event(4)]) as (url, asked):
        filters = [{"property_name": "n", "operator": "gt", "property_value": 0}]
        report = tailed(run, url, 4, filters=filters)
    assert [seen["n"] for seen in report["events"]] == [1, 2, 3, 4]
    assert report["events"][1]["text"] == "naïve\u2028 ☕"
    assert report["gaps"] == [7]
    assert (report["cursor"], report.get("error")) == ("4", None)
    assert [query.get("after") for query in asked] == [None, ["2"], ["2"]]
    assert json.loads(asked[0]["filters"][0]) == filters
    assert asked[0]["key"] == ["r"]
    assert report["states"][:2] == ["open", "waiting"]


def test_line_ends_of_every_kind_and_split_bytes(run: Run) -> None:
    crlf = event(1, text="☕").replace("\n", "\r\n")
    with streams([crlf[:9], crlf[9:], event(2).replace("\n", "\r")]) as (url, _):
        report = tailed(run, url, 2)
    assert [seen["n"] for seen in report["events"]] == [1, 2]


def test_a_refusal_ends_a_tail(run: Run) -> None:
    with streams([401]) as (url, _):
        report = tailed(run, url, 1)
    assert report["error"] == {"name": "ApiError", "code": "InvalidApiKeyErr"}
