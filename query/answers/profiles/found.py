"""What a profile found of each property, and how the API says it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

from query.answers.values import number, value_order
from query.plan.columns import Column, ColumnKind
from query.plan.profile import Fact, PropertyPlan, facts_of
from query.sql.profiles import SHOWN_CHARACTERS
from storage.instants import format_instant

TYPES = {
    ColumnKind.NUMBER: "num",
    ColumnKind.INTEGER: "num",
    ColumnKind.LONG: "num",
    ColumnKind.STRING: "string",
    ColumnKind.BOOLEAN: "bool",
    ColumnKind.JSON: "list",
    ColumnKind.INSTANT: "datetime",
}
"""The names of types, as the schema has them."""

Json = dict[str, Any]


@dataclass(slots=True)
class ColumnProfile:
    """What was found of one column."""

    column: Column
    facts: dict[Fact, Any]
    distinct: int = 0
    exact: bool = True
    """Whether ``distinct`` is the number of distinct values, and ``top`` are the most frequent ones."""
    top: list[tuple[Any, int]] = field(default_factory=list)
    dates: tuple[int, int, int] | None = None
    """How many texts are dates, the first and the last of them, in µs."""

    @property
    def present(self) -> int:
        found: int = self.facts[Fact.PRESENT]
        return found


@dataclass(slots=True)
class PropertyProfile:
    """What was found of one property; ``numbers`` are the least, the greatest and the mean one."""

    plan: PropertyPlan
    columns: list[ColumnProfile]
    numbers: list[Any]
    nulls: int = 0


def value_of(column: Column, cell: Any) -> Any:
    """A frequent value as JSON; a long text is cut."""
    if column.kind is ColumnKind.NUMBER:
        return number(cell)
    if column.kind is ColumnKind.LONG:
        return int(cell)
    if column.kind is ColumnKind.INSTANT:
        return format_instant(cell)
    if column.kind is ColumnKind.STRING and len(cell) > SHOWN_CHARACTERS:
        return cell[:SHOWN_CHARACTERS] + "…"
    return cell


def nothing_of(plan: PropertyPlan) -> PropertyProfile:
    """A property without values."""
    columns = [ColumnProfile(column, dict.fromkeys(facts_of(column), 0)) for column in plan.columns]
    return PropertyProfile(plan, columns, [])


def body_of(
    events: int, first: int | None, last: int | None, over_time: Json | None, properties: list[Json]
) -> Json:
    return {
        "events": events,
        "first": None if first is None else format_instant(first),
        "last": None if last is None else format_instant(last),
        "over_time": over_time or {"interval": "daily", "counts": []},
        "properties": properties,
    }


def described(one: PropertyProfile, events: int, top: int) -> Json:
    types = _types(one)
    counted = [column for column in one.columns if Fact.DISTINCT in column.facts]
    exact = all(column.exact for column in counted)
    frequent = [pair for column in counted for pair in column.top]
    frequent.sort(key=lambda pair: (-pair[1], value_order(pair[0])))
    return {
        "name": one.plan.path,
        "types": types,
        "missing": (events - sum(types.values())) / events if events else None,
        "distinct": {"count": sum(column.distinct for column in counted), "exact": exact},
        "top": {
            "values": [{"value": value, "count": count} for value, count in frequent[:top]],
            "exact": exact,
        },
        "numbers": dict(zip(("min", "max", "mean"), one.numbers, strict=True)) if one.numbers else None,
        "dates": _dates(one.columns),
        "lengths": _lengths(one.columns),
    }


def _types(one: PropertyProfile) -> dict[str, int]:
    """How many events have a value of each type.

    The order is always the same: that of the columns may tell which type an unseen event had.
    """
    counts = dict.fromkeys(TYPES.values(), 0)
    for column in one.columns:
        counts[TYPES[column.column.kind]] += column.present
    counts["null"] = one.nulls
    return {name: count for name, count in counts.items() if count}


def _dates(columns: Sequence[ColumnProfile]) -> Json | None:
    found = [column.dates for column in columns if column.dates is not None]
    found += [
        (column.present, column.facts[Fact.FIRST], column.facts[Fact.LAST])
        for column in columns
        if column.column.kind is ColumnKind.INSTANT and column.present
    ]
    if not found:
        return None
    first, last = min(one[1] for one in found), max(one[2] for one in found)
    return {
        "count": sum(one[0] for one in found),
        "first": format_instant(first),
        "last": format_instant(last),
    }


def _lengths(columns: Sequence[ColumnProfile]) -> Json | None:
    """Lengths of texts, in characters."""
    column = next((one for one in columns if one.column.kind is ColumnKind.STRING and one.present), None)
    if column is None:
        return None
    facts = column.facts
    return {
        "min": facts[Fact.SHORTEST],
        "max": facts[Fact.LONGEST],
        "mean": number(facts[Fact.LENGTHS] / column.present),
    }
