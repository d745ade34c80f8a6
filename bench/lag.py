"""How far a derived collection is behind while events come in, and what keeping it fresh costs collecting.

Twice the same: events at a steady rate in bulk, and single posts beside them as fast as they are answered;
the first time without the pipeline. The bucket that is derived again and again begins with ``events``.
"""

from __future__ import annotations

import http.client
import json
import subprocess
import time
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from statistics import median
from tempfile import TemporaryDirectory
from threading import Event, Thread

from bench import paced
from bench.events import Generator, Shape
from bench.load import send, write_requests
from bench.report import Report, Wrong
from bench.serving import Acumen, bulk_body, post

RATE = 20_000
BATCH = 1_000
SECONDS = 60
FLUSH_SECONDS = 5.0
CONNECTIONS = 16
SINGLES = 4_000
LOOK_SECONDS = 0.25
SINGLE = "signals"
"""The collection of the single posts."""
LAG_LIMIT = 3.0
POSTS_FLOOR = 0.9
WAIT_SECONDS = 300.0
_HOUR_US = 3_600_000_000
_PIPELINE = """
[pipelines.orders]
owner = "bench@acumen.example"
from = "purchases"
into = "orders"
bucket = "hour"

[[pipelines.orders.steps]]
where = '"user.country" <> '''none'''

[[pipelines.orders.steps]]
aggregate.by = ["user.country", "device.family"]
aggregate.every = "1_minutes"
aggregate.values = { orders = "count", revenue = { sum = "order.total" } }
"""


def run(report: Report, events: int) -> None:
    """Raises Wrong where the derived rows do not hold every event."""
    report.title(f"A derived bucket of {events:,} events and more, while {RATE:,} events a second come in")
    with TemporaryDirectory(prefix="acumen-bench-lag-") as name:
        folder = Path(name)
        alone = _round(report, folder, events, pipeline=False)
        beside = _round(report, folder, events, pipeline=True)
    lags = sorted(beside.lags)
    p99, middle = lags[int(0.99 * (len(lags) - 1))], lags[len(lags) // 2]
    text = f"p99 {p99:.1f} s, median {middle:.1f} s, of a flush every {FLUSH_SECONDS:g} s"
    report.figure("lag in flush intervals", p99 / FLUSH_SECONDS, text, limit=LAG_LIMIT)
    text = f"{beside.posts:,.0f} of {alone.posts:,.0f} posts a second"
    report.figure("single posts beside it", beside.posts / alone.posts, text, floor=POSTS_FLOOR)
    text = f"{beside.processor:.0f} against {alone.processor:.0f} processor seconds in {SECONDS} seconds"
    report.figure("processor time of all", beside.processor / alone.processor, text)


@dataclass(frozen=True, slots=True)
class _Measured:
    posts: float
    """Single posts a second."""
    processor: float
    """Seconds of all processes."""
    lags: list[float]
    """Seconds, at each look."""


def _round(report: Report, folder: Path, events: int, *, pipeline: bool) -> _Measured:
    settings = {"ACUMEN_FLUSH_SECONDS": str(FLUSH_SECONDS)}
    what = "with the pipeline" if pipeline else "alone"
    with Acumen(settings) as server, closing(server.connect()) as connection:
        report.progress(f"lag, {what}: the events of before")
        _fill(server, folder, events)
        if pipeline:
            _apply(server, connection)
            _await_derived(server, connection, events)
        report.progress(f"lag, {what}: {SECONDS} seconds")
        _write(server, folder)
        before = server.cpu_seconds()
        flow, singles = (
            paced.begin(server.port, folder / "bulk", BATCH / RATE),
            _Singles(server, folder / "single"),
        )
        singles.start()
        looks = _looks(server, connection, flow)
        posts, times = singles.end(), paced.answered(flow)
        processor = server.cpu_seconds() - before
        if pipeline:
            _await_derived(server, connection, events + len(times) * BATCH)
            report.equal(
                "events in the derived rows", _derived(server, connection), events + len(times) * BATCH
            )
        lags = [_lag(at, derived - events, times) for at, derived in looks if at <= times[-1]]
        return _Measured(posts, processor, lags)


def _fill(server: Acumen, folder: Path, events: int) -> None:
    """Events of this hour."""
    now_us = time.time_ns() // 1_000
    start_us = now_us - now_us % _HOUR_US
    shape = Shape(start_us=start_us, step_us=max(1, (now_us - start_us) // (events + 4)))
    lines = list(Generator().lines(shape, 0, min(events, 100_000)))
    batches = (lines[at % len(lines) :][:BATCH] for at in range(0, events, BATCH))
    write_requests(folder / "first", (server.post_request(bulk_body(some), bulk=True) for some in batches))
    send(server.port, 2, folder / "first")
    server.await_rows(events, merged=False)


def _write(server: Acumen, folder: Path) -> None:
    """The requests of one round."""
    shape = Shape(start_us=time.time_ns() // 1_000, step_us=1_000_000 // RATE)
    lines = list(Generator().lines(shape, 0, 5 * RATE))
    batches = (lines[at % len(lines) :][:BATCH] for at in range(0, SECONDS * RATE, BATCH))
    write_requests(folder / "bulk", (server.post_request(bulk_body(some), bulk=True) for some in batches))
    path = f"/3.0/projects/{server.project_id}/events/{SINGLE}"
    singles = (post(path, line, server.write_key) for line in lines[:SINGLES])
    write_requests(folder / "single", singles)


class _Singles(Thread):
    """Sends single posts until it is ended."""

    def __init__(self, server: Acumen, path: Path) -> None:
        super().__init__()
        self._server, self._path = server, path
        self._ended = Event()
        self._rates: list[float] = []
        self._fault: Wrong | None = None

    def run(self) -> None:
        try:
            while not self._ended.is_set():
                self._rates.append(SINGLES / send(self._server.port, CONNECTIONS, self._path))
        except Wrong as error:
            self._fault = error

    def end(self) -> float:
        """How many there were in a second. Raises Wrong."""
        self._ended.set()
        self.join()
        if self._fault is not None:
            raise self._fault
        return median(self._rates)


def _looks(
    server: Acumen, connection: http.client.HTTPConnection, flow: subprocess.Popen[str]
) -> list[tuple[float, int]]:
    """When it was looked, and how many events the derived rows had, until the flow ends."""
    found = []
    while flow.poll() is None:
        found.append((time.monotonic(), _derived(server, connection)))
        time.sleep(LOOK_SECONDS)
    return found


def _lag(at: float, derived: int, times: list[float]) -> float:
    """How long the first event that is not derived had been answered; ``times`` are those of batches."""
    first = derived // BATCH
    return max(0.0, at - times[first]) if first < len(times) else 0.0


def _derived(server: Acumen, connection: http.client.HTTPConnection) -> int:
    asked = {"event_collection": "orders", "target_property": "orders", "timeframe": "this_2_days"}
    return int(server.ask("sum", connection, **asked) or 0)


def _await_derived(server: Acumen, connection: http.client.HTTPConnection, events: int) -> None:
    deadline = time.monotonic() + WAIT_SECONDS
    while (found := _derived(server, connection)) < events:
        if time.monotonic() > deadline:
            raise Wrong(
                f"The derived rows have {found:,} of {events:,} events after {WAIT_SECONDS:g} seconds."
            )
        time.sleep(LOOK_SECONDS)


def _apply(server: Acumen, connection: http.client.HTTPConnection) -> None:
    path = f"/3.0/projects/{server.project_id}/pipelines/apply"
    connection.request("POST", path, json.dumps({"file": _PIPELINE}), {"Authorization": server.master_key})
    answer = connection.getresponse()
    text = answer.read()
    if answer.status != 200:
        raise Wrong(f"The pipeline was answered {answer.status}: {text[:500]!r}")
