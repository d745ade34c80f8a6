"""The first groups of the whole timeframe, and the filters of their events and of all others."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from query.answers.series.asking import GroupList
from query.answers.series.evaluation import Evaluation
from query.answers.values import NULL_ORDER, value_order
from query.engine.sorting import in_order
from query.language.nodes import AnyOf, Condition, Filter, Group, Operator, OtherRows, Row
from query.language.series.nodes import Top


def first_groups(top: Top, evaluation: Evaluation, groups: GroupList, check: Callable[[], None]) -> list[int]:
    """The groups with the greatest values, the greatest first; of equal values, the first in order."""
    check()
    numbers = in_order(list(evaluation.groups), key=lambda number: groups.orders[number])
    orders = {number: value_order(evaluation.values([top.by], number, {})[top.by][0]) for number in numbers}
    check()
    valued = [number for number in numbers if orders[number][0] != NULL_ORDER]
    valued = in_order(valued, key=lambda number: _descending(orders[number]))
    nulls = [number for number in numbers if orders[number][0] == NULL_ORDER]
    return [*valued, *nulls][: top.limit]


def _descending(order: tuple[int, Any]) -> Any:
    return -order[1]


def only_rows(groups: Sequence[Group], rows: Sequence[tuple[Any, ...]]) -> tuple[Filter, ...]:
    """Filters that keep all events of the rows, and of few others."""
    filters: list[Filter] = []
    for position, group in enumerate(groups):
        values = {(type(row[position]) is bool, row[position]): row[position] for row in rows}
        conditions = [group.condition(Operator.IN_GROUP, Row(group, value)) for value in values.values()]
        filters.append(conditions[0] if len(conditions) == 1 else AnyOf(tuple(conditions)))
    return tuple(filters)


def other_rows(groups: Sequence[Group], rows: Sequence[tuple[Any, ...]]) -> tuple[Filter, ...]:
    """The filter of the events that are in any row but these."""
    operand = OtherRows(tuple(groups), tuple(rows))
    return (Condition(groups[0].path, Operator.IN_GROUP, operand),)
