"""The slow, simple shredder, one event at a time. The bulk reader's results must equal its results."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from typing import Any

import pyarrow as pa

from storage.events.validation import kind_of, leaves, parse_event
from storage.schema import ARROW_TYPES, LaneKind, Schema


def lane_columns(schema: Schema, lines: Sequence[bytes]) -> pa.Table:
    """A table of one row per line, with the lane columns that any line has a value for, in schema order."""
    columns = {(lane.path, lane.kind): lane.column for lane in schema.lanes}
    cells: dict[str, list[Any]] = {}
    for row, line in enumerate(lines):
        for path, kind, value in _values(line):
            column = columns[(path, kind)]
            if column not in cells:
                cells[column] = [None] * len(lines)
            cells[column][row] = cell(value, kind)
    arrays = {
        lane.column: pa.array(cells[lane.column], ARROW_TYPES[lane.kind])
        for lane in schema.lanes
        if lane.column in cells
    }
    return pa.table(arrays) if arrays else pa.table({"": pa.nulls(len(lines))}).select([])


def lanes_of(line: bytes) -> list[tuple[str, LaneKind]]:
    """The (path, kind) pairs of the values of one event."""
    return [(path, kind) for path, kind, _ in _values(line)]


def wanted_of(line: bytes) -> list[tuple[str, LaneKind]]:
    """The (path, kind) pairs for which one event needs lanes: those of its values and its explicit nulls."""
    nulls = [(path, LaneKind.NULL) for path, value in leaves(parse_event(line)) if value is None]
    return lanes_of(line) + nulls


def _values(line: bytes) -> Iterator[tuple[str, LaneKind, Any]]:
    for path, value in leaves(parse_event(line)):
        if value is not None and value != {} and path != "keen.timestamp":
            yield path, kind_of(value), value


def cell(value: Any, kind: LaneKind) -> Any:
    """Convert a JSON value to what its lane stores."""
    if kind is LaneKind.NUMBER:
        return float(value)
    if kind is LaneKind.LONG:
        return str(value)
    if kind is LaneKind.JSON:
        return json.dumps(value, ensure_ascii=False, separators=(",", ":"))
    return value
