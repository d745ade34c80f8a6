"""Expectations that are schemas of pandera."""

from __future__ import annotations

from collections.abc import Iterator
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import pytest

from service.pipelines.expectations.reports import findings_of, reports_of
from tests.service.pipelines.bench import DAY_US, PipelineBench
from tests.service.pipelines.times import text_at

with_pandera = pytest.mark.skipif(find_spec("pandera") is None, reason="pandera is not installed: make setup")
STEPS = """
owner = "data@shop.example"
[pipelines.made]
from = "given"
into = "made"
columns = { price = "number", code = "string", odd = "boolean" }
[[pipelines.made.steps]]
expect = "orders"
schema = "checks:Orders"
severity = "SEVERITY"
"""
PANDAS = """
import pandera.pandas as pa


class Orders(pa.DataFrameModel):
    price: float = pa.Field(ge=0)
    code: str = pa.Field(isin=["a", "b"], nullable=True)

    @pa.dataframe_check
    def cheap(cls, rows):
        return rows["price"] < 100
"""
POLARS = """
import pandera.polars as pa

Orders = pa.DataFrameSchema(
    {
        "price": pa.Column(float, pa.Check.ge(0)),
        "code": pa.Column(str, pa.Check.isin(["a", "b"]), nullable=True),
    }
)
"""


@pytest.fixture
def bench(tmp_path: Path) -> Iterator[PipelineBench]:
    made = PipelineBench(tmp_path)
    try:
        yield made
    finally:
        made.close()


def derive(bench: PipelineBench, checks: str, severity: str, *events: dict[str, Any]) -> str | None:
    day = bench.now_us // DAY_US * DAY_US
    stamped = [{"keen": {"timestamp": text_at(day + n * 1_000_000)}, **one} for n, one in enumerate(events)]
    bench.send("given", stamped)
    bench.write(STEPS.replace("SEVERITY", severity), checks_py=checks)
    bench.apply()
    bench.derive()
    return bench.buckets("made")[-1].problem


def found(bench: PipelineBench) -> list[tuple[str, int, str | None]]:
    (report,) = reports_of(bench.buckets("made")[-1].report)
    return sorted((one.rule, one.broken, one.found) for one in report.rules)


GIVEN: list[dict[str, Any]] = [
    {"price": 5, "code": "a"},
    {"price": -1, "code": "c"},
    {"price": 200},
    {"code": "b"},
    {"price": 0, "code": "b"},
]


@with_pandera
@pytest.mark.parametrize("name", ["pandas", "polars"])
def test_rows_that_a_schema_refuses_are_set_aside_by_rule(bench: PipelineBench, name: str) -> None:
    assert derive(bench, PANDAS if name == "pandas" else POLARS, "quarantine", *GIVEN) is None
    rules = [
        ("code: isin(['a', 'b'])", 1, None),
        ("price: greater_than_or_equal_to(0)", 1, None),
        ("price: not_nullable", 1, None),
    ]
    # A comparison with nothing is not true, so of the model for pandas the row without a price breaks it too.
    more = [("cheap", 2, None)] if name == "pandas" else []
    assert found(bench) == sorted([*rules, *more])
    (bucket,) = bench.buckets("made")
    assert (bucket.rows_out, bucket.quarantined) == ((2, 3) if name == "pandas" else (3, 2))


@with_pandera
def test_what_is_wrong_with_all_rows_stops_the_bucket(bench: PipelineBench) -> None:
    schema = PANDAS.replace("    price: float", "    odd: float\n    weight: float\n    price: float")
    problem = derive(bench, schema, "stop", {"price": 1, "odd": True})
    assert problem is not None
    assert problem.startswith("The expectation 'orders' is broken: ")
    assert "column_in_dataframe: weight" in problem


@with_pandera
def test_a_schema_that_is_met_says_so_and_rules_of_other_buckets_are_summed(bench: PipelineBench) -> None:
    derive(bench, PANDAS, "warn", *GIVEN)
    bench.now_us += DAY_US
    derive(bench, PANDAS, "warn", {"price": 1, "code": "a"})
    assert found(bench) == [("schema: checks:Orders", 0, None)]
    (total,) = findings_of(one.report for one in bench.buckets("made"))
    assert {one.rule: one.broken for one in total.total.rules} == {
        "schema: checks:Orders": 0,
        "code: isin(['a', 'b'])": 1,
        "price: greater_than_or_equal_to(0)": 1,
        "price: not_nullable": 1,
        "cheap": 2,
    }
    # Its file is code of the folder: what it says elsewhere is said of all buckets again.
    assert bench.apply() == []
    derive(bench, PANDAS.replace("ge=0", "ge=-5"), "warn", {"price": 2})
    assert not any("greater" in (one.report or "") for one in bench.buckets("made"))


def test_without_pandera_it_is_said_how_to_install_it(bench: PipelineBench) -> None:
    problem = derive(
        bench, "raise ModuleNotFoundError('No module', name='pandera.pandas')\n", "warn", {"n": 1}
    )
    assert problem is not None
    assert (
        "It needs pandera, which is not installed beside the server: 'pip install pandera[pandas]'" in problem
    )


def test_a_name_that_is_no_schema_is_refused(bench: PipelineBench) -> None:
    problem = derive(bench, "class Orders: ...\n", "warn", {"n": 1})
    assert problem is not None
    assert problem.endswith("The module 'checks' has no DataFrameModel or DataFrameSchema 'Orders'.")
