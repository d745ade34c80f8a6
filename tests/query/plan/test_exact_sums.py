"""Sums and averages are correctly rounded, of the stored numbers, whatever files, tail and threads."""

from __future__ import annotations

import math
import random
from collections.abc import Iterator
from fractions import Fraction
from pathlib import Path
from typing import Any

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from query.answers.pipeline import answer
from query.answers.precomputed import arranged, payloads
from query.answers.values import loads
from query.engine.engine import Deadline, Engine
from query.language.nodes import Analysis, Buckets, Group, Metric, MetricQuery, Order, ParsedQuery, Span
from query.limits import Limits
from query.plan import exact_sums
from tests.query.answers.test_reference import checked
from tests.query.strategies import BASE_US, HOUR_US
from tests.query.support_source import Event, read, source_of

SUM, AVERAGE = Analysis.SUM, Analysis.AVERAGE
GROUPS = 3
TINY, HUGE = 5e-324, 1e308


@pytest.fixture(scope="module", params=[1, 4])
def engine(data_folder: Path, tmp_path_factory: pytest.TempPathFactory, request: Any) -> Iterator[Engine]:
    made = Engine(
        data_folder,
        memory_limit_bytes=256 << 20,
        threads=request.param,
        temp_folder=tmp_path_factory.mktemp("spill"),
        temp_bytes_max=0,
    )
    yield made
    made.close()


def events_of(values: list[Any]) -> list[Event]:
    """An event for each value, in the groups 0, 1, 2, 0 …, an hour apart."""
    return [
        {
            "v": value,
            "g": number % GROUPS,
            "keen": {
                "timestamp": f"2023-11-14T{number % 20:02d}:00:00.000Z",
                "created_at": "2023-11-15T00:00:00.000Z",
                "id": f"{number:024x}",
            },
        }
        for number, value in enumerate(values)
    ]


def ask(engine: Engine, folder: Path, values: list[Any], analysis: Analysis, **more: Any) -> Any:
    source = source_of(events_of(values), folder, random.Random(len(values)))
    query = MetricQuery("c", (Metric(analysis, "v"),), **more)
    return read(answer(ParsedQuery(query), lambda _: source, engine, limits=Limits()))["result"]


def expected(values: list[Any], analysis: Analysis) -> Any:
    total = sum(map(Fraction, values), Fraction(0))
    if analysis is AVERAGE:
        mean = total / max(1, len(values))
        whole = mean.denominator == 1 and abs(mean) < 1e38
        return (int(mean) if whole else float(mean)) if values else None
    try:
        rounded = float(total)
    except OverflowError:
        return None
    return int(total) if total.denominator == 1 else rounded


@pytest.mark.parametrize(
    ("values", "analysis", "result"),
    [
        ([0.1] * 1000, SUM, 100),
        ([0.1] * 1000, AVERAGE, 0.1),
        ([1e16, 1, -1e16], SUM, 1),
        ([1e16, 1, -1e16], AVERAGE, 1 / 3),
        ([1e16, 0.5, -1e16], SUM, 0.5),
        ([1e100, 0.1, -1e100], SUM, 0.1),
        ([HUGE] * 3, AVERAGE, HUGE),
        ([HUGE, HUGE, -HUGE], SUM, HUGE),
        ([HUGE] * 3, SUM, None),
        ([HUGE, TINY, -HUGE], SUM, TINY),
        ([TINY] * 3, AVERAGE, TINY),
        ([-HUGE, HUGE, 12.34], SUM, 12.34),
        ([1, 2**-53, 2**-80], SUM, 1 + 2**-52),
        ([1, 2**-53], SUM, 1),
        ([2**53, 1, 0.5, 0.5], SUM, 2**53 + 2),
        ([2**53 + 1, 0.25, 0.75], SUM, 2**53 + 2),
        ([2**64 + 1, 0.5], SUM, 2.0**64),
        ([2**64 + 1, 2**64 - 1], AVERAGE, 2**64),
        ([0.1, -0.1], SUM, 0),
        ([0.0, -0.0], SUM, 0),
        ([0.07] * 300 + [19.99] * 500, SUM, 10016),
        ([], SUM, 0),
        ([], AVERAGE, None),
    ],
)
def test_totals_lose_nothing(
    engine: Engine, data_folder: Path, values: list[Any], analysis: Analysis, result: Any
) -> None:
    assert ask(engine, data_folder, values, analysis) == result


doubles = st.floats(allow_nan=False, allow_infinity=False)
money = st.integers(-(10**7), 10**7).map(lambda cents: cents / 100)
ratios = st.floats(-1e3, 1e3, allow_nan=False)
integers = st.integers(-(2**70), 2**70)
mixed = st.one_of(money, doubles, integers, st.sampled_from([0, 0.1, 1e16, -1e16, 2**-53, 1.0]))
lists = st.one_of(*(st.lists(kind, max_size=40) for kind in (doubles, money, ratios, integers, mixed)))


@checked(300)
@given(values=lists, analysis=st.sampled_from([SUM, AVERAGE]))
def test_every_total_is_the_correctly_rounded_one(
    engine: Engine, data_folder: Path, values: list[Any], analysis: Analysis
) -> None:
    groups = [values[place::GROUPS] for place in range(min(GROUPS, len(values)))]

    found = ask(engine, data_folder, values, analysis)
    by_group = ask(engine, data_folder, values, analysis, groups=(Group("g"),))

    assert found == expected(values, analysis)
    assert by_group == [
        {"g": place, "result": expected(group, analysis)} for place, group in enumerate(groups)
    ]


@checked(100)
@given(values=st.lists(money, min_size=3, max_size=30), descending=st.booleans(), limit=st.integers(1, 3))
def test_groups_are_ordered_and_cut_by_their_exact_totals(
    engine: Engine, data_folder: Path, values: list[Any], descending: bool, limit: int
) -> None:
    totals = {place: expected(values[place::GROUPS], SUM) for place in range(GROUPS)}
    ranked = sorted(totals, key=lambda place: -totals[place] if descending else totals[place])

    found = ask(
        engine,
        data_folder,
        values,
        SUM,
        groups=(Group("g"),),
        order=(Order("result", descending),),
        limit=limit,
    )

    assert found == [{"g": place, "result": totals[place]} for place in ranked[:limit]]


@checked(60)
@given(values=st.lists(mixed, min_size=1, max_size=20))
@example(values=[2.2250738585e-313])
def test_datasets_say_what_the_question_says(engine: Engine, data_folder: Path, values: list[Any]) -> None:
    edges = tuple(BASE_US - BASE_US % (24 * HOUR_US) + step * 12 * HOUR_US for step in range(3))
    source = source_of(events_of(values), data_folder, random.Random(1))
    query = MetricQuery("c", (Metric(SUM, "v"),), Span(edges[0], edges[-1]), buckets=Buckets(edges))
    asked = read(answer(ParsedQuery(query), lambda _: source, engine, limits=Limits()))["result"]

    ((_, payload),) = payloads(
        query, ("absent",), source, engine, limits=Limits(), deadline=Deadline.after(60)
    )
    kept = arranged(query, [(payload, {edges[0]: 0, edges[1]: 1})], limits=Limits())

    assert loads(kept.decode()) == asked


def test_two_parts_that_do_not_tell_how_the_total_is_rounded_are_not_believed() -> None:
    split = exact_sums.splitter(1e6)

    assert exact_sums.rounded(100.0, 2.0**-40, 1000, split) == 100.0 + 2.0**-40
    with pytest.raises(exact_sums.Uncertain):
        exact_sums.rounded(1.0, 2.0**-53, 1000, split)
    with pytest.raises(exact_sums.Uncertain):
        exact_sums.rounded_mean(3.0, 0.0, 3_000_000, split)


@given(value=doubles)
def test_bands_hold_every_bit(value: float) -> None:
    extent = exact_sums.Extent(value, value, abs(value) or math.inf, value.is_integer())

    parts = exact_sums.bands(extent, 2_000_000)

    assert sum(2 ** (band.bits + 1) * 2_000_000 <= 2**54 for band in parts) == len(parts)
    assert not value or parts[-1].low + parts[-1].bits >= math.frexp(value)[1]
    assert not value or Fraction(value) % Fraction(2) ** parts[0].low == 0


@pytest.mark.parametrize("offset", [0.0, 1e9, 1e12, 1e15, -1e15, 2**53 - 8])
def test_a_deviation_does_not_drift_with_the_offset_of_the_values(
    engine: Engine, data_folder: Path, offset: float
) -> None:
    values = [offset + step for step in (0, 1, 2, 3)] * 50

    found = ask(engine, data_folder, values, Analysis.STANDARD_DEVIATION)

    assert found == pytest.approx(math.sqrt(1.25), rel=1e-12)


@pytest.mark.parametrize("other", [0.0, 1e12, 1e18, -1e300])
@pytest.mark.parametrize("offset", [0.0, 1e9, 1e15])
def test_a_deviation_does_not_depend_on_values_of_other_groups(
    engine: Engine, data_folder: Path, offset: float, other: float
) -> None:
    """Nor, therefore, on what filters leave out of the same file."""
    values = [value for step in (0, 1, 2, 3) * 20 for value in (offset + step, other + 2**10 * step, other)]

    found = ask(engine, data_folder, values, Analysis.STANDARD_DEVIATION, groups=(Group("g"),))
    least = ask(
        engine,
        data_folder,
        values,
        Analysis.STANDARD_DEVIATION,
        groups=(Group("g"),),
        order=(Order("result", False),),
        limit=2,
    )

    assert found[0]["result"] == pytest.approx(math.sqrt(1.25), rel=1e-10)
    assert found[2]["result"] == 0
    assert [row["g"] for row in least] == ([2, 0] if abs(other) <= 1e18 else [1, 2])


def test_sums_of_few_are_certain_though_they_are_halves_of_a_last_digit(
    engine: Engine, data_folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Such ties are common in small groups, and a question that is asked again takes many times as long."""
    values = [1.0 + 2**-51, 2.0, 100.01, 3.0, 4.0, 0.01]
    source = source_of(events_of(values), data_folder, random.Random(1), 1)
    groups = (Group("g"),)
    query = MetricQuery("c", (Metric(Analysis.SUM, "v"),), groups=groups)
    asked: list[str] = []
    run = Engine.chunks

    def counted(self: Engine, statement: Any, *rest: Any, **more: Any) -> Any:
        asked.append(statement.text)
        return run(self, statement, *rest, **more)

    monkeypatch.setattr(Engine, "chunks", counted)
    rows = read(answer(ParsedQuery(query), lambda _: source, engine, limits=Limits()))["result"]
    exact = [Fraction(0)] * GROUPS
    for number, value in enumerate(values):
        exact[number % GROUPS] += Fraction(value)
    assert {row["g"]: row["result"] for row in rows} == {
        group: float(total) for group, total in enumerate(exact)
    }
    assert not any("trunc(" in text and "GROUP BY 1 ORDER" in text for text in asked), asked
