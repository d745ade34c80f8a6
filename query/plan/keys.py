"""Group keys: a path's plain value, its numeric buckets or its ranges."""

from __future__ import annotations

from dataclasses import dataclass, replace
from enum import StrEnum
from functools import cached_property

from query.language.nodes import Condition, Group, Operator, ValueRange
from query.plan import operators
from query.plan.actors import IdLinks, actor_columns
from query.plan.columns import Column, ColumnKind
from query.plan.exact_sums import EXACT_DOUBLES
from query.plan.predicates import Predicate
from query.plan.views import View


class KeyPart(StrEnum):
    """One of the columns that together represent a group's value; at most one is non-null."""

    NUMBER = "number"
    BIG = "big"
    """Decimal text of an integer that no double holds."""
    STRING = "string"
    BOOLEAN = "boolean"
    INSTANT = "instant"
    LIST = "list"
    """The JSON text of a list, where lists are not unnested."""
    RANGE = "range"
    """The position of a range in the group's ``ranges``."""
    MISSING = "missing"
    """For an index, where all other parts are null: whether the value equals null in a filter's sense."""


@dataclass(frozen=True)
class GroupKey:
    """A value to group by: a path's columns with lists unnested, or numeric buckets, or ranges."""

    path: str
    columns: tuple[Column, ...]
    size: float | None = None
    ranges: tuple[ValueRange, ...] | None = None
    missing: Predicate | None = None
    """For an index: the predicate of the rows that a filter for null would keep."""
    greatest: float = 0.0
    """For buckets: an upper bound of the doubles' magnitudes."""
    member: Predicate | None = None
    """For a cohort: whether the row's actor is in it."""
    actor: Predicate | None = None
    """For a cohort: whether the row has an actor."""

    @cached_property
    def parts(self) -> tuple[KeyPart, ...]:
        """The key's columns in the sort order of values: numbers, strings, booleans, instants."""
        return self._values if self.missing is None else (*self._values, KeyPart.MISSING)

    @property
    def _values(self) -> tuple[KeyPart, ...]:
        if self.member is not None:
            return (KeyPart.BOOLEAN,) if self.columns else ()
        if self.ranges is not None:
            return (KeyPart.RANGE,) if self.columns else ()
        if self.size is not None:
            return (
                ((KeyPart.NUMBER, KeyPart.BIG) if self.beyond_doubles else (KeyPart.NUMBER,))
                if self.columns
                else ()
            )
        kinds = {column.kind for column in self.columns}
        lists = ColumnKind.JSON in kinds
        present = {
            KeyPart.NUMBER: lists or ColumnKind.NUMBER in kinds,
            KeyPart.BIG: lists or bool(kinds & {ColumnKind.INTEGER, ColumnKind.LONG}),
            KeyPart.STRING: lists or ColumnKind.STRING in kinds,
            KeyPart.BOOLEAN: lists or ColumnKind.BOOLEAN in kinds,
            KeyPart.INSTANT: ColumnKind.INSTANT in kinds,
        }
        return tuple(part for part, there in present.items() if there)

    @property
    def beyond_doubles(self) -> bool:
        """For buckets: whether the values may include integers that a double does not hold exactly."""
        others = any(column.kind is not ColumnKind.NUMBER for column in self.columns)
        return others or self.greatest >= EXACT_DOUBLES

    @property
    def value_parts(self) -> tuple[KeyPart, ...]:
        """The columns of the key where a list is one value."""
        if self.list_column is None:
            return self.parts
        return (*self.without_lists.parts, KeyPart.LIST)

    @property
    def without_lists(self) -> GroupKey:
        """The key of the values that are no lists."""
        return replace(self, columns=tuple(one for one in self.columns if one.kind is not ColumnKind.JSON))

    @property
    def list_column(self) -> Column | None:
        plain = self.size is None and self.ranges is None and self.member is None
        lists = (column for column in self.columns if column.kind is ColumnKind.JSON)
        return next(lists, None) if plain else None


def key_of(path: str, view: View) -> GroupKey:
    """The key for the plain value of a path, with lists unnested."""
    return GroupKey(path, view.available.at(path))


def key_of_actor(path: str, view: View, links: IdLinks | None) -> GroupKey:
    """The key for the actor's id in a path; of ids that are linked it is the one that stands for all."""
    return GroupKey(path, actor_columns(path, view.available, links))


def key_of_group(group: Group, view: View) -> GroupKey:
    if group.cohort is not None:
        condition = Condition(group.actor, Operator.IN_COHORT, group.cohort)
        return GroupKey(
            group.path,
            view.available.at(group.actor),
            member=view.condition((condition,)),
            actor=operators.has_actor(group.actor, view.available),
        )
    available = view.available.of(group.session)
    if group.size is None and group.ranges is None:
        return GroupKey(group.path, available.at(group.path))
    columns = available.numeric(group.path)
    doubles = (view.catalogued(column) for column in columns if column.kind is ColumnKind.NUMBER)
    greatest = max((extent.greatest for extent in doubles), default=0.0)
    return GroupKey(group.path, columns, group.size, group.ranges, greatest=greatest)


def key_of_index(path: str, view: View) -> GroupKey:
    null = Condition(path, Operator.EQ, None)
    return replace(key_of(path, view), missing=operators.predicate((null,), view.available))
