"""The questions of docs/twenty-questions.md, asked about real events, each beside SQL written by hand.

The SQL reads the three tables that ``test_twenty_questions.py`` makes of the files: ``requests``, ``edits``
and ``commits``. Its rows are those that ``rows`` makes of the answer.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

Body = Mapping[str, Any]
Rows = Iterator[tuple[Any, ...]]

WEB = {"start": "2015-05-17", "end": "2015-05-21"}
WIKI = {"start": "2015-09-12", "end": "2015-09-13"}


@dataclass(frozen=True)
class Question:
    """A question, the SQL that answers it, and how the answer becomes rows like those of the SQL."""

    name: str
    analysis: str
    body: Body
    sql: str
    rows: Callable[[Any], Rows]
    ordered: bool = False
    """Whether the order of the rows is asked for."""

    def __str__(self) -> str:
        return self.name


def instant(text: str) -> datetime:
    """A time of an answer, as DuckDB gives a TIMESTAMP in UTC."""
    return datetime.fromisoformat(text).astimezone(UTC).replace(tzinfo=None)


def whole(reply: Any) -> Rows:
    """The one number, or the numbers of all labels in their order."""
    result = reply["result"]
    yield tuple(result.values()) if isinstance(result, dict) else (result,)


def groups(reply: Any) -> Rows:
    for row in reply["result"]:
        yield tuple(row.values())


def intervals(reply: Any) -> Rows:
    """The start of each interval with its value, with those of its labels, or with each of its rows."""
    for part in reply["result"]:
        value, start = part["value"], instant(part["timeframe"]["start"])
        for row in value if isinstance(value, list) else [value]:
            yield (start, *(row.values() if isinstance(row, dict) else (row,)))


def compared(label: str) -> Callable[[Any], Rows]:
    """Of each interval, or of the whole: the value, the compared one, and how they differ."""

    def rows(reply: Any) -> Rows:
        result = reply["result"]
        parts = result if isinstance(result, list) else [{"value": result, "compare": reply["compare"]}]
        for part in parts:
            other = part["compare"]
            start = (instant(part["timeframe"]["start"]),) if "timeframe" in part else ()
            numbers = (part["value"], *(other[one] for one in ("value", "change", "change_percent")))
            yield (*start, *(each[label] for each in numbers))

    return rows


def steps(reply: Any) -> Rows:
    yield tuple(reply["result"])


def cohorts(reply: Any) -> Rows:
    """Of each cohort each period that begins in the timeframe: cohort, period, size, retained."""
    for row in reply["result"]:
        for period, retained in enumerate(row["retained"]):
            yield instant(row["timeframe"]["start"]), period, row["size"], retained


def first_actors(reply: Any) -> Rows:
    yield from ((actor,) for actor in reply["actors"][-1])


def times(reply: Any) -> Rows:
    for part in (*reply["times"]["steps"][1:], reply["times"]["total"]):
        names = ("count", "minimum", "median", "maximum", "average")
        percentiles = (one["value"] for one in part["percentiles"])
        yield (*(part[name] for name in names), *percentiles, *(one["count"] for one in part["histogram"]))


def sessions(reply: Any) -> Rows:
    """The numbers, then the entries as one list of names and one of numbers."""
    result = dict(reply["result"])
    entries = result.pop("entries")["values"]
    names, counts = ([entry[key] for entry in entries] for key in ("value", "sessions"))
    yield (*result.values(), names, counts)


def edges(reply: Any) -> Rows:
    """Of each edge: its step, its two names, and how many paths it has."""
    names = [node["name"] for node in reply["result"]["nodes"]]
    for edge in reply["result"]["edges"]:
        yield edge["step"], names[edge["source"]], names[edge["target"]], edge["paths"]


def is_(name: str, value: Any) -> list[Body]:
    return [{"property_name": name, "operator": "eq", "property_value": value}]


def series(analysis: str, collection: str, target: str = "", **more: Any) -> Body:
    target_property = {"target_property": target} if target else {}
    return {"event_collection": collection, "analysis_type": analysis, **target_property, **more}


def under(*beginnings: str) -> list[Body]:
    return [
        {"property_name": "request.path", "operator": "regex", "property_value": f"^({'|'.join(beginnings)})"}
    ]


HOME = {"event_collection": "web_requests", "filters": is_("request.path", "/")}
PROJECTS = {"event_collection": "web_requests", "filters": under("/projects/")}
READING = {"event_collection": "web_requests", "filters": under("/files/", "/blog/")}
# The same three steps in SQL.
THREE_STEPS = """
    WITH home AS (SELECT visitor, ts FROM requests WHERE page = '/'),
    projects AS (SELECT visitor, ts FROM requests WHERE page LIKE '/projects/%'),
    reading AS (SELECT visitor, ts FROM requests WHERE page LIKE '/files/%' OR page LIKE '/blog/%')
"""

# Of each day the authors of the day, of the 7 and of the 30 days that end with it.
DAYS = """
    WITH numbers AS (
        SELECT day,
               (SELECT count(DISTINCT author) FROM commits
                WHERE ts >= day AND ts < day + INTERVAL 1 DAY) AS dau,
               (SELECT count(DISTINCT author) FROM commits
                WHERE ts >= day - INTERVAL 29 DAY AND ts < day + INTERVAL 1 DAY) AS mau,
               (SELECT count(DISTINCT author) FROM commits
                WHERE ts >= day - INTERVAL 6 DAY AND ts < day + INTERVAL 1 DAY) AS wau
        FROM range(TIMESTAMP '2012-03-01', TIMESTAMP '2012-04-01', INTERVAL 1 DAY) AS days(day))
"""

TIME: Sequence[Question] = (
    Question(
        "1. requests a day",
        "count",
        {"event_collection": "web_requests", "timeframe": WEB, "interval": "daily"},
        "SELECT date_trunc('day', ts), count(*) FROM requests GROUP BY ALL",
        intervals,
    ),
    Question(
        "2. week over week, by the weeks and the summer time of Berlin",
        "series",
        {
            "timeframe": {"start": "2012-03-12T00:00+01:00", "end": "2012-04-09T00:00+02:00"},
            "timezone": "Europe/Berlin",
            "interval": "weekly",
            "week_start": "monday",
            "series": {"commits": series("count", "rails_commits")},
            "compare": {"start": "2012-03-05T00:00+01:00", "end": "2012-04-02T00:00+02:00"},
        },
        """
        WITH weeks AS (
            SELECT date_trunc('week', ts AT TIME ZONE 'UTC' AT TIME ZONE 'Europe/Berlin') AS week,
                   count(*) AS n
            FROM commits GROUP BY week)
        SELECT this.week AT TIME ZONE 'Europe/Berlin' AT TIME ZONE 'UTC', this.n, before.n,
               this.n - before.n, 100 * (this.n - before.n) / before.n
        FROM weeks AS this JOIN weeks AS before ON before.week = this.week - INTERVAL 7 DAY
        WHERE this.week >= '2012-03-12' AND this.week < '2012-04-09'
        """,
        compared("commits"),
    ),
    Question(
        "13. sixty days against the sixty before",
        "series",
        {
            "timeframe": {"start": "2012-05-01", "end": "2012-06-30"},
            "series": {"authors": series("count_unique", "rails_commits", "author.id")},
            "compare": "previous_period",
        },
        """
        WITH numbers AS (
            SELECT count(DISTINCT author) FILTER (ts >= '2012-05-01') AS now,
                   count(DISTINCT author) FILTER (ts < '2012-05-01') AS before
            FROM commits WHERE ts >= TIMESTAMP '2012-05-01' - INTERVAL 60 DAY AND ts < '2012-06-30')
        SELECT now, before, now - before, 100 * (now - before) / before FROM numbers
        """,
        compared("authors"),
    ),
    Question(
        "17. commits a day, averaged over 7 days",
        "series",
        {
            "timeframe": {"start": "2012-03-01", "end": "2012-04-01"},
            "interval": "daily",
            "series": {"commits": series("count", "rails_commits")},
            "rolling": {"commits": 7},
            "formulas": {"average": "commits.rolling / 7"},
            "show": ["commits", "average"],
        },
        """
        SELECT day, (SELECT count(*) FROM commits WHERE ts >= day AND ts < day + INTERVAL 1 DAY),
               (SELECT count(*) FROM commits
                WHERE ts >= day - INTERVAL 6 DAY AND ts < day + INTERVAL 1 DAY) / 7
        FROM range(TIMESTAMP '2012-03-01', TIMESTAMP '2012-04-01', INTERVAL 1 DAY) AS days(day)
        """,
        intervals,
    ),
    Question(
        "19. text added so far, by the hour",
        "series",
        {
            "timeframe": WIKI,
            "interval": "hourly",
            "series": {"added": series("sum", "wiki_edits", "added")},
            "cumulative": ["added"],
        },
        """
        SELECT hour, coalesce(added, 0), coalesce(sum(added) OVER (ORDER BY hour), 0)
        FROM range(TIMESTAMP '2015-09-12', TIMESTAMP '2015-09-13', INTERVAL 1 HOUR) AS hours(hour)
        LEFT JOIN (
            SELECT date_trunc('hour', ts) AS hour, sum(added) AS added FROM edits GROUP BY ALL) USING (hour)
        """,
        intervals,
    ),
)

GROUPED: Sequence[Question] = (
    Question(
        "3. edits by country",
        "count",
        {
            "event_collection": "wiki_edits",
            "timeframe": WIKI,
            "group_by": "geo.country.iso",
            "limit": 10,
            "order_by": [
                {"property_name": "result", "direction": "DESC"},
                {"property_name": "geo.country.iso", "direction": "ASC"},
            ],
        },
        "SELECT country, count(*) AS n FROM edits GROUP BY country ORDER BY n DESC, country LIMIT 10",
        groups,
        ordered=True,
    ),
    Question(
        "7. the pages that are seen most",
        "multi_analysis",
        {
            "event_collection": "web_requests",
            "timeframe": WEB,
            "filters": [
                {"property_name": "request.extension", "operator": "exists", "property_value": False}
            ],
            "group_by": "request.path",
            "limit": 10,
            "order_by": [{"property_name": "views", "direction": "DESC"}, {"property_name": "request.path"}],
            "analyses": {
                "views": {"analysis_type": "count"},
                "visitors": {"analysis_type": "count_unique", "target_property": "visitor.id"},
            },
        },
        """
        SELECT page, count(*) AS views, count(DISTINCT visitor)
        FROM requests WHERE extension IS NULL GROUP BY page ORDER BY views DESC, page LIMIT 10
        """,
        groups,
        ordered=True,
    ),
    Question(
        "9. the median size of an answer",
        "median",
        {"event_collection": "web_requests", "timeframe": WEB, "target_property": "response.bytes"},
        "SELECT quantile_disc(bytes, 0.5) FROM requests",
        whole,
    ),
    Question(
        "10. text added by channel",
        "sum",
        {
            "event_collection": "wiki_edits",
            "timeframe": WIKI,
            "target_property": "added",
            "group_by": "channel",
        },
        "SELECT channel, sum(added) FROM edits GROUP BY channel",
        groups,
    ),
    Question(
        "15. bytes per visitor, a day",
        "series",
        {
            "timeframe": WEB,
            "interval": "daily",
            "series": {
                "bytes": series("sum", "web_requests", "response.bytes"),
                "visitors": series("count_unique", "web_requests", "visitor.id"),
            },
            "formulas": {"bytes per visitor": "bytes / visitors"},
        },
        """
        SELECT date_trunc('day', ts), sum(bytes), count(DISTINCT visitor),
               sum(bytes) / count(DISTINCT visitor)
        FROM requests GROUP BY ALL
        """,
        intervals,
    ),
    Question(
        "18. methods and statuses",
        "count",
        {
            "event_collection": "web_requests",
            "timeframe": WEB,
            "group_by": ["request.method", "response.status"],
        },
        "SELECT method, status, count(*) FROM requests GROUP BY ALL",
        groups,
    ),
    Question(
        "20. users of the top three channels each hour, and of all others",
        "series",
        {
            "timeframe": {"start": "2015-09-12T06:00:00Z", "end": "2015-09-12T12:00:00Z"},
            "interval": "hourly",
            "group_by": "channel",
            "series": {"users": series("count_unique", "wiki_edits", "user.name")},
            "top": {"limit": 3, "by": "users", "other": True},
        },
        """
        WITH chosen AS (SELECT * FROM edits WHERE ts >= '2015-09-12 06:00' AND ts < '2015-09-12 12:00'),
        first AS (
            SELECT channel FROM chosen GROUP BY channel
            ORDER BY count(DISTINCT user) DESC, channel LIMIT 3)
        SELECT date_trunc('hour', ts) AS hour,
               CASE WHEN channel IN (FROM first) THEN channel ELSE 'other' END AS name,
               count(DISTINCT user)
        FROM chosen GROUP BY hour, name
        """,
        intervals,
    ),
)

ACTORS: Sequence[Question] = (
    Question(
        "4. a funnel in order",
        "funnel",
        {
            "order": "ordered",
            "actor_property": "visitor.id",
            "timeframe": WEB,
            "steps": [HOME, PROJECTS, READING],
        },
        THREE_STEPS
        + """
        SELECT (SELECT count(DISTINCT visitor) FROM home),
               (SELECT count(DISTINCT visitor) FROM home JOIN projects USING (visitor)
                WHERE projects.ts >= home.ts),
               (SELECT count(DISTINCT visitor)
                FROM home JOIN projects USING (visitor) JOIN reading USING (visitor)
                WHERE projects.ts >= home.ts AND reading.ts >= projects.ts)
        """,
        steps,
    ),
    Question(
        "5. within an hour",
        "funnel",
        {
            "order": "ordered",
            "window": "1_hours",
            "actor_property": "visitor.id",
            "timeframe": WEB,
            "steps": [HOME, PROJECTS, READING],
        },
        THREE_STEPS
        + """
        SELECT (SELECT count(DISTINCT visitor) FROM home),
               (SELECT count(DISTINCT visitor) FROM home JOIN projects USING (visitor)
                WHERE projects.ts BETWEEN home.ts AND home.ts + INTERVAL 1 HOUR),
               (SELECT count(DISTINCT visitor)
                FROM home JOIN projects USING (visitor) JOIN reading USING (visitor)
                WHERE projects.ts >= home.ts AND reading.ts BETWEEN projects.ts AND home.ts + INTERVAL 1 HOUR)
        """,
        steps,
    ),
    Question(
        "6. who commits again in the weeks after the first commit of the year",
        "retention",
        {
            "starting_event": {"event_collection": "rails_commits"},
            "actor_property": "author.id",
            "timeframe": {"start": "2012-01-01T00:00-05:00", "end": "2012-04-01T00:00-04:00"},
            "timezone": "America/New_York",
            "interval": "weekly",
        },
        """
        WITH local AS (
            SELECT author, ts AT TIME ZONE 'UTC' AT TIME ZONE 'America/New_York' AS moment
            FROM commits WHERE moment >= '2012-01-01' AND moment < '2012-04-01'),
        -- 1 January 2012 is a Sunday, on which weeks begin.
        active AS (
            SELECT author, date_diff('day', TIMESTAMP '2012-01-01', moment) // 7 AS week
            FROM local GROUP BY ALL),
        started AS (SELECT author, min(week) AS cohort FROM active GROUP BY author),
        sizes AS (SELECT cohort, count(*) AS size FROM started GROUP BY cohort),
        retained AS (
            SELECT cohort, week - cohort AS period, count(*) AS n
            FROM active JOIN started USING (author) GROUP BY ALL)
        SELECT (TIMESTAMP '2012-01-01' + to_days(7 * cohorts.cohort))
               AT TIME ZONE 'America/New_York' AT TIME ZONE 'UTC',
               periods.period, coalesce(size, 0), coalesce(n, 0)
        FROM range(13) AS cohorts(cohort) JOIN range(13) AS periods(period) ON cohort + period < 13
        LEFT JOIN sizes USING (cohort) LEFT JOIN retained USING (cohort, period)
        """,
        cohorts,
    ),
    Question(
        "8. sessions",
        "sessions",
        {
            "event_collection": "web_requests",
            "actor_property": "visitor.id",
            "timeframe": WEB,
            "page_property": "request.path",
            "pages": 5,
            "measures": [
                "sessions",
                "actors",
                "bounces",
                "bounce_rate",
                "duration_average",
                "duration_median",
                "duration_p90",
                "entries",
            ],
        },
        """
        WITH marked AS (
            SELECT *, lag(ts) OVER (PARTITION BY visitor ORDER BY ts) AS before FROM requests),
        numbered AS (
            SELECT *, count(*) FILTER (before IS NULL OR ts > before + INTERVAL 30 MINUTE)
                      OVER (PARTITION BY visitor ORDER BY ts) AS session FROM marked),
        sessions AS (
            SELECT visitor, count(*) AS events, epoch(max(ts)) - epoch(min(ts)) AS seconds,
                   first(page ORDER BY ts, page) AS entry
            FROM numbered GROUP BY visitor, session),
        entries AS (SELECT entry, count(*) AS n FROM sessions GROUP BY entry ORDER BY n DESC, entry LIMIT 5)
        SELECT count(*), count(DISTINCT visitor), count(*) FILTER (events = 1), avg((events = 1)::INTEGER),
               avg(seconds), quantile_disc(seconds, 0.5), quantile_disc(seconds, 0.9),
               (SELECT list(entry ORDER BY n DESC, entry) FROM entries),
               (SELECT list(n ORDER BY n DESC, entry) FROM entries)
        FROM sessions
        """,
        sessions,
    ),
    Question(
        "11. which part of the authors of 30 days commits on a day",
        "stickiness",
        {
            "event_collection": "rails_commits",
            "actor_property": "author.id",
            "timeframe": {"start": "2012-03-01", "end": "2012-04-01"},
        },
        DAYS + "SELECT day, dau, wau, mau, dau / wau, dau / mau, wau / mau FROM numbers",
        intervals,
    ),
    Question(
        "11. which part of the authors of 30 days commits on a day, by series",
        "series",
        {
            "timeframe": {"start": "2012-03-01", "end": "2012-04-01"},
            "interval": "daily",
            "series": {"dau": series("count_unique", "rails_commits", "author.id")},
            "rolling": {"dau": 30},
            "formulas": {"dau/mau": "dau / dau.rolling"},
        },
        DAYS + "SELECT day, dau, dau / mau, mau FROM numbers",
        intervals,
    ),
    Question(
        "12. the paths that begin at the home page",
        "paths",
        {
            "event_collection": "web_requests",
            "actor_property": "visitor.id",
            "timeframe": WEB,
            "by": "request.path",
            "from": "/",
            "depth": 3,
            "nodes": 3,
        },
        # Repeats are one place; events of one time are in the order of their names.
        """
        WITH marked AS (
            SELECT *, lag(page) OVER (PARTITION BY visitor ORDER BY ts, page) AS before FROM requests),
        places AS (
            SELECT visitor, page, row_number() OVER (PARTITION BY visitor ORDER BY ts, page) AS number
            FROM marked WHERE page IS DISTINCT FROM before),
        starts AS (SELECT visitor, min(number) AS home FROM places WHERE page = '/' GROUP BY visitor),
        steps AS (
            SELECT visitor, page, number - home AS step
            FROM places JOIN starts USING (visitor) WHERE number - home BETWEEN 0 AND 2),
        frequent AS (
            SELECT step, page FROM steps GROUP BY step, page
            QUALIFY row_number() OVER (PARTITION BY step ORDER BY count(*) DESC, page) <= 3),
        named AS (
            SELECT visitor, step, coalesce(frequent.page, 'other') AS name
            FROM steps LEFT JOIN frequent USING (step, page))
        SELECT here.step, here.name, next.name, count(*)
        FROM named AS here JOIN named AS next ON next.visitor = here.visitor AND next.step = here.step + 1
        GROUP BY ALL
        """,
        edges,
    ),
    Question(
        "12. what follows the home page, by SQL of a client",
        "sql",
        {
            "sql": """
                SELECT next, count(*) AS times FROM (
                    SELECT "request.path" AS page,
                           lead(page) OVER (PARTITION BY "visitor.id" ORDER BY "keen.timestamp", line) AS next
                    FROM web_requests)
                WHERE page = ? GROUP BY next ORDER BY times DESC, next LIMIT 20
            """,
            "parameters": ["/"],
        },
        # The next request is the first of those that are later, or at the same time on a later line.
        """
        WITH home AS (SELECT visitor, ts, line FROM requests WHERE page = '/'),
        followed AS (
            SELECT home.line, first(later.page ORDER BY later.ts, later.line) AS next
            FROM home LEFT JOIN requests AS later
                ON later.visitor = home.visitor AND (later.ts, later.line) > (home.ts, home.line)
            GROUP BY home.line)
        SELECT next, count(*) AS times FROM followed GROUP BY next ORDER BY times DESC, next LIMIT 20
        """,
        groups,
        ordered=True,
    ),
    Question(
        "14. who came to the home page and never to a project",
        "funnel",
        {
            "actor_property": "visitor.id",
            "timeframe": WEB,
            "steps": [HOME, {**PROJECTS, "inverted": True, "with_actors": True}],
        },
        """
        SELECT DISTINCT visitor FROM requests WHERE page = '/'
        EXCEPT SELECT visitor FROM requests WHERE page LIKE '/projects/%'
        """,
        first_actors,
    ),
    Question(
        "16. how long it takes from the home page to a project",
        "funnel",
        {
            "order": "ordered",
            "actor_property": "visitor.id",
            "timeframe": WEB,
            "steps": [HOME, PROJECTS],
            "times": {"percentiles": [25, 90], "histogram": [0, 60, 3600]},
        },
        # The first project seen after a view of the home page, from the last such view before it.
        THREE_STEPS
        + """,
        reached AS (
            SELECT visitor, min(projects.ts) AS ts
            FROM home JOIN projects USING (visitor) WHERE projects.ts >= home.ts GROUP BY visitor),
        taken AS (
            SELECT visitor, epoch(reached.ts) - epoch(max(home.ts)) AS seconds
            FROM reached JOIN home USING (visitor) WHERE home.ts <= reached.ts GROUP BY visitor, reached.ts),
        numbers AS (
            SELECT count(*), min(seconds), quantile_disc(seconds, 0.5), max(seconds), avg(seconds),
                   quantile_disc(seconds, 0.25), quantile_disc(seconds, 0.9), count(*) FILTER (seconds < 60),
                   count(*) FILTER (seconds >= 60 AND seconds < 3600), count(*) FILTER (seconds >= 3600)
            FROM taken)
        -- Of the one step, and in all.
        FROM numbers UNION ALL FROM numbers
        """,
        times,
    ),
)

QUESTIONS: Sequence[Question] = (*TIME, *GROUPED, *ACTORS)
