"""Pieces of SQL: text and its bound values are kept together in a frozen ``Statement``.

Values sent by a client are bound; names come from the catalog and are quoted; numbers written into the text
(bucket edges, positions) were computed by this server. Names of our own begin with ``$``, which no property
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
    """Comments in statements, each above the step that it describes.

    They are constants, since text sent by a client is never part of a statement, not even in a comment.
    """

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
    COHORT = "the actors of a cohort: what each did, counted"
    SESSION = "the session of each event, found by its actor and time"
    EVENTS = "the events that count for a step, their actors and times"
    ACTOR = "the actor of each event: of linked ids the one that stands for all"
    LINKS = "which ids belong together, in the order in which this was said"
    ACTIVE = "the periods in which each actor was active, as bits"
    NEWEST = "the newest events"
    TIMES = "the times of the newest events"
    SLICES = "where each slice of the newest events begins"
    PRESENT = "how many events have each property"
    NULLS = "the properties that are null somewhere"
    VALUES = "one value of each event"
    KEPT = "how many events each filter leaves"
    COMPARED = "the events to compare with those of another version"
    EXTENTS = "how great the numbers of each file are"
    TOTALS = "what the values of each property are like"
    FREQUENT = "values that may be the most frequent ones"
    FREQUENCIES = "how many events have each value, and the most frequent values of each property"
    DATES = "the texts that are dates"
    PARTIALS = "what was kept of files, and what other events contribute"
    MERGED = "what was kept of files, merged"
    SAMPLE = "a sample of the values, and between which of them each percentile may lie"
    NEAR = "each percentile, if it is where the sample says"
    RANKS = "where each value stands among those of its group"
    PERIODS = "how many events each period has"


@dataclass(frozen=True, slots=True)
class Statement:
    """SQL text of a statement, or of a part of one, and the values of its ``?`` in order."""

    text: str
    values: tuple[Any, ...] = ()


def sql(template: str, *parts: Statement) -> Statement:
    """The template with each ``{}`` replaced by the next part; values are joined in the same order."""
    values = tuple(value for part in parts for value in part.values)
    return Statement(template.format(*(part.text for part in parts)), values)


def joined(separator: str, parts: Iterable[Statement]) -> Statement:
    listed = list(parts)
    text = separator.join(part.text for part in listed)
    return Statement(text, tuple(value for part in listed for value in part.values))


def noted(note: Note, part: Statement) -> Statement:
    """The part on lines of its own, below a comment."""
    return Statement(f"\n-- {note.value}\n{part.text}", part.values)


def bound(value: Any) -> Statement:
    """A bound value, which is never part of the text."""
    return Statement("?", (value,))


def name(identifier: str) -> Statement:
    """A quoted identifier."""
    return Statement('"' + identifier.replace('"', '""') + '"')


def whole(number: int) -> Statement:
    """An integer computed by the server, written into the text."""
    return Statement(str(int(number)))


def double(value: float) -> Statement:
    """A number computed by the server; the cast is needed since a literal would be a DECIMAL."""
    return Statement(f"CAST({value!r} AS DOUBLE)")


def col(column: Column) -> Statement:
    return name(column.name)


def read(what: Reading, column: Column) -> Statement:
    """The column with the values that a reading parsed from the column's text."""
    return name(f"${what.value}.{column.name}")


def own_list(values: Sequence[Any], kind: str) -> Statement:
    return sql("CAST({} AS {})", bound(list(values)), Statement(kind + "[]"))


def instant(us: int) -> Statement:
    return sql("make_timestamp({})", whole(us))


def marked_instant(us: int) -> Statement:
    return sql("make_timestamptz({})", whole(us))


MEMBER = Statement('"$member"')
"""The one column of a table with the actors of a cohort."""
TIME_US = Statement('"$us"')
"""A row's time in µs, an integer."""
