"""The profile of a collection over HTTP, against DuckDB's SUMMARIZE of the same live files.

Rounds alternate; the figure is the median of our times over the median of theirs. What is compared first is
what both tell exactly: how many events have each column, and the least and the greatest number.
"""

from __future__ import annotations

import json
import time
from collections.abc import Callable
from http.client import HTTPConnection
from itertools import count
from statistics import median
from typing import Any

from bench.queries import Duck, alternate
from bench.report import Report, Wrong
from bench.serving import COLLECTION, Acumen
from bench.store import Loaded

EXTRA = 33
"""Properties beside the usual 27, so that there are 60."""
LIMIT = 1.5
KEPT_SECONDS = 0.05
KEPT_ROUNDS = 20
SUMMARY = "SUMMARIZE SELECT * FROM events"

Json = dict[str, Any]


def run(report: Report, loaded: Loaded) -> None:
    """Raises Wrong where the two tell different things."""
    server, numbers = loaded.server, count()
    report.title(f"The profile of {loaded.events:,} events in {len(server.files())} files")
    connection = server.connect()
    duck = Duck(server)
    first = _seconds(lambda: ask(server, connection))
    summary = _seconds(lambda: duck.run(SUMMARY))
    _compare(report, ask(server, connection), duck)
    # Once in the life of a file is read what makes means exact, so there is no limit on this one.
    report.figure(
        "a profile, the first one", first / summary, f"{first * 1e3:.0f} against {summary * 1e3:.0f} ms"
    )
    # Each time of another timeframe, so that it is not a kept one; all of them hold every event.
    ours, theirs = alternate(
        lambda: ask(server, connection, {"start": f"19{next(numbers) % 80 + 10}-01-01", "end": "2100-01-01"}),
        lambda: duck.run(SUMMARY),
    )
    if server.paths() != duck.paths:
        raise Wrong("Files were merged while the profile was measured.")
    detail = f"{ours * 1e3:.0f} against {theirs * 1e3:.0f} ms of SUMMARIZE"
    report.figure("a profile", ours / theirs, detail, limit=LIMIT)
    kept = median(_seconds(lambda: ask(server, connection)) for _ in range(KEPT_ROUNDS))
    report.figure("a kept profile, of 50 ms", kept / KEPT_SECONDS, f"{kept * 1e3:.1f} ms", limit=1.0)
    connection.close()


def ask(server: Acumen, connection: HTTPConnection, frame: Json | None = None) -> Json:
    """The profile of all properties. Raises Wrong."""
    path = f"/3.0/projects/{server.project_id}/events/{COLLECTION}/profile?limit=100"
    if frame is not None:
        path += "&timeframe=" + json.dumps(frame, separators=(",", ":")).replace('"', "%22")
    connection.request("GET", path, headers={"Authorization": server.read_key})
    response = connection.getresponse()
    body = response.read()
    # The other side's turn may take longer than the server keeps an idle connection.
    connection.close()
    if response.status != 200:
        raise Wrong(f"The server answered {response.status}: {body[:300]!r}")
    told: Json = json.loads(body)
    return told


def _seconds(work: Callable[[], object]) -> float:
    started = time.perf_counter()
    work()
    return time.perf_counter() - started


def _compare(report: Report, told: Json, duck: Duck) -> None:
    """Raises Wrong where the least or greatest number of a property differs, or the number of events."""
    rows = duck.run(SUMMARY)
    events = {row[10] for row in rows}
    report.equal("events", {told["events"]}, events)
    theirs = {row[0]: (float(row[2]), float(row[3])) for row in rows if row[1] == "DOUBLE"}
    ours = {
        one["name"]: (float(one["numbers"]["min"]), float(one["numbers"]["max"]))
        for one in told["properties"]
        if one["numbers"] is not None
    }
    report.equal("least and greatest numbers", ours, theirs)
