"""Sources for tests, made of Python events by a slow and obvious shredder of its own.

Events are dicts as clients send them, with a complete ``keen`` object whose times are ISO text.
"""

from __future__ import annotations

import json
import random
from pathlib import Path
from typing import Any
from uuid import uuid4

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from query import json_encoding
from query.answers.pipeline import Answer
from storage.instants import parse_instant
from storage.schema import (
    ARROW_TYPES,
    CREATED_AT,
    EMPTIES,
    EVENT_ID,
    NULLS,
    SYSTEM_TYPES,
    TIMESTAMP,
    LaneKind,
    Schema,
)
from storage.source import DataFile, Source

Event = dict[str, Any]


def read(given: Answer) -> Any:
    """The body of an answer as a client reads it."""
    return json.loads(json_encoding.dumps(given.body))


def kind_of(value: Any) -> LaneKind:
    """The lane of a scalar or list."""
    if isinstance(value, bool):
        return LaneKind.BOOLEAN
    if isinstance(value, str):
        return LaneKind.STRING
    if isinstance(value, list):
        return LaneKind.JSON
    if isinstance(value, float):
        return LaneKind.NUMBER
    try:
        if float(value) == value:
            return LaneKind.NUMBER
    except OverflowError:
        return LaneKind.LONG
    return LaneKind.INTEGER if -(2**63) <= value < 2**63 else LaneKind.LONG


def leaves(event: Event, prefix: str = "") -> list[tuple[str, Any]]:
    """Every (path, value): scalars, lists, None and ``{}``."""
    found: list[tuple[str, Any]] = []
    for name, value in event.items():
        if isinstance(value, dict) and value:
            found += leaves(value, f"{prefix}{name}.")
        else:
            found.append((prefix + name, value))
    return found


def cells_of(event: Event) -> dict[Any, Any]:
    """(path, kind) → cell; the system columns by their names."""
    cells: dict[Any, Any] = {NULLS: [], EMPTIES: []}
    for path, value in leaves(event):
        if path in (TIMESTAMP, CREATED_AT):
            cells[path] = parse_instant(value)
        elif path == EVENT_ID:
            cells[path] = value
        elif value is None:
            cells[NULLS].append(path)
        elif value == {}:
            cells[EMPTIES].append(path)
        else:
            kind = kind_of(value)
            stored = value
            if kind is LaneKind.NUMBER:
                stored = float(value)
            elif kind is LaneKind.LONG:
                stored = str(value)
            elif kind is LaneKind.JSON:
                stored = json.dumps(value, ensure_ascii=len(path) % 2 == 0)
            cells[(path, kind)] = stored
    return {name: cell for name, cell in cells.items() if cell != []}


def schema_of(events: list[Event]) -> Schema:
    wanted = [key for event in events for key in cells_of(event) if isinstance(key, tuple)]
    return Schema().extended(wanted)


def table_of(events: list[Event], schema: Schema) -> pa.Table:
    """Only the columns that one of the events has a value for, and the three system columns."""
    rows = [cells_of(event) for event in events]
    columns: dict[str, pa.Array] = {}
    for name, kind in SYSTEM_TYPES.items():
        if name in (TIMESTAMP, CREATED_AT, EVENT_ID) or any(name in row for row in rows):
            columns[name] = pa.array([row.get(name) for row in rows], kind)
    for lane in schema.lanes:
        values = [row.get((lane.path, lane.kind)) for row in rows]
        if any(value is not None for value in values):
            columns[lane.column] = pa.array(values, ARROW_TYPES[lane.kind])
    return pa.table(columns)


def write_file(table: pa.Table, path: Path, *, marked: bool = True) -> DataFile:
    """``marked``: as files are written now; else as an older server did, with instants without zone."""
    instant = pa.timestamp("us", "UTC") if marked else pa.timestamp("us")
    stored = table.sort_by(TIMESTAMP)
    for name in (TIMESTAMP, CREATED_AT):
        position = stored.column_names.index(name)
        stored = stored.set_column(position, name, stored.column(name).cast(instant))
    pq.write_table(stored, path, store_schema=False)
    times = table.column(TIMESTAMP).cast(pa.int64())
    magnitudes: dict[str, float | None] = {}
    for name in table.column_names:
        number = table.schema.field(name).type == pa.float64()
        magnitudes[name] = pc.max(pc.abs(table.column(name))).as_py() if number else None
    return DataFile(
        str(path),
        table.num_rows,
        path.stat().st_size,
        pc.min(times).as_py(),
        pc.max(times).as_py(),
        magnitudes,
        marked=marked,
    )


def source_of(events: list[Event], folder: Path, rng: random.Random, files_max: int = 3) -> Source:
    """The events at random in up to ``files_max`` files of both kinds and the tail."""
    schema = schema_of(events)
    places: list[list[Event]] = [[] for _ in range(rng.randint(0, files_max) + 1)]
    for event in events:
        rng.choice(places).append(event)
    files = []
    for number, held in enumerate(places[1:]):
        if held:
            # As in the store, no name is ever used again: the engine remembers what it has read of a file.
            path = folder / f"{uuid4().hex}-{number}.parquet"
            files.append(write_file(table_of(held, schema), path, marked=rng.random() < 0.5))
    tail = table_of(places[0], schema) if places[0] else None
    return Source(schema, tuple(files), tail)
