"""Sessions and paths over HTTP against hand-written SQL with window functions on the same live files."""

from __future__ import annotations

from typing import Any

from bench import queries
from bench.queries import ATTEMPTS_MAX, Question, Rows, rounded
from bench.report import Report, Wrong
from bench.serving import Acumen

LIMIT = 0.8
GAP_HOURS = 24
DEPTH = 4
_GAP_US = GAP_HOURS * 3_600_000_000
_SESSIONS = f"""
    WITH seen AS (
        SELECT "user.id" AS actor, epoch_us("keen.timestamp") AS moment, "page.section" AS section FROM events
        WHERE "user.id" IS NOT NULL
    ), gaps AS (SELECT *, lag(moment) OVER (PARTITION BY actor ORDER BY moment) AS before FROM seen),
    begun AS (SELECT *, before IS NULL OR moment - before > {_GAP_US} AS begins FROM gaps),
    numbered AS (
        SELECT *, sum(begins::INTEGER)
            OVER (PARTITION BY actor ORDER BY moment ROWS UNBOUNDED PRECEDING) AS number
        FROM begun
    ), sessions AS (
        SELECT actor, count(*) AS events, min(moment) AS first, max(moment) AS last,
            any_value(section) FILTER (begins) AS entry
        FROM numbered GROUP BY actor, number
    )"""
_PATHS = f"""
    WITH seen AS (
        SELECT "user.id" AS actor, epoch_us("keen.timestamp") AS moment, "page.section" AS section FROM events
        WHERE "user.id" IS NOT NULL
    ), changed AS (
        SELECT *, lag(section) OVER (PARTITION BY actor ORDER BY moment, section) AS before FROM seen
    ), numbered AS (
        SELECT actor, section, row_number() OVER steps AS step, lead(section) OVER steps AS following
        FROM changed WHERE before IS DISTINCT FROM section
        WINDOW steps AS (PARTITION BY actor ORDER BY moment, section)
    )
    SELECT step - 1, section, following, count(*) FROM numbered
    WHERE step < {DEPTH} AND following IS NOT NULL GROUP BY ALL"""


def questions() -> list[Question]:
    asked: dict[str, Any] = {"actor_property": "user.id", "gap": f"{GAP_HOURS}_hours"}
    plain = ["sessions", "actors", "events", "bounces", "duration_average", "duration_median"]
    return [
        Question(
            "sessions",
            "sessions",
            {**asked, "measures": plain},
            f"""{_SESSIONS}
            SELECT count(*), count(DISTINCT actor), sum(events), count(*) FILTER (events = 1),
                sum(last - first) / count(*) / 1e6, quantile_disc(last - first, 0.5) / 1e6
            FROM sessions""",
            lambda result: [rounded(result[name]) for name in plain],
            lambda rows: [rounded(float(value)) for value in rows[0]],
        ),
        Question(
            "sessions by their first event",
            "sessions",
            {**asked, "measures": ["sessions", "events"], "group_by": "page.section"},
            f"{_SESSIONS} SELECT entry, count(*), sum(events) FROM sessions GROUP BY entry",
            lambda result: {one["page.section"]: (one["sessions"], one["events"]) for one in result},
            lambda rows: {entry: (sessions, int(events)) for entry, sessions, events in rows},
        ),
        Question(
            f"paths of {DEPTH} nodes",
            "paths",
            {"actor_property": "user.id", "by": "page.section", "depth": DEPTH},
            _PATHS,
            _edges,
            _counted,
        ),
    ]


def _edges(result: Any) -> dict[tuple[int, str, str], int]:
    names = [node["name"] for node in result["nodes"]]
    return {
        (edge["step"], names[edge["source"]], names[edge["target"]]): edge["paths"]
        for edge in result["edges"]
    }


def _counted(rows: Rows) -> dict[tuple[int, str, str], int]:
    return {(step, section, following): paths for step, section, following, paths in rows}


def run(report: Report, server: Acumen) -> None:
    connection = server.connect()
    for question in questions():
        report.progress(question.name)
        for _ in range(ATTEMPTS_MAX):
            if queries.measured(report, question, server, connection, LIMIT):
                break
        else:
            raise Wrong(f"Files were merged whenever '{question.name}' was measured.")
    connection.close()
