"""One loaded server for the sections that ask it and weigh it: ten million events are loaded once only."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory

from bench import accounting
from bench.events import Generator, Shape, users_of
from bench.load import send, write_requests
from bench.report import Report
from bench.serving import Acumen, bulk_body

CONNECTIONS = 4
PER_POST = 3_000
PER_STEP = 300_000
SAMPLE_SECONDS = 0.1
IDLE_SECONDS = 3.0
DAYS = 60
FEW = 100_000


@dataclass(slots=True)
class Peaks:
    """The greatest memory of each process that was seen."""

    found: dict[str, accounting.Memory]

    def note(self, processes: Mapping[str, int]) -> None:
        for name, pid in processes.items():
            try:
                now = accounting.memory(pid)
            except OSError:
                continue
            most = self.found.get(name, now)
            self.found[name] = accounting.Memory(
                max(now.resident, most.resident), max(now.anonymous, most.anonymous)
            )


@dataclass(slots=True)
class Loaded:
    """A server that holds ``events`` of ``shape`` in Parquet, and what its processes took."""

    server: Acumen
    shape: Shape
    events: int
    ingesting: Peaks
    idle: Peaks
    started: Peaks


@contextmanager
def loaded(report: Report, events: int, *, extra: int = 0) -> Iterator[Loaded]:
    """A server with this many events over two months, flushed and compacted. Raises Wrong.

    ``extra``: properties beside the usual two dozen.
    """
    step_us = max(1, DAYS * 86_400_000_000 // events)
    shape = Shape(drift=True, step_us=step_us, users=users_of(events), extra=extra)
    # Few events would only wait for their time to be flushed.
    # Figures are of answers that are computed from all events.
    settings = {"ACUMEN_ERASE_SECONDS": "600", "ACUMEN_PARTIALS_BYTES": "0"}
    settings |= {"ACUMEN_FLUSH_SECONDS": "2"} if events < FEW else {}
    with Acumen(settings) as server:
        started, ingesting, idle = Peaks({}), Peaks({}), Peaks({})
        started.note(server.processes())
        stop = threading.Event()
        watch = threading.Thread(target=_watch, args=(server, ingesting, stop))
        watch.start()
        try:
            load(report, server, shape, events)
        finally:
            stop.set()
            watch.join()
        report.progress("at rest")
        time.sleep(IDLE_SECONDS)
        idle.note(server.processes())
        yield Loaded(server, shape, events, ingesting, idle, started)


def _watch(server: Acumen, peaks: Peaks, stop: threading.Event) -> None:
    processes = server.processes()
    while not stop.wait(SAMPLE_SECONDS):
        peaks.note(processes)


def load(report: Report, server: Acumen, shape: Shape, events: int, begin: int = 0) -> None:
    """Post the first events of this shape, but for those that were posted before, and wait until all are
    flushed; where they are the first ones, compacted too. Raises Wrong."""
    generator = Generator()
    with TemporaryDirectory(prefix="acumen-bench-") as name:
        path = Path(name) / "requests"
        for first in range(begin, events, PER_STEP):
            report.progress(f"loading {events:,} events: {first:,}")
            count = min(PER_STEP, events - first)
            write_requests(path, _posts(server, generator, shape, first, count))
            send(server.port, CONNECTIONS, path)
    report.progress(f"loading {events:,} events: flushing and compacting")
    server.await_rows(events, merged=not begin)


def _posts(server: Acumen, generator: Generator, shape: Shape, first: int, count: int) -> Iterator[bytes]:
    lines: list[bytes] = []
    for line in generator.lines(shape, first, count):
        lines.append(line)
        if len(lines) == PER_POST:
            yield server.post_request(bulk_body(lines), bulk=True)
            lines = []
    if lines:
        yield server.post_request(bulk_body(lines), bulk=True)
