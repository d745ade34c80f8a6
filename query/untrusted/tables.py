"""The tables that a statement reads: which collections it names, and what of them its key sees."""

from __future__ import annotations

import secrets
from collections.abc import Callable, Collection, Iterator, Sequence
from dataclasses import dataclass

import pyarrow as pa

from query.errors import InvalidQuery
from query.language.nodes import Filter, Span
from query.language.suggestions import did_you_mean
from query.plan.columns import CREATED_AT_COLUMN, ID_COLUMN, TIMESTAMP_COLUMN, Column, ColumnKind
from query.plan.views import View
from query.sql.tables import TableColumn, table, with_variables
from query.untrusted.messages import Reads, TableText
from storage.schema import SYSTEM_TYPES, Lane, LaneKind, fold, fold_column, name_column
from storage.source import DataFile

NEAREST_OF = 2_000
ALL_TIMES = Span()
_SYSTEM = (TIMESTAMP_COLUMN, CREATED_AT_COLUMN, ID_COLUMN)
_KINDS = tuple(kind for kind in LaneKind if kind is not LaneKind.NULL)
LanesOf = Callable[[View], Sequence[Lane] | None]
"""The lanes of the events that the key sees; None where it sees none."""


@dataclass(frozen=True, slots=True)
class OpenTable:
    """A table as the process gets it, the Arrow table of its tail, and what it reads."""

    text: TableText
    tail: pa.Table | None
    view: View | None
    """None for a table that is in memory as a whole."""
    columns: tuple[str, ...]

    @property
    def files(self) -> tuple[DataFile, ...]:
        return () if self.view is None else self.view.files

    @property
    def rows(self) -> int:
        """The number of rows that it reads, before any test."""
        return self.view.rows if self.view is not None else (0 if self.tail is None else self.tail.num_rows)


@dataclass(frozen=True, slots=True)
class Excerpt:
    """What a table shows of a collection, beside what the key's filters leave."""

    span: Span = ALL_TIMES
    filters: tuple[Filter, ...] = ()
    opaque: bool = True
    """Whether no condition of the statement may be tested before the key's filters."""
    typed: bool = True
    """Whether there are columns for the single lanes of properties as well."""


EVERYTHING = Excerpt()


def named_collections(reads: Reads, names: Sequence[str], *, suggests: bool) -> dict[str, str]:
    """Name as the statement spells it → the collection, of ``names``.

    A name means the collection of exactly this name, else the only one that differs in the case of letters
    alone. Raises InvalidQuery for one that means none; ``suggests``: the error may name one that is like it.
    """
    by_fold: dict[str, list[str]] = {}
    for known in names:
        by_fold.setdefault(fold(known), []).append(known)
    found: dict[str, str] = {}
    for spelt in reads.tables:
        alike = by_fold.get(fold(spelt), [])
        if spelt in alike or len(alike) == 1:
            found[spelt] = spelt if spelt in alike else alike[0]
        elif alike:
            raise InvalidQuery(
                f"'{spelt[:200]}' may be any of {', '.join(alike[:5])}, which differ in the case of letters: "
                "write the name as it is."
            )
        else:
            raise unknown_table(spelt, names if suggests else ())
    _check_apart(found)
    return found


def unknown_table(spelt: str, names: Collection[str]) -> InvalidQuery:
    """The error for a table that is no collection, or of which the key sees nothing."""
    hint = did_you_mean(spelt, list(names)[:NEAREST_OF])
    return InvalidQuery(
        f"There is no collection '{spelt[:200]}' with events that this key sees, and the statement names no "
        f"query so by WITH.{hint}"
    )


def _check_apart(found: dict[str, str]) -> None:
    """Raises InvalidQuery for collections that SQL cannot tell apart."""
    by_fold: dict[str, str] = {}
    for collection in found.values():
        other = by_fold.setdefault(fold(collection), collection)
        if other != collection:
            raise InvalidQuery(
                f"The collections '{other}' and '{collection}' differ in the case of letters alone, which "
                "SQL does not tell apart: one statement can read only one of them."
            )


def memory_table(name: str, rows: pa.Table) -> OpenTable:
    """A table of these rows."""
    tail_name = f"$tail_{secrets.token_hex(8)}"
    text = TableText(name, f'SELECT * FROM "{tail_name}"', {}, tail_name)
    return OpenTable(text, rows, None, tuple(rows.column_names))


def open_table(
    collection: str,
    view: View,
    lanes: Sequence[Lane],
    mentioned: Collection[str],
    excerpt: Excerpt = EVERYTHING,
) -> OpenTable:
    """The table of a collection. ``mentioned``: names, folded, that may be of typed columns."""
    columns = tuple(_columns(lanes, mentioned, typed=excerpt.typed))
    needed = dict.fromkeys(lane for column in columns for lane in column.lanes)
    scan = view.scan(tuple(needed), view.condition(excerpt.filters), excerpt.span)
    statement = table(scan, columns, opaque=excerpt.opaque)
    secret = secrets.token_hex(8)
    tail = view.tables(scan).get(view.name)
    text, variables = with_variables(statement, f"value_{secret}_")
    tail_name = ""
    if tail is not None:
        # A name that no statement can guess: the key's filters are not in the table itself.
        tail_name = f"$tail_{secret}"
        text = text.replace(f'"{view.name}"', f'"{tail_name}"')
    return OpenTable(
        TableText(collection, text, variables, tail_name),
        tail,
        view,
        tuple(column.name for column in columns),
    )


def _columns(lanes: Sequence[Lane], mentioned: Collection[str], *, typed: bool) -> Iterator[TableColumn]:
    """First those of every event, then the properties in the order in which they were first seen."""
    taken = {fold_column(name) for name in SYSTEM_TYPES}
    for column in _SYSTEM:
        yield TableColumn(column.name, (column,))
    by_path: dict[str, list[Lane]] = {}
    for lane in lanes:
        by_path.setdefault(lane.path, [])
        if lane.kind is not LaneKind.NULL:
            by_path[lane.path].append(lane)

    def named(path: str, kind: LaneKind, *, home: bool) -> str:
        name = name_column(path, kind, home=home, taken=taken)
        taken.add(fold_column(name))
        return name

    readable = {path: named(path, LaneKind.STRING, home=True) for path in by_path}
    for path, of_path in by_path.items():
        held = {lane.kind: Column(lane.column, ColumnKind(lane.kind.value)) for lane in of_path}
        yield TableColumn(readable[path], tuple(held.values()))
        for kind in _KINDS if typed else ():
            if (len(held) > 1 and kind in held) or fold(f"{path}:{kind.value}") in mentioned:
                own = (held[kind],) if kind in held else ()
                yield TableColumn(named(path, kind, home=False), own, ColumnKind(kind.value))
