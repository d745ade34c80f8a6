"""Reads tables for imports: CSV, TSV, Parquet and Arrow IPC, one event per row.

pyarrow parses the files, and this module converts rows to the JSON of events. A column ``user.id`` is the
property ``id`` within ``user``; an empty cell means that the event does not have the property. The types of
text columns are inferred from the whole file before the first event is sent, so that a column has one type
throughout.
"""

from __future__ import annotations

import base64
import io
import zlib
from collections import Counter, deque
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from decimal import Decimal
from pathlib import Path
from typing import IO, Any

import msgspec
import orjson
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.csv
import pyarrow.ipc
import pyarrow.parquet as pq

from service.imports import csv_text
from service.imports.formats import ImportFormat, Sniffed
from service.imports.json_source import BadSource, Counted, Item, ItemBatch, Unpacked, batched
from service.imports.times import ReadTime

BLOCK_BYTES = 8 << 20
"""Block size for text formats; a row may not be longer."""
TABLE_ROWS = 10_000
KINDS = ("auto", "text", "number", "boolean", "json")
COLUMNS_NAMED = 50
"""Columns that a message lists."""
BROKEN_ROWS_MAX = 100_000
"""Rows in succession that are no rows of the table; more than a batch of good rows may stand among them."""
ROW_TEXT_MAX = 20_000
DEPTH_MAX = 100
"""Dots in a column's name."""
_FAULTS = (pa.ArrowException, zlib.error, OSError, EOFError)
"""What reading a file that is not sound may raise."""

_NUMBER = r"^-?(0|[1-9][0-9]*)(\.[0-9]+)?([eE][+-]?[0-9]{1,3})?$"
_BOOLEAN = r"^(?i:true|false)$"
_TIME = r"^\d{4}-[01]\d-[0-3]\d([Tt ][0-2]\d:[0-5]\d(:[0-5]\d(\.\d+)?)?([Zz]|[+-]\d\d(:?\d\d)?)?)?$"
_PATTERNS = {"number": _NUMBER, "boolean": _BOOLEAN, "time": _TIME}
_one = msgspec.json.Decoder(msgspec.Raw)


@dataclass(frozen=True, slots=True)
class TableOptions:
    """The options about columns."""

    types: Mapping[str, str] = field(default_factory=dict)
    """Column → one of KINDS."""
    columns: tuple[str, ...] = ()
    """Column names of a file without a header."""
    timestamp: str | None = None
    """The column that holds the event's time, converted by ``read_time``."""
    read_time: ReadTime | None = None


class BadRow(ValueError):
    """A row that cannot become an event; the text says which column is at fault, and why.

    ``cell`` is the JSON of the cell at fault.
    """

    def __init__(self, why: str, cell: bytes = b"null") -> None:
        super().__init__(why)
        self.cell = cell


class TableSource:
    """One file as batches of events, cut equally whenever the file is read with the same options."""

    def __init__(
        self,
        path: Path,
        sniffed: Sniffed,
        options: TableOptions,
        *,
        packed: bool,
        name: str = "",
        unpacked_bytes_max: int | None = None,
        check: Callable[[], None] = lambda: None,
    ) -> None:
        """``name``: what messages call the file; by default its path. ``check`` is called while the file is
        read, and may raise. BadSource is raised beyond ``unpacked_bytes_max``."""
        self.name = name or str(path)
        self.size = path.stat().st_size
        self.broken_rows: deque[Item] = deque()
        """Rows read so far with more or fewer cells than the header, in their order."""
        self._broken_numbers: deque[int] = deque()
        """Numbers of broken rows that no row has been read after yet."""
        self._path = path
        self._sniffed = sniffed
        self._options = options
        self._packed = packed
        self._unpacked_bytes_max = unpacked_bytes_max
        self._call_check = check
        self._counted: Counted | None = None
        self._opened: list[IO[bytes]] = []
        self._kinds: dict[str, str] = {}
        self._finder = csv_text.RowFinder(self._utf8_chunks, sniffed.delimiter)

    @property
    def position(self) -> int:
        return self._counted.position if self._counted is not None else 0

    @property
    def found_types(self) -> Mapping[str, str]:
        """Column → its inferred or specified type; available once batches are read."""
        return self._kinds

    def close(self) -> None:
        for file in self._opened:
            file.close()
        self._opened.clear()

    def as_in_file(self, items: Sequence[Item]) -> list[Item]:
        if not self.is_text:
            return list(items)
        return [self._as_in_file(item) for item in items]

    def _as_in_file(self, item: Item) -> Item:
        found = self._finder.find(item.number + self._header_rows)
        return item if found is None else replace(item, line=found[0], text=found[1])

    @property
    def is_text(self) -> bool:
        return self._sniffed.format in (ImportFormat.CSV, ImportFormat.TSV)

    @property
    def _header_rows(self) -> int:
        return 0 if self._options.columns else 1

    def batches(self) -> Iterator[ItemBatch]:
        """Read the file. Raises BadSource if it cannot be read, or its columns cannot become events."""
        return batched(self._items())

    def _items(self) -> Iterator[Item]:
        try:
            if self.is_text:
                names = self.text_names()
                if not names:
                    return
                self._kinds = self._infer(names)
                tables = self._text_batches(names, note=True)
            else:
                tables = self.binary_batches()
            yield from self._rows(tables)
        except _FAULTS as error:
            raise self._unreadable(error) from None

    def _unreadable(self, error: BaseException) -> BadSource:
        return BadSource(f"{self.name} cannot be read: {_first_line(error)}")

    def cells(self, names: Sequence[str]) -> Iterator[pa.RecordBatch]:
        """The cells of the whole file, read once, of one whose events are not read. Raises BadSource."""
        try:
            yield from self._text_batches(names, note=True) if self.is_text else self.binary_batches()
        except _FAULTS as error:
            raise self._unreadable(error) from None

    def row_count(self) -> int | None:
        """The number of rows, where the file says it. Raises BadSource."""
        if self._sniffed.format is not ImportFormat.PARQUET or self._packed:
            return None
        try:
            return int(pq.read_metadata(self._path).num_rows)
        except _FAULTS as error:
            raise self._unreadable(error) from None

    def first_items(self, table: pa.RecordBatch, kinds: Mapping[str, str]) -> list[Item]:
        """The first rows of a file, whose columns have these types, as events."""
        self._kinds = dict(kinds)
        return list(self._rows(iter([table])))

    def _rows(self, tables: Iterator[pa.RecordBatch]) -> Iterator[Item]:
        number = taken = 0
        tree: Tree | None = None
        for table in tables:
            if tree is None:
                self._check(table.schema.names)
                tree = _tree(table.schema.names, self._options.timestamp)
            cells = [self._cells(name, table.column(name)) for name in table.schema.names]
            for row in zip(*cells, strict=True):
                taken += 1
                number += 1
                while self._broken_numbers and self._broken_numbers[0] == number:
                    self._broken_numbers.popleft()
                    number += 1
                yield _item(number, taken, row, tree)

    def _check(self, names: Sequence[str]) -> None:
        """Raises BadSource if the columns cannot be properties, or an option names a missing column."""
        doubled = sorted(name for name, count in Counter(names).items() if count > 1)
        if doubled:
            raise BadSource(f"{self.name} has two columns named '{doubled[0]}'.")
        deep = next((name for name in names if name.count(".") > DEPTH_MAX), None)
        if deep is not None:
            raise BadSource(f"{self.name}: the column '{deep[:60]}…' has more than {DEPTH_MAX} dots.")
        if "" in names:
            raise BadSource(f"{self.name}: column {list(names).index('') + 1} has no name.")
        required = [*self._options.types, *([self._options.timestamp] if self._options.timestamp else [])]
        for name in required:
            if name not in names:
                raise BadSource(f"{self.name} has no column '{name}'; it has {_listed(names)}.")

    # Text

    def _check_quotes(self) -> None:
        """Raises BadSource if a quote is never closed: its cell would take in all rows up to the next one."""
        line = csv_text.unclosed_quote(self._utf8_chunks(), self._sniffed.delimiter)
        if line is not None:
            raise BadSource(
                f"{self.name}: a quote that is opened on line {line} is never closed, and nothing was "
                'imported. Close it there; a quote within a text in quotes is written "".'
            )

    def _utf8_chunks(self) -> Iterator[bytes]:
        with open(self._path, "rb") as raw:
            for chunk in csv_text.chunks(self._unpacked(raw), self._sniffed.encoding):
                self._call_check()
                yield chunk

    def _unpacked(self, raw: IO[bytes] | io.BufferedIOBase) -> io.BufferedIOBase | IO[bytes]:
        return Unpacked(raw, self._unpacked_bytes_max) if self._packed else raw

    def text_names(self, *, check_quotes: bool = True) -> list[str]:
        """The names of the columns, once all of the file is found to have its quotes closed; none of an empty
        file. Raises BadSource."""
        try:
            if not any(text.strip() for text in self._utf8_chunks()):
                return []
            if check_quotes:
                self._check_quotes()
            names = list(self._options.columns) or list(self._reader(None, note=False).schema.names)
        except StopIteration:
            return []
        except _FAULTS as error:
            raise self._unreadable(error) from None
        self._check(names)
        return names

    def _reader(self, names: Sequence[str] | None, *, note: bool) -> pyarrow.csv.CSVStreamingReader:
        """Open the file with cells as bytes, so that invalid UTF-8 affects one row and not the whole file."""
        self.close()

        def skip(row: pyarrow.csv.InvalidRow) -> str:
            if note:
                why = f"The row has {row.actual_columns} cells, where the header has {row.expected_columns}."
                number = row.number - self._header_rows
                if len(self.broken_rows) < BROKEN_ROWS_MAX:
                    self.broken_rows.append(Item(number, 0, (row.text or "")[:ROW_TEXT_MAX].encode(), why))
                if len(self._broken_numbers) < BROKEN_ROWS_MAX:
                    self._broken_numbers.append(number)
            return "skip"

        types = {name: pa.binary() for name in names or ()}
        return pyarrow.csv.open_csv(
            self._stream(),
            read_options=pyarrow.csv.ReadOptions(
                block_size=BLOCK_BYTES,
                encoding="utf8" if self._sniffed.encoding == "utf-8" else self._sniffed.encoding,
                column_names=list(self._options.columns) or None,
                # With threads, pyarrow does not say which row is broken.
                use_threads=False,
            ),
            parse_options=pyarrow.csv.ParseOptions(
                delimiter=self._sniffed.delimiter,
                newlines_in_values=True,
                invalid_row_handler=skip,
            ),
            convert_options=pyarrow.csv.ConvertOptions(
                column_types=types,
                check_utf8=False,
                strings_can_be_null=True,
                quoted_strings_can_be_null=False,
                null_values=[""],
            ),
        )

    def _stream(self) -> io.BufferedIOBase | IO[bytes]:
        raw = open(self._path, "rb")  # noqa: SIM115
        self._opened.append(raw)
        self._counted = Counted(raw)
        return self._unpacked(io.BufferedReader(self._counted, 1 << 20))

    def _text_batches(self, names: Sequence[str], *, note: bool = False) -> Iterator[pa.RecordBatch]:
        if not names:
            return
        for table in self._reader(names, note=note):
            self._call_check()
            if len(self.broken_rows) >= BROKEN_ROWS_MAX:
                raise BadSource(
                    f"{self.name} has more than {BROKEN_ROWS_MAX:,} rows in succession with more or fewer "
                    "cells than its header."
                )
            yield table

    def _infer(self, names: Sequence[str]) -> dict[str, str]:
        """Infer the type of each column from the whole file; types given on the command line take
        precedence."""
        finder = KindFinder(names, self._options)
        for table in self._text_batches(names):
            finder.add(table)
        return finder.kinds()

    # Binary

    def binary_batches(self) -> Iterator[pa.RecordBatch]:
        if self._packed:
            raise BadSource(f"{self.name} is compressed with gzip: unpack it first.")
        if self._options.types or self._options.columns:
            raise BadSource(f"{self.name} has names and types of its own: --types and --columns do not fit.")
        for table in self._arrow_batches():
            self._call_check()
            self._check(table.schema.names)
            arrays = [_plain(name, table.column(name)) for name in table.schema.names]
            yield pa.RecordBatch.from_arrays(arrays, names=table.schema.names)

    def _arrow_batches(self) -> Iterator[pa.RecordBatch]:
        self._counted = Counted(io.BytesIO())
        if self._sniffed.format is ImportFormat.PARQUET:
            with pq.ParquetFile(self._path) as file:
                yield from file.iter_batches(batch_size=TABLE_ROWS)
            return
        with pa.OSFile(str(self._path), "rb") as file:
            start = file.read(6)
            file.seek(0)
            if start == b"ARROW1":
                reader = pa.ipc.open_file(file)
                tables = (reader.get_batch(number) for number in range(reader.num_record_batches))
            else:
                tables = iter(pa.ipc.open_stream(file))
            for table in tables:
                # Offsets beyond a column's bytes would be read from other memory of this process.
                table.validate(full=True)
                yield table

    # Cells

    def _cells(self, name: str, column: pa.Array) -> list[Any]:
        """The JSON of each cell: None for an empty cell, and a BadRow for an invalid one."""
        kind = self._kinds.get(name)
        if name == self._options.timestamp and self._options.read_time is not None:
            return [_time_cell(name, value, self._options.read_time) for value in column.to_pylist()]
        if kind is None:
            return [None if value is None else _json(value) for value in column.to_pylist()]
        if kind == "text":
            return _text_cells(name, column)
        return [None if cell is None else _converted(name, kind, cell) for cell in column.to_pylist()]


class KindFinder:
    """Finds the types of text columns from all of their cells; types that were given take precedence."""

    def __init__(self, names: Sequence[str], options: TableOptions) -> None:
        given = {name: kind for name, kind in options.types.items() if kind != "auto"}
        if options.timestamp is not None:
            given[options.timestamp] = "text"
        self._names = names
        self._given = given
        self._candidates = {name: ["number", "boolean"] for name in names if name not in given}
        self._seen: set[str] = set()

    def add(self, table: pa.RecordBatch) -> None:
        for name, kinds in self._candidates.items():
            column = table.column(name)
            if kinds and column.null_count < len(column):
                self._seen.add(name)
                self._candidates[name] = [kind for kind in kinds if _all_are(kind, column)]

    def kinds(self) -> dict[str, str]:
        """Column → its type, by the cells added so far."""
        found = {
            name: kinds[0] if kinds and name in self._seen else "text"
            for name, kinds in self._candidates.items()
        }
        return {name: (self._given | found)[name] for name in self._names}


# One row

Tree = dict[str, "int | Tree"]
"""Properties by name; a leaf is the number of its column. ``""`` is the column of a property that also has
nested properties."""


def _tree(names: Sequence[str], timestamp: str | None) -> Tree:
    tree: Tree = {}
    for number, name in enumerate(names):
        path = ["keen", "timestamp"] if name == timestamp else name.split(".")
        branch = tree
        for part in path[:-1]:
            inner = branch.get(part)
            if not isinstance(inner, dict):
                inner = {} if inner is None else {"": inner}
                branch[part] = inner
            branch = inner
        last = branch.get(path[-1])
        if isinstance(last, dict):
            last[""] = number
        else:
            branch[path[-1]] = number
    return tree


def _item(number: int, taken: int, row: Sequence[Any], tree: Tree) -> Item:
    try:
        text = _object(row, tree, "")
        return Item(number, taken, text or b"{}")
    except BadRow as error:
        cells = (cell.cell if isinstance(cell, BadRow) else b"null" if cell is None else cell for cell in row)
        return Item(number, taken, b"[" + b",".join(cells) + b"]", str(error))


def _object(row: Sequence[Any], tree: Tree, path: str) -> bytes | None:
    """The JSON of a branch; None if it contains no values. Raises BadRow."""
    members = []
    own: bytes | None = None
    for name, part in tree.items():
        if isinstance(part, dict):
            cell = _object(row, part, f"{path}{name}.")
        else:
            cell = row[part]
            if isinstance(cell, BadRow):
                raise cell
        if cell is None:
            continue
        if not name:
            own = cell
        else:
            members.append(orjson.dumps(name) + b":" + cell)
    if own is not None and members:
        raise BadRow(f"Columns '{path[:-1]}' and others within it both have a value: one property cannot.")
    if own is not None:
        return own
    return b"{" + b",".join(members) + b"}" if members else None


# Cells of text


def _all_are(kind: str, column: pa.Array) -> bool:
    """Whether every non-empty cell is of the kind."""
    try:
        text = pc.utf8_trim_whitespace(column.cast(pa.string()).drop_null())
    except pa.ArrowInvalid:
        return False
    return bool(pc.all(which_are(kind, text), min_count=0).as_py())


def which_are(kind: str, text: pa.Array) -> pa.Array:
    """Whether each of these texts, which are trimmed and not null, is a number, a boolean or a time."""
    fits = pc.match_substring_regex(text, _PATTERNS[kind])
    if kind == "number":
        # Numbers beyond the range of a double stay text.
        numbers = pc.if_else(fits, text, "0").cast(pa.float64())
        return pc.and_(fits, pc.is_finite(numbers))
    return fits


def _dumped(value: str | int) -> bytes:
    """A value as JSON. orjson gives short ones four kilobytes too, which is much for the cells of a block."""
    return bytes(memoryview(orjson.dumps(value)))


def _text_cells(name: str, column: pa.Array) -> list[Any]:
    try:
        values: list[Any] = column.cast(pa.string()).to_pylist()
    except pa.ArrowInvalid:
        values = [_decoded(name, cell) for cell in column.to_pylist()]
    return [value if value is None or isinstance(value, BadRow) else _dumped(value) for value in values]


def _decoded(name: str, cell: bytes | None) -> str | BadRow | None:
    try:
        return None if cell is None else cell.decode("utf-8")
    except UnicodeDecodeError as error:
        return BadRow(
            f"Column '{name}' is not UTF-8 at byte {error.start}: give --encoding, such as latin-1 or cp1252."
        )


def _converted(name: str, kind: str, cell: bytes) -> bytes | BadRow:
    """The JSON of a cell whose column is of the kind, as inferred or given; BadRow if it is of another."""
    text = cell.strip()
    if kind == "boolean" and text.lower() in (b"true", b"false"):
        return text.lower()
    try:
        raw = _one.decode(text)
        if kind == "json" or (kind == "number" and bytes(raw)[:1] in b"-0123456789"):
            return bytes(raw)
    except (msgspec.MsgspecError, RecursionError):
        pass
    shown = text[:60].decode("utf-8", "replace")
    return BadRow(f"Column '{name}' is to be {kind}, and '{shown}' is not.")


def _time_cell(name: str, value: Any, read: ReadTime) -> bytes | BadRow | None:
    if value is None:
        return None
    try:
        return _dumped(read(value.decode() if isinstance(value, bytes) else value))
    except ValueError as error:
        return BadRow(
            f"Column '{name}': {error}.", b"null" if isinstance(value, bytes) else _json(value) or b"null"
        )


# Cells of Arrow's types


def _plain(name: str, column: pa.Array) -> pa.Array:
    """Cast the column to types with Python values: no dictionaries, no nanoseconds. Raises BadSource."""
    plain_type = _plain_type(column.type)
    if plain_type == column.type:
        return column
    try:
        return column.cast(plain_type, safe=False)
    except (pa.ArrowInvalid, pa.ArrowNotImplementedError):
        raise BadSource(f"Column '{name}' has the type {column.type}, which cannot be imported.") from None


def _plain_type(kind: pa.DataType) -> pa.DataType:
    if pa.types.is_dictionary(kind):
        return _plain_type(kind.value_type)
    if pa.types.is_timestamp(kind):
        return pa.timestamp("us", kind.tz)
    if pa.types.is_time64(kind):
        return pa.time64("us")
    if pa.types.is_duration(kind):
        return pa.duration("us")
    if pa.types.is_list(kind):
        return pa.list_(_plain_type(kind.value_type))
    if pa.types.is_large_list(kind):
        return pa.large_list(_plain_type(kind.value_type))
    if pa.types.is_struct(kind):
        return pa.struct([pa.field(inner.name, _plain_type(inner.type)) for inner in kind])
    return kind


def _json(value: Any) -> bytes | None:
    """The JSON of a value; None if JSON has no such value (not a number, infinity)."""
    if isinstance(value, (str, int)):
        return _dumped(value)
    pruned = _without_nulls(value)
    if pruned is None:
        return None
    encoded = orjson.dumps(pruned, default=_other, option=orjson.OPT_UTC_Z | orjson.OPT_NAIVE_UTC)
    return None if encoded == b"null" else bytes(memoryview(encoded))


def _without_nulls(value: Any) -> Any:
    """The value without null members, which in a table cannot be distinguished from absent ones."""
    if isinstance(value, dict):
        kept = {name: _without_nulls(part) for name, part in value.items() if part is not None}
        return {name: part for name, part in kept.items() if part is not None} or None
    if isinstance(value, list):
        if value and all(isinstance(part, tuple) for part in value):
            return _without_nulls({str(name): part for name, part in value})
        return [_without_nulls(part) for part in value]
    return value


def _other(value: Any) -> Any:
    if isinstance(value, Decimal):
        if not value.is_finite():
            return None
        return orjson.Fragment(f"{value:f}".encode())
    if isinstance(value, bytes):
        try:
            return value.decode("utf-8")
        except UnicodeDecodeError:
            return base64.b64encode(value).decode("ascii")
    if hasattr(value, "total_seconds"):
        return value.total_seconds()
    return str(value)


def _listed(names: Sequence[str]) -> str:
    return ", ".join(names[:COLUMNS_NAMED]) + (", …" if len(names) > COLUMNS_NAMED else "")


def _first_line(error: BaseException) -> str:
    return str(error).partition("\n")[0]
