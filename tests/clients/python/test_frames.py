"""Tables out of answers, and tables written as events."""

from __future__ import annotations

import asyncio
import math
import subprocess
import sys
from collections.abc import Callable
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from typing import Any
from zoneinfo import ZoneInfo

import numpy as np
import pandas as pd
import polars as pl
import pyarrow as pa
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from acumen_client import Acumen, AsyncAcumen, FrameError, Metric
from acumen_client.frames import columns_of_events, events_of_frame, to_arrow, to_pandas, to_polars
from tests.clients.python.conftest import options_for
from tests.support.scale import examples
from tests.support.server import Served, ServedProject

BERLIN = ZoneInfo("Europe/Berlin")
NEW_YEAR = datetime(2026, 1, 1, 12, tzinfo=UTC)
MIXED: list[dict[str, Any]] = [
    {"n": 1, "big": 2**70, "x": 1, "flag": True, "text": "a", "list": [1, 2], "any": 1, "at": NEW_YEAR},
    {"n": None, "big": 3, "x": 2.5, "flag": None, "text": None, "list": [], "any": "b", "at": None},
    {"deep": {"er": {"value": "v"}}, "list": [3], "nothing": None, "empty": {}},
]


# Tables from answers


def test_types_in_pandas() -> None:
    frame = to_pandas(columns_of_events(MIXED), BERLIN)
    assert {name: str(kind) for name, kind in frame.dtypes.items()} == {
        "n": "Int64",
        "big": "object",
        "x": "float64",
        "flag": "boolean",
        "text": "str",
        "list": "object",
        "any": "object",
        "at": "datetime64[us, Europe/Berlin]",
        "deep.er.value": "str",
        "nothing": "object",
    }
    assert frame["big"].tolist()[:2] == [2**70, 3]
    assert frame["at"][0] == NEW_YEAR
    assert frame["at"][0].hour == 13
    assert frame["at"].isna().tolist() == [False, True, True]


def test_types_in_polars() -> None:
    frame = to_polars(columns_of_events(MIXED), BERLIN)
    assert frame.schema == {
        "n": pl.Int64,
        "big": pl.Int128,
        "x": pl.Float64,
        "flag": pl.Boolean,
        "text": pl.String,
        "list": pl.List(pl.Int64),
        "any": pl.String,
        "at": pl.Datetime("us", "Europe/Berlin"),
        "deep.er.value": pl.String,
        "nothing": pl.Null,
    }
    assert frame["big"].to_list() == [2**70, 3, None]
    assert frame["any"].to_list() == ["1", '"b"', None]
    assert frame["list"].to_list() == [[1, 2], [], [3]]
    assert frame["at"].to_list()[0] == NEW_YEAR


def test_types_in_arrow() -> None:
    table = to_arrow(columns_of_events(MIXED), BERLIN)
    assert {field.name: str(field.type) for field in table.schema} == {
        "n": "int64",
        "big": "decimal128(38, 0)",
        "x": "double",
        "flag": "bool",
        "text": "string",
        "list": "list<item: int64>",
        "any": "string",
        "at": "timestamp[us, tz=Europe/Berlin]",
        "deep.er.value": "string",
        "nothing": "null",
    }
    assert table["big"].to_pylist() == [2**70, 3, None]
    assert table["at"].to_pylist()[0] == NEW_YEAR


@pytest.mark.parametrize("hours", [-5, 0, 2, 14, 5.5])
def test_zones_that_are_an_offset(hours: float) -> None:
    from datetime import timezone

    zone = timezone(timedelta(hours=hours))
    columns = columns_of_events([{"at": NEW_YEAR}])
    assert to_pandas(columns, zone)["at"][0] == NEW_YEAR
    assert to_pandas(columns, zone)["at"][0].utcoffset() == timedelta(hours=hours)
    assert to_polars(columns, zone)["at"].to_list() == [NEW_YEAR]
    if hours % 1 == 0:
        assert to_polars(columns, zone)["at"].to_list()[0].utcoffset() == timedelta(hours=hours)
    (told,) = to_arrow(columns, zone)["at"].to_pylist()
    assert (told, told.utcoffset()) == (NEW_YEAR, timedelta(hours=hours))


def test_answers_as_tables(client: Acumen) -> None:
    days = [datetime(2026, 3, day, 10, tzinfo=UTC) for day in (28, 28, 29, 30)]
    client.record_many("buys", [{"price": i, "of": "ab"[i % 2], "keen": {"timestamp": day.isoformat()}}
                                for i, day in enumerate(days)])  # fmt: skip
    question: dict[str, Any] = {
        "timeframe": (date(2026, 3, 28), date(2026, 3, 31)), "timezone": "Europe/Berlin", "interval": "daily",
    }  # fmt: skip
    answer = client.average("buys", "price", group_by="of", **question)
    frame = answer.to_pandas()
    assert list(frame.columns) == ["timeframe.start", "timeframe.end", "of", "result"]
    assert str(frame["timeframe.start"].dtype) == "datetime64[us, Europe/Berlin]"
    assert str(frame["result"].dtype) == "float64"
    starts = frame["timeframe.start"].drop_duplicates().tolist()
    assert [start.isoformat() for start in starts] == [
        "2026-03-28T00:00:00+01:00", "2026-03-29T00:00:00+01:00", "2026-03-30T00:00:00+02:00",
    ]  # fmt: skip
    assert answer.to_polars()["result"].to_list() == answer.to_arrow()["result"].to_pylist()
    several = client.multi_analysis(
        "buys", {"n": Metric.count(), "mean": Metric.average("price")}, **question
    )
    table = several.to_arrow()
    assert table.column_names == ["timeframe.start", "timeframe.end", "n", "mean"]
    assert [str(table.schema.field(name).type) for name in ("n", "mean")] == ["int64", "double"]
    events = client.extraction("buys").to_pandas()
    assert str(events["keen.timestamp"].dtype) == "datetime64[us, UTC]"
    assert sorted(events["price"]) == [0, 1, 2, 3]


def test_tables_of_nothing_have_their_types(client: Acumen) -> None:
    counted = client.count("none", group_by="of")
    assert counted.to_arrow().schema.field("result").type == pa.int64()
    assert counted.to_pandas().empty
    assert str(client.sum("none", "price").to_pandas()["result"].dtype) == "int64"
    assert client.maximum("none", "price").to_polars().schema == {"result": pl.Float64}
    assert client.extraction("none").to_polars().shape == (0, 0)
    assert client.funnel([{"event_collection": "none", "actor_property": "a"}]).to_polars().height == 1


@pytest.mark.parametrize(
    ("library", "method", "extra"),
    [("pandas", "to_pandas", "pandas"), ("polars", "to_polars", "polars"), ("pyarrow", "to_arrow", "arrow")],
)
def test_a_missing_library_is_told(library: str, method: str, extra: str) -> None:
    code = (
        f"import sys; sys.modules['{library}'] = None\n"
        "from acumen_client import ConfigurationError, Result\n"
        f"try: Result('count', 1).{method}()\n"
        "except ConfigurationError as error: print(error)\n"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert f"pip install 'acumen-client[{extra}]'" in done.stdout


# Tables written as events

TABLE = {
    "order": ["o1", "o2", "o3"],
    "price": [7.5, None, 0.0],
    "count": [1, 2, 3],
    "user.id": ["ann", None, "cid"],
    "user.age": [30, 40, None],
    "vip": [True, False, None],
    "at": [NEW_YEAR, NEW_YEAR + timedelta(microseconds=1), NEW_YEAR + timedelta(days=1)],
    "seen": [None, NEW_YEAR, NEW_YEAR],
}
EXPECTED = [
    {"price": 7.5, "count": 1, "user": {"id": "ann", "age": 30}, "vip": True},
    {"count": 2, "user": {"age": 40}, "vip": False, "seen": "2026-01-01T12:00:00.000000+00:00"},
    {"price": 0, "count": 3, "user": {"id": "cid"}, "seen": "2026-01-01T12:00:00.000000+00:00"},
]
FRAMES: dict[str, Callable[[], Any]] = {
    "pandas": lambda: pd.DataFrame(TABLE),
    "pandas, nullable": lambda: pd.DataFrame(TABLE).convert_dtypes(),
    "pandas, of Arrow": lambda: pa.table(TABLE).to_pandas(types_mapper=pd.ArrowDtype),
    "pandas, time as index": lambda: pd.DataFrame(TABLE).set_index("at"),
    "pandas, nanoseconds": lambda: pd.DataFrame(TABLE).astype({"at": "datetime64[ns, UTC]"}),
    "polars": lambda: pl.DataFrame(TABLE),
    "polars, lazy": lambda: pl.LazyFrame(TABLE),
    "arrow": lambda: pa.table(TABLE),
    "arrow, one batch": lambda: pa.RecordBatch.from_pydict(TABLE),
    "arrow, a stream": lambda: pa.RecordBatchReader.from_batches(
        pa.table(TABLE).schema, pa.table(TABLE).to_batches(2)
    ),
    "arrow, nanoseconds": lambda: pa.table(TABLE).set_column(
        6, "at", pa.array(TABLE["at"], pa.timestamp("ns", "UTC"))
    ),
}


@pytest.mark.parametrize("kind", FRAMES)
def test_a_table_becomes_events(client: Acumen, kind: str) -> None:
    outcome = client.record_frame("orders", FRAMES[kind](), timestamp="at", unique="order")
    assert (outcome.stored, outcome.duplicates) == (3, 0)
    again = client.record_frame("orders", FRAMES[kind](), timestamp="at", unique="order")
    assert again.duplicates == 3
    events = sorted(client.extraction("orders").rows, key=lambda event: event["keen"]["timestamp"])
    assert [event["keen"]["timestamp"] for event in events] == TABLE["at"]
    assert [event["keen"]["uniqueness_token"] for event in events] == TABLE["order"]
    assert [{name: value for name, value in one.items() if name != "keen"} for one in events] == EXPECTED


def test_awaited_it_is_the_same(served: Served, project: ServedProject) -> None:
    async def record() -> tuple[int, int]:
        async with AsyncAcumen(**options_for(served, project)) as client:
            outcome = await client.record_frame("orders", pl.DataFrame(TABLE), timestamp="at")
            return outcome.stored, (await client.count("orders")).value

    assert asyncio.run(record()) == (3, 3)


def events_in(frame: Any, **options: Any) -> list[dict[str, Any]]:
    return [event for events in events_of_frame(frame, **options) for event in events]


def test_times_without_a_zone_are_of_the_one_given() -> None:
    naive = [datetime(2026, 7, 1, 12)]
    for frame in (pd.DataFrame({"t": naive}), pl.DataFrame({"t": naive}), pa.table({"t": naive})):
        assert events_in(frame) == [{"t": "2026-07-01T12:00:00.000000+00:00"}]
        assert events_in(frame, tz="Europe/Berlin") == [{"t": "2026-07-01T12:00:00.000000+02:00"}]


def test_values_of_all_kinds() -> None:
    frame = pd.DataFrame(
        {
            "decimal": [Decimal("1.50")],
            "day": [date(2026, 1, 2)],
            "list": [[1, None, float("nan")]],
            "array": [np.array([1.5, 2.5])],
            "object": [{"a": 1, "b": None}],
            "category": pd.Series(["x"], dtype="category"),
            "int32": np.array([7], dtype="int32"),
            "missing": [pd.NA],
            "not a time": [pd.NaT],
        }
    )
    assert events_in(frame) == [
        {
            "decimal": 1.5,
            "day": "2026-01-02",
            "list": [1, None, None],
            "array": [1.5, 2.5],
            "object": {"a": 1},
            "category": "x",
            "int32": 7,
        }
    ]
    structs = pl.DataFrame({"user": [{"id": "a", "age": None}], "tags": [["x"]]})
    assert events_in(structs) == [{"user": {"id": "a"}, "tags": ["x"]}]


@pytest.mark.parametrize(
    ("frame", "options", "message"),
    [
        (pd.DataFrame({"a": [1]}), {"timestamp": "time"}, "no column 'time'; it has 'a'"),
        (pd.DataFrame({"a": [1], "a.b": [2]}), {}, "'a' and 'a.b' are in each other's way"),
        (pd.DataFrame([[1, 2]], columns=["a", "a"]), {}, "'a' twice"),
        (pd.DataFrame([[1, 2]]), {}, "named by texts"),
        (pd.DataFrame({"a": [1.0, math.inf]}), {}, "column 'a', row 1: inf is no JSON number"),
        (pd.DataFrame({"a": [b"x"]}), {}, "column 'a', row 0: bytes"),
        (pd.DataFrame({"a": [timedelta(1)]}), {}, "column 'a', row 0"),
        (pd.DataFrame({"": [1]}), {}, "must name a property"),
        (pd.DataFrame({"t": [NEW_YEAR], "keen.timestamp": [NEW_YEAR]}), {"timestamp": "t"}, "beside the one"),
    ],
    ids=lambda one: one if isinstance(one, str) else "",
)
def test_tables_that_can_not_be_events(frame: Any, options: dict[str, Any], message: str) -> None:
    with pytest.raises(FrameError, match=message):
        events_in(frame, **options)


def test_what_is_no_table_is_told() -> None:
    with pytest.raises(TypeError, match="a pandas, Polars or Arrow table is wanted, not list"):
        events_in([{"a": 1}])


VALUES = {
    "i": st.none() | st.integers(-(2**53), 2**53),
    "f": st.none() | st.floats(allow_nan=False, allow_infinity=False),
    "t": st.none() | st.text(st.characters(exclude_categories=["Cs"]), max_size=5),
    "b": st.none() | st.booleans(),
}
ROWS = st.lists(st.fixed_dictionaries(dict(VALUES)), min_size=1, max_size=12)


@settings(max_examples=examples(200), deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(ROWS, st.integers(1, 5))
def test_every_library_gives_the_same_events(rows: list[dict[str, Any]], batch: int) -> None:
    expected = [{name: value for name, value in row.items() if value is not None} for row in rows]
    schema = {"i": pl.Int64, "f": pl.Float64, "t": pl.String, "b": pl.Boolean}
    polars = pl.DataFrame(rows, schema=schema)
    kinds = {"i": "Int64", "f": "float64", "t": "str", "b": "boolean"}
    columns = {name: [row[name] for row in rows] for name in VALUES}
    columns["f"] = [math.nan if value is None else value for value in columns["f"]]
    pandas = pd.DataFrame({name: pd.Series(values, dtype=kinds[name]) for name, values in columns.items()})
    for frame in (polars, polars.to_arrow(), pandas):
        lists = list(events_of_frame(frame, batch=batch))
        assert [event for events in lists for event in events] == expected
        assert all(len(events) <= batch for events in lists)
