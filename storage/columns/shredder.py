"""From logged JSON to typed Arrow columns.

Lines that passed the strict check are read in bulk by DuckDB, with all columns declared. Lines that it
rejects or would misread are shredded row by row in Python (``storage.columns.rowwise_shredder``). Both give
equal tables.
"""

from __future__ import annotations

import os
import sys
import tempfile
from array import array
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from pathlib import Path
from struct import Struct

import duckdb
import orjson
import pyarrow as pa
import pyarrow.compute as pc

from storage.columns.rowwise_shredder import lane_columns
from storage.events.strict_decoder import Node, bulk_paths, find_empty_object, tree
from storage.events.validation import InvalidEvent, leaves, parse_event
from storage.log.format import HAS_EMPTY, HAS_NULL, ROWWISE
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

MEMORY_LIMIT = "1GiB"
"""Memory limit of DuckDB, which reads some megabytes of lines at a time."""


# Not frozen: creating a frozen instance takes four times as long, and there is one for every post.
@dataclass(slots=True)
class FramePiece:
    """Logged events of one collection: one section of one frame."""

    lines: bytes | memoryview
    """NDJSON, each line ended by a newline."""
    count: int
    times: bytes | memoryview
    """``count`` int64, little-endian: ``keen.timestamp`` in µs."""
    received_us: int
    log_id: int
    first_ordinal: int
    flags: int


class Shredder:
    """Turns pieces into tables. One per thread: it owns a spool folder, and a DuckDB connection, which it
    opens for the first pieces."""

    def __init__(self, spool: Path) -> None:
        spool.mkdir(parents=True, exist_ok=True)
        self._spool = spool
        self._connection: duckdb.DuckDBPyConnection | None = None
        self._statements: dict[Schema, _Statement] = {}

    def shred(self, schema: Schema, pieces: Sequence[FramePiece]) -> pa.Table:
        """A table of one row per event, in no defined order: the system columns and the lane columns that
        have a value. Accepts every acknowledged event: the content of an event never fails a batch."""
        absent = [absences(piece) for piece in pieces]
        valued = schema.valued
        rowwise_only = [
            bool(piece.flags & ROWWISE) or _hides_value(paths, valued)
            for piece, paths in zip(pieces, absent, strict=True)
        ]
        tables = []
        if not all(rowwise_only):
            bulk = [piece for piece, alone in zip(pieces, rowwise_only, strict=True) if not alone]
            paths = [found for found, alone in zip(absent, rowwise_only, strict=True) if not alone]
            tables.append(with_system(self._bulk_lanes(schema, bulk), schema, bulk, paths))
        if any(rowwise_only):
            rowwise = [piece for piece, alone in zip(pieces, rowwise_only, strict=True) if alone]
            paths = [found for found, alone in zip(absent, rowwise_only, strict=True) if alone]
            lines = [line for piece in rowwise for line in split_lines(piece.lines)]
            tables.append(with_system(lane_columns(schema, lines), schema, rowwise, paths))
        if len(tables) == 1:
            return tables[0]
        return pa.concat_tables(tables, promote_options="default")

    def close(self) -> None:
        if self._connection is not None:
            self._connection.close()

    def open(self) -> duckdb.DuckDBPyConnection:
        """The connection, opened if necessary, which takes memory, threads and some 30 ms."""
        if self._connection is None:
            connection = duckdb.connect(
                ":memory:",
                config={
                    "threads": 1,
                    "memory_limit": MEMORY_LIMIT,
                    "temp_directory": str(self._spool),
                    "autoload_known_extensions": False,
                    "autoinstall_known_extensions": False,
                },
            )
            connection.execute("SET preserve_insertion_order = true")
            self._connection = connection
        return self._connection

    def _bulk_lanes(self, schema: Schema, pieces: Sequence[FramePiece]) -> pa.Table:
        count = sum(piece.count for piece in pieces)
        statement = self._statement(schema)
        if not statement.columns:
            return lane_columns(schema, [b"{}"] * count)
        lines = [piece.lines for piece in pieces]
        table = self._read(statement, lines, count)
        if table is not None:
            return table
        return self._bisect(schema, statement, [line for chunk in lines for line in split_lines(chunk)])

    def _bisect(self, schema: Schema, statement: _Statement, lines: list[bytes]) -> pa.Table:
        """Read lines in bulk where possible, by halving, and the rejected ones row by row, in their order."""
        if len(lines) <= 8:
            return lane_columns(schema, lines)
        middle = len(lines) // 2
        halves = []
        for half in (lines[:middle], lines[middle:]):
            table = self._read(statement, [b"\n".join(half) + b"\n"], len(half))
            halves.append(table if table is not None else self._bisect(schema, statement, half))
        return pa.concat_tables(halves, promote_options="default")

    def _read(
        self, statement: _Statement, chunks: Sequence[bytes | memoryview], count: int
    ) -> pa.Table | None:
        """The lanes of these lines; None where the bulk reader rejects or misreads them, or where the spool
        file cannot be written, which reading row by row does not need."""
        name: str | None = None
        try:
            handle, name = tempfile.mkstemp(dir=self._spool, suffix=".ndjson")
            with os.fdopen(handle, "wb", 1 << 20) as file:
                file.writelines(chunks)
            table = self.open().sql(statement.text, params=[name]).to_arrow_table()
        except (duckdb.Error, OSError, UnicodeDecodeError):
            # UnicodeDecodeError: DuckDB's message quotes the event, possibly cut within a character.
            return None
        finally:
            if name is not None:
                Path(name).unlink(missing_ok=True)
        if table.num_rows != count:
            return None
        return self._mend(statement, table, chunks)

    def _mend(self, statement: _Statement, table: pa.Table, chunks: Sequence[bytes | memoryview]) -> pa.Table:
        """Shred again, row by row, the rows that hold an object at a path which also has values."""
        if statement.conflict is None:
            return drop_empty(table)
        conflicting = table.column(statement.conflict)
        table = table.drop_columns([statement.conflict])
        where = pc.indices_nonzero(conflicting).to_pylist()
        if not where:
            return drop_empty(table)
        lines = [line for chunk in chunks for line in split_lines(chunk)]
        mended = lane_columns(statement.schema, [lines[i] for i in where])
        order = list(range(len(lines)))
        for position, row in enumerate(where):
            order[row] = len(lines) + position
        both = pa.concat_tables([table, mended], promote_options="default")
        return drop_empty(both.take(pa.array(order)))

    def _statement(self, schema: Schema) -> _Statement:
        statement = self._statements.get(schema)
        if statement is None:
            if len(self._statements) > 1_000:
                self._statements.clear()
            statement = self._statements[schema] = _Statement.of(schema)
        return statement


@dataclass(frozen=True, slots=True)
class _Statement:
    """The SELECT that reads NDJSON into a schema's lanes; its only parameter is the file's path."""

    schema: Schema
    columns: tuple[str, ...]
    text: str
    conflict: str | None

    @classmethod
    def of(cls, schema: Schema) -> _Statement:
        paths = bulk_paths(schema)
        root = tree(schema, paths & schema.valued)
        if "keen" in root.children:
            root.children["keen"].children.pop("timestamp", None)
        declared = ", ".join(f"{_literal(n)}: {_literal(_type(c))}" for n, c in root.children.items())
        outputs, conflicts = [], []
        for lane in schema.lanes:
            if lane.path in paths and lane.kind not in (LaneKind.INTEGER, LaneKind.LONG, LaneKind.NULL):
                names = lane.path.split(".")
                node = _find(root, names)
                if node is not None:
                    outputs.append((lane.column, _lane_expression(names, root, lane.kind)))
        for names in _conflicts(root, []):
            conflicts.append(f"json_type({_access(names)}) = 'OBJECT'")
        conflict = _fresh("object", {column for column, _ in outputs}) if conflicts else None
        if conflict is not None:
            outputs.append((conflict, " OR ".join(f"coalesce({c}, false)" for c in conflicts)))
        select = ", ".join(f"{text} AS {_quote(column)}" for column, text in outputs)
        text = (
            f"SELECT {select} FROM read_json(?, columns = {{{declared}}}, "
            "format = 'newline_delimited', records = 'true', auto_detect = false, "
            "maximum_object_size = 16777216)"
        )
        return cls(schema, tuple(column for column, _ in outputs), text, conflict)


def _fresh(name: str, taken: set[str]) -> str:
    folded = {column.lower() for column in taken}
    while name in folded:
        name += "_"
    return name


def _literal(text: str) -> str:
    return "'" + text.replace("'", "''") + "'"


def _quote(name: str) -> str:
    return '"' + name.replace('"', '""') + '"'


def _is_json(node: Node) -> bool:
    """Whether this property must be read as JSON and split by type."""
    return len(node.kinds) + bool(node.children) > 1


def _type(node: Node) -> str:
    if _is_json(node):
        return "JSON"
    if node.children:
        return "STRUCT(" + ", ".join(f"{_quote(n)} {_type(c)}" for n, c in node.children.items()) + ")"
    (kind,) = node.kinds
    plain = {
        LaneKind.NUMBER: "DOUBLE",
        LaneKind.STRING: "VARCHAR",
        LaneKind.BOOLEAN: "BOOLEAN",
        # A list read as text is its JSON; only lists pass the strict check here.
        LaneKind.JSON: "VARCHAR",
    }
    return plain.get(kind, "JSON")


def _find(root: Node, names: Sequence[str]) -> Node | None:
    """The node at a path; None where an ancestor is read as JSON, so that the path has no column."""
    node = root
    for depth, name in enumerate(names):
        if depth and _is_json(node):
            return None
        node = node.children[name]
    return node


def _conflicts(node: Node, names: list[str]) -> list[list[str]]:
    """The paths that have values in some events and objects in others."""
    paths = []
    for name, child in node.children.items():
        path = [*names, name]
        if child.children and child.kinds:
            paths.append(path)
        elif child.children:
            paths.extend(_conflicts(child, path))
    return paths


def _access(names: Sequence[str]) -> str:
    text = _quote(names[0])
    for name in names[1:]:
        text = f"struct_extract({text}, {_literal(name)})"
    return text


def _lane_expression(names: Sequence[str], root: Node, kind: LaneKind) -> str:
    value = _access(names)
    node = _find(root, names)
    if node is None or not _is_json(node):
        return value
    if kind is LaneKind.NUMBER:
        numbers = "('UBIGINT', 'BIGINT', 'DOUBLE')"
        return f"CASE WHEN json_type({value}) IN {numbers} THEN CAST({value} AS DOUBLE) END"
    if kind is LaneKind.STRING:
        return f"CASE WHEN json_type({value}) = 'VARCHAR' THEN json_extract_string({value}, '$') END"
    if kind is LaneKind.BOOLEAN:
        return f"CASE WHEN json_type({value}) = 'BOOLEAN' THEN CAST({value} AS BOOLEAN) END"
    return f"CASE WHEN json_type({value}) = 'ARRAY' THEN CAST({value} AS VARCHAR) END"


def split_lines(lines: bytes | memoryview) -> list[bytes]:
    """Split NDJSON into lines at line feeds only: Unicode line ends may occur inside a text."""
    return bytes(lines).split(b"\n")[:-1]


def drop_empty(table: pa.Table) -> pa.Table:
    """The table without columns that hold only nulls."""
    rows = table.num_rows
    keep = [
        name
        for name, column in zip(table.column_names, table.columns, strict=True)
        if column.null_count < rows
    ]
    if len(keep) == table.num_columns:
        return table
    if not keep:
        return pa.table({"": pa.nulls(rows)}).select([])
    return table.select(keep)


def with_system(
    lanes: pa.Table, schema: Schema, pieces: Sequence[FramePiece], absent: Sequence[Absences | None]
) -> pa.Table:
    """The lane columns, preceded by the system columns of the same events."""
    columns: dict[str, pa.Array] = {
        # There may be many pieces of one event: an Arrow array for each would cost more than all the rest.
        TIMESTAMP: _instants(b"".join([piece.times for piece in pieces])),
        CREATED_AT: _instants(b"".join([_INSTANT.pack(piece.received_us) * piece.count for piece in pieces])),
        EVENT_ID: event_ids(pieces),
    }
    columns |= _absence_columns(pieces, absent)
    for name, column in zip(lanes.column_names, lanes.columns, strict=True):
        lane = schema.by_column[name]
        columns[name] = (
            column if column.type == ARROW_TYPES[lane.kind] else column.cast(ARROW_TYPES[lane.kind])
        )
    return pa.table(columns)


def event_ids(pieces: Sequence[FramePiece]) -> pa.Array:
    """``keen.id``: 8 hex digits of the log and 16 of the ordinal, so that a replay yields the same ids."""
    text = b"".join([_hex_ids(piece) for piece in pieces])
    count = len(text) // 24
    offsets = array("i", range(0, 24 * count + 1, 24))
    return pa.StringArray.from_buffers(count, pa.py_buffer(offsets), pa.py_buffer(text))


def _hex_ids(piece: FramePiece) -> bytes:
    if piece.count == 1:
        return b"%08x%016x" % (piece.log_id, piece.first_ordinal)
    last = piece.first_ordinal + piece.count - 1
    if piece.first_ordinal >> 32 != last >> 32:
        ids = (f"{piece.log_id:08x}{piece.first_ordinal + i:016x}" for i in range(piece.count))
        return "".join(ids).encode()
    words = array("I", bytes(12 * piece.count))
    words[0::3] = array("I", [piece.log_id]) * piece.count
    words[1::3] = array("I", [piece.first_ordinal >> 32]) * piece.count
    low = piece.first_ordinal & 0xFFFFFFFF
    words[2::3] = array("I", range(low, low + piece.count))
    if sys.byteorder == "little":
        words.byteswap()
    return words.tobytes().hex().encode()


_INSTANT = Struct("<q")


def _instants(times: bytes) -> pa.Array:
    """An Arrow array of instants from little-endian int64 µs."""
    return pa.Array.from_buffers(pa.timestamp("us"), len(times) // _INSTANT.size, [None, pa.py_buffer(times)])


Absences = list[tuple[list[str], list[str]]]
"""For each event of a piece, the paths of its explicit nulls and of its empty objects."""


def absences(piece: FramePiece) -> Absences | None:
    """The nulls and empty objects of a piece; None where its flags rule them out."""
    if not piece.flags & (HAS_NULL | HAS_EMPTY):
        return None
    lines = bytes(piece.lines)
    found: Absences = [_NONE] * piece.count
    row = start = 0
    null = lines.find(b"null") if piece.flags & HAS_NULL else -1
    empty = find_empty_object(lines, 0) if piece.flags & HAS_EMPTY else -1
    # The search runs over all lines at once, so that only lines with a match are parsed.
    while null >= 0 or empty >= 0:
        match = null if empty < 0 else empty if null < 0 else min(null, empty)
        first = max(start, lines.rfind(b"\n", start, match) + 1)
        end = lines.index(b"\n", match) + 1
        row += lines.count(b"\n", start, first)
        found[row] = absent_paths(lines[first:end])
        row, start = row + 1, end
        if 0 <= null < end:
            null = lines.find(b"null", end)
        if 0 <= empty < end:
            empty = find_empty_object(lines, end)
    return found


_NONE: tuple[list[str], list[str]] = ([], [])


def _hides_value(absent: Absences | None, valued: Collection[str]) -> bool:
    """Whether an event has an object of only nulls or empty objects where the bulk reader expects a value:
    it would store the object's text."""
    if absent is None:
        return False
    for nulls, empties in absent:
        if any(path in valued for path in empties):
            return True
        for path in (*nulls, *empties):
            while "." in path:
                path = path.rpartition(".")[0]
                if path in valued:
                    return True
    return False


def _absence_columns(pieces: Sequence[FramePiece], absent: Sequence[Absences | None]) -> dict[str, pa.Array]:
    """The NULLS and EMPTIES columns, each only if an event needs it."""
    if not any(absent):
        return {}
    columns: dict[str, pa.Array] = {}
    for position, name in enumerate((NULLS, EMPTIES)):
        cells: list[list[str] | None] = []
        for piece, found in zip(pieces, absent, strict=True):
            cells.extend(
                [None] * piece.count if found is None else [paths[position] or None for paths in found]
            )
        if any(cells):
            columns[name] = pa.array(cells, SYSTEM_TYPES[name])
    return columns


def absent_paths(line: bytes) -> tuple[list[str], list[str]]:
    """The paths of one event's explicit nulls, and of its empty objects."""
    try:
        event = orjson.loads(line)
    except orjson.JSONDecodeError:
        try:
            event = parse_event(line)
        except InvalidEvent:
            return [], []
    nulls, empties = [], []
    for path, value in leaves(event):
        if value is None:
            nulls.append(path)
        elif value == {} and path not in ("keen", "keen.location"):
            empties.append(path)
    return nulls, empties
