"""The plan of a profile: which columns hold a property, and which facts of each say what it is like.

A property has one column for each kind of value it was seen with, and each of its values is in one of them.
So counts of columns add up, and distinct values of columns are different values.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

from query.language.nodes import Analysis, Filter, Metric, Span
from query.plan.aggregates import MetricPlan, plan_metric
from query.plan.columns import NULLS_COLUMN, NUMERIC, TIMESTAMP_COLUMN, Column, ColumnKind
from query.plan.scans import Scan
from query.plan.views import View, Views

DISTINCT_EXACT_MAX = 10_000
"""Estimated distinct values of a column up to which they are counted one by one."""
DATE_TEXT_MAX = 64
"""Characters of the longest text that is a date."""


class Fact(StrEnum):
    """One aggregate of one column; ``query.sql.profiles`` has its expression."""

    PRESENT = "number of values"
    DISTINCT = "estimated number of distinct values"
    SHORTEST = "least length of a text"
    LONGEST = "greatest length of a text"
    LENGTHS = "sum of the lengths of all texts"
    LEAST = "beginning of the least text"
    GREATEST = "beginning of the greatest text"
    FIRST = "earliest instant, in µs"
    LAST = "latest instant, in µs"


_COUNTED = (Fact.PRESENT, Fact.DISTINCT)
_FACTS = {
    ColumnKind.STRING: (
        *_COUNTED,
        Fact.SHORTEST,
        Fact.LONGEST,
        Fact.LENGTHS,
        Fact.LEAST,
        Fact.GREATEST,
    ),
    ColumnKind.INSTANT: (*_COUNTED, Fact.FIRST, Fact.LAST),
    # The text of a list is not its value.
    ColumnKind.JSON: (Fact.PRESENT,),
}
_NUMBERS = (Analysis.MINIMUM, Analysis.MAXIMUM, Analysis.AVERAGE)


@dataclass(frozen=True, slots=True)
class ProfileQuery:
    """What a profile is asked for: properties of the events of a span that match the filters."""

    collection: str
    span: Span
    filters: tuple[Filter, ...]
    paths: tuple[str, ...]
    top: int
    """Most frequent values of each property."""


@dataclass(frozen=True, slots=True)
class PropertyPlan:
    """One property: its columns, and how least, greatest and mean number are computed, if it has numbers."""

    path: str
    columns: tuple[Column, ...]
    numbers: tuple[MetricPlan, ...]


@dataclass(frozen=True, slots=True)
class GroupedColumn:
    """A column whose values are counted one by one: all of them, or only those ``among`` these."""

    column: Column
    among: tuple[Any, ...] | None = None


@dataclass(frozen=True)
class ProfilePlan:
    """A scan of all columns of the properties; other statements read the same rows with fewer columns."""

    query: ProfileQuery
    view: View
    scan: Scan
    properties: tuple[PropertyPlan, ...]
    nulls: Column | None
    """The column that lists explicit nulls; None where no event has any."""

    def reading(self, columns: Iterable[Column]) -> Scan:
        """The scan with these columns only."""
        return self.view.restricted(self.scan, columns)


def facts_of(column: Column) -> tuple[Fact, ...]:
    """The facts that are read of a column, in order."""
    return _FACTS.get(column.kind, _COUNTED)


def plan_profile(query: ProfileQuery, views: Views) -> ProfilePlan:
    """The plan. Raises what planning of filters raises, SourceGone, and what reading extents raises."""
    view = views.view(query.collection, (query.span,))
    properties = tuple(_property(path, view) for path in query.paths)
    nulls, _ = view.available.paths_columns()
    columns = [column for one in properties for column in one.columns]
    if nulls is not None:
        columns.append(NULLS_COLUMN)
    scan = view.scan((TIMESTAMP_COLUMN, *columns), view.condition(query.filters), query.span)
    return ProfilePlan(query, view, scan, properties, nulls)


def _property(path: str, view: View) -> PropertyPlan:
    columns = view.available.at(path)
    numeric = any(column.kind in NUMERIC for column in columns)
    plans = [plan_metric(Metric(one, target=path), view) for one in _NUMBERS] if numeric else []
    return PropertyPlan(path, columns, tuple(plans))
