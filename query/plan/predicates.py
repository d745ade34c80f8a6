"""Predicates on the columns of a row, as frozen nodes that contain no SQL.

A node is true, false or null for a row (null where its column is null); null counts as false everywhere, and
``Not`` of null as true.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from enum import StrEnum

from query.language.nodes import Circle
from query.plan.columns import Column

Scalar = str | int | float | bool

VALUES_INLINE_MAX = 50
"""More values than this are looked up in a hash table."""
LONG_LIST_SIZE = 100
"""Conditions that a list of more values counts as, and a bucket of numbers that no double holds."""
_EXACT_DOUBLES = 2**52


class Reading(StrEnum):
    """A value that is parsed from text before it is compared."""

    INSTANT = "instant"
    LONGITUDE = "longitude"
    LATITUDE = "latitude"
    NUMBERS = "numbers"
    """A list's elements that a double holds; other elements become null, as for STRINGS and REST."""
    STRINGS = "strings"
    REST = "rest"
    """The JSON of all other elements."""


ELEMENTS = (Reading.NUMBERS, Reading.STRINGS, Reading.REST)


@dataclass(frozen=True, slots=True)
class Instant:
    """µs since 1970 UTC, as the operand of a comparison."""

    us: int


@dataclass(frozen=True, slots=True)
class Always:
    """A constant, true or false for every row."""

    value: bool


@dataclass(frozen=True, slots=True)
class AllOf:
    operands: tuple[Predicate, ...]


@dataclass(frozen=True, slots=True)
class SomeOf:
    operands: tuple[Predicate, ...]


@dataclass(frozen=True, slots=True)
class Not:
    operand: Predicate


@dataclass(frozen=True, slots=True)
class HasValue:
    """The column is not null."""

    column: Column


@dataclass(frozen=True, slots=True)
class Compare:
    """``column sign operand``; the operand has the column's type, and sign is one of = < <= > >=."""

    column: Column
    sign: str
    operand: Scalar | Instant


@dataclass(frozen=True, slots=True)
class CompareAsInstant:
    """Text compared with an instant where it parses as one, otherwise with the instant's text."""

    column: Column
    sign: str
    instant: Instant
    text: str


@dataclass(frozen=True, slots=True)
class OneOf:
    column: Column
    operands: tuple[Scalar | Instant, ...]


@dataclass(frozen=True, slots=True)
class ContainsText:
    column: Column
    text: str


@dataclass(frozen=True, slots=True)
class Matches:
    """The text matches an RE2 pattern, unanchored."""

    column: Column
    pattern: str


@dataclass(frozen=True, slots=True)
class HasElement:
    """The list contains at least one of the elements; None is a null element."""

    column: Column
    elements: tuple[Scalar | None, ...]

    @property
    def text(self) -> str | None:
        """The only element, where it is text that cannot be mistaken for another JSON value; else None."""
        if len(self.elements) == 1 and isinstance(self.elements[0], str) and not _is_json(self.elements[0]):
            return self.elements[0]
        return None


@dataclass(frozen=True, slots=True)
class ListEquals:
    """The list has these elements, in this order, and no others."""

    column: Column
    elements: tuple[Scalar | None, ...]


@dataclass(frozen=True, slots=True)
class PathListed:
    """The list of paths contains ``path`` (if ``at``) or a path below it (if ``below``)."""

    column: Column
    path: str
    at: bool
    below: bool


@dataclass(frozen=True, slots=True)
class WithinCircle:
    """The list's first two numbers, longitude and latitude, lie within the circle."""

    column: Column
    circle: Circle


@dataclass(frozen=True, slots=True)
class WithoutValue:
    """The list is empty, or has an element that is null, an object or a list."""

    column: Column


@dataclass(frozen=True, slots=True)
class OtherElement:
    """The list has an element that is none of these; without elements it counts as having None."""

    column: Column
    elements: tuple[Scalar | None, ...]


@dataclass(frozen=True, slots=True)
class InSet:
    """The value is in a registered table of values of the column's kind."""

    column: Column
    table: str


@dataclass(frozen=True, slots=True)
class HasElementInSet:
    """The list has an element that is in a registered table: (part of an element's value, table) of each."""

    column: Column
    tables: tuple[tuple[str, str], ...]


@dataclass(frozen=True, slots=True)
class HasValueInList:
    """The list has an element with a value: not null, an object or a list."""

    column: Column


@dataclass(frozen=True, slots=True)
class InBucket:
    """The number in the columns lies in the bucket of this lower bound."""

    columns: tuple[Column, ...]
    size: float
    bound: int | float

    @property
    def is_short(self) -> bool:
        """Whether a double holds all numbers of the bucket, so that no digits need to be counted."""
        return abs(self.bound) + self.size < _EXACT_DOUBLES


Predicate = (
    Always
    | AllOf
    | SomeOf
    | Not
    | HasValue
    | Compare
    | CompareAsInstant
    | OneOf
    | ContainsText
    | Matches
    | HasElement
    | ListEquals
    | PathListed
    | WithinCircle
    | WithoutValue
    | OtherElement
    | InSet
    | HasElementInSet
    | HasValueInList
    | InBucket
)

TRUE = Always(True)
FALSE = Always(False)


def all_of(operands: Iterable[Predicate]) -> Predicate:
    """True where every operand is true; constants are folded."""
    kept = tuple(operand for operand in operands if operand != TRUE)
    if FALSE in kept:
        return FALSE
    return kept[0] if len(kept) == 1 else AllOf(kept) if kept else TRUE


def some_of(operands: Iterable[Predicate]) -> Predicate:
    """True where any operand is true; constants are folded, and equalities of one column are merged."""
    kept = tuple(operand for operand in operands if operand != FALSE)
    if TRUE in kept:
        return TRUE
    kept = _merged(kept)
    return kept[0] if len(kept) == 1 else SomeOf(kept) if kept else FALSE


def _merged(operands: tuple[Predicate, ...]) -> tuple[Predicate, ...]:
    equal: dict[Column, list[Scalar | Instant]] = {}
    others: list[Predicate] = []
    for operand in operands:
        if isinstance(operand, Compare) and operand.sign == "=":
            equal.setdefault(operand.column, []).append(operand.operand)
        else:
            others.append(operand)
    merged: list[Predicate] = [
        Compare(column, "=", values[0]) if len(values) == 1 else OneOf(column, tuple(values))
        for column, values in equal.items()
    ]
    return (*merged, *others)


def negated(operand: Predicate) -> Predicate:
    if isinstance(operand, Always):
        return Always(not operand.value)
    return operand.operand if isinstance(operand, Not) else Not(operand)


def _is_json(text: str) -> bool:
    try:
        json.loads(text)
    except (ValueError, RecursionError):
        # The engine may read text that resembles a number as one, though Python refuses it.
        return text[:1] in "-+.0123456789[{NnIi"
    return True


def columns_of(predicate: Predicate) -> Iterator[Column]:
    """Every column that the predicate reads, some more than once."""
    if isinstance(predicate, AllOf | SomeOf):
        for operand in predicate.operands:
            yield from columns_of(operand)
    elif isinstance(predicate, Not):
        yield from columns_of(predicate.operand)
    elif isinstance(predicate, InBucket):
        yield from predicate.columns
    elif not isinstance(predicate, Always):
        yield predicate.column


def size_of(predicate: Predicate) -> int:
    """The number of conditions in the predicate; a long list counts as many, being a table to the engine.

    Lists of paths do not count: whether there are any depends on events that a key may not see.
    """
    match predicate:
        case PathListed():
            return 0
        case AllOf(operands=operands) | SomeOf(operands=operands):
            return sum(map(size_of, operands))
        case Not(operand=operand):
            return size_of(operand)
        case InBucket(is_short=False) | InSet() | HasElementInSet():
            return LONG_LIST_SIZE
        case OneOf(operands=operands) if len(operands) > VALUES_INLINE_MAX:
            return LONG_LIST_SIZE
    return 1


def readings_of(predicate: Predicate) -> Iterator[tuple[Reading, Column]]:
    """Everything that the predicate parses from text columns, some more than once."""
    match predicate:
        case AllOf(operands=operands) | SomeOf(operands=operands):
            for operand in operands:
                yield from readings_of(operand)
        case Not(operand=operand):
            yield from readings_of(operand)
        case CompareAsInstant(column=column):
            yield Reading.INSTANT, column
        case WithinCircle(column=column):
            yield Reading.LONGITUDE, column
            yield Reading.LATITUDE, column
        case ListEquals(column=column):
            yield from ((reading, column) for reading in ELEMENTS)
        case HasElement(column=column, text=None):
            yield from ((reading, column) for reading in ELEMENTS)
