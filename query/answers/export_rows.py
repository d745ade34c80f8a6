"""Converts rows of an extraction to file contents: NDJSON, CSV, and Arrow tables for Parquet.

NDJSON has each event exactly as the synchronous answer has it, including nulls. A table has a column for each
path that has a value: it cannot distinguish null from absent, nor represent an empty object.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from typing import Any

import pyarrow as pa

from query.answers.export import Chunk, named_paths
from query.answers.extraction import decoded, events
from query.csv_cells import LINE_END, QUOTED, csv_text
from query.json_encoding import dumps
from query.plan.columns import Column, ColumnKind

ARROW_TYPES: Mapping[ColumnKind, pa.DataType] = {
    ColumnKind.NUMBER: pa.float64(),
    ColumnKind.INTEGER: pa.int64(),
    ColumnKind.LONG: pa.string(),
    ColumnKind.STRING: pa.string(),
    ColumnKind.BOOLEAN: pa.bool_(),
    ColumnKind.JSON: pa.string(),
    ColumnKind.INSTANT: pa.timestamp("us", "UTC"),
}


def ndjson(chunk: Chunk, properties: Collection[str] | None) -> bytes:
    """One line of JSON for each event."""
    decoded_events = events(chunk.rows, chunk.columns, chunk.paths, properties)
    return b"".join([dumps(event) + b"\n" for event in decoded_events])


class Csv:
    """CSV by RFC 4180: a header of sorted paths, a line for each event; null and absent are empty."""

    def __init__(self, held: Mapping[Column, str], properties: Collection[str] | None) -> None:
        self._paths = named_paths(properties, held.values())

    def header(self) -> bytes:
        return (",".join(csv_text(path) for path in self._paths) + LINE_END).encode()

    def lines(self, chunk: Chunk) -> bytes:
        cells = list(zip(*chunk.rows, strict=True))[1:]
        by_path: dict[str, list[str]] = {}
        for column, path, values in zip(chunk.columns, chunk.paths, cells, strict=True):
            if path:
                _fill(by_path, path, _texts(column.kind, values))
        nothing = [""] * len(chunk.rows)
        columns = [by_path.get(path, nothing) for path in self._paths]
        if len(columns) == 1:
            # Most readers skip an empty line.
            columns = [[text or '""' for text in columns[0]]]
        lines = [",".join(row) for row in zip(*columns, strict=True)] if columns else nothing
        return (LINE_END.join(lines) + LINE_END).encode()


def _fill(by_path: dict[str, list[str]], path: str, texts: list[str]) -> None:
    """Adds the texts of one column to those of its path; a row has at most one kind of value at a path."""
    known = by_path.get(path)
    by_path[path] = texts if known is None else [a or b for a, b in zip(known, texts, strict=True)]


def _texts(kind: ColumnKind, values: Sequence[Any]) -> list[str]:
    write = _WRITERS.get(kind, str)
    if kind in (ColumnKind.NUMBER, ColumnKind.INSTANT):
        values = decoded(kind, values)
    return ["" if value is None else write(value) for value in values]


def _list(value: str) -> str:
    return '"' + value.replace('"', '""') + '"' if QUOTED.search(value) else value


def _boolean(value: bool) -> str:
    return "true" if value else "false"


_WRITERS: Mapping[ColumnKind, Callable[[Any], str]] = {
    ColumnKind.NUMBER: repr,
    ColumnKind.STRING: csv_text,
    ColumnKind.JSON: _list,
    ColumnKind.BOOLEAN: _boolean,
}


class Tables:
    """Arrow tables of one schema: a column for each kind of value at each path, named as in storage."""

    def __init__(self, held: Mapping[Column, str], properties: Collection[str] | None) -> None:
        ordered = sorted(held, key=lambda column: (held[column], column.name))
        fields = {column.name: ARROW_TYPES[column.kind] for column in ordered}
        for path in named_paths(properties, held.values()):
            if path not in held.values():
                fields.setdefault(path, pa.string())
        self.schema = pa.schema(list(fields.items()))

    def table(self, chunk: Chunk) -> pa.Table:
        cells = list(zip(*chunk.rows, strict=True))[1:]
        arrays = {
            column.name: _array(column.kind, values)
            for column, path, values in zip(chunk.columns, chunk.paths, cells, strict=True)
            if path and column.name in self.schema.names
        }
        rows = len(chunk.rows)
        columns = [
            arrays[field.name] if field.name in arrays else pa.nulls(rows, field.type)
            for field in self.schema
        ]
        return pa.table(columns, schema=self.schema)


def _array(kind: ColumnKind, values: Sequence[Any]) -> pa.Array:
    if kind is ColumnKind.INSTANT:
        return pa.array(values, pa.string()).cast(pa.timestamp("us")).cast(ARROW_TYPES[kind])
    return pa.array(values, ARROW_TYPES[kind])
