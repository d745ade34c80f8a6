"""Two checkouts side by side: ``python -m bench.versus --other PATH [PART ...] [--events N]``.

``PATH`` is another checkout with its own environment (``make setup``). Both serve the same events, and are
asked and written to by turns; each figure is the median of the paired ratios of speed, this one's to the
other's, with the middle half of them beside it. There is no figure where answers differ.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from http.client import HTTPConnection
from pathlib import Path
from statistics import median, quantiles
from tempfile import TemporaryDirectory
from typing import IO, Any, Self

import orjson

from bench import accounting, cached, datasets
from bench.events import START_US, Generator, Shape, users_of
from bench.load import send, write_requests
from bench.memory import MIB
from bench.queries import iso, questions, rounded
from bench.report import Report, Wrong
from bench.serving import COLLECTION, bulk_body, post
from bench.store import DAYS

PARTS = ("questions", "tiny", "posts", "bulk", "cached", "memory")
EVENTS = 2_000_000
FLUSH_EVENTS = 250_000
SPEED_MIN = 0.97
IDLE_MAX = 0.6
"""Memory of all processes on a fresh folder, as a share of the other's."""
ROUNDS_MIN = 15
ROUNDS_MAX = 301
SECONDS = 12.0
WAIT_SECONDS = 180.0
POSTS = 12_000
POST_ROUNDS = 9
BULK_EVENTS = 100_000
BULK_ROUNDS = 7
_SIDE = Path(__file__).with_name("side.py")


class Side:
    """A server of one checkout."""

    def __init__(self, checkout: Path) -> None:
        self.checkout = checkout

    def __enter__(self) -> Self:
        command = [str(self.checkout / ".venv/bin/python"), "-P", str(_SIDE)]
        self._process = subprocess.Popen(
            command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, cwd=self.checkout
        )
        return self

    def __exit__(self, *_: object) -> None:
        self._pipe(self._process.stdin).close()
        self._process.wait(120)

    def start(self, settings: dict[str, str]) -> None:
        """A new server, in place of the last one."""
        found = self._asked(json.dumps(settings))
        self.port: int = found["port"]
        self.project_id: str = found["project_id"]
        self.write_key: str = found["write_key"]
        self.read_key: str = found["read_key"]
        self.master_key: str = found["master_key"]
        self.processes: dict[str, int] = found["processes"]
        self.connection = HTTPConnection("127.0.0.1", self.port, timeout=600)

    def _asked(self, line: str) -> dict[str, Any]:
        sent = self._pipe(self._process.stdin)
        sent.write(line + "\n")
        sent.flush()
        answer = self._pipe(self._process.stdout).readline()
        if not answer:
            raise Wrong(f"The server of {self.checkout} did not start.")
        found: dict[str, Any] = json.loads(answer)
        return found

    @staticmethod
    def _pipe(pipe: IO[str] | None) -> IO[str]:
        assert pipe is not None
        return pipe

    def await_rows(self, rows: int, *, merged: bool) -> list[int]:
        """The rows of each file, once there are as many in all, and none are to be merged where so wanted."""
        deadline = time.monotonic() + WAIT_SECONDS
        while True:
            found = self._asked("")
            if sum(found["rows"]) == rows and not (merged and found["merging"]):
                return list(found["rows"])
            if time.monotonic() > deadline:
                raise Wrong(f"{rows} events were sent to {self.checkout}, and {found} are stored.")
            time.sleep(0.05)

    def cpu_seconds(self) -> float:
        return accounting.cpu_seconds(self.processes.values())

    def worker_seconds(self) -> float:
        """Processor time of the worker."""
        return accounting.thread_seconds(self.processes["worker-0"])

    def request(self, lines: list[bytes], *, bulk: bool, collection: str = COLLECTION) -> bytes:
        path = f"/3.0/projects/{self.project_id}/events" + ("" if bulk else f"/{collection}")
        body = bulk_body(lines, collection) if bulk else lines[0]
        return post(path, body, self.write_key)

    def ask(self, analysis: str, params: dict[str, Any]) -> Any:
        body = json.dumps({"event_collection": COLLECTION, "max_age": 0, **params}).encode()
        path = f"/3.0/projects/{self.project_id}/queries/{analysis}"
        self.connection.request("POST", path, body, {"Authorization": self.read_key})
        answer = self.connection.getresponse()
        text = answer.read()
        if answer.status != 200:
            raise Wrong(f"{analysis} was answered {answer.status}: {text[:500]!r}")
        return orjson.loads(text)["result"]


@dataclass(frozen=True, slots=True)
class Pair:
    """This checkout's server, and the other's."""

    here: Side
    other: Side
    report: Report
    folder: Path

    def __iter__(self) -> Iterator[Side]:
        return iter((self.here, self.other))

    def start(self, settings: dict[str, str] | None = None) -> None:
        for side in self:
            side.start(settings or {})

    def send(self, side: Side, requests: Iterator[bytes], connections: int = 4) -> float:
        path = self.folder / "requests"
        write_requests(path, requests)
        return send(side.port, connections, path)

    def figure(
        self, name: str, costs: Sequence[tuple[float, float]], unit: str, scale: float, more: str = ""
    ) -> None:
        """``costs``: of this one and the other one, in pairs."""
        ratios = [other / here for here, other in costs]
        low, _, high = quantiles(ratios, n=4)
        here, other = (median(pair[side] for pair in costs) * scale for side in (0, 1))
        detail = f"{low:.3f} … {high:.3f} of {len(costs):3}; {here:.2f} against {other:.2f} {unit}{more}"
        self.report.figure(name, round(self._ratio(costs), 3), detail, floor=SPEED_MIN)

    def alternate(self, name: str, attempt: Callable[[Side], object]) -> None:
        costs: list[tuple[float, float]] = []
        used: list[tuple[float, float]] = []
        began = time.perf_counter()
        while len(costs) < ROUNDS_MIN or (len(costs) < ROUNDS_MAX and time.perf_counter() - began < SECONDS):
            self.report.progress(f"{name}, {len(costs)}")
            spent, cpu = {}, {}
            for side in (self.here, self.other) if len(costs) % 2 else (self.other, self.here):
                before, started = side.worker_seconds(), time.perf_counter()
                attempt(side)
                spent[side] = time.perf_counter() - started
                cpu[side] = side.worker_seconds() - before
            costs.append((spent[self.here], spent[self.other]))
            used.append((cpu[self.here], cpu[self.other]))
        self.figure(name, costs, "ms", 1e3, f"; {self._ratio(used):.3f} in processor time")

    @staticmethod
    def _ratio(costs: Sequence[tuple[float, float]]) -> float:
        return median(other / here for here, other in costs if here)

    def compare(self, name: str, analysis: str, params: dict[str, Any]) -> None:
        found = [_comparable(side.ask(analysis, params)) for side in self]
        self.report.equal(name, *found)
        self.alternate(name, lambda side: side.ask(analysis, params))


def _comparable(result: Any) -> Any:
    """A result without what differs in two servers of the same events, or by the order of adding."""
    if isinstance(result, float):
        return rounded(result)
    if isinstance(result, list):
        return [_comparable(one) for one in result]
    if isinstance(result, dict):
        return {name: _comparable(one) for name, one in result.items() if name not in ("id", "created_at")}
    return result


def further(shape: Shape, events: int) -> dict[str, tuple[str, dict[str, Any]]]:
    """Questions beside those of ``bench.queries``."""
    start = datetime(1970, 1, 1) + timedelta(microseconds=START_US)
    end = start + timedelta(microseconds=events * shape.step_us) + timedelta(days=1)
    whole = {"start": iso(start), "end": iso(end)}
    half = {"start": iso(start + (end - start) / 4), "end": iso(end - (end - start) / 4)}
    later = {"property_name": "keen.timestamp", "operator": "gt", "property_value": half["start"]}
    plan = {"property_name": "user.plan", "operator": "eq", "property_value": "pro"}
    number = {"target_property": "page.load_ms"}
    several = {
        "count": {"analysis_type": "count"},
        "mean": {"analysis_type": "average", **number},
        "most": {"analysis_type": "maximum", **number},
    }
    return {
        "count": ("count", {}),
        "daily count over whole files": ("count", {"timeframe": whole, "interval": "daily"}),
        "daily count in Berlin": (
            "count",
            {"timeframe": whole, "interval": "daily", "timezone": "Europe/Berlin"},
        ),
        "hourly count by country": (
            "count",
            {"timeframe": half, "interval": "hourly", "group_by": "user.country"},
        ),
        "monthly users": (
            "count_unique",
            {"timeframe": half, "interval": "monthly", "target_property": "user.id"},
        ),
        "filter on keen.timestamp": ("count", {"filters": [later]}),
        "newest keen.timestamp": ("maximum", {"target_property": "keen.timestamp"}),
        "sum of integers": ("sum", number),
        "sum of integers, filtered": ("sum", {**number, "filters": [plan]}),
        "average by plan": ("average", {**number, "group_by": "user.plan"}),
        "sum of decimals": ("sum", {"target_property": "order.total"}),
        "least number": ("minimum", {"target_property": "order.total"}),
        "percentile": ("percentile", {**number, "percentile": 90}),
        "distinct texts": ("select_unique", {"target_property": "user.city"}),
        "three analyses at once": ("multi_analysis", {"analyses": several, "timeframe": half}),
        "drifting types": ("count", {"group_by": "price"}),
        "extraction of two properties": (
            "extraction",
            {"latest": 5_000, "property_names": ["user.id", "keen.timestamp"], "timeframe": half},
        ),
    }


def run_questions(pair: Pair, events: int) -> None:
    step_us = max(1, DAYS * 86_400_000_000 // events)
    shape = Shape(drift=True, step_us=step_us, users=users_of(events))
    per_flush = min(FLUSH_EVENTS, events)
    pair.start(
        {
            "ACUMEN_FLUSH_EVENTS": str(per_flush),
            "ACUMEN_FLUSH_SECONDS": "3600",
            "ACUMEN_FLUSH_BYTES": str(4 << 30),
        }
    )
    files = _load(pair, shape, events, per_flush)
    pair.report.title(f"Questions, {events:,} events in {len(files[0])} files, {len(files[1])} of the other")
    for question in questions(events, shape):
        pair.compare(question.name, question.analysis, question.params)
    for name, (analysis, params) in further(shape, events).items():
        pair.compare(name, analysis, params)


def _load(pair: Pair, shape: Shape, events: int, per_flush: int) -> list[list[int]]:
    """Both hold the same events, flushed at the same ones. The rows of their files."""
    generator = Generator()
    for first in range(0, events, per_flush):
        pair.report.progress(f"loading {events:,} events: {first:,}")
        lines = list(generator.lines(shape, first, min(per_flush, events - first)))
        for side in pair:
            parts = (lines[at : at + 2_500] for at in range(0, len(lines), 2_500))
            pair.send(side, (side.request(part, bulk=True) for part in parts))
        for side in pair:
            side.await_rows(first + len(lines), merged=False)
    return [side.await_rows(events, merged=True) for side in pair]


def run_tiny(pair: Pair) -> None:
    """Questions with little to read: of a file, of what is not in one yet, and with a timeframe."""
    pair.start({"ACUMEN_FLUSH_EVENTS": "200", "ACUMEN_FLUSH_SECONDS": "1"})
    pair.report.title("The fixed cost of a question")
    lines = list(Generator().lines(Shape(), 0, 400))
    for side in pair:
        pair.send(side, iter([side.request(lines[:200], bulk=True)]))
        side.await_rows(200, merged=True)
    timeframe = {"start": "2025-12-01T00:00:00Z", "end": "2026-03-01T00:00:00Z"}
    number = {"target_property": "page.load_ms"}
    pair.compare("sum of a tiny collection", "sum", number)
    pair.compare("the same in a timeframe", "sum", {**number, "timeframe": timeframe})
    pair.start({"ACUMEN_FLUSH_SECONDS": "3600"})
    for side in pair:
        stamped = [line[:-1] + b',"timestamp":"2026-01-01"}' for line in lines]
        pair.send(side, iter([side.request(stamped, bulk=True)]))
    pair.compare("sum of what is in no file", "sum", number)
    pair.compare("with a property 'timestamp'", "sum", {**number, "timeframe": timeframe})
    pair.compare("daily", "count", {"timeframe": timeframe, "interval": "daily", "group_by": "user.plan"})


def run_posts(pair: Pair) -> None:
    pair.start()
    pair.report.title(f"Single events, 64 connections ({POST_ROUNDS} × {POSTS:,} posts)")
    lines = list(Generator().lines(Shape(), 0, POSTS))
    for side in pair:
        pair.send(side, iter([side.request(lines[:100], bulk=True)]))
    costs, times = [], []
    for turn in range(POST_ROUNDS + 1):
        pair.report.progress(f"posts, round {turn}")
        spent, took = {}, {}
        for side in (pair.here, pair.other) if turn % 2 else (pair.other, pair.here):
            before = side.cpu_seconds()
            took[side] = pair.send(side, (side.request([line], bulk=False) for line in lines), 64) / POSTS
            spent[side] = (side.cpu_seconds() - before) / POSTS
        if turn:
            costs.append((spent[pair.here], spent[pair.other]))
            times.append((took[pair.here], took[pair.other]))
    pair.report.equal("events after all posts", *(side.ask("count", {}) for side in pair))
    pair.figure("processor time of a post", costs, "µs", 1e6)
    pair.figure("time of a post", times, "µs", 1e6)


def run_bulk(pair: Pair) -> None:
    pair.report.title(f"Bulk until all is in Parquet ({BULK_ROUNDS} × {BULK_EVENTS:,} events)")
    for name, size, shape in (
        ("bulk of 100", 100, Shape()),
        ("bulk of 1,000", 1_000, Shape()),
        ("bulk of 1,000 with drift", 1_000, Shape(drift=True)),
        ("bulk of 1,000 with tokens", 1_000, Shape(tokens="t")),
    ):
        _run_bulk(
            pair, name, size, replace(shape, step_us=100, start_us=time.time_ns() // 1000 - 200_000_000)
        )


def _run_bulk(pair: Pair, name: str, size: int, shape: Shape) -> None:
    pair.start(
        {
            "ACUMEN_FLUSH_EVENTS": str(BULK_EVENTS),
            "ACUMEN_FLUSH_SECONDS": "3600",
            "ACUMEN_FLUSH_BYTES": str(4 << 30),
        }
    )
    generator, costs = Generator(), []
    for turn in range(BULK_ROUNDS + 1):
        pair.report.progress(f"{name}, round {turn}")
        lines = list(generator.lines(shape, turn * BULK_EVENTS, BULK_EVENTS))
        spent = {}
        for side in (pair.here, pair.other) if turn % 2 else (pair.other, pair.here):
            before = side.cpu_seconds()
            parts = (lines[at : at + size] for at in range(0, len(lines), size))
            pair.send(side, (side.request(part, bulk=True) for part in parts))
            side.await_rows((turn + 1) * BULK_EVENTS, merged=False)
            spent[side] = (side.cpu_seconds() - before) / BULK_EVENTS
            side.await_rows((turn + 1) * BULK_EVENTS, merged=True)
        if turn:
            costs.append((spent[pair.here], spent[pair.other]))
    number = {"target_property": "page.load_ms"}
    pair.report.equal(name, *(side.ask("sum", number) for side in pair))
    pair.figure(name, costs, "µs an event", 1e6)


def run_cached(pair: Pair) -> None:
    """Kept answers of saved queries and of a dataset."""
    pair.start()
    pair.report.title("Cached queries and a dataset")
    lines = list(Generator().lines(Shape(), 0, cached.EVENTS))
    bodies: dict[str, list[Any]] = {}
    for side in pair:
        parts = (lines[at : at + 5_000] for at in range(0, len(lines), 5_000))
        pair.send(side, (side.request(part, bulk=True) for part in parts), 1)
        root = f"/3.0/projects/{side.project_id}"
        for name, query in cached.SAVED.items():
            definition = json.dumps({"query": query, "refresh_rate": 172_800}).encode()
            path = f"{root}/queries/saved/{name}"
            cached.asked(side.connection, "PUT", path, definition, side.master_key)
        definition = json.dumps({"query": _DATASET, "index_by": "user.country"}).encode()
        path = f"{root}/datasets/daily"
        cached.asked(side.connection, "PUT", path, definition, side.master_key)
        while b'"status":"OK"' not in cached.asked(side.connection, "GET", path, None, side.read_key):
            time.sleep(0.05)
        for name, address in _KEPT.items():
            found = json.loads(cached.asked(side.connection, "GET", root + address, None, side.read_key))
            bodies.setdefault(name, []).append(_comparable(found["result"]))
    for name, found in bodies.items():
        pair.report.equal(name, *found)
        pair.alternate(name, lambda side, name=name: _ask_kept(side, _KEPT[name]))  # type: ignore[misc]


def _ask_kept(side: Side, address: str, times: int = 20) -> None:
    for _ in range(times):
        path = f"/3.0/projects/{side.project_id}{address}"
        cached.asked(side.connection, "GET", path, None, side.read_key)


_DATASET = {**datasets.QUERY, "event_collection": COLLECTION, "target_property": "page.load_ms"}
_DATASET["timeframe"] = {"start": "2026-01-01T00:00:00Z", "end": "2026-02-01T00:00:00Z"}
_KEPT = {
    "20 small cached answers": "/queries/saved/small/result",
    "20 large cached answers": "/queries/saved/large/result",
    "20 results of a dataset": "/datasets/daily/results?index_by=DE",
}


def run_memory(pair: Pair) -> None:
    pair.start({"ACUMEN_FLUSH_EVENTS": str(BULK_EVENTS), "ACUMEN_FLUSH_SECONDS": "3600"})
    pair.report.title("Memory at rest: of the other to ours")
    lines = list(Generator().lines(Shape(), 0, BULK_EVENTS))
    for moment in ("started", "after events"):
        if moment != "started":
            for side in pair:
                parts = (lines[at : at + 1_000] for at in range(0, len(lines), 1_000))
                pair.send(side, (side.request(part, bulk=True) for part in parts))
                side.await_rows(BULK_EVENTS, merged=True)
                side.ask("count", {"group_by": "user.country"})
        time.sleep(3.0)
        for name in pair.here.processes:
            here, other = (accounting.memory(side.processes[name]).anonymous / MIB for side in pair)
            pair.report.figure(f"{name}, {moment}", other / here, f"{here:.1f} against {other:.1f} MiB")
        here, other = (accounting.proportional(side.processes.values()) / MIB for side in pair)
        detail = f"{here:.1f} against {other:.1f} MiB, shared pages counted once"
        limit = IDLE_MAX if moment == "started" else None
        pair.report.figure(f"all of ours to theirs, {moment}", here / other, detail, limit=limit)


@contextmanager
def opened(other: Path, report: Report) -> Iterator[Pair]:
    here = Path(__file__).resolve().parent.parent
    with (
        TemporaryDirectory(prefix="acumen-bench-") as folder,
        Side(here) as ours,
        Side(other.resolve()) as theirs,
    ):
        yield Pair(ours, theirs, report, Path(folder))


def main() -> int:
    """0 where all is as it should be, 1 where a figure is not, 2 where there is none."""
    parser = argparse.ArgumentParser(prog="python -m bench.versus", description=__doc__)
    parser.add_argument("parts", nargs="*", metavar="PART", help=f"of {', '.join(PARTS)}; none: all")
    parser.add_argument("--other", type=Path, required=True, metavar="PATH", help="the other checkout")
    parser.add_argument("--events", type=int, default=EVENTS, metavar="N", help=f"to ask of ({EVENTS:,})")
    args = parser.parse_args()
    if unknown := set(args.parts) - set(PARTS):
        parser.error(f"there is no part {', '.join(sorted(unknown))}: choose from {', '.join(PARTS)}")
    report = Report()
    try:
        with opened(args.other, report) as pair:
            for part in args.parts or PARTS:
                if part == "questions":
                    run_questions(pair, args.events)
                else:
                    _RUNS[part](pair)
    except Wrong as error:
        print(f"\n{error}", file=sys.stderr)
        return 2
    if report.missed:
        print(f"Not as they should be: {', '.join(report.missed)}.")
    return 1 if report.missed else 0


_RUNS = {"tiny": run_tiny, "posts": run_posts, "bulk": run_bulk, "cached": run_cached, "memory": run_memory}

if __name__ == "__main__":
    sys.exit(main())
