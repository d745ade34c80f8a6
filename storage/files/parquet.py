"""Arrow tables to Parquet files: the only writer of event files.

A file is sorted by ``keen.timestamp``, zstd level 1, dictionary-coded where a column has few values, in
row groups of 122,880 rows. Once written it is never changed.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import date
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from storage.files.partitions import PartitionSlice, cut
from storage.schema import CREATED_AT, SYSTEM_TYPES, TIMESTAMP

ROW_GROUP_ROWS = 122_880
INSTANTS = (TIMESTAMP, CREATED_AT)
MARKED_INSTANT = pa.timestamp("us", "UTC")
SAMPLE_ROWS = 10_000
DICTIONARY_SHARE_MAX = 0.1
"""A column whose sample has at most this share of distinct values is dictionary-coded."""


@dataclass(frozen=True, slots=True)
class Encoded:
    """The bytes of one file and what the catalog keeps of it."""

    data: pa.Buffer
    rows: int
    sha256: str
    min_us: int
    max_us: int
    columns: Mapping[str, float | None]


def sort_by_time(table: pa.Table) -> pa.Table:
    """The rows in order of ``keen.timestamp``."""
    times = table.column(TIMESTAMP).combine_chunks().cast(pa.int64())
    if table.num_rows < 2 or pc.all(pc.less_equal(times[:-1], times[1:])).as_py():
        return table
    order = pc.array_sort_indices(times)
    # Taking from one piece is several times faster than from many; a column at a time, to hold little twice.
    columns = [table.select([n]).combine_chunks().column(0).take(order) for n in table.column_names]
    return pa.table(columns, names=table.column_names)


def cut_by_time(table: pa.Table) -> list[tuple[PartitionSlice, pa.Table]]:
    """A sorted table as the slices that go to a file each (no copy)."""
    days = pc.value_counts(table.column(TIMESTAMP).cast(pa.date32()).combine_chunks())
    counts: list[tuple[date, int]] = [(row["values"], row["counts"]) for row in days.to_pylist()]
    slices, start = [], 0
    for piece in cut(counts):
        slices.append((piece, table.slice(start, piece.rows)))
        start += piece.rows
    return slices


def encode(table: pa.Table) -> Encoded:
    """A sorted table as one Parquet file, in memory; columns without a value are left out."""
    table = table.select([n for n in table.column_names if table.column(n).null_count < table.num_rows])
    times = table.column(TIMESTAMP).cast(pa.int64())
    table = _marked(table)
    sink = pa.BufferOutputStream()
    pq.write_table(
        table,
        sink,
        compression="zstd",
        compression_level=1,
        use_dictionary=_repetitive(table),
        row_group_size=ROW_GROUP_ROWS,
        store_schema=False,
    )
    data = sink.getvalue()
    return Encoded(
        data,
        table.num_rows,
        hashlib.sha256(memoryview(data)).hexdigest(),
        times[0].as_py(),
        times[-1].as_py(),
        magnitudes(table),
    )


def parts_of(content: bytes, columns: Sequence[str] | None = None) -> Iterator[pa.Table]:
    """A file's rows, a row group's worth at a time; with these columns alone where they are named."""
    for batch in pq.ParquetFile(pa.BufferReader(content)).iter_batches(ROW_GROUP_ROWS, columns=columns):
        yield unmarked(pa.Table.from_batches([batch]))


def repetitive_in(content: bytes) -> list[str]:
    """The columns of a file that are dictionary-coded."""
    group = pq.ParquetFile(pa.BufferReader(content)).metadata.row_group(0)
    columns = (group.column(number) for number in range(group.num_columns))
    return [column.path_in_schema for column in columns if column.has_dictionary_page]


def read_column(path: Path, name: str) -> Iterator[pa.Array]:
    """One column of a file, piece by piece. Raises OSError."""
    with pq.ParquetFile(path) as file:
        for batch in file.iter_batches(columns=[name]):
            yield batch.column(0)


def places_in(path: str, name: str, most: int) -> int:
    """Decimal places that tell every double of a column apart from others; ``most`` + 1 where it takes more.
    Raises OSError."""
    places = 0
    for piece in read_column(Path(path), name):
        broken = piece.filter(pc.not_equal(piece, pc.trunc(piece)))
        while places <= most and not pc.all(pc.equal(pc.round(broken, places), broken), min_count=0).as_py():
            places += 1
    return places


def digits_in(path: str, name: str) -> int:
    """Of the longest integer in a column of their texts. Raises OSError."""
    lengths = (
        pc.max(pc.utf8_length(pc.utf8_ltrim(piece, "-"))).as_py() for piece in read_column(Path(path), name)
    )
    return max((length or 0 for length in lengths), default=0)


def encode_parts(
    parts: Callable[[], Iterator[pa.Table]], repetitive: Sequence[str] | None = None
) -> Encoded | None:
    """One file of tables that follow each other in time and have the same columns, of which one at a time is
    held; None where none has a row. ``parts`` may be asked for twice, since columns without a value are left
    out. ``repetitive``: the columns to be dictionary-coded, where it is known."""
    encoded, empty = _encode_parts(parts(), repetitive)
    if encoded is None or not empty:
        return encoded
    return _encode_parts((part.drop_columns(empty) for part in parts()), repetitive)[0]


def _encode_parts(
    parts: Iterator[pa.Table], repetitive: Sequence[str] | None
) -> tuple[Encoded | None, list[str]]:
    """The file, and the columns of it that have no value."""
    sink = pa.BufferOutputStream()
    writer: pq.ParquetWriter | None = None
    rows, first, last = 0, None, None
    greatest: dict[str, float | None] = {}
    nulls: dict[str, int] = {}
    for part in parts:
        if not part.num_rows:
            continue
        writer = writer or _writer(sink, part, _repetitive(part) if repetitive is None else repetitive)
        writer.write_table(_marked(part), row_group_size=ROW_GROUP_ROWS)
        times = part.column(TIMESTAMP).cast(pa.int64())
        first = times[0].as_py() if first is None else first
        last = times[-1].as_py()
        rows += part.num_rows
        for name, found in magnitudes(part).items():
            known = greatest.get(name)
            greatest[name] = found if known is None else max(known, found or 0.0)
            nulls[name] = nulls.get(name, 0) + part.column(name).null_count
    if writer is None or first is None or last is None:
        return None, []
    writer.close()
    data = sink.getvalue()
    digest = hashlib.sha256(memoryview(data)).hexdigest()
    return Encoded(data, rows, digest, first, last, greatest), [n for n, c in nulls.items() if c == rows]


def _writer(
    sink: pa.BufferOutputStream, sample: pa.Table, repetitive: Sequence[str] | bool
) -> pq.ParquetWriter:
    return pq.ParquetWriter(
        sink,
        _marked(sample.slice(0, 0)).schema,
        compression="zstd",
        compression_level=1,
        use_dictionary=repetitive or False,
        store_schema=False,
    )


class PlainWriter:
    """A Parquet file for others, written a table at a time; rows come as they are given."""

    def __init__(self, sink: Any, schema: pa.Schema) -> None:
        """``sink``: a binary file, which is left open."""
        self._writer = pq.ParquetWriter(
            sink, schema, compression="zstd", compression_level=1, store_schema=False
        )
        self._held: list[pa.Table] = []
        self._rows = 0

    def add(self, table: pa.Table) -> None:
        self._held.append(table)
        self._rows += table.num_rows
        if self._rows >= ROW_GROUP_ROWS:
            self._flush()

    def end(self) -> None:
        self._flush()
        self._writer.close()

    def _flush(self) -> None:
        if self._held:
            table = pa.concat_tables(self._held)
            self._writer.write_table(table, row_group_size=table.num_rows or None)
            self._held, self._rows = [], 0


def _marked(table: pa.Table) -> pa.Table:
    """With its instants marked as UTC, as in files: else other tools read them in a zone of their own."""
    return _with_instants(table, MARKED_INSTANT)


def unmarked(table: pa.Table) -> pa.Table:
    """As rows are everywhere but in files, whichever kind of file they came from."""
    return _with_instants(table, SYSTEM_TYPES[TIMESTAMP])


def _with_instants(table: pa.Table, kind: pa.DataType) -> pa.Table:
    """The same µs under another type."""
    for name in INSTANTS:
        position = table.schema.get_field_index(name)
        if position >= 0 and table.schema.field(position).type != kind:
            table = table.set_column(position, name, table.column(position).cast(kind))
    return table


def magnitudes(table: pa.Table) -> dict[str, float | None]:
    """Every column → the greatest magnitude in it where it holds doubles, else None."""
    found: dict[str, float | None] = {}
    for name, column in zip(table.column_names, table.columns, strict=True):
        found[name] = None
        if pa.types.is_floating(column.type):
            bounds = pc.min_max(column).as_py()
            found[name] = max(abs(bounds["min"] or 0.0), abs(bounds["max"] or 0.0))
    return found


def _repetitive(table: pa.Table) -> Sequence[str] | bool:
    sample = table.slice(0, SAMPLE_ROWS)
    limit = max(1, int(sample.num_rows * DICTIONARY_SHARE_MAX))
    names = [
        name
        for name, column in zip(sample.column_names, sample.columns, strict=True)
        if pa.types.is_string(column.type) and pc.count_distinct(column).as_py() <= limit
    ]
    return names or False
