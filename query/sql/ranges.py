"""SQL for the ranges of ``group_by``: the position of the range that contains a number."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import Any, TypeVar

from query.language.nodes import ValueRange
from query.plan.columns import Column, ColumnKind
from query.sql.statement import Statement, bound, col, joined, own_list, sql, whole

N = TypeVar("N", int, float)
_RANGES_INLINE_MAX = 16
"""More ranges than this are looked up by binary search in a list."""


def range_index(columns: Sequence[Column], ranges: Sequence[ValueRange]) -> Statement:
    """The position of the range that contains the number. Ranges do not overlap."""
    doubles = [col(column) for column in columns if column.kind is ColumnKind.NUMBER]
    wholes = [
        sql("CAST({} AS BIGNUM)", col(column)) for column in columns if column.kind is not ColumnKind.NUMBER
    ]
    of_doubles = _range_of_double(doubles[0], ranges) if doubles else Statement("CAST(NULL AS INTEGER)")
    if not wholes:
        return of_doubles
    # Integers that no double holds are compared exactly.
    whole_number = wholes[0] if len(wholes) == 1 else sql("coalesce({})", joined(", ", wholes))
    edges, holders = _stretches(ranges, math.ceil)
    of_whole = _searched_range(whole_number, list(map(str, edges)), holders, "BIGNUM")
    return sql("coalesce({}, {})", of_doubles, of_whole)


def _range_of_double(number: Statement, ranges: Sequence[ValueRange]) -> Statement:
    if len(ranges) > _RANGES_INLINE_MAX:
        return _searched_range(number, *_stretches(ranges, _least_double), "DOUBLE")
    cases = []
    for index, value_range in enumerate(ranges):
        tests = [sql("{} IS NOT NULL", number)]
        if value_range.low is not None:
            tests.append(sql("{} >= {}", number, bound(_least_double(value_range.low))))
        if value_range.high is not None:
            tests.append(sql("{} < {}", number, bound(_least_double(value_range.high))))
        cases.append(sql("WHEN {} THEN {}", joined(" AND ", tests), whole(index)))
    return sql("(CASE {} END)", joined(" ", cases))


def _least_double(end: int | float) -> float:
    """The least double that is not below the end, which as a bound separates the same doubles."""
    nearest = float(end)
    return nearest if nearest >= end else math.nextafter(nearest, math.inf)


def _searched_range(
    number: Statement, edges: Sequence[Any], holders: Sequence[int | None], kind: str
) -> Statement:
    """A binary search in lists: parsing a CASE branch for each range would take longer than reading the data.

    Every edge begins a stretch that belongs to one range or none. The search finds the last edge that is not
    above the number, by steps that halve.
    """
    steps = [1 << bit for bit in reversed(range(len(edges).bit_length()))]
    place = sql(
        "list_reduce({}, lambda place, step: CASE WHEN place + step <= {}"
        " AND {}[place + step] <= {} THEN place + step ELSE place END, 0)",
        own_list(steps, "INTEGER"),
        whole(len(edges)),
        own_list(edges, kind),
        number,
    )
    return sql("(CASE WHEN {} IS NOT NULL THEN {}[{} + 1] END)", number, own_list(holders, "INTEGER"), place)


def _stretches(
    ranges: Sequence[ValueRange], divided_by: Callable[[int | float], N]
) -> tuple[list[N], list[int | None]]:
    """Sorted edges, and the position of the range before the first edge and after each edge, or None.

    ``divided_by`` converts an end to a number of the values' type that separates the same values.
    """
    range_from: dict[N, int | None] = {}
    first = None
    for index, value_range in enumerate(ranges):
        low, high = (None if end is None else divided_by(end) for end in (value_range.low, value_range.high))
        if low is not None and high is not None and low >= high:
            # No value lies between them.
            continue
        if low is None:
            first = index
        else:
            range_from[low] = index
        if high is not None:
            range_from.setdefault(high, None)
    edges: list[N] = sorted(range_from)
    return edges, [first, *(range_from[edge] for edge in edges)]
