"""Results of a cached dataset through HTTP: of one value again and again, against a static file of the same
bytes, and of many values once each, which no memory holds yet.

The dataset has a result for each of ``VALUES`` index values and ``DAYS`` days, if there are events enough.
"""

from __future__ import annotations

import json
import time
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from statistics import median
from tempfile import TemporaryDirectory
from typing import Any
from urllib.parse import quote

from bench.cached import asked, compare
from bench.load import send, write_requests
from bench.report import Report, Wrong
from bench.serving import Acumen, bulk_body

VALUES = 10_000
DAYS = 500
BATCH = 10_000
SAMPLE = 200
WAIT_SECONDS = 900.0
COLLECTION = "orders"
FIRST = datetime(2024, 1, 1, tzinfo=UTC)
QUERY: dict[str, Any] = {
    "analysis_type": "sum",
    "target_property": "price",
    "event_collection": COLLECTION,
    "timeframe": {"start": FIRST.isoformat(), "end": (FIRST + timedelta(days=DAYS)).isoformat()},
    "interval": "daily",
}


def run(report: Report, events: int) -> None:
    """``events``: at most so many are loaded, one for each value and day; so few make for fewer values."""
    values = max(2, min(VALUES, events // DAYS))
    report.title(f"A cached dataset of {values:,} values × {DAYS} days")
    with TemporaryDirectory() as name, Acumen() as ours:
        folder = Path(name)
        _load(ours, values, folder)
        path = f"/3.0/projects/{ours.project_id}/datasets/orders"
        report.note(f"computed in {_computed(ours, path):.1f} seconds")
        file = folder / "result.json"
        file.write_bytes(_result(report, ours, path, 1))
        _first_looks(report, ours, path, values)
        compare(report, "a dataset's result", ours, f"{path}/results?index_by=customer-1", file)


def _load(ours: Acumen, values: int, folder: Path) -> None:
    """One event for each value and day."""
    lines: list[bytes] = []
    for line in _events(values):
        lines.append(line)
        if len(lines) == BATCH:
            _post(ours, lines, folder)
            lines = []
    if lines:
        _post(ours, lines, folder)


def _events(values: int) -> Iterator[bytes]:
    for day in range(DAYS):
        moment = (FIRST + timedelta(days=day, hours=day % 24)).isoformat()
        for value in range(values):
            event = {
                "customer": f"customer-{value}",
                "price": (value + day) % 100,
                "keen": {"timestamp": moment},
            }
            yield json.dumps(event).encode()


def _post(ours: Acumen, lines: list[bytes], folder: Path) -> None:
    request = ours.post_request(bulk_body(lines, COLLECTION), bulk=True)
    write_requests(folder / "events", [request])
    send(ours.port, 1, folder / "events")


def _computed(ours: Acumen, path: str) -> float:
    """Seconds until the dataset, made now, was computed."""
    connection = ours.connect()
    body = json.dumps({"query": QUERY, "index_by": "customer"}).encode()
    started = time.monotonic()
    asked(connection, "PUT", path, body, ours.master_key)
    while True:
        definition = json.loads(asked(connection, "GET", path, None, ours.read_key))
        if definition["status"] == "OK":
            connection.close()
            return time.monotonic() - started
        if definition["status"] == "BootstrappingFailed" or time.monotonic() - started > WAIT_SECONDS:
            raise Wrong(f"The dataset was not computed: {definition}")
        time.sleep(0.05)


def _result(report: Report, ours: Acumen, path: str, value: int) -> bytes:
    """The whole answer for one value, after it was compared with the question's."""
    connection = ours.connect()
    body = asked(connection, "GET", f"{path}/results?index_by=customer-{value}", None, ours.read_key)
    chosen = {"property_name": "customer", "operator": "eq", "property_value": f"customer-{value}"}
    expected = ours.ask("sum", connection, **QUERY, filters=[chosen])
    report.equal("a dataset's result", json.loads(body)["result"], expected)
    connection.close()
    return body


def _first_looks(report: Report, ours: Acumen, path: str, values: int) -> None:
    """The time of a result that is read from the dataset's files, one connection."""
    connection = ours.connect()
    seconds = []
    for turn in range(min(SAMPLE, values - 2)):
        address = f"{path}/results?index_by={quote(f'customer-{2 + turn * (values - 2) // SAMPLE}')}"
        started = time.perf_counter()
        asked(connection, "GET", address, None, ours.read_key)
        seconds.append(time.perf_counter() - started)
    connection.close()
    ordered = sorted(seconds)
    last = ordered[int(len(ordered) * 0.99)] * 1_000
    report.note(f"first look at a value: {median(ordered) * 1_000:.2f} ms, 99 of 100 within {last:.2f} ms")
