"""SQL for a collection as a table of analysts: one readable column of each property, its lanes beside it."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from query.language.nodes import Span
from query.plan import predicates as p
from query.plan.columns import Column, ColumnKind
from query.plan.scans import Scan
from query.sql.reading import files_of, filtered
from query.sql.statement import TYPES, Statement, col, joined, name, sql

ALL_ROWS = (1 << 63) - 1
_PLACES = re.compile(r""""(?:[^"]|"")*"|'(?:[^']|'')*'|--[^\n]*|(\?)""")
"""What may hold a question mark that is no place of a value, and those that are."""
_WHOLE_MAX = 1 << 53


@dataclass(frozen=True, slots=True)
class TableColumn:
    """A column of a table: ``lanes`` are those whose values it has. Of several it is JSON."""

    name: str
    lanes: tuple[Column, ...]
    typed: ColumnKind | None = None
    """The kind of a column for one lane, also where no event has it."""


def table(scan: Scan, columns: Sequence[TableColumn], *, opaque: bool = True) -> Statement:
    """The rows of a scan with these columns.

    Under a filter of the key (``opaque``) the rows end in a LIMIT, which the engine moves no condition
    through: one of the analyst's that failed for a row which the key does not see would tell of it.
    """
    if scan.predicate == p.TRUE and scan.span == Span():
        rows, instant = sql("({})", joined("\nUNION ALL ", _sources(scan))), _as_it_is
    else:
        listed = joined(", ", map(col, scan.columns))
        end = Statement(f" LIMIT {ALL_ROWS}" if opaque else "")
        rows = sql("(SELECT {} {}{})", listed, filtered(scan), end)
        instant = _marked
    selected = [sql("{} AS {}", _cell(column, instant), name(column.name)) for column in columns]
    return sql("SELECT {} FROM {}", joined(", ", selected), rows)


def with_variables(statement: Statement, prefix: str) -> tuple[str, dict[str, Any]]:
    """The text with a variable in each place of a value, and the values of the variables.

    A view cannot have values that are bound, but its text can name variables.
    """
    variables = {f"{prefix}{number}": value for number, value in enumerate(statement.values)}
    names = iter(variables)
    text = _PLACES.sub(
        lambda found: f"getvariable('{next(names)}')" if found[1] else found[0], statement.text
    )
    return text, variables


def _as_it_is(column: Statement) -> Statement:
    return column


def _marked(column: Statement) -> Statement:
    """An instant without a zone, marked as UTC."""
    return sql("make_timestamptz(epoch_us({}))", column)


def _sources(scan: Scan) -> list[Statement]:
    """The rows of each place that has some, instants marked as UTC, so that a test of them skips files."""
    found = [_source(scan, files_of(piece), piece.held, is_marked=piece.marked) for piece in scan.pieces]
    if scan.tail is not None:
        found.append(_source(scan, name(scan.tail), scan.tail_held, is_marked=False))
    nothing = Statement("(SELECT 1 WHERE FALSE)")
    return found or [_source(scan, nothing, frozenset(), is_marked=True)]


def _source(scan: Scan, rows: Statement, held: frozenset[str], *, is_marked: bool) -> Statement:
    cells = []
    for column in scan.columns:
        cell, kind = col(column), Statement(_TYPES[column.kind])
        if column.name not in held:
            cell = sql("CAST(NULL AS {})", kind)
        elif column.kind is ColumnKind.INSTANT and not is_marked:
            cell = _marked(cell)
        cells.append(sql("{} AS {}", cell, col(column)))
    return sql("SELECT {} FROM {}", joined(", ", cells), rows)


_TYPES = {**TYPES, ColumnKind.INSTANT: "TIMESTAMPTZ"}
_READ_TYPES = {**_TYPES, ColumnKind.JSON: "JSON"}


def _cell(column: TableColumn, instant: Any) -> Statement:
    if not column.lanes:
        kind = "JSON" if column.typed is None else _READ_TYPES[column.typed]
        return sql("CAST(NULL AS {})", Statement(kind))
    if len(column.lanes) > 1:
        return sql("CAST(coalesce({}) AS JSON)", joined(", ", map(_as_json, column.lanes)))
    (lane,) = column.lanes
    if lane.kind is ColumnKind.JSON:
        return sql("CAST({} AS JSON)", col(lane))
    return instant(col(lane)) if lane.kind is ColumnKind.INSTANT else col(lane)


def _as_json(lane: Column) -> Statement:
    """The value's JSON as text; integral numbers as integers, as in every answer."""
    value = col(lane)
    match lane.kind:
        case ColumnKind.JSON | ColumnKind.LONG:
            return value
        case ColumnKind.NUMBER:
            return sql(
                "(CASE WHEN {} = trunc({}) AND abs({}) <= {} THEN CAST(CAST({} AS BIGINT) AS VARCHAR)"
                " ELSE CAST(to_json({}) AS VARCHAR) END)",
                value,
                value,
                value,
                Statement(str(_WHOLE_MAX)),
                value,
                value,
            )
        case ColumnKind.STRING:
            return sql("CAST(to_json({}) AS VARCHAR)", value)
        case _:
            return sql("CAST({} AS VARCHAR)", value)
