"""Derived collections: rows that are those of a full recomputation, whatever happened to the input."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest

from service.maintenance.event_stream_task import Streamer
from storage.catalog.derived.pipeline_records import BucketState, DerivedBucket
from storage.catalog.stored.records import ErasureKind
from storage.disk.file_system import LocalFileSystem
from storage.files.derived_buckets import BucketWriter, DerivedRows
from storage.maintenance.backup import back_up
from storage.schema import LaneKind
from tests.service.pipelines.bench import DAY_US, HOUR_US, PipelineBench
from tests.service.pipelines.times import text_at


@pytest.fixture
def bench(tmp_path: Path) -> Iterator[PipelineBench]:
    made = PipelineBench(tmp_path)
    try:
        yield made
    finally:
        made.close()


REVENUE = """
owner = "data@shop.example"

[masks.paid]
filters = [{ property_name = "paid", operator = "eq", property_value = true }]

[pipelines.revenue]
from = "purchases"
into = "revenue"
bucket = "day"

[[pipelines.revenue.steps]]
mask = "paid"

[[pipelines.revenue.steps]]
compute = { total = "price * quantity" }

[[pipelines.revenue.steps]]
aggregate.by = ["country"]
aggregate.every = "1_hours"
aggregate.values = { total = { sum = "total" }, orders = "count" }
"""


def purchase(
    at_us: int, country: str, price: float, quantity: int = 1, *, paid: bool = True
) -> dict[str, Any]:
    return {
        "keen": {"timestamp": text_at(at_us)},
        "country": country,
        "price": price,
        "quantity": quantity,
        "paid": paid,
    }


def test_an_aggregate_is_derived_and_stays_fresh(bench: PipelineBench) -> None:
    day = bench.now_us // DAY_US * DAY_US
    bench.write(REVENUE)
    bench.send(
        "purchases", [purchase(day, "DE", 2.5, 2), purchase(day + 5, "DE", 1.0), purchase(day, "FR", 9.0)]
    )
    bench.send("purchases", [purchase(day + HOUR_US, "DE", 7.0, paid=False)])
    steps = bench.apply()
    assert [(str(step.verb), step.name) for step in steps] == [("create", "revenue")]
    bench.derive()
    assert [b.problem for b in bench.buckets("revenue")] == [None]
    assert [(row["country"], row["total"], row["orders"]) for row in bench.rows("revenue")] == [
        ("DE", 6.0, 2.0),
        ("FR", 9.0, 1.0),
    ]
    bench.send("purchases", [purchase(day + 7, "FR", 1.0), purchase(day - DAY_US, "FR", 4.0)])
    bench.derive()
    assert sorted((row["country"], row["total"]) for row in bench.rows("revenue")) == [
        ("DE", 6.0),
        ("FR", 4.0),
        ("FR", 10.0),
    ]
    assert {one.state for one in bench.buckets("revenue")} == {BucketState.FRESH}
    assert bench.apply() == []


LOOKUP = """
[references.countries]
file = "countries.csv"

[pipelines.named]
owner = "data@shop.example"
from = "purchases"
into = "named"
steps = [{ lookup = "countries", on = { country = "code" }, take = ["name"] }, { select = ["name"] }]
"""


def test_a_backup_has_the_reference_tables(bench: PipelineBench, tmp_path: Path) -> None:
    bench.write(LOOKUP, countries_csv="code,name\nDE,Germany\n")
    bench.send("purchases", [purchase(bench.now_us, "DE", 1.0)])
    bench.apply()
    bench.derive()
    (before,) = bench.store.folder.references.iterdir()
    target = tmp_path / "backup"
    back_up(bench.store.folder, bench.store.catalog, target, bench.now_us, say=lambda _: None)
    assert (target / "references" / before.name).read_bytes() == before.read_bytes()


def test_a_missing_table_fails_the_run_until_the_folder_is_applied_again(
    bench: PipelineBench,
) -> None:
    bench.write(LOOKUP, countries_csv="code,name\nDE,Germany\n")
    bench.apply()
    (table,) = bench.store.folder.references.iterdir()
    table.unlink()
    bench.send("purchases", [purchase(bench.now_us, "DE", 1.0)])
    bench.derive()
    (failed,) = bench.buckets("named")
    assert failed.problem is not None
    assert "'countries' is missing in the data folder: apply the folder again" in failed.problem
    bench.apply()
    bench.derive()
    assert [row["name"] for row in bench.rows("named")] == ["Germany"]


def test_derived_rows_are_not_streamed_since_they_are_replaced(tmp_path: Path) -> None:
    target = tmp_path / "streamed"
    bench = PipelineBench(tmp_path, stream_folder=target)
    try:
        streamer = Streamer(bench.tools)
        streamer.run_due(bench.now_us)
        bench.write(REVENUE)
        bench.apply()
        bench.send("purchases", [purchase(bench.now_us, "DE", 1.0)])
        bench.derive()
        assert bench.rows("revenue")
        bench.now_us += DAY_US
        while streamer.run_due(bench.now_us):
            pass
        assert {path.parent.name for path in target.rglob("*.gz")} == {"purchases"}
    finally:
        bench.close()


NEIGHBOURS = """
[pipelines.near]
owner = "data@shop.example"
from = "purchases"
into = "near"
bucket = "hour"
steps = [{ compute = { ratio = "price / quantity" } }]
"""


def test_neighbouring_buckets_are_derived_by_one_run(bench: PipelineBench) -> None:
    hour = bench.now_us // HOUR_US * HOUR_US
    bench.send("purchases", [purchase(hour - n * HOUR_US, "DE", float(n), 1) for n in range(10)])
    bench.write(NEIGHBOURS)
    bench.apply()
    bench.planner.run_due(bench.now_us)
    assert bench.worker.execute_next()
    assert [one.rows_out for one in bench.buckets("near")] == [1] * 10
    assert sorted(row["ratio"] for row in bench.rows("near")) == [float(n) for n in range(10)]
    bench.derive()
    assert {one.state for one in bench.buckets("near")} == {BucketState.FRESH}


def test_a_bucket_that_cannot_be_derived_stops_none_of_its_neighbours(bench: PipelineBench) -> None:
    hour = bench.now_us // HOUR_US * HOUR_US
    events = [purchase(hour - n * HOUR_US, "DE", 1.0, 1) for n in range(4)]
    events[2]["country"] = "x" * 5_000
    bench.send("purchases", events)
    bench.write(NEIGHBOURS.replace('ratio = "price / quantity"', 'long = "repeat(country, 5)"'))
    bench.apply()
    bench.derive()
    problems = [one.problem for one in bench.buckets("near")]
    assert [problem is None for problem in problems] == [True, False, True, True]
    assert "The column 'long' has a text of 25,000 characters" in str(problems[1])


ERASED = """
[pipelines.erased]
owner = "data@shop.example"
from = "purchases"
into = "erased"
columns = { quantity = "integer" }
steps = [{ STEP }]
"""


@pytest.mark.parametrize("step", ['drop = "coupon"', 'where = "coupon IS NULL"'])
def test_a_column_that_an_erasure_took_is_named_with_what_would_help(bench: PipelineBench, step: str) -> None:
    bench.send("purchases", [{"price": 2, "coupon": "x"}, {"price": 3}])
    bench.write(ERASED.replace("STEP", step))
    bench.apply()
    bench.derive()
    assert {one.problem for one in bench.buckets("erased")} == {None}
    found = [{"property_name": "price", "operator": "eq", "property_value": 2}]
    bench.change("purchases", ErasureKind.EVENTS, {"filters": found})
    bench.derive()
    [bucket] = bench.buckets("erased")
    assert "No event has 'coupon' now: name it in `columns` with its type" in str(bucket.problem)
    bench.write(ERASED.replace("STEP", step).replace('"integer"', '"integer", coupon = "string"'))
    bench.apply()
    bench.derive()
    assert [one.problem for one in bench.buckets("erased")] == [None]
    assert [row["price"] for row in bench.rows("erased")] == [3]


BOTH = """
[pipelines.both]
owner = "data@shop.example"
from = ["purchases", "refunds"]
into = "both"
"""


@pytest.mark.parametrize("value", ["x", 2.5, True, ["x"]])
def test_a_property_without_values_in_one_of_the_collections_is_null_there(
    bench: PipelineBench, value: Any
) -> None:
    bench.send("purchases", [{"coupon": None, "price": 1}])
    bench.send("refunds", [{"coupon": value, "price": 2}])
    bench.write(BOTH)
    bench.apply()
    bench.derive()
    assert {one.problem for one in bench.buckets("both")} == {None}
    stored = json.dumps(value) if isinstance(value, list) else value
    found = {row["price"]: row.get("coupon") for row in bench.rows("both")}
    assert found == {1: None, 2: stored}


class Meanwhile(LocalFileSystem):
    """Files of the operating system; before the first is created, something else happens."""

    def __init__(self, happens: Callable[[], object]) -> None:
        self._happens: Callable[[], object] | None = happens

    def create(self, path: Path) -> int:
        happens, self._happens = self._happens, None
        if happens is not None:
            happens()
        return super().create(path)


def test_a_bucket_that_two_processes_derive_at_once_is_stored_once(bench: PipelineBench) -> None:
    hour_us = bench.now_us // HOUR_US * HOUR_US
    bench.write(NEIGHBOURS)
    bench.apply()
    stored = bench.pipeline("near")
    span = (hour_us, hour_us + HOUR_US)
    times = pa.array([hour_us], pa.timestamp("us"))

    def write(fs: LocalFileSystem, number: float) -> None:
        writer = BucketWriter(bench.store.folder, bench.store.catalog, fs)
        record = DerivedBucket(*span, BucketState.FRESH, "", "", rows_out=1, changed_us=int(number))
        rows = DerivedRows(times, {("n", LaneKind.NUMBER): pa.chunked_array([[number]])})
        writer.replace(stored.id, stored.version, record, {stored.collection_id: rows}, [], 100)

    write(Meanwhile(lambda: write(LocalFileSystem(), 1.0)), 2.0)
    assert [row["n"] for row in bench.rows("near")] == [2.0]
    assert [one.changed_us for one in bench.buckets("near")] == [2]
