"""Kept answers through HTTP, against a static file of the same bytes on the same server software.

Rounds alternate between the two servers; the figure is the median of the rounds' ratios of time.
"""

from __future__ import annotations

import http.client
import json
from collections.abc import Mapping
from pathlib import Path
from statistics import median
from tempfile import TemporaryDirectory
from typing import Any

from bench.events import Generator, Shape
from bench.load import send, write_requests
from bench.report import Report, Wrong
from bench.serving import COLLECTION, Acumen, Process, bulk_body

CONNECTIONS = 16
ROUNDS = 7
PER_ROUND = 2_000
EVENTS = 20_000
SAVED: dict[str, dict[str, Any]] = {
    "small": {"analysis_type": "count", "event_collection": COLLECTION},
    "large": {
        "analysis_type": "count",
        "event_collection": COLLECTION,
        "timeframe": {"start": "2026-01-01T00:00:00Z", "end": "2026-01-01T02:00:00Z"},
        "interval": "minutely",
        "group_by": ["page.section"],
    },
}


def run(report: Report) -> None:
    report.title(f"Cached queries, {CONNECTIONS} connections ({ROUNDS} × {PER_ROUND:,} requests each)")
    with TemporaryDirectory() as name, Acumen() as ours:
        folder = Path(name)
        lines = list(Generator().lines(Shape(), 0, EVENTS))
        for first in range(0, EVENTS, 5_000):
            write_requests(
                folder / "events", [ours.post_request(bulk_body(lines[first : first + 5_000]), bulk=True)]
            )
            send(ours.port, 1, folder / "events")
        for label, query in SAVED.items():
            body = _kept(ours, label, query)
            told = json.loads(body)["result"]
            connection = ours.connect()
            report.equal(label, told, ours.ask(query["analysis_type"], connection, **query))
            connection.close()
            file = folder / f"{label}.json"
            file.write_bytes(body)
            path = f"/3.0/projects/{ours.project_id}/queries/saved/{label}/result"
            compare(report, f"a cached answer, {label}", ours, path, file)


def _kept(ours: Acumen, name: str, query: Mapping[str, Any]) -> bytes:
    """The whole answer of a cached query that was put just now."""
    path = f"/3.0/projects/{ours.project_id}/queries/saved/{name}"
    connection = ours.connect()
    definition = json.dumps({"query": query, "refresh_rate": 172_800}).encode()
    asked(connection, "PUT", path, definition, ours.master_key)
    for _ in range(3):
        body = asked(connection, "GET", f"{path}/result", None, ours.read_key)
    connection.close()
    return body


def asked(
    connection: http.client.HTTPConnection, method: str, path: str, body: bytes | None, key: str
) -> bytes:
    connection.request(method, path, body, {"Authorization": key})
    answer = connection.getresponse()
    text = answer.read()
    if answer.status not in (200, 201):
        raise Wrong(f"{method} {path} was answered {answer.status}: {text[:300]!r}")
    return text


def compare(report: Report, name: str, ours: Acumen, path: str, file: Path) -> None:
    """The figure of what ``path`` answers, against a server of ``file``, which holds the same."""
    folder = file.parent
    with Process(["bench.bare", "--file", str(file)]) as static:
        report.equal(f"{name}, the file", static.get("/file"), file.read_bytes())
        write_requests(folder / "ours", [_get(path, ours.read_key)] * PER_ROUND)
        write_requests(folder / "static", [_get("/file", ours.read_key)] * PER_ROUND)
        ratios, rates = [], []
        for turn in range(ROUNDS + 1):
            report.progress(f"{name}, round {turn} of {ROUNDS}")
            their_seconds = send(static.port, CONNECTIONS, folder / "static")
            our_seconds = send(ours.port, CONNECTIONS, folder / "ours")
            if turn:
                ratios.append(our_seconds / their_seconds)
                rates.append((PER_ROUND / our_seconds, PER_ROUND / their_seconds))
    mine, theirs = (median(pair[side] for pair in rates) for side in (0, 1))
    size = file.stat().st_size
    detail = f"{mine:,.0f} against {theirs:,.0f} answers a second of {size:,} bytes"
    report.figure(f"time of {name}", median(ratios), detail, limit=2.0)


def _get(path: str, key: str) -> bytes:
    return f"GET {path} HTTP/1.1\r\nHost: 127.0.0.1\r\nAuthorization: {key}\r\n\r\n".encode()
