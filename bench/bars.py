"""Keen's funnel against semi-joins in DuckDB, and exact aggregates against embedded ClickHouse.

All read the same live files with the same threads. ClickHouse is asked within its process and we over HTTP,
so that 2 ms are left out of ours. Rounds alternate; each figure is the median of the ratios of the rounds:
another process that takes the processors for a while slows both sides of a round.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from functools import partial
from math import ceil
from statistics import median
from typing import Any

from bench.behaviour import clickhouse, clickhouse_files, clickhouse_rows
from bench.queries import ALLOWANCE_SECONDS, Duck, funnel
from bench.report import Report
from bench.serving import Acumen
from bench.store import Loaded
from service.settings import load as load_settings

ROUNDS = 15
FUNNEL_LIMIT = 1.1
AGGREGATE_LIMIT = 1.0
PERCENTILES = (10, 50, 90)
TEXT = "/item-77"
Asked = Callable[[], tuple[Any, float]]
"""Asks once: the answer, and the seconds that it took."""

_SEMI_JOINS = """
    WITH first AS MATERIALIZED (
        SELECT DISTINCT "user.id" AS actor FROM events
        WHERE "page.section" = 'product' AND "user.id" IS NOT NULL
    ), second AS MATERIALIZED (
        SELECT DISTINCT "user.id" AS actor FROM events
        WHERE "page.section" = 'cart' AND "user.id" IN (SELECT actor FROM first)
    ), third AS (
        SELECT DISTINCT "user.id" AS actor FROM events
        WHERE "page.section" = 'checkout' AND "device.family" = 'phone'
            AND "user.id" IN (SELECT actor FROM second)
    )
    SELECT (SELECT count(*) FROM first), (SELECT count(*) FROM second), (SELECT count(*) FROM third)"""


def run(report: Report, loaded: Loaded) -> None:
    server = loaded.server
    report.title(f"Sets and exact aggregates, {loaded.events:,} events in {len(server.files())} files")
    duck, question = Duck(server), funnel()
    compare(
        report,
        "funnel of 3 steps, semi-joins",
        partial(_asked, server, question.analysis, question.params),
        partial(_rows, duck),
        FUNNEL_LIMIT,
    )
    with clickhouse(report) as peer:

        def theirs(expression: str, condition: str) -> tuple[Any, float]:
            text = f"SELECT {expression} FROM {clickhouse_files(duck.paths)} WHERE {condition}"
            answer = clickhouse_rows(peer, f"{text} SETTINGS max_threads = {load_settings().worker_threads}")
            return answer["rows"][0][0], answer["seconds"]

        for name, analysis, params, expression, condition in _aggregates(loaded.events):
            ours = partial(_asked, server, analysis, params)
            compare(report, name, ours, partial(theirs, expression, condition), AGGREGATE_LIMIT)


def _aggregates(events: int) -> list[tuple[str, str, dict[str, Any], str, str]]:
    """Name, analysis and parameters, and ClickHouse's expression and condition."""
    total, number = {"target_property": "order.total"}, {"target_property": "page.load_ms"}
    several = {
        str(percent): {"analysis_type": "percentile", "percentile": percent, **total}
        for percent in PERCENTILES
    }
    levels = ", ".join(_level(percent, events) for percent in PERCENTILES)
    names = ", ".join(f"'{percent}'" for percent in PERCENTILES)
    contains = {"property_name": "page.url", "operator": "contains", "property_value": TEXT}
    return [
        ("median of decimals", "median", total, "quantileExactLow(0.5)(`order.total`)", "1"),
        ("median of integers", "median", number, "toFloat64(quantileExactLow(0.5)(`page.load_ms`))", "1"),
        (
            "percentile of decimals",
            "percentile",
            {**total, "percentile": 90},
            f"quantileExact({_level(90, events)})(`order.total`)",
            "1",
        ),
        (
            f"{len(PERCENTILES)} percentiles of decimals",
            "multi_analysis",
            {"analyses": several},
            f"mapFromArrays([{names}], quantilesExact({levels})(`order.total`))",
            "1",
        ),
        (
            "count where a text contains",
            "count",
            {"filters": [contains]},
            "toUInt32(count())",
            f"position(`page.url`, '{TEXT}') > 0",
        ),
    ]


def _level(percent: int, events: int) -> str:
    """The level that gives the nearest rank in ClickHouse, which rounds the rank otherwise."""
    return repr((ceil(percent * events / 100) - 0.5) / events)


def compare(report: Report, name: str, ours: Asked, theirs: Asked, limit: float) -> None:
    """Compare the answers, and measure by turns; the first round opens files."""
    spent: list[tuple[float, float]] = []
    for turn in range(ROUNDS + 1):
        report.progress(f"{name}, round {turn}")
        if turn % 2:
            (mine, own), (other, seconds) = ours(), theirs()
        else:
            (other, seconds), (mine, own) = theirs(), ours()
        report.equal(name, mine, other)
        if turn:
            spent.append((max(0.0, own - ALLOWANCE_SECONDS), seconds))
    detail = (
        f"{median(own for own, _ in spent) * 1e3:.0f} against {median(one for _, one in spent) * 1e3:.0f} ms"
    )
    report.figure(name, median(own / other for own, other in spent), detail, limit=limit)


def _asked(server: Acumen, analysis: str, params: dict[str, Any]) -> tuple[Any, float]:
    connection = server.connect()
    started = time.perf_counter()
    result = server.ask(analysis, connection, **params)
    spent = time.perf_counter() - started
    connection.close()
    return result, spent


def _rows(duck: Duck) -> tuple[Any, float]:
    started = time.perf_counter()
    rows = duck.run(_SEMI_JOINS)
    return list(rows[0]), time.perf_counter() - started
