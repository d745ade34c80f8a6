"""Pieces of SQL: text and its bound values travel as one frozen ``Statement``.

What a client sent is bound; names come from the catalog and are quoted; numbers written into the text
(bucket edges, positions) were made by this server. Names of our own begin with ``$``, which no property
name may.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
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
