"""Retention against ``retention`` of embedded ClickHouse, and lifecycle against SQL written by hand.

Both read the same live files with the same threads. ClickHouse answers for one cohort at a time: one question
asks it for the first cohort only, where we count all of them; the other asks for each cohort.
"""

from __future__ import annotations

import subprocess
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from functools import partial
from statistics import median
from typing import Any

from bench.behaviour import LIMIT, ROUNDS, clickhouse, clickhouse_files, clickhouse_rows
from bench.events import START_US
from bench.queries import ALLOWANCE_SECONDS, Duck, iso
from bench.report import Report
from bench.serving import Acumen
from bench.store import Loaded
from service.settings import load as load_settings

PERIODS = 12
LIFECYCLE_LIMIT = 0.8
_MINUTE_US = 60_000_000


@dataclass(frozen=True, slots=True)
class Periods:
    """The timeframe of all events, divided alike."""

    minutes: int

    @classmethod
    def of(cls, loaded: Loaded) -> Periods:
        span_us = (loaded.events + 10) * loaded.shape.step_us
        return cls(-(-span_us // (PERIODS * _MINUTE_US)))

    @property
    def length_us(self) -> int:
        return self.minutes * _MINUTE_US

    @property
    def params(self) -> dict[str, Any]:
        start = datetime(1970, 1, 1, tzinfo=UTC) + timedelta(microseconds=START_US)
        end = start + timedelta(minutes=PERIODS * self.minutes)
        return {
            "actor_property": "user.id",
            "interval": f"every_{self.minutes}_minutes",
            "timeframe": {"start": iso(start), "end": iso(end)},
        }


def run(report: Report, loaded: Loaded) -> None:
    periods, server = Periods.of(loaded), loaded.server
    report.title(f"Who comes back, {loaded.events:,} events in {len(server.files())} files")
    params = {**periods.params, "starting_event": {"event_collection": "purchases"}, "cohort": "recurring"}
    with clickhouse(report) as peer:
        for name, cohorts in (("retention, one cohort", 1), ("retention, 11 cohorts", PERIODS - 1)):
            query = _retention(cohorts, periods, Duck(server).paths)
            _against(
                report, name, server, "retention", params, _first(cohorts), partial(_cohorts, peer, query)
            )
    states = {**periods.params, "event_collection": "purchases"}
    sql = partial(_lifecycle_rows, Duck(server), _lifecycle(periods))
    _against(report, "lifecycle", server, "lifecycle", states, _states, sql, LIFECYCLE_LIMIT)


def _first(cohorts: int) -> Callable[[Any], Any]:
    return lambda result: [row["retained"] for row in result[:cohorts]]


def _against(
    report: Report,
    name: str,
    server: Acumen,
    analysis: str,
    params: dict[str, Any],
    read: Callable[[Any], Any],
    theirs: Callable[[], tuple[Any, float]],
    limit: float = LIMIT,
) -> None:
    """Compare the answers, and measure by turns; the first round opens files."""
    spent, others = [], []
    for round_number in range(ROUNDS + 1):
        report.progress(f"{name}, round {round_number}")
        connection = server.connect()
        started = time.perf_counter()
        result = server.ask(analysis, connection, **params)
        mine = time.perf_counter() - started
        connection.close()
        expected, other = theirs()
        report.equal(name, read(result), expected)
        if round_number:
            spent.append(mine)
            others.append(other)
    ours, seconds = median(spent) - ALLOWANCE_SECONDS, median(others)
    report.figure(name, ours / seconds, f"{ours * 1e3:.0f} against {seconds * 1e3:.0f} ms", limit=limit)


def _lifecycle_rows(duck: Duck, sql: str) -> tuple[dict[tuple[int, str], int], float]:
    started = time.perf_counter()
    rows = duck.run(sql)
    return {(at, state): count for at, state, count in rows}, time.perf_counter() - started


def _cohorts(peer: subprocess.Popen[str], query: str) -> tuple[list[list[int]], float]:
    answer = clickhouse_rows(peer, query)
    (row,) = answer["rows"]
    return [[int(count) for count in cohort] for cohort in row], answer["seconds"]


def _retention(cohorts: int, periods: Periods, paths: Sequence[str]) -> str:
    """For each cohort the users who came in its period, and in each later one as well."""
    period = f"intDiv(toUnixTimestamp64Micro(`keen.timestamp`) - {START_US}, {periods.length_us})"
    aggregates = ", ".join(
        f"retention({', '.join(f'p = {number}' for number in range(cohort, PERIODS))}) AS c{cohort}"
        for cohort in range(cohorts)
    )
    sums = ", ".join(f"sumForEach(c{cohort})" for cohort in range(cohorts))
    return (
        f"SELECT {sums} FROM (SELECT actor, {aggregates} FROM (SELECT assumeNotNull(`user.id`) AS actor, "
        f"assumeNotNull({period}) AS p FROM {clickhouse_files(paths)} WHERE `user.id` IS NOT NULL) "
        f"GROUP BY actor) SETTINGS max_threads = {load_settings().worker_threads}"
    )


def _lifecycle(periods: Periods) -> str:
    period = f'(epoch_us("keen.timestamp") - {START_US}) // {periods.length_us}'
    return f"""
        WITH active AS (
            SELECT DISTINCT "user.id" AS actor, {period} AS p FROM events WHERE "user.id" IS NOT NULL
        ), placed AS (
            SELECT p, lag(p) OVER (PARTITION BY actor ORDER BY p) AS before,
                   lead(p) OVER (PARTITION BY actor ORDER BY p) AS next
            FROM active
        ), states AS (
            SELECT p, CASE WHEN before IS NULL THEN 'new' WHEN before = p - 1 THEN 'returning'
                           ELSE 'resurrected' END AS state
            FROM placed
            UNION ALL SELECT p + 1, 'dormant' FROM placed WHERE next IS NULL OR next > p + 1
        )
        SELECT p, state, count(*) FROM states WHERE p < {PERIODS} GROUP BY ALL"""


def _states(result: Any) -> dict[tuple[int, str], int]:
    return {
        (at, state): count for at, row in enumerate(result) for state, count in row["value"].items() if count
    }
