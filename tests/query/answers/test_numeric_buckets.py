"""Buckets and ranges of numbers divide them as decimals: 0.3 is in the bucket 0.3 of the size 0.1."""

from __future__ import annotations

import math
import random
from collections import Counter
from dataclasses import replace
from decimal import Decimal, localcontext
from fractions import Fraction
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from query.answers.pipeline import answer
from query.engine.engine import Engine
from query.errors import InvalidQuery
from query.language.grouping import parse_groups
from query.language.nodes import Analysis, Condition, Group, Metric, MetricQuery, Operator, ParsedQuery
from query.limits import Limits
from tests.query.answers.test_reference import checked
from tests.query.plan.test_exact_sums import events_of
from tests.query.support_source import read, source_of


def ask(engine: Engine, folder: Path, values: list[Any], **how: Any) -> list[tuple[Any, int]]:
    source = source_of(events_of(values), folder, random.Random(len(values)))
    groups = parse_groups([{"property_name": "v", **how}], Limits())
    query = MetricQuery("c", (Metric(Analysis.COUNT),), groups=groups)
    rows = read(answer(ParsedQuery(query), lambda _: source, engine, limits=Limits()))["result"]
    return [(row["v"], row["result"]) for row in rows]


def lower_bound(value: Any, size: Any) -> Any:
    """As people reckon, with the decimals that both print as; a double where it is no integer."""
    with localcontext() as context:
        context.prec = 700
        steps, step = Decimal(repr(value)), Decimal(repr(size))
        count = (steps / step).to_integral_value("ROUND_FLOOR")
        while count * step > steps:
            count -= 1
        bound = count * step
        whole = bound == bound.to_integral_value()
        return int(bound) if whole and isinstance(value, int) else float(bound)


@pytest.mark.parametrize(
    ("size", "values", "bounds"),
    [
        (0.1, [0.3, 0.6, 0.7, 0.8, 0.9], [0.3, 0.6, 0.7, 0.8, 0.9]),
        (0.1, [0.29999999999999993, 0.35, 0], [0, 0.2, 0.3]),
        (0.1, [-0.3, -0.25, -0.7], [-0.7, -0.3]),
        (0.01, [1.15, 4.35, 8.7, 1.1549], [1.15, 4.35, 8.7]),
        (0.25, [0.25, 0.5, 0.74], [0.25, 0.5]),
        (0.05, [0.15, 0.35, 19.95], [0.15, 0.35, 19.95]),
        (1e-9, [3e-9, 7e-9, 0.000000123], [3e-9, 7e-9, 1.23e-7]),
        (0.3, [0.9, 1.2, 2.1, 1e15 + 0.5], None),
        (10, [9.99, 10, -0.5, 1e300], [-10, 0, 10, 1e300]),
        (1, [2**53 + 1, 2**53, 2**70 + 1], [2**53, 2**53 + 1, 2**70 + 1]),
        (7, [2**53 + 1, 2**70, -(2**70) - 1], None),
        (0.5, [2**53 + 1, 10**40 + 1], [2**53 + 1, 10**40 + 1]),
        (10**12, [10**40 + 7, 5], [0, 10**40]),
        (1e-300, [5e-300, 1.5], [5e-300, 1.5]),
        (0.3, [-2072957575907749], [-2072957575907749.2]),
        (0.3, [2072957575907748.9, 2072957575907749.0], None),
        (1.1, [2**52 + 1, 2**52 + 2, -(2**52) - 1], None),
    ],
)
def test_numbers_are_in_the_bucket_that_people_would_say(
    engine: Engine, data_folder: Path, size: Any, values: list[Any], bounds: list[Any] | None
) -> None:
    found = ask(engine, data_folder, values, buckets={"size": size})

    assert [bound for bound, _ in found] == (
        sorted({lower_bound(value, size) for value in values}) if bounds is None else bounds
    )


SIZES = [0.1, 0.01, 0.25, 0.3, 0.7, 1.1, 2.5, 10, 7, 1, 1e-9, 0.001, 12.34, 1e6]


@checked(400)
@given(data=st.data(), size=st.sampled_from(SIZES))
def test_every_value_is_in_the_bucket_that_decimals_give(
    engine: Engine, data_folder: Path, data: st.DataObject, size: Any
) -> None:
    near = st.integers(-(10**6), 10**6).map(lambda count: float(Decimal(repr(size)) * count))
    money = st.integers(-(10**9), 10**9).map(lambda cents: cents / 100)
    integers = st.integers(-(2**80), 2**80)
    values = data.draw(st.lists(st.one_of(near, money, integers), min_size=1, max_size=30))

    found = ask(engine, data_folder, values, buckets={"size": size})

    expected = Counter(lower_bound(value, size) for value in values)
    assert dict(found) == expected
    assert [bound for bound, _ in found] == sorted(expected)


@pytest.mark.parametrize("size", [0.1, 1, 2.0, 2.5, 10.0, 1e15, 3e-9, 1e22, 0.3])
@pytest.mark.parametrize("greatest", [3, 2**50 + 1, 2**53 - 1, 2**70, 1e300, -(2.0**52)])
def test_events_without_the_property_are_in_no_bucket(
    engine: Engine, data_folder: Path, size: float, greatest: float
) -> None:
    """Whatever the other events hold: how bounds are reckoned depends on it."""
    rows = ask(engine, data_folder, [greatest, None, 7, None], buckets={"size": size})
    assert rows[-1] == (None, 2)
    assert sum(count for _, count in rows) == 4


def test_ranges_have_their_ends_exactly(engine: Engine, data_folder: Path) -> None:
    values = [0.1, 0.3, 0.6, 0.7, 1.1, 1.2]
    ranges = [{"to": 0.3}, {"from": 0.3, "to": 0.7}, {"from": 0.7, "to": 1.1}, {"from": 1.1}]

    found = ask(engine, data_folder, values, ranges=ranges)

    assert [count for _, count in found] == [1, 2, 1, 2]


ENDS = st.one_of(
    st.integers(-5, 5).map(lambda step: 2**53 + step),
    st.integers(-3, 3).map(lambda step: 2**70 + step),
    st.integers(-3, 3).map(lambda step: -(2**63) + step),
    st.floats(-10, 10),
)


@checked(150)
@given(
    values=st.lists(ENDS, min_size=1, max_size=12),
    ends=st.lists(ENDS, min_size=2, max_size=40, unique=True).map(sorted),
)
def test_ends_that_no_double_holds_divide_integers_exactly(
    engine: Engine, data_folder: Path, values: list[Any], ends: list[Any]
) -> None:
    pairs = list(pairwise(ends))
    ranges = [{"from": low, "to": high, "label": f"r{n}"} for n, (low, high) in enumerate(pairs)]
    ranges.append({"from": ends[-1], "label": "above"})

    found = ask(engine, data_folder, values, ranges=ranges)

    def label(value: Any) -> str | None:
        inside = (f"r{n}" for n, (low, high) in enumerate(pairs) if low <= value < high)
        return "above" if value >= ends[-1] else next(inside, None)

    assert dict(found) == Counter(map(label, values))


@pytest.mark.parametrize("value", [10**23, int(1e300), -int(1e300), 2**1023, 2**53, int(1e22)])
def test_integers_that_doubles_hold_are_numbers_also_in_lists(
    engine: Engine, data_folder: Path, value: int
) -> None:
    """All digits of a double are told right, so that it is one group whether it stands in a list or not."""
    value = int(float(value))
    source = source_of(events_of([[value], value, [value + 1]]), data_folder, random.Random(1), 0)
    counted = MetricQuery("c", (Metric(Analysis.COUNT),), groups=(Group("v"),))
    rows = read(answer(ParsedQuery(counted), lambda _: source, engine, limits=Limits()))["result"]
    assert sorted((row["v"], row["result"]) for row in rows) == [(value, 2), (value + 1, 1)]
    holds = Condition("v", Operator.EQ, value)
    kept = replace(counted, groups=(), filters=(holds,))
    assert read(answer(ParsedQuery(kept), lambda _: source, engine, limits=Limits()))["result"] == 2


@pytest.mark.parametrize(
    "size", [1e-320, 5e-324, 1.7976931348623157e-300, 1e-200, 1e22, 1.2345678901234567e21]
)
def test_sizes_of_any_magnitude_have_a_bound(engine: Engine, data_folder: Path, size: float) -> None:
    values = [0, 1.5, -2.25, 1e15, 2**70 + 1]

    found = ask(engine, data_folder, values, buckets={"size": size})

    assert sum(count for _, count in found) == len(values)
    assert [bound for bound, _ in found] == sorted({lower_bound(value, size) for value in values})


@pytest.mark.parametrize("size", [1.1e22, 1e39, 1e308, 10**60])
def test_a_size_that_no_bound_can_be_reckoned_for_is_refused(size: float) -> None:
    with pytest.raises(InvalidQuery) as raised:
        parse_groups([{"property_name": "v", "buckets": {"size": size}}], Limits())
    assert (raised.value.code, "up to 1e22" in raised.value.message) == ("InvalidGroupByError", True)


@pytest.mark.parametrize("size", [0.3, 1, 1.5, 3])
def test_integers_beyond_every_double_are_in_buckets_that_sort(
    engine: Engine, data_folder: Path, size: float
) -> None:
    """Their bounds are integers: where the exact one has decimals, the least integer of the bucket."""
    giants = [10**400, 10**400 + 1, -(10**400), 10**400 + 7]
    found = ask(engine, data_folder, [*giants, 1], buckets={"size": size})
    step = Fraction(repr(size)) if isinstance(size, float) else Fraction(size)
    bounds = [math.floor(value / step) * step for value in giants]
    expected = Counter(math.ceil(bound) for bound in bounds)
    assert {bound: count for bound, count in found if abs(bound) > 9} == expected
    assert [bound for bound, _ in found] == sorted(bound for bound, _ in found)
