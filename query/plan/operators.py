"""Filter operators: translates ``property operator operand`` for each kind of column.

Types are strict: ``1`` equals ``1.0`` and not ``"1"`` or ``true``. A path has one column per kind of value
and a row fills at most one of them, so a condition is the disjunction of its conditions on each column.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Sequence
from typing import Any

from query.language.nodes import AnyOf, Condition, Filter, Group, Operator, OtherRows, Row, ValueRange
from query.plan import predicates as p
from query.plan.columns import Available, Column, ColumnKind
from query.plan.predicates import Predicate
from storage.instants import parse_instant

_INT64_MIN, _INT64_MAX = -(2**63), 2**63 - 1
_PART_OF = {
    ColumnKind.NUMBER: "number",
    ColumnKind.INTEGER: "big",
    ColumnKind.LONG: "big",
    ColumnKind.STRING: "string",
    ColumnKind.BOOLEAN: "boolean",
    ColumnKind.INSTANT: "instant",
}
"""The part of an actor that a column holds; see ``query.plan.keys.KeyPart``."""
_ELEMENT_PARTS = ("number", "big", "string", "boolean")
_SIGNS = {Operator.LT: "<", Operator.LTE: "<=", Operator.GT: ">", Operator.GTE: ">="}


Spend = Callable[[int], None]
"""Called for every filter with the number of its conditions; may raise."""


def predicate(filters: Iterable[Filter], available: Available, spend: Spend = lambda _: None) -> Predicate:
    """The conjunction of the filters over the available columns."""
    return p.all_of(_predicate(item, available, spend) for item in filters)


def filter_paths(filters: Iterable[Filter]) -> set[str]:
    """The properties of events that the filters name."""
    paths: set[str] = set()
    for item in filters:
        if isinstance(item, AnyOf):
            paths |= filter_paths(item.operands)
        elif item.session is None:
            paths.add(item.path)
    return paths


def _predicate(item: Filter, available: Available, spend: Spend) -> Predicate:
    if isinstance(item, AnyOf):
        return p.some_of(_predicate(operand, available, spend) for operand in item.operands)
    condition = _READERS[item.operator](item, available.of(item.session))
    spend(max(1, p.size_of(condition)))
    return condition


def _equal(item: Condition, available: Available) -> Predicate:
    if item.operand is None:
        return _null(item.path, available)
    return p.some_of(_equal_in(column, item.operand) for column in available.at(item.path))


def _not_equal(item: Condition, available: Available) -> Predicate:
    return p.negated(_equal(item, available))


def _null(path: str, available: Available) -> Predicate:
    """True where the value is null or missing, or a list that contains a null."""
    nulls, empties = available.paths_columns()
    valued: list[Predicate] = [p.HasValue(column) for column in available.at(path) + available.under(path)]
    if nulls is not None:
        valued.append(p.PathListed(nulls, path, at=False, below=True))
    if empties is not None:
        valued.append(p.PathListed(empties, path, at=True, below=True))
    with_null = [
        p.HasElement(column, (None,)) for column in available.at(path) if column.kind is ColumnKind.JSON
    ]
    return p.some_of((p.negated(p.some_of(valued)), *with_null))


def _exists(item: Condition, available: Available) -> Predicate:
    nulls, empties = available.paths_columns()
    present: list[Predicate] = [
        p.HasValue(column) for column in available.at(item.path) + available.under(item.path)
    ]
    present += [
        p.PathListed(column, item.path, at=True, below=True)
        for column in (nulls, empties)
        if column is not None
    ]
    exists = p.some_of(present)
    return exists if item.operand else p.negated(exists)


def _in(item: Condition, available: Available) -> Predicate:
    """True where ``eq`` is true for one of the operand's values."""
    options: list[Predicate] = []
    values = [value for value in item.operand if value is not None]
    for column in available.at(item.path):
        if column.kind is ColumnKind.JSON:
            elements = tuple(_exact(value) for value in values)
            options.append(p.HasElement(column, elements) if elements else p.FALSE)
        else:
            stored = tuple(
                cell for cell in (_stored(column.kind, value) for value in values) if cell is not None
            )
            options.append(p.OneOf(column, stored) if stored else p.FALSE)
    if len(values) < len(item.operand):
        options.append(_null(item.path, available))
    return p.some_of(options)


def _contains(item: Condition, available: Available) -> Predicate:
    options: list[Predicate] = []
    for column in available.at(item.path):
        if column.kind is ColumnKind.STRING and isinstance(item.operand, str):
            options.append(p.ContainsText(column, item.operand))
        elif column.kind is ColumnKind.JSON:
            options.append(p.HasElement(column, (_exact(item.operand),)))
    return p.some_of(options)


def _not_contains(item: Condition, available: Available) -> Predicate:
    return p.negated(_contains(item, available))


def _ordered(item: Condition, available: Available) -> Predicate:
    sign = _SIGNS[item.operator]
    return p.some_of(_ordered_in(column, sign, item.operand) for column in available.at(item.path))


def _within(item: Condition, available: Available) -> Predicate:
    return p.some_of(
        p.WithinCircle(column, item.operand)
        for column in available.at(item.path)
        if column.kind is ColumnKind.JSON
    )


def _regex(item: Condition, available: Available) -> Predicate:
    return p.some_of(
        p.Matches(column, item.operand)
        for column in available.at(item.path)
        if column.kind is ColumnKind.STRING
    )


def _in_group(item: Condition, available: Available) -> Predicate:
    """True where grouping by the row's group counts the event in that row."""
    if isinstance(item.operand, OtherRows):
        return _in_other_rows(item.operand.groups, item.operand.rows, available)
    row: Row = item.operand
    group, value = row.group, row.value
    if group.cohort is not None:
        if value is None:
            return p.negated(has_actor(group.actor, available))
        operator = Operator.IN_COHORT if value else Operator.NOT_IN_COHORT
        return _COHORT_READERS[operator](Condition(group.actor, operator, group.cohort), available)
    if group.ranges is not None:
        wanted = [one for one in group.ranges if value in (None, one.label)]
        columns = available.numeric(item.path)
        found = p.some_of(_in_range(column, one) for column in columns for one in wanted)
        return p.negated(found) if value is None else found
    if group.size is not None:
        columns = available.numeric(item.path)
        if value is None:
            return p.negated(p.some_of(p.HasValue(column) for column in columns))
        return p.InBucket(columns, group.size, _exact(value)) if columns else p.FALSE
    if value is not None:
        return p.some_of(_equal_in(column, value) for column in available.at(item.path))
    columns = available.at(item.path)
    lists = [p.WithoutValue(column) for column in columns if column.kind is ColumnKind.JSON]
    return p.some_of((p.negated(p.some_of(p.HasValue(column) for column in columns)), *lists))


def _in_other_rows(
    groups: Sequence[Group], rows: Sequence[tuple[Any, ...]], available: Available
) -> Predicate:
    """True where grouping by all groups counts the event in a row that is none of these.

    An event with lists is in a row for each combination of their elements: it has another value for the first
    group, or one of the rows' and then another row of the groups after it.
    """
    if not rows:
        return p.TRUE
    first, *later = groups
    after: dict[Any, list[tuple[Any, ...]]] = {}
    for row in rows:
        after.setdefault((type(row[0]) is bool, row[0]), []).append(row[1:])
    own = available.of(first.session)
    options = [_has_other_value(first, [value for _, value in after], own)]
    if later:
        for (_, value), ends in after.items():
            here = _in_group(first.condition(Operator.IN_GROUP, Row(first, value)), own)
            options.append(p.all_of((here, _in_other_rows(later, ends, available))))
    return p.some_of(options)


def _has_other_value(group: Group, values: Sequence[Any], available: Available) -> Predicate:
    """True where the event is in a row of the group whose value is none of these."""
    these = p.some_of(
        _in_group(group.condition(Operator.IN_GROUP, Row(group, value)), available) for value in values
    )
    plain = group.size is None and group.ranges is None and group.cohort is None
    lists = [column for column in available.at(group.path) if plain and column.kind is ColumnKind.JSON]
    elements = tuple(_exact(value) for value in values)
    without_list = p.negated(p.some_of(p.HasValue(column) for column in lists))
    others = (p.OtherElement(column, elements) for column in lists)
    return p.some_of((p.all_of((without_list, p.negated(these))), *others))


def has_actor(path: str, available: Available) -> Predicate:
    """True where the property has a value that identifies an actor."""
    return p.some_of(
        p.HasValueInList(column) if column.kind is ColumnKind.JSON else p.HasValue(column)
        for column in available.at(path)
    )


def _in_cohort(item: Condition, available: Available) -> Predicate:
    """True where the event's actor, or one of a list of them, is in the cohort."""
    tables = available.actors_of(item.operand)
    options: list[Predicate] = []
    for column in available.at(item.path):
        if column.kind is ColumnKind.JSON:
            of_elements = tuple((part, tables[part]) for part in _ELEMENT_PARTS if part in tables)
            options.append(p.HasElementInSet(column, of_elements) if of_elements else p.FALSE)
        else:
            table = tables.get(_PART_OF[column.kind])
            options.append(p.FALSE if table is None else p.InSet(column, table))
    return p.some_of(options)


def _not_in_cohort(item: Condition, available: Available) -> Predicate:
    """True where the event has an actor, and no actor of it is in the cohort."""
    return p.all_of((has_actor(item.path, available), p.negated(_in_cohort(item, available))))


_COHORT_READERS = {Operator.IN_COHORT: _in_cohort, Operator.NOT_IN_COHORT: _not_in_cohort}


def _in_range(column: Column, one: ValueRange) -> Predicate:
    ends = [(">=", one.low), ("<", one.high)]
    tests = [_ordered_in(column, sign, end) for sign, end in ends if end is not None]
    return p.all_of((p.HasValue(column), *tests))


_READERS: dict[Operator, Callable[[Condition, Available], Predicate]] = {
    Operator.EQ: _equal,
    Operator.NE: _not_equal,
    Operator.LT: _ordered,
    Operator.LTE: _ordered,
    Operator.GT: _ordered,
    Operator.GTE: _ordered,
    Operator.EXISTS: _exists,
    Operator.IN: _in,
    Operator.CONTAINS: _contains,
    Operator.NOT_CONTAINS: _not_contains,
    Operator.WITHIN: _within,
    Operator.REGEX: _regex,
    Operator.IN_GROUP: _in_group,
    **_COHORT_READERS,
}


def _equal_in(column: Column, operand: Any) -> Predicate:
    if column.kind is ColumnKind.JSON:
        if isinstance(operand, list):
            return p.ListEquals(column, tuple(_exact(element) for element in operand))
        return p.HasElement(column, (_exact(operand),))
    stored = _stored(column.kind, operand)
    return p.FALSE if stored is None else p.Compare(column, "=", stored)


def _stored(kind: ColumnKind, value: Any) -> p.Scalar | p.Instant | None:
    """The value as a column of this kind stores it; None where such a column never has an equal value."""
    value = _exact(value)
    if isinstance(value, bool):
        return value if kind is ColumnKind.BOOLEAN else None
    if isinstance(value, str):
        if kind is ColumnKind.INSTANT:
            us = parse_instant(value)
            return None if us is None else p.Instant(us)
        return value if kind is ColumnKind.STRING else None
    if isinstance(value, int | float):
        if _is_double(value):
            return float(value) if kind is ColumnKind.NUMBER else None
        if _INT64_MIN <= value <= _INT64_MAX:
            return value if kind is ColumnKind.INTEGER else None
        return str(value) if kind is ColumnKind.LONG else None
    return None


def _ordered_in(column: Column, sign: str, operand: Any) -> Predicate:
    if isinstance(operand, str):
        us = parse_instant(operand)
        if column.kind is ColumnKind.STRING:
            if us is None:
                return p.Compare(column, sign, operand)
            return p.CompareAsInstant(column, sign, p.Instant(us), operand)
        if column.kind is ColumnKind.INSTANT and us is not None:
            return p.Compare(column, sign, p.Instant(us))
        return p.FALSE
    if column.kind is ColumnKind.NUMBER:
        return _ordered_doubles(column, sign, operand)
    if column.kind is ColumnKind.INTEGER:
        return _ordered_integers(column, sign, operand)
    if column.kind is ColumnKind.LONG:
        return p.Compare(column, sign, str(_bound(sign, operand)))
    return p.FALSE


def _ordered_doubles(column: Column, sign: str, operand: int | float) -> Predicate:
    """Compares doubles; a bound that is not a double is replaced by one that keeps the same doubles."""
    try:
        nearest = float(operand)
    except OverflowError:
        below = operand > 0
        return p.HasValue(column) if below == sign.startswith("<") else p.FALSE
    if nearest == operand:
        return p.Compare(column, sign, nearest)
    upper = nearest if nearest > operand else math.nextafter(nearest, math.inf)
    return p.Compare(column, "<" if sign.startswith("<") else ">=", upper)


def _ordered_integers(column: Column, sign: str, operand: int | float) -> Predicate:
    bound = _bound(sign, operand)
    if _INT64_MIN <= bound <= _INT64_MAX:
        return p.Compare(column, sign, bound)
    below = bound > 0
    return p.HasValue(column) if below == sign.startswith("<") else p.FALSE


def _bound(sign: str, operand: int | float) -> int:
    """The integer bound that keeps the same integers as the operand."""
    return math.ceil(operand) if sign in ("<", ">=") else math.floor(operand)


def _exact(value: Any) -> Any:
    """The value, with integral floats converted to integers: ``1.0`` and ``1`` are the same number."""
    return int(value) if isinstance(value, float) and value.is_integer() else value


def _is_double(value: int | float) -> bool:
    """Whether a double equals the number exactly."""
    try:
        return float(value) == value
    except OverflowError:
        return False
