"""Prometheus metrics, summed over all processes of the server.

Every process writes its own row of one mapped file in the run folder; the process that answers a scrape adds
up the rows. All series are fixed in advance, so that counting is one addition in memory. A restarted process
continues in the row of the one that it replaces, so counters never decrease while the server runs.
"""

from __future__ import annotations

import bisect
import fcntl
import mmap
import os
import struct
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from itertools import product
from pathlib import Path

from query.language.parameter_table import ANALYSIS_NAMES
from service.machine import allocate

SECONDS = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0, 300.0)
PROFILE = "profile"
COHORT = "cohort"
SQL = "sql"
IDENTITY = "identities"
DIFF = "diff"
QUERY_KINDS = (*ANALYSIS_NAMES, PROFILE, COHORT, SQL, IDENTITY, DIFF)
"""What takes a query's slot: analyses, profiles of collections, SQL, and comparisons of two versions."""
ROUTES = ("record", "queries", "schema", "tail", "discovery", "system", "other")
PAUSES = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0)
ERROR_STATUSES = tuple(
    map(str, (400, 401, 403, 404, 405, 408, 409, 410, 413, 414, 415, 416, 422, 429, 431, 500, 503, 504))
)
STATUSES = ("1xx", "2xx", "3xx", "4xx", "5xx")
TASKS = (
    "saved",
    "datasets",
    "exports",
    "imports",
    "mails",
    "webhooks",
    "alerts",
    "notices",
    "reports",
    "streaming",
    "purge",
    "scrub",
    "measures",
    "runs",
    "pipelines",
    "deadlines",
    "sources",
)
"""Names of the runner's background tasks."""

ADDONS = ("ip_to_geo", "ua_parser", "url_parser", "referrer_parser", "date_time_parser")
ADDON_OUTCOMES = ("enriched", "missing", "unusable", "unknown", "dropped")
"""Outcomes of an add-on of an event, in this order: it added data; its input was missing; its input was of
another kind than it reads; it knows nothing about its input; its data did not fit the limits of the
collection or the event."""


@dataclass(frozen=True, slots=True)
class Family:
    """One metric family, with one series for each combination of its label values."""

    name: str
    kind: str
    help: str
    labels: Mapping[str, tuple[str, ...]]
    buckets: tuple[float, ...] = ()
    same: bool = False
    """All processes measure the same thing: the greatest value is reported instead of the sum."""

    @property
    def width(self) -> int:
        """Cells per series: one; for a histogram one per bucket, one for +Inf and one for the sum."""
        return len(self.buckets) + 2 if self.buckets else 1

    def series(self) -> Iterator[tuple[str, ...]]:
        yield from product(*self.labels.values())


FAMILIES = (
    Family("acumen_requests_total", "counter", "Requests answered.", {"route": ROUTES, "status": STATUSES}),
    Family("acumen_errors_total", "counter", "Requests answered with an error.", {"status": ERROR_STATUSES}),
    Family("acumen_request_seconds", "histogram", "Time to answer a request.", {"route": ROUTES}, SECONDS),
    Family(
        "acumen_events_total",
        "counter",
        "Events by outcome.",
        {"outcome": ("accepted", "refused", "duplicate")},
    ),
    Family(
        "acumen_events_imported_total",
        "counter",
        "Events that 'acumen import' without --url put into the data folder while the server ran.",
        {"outcome": ("accepted", "refused", "duplicate")},
    ),
    Family(
        "acumen_addons_total",
        "counter",
        "Add-ons of events by outcome.",
        {"addon": ADDONS, "outcome": ADDON_OUTCOMES},
    ),
    Family(
        "acumen_query_seconds",
        "histogram",
        "Time to run a query.",
        {"analysis": QUERY_KINDS},
        SECONDS,
    ),
    Family(
        "acumen_queries_total",
        "counter",
        "Queries by how they ended.",
        {"outcome": ("answered", "refused", "timeout", "cancelled", "overloaded", "failed")},
    ),
    Family("acumen_answers_repeated_total", "counter", "Answers to queries that were kept and repeated.", {}),
    Family("acumen_partials_reused_total", "counter", "Partial answers of files that were reused.", {}),
    Family("acumen_partials_kept_total", "counter", "Partial answers of files that were kept.", {}),
    Family("acumen_partials_bytes", "gauge", "Bytes of partial answers on disk.", {}),
    Family("acumen_queries_running", "gauge", "Queries that run now.", {}),
    Family("acumen_queries_waiting", "gauge", "Queries that wait for a slot.", {}),
    Family("acumen_log_queued_bytes", "gauge", "Bytes of events waiting to be synced.", {}),
    Family("acumen_body_bytes", "gauge", "Body bytes held by unanswered requests.", {}),
    Family("acumen_connections", "gauge", "Open connections.", {}),
    Family("acumen_tails", "gauge", "Open live tails.", {}),
    Family(
        "acumen_tail_events_total",
        "counter",
        "Events shown to live tails, once for all that show the same, and those that single ones left out.",
        {"outcome": ("shown", "left_out")},
    ),
    Family("acumen_unsent_bytes", "gauge", "Bytes of answers that clients have not read yet.", {}),
    Family(
        "acumen_connections_closed_total",
        "counter",
        "Connections closed early: refused at a limit, idle when the table was full, or read too slowly.",
        {"reason": ("limit", "idle", "slow_reader")},
    ),
    Family("acumen_disk_free_bytes", "gauge", "Free bytes on the disk of the data folder.", {}, same=True),
    Family(
        "acumen_events_refused", "gauge", "1 while all events are refused for want of room.", {}, same=True
    ),
    Family("acumen_log_bytes", "gauge", "Bytes of the logs' files.", {}),
    Family(
        "acumen_log_unflushed_bytes",
        "gauge",
        "Bytes in the logs that are in no Parquet file yet.",
        {},
        same=True,
    ),
    Family("acumen_events_unflushed", "gauge", "Events that are in no Parquet file yet.", {}),
    Family("acumen_events_stored", "gauge", "Events in Parquet files.", {}),
    Family("acumen_stored_bytes", "gauge", "Bytes of Parquet files.", {}),
    Family("acumen_superseded_bytes", "gauge", "Bytes of files that are kept for earlier versions.", {}),
    Family("acumen_collections", "gauge", "Event collections with Parquet files.", {}),
    Family("acumen_projects", "gauge", "Projects.", {}),
    Family("acumen_loop_pause_seconds", "histogram", "Pauses of the workers' event loops.", {}, PAUSES),
    Family(
        "acumen_loop_longest_pause_seconds",
        "gauge",
        "The longest pause of an event loop in the last minute.",
        {},
        same=True,
    ),
    Family(
        "acumen_quota_refusals_total",
        "counter",
        "Requests refused because a quota is used up.",
        {"quota": ("events", "bytes", "query_seconds", "stored_bytes")},
    ),
    Family("acumen_logs_damaged", "gauge", "Logs that cannot be read to their end.", {}, same=True),
    Family("acumen_clock_jumped", "gauge", "1 while the clock has jumped and is not trusted.", {}, same=True),
    Family("acumen_files_damaged", "gauge", "Stored files that are damaged and set aside.", {}, same=True),
    Family("acumen_streamed_events_total", "counter", "Events streamed out.", {}),
    Family(
        "acumen_starts_total",
        "counter",
        "Process starts.",
        {"process": ("worker", "keeper", "runner", "run_worker")},
    ),
    Family("acumen_runs", "gauge", "Runs in the queue by state.", {"state": ("waiting", "running", "dead")}),
    Family(
        "acumen_runs_processor_seconds_today", "gauge", "Processor time that runs used on this UTC day.", {}
    ),
    Family("acumen_runs_bytes_today", "gauge", "Bytes that runs read and wrote on this UTC day.", {}),
    Family("acumen_run_workers", "gauge", "Processes that the server runs for the queue of runs.", {}),
    Family("acumen_task_failures_total", "counter", "Failures of background tasks.", {"task": TASKS}),
)


def _place() -> tuple[dict[tuple[str, ...], int], int]:
    """Return (family name, label values…) → first cell, and the total number of cells."""
    places: dict[tuple[str, ...], int] = {}
    size = 0
    for family in FAMILIES:
        for values in family.series():
            places[(family.name, *values)] = size
            size += family.width
    return places, size


_PLACES, CELLS = _place()
_IS_SAME = {family.name: family.same for family in FAMILIES}
_BUCKETS = {family.name: family.buckets for family in FAMILIES}


class Counter:
    """This process's series of a counter or gauge."""

    __slots__ = ("_at", "_cells")

    def __init__(self, cells: memoryview[float], at: int) -> None:
        self._cells = cells
        self._at = at

    def add(self, amount: float = 1.0) -> None:
        self._cells[self._at] += amount

    def set(self, value: float) -> None:
        self._cells[self._at] = value


class Histogram:
    """This process's series of a histogram."""

    __slots__ = ("_at", "_buckets", "_cells")

    def __init__(self, cells: memoryview[float], at: int, buckets: tuple[float, ...]) -> None:
        self._cells = cells
        self._at = at
        self._buckets = buckets

    def observe(self, value: float) -> None:
        self._cells[self._at + bisect.bisect_left(self._buckets, value)] += 1.0
        self._cells[self._at + len(self._buckets) + 1] += value


class Metrics:
    """The metrics of one process, in its ``row`` of the file at ``path``; with None in private memory."""

    def __init__(self, path: Path | None = None, row: int = 0, rows: int = 1) -> None:
        self._rows = max(rows, row + 1)
        size = self._rows * CELLS * 8
        if path is None:
            self._map = mmap.mmap(-1, size)
        else:
            path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
            file = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
            try:
                allocate(file, size)
                self._map = mmap.mmap(file, size)
            finally:
                os.close(file)
        self._all = memoryview(self._map).cast("d")
        self._own = self._all[row * CELLS : (row + 1) * CELLS]

    def counter(self, name: str, *labels: str) -> Counter:
        """The series with these label values, in the order of the family's labels.

        Raises KeyError for an unknown series.
        """
        return Counter(self._own, _PLACES[(name, *labels)])

    def histogram(self, name: str, *labels: str) -> Histogram:
        return Histogram(self._own, _PLACES[(name, *labels)], _BUCKETS[name])

    def clear_gauges(self) -> None:
        """Reset this process's gauges, which may still have the values of the process that it replaces."""
        for family in FAMILIES:
            if family.kind == "gauge":
                for values in family.series():
                    self._own[_PLACES[(family.name, *values)]] = 0.0

    def value(self, name: str, *labels: str) -> float:
        """The value of a counter or gauge, of all processes together. Raises KeyError for an unknown one."""
        merge = max if _IS_SAME[name] else sum
        return float(merge(self._all[_PLACES[(name, *labels)] :: CELLS]))

    def text(self) -> str:
        """All families in the Prometheus text format, version 0.0.4."""
        lines: list[str] = []
        for family in FAMILIES:
            merge = max if family.same else sum
            lines += [f"# HELP {family.name} {family.help}", f"# TYPE {family.name} {family.kind}"]
            for values in family.series():
                at = _PLACES[(family.name, *values)]
                cells = [merge(self._all[cell::CELLS]) for cell in range(at, at + family.width)]
                lines += _lines(family, values, cells)
        return "\n".join(lines) + "\n"


def count_import(path: Path, **outcomes: int) -> None:
    """Add imported events by outcome to the last row of the file at ``path``; a no-op without a server.

    Several imports may run at once in different processes, so the file is locked during the update.
    """
    try:
        with path.open("r+b") as file:
            fcntl.flock(file, fcntl.LOCK_EX)
            rows = os.fstat(file.fileno()).st_size // (CELLS * 8)
            if not rows:
                return
            with mmap.mmap(file.fileno(), rows * CELLS * 8) as mapped:
                for outcome, count in outcomes.items():
                    at = ((rows - 1) * CELLS + _PLACES[("acumen_events_imported_total", outcome)]) * 8
                    (before,) = struct.unpack_from("d", mapped, at)
                    struct.pack_into("d", mapped, at, before + count)
    except FileNotFoundError:
        return


def _lines(family: Family, values: tuple[str, ...], cells: list[float]) -> Iterator[str]:
    labels = [f'{name}="{value}"' for name, value in zip(family.labels, values, strict=True)]
    if not family.buckets:
        yield f"{family.name}{_braced(labels)} {cells[0]!r}"
        return
    count = 0.0
    for edge, cell in zip((*map(str, family.buckets), "+Inf"), cells, strict=False):
        count += cell
        bucket = _braced([*labels, f'le="{edge}"'])
        yield f"{family.name}_bucket{bucket} {count!r}"
    yield f"{family.name}_sum{_braced(labels)} {cells[-1]!r}"
    yield f"{family.name}_count{_braced(labels)} {count!r}"


def _braced(labels: list[str]) -> str:
    return "{" + ",".join(labels) + "}" if labels else ""
