"""Writing Arrow tables to Parquet: the only writer of event files.

A file is sorted by ``keen.timestamp``, compressed with zstd level 1, dictionary-coded where a column has few
values, in row groups of 122,880 rows. Once written it is never changed.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import date
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from storage.files.partitions import PartitionSlice, cut
from storage.schema import CREATED_AT, SYSTEM_TYPES, TIMESTAMP

ROW_GROUP_ROWS = 122_880
QUARTER_US = 900_000_000
INSTANTS = (TIMESTAMP, CREATED_AT)
MARKED_INSTANT = pa.timestamp("us", "UTC")
SAMPLE_ROWS = 10_000
DICTIONARY_SHARE_MAX = 0.1
"""Columns with at most this share of distinct values in their sample are dictionary-coded."""


@dataclass(frozen=True, slots=True)
class Encoded:
    """The bytes of one file and what the catalog stores about it."""

    data: pa.Buffer
    rows: int
    sha256: str
    min_us: int
    max_us: int
    columns: Mapping[str, float | None]


def sort_by_time(table: pa.Table) -> pa.Table:
    """Sort the rows by ``keen.timestamp``."""
    times = table.column(TIMESTAMP).combine_chunks().cast(pa.int64())
    if table.num_rows < 2 or pc.all(pc.less_equal(times[:-1], times[1:])).as_py():
        return table
    order = pc.array_sort_indices(times)
    # Combining chunks makes taking several times faster; one column at a time, to duplicate little in memory.
    columns = [table.select([n]).combine_chunks().column(0).take(order) for n in table.column_names]
    return pa.table(columns, names=table.column_names)


def cut_by_time(table: pa.Table) -> list[tuple[PartitionSlice, pa.Table]]:
    """Cut a sorted table into slices, one for each file, without copying."""
    days = pc.value_counts(table.column(TIMESTAMP).cast(pa.date32()).combine_chunks())
    counts: list[tuple[date, int]] = [(row["values"], row["counts"]) for row in days.to_pylist()]
    slices, start = [], 0
    for piece in cut(counts):
        slices.append((piece, table.slice(start, piece.rows)))
        start += piece.rows
    return slices


def encode(table: pa.Table) -> Encoded:
    """Encode a sorted table as a Parquet file in memory; columns without a value are left out."""
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
    """A file's rows, in tables of up to ``ROW_GROUP_ROWS``; only these columns if they are given."""
    for batch in pq.ParquetFile(pa.BufferReader(content)).iter_batches(ROW_GROUP_ROWS, columns=columns):
        yield unmarked(pa.Table.from_batches([batch]))


def repetitive_in(content: bytes) -> list[str]:
    """The columns of a file that are dictionary-coded."""
    group = pq.ParquetFile(pa.BufferReader(content)).metadata.row_group(0)
    columns = (group.column(number) for number in range(group.num_columns))
    return [column.path_in_schema for column in columns if column.has_dictionary_page]


def encode_small(table: pa.Table) -> bytes:
    """A table as the bytes of a Parquet file, as small as is quickly done; texts in order become smallest."""
    sink = pa.BufferOutputStream()
    repetitive = [field.name for field in table.schema if _few_values(table.column(field.name))]
    pq.write_table(table, sink, compression="zstd", compression_level=3, use_dictionary=repetitive or False)
    return bytes(sink.getvalue())


def decode_small(content: bytes) -> pa.Table:
    """The table of ``encode_small``. Raises OSError and ArrowException."""
    return pq.read_table(pa.BufferReader(content))


def _few_values(column: pa.ChunkedArray) -> bool:
    distinct: int = pc.count_distinct(column).as_py()
    return distinct * 4 <= len(column)


def read_column(path: Path, name: str) -> Iterator[pa.Array]:
    """One column of a file, batch by batch. Raises OSError."""
    with pq.ParquetFile(path) as file:
        for batch in file.iter_batches(columns=[name]):
            yield batch.column(0)


def read_table(path: str, columns: Sequence[str] | None = None) -> pa.Table:
    """The rows of a file in its order; only these columns if they are given. Raises OSError."""
    with pq.ParquetFile(path) as file:
        return unmarked(file.read(columns=None if columns is None else list(columns)))


def quarters_in(path: str) -> dict[int, int]:
    """How many events of a file are in each quarter of an hour, counted from 1970 UTC. Raises OSError."""
    counts: dict[int, int] = {}
    for piece in read_column(Path(path), TIMESTAMP):
        # Some instants are before 1970: dividing must round down.
        quarters = np.floor_divide(piece.cast(pa.int64()).to_numpy(zero_copy_only=False), QUARTER_US)
        for quarter, count in zip(*np.unique(quarters, return_counts=True), strict=True):
            counts[int(quarter)] = counts.get(int(quarter), 0) + int(count)
    return counts


def places_in(path: str, name: str, most: int) -> int:
    """The least number of decimal places to which rounding leaves every double of a column unchanged;
    ``most`` + 1 where it takes more. Raises OSError."""
    places = 0
    for piece in read_column(Path(path), name):
        broken = piece.filter(pc.not_equal(piece, pc.trunc(piece)))
        while places <= most and not pc.all(pc.equal(pc.round(broken, places), broken), min_count=0).as_py():
            places += 1
    return places


def digits_in(path: str, name: str) -> int:
    """Digits of the longest integer in a column of decimal texts. Raises OSError."""
    lengths = (
        pc.max(pc.utf8_length(pc.utf8_ltrim(piece, "-"))).as_py() for piece in read_column(Path(path), name)
    )
    return max((length or 0 for length in lengths), default=0)


def encode_parts(
    parts: Callable[[], Iterator[pa.Table]], repetitive: Sequence[str] | None = None
) -> Encoded | None:
    """Encode one file from tables in time order with the same columns; None where none has a row.

    One table at a time is in memory. ``parts`` may be called twice, since columns without a value are left
    out. ``repetitive``: the columns to dictionary-code, if known.
    """
    encoded, empty = _encode_parts(parts(), repetitive)
    if encoded is None or not empty:
        return encoded
    return _encode_parts((part.drop_columns(empty) for part in parts()), repetitive)[0]


def _encode_parts(
    parts: Iterator[pa.Table], repetitive: Sequence[str] | None
) -> tuple[Encoded | None, list[str]]:
    """The file, and its columns without a value."""
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
        for name, magnitude in magnitudes(part).items():
            known = greatest.get(name)
            greatest[name] = magnitude if known is None else max(known, magnitude or 0.0)
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
    """Writes a Parquet file for export, a table at a time; rows keep their order."""

    def __init__(self, sink: Any, schema: pa.Schema) -> None:
        """``sink``: a binary file, which stays open."""
        self._writer = pq.ParquetWriter(
            sink, schema, compression="zstd", compression_level=1, store_schema=False
        )
        self._pending: list[pa.Table] = []
        self._rows = 0

    def add(self, table: pa.Table) -> None:
        self._pending.append(table)
        self._rows += table.num_rows
        if self._rows >= ROW_GROUP_ROWS:
            self._flush()

    def end(self) -> None:
        self._flush()
        self._writer.close()

    def _flush(self) -> None:
        if self._pending:
            table = pa.concat_tables(self._pending)
            self._writer.write_table(table, row_group_size=table.num_rows or None)
            self._pending, self._rows = [], 0


def _marked(table: pa.Table) -> pa.Table:
    """Mark the instants as UTC, as in files: otherwise other tools would read them in their own zone."""
    return _with_instants(table, MARKED_INSTANT)


def unmarked(table: pa.Table) -> pa.Table:
    """The rows with zoneless instants, as used everywhere but in files; either kind of file is accepted."""
    return _with_instants(table, SYSTEM_TYPES[TIMESTAMP])


def _with_instants(table: pa.Table, kind: pa.DataType) -> pa.Table:
    """The same instants (µs) under another Arrow type."""
    for name in INSTANTS:
        position = table.schema.get_field_index(name)
        if position >= 0 and table.schema.field(position).type != kind:
            table = table.set_column(position, name, table.column(position).cast(kind))
    return table


def magnitudes(table: pa.Table) -> dict[str, float | None]:
    """Every column → the greatest magnitude in it for a column of doubles, else None."""
    greatest: dict[str, float | None] = {}
    for name, column in zip(table.column_names, table.columns, strict=True):
        greatest[name] = None
        if pa.types.is_floating(column.type):
            bounds = pc.min_max(column).as_py()
            greatest[name] = max(abs(bounds["min"] or 0.0), abs(bounds["max"] or 0.0))
    return greatest


def _repetitive(table: pa.Table) -> Sequence[str] | bool:
    sample = table.slice(0, SAMPLE_ROWS)
    limit = max(1, int(sample.num_rows * DICTIONARY_SHARE_MAX))
    names = [
        name
        for name, column in zip(sample.column_names, sample.columns, strict=True)
        if pa.types.is_string(column.type) and pc.count_distinct(column).as_py() <= limit
    ]
    return names or False
