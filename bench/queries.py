"""Questions over HTTP against hand-written SQL on the same live files with the same DuckDB settings.

Rounds alternate; each figure is the median of our times, less 2 ms, over the median of theirs.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime, timedelta
from http.client import HTTPConnection, RemoteDisconnected
from statistics import median
from typing import Any

import duckdb
import orjson

from bench.events import START_US, Generator, Shape
from bench.report import Report, Wrong
from bench.serving import Acumen, Process
from bench.store import Loaded, load
from service.settings import load as load_settings

ROUNDS_MIN = 7
ROUNDS_MAX = 41
SECONDS = 6.0
"""Each question is asked until this has passed, or often enough."""
ALLOWANCE_SECONDS = 0.002
LIMIT = 1.25
ATTEMPTS_MAX = 5
TINY = 200
NEWEST = 100

Rows = list[tuple[Any, ...]]


@dataclass(frozen=True, slots=True)
class Question:
    """One question in both languages, and what makes their answers comparable."""

    name: str
    analysis: str
    params: dict[str, Any]
    sql: str
    ours: Callable[[Any], Any]
    theirs: Callable[[Rows], Any]


def scalar(rows: Rows) -> Any:
    return rows[0][0]


def same(result: Any) -> Any:
    return result


def rounded(value: float) -> float:
    """Sums of doubles depend on the order of adding."""
    return float(f"{value:.9g}")


def iso(moment: datetime) -> str:
    return moment.strftime("%Y-%m-%dT%H:%M:%S.%fZ")


def questions(events: int, shape: Shape) -> list[Question]:
    return [*timed(events, shape), *grouped(), funnel()]


def timed(events: int, shape: Shape) -> list[Question]:
    """The questions whose text depends on the times of the events."""
    start = datetime(1970, 1, 1) + timedelta(microseconds=START_US)
    end = start + timedelta(microseconds=(events + 10) * shape.step_us)
    third = start + (end - start) / 3
    midnight = end.replace(hour=0, minute=0, second=0, microsecond=0) + timedelta(days=1)
    days = {"start": iso(start), "end": iso(midnight)}
    within = f"\"keen.timestamp\" >= TIMESTAMP '{third}' AND \"keen.timestamp\" < TIMESTAMP '{end}'"
    newest = end - (end - start) * min(1.0, 4 * NEWEST / events)
    return [
        Question(
            "count in a timeframe",
            "count",
            {"timeframe": {"start": iso(third), "end": iso(end)}},
            f"SELECT count(*) FROM events WHERE {within}",
            same,
            scalar,
        ),
        Question(
            "daily sum",
            "sum",
            {"target_property": "order.total", "interval": "daily", "timeframe": days},
            'SELECT "keen.timestamp"::DATE AS day, sum("order.total") FROM events GROUP BY day ORDER BY day',
            lambda result: [rounded(one["value"]) for one in result if one["value"] is not None],
            lambda rows: [rounded(total) for _, total in rows],
        ),
        Question(
            f"newest {NEWEST}",
            "extraction",
            {"latest": NEWEST},
            # Instants are left out: as Python values they need a package of their own.
            f'SELECT * EXCLUDE ("keen.timestamp", "keen.created_at") FROM events '
            f"WHERE \"keen.timestamp\" >= TIMESTAMP '{newest}' "
            f'ORDER BY "keen.timestamp" DESC LIMIT {NEWEST}',
            lambda result: sorted(one["order"]["id"] for one in result),
            lambda rows: sorted(value for row in rows for value in row if str(value).startswith("order-")),
        ),
    ]


def grouped() -> list[Question]:
    return [
        Question(
            "count by one property",
            "count",
            {"group_by": "user.country"},
            'SELECT "user.country", count(*) FROM events GROUP BY ALL',
            lambda result: {one["user.country"]: one["result"] for one in result},
            dict,
        ),
        Question(
            "count by two properties",
            "count",
            {"group_by": ["user.country", "page.section"]},
            'SELECT "user.country", "page.section", count(*) FROM events GROUP BY ALL',
            lambda result: {(one["user.country"], one["page.section"]): one["result"] for one in result},
            lambda rows: {(country, section): count for country, section, count in rows},
        ),
        Question(
            "count_unique",
            "count_unique",
            {"target_property": "user.id"},
            'SELECT count(DISTINCT "user.id") FROM events',
            same,
            scalar,
        ),
        Question(
            "median",
            "median",
            {"target_property": "order.total"},
            'SELECT quantile_disc("order.total", 0.5) FROM events',
            same,
            scalar,
        ),
        Question(
            "count where a text contains",
            "count",
            {"filters": [_filter("page.url", "contains", "/item-77")]},
            "SELECT count(*) FROM events WHERE contains(\"page.url\", '/item-77')",
            same,
            scalar,
        ),
    ]


def funnel() -> Question:
    """Users who saw a product, had a cart, and checked out from a phone."""
    steps = [
        {"actor_property": "user.id", "event_collection": "purchases", "filters": filters}
        for filters in (
            [_filter("page.section", "eq", "product")],
            [_filter("page.section", "eq", "cart")],
            [_filter("page.section", "eq", "checkout"), _filter("device.family", "eq", "phone")],
        )
    ]
    sql = """
        WITH marked AS (
            SELECT "user.id" AS actor,
                   CASE "page.section" WHEN 'product' THEN 1 WHEN 'cart' THEN 2 ELSE 4 END AS mark
            FROM events
            WHERE "page.section" IN ('product', 'cart')
               OR ("page.section" = 'checkout' AND "device.family" = 'phone')
        ), masks AS (SELECT actor, bit_or(mark) AS mask FROM marked WHERE actor IS NOT NULL GROUP BY actor)
        SELECT count(*) FILTER (mask & 1 = 1), count(*) FILTER (mask & 3 = 3), count(*) FILTER (mask = 7)
        FROM masks"""
    return Question("funnel of 3 steps", "funnel", {"steps": steps}, sql, same, lambda rows: list(rows[0]))


def _filter(name: str, operator: str, value: str) -> dict[str, str]:
    return {"property_name": name, "operator": operator, "property_value": value}


class Duck:
    """DuckDB on the live files, set as the server's engine is."""

    def __init__(self, server: Acumen) -> None:
        settings = load_settings()
        self._connection = duckdb.connect(":memory:")
        for name, value in (
            ("memory_limit", f"'{settings.worker_memory_bytes}B'"),
            ("threads", str(settings.worker_threads)),
            ("parquet_metadata_cache", "true"),
            ("preserve_insertion_order", "false"),
            ("TimeZone", "'UTC'"),
        ):
            self._connection.execute(f"SET {name} = {value}")
        files = server.files()
        self.paths = [str(server.data.resolve() / file.path) for file in files]
        # A file of few events may lack a column that others have; DuckDB then refuses to read them all alike.
        alike = len({frozenset(file.columns) for file in files}) == 1
        self._every_column = "" if alike else ", union_by_name = true"
        listed = ", ".join(f"'{path}'" for path in self.paths)
        self._files = f"[{listed}], hive_partitioning = false"

    def run(self, sql: str) -> Rows:
        by_name = self._every_column if "SELECT *" in sql else ""
        scan = f"FROM read_parquet({self._files}{by_name})"
        return self._connection.execute(sql.replace("FROM events", scan)).fetchall()


def run(report: Report, loaded: Loaded) -> None:
    server = loaded.server
    files = server.files()
    report.title(f"Questions over HTTP, {loaded.events:,} events in {len(files)} files")
    connection = server.connect()
    for question in questions(loaded.events, loaded.shape):
        report.progress(question.name)
        for _ in range(ATTEMPTS_MAX):
            if measured(report, question, server, connection):
                break
        else:
            raise Wrong(f"Files were merged whenever '{question.name}' was measured.")
    connection.close()


def measured(
    report: Report, question: Question, server: Acumen, connection: HTTPConnection, limit: float = LIMIT
) -> bool:
    """False where the keeper merged files meanwhile, so that the two did not read the same ones all along."""
    duck = Duck(server)
    result = question.ours(server.ask(question.analysis, connection, **question.params))
    report.equal(question.name, result, question.theirs(duck.run(question.sql)))

    def ask() -> object:
        try:
            return server.ask(question.analysis, connection, **question.params)
        except (BrokenPipeError, RemoteDisconnected):
            # The server closed it while the other side was long at work.
            connection.close()
            return server.ask(question.analysis, connection, **question.params)

    ours, theirs = alternate(ask, lambda: duck.run(question.sql))
    if server.paths() != duck.paths:
        return False
    ratio = max(0.0, ours - ALLOWANCE_SECONDS) / theirs
    report.figure(question.name, ratio, f"{ours * 1e3:.1f} against {theirs * 1e3:.1f} ms", limit=limit)
    return True


def alternate(ours: Callable[[], object], theirs: Callable[[], object]) -> tuple[float, float]:
    """Median seconds of each, taken by turns."""
    found: tuple[list[float], list[float]] = ([], [])
    began = time.perf_counter()
    while len(found[0]) < ROUNDS_MIN or (
        len(found[0]) < ROUNDS_MAX and time.perf_counter() - began < SECONDS
    ):
        order = (0, 1) if len(found[0]) % 2 else (1, 0)
        for side in order:
            started = time.perf_counter()
            (ours, theirs)[side]()
            found[side].append(time.perf_counter() - started)
    return median(found[0]), median(found[1])


def run_tiny(report: Report) -> None:
    """What a question costs that has nothing to read, beside SELECT 1 in the same HTTP stack."""
    report.title("The fixed cost of a question")
    settings = {"ACUMEN_FLUSH_EVENTS": str(TINY), "ACUMEN_FLUSH_SECONDS": "1"}
    with Acumen(settings) as server, Process(["bench.bare", "--select-one"]) as bare:
        load(report, server, Shape(), TINY)
        connection = server.connect()
        total = sum(orjson.loads(line)["page"]["load_ms"] for line in Generator().lines(Shape(), 0, TINY))
        params = {"target_property": "page.load_ms"}
        report.equal("sum of a tiny collection", server.ask("sum", connection, **params), total)
        other = HTTPConnection("127.0.0.1", bare.port, timeout=60)

        def one() -> bytes:
            other.request("GET", "/one")
            return other.getresponse().read()

        report.equal("SELECT 1", one(), b'{"result":1}')
        ours, theirs = alternate(lambda: server.ask("sum", connection, **params), one)
        detail = f"{ours * 1e3:.2f} ms against {theirs * 1e3:.2f} ms of SELECT 1"
        report.figure("a sum of a tiny collection", ours / theirs, detail)
        connection.close()
        other.close()
