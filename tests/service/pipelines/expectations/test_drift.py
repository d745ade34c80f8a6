"""Drift: the index in SQL against a slow one, and what follows from it."""

from __future__ import annotations

import json
import math
from collections import Counter
from collections.abc import Iterator, Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path

import duckdb
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from query.limits import Limits
from query.transforms.checks import ASIDE
from query.transforms.compile import compiled
from query.transforms.drift import BINS_MAX
from query.transforms.fields import InvalidPipeline
from query.transforms.nodes import BucketSpan, Drift, Expect, Severity
from service.pipelines.definition import CheckContext, read_folder
from service.pipelines.expectations.reports import reports_of
from tests.service.pipelines.bench import DAY_US, HOUR_US, PipelineBench
from tests.service.pipelines.times import text_at
from tests.support.scale import examples

START = datetime(2026, 11, 20, tzinfo=UTC)
START_US = int(START.timestamp()) * 1_000_000
BUCKET = BucketSpan(START_US, START_US + DAY_US)
Values = Sequence[float | str]


def told(before: Values, now: Values, too_early: Values = ()) -> dict[str, float]:
    """What the statement tells of a column."""
    whens = [
        *(START - timedelta(days=8) for _ in too_early),
        *(START - timedelta(days=7) + timedelta(seconds=n) for n in range(len(before))),
        *(START + timedelta(seconds=n) for n in range(len(now))),
    ]
    rows = pa.table(
        {
            "keen.timestamp": pa.array(whens, pa.timestamp("us", "UTC")),
            "v": pa.array([json.dumps(value) for value in [*too_early, *before, *now]], pa.string()),
        }
    )
    expect = Expect("values", (Drift("v", 0.2, 7 * DAY_US, 1),), Severity.WARN, 0.0)
    statement = compiled([expect], BUCKET, looks_back=True)
    with duckdb.connect() as connection:
        connection.register("texts", rows)
        connection.execute("CREATE TABLE input AS SELECT * REPLACE (CAST(v AS JSON) AS v) FROM texts")
        answer = connection.execute(f"SELECT {ASIDE} FROM ({statement.text})", list(statement.values))
        found = [json.loads(text) for (text,) in answer.fetchall() if text is not None]
    (drift,) = [one for one in found if "drift" in one]
    return {key: drift[key] for key in ("index", "before", "now")}


def slow_index(before: Values, now: Values) -> float:
    """The same by the words of the documentation."""
    if all(isinstance(value, float) for value in [*before, *now]):
        ordered = sorted(value for value in before if isinstance(value, float))
        tenths = range(1, 10) if ordered else ()
        deciles = {ordered[max(1, -(-len(ordered) * tenth // 10)) - 1] for tenth in tenths}

        def bin_of(value: float | str) -> object:
            return sum(cut < float(value) for cut in deciles)
    else:

        def bin_of(value: float | str) -> object:
            return str(int(value)) if isinstance(value, float) and value.is_integer() else str(value)

    old, new = Counter(map(bin_of, before)), Counter(map(bin_of, now))
    names = sorted({*old, *new}, key=lambda name: (-old[name], str(name)))
    bins = [([name]) for name in names[:BINS_MAX]] + ([names[BINS_MAX:]] if names[BINS_MAX:] else [])
    index = 0.0
    for members in bins:
        p = (sum(old[one] for one in members) + 0.5) / (len(before) + 0.5 * len(bins))
        q = (sum(new[one] for one in members) + 0.5) / (len(now) + 0.5 * len(bins))
        index += (q - p) * math.log(q / p)
    return index


numbers = st.one_of(st.integers(-5, 5).map(float), st.floats(-1e6, 1e6).map(lambda value: round(value, 3)))
texts = st.sampled_from(["a", "b", "c", "ä", "", *(f"x{n:02}" for n in range(80))])
columns = st.one_of(
    st.tuples(st.lists(numbers, max_size=60), st.lists(numbers, min_size=1, max_size=60)),
    st.tuples(st.lists(texts, max_size=200), st.lists(texts, min_size=1, max_size=60)),
    st.tuples(st.lists(st.one_of(texts, st.just(2.0)), max_size=30), st.lists(texts, min_size=1, max_size=9)),
)


@settings(max_examples=examples(200), deadline=None)
@given(columns)
def test_the_index_is_that_of_the_slow_reference(column: tuple[Values, Values]) -> None:
    before, now = column
    found = told(before, now, too_early=["elsewhen"] * 3)
    assert (found["before"], found["now"]) == (len(before), len(now))
    assert found["index"] == pytest.approx(slow_index(before, now), abs=1e-9)


def test_equal_distributions_have_none_and_opposite_ones_much() -> None:
    values = [float(n % 97) for n in range(2_000)]
    assert told(values, values)["index"] == pytest.approx(0, abs=1e-9)
    assert told(values, [value + 50 for value in values])["index"] > 1


@pytest.fixture
def bench(tmp_path: Path) -> Iterator[PipelineBench]:
    made = PipelineBench(tmp_path)
    try:
        yield made
    finally:
        made.close()


PIPELINE = """
owner = "data@shop.example"
[pipelines.made]
from = "given"
into = "made"
lookback = "2_days"
columns = { price = "number", code = "string" }
[[pipelines.made.steps]]
where = "price >= 0"
[[pipelines.made.steps]]
expect = "as before"
drift = { price = { against = "2_days", min_rows = 20 }, code = { max = 0.5, against = "1_days" } }
severity = "SEVERITY"
"""


def test_a_bucket_that_is_unlike_those_before_is_told_of_or_stops(bench: PipelineBench) -> None:
    day = bench.now_us // DAY_US * DAY_US
    for number, add in enumerate((0, 0, 40)):
        events = [
            {"price": add + n % 50, "code": "a", "keen": {"timestamp": text_at(day + n * HOUR_US // 10)}}
            for n in range(100)
        ]
        day += DAY_US * (number < 2)
        bench.send("given", events, flush=number == 2)
    # The loop has put two days of like prices before one of others.
    bench.write(PIPELINE.replace("SEVERITY", "warn"))
    bench.apply()
    bench.derive()
    first, *_, last = bench.buckets("made")
    assert all(one.problem is None for one in bench.buckets("made"))
    (report,) = reports_of(first.report)
    assert (report.broken, [one.found for one in report.rules]) == (False, [None, None])
    (report,) = reports_of(last.report)
    code, price = report.rules
    assert (report.faulty, report.broken, code.broken, price.broken) == (0, True, 0, 1)
    assert price.found is not None
    assert price.found.endswith(" of 100 values against 200 before")
    bench.write(PIPELINE.replace("SEVERITY", "stop"))
    bench.apply()
    bench.derive()
    problem = bench.buckets("made")[-1].problem
    assert problem is not None
    assert problem.startswith("The expectation 'as before' is broken: drift: price by at most 0.2: ")
    assert [one.problem for one in bench.buckets("made")[:-1]] == [None, None]


@pytest.mark.parametrize(
    ("lookback", "before", "drift", "said"),
    [
        ("1_days", "", 'price = { against = "2_days" }', "steps[0].drift: is against a longer time than"),
        ("2_days", "", "price = { max = 0.1 }", "steps[0].drift.price: lacks 'against'"),
        (
            "2_days",
            "",
            'price = { against = "2_days", max = 0 }',
            "price.max: must be a number above 0",
        ),
        ("2_days", "", 'price = { against = "2_days", bins = 3 }', "has no key 'bins'"),
        (
            "2_days",
            '{ aggregate = { values = { price = "count" } } },',
            'price = { against = "2_days" }',
            "steps[1].drift: needs the rows before the bucket, which are gone behind an 'aggregate'",
        ),
        (
            "2_days",
            '{ python = "a:b" },',
            'price = { against = "2_days" }',
            "gone behind code that is not SQL",
        ),
        (
            "2_days",
            "",
            'price = { against = "2_days" } }, severity = "quarantine", rows = { min = 1',
            "is of all rows, and none can be set aside",
        ),
    ],
)
def test_what_could_not_be_told_is_refused(
    tmp_path: Path, lookback: str, before: str, drift: str, said: str
) -> None:
    text = f"""
owner = "data@shop.example"
[pipelines.made]
from = "given"
into = "made"
lookback = "{lookback}"
steps = [{before} {{ expect = "it", drift = {{ {drift} }} }}]
"""
    (tmp_path / "pipelines.toml").write_text(text)
    with pytest.raises(InvalidPipeline) as raised:
        read_folder(tmp_path, CheckContext(Limits(), lambda _: None))
    assert said in str(raised.value)
