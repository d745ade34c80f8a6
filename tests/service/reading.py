"""A collection of all that makes files differ, what the API answers of it, and readers that answer too."""

from __future__ import annotations

import contextlib
import hashlib
import io
import json
from collections.abc import Mapping
from datetime import UTC, datetime
from decimal import Decimal
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import duckdb
import pandas as pd
import polars as pl
import pyarrow.parquet as pq

from service.__main__ import main
from storage.catalog.database.connection import connect
from storage.files.parquet import unmarked
from tests.service.whole import Whole

ZONE = "America/New_York"
COLLECTION = "or'd\"ers; -- \\x"
HOSTILE = "x\"'`\\\n--\t\u202e'); DROP TABLE t; '''\"\"\""
FOLDER = "da[t]a *?'\"{a,b}%20#ü"
"""Of the data: patterns, quotes, and what looks like an address."""


def at(moment: str, **properties: Any) -> dict[str, Any]:
    return {**properties, "keen": {"timestamp": moment}}


FIRST = [
    at("2023-11-05T05:30:00.000Z", price=1.5, plan="free", user={"id": "ann"}, big=1, mixed=9007199254740991),
    at("2023-11-05T06:30:00.000Z", price="12.50", plan="pro", Price=2, big=2**53 + 1, tags=["a", 1]),
    at("2024-03-10T04:59:59.999Z", price=None, plan=None, big=2**70 + 2**30, empty={}, mixed=-8.7),
    at("2024-03-10T05:00:00.000Z", price=3, plan="free", big=-5, mixed=0.1),
]
"""Before and after clocks change in New York."""
SECOND = [
    at(
        "2024-03-11T03:59:59.999Z",
        price=True,
        plan="pro",
        PRICE=7,
        big=10**29 + 1,
        coupon="X",
        mixed=2**53 + 1,
    ),
    at("2024-03-11T04:00:00.000Z", price=4.25, plan=5, big=2**63 - 1, tags=[], deep={"a": {"b": 2**53 + 1}}),
    at("2024-11-03T05:30:00.001Z", price=2, plan="free", big=2**63 - 1, coupon=None, vast=2**200 + 1),
    {
        HOSTILE: 2**53 + 1,
        "*": 2**53 + 3,
        "^p[a-z]+$": 2**53 + 5,
        "big:decimal": 1.0,
        **at("2024-11-03T06:30:00.000Z"),
    },
    {HOSTILE: 1, "*": 2, "^p[a-z]+$": 3, **at("0001-01-01T00:00:00.000Z", имя=1, Имя=2, vast=1)},
]
"""With properties that the first file does not have."""
TOTALS: Mapping[str, str] = {
    "price": "price",
    "Price": "Price~2",
    "PRICE": "PRICE~3",
    "big": "big:decimal~2",
    "mixed": "mixed:decimal",
    "deep.a.b": "deep.a.b:decimal",
    "*": "*:decimal",
    "^p[a-z]+$": "^p[a-z]+$:decimal",
    "имя": "имя",
    "Имя": "Имя~2",
    HOSTILE: f"{HOSTILE}:decimal",
}
"""Property → the column that holds all its numbers."""
DAY = {"start": "2024-03-10T00:00:00.000-05:00", "end": "2024-03-11T00:00:00.000-04:00"}
"""Of 23 hours, in New York."""


class Written:
    """The events in two files, the first as it was before instants were marked as UTC."""

    def __init__(self, data: Path, *, older: bool = True) -> None:
        self.whole = Whole(data)
        self.project = self.whole.project
        self.whole.record(self.project, COLLECTION, FIRST)
        self.whole.flush()
        if older:
            self._unmark()
        self.whole.record(self.project, COLLECTION, SECOND)
        self.whole.flush()

    def _unmark(self) -> None:
        catalog = self.whole.catalog
        with contextlib.closing(connect(catalog.folder.catalog)) as database:
            for file in catalog.files.live():
                path = catalog.folder.absolute(file.path)
                table = unmarked(pq.ParquetFile(path).read())
                pq.write_table(table, path, compression="zstd", store_schema=False)
                content = path.read_bytes()
                facts = (len(content), hashlib.sha256(content).hexdigest(), file.id)
                database.execute("UPDATE files SET marked = 0, bytes = ?, sha256 = ? WHERE id = ?", facts)

    def printed(self, *options: str, collection: str = COLLECTION) -> str:
        """What ``acumen files`` prints."""
        return printed(self.whole, *options, project=self.project.id, collection=collection)

    def ask(self, analysis: str, **asked: Any) -> Any:
        body = {
            "event_collection": COLLECTION,
            "timeframe": {"start": "0001-01-01", "end": "2030-01-01"},
            **asked,
        }
        return self.whole.told(self.project, "POST", f"queries/{analysis}", body)["result"]

    def answers(self) -> dict[str, Any]:
        """Of the API, to what a reader answers as well."""
        return {
            "count": self.ask("count"),
            "day": self.ask("count", timeframe=DAY),
            "totals": {path: self.ask("sum", target_property=path) for path in TOTALS},
            "groups": {
                row["plan"]: row["result"] for row in self.ask("sum", target_property="big", group_by="plan")
            },
        }


def expected(written: Written) -> dict[str, Any]:
    """The API's answers as readers group them: by text, and without groups that have no number."""
    answers = written.answers()
    groups = answers["groups"].items()
    answers["groups"] = {of if of is None else str(of): total for of, total in groups if total}
    return answers


def printed(whole: Whole, *options: str, project: str, collection: str) -> str:
    out = io.StringIO()
    where = ("--project", project, "--collection", collection, "--data", str(whole.folder.root))
    with contextlib.redirect_stdout(out):
        assert main(["files", *where, *options]) == 0
    return out.getvalue()


def plain(number: Any) -> int | float:
    """As JSON would have it, from whatever a reader counts in."""
    exact = Decimal(str(number))
    return int(exact) if exact == exact.to_integral_value() else float(exact)


def of_duckdb(code: str) -> dict[str, Any]:
    with duckdb.connect(config={"threads": 1}) as connection:
        connection.execute(f"SET TimeZone = '{ZONE}'")
        connection.execute(code)
        (view,) = (
            connection.execute("SELECT view_name FROM duckdb_views() WHERE NOT internal").fetchone() or ()
        )
        source = '"' + view.replace('"', '""') + '"'

        def ask(question: str) -> list[Any]:
            return connection.execute(question.replace("$events", source)).fetchall()

        columns = [row[0] for row in ask("DESCRIBE $events")]
        start, end = ("'2024-03-10'::TIMESTAMPTZ", "'2024-03-11'::TIMESTAMPTZ")
        day = f'"keen.timestamp" >= {start} AND "keen.timestamp" < {end}'
        return {
            "count": ask("SELECT count(*) FROM $events")[0][0],
            "day": ask(f"SELECT count(*) FROM $events WHERE {day}")[0][0],
            "totals": {
                path: plain(ask(f"SELECT sum(#{columns.index(in_sql(column)) + 1}) FROM $events")[0][0])
                for path, column in TOTALS.items()
            },
            "groups": {
                plan: plain(total)
                for plan, total in ask(
                    'SELECT coalesce(plan, "plan:number"::INTEGER::VARCHAR), sum("big:decimal~2")'
                    ' FROM $events WHERE "big:decimal~2" IS NOT NULL GROUP BY 1'
                )
            },
        }


def in_sql(column: str) -> str:
    """The name of a computed column: as it is, or as it is written in JSON where it cannot be printed."""
    return column if column.isprintable() else json.dumps(column)[1:-1]


def run(code: str) -> Any:
    """``events`` of Python code."""
    names: dict[str, Any] = {}
    exec(compile(code, "printed", "exec"), names)
    return names["events"]


def _bounds() -> tuple[datetime, datetime]:
    zone = ZoneInfo(ZONE)
    return datetime(2024, 3, 10, tzinfo=zone).astimezone(UTC), datetime(2024, 3, 11, tzinfo=zone).astimezone(
        UTC
    )


def of_polars(code: str) -> dict[str, Any]:
    events = run(code).collect()
    start, end = _bounds()
    time = pl.col("keen.timestamp")
    groups = (
        events.filter(pl.col("big:decimal~2").is_not_null())
        .group_by(pl.coalesce("plan", pl.col("plan:number").cast(pl.Int64).cast(pl.String)).alias("of"))
        .agg(pl.col("big:decimal~2").sum().alias("total"))
    )
    return {
        "count": len(events),
        "day": len(events.filter((time >= start) & (time < end))),
        "totals": {path: plain(events[column].sum()) for path, column in TOTALS.items()},
        "groups": {row["of"]: plain(row["total"]) for row in groups.to_dicts()},
    }


def of_pandas(code: str) -> dict[str, Any]:
    events = run(code)
    start, end = (pd.Timestamp(bound) for bound in _bounds())
    time = events["keen.timestamp"]
    plans = events["plan"].astype(object)
    plans = plans.where(plans.notna(), events["plan:number"].map("{:.0f}".format, na_action="ignore"))
    known = events["big:decimal~2"].notna()
    groups = events["big:decimal~2"][known].groupby(plans[known].fillna("none").to_numpy()).sum()
    return {
        "count": len(events),
        "day": int(((time >= start) & (time < end)).sum()),
        "totals": {path: plain(events[column].sum()) for path, column in TOTALS.items()},
        "groups": {None if of == "none" else of: plain(total) for of, total in groups.items()},
    }
