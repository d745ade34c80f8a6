"""Pieces of SQL: text and its bound values travel as one frozen ``Statement``.

What a client sent is bound; names come from the catalog and are quoted; numbers written into the text
(bucket edges, positions) were made by this server. Names of our own begin with ``$``, which no property
name may.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

from query.plan.columns import Column, ColumnKind
from query.plan.predicates import Reading

TYPES = {
    ColumnKind.NUMBER: "DOUBLE",
    ColumnKind.INTEGER: "BIGINT",
    ColumnKind.LONG: "VARCHAR",
    ColumnKind.STRING: "VARCHAR",
    ColumnKind.BOOLEAN: "BOOLEAN",
    ColumnKind.JSON: "VARCHAR",
    ColumnKind.INSTANT: "TIMESTAMP",
    ColumnKind.PATHS: "VARCHAR[]",
}


class Note(StrEnum):
    """What a step of a statement does, as the comment above it. Constants alone: what a client sent is no
    text of a statement, not even of a comment."""

    RESULTS = "the results"
    GROUPS = "the results of each group"
    ORDER = "in order"
    INTERVALS = "the interval of each event, by where intervals begin"
    TIMEFRAME = "the events of the timeframe"
    FILES = "stored in files"
    TAIL = "in no file yet"
    NOWHERE = "no file has any"
    TEXTS = "what filters compare in texts, read once"
    FILTERS = "that the filters keep"
    ELEMENTS = "one row for each element of a list"
    LISTS = "each different list, taken apart once"
    MASKS = "how many actors did the same steps"
    ACTORS = "the steps that each actor did, of those who did the first"
    STEPS = "the steps that each event counts for"
    NEWEST = "the newest events"
    TIMES = "the times of the newest events"
    SLICES = "where each slice of the newest events begins"
    PRESENT = "how many events have each property"
    NULLS = "the properties that are null somewhere"
    VALUES = "one value of each event"
    EXTENTS = "how great the numbers of each file are"


@dataclass(frozen=True, slots=True)
class Statement:
    """SQL text and the values of its ``?`` in order. Also a part of one."""

    text: str
    values: tuple[Any, ...] = ()


def sql(template: str, *parts: Statement) -> Statement:
    """The template with each ``{}`` replaced by the next part, values kept in step."""
    values = tuple(value for part in parts for value in part.values)
    return Statement(template.format(*(part.text for part in parts)), values)


def joined(separator: str, parts: Iterable[Statement]) -> Statement:
    listed = list(parts)
    text = separator.join(part.text for part in listed)
    return Statement(text, tuple(value for part in listed for value in part.values))


def noted(note: Note, part: Statement) -> Statement:
    """The part on lines of its own, below a comment that says what it does."""
    return Statement(f"\n-- {note.value}\n{part.text}", part.values)


def bound(value: Any) -> Statement:
    """A value that is never part of the text."""
    return Statement("?", (value,))


def name(identifier: str) -> Statement:
    """A quoted identifier."""
    return Statement('"' + identifier.replace('"', '""') + '"')


def whole(number: int) -> Statement:
    """An integer of the server's own."""
    return Statement(str(int(number)))


def double(value: float) -> Statement:
    """A number of the server's own; as text alone it would be a decimal."""
    return Statement(f"CAST({value!r} AS DOUBLE)")


def col(column: Column) -> Statement:
    return name(column.name)


def read(what: Reading, column: Column) -> Statement:
    """What ``reading`` read in the column's text."""
    return name(f"${what.value}.{column.name}")


def own_list(values: Sequence[Any], kind: str) -> Statement:
    return sql("CAST({} AS {})", bound(list(values)), Statement(kind + "[]"))


def instant(us: int) -> Statement:
    return sql("make_timestamp({})", whole(us))


def marked_instant(us: int) -> Statement:
    return sql("make_timestamptz({})", whole(us))


TIME_US = Statement('"$us"')
"""A row's time in µs, an integer."""
