"""Bulk posts, from the request to compacted Parquet, against parsing and writing the same bytes once.

Ours is the processor time of all of the server's processes, from the first request until each event stands
in a Parquet file; what merging these files takes afterwards is told beside it. Theirs is ``orjson.loads`` of
each body and a write without a sync, in one process. Rounds alternate, and the figure is the median of their
ratios.
"""

from __future__ import annotations

import gc
import time
from dataclasses import dataclass, replace
from pathlib import Path
from statistics import median
from tempfile import TemporaryDirectory

import orjson

from bench.events import Generator, Shape
from bench.load import send, write_requests
from bench.report import Report
from bench.serving import Acumen, bulk_body

CONNECTIONS = 4
ROUNDS = 4
PER_ROUND_MAX = 250_000
STEP_US = 100
"""Time between two events, which end now: files of today are merged as those of a running server."""
FLOOR = 0.35


@dataclass(frozen=True, slots=True)
class Case:
    name: str
    size: int
    """Events in a post."""
    shape: Shape
    floor: float | None = None


CASES = (
    Case("bulk of 100", 100, Shape(), FLOOR),
    Case("bulk of 1,000", 1_000, Shape(), FLOOR),
    Case("bulk of 1,000 with nulls", 1_000, Shape(nulls=True)),
    Case("bulk of 1,000 with drift", 1_000, Shape(drift=True)),
    Case("bulk of 1,000 with tokens", 1_000, Shape(tokens="t")),
)


def run(report: Report, events: int) -> None:
    per_round = max(1_000, min(PER_ROUND_MAX, events // ROUNDS) // 1_000 * 1_000)
    report.title(f"Bulk, durable, until all is in Parquet ({ROUNDS} × {per_round:,} events each)")
    # A round is a flush: the server flushes by size alone.
    settings = {"ACUMEN_FLUSH_EVENTS": str(per_round), "ACUMEN_FLUSH_SECONDS": "3600"}
    settings["ACUMEN_FLUSH_BYTES"] = str(4 << 30)
    with TemporaryDirectory(prefix="acumen-bench-") as name, Acumen(settings) as server:
        for case in CASES:
            # All events of the last one are in files, and merged.
            server.begin_project(case.name)
            _run_case(report, server, Path(name), case, per_round)


def _run_case(report: Report, server: Acumen, folder: Path, case: Case, per_round: int) -> None:
    generator = Generator()
    shape = replace(
        case.shape, step_us=STEP_US, start_us=time.time_ns() // 1000 - (ROUNDS + 1) * per_round * STEP_US
    )
    ours, theirs, merging = [], [], 0.0
    path = folder / "requests"
    for turn in range(ROUNDS + 1):
        report.progress(f"{case.name}, round {turn} of {ROUNDS}")
        lines = list(generator.lines(shape, turn * per_round, per_round))
        bodies = [bulk_body(lines[at : at + case.size]) for at in range(0, per_round, case.size)]
        write_requests(path, (server.post_request(body, bulk=True) for body in bodies))
        del lines
        if turn:
            theirs.append(parse_and_write(bodies, folder / "written"))
        del bodies
        before = server.cpu_seconds()
        send(server.port, CONNECTIONS, path)
        server.await_rows((turn + 1) * per_round, merged=False)
        # The first round makes the collection and its lanes, and is not counted.
        stored = server.cpu_seconds()
        if turn:
            ours.append(stored - before)
        server.await_rows((turn + 1) * per_round)
        merging += server.cpu_seconds() - stored
    _check(report, server, case.name, shape, per_round)
    mine, other = median(ours), median(theirs)
    merged = sum(ours) + merging * ROUNDS / (ROUNDS + 1)
    detail = (
        f"{per_round / mine:,.0f} of {per_round / other:,.0f} events a processor-second"
        f" ({sum(theirs) / merged:.2f} with merges)"
    )
    ratio = median(their / our for our, their in zip(ours, theirs, strict=True))
    report.figure(case.name, ratio, detail, floor=case.floor)


def _check(report: Report, server: Acumen, name: str, shape: Shape, per_round: int) -> None:
    """Every event stands there once, and the sum over one of its properties is that of what was sent."""
    total = (ROUNDS + 1) * per_round
    expected = 0
    for line in Generator().lines(shape, 0, total):
        expected += orjson.loads(line)["page"]["load_ms"]
    connection = server.connect()
    report.equal(f"{name}, events", server.ask("count", connection), total)
    report.equal(
        f"{name}, distinct orders",
        server.ask("count_unique", connection, target_property="order.id"),
        total,
    )
    report.equal(f"{name}, sum", server.ask("sum", connection, target_property="page.load_ms"), expected)
    connection.close()


def parse_and_write(bodies: list[bytes], path: Path) -> float:
    """Processor seconds of parsing and of writing these bodies."""
    # What else this process holds is not the parser's to look through.
    gc.collect()
    gc.freeze()
    started = time.process_time()
    with path.open("wb", buffering=0) as file:
        for body in bodies:
            orjson.loads(body)
            file.write(body)
    spent = time.process_time() - started
    gc.unfreeze()
    path.unlink()
    return spent
