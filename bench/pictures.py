"""Pictures that the server draws of kept results, against the results themselves.

Each picture has a width that was not asked for before, so it is drawn and not taken from those that are kept.
The process that draws has been started by a first picture.
"""

from __future__ import annotations

import http.client
import json
import time
from statistics import median
from typing import Any

from bench.cached import asked
from bench.events import Generator, Shape
from bench.report import Report, Wrong
from bench.serving import COLLECTION, Acumen, bulk_body

ROUNDS = 60
EVENTS = 20_000
ADDED_MS_MAX = 20.0
_FRAME = {"start": "2026-01-01T00:00:00Z", "end": "2026-01-01T02:00:00Z"}
_COUNT = {"analysis_type": "count", "event_collection": COLLECTION, "timeframe": _FRAME}
SAVED: dict[str, dict[str, Any]] = {
    "metric": _COUNT,
    "line": {**_COUNT, "interval": "minutely"},
    "area": {**_COUNT, "interval": "every_5_minutes", "group_by": ["user.plan"]},
    "bar": {**_COUNT, "group_by": ["user.country"]},
    "pie": {**_COUNT, "group_by": ["user.plan"]},
    "table": {**_COUNT, "group_by": ["user.country", "user.plan"]},
}
"""The type of each picture, and its question."""


def run(report: Report) -> None:
    report.title(f"Pictures of kept results ({ROUNDS} of each type)")
    with Acumen() as ours:
        connection = ours.connect()
        for first in range(0, EVENTS, 5_000):
            lines = list(Generator().lines(Shape(), first, 5_000))
            asked(
                connection,
                "POST",
                f"/3.0/projects/{ours.project_id}/events",
                bulk_body(lines),
                ours.write_key,
            )
        for kind, query in SAVED.items():
            report.progress(kind)
            compare(report, ours, connection, kind, query)
        connection.close()


def compare(
    report: Report, ours: Acumen, connection: http.client.HTTPConnection, kind: str, query: dict[str, Any]
) -> None:
    """The figure of what an SVG takes over its result. Raises Wrong where it is none."""
    path = f"/3.0/projects/{ours.project_id}/queries/saved/{kind}"
    look = {"visualization": {"type": kind}}
    definition = json.dumps({"query": query, "refresh_rate": 172_800, "metadata": look}).encode()
    asked(connection, "PUT", path, definition, ours.master_key)
    results, pictures = [], []
    for turn in range(ROUNDS + 5):
        result, seconds = _timed(ours, connection, f"{path}/result")
        picture, more = _timed(ours, connection, f"{path}/result.svg?width={400 + turn}")
        if b"<svg" not in picture[:200]:
            raise Wrong(f"{kind}: {picture[:200]!r}")
        # The first ones start what draws, and compile it.
        results += [seconds] if turn >= 5 else []
        pictures += [more] if turn >= 5 else []
    asking = ours.ask(query["analysis_type"], connection, **query)
    report.equal(kind, json.loads(result)["result"], asking)
    mine, base = median(pictures) * 1000, median(results) * 1000
    detail = f"{mine:.1f} ms against {base:.1f} ms for the result, {ADDED_MS_MAX:.0f} ms more are allowed"
    report.figure(
        f"an SVG of type {kind}, of what it may take", (mine - base) / ADDED_MS_MAX, detail, limit=1.0
    )


def _timed(ours: Acumen, connection: http.client.HTTPConnection, path: str) -> tuple[bytes, float]:
    """The answer, and how many seconds it took."""
    started = time.perf_counter()
    return asked(connection, "GET", path, None, ours.read_key), time.perf_counter() - started
