"""Writes rows as JSON, CSV or an Arrow stream, within limits of rows and bytes."""

from __future__ import annotations

import base64
import io
from collections.abc import Callable, Iterator, Sequence
from decimal import Decimal
from typing import Any

import orjson
import pyarrow as pa

from query.csv_cells import LINE_END, csv_text
from query.json_encoding import dumps
from query.untrusted.messages import Format

BATCH_ROWS = 8_192
_SECOND_NS = 1_000_000_000
_NOT_WRITTEN = ("BIT", "VARIANT", "GEOMETRY", "BIGNUM")
"""Types without a form in JSON and CSV."""
_INT64 = 1 << 63
JSON_MARK = {b"acumen.type": b"JSON"}
"""Metadata of a text column of an Arrow stream whose texts are JSON."""


class Unwritable(Exception):
    """A column that the format cannot hold; the text says which, and what would help."""


class TooMuch(Exception):
    """More rows or bytes than the limits allow."""


def distinct(names: Sequence[str]) -> list[str]:
    """The names, each with a number behind it that an earlier one has already: ``a``, ``a_1``."""
    found: dict[str, None] = {}
    for name in names:
        candidate, number = name, 0
        while candidate in found:
            number += 1
            candidate = f"{name}_{number}"
        found[candidate] = None
    return list(found)


class RowWriter:
    """Collects the body of an answer, batch by batch.

    ``rows_max``: with more rows, TooMuch is raised. ``limit``: rows after so many are left out, if given.
    """

    def __init__(
        self,
        names: Sequence[str],
        types: Sequence[str],
        form: Format,
        *,
        rows_max: int,
        limit: int | None,
        bytes_max: int,
    ) -> None:
        self.rows = 0
        self.truncated = False
        self._types = [one.upper() for one in types]
        self._names = list(names)
        self._form, self._rows_max, self._limit, self._bytes_max = form, rows_max, limit, bytes_max
        self._bytes = 0
        self._parts: list[bytes] = []
        self._sink = io.BytesIO()
        self._check()

    def write(self, reader: pa.RecordBatchReader) -> bytes:
        """The body with all rows. Raises TooMuch, Unwritable."""
        if self._form is Format.ARROW:
            return self._arrow(reader)
        if self._form is Format.CSV:
            self._add((",".join(map(csv_text, self._names)) + LINE_END).encode())
        for batch in self._batches(reader):
            rows = self._cells(batch)
            self._add(self._lines(rows) if self._form is Format.CSV else self._objects(rows))
        if self._form is Format.CSV:
            return b"".join(self._parts)
        return b"[" + b",".join(part for part in self._parts if part) + b"]"

    def _check(self) -> None:
        """Raises Unwritable."""
        if self._form is Format.ARROW:
            return
        for name, kind in zip(self._names, self._types, strict=True):
            if any(kind.startswith(one) for one in _NOT_WRITTEN):
                raise Unwritable(
                    f"The column '{name[:200]}' has the type {kind[:50]}, which has no form in JSON or CSV: "
                    "cast it, as in CAST(… AS VARCHAR), or ask for the format 'arrow'."
                )

    def _batches(self, reader: pa.RecordBatchReader) -> Iterator[pa.RecordBatch]:
        for batch in reader:
            most = self._rows_max if self._limit is None else self._limit
            left = most - self.rows
            if batch.num_rows > left:
                if self._limit is None:
                    raise TooMuch("rows")
                self.truncated = True
                if left:
                    self.rows += left
                    yield batch.slice(0, left)
                return
            self.rows += batch.num_rows
            if batch.num_rows:
                yield batch

    def _add(self, part: bytes) -> None:
        self._bytes += len(part) + 1
        if self._bytes > self._bytes_max:
            raise TooMuch("bytes")
        self._parts.append(part)

    def _arrow(self, reader: pa.RecordBatchReader) -> bytes:
        fields = [
            field.with_name(name).with_metadata(JSON_MARK if kind == "JSON" else None)
            for field, name, kind in zip(reader.schema, self._names, self._types, strict=True)
        ]
        with pa.ipc.new_stream(self._sink, pa.schema(fields)) as stream:
            for batch in self._batches(reader):
                stream.write_batch(batch.rename_columns(self._names))
                if self._sink.tell() > self._bytes_max:
                    raise TooMuch("bytes")
        if self._sink.tell() > self._bytes_max:
            raise TooMuch("bytes")
        return self._sink.getvalue()

    def _cells(self, batch: pa.RecordBatch) -> list[tuple[Any, ...]]:
        columns = []
        for name, kind, column in zip(self._names, self._types, batch.columns, strict=True):
            try:
                columns.append(_values(kind, column))
            except (pa.ArrowException, ValueError, TypeError, OverflowError, RecursionError) as error:
                raise Unwritable(
                    f"A value of the column '{name[:200]}' has no form in {self._form.upper()}: cast it, as "
                    "in CAST(… AS VARCHAR), or ask for the format 'arrow'."
                ) from error
        return list(zip(*columns, strict=True))

    def _objects(self, rows: list[tuple[Any, ...]]) -> bytes:
        return b",".join(dumps(dict(zip(self._names, row, strict=True))) for row in rows)

    def _lines(self, rows: list[tuple[Any, ...]]) -> bytes:
        write = _csv_cell if len(self._names) > 1 else lambda value: _csv_cell(value) or '""'
        return "".join(",".join(map(write, row)) + LINE_END for row in rows).encode()


def _csv_cell(value: Any) -> str:
    if value is None:
        return ""
    if isinstance(value, str):
        return csv_text(value)
    if isinstance(value, bool):
        return "true" if value else "false"
    text = dumps(value).decode()
    return '"' + text.replace('"', '""') + '"' if '"' in text or "," in text else text


def _values(kind: str, column: pa.Array) -> list[Any]:
    """Cells as values that can be written."""
    if kind == "JSON":
        return [None if text is None else _json(text) for text in column.to_pylist()]
    if pa.types.is_timestamp(column.type):
        return _instants(column)
    if pa.types.is_time(column.type):
        texts: list[Any] = column.cast(pa.string()).to_pylist()
        return texts
    if pa.types.is_nested(column.type):
        column = column.cast(_at_offset(column.type))
    return list(map(_plain, column.to_pylist()))


def _json(text: str) -> Any:
    """A value that is JSON already, and written as it is."""
    try:
        orjson.loads(text)
    except orjson.JSONDecodeError:
        return text
    return orjson.Fragment(text)


def _instants(column: pa.Array) -> list[str | None]:
    """As in every answer of the API: UTC, milliseconds, and microseconds where there are any."""
    end = "Z" if column.type.tz else ""
    precise = pa.timestamp("ns" if column.type.unit == "ns" else "us")
    texts = column.cast(pa.timestamp(column.type.unit)).cast(precise).cast(pa.string()).to_pylist()
    return [None if text is None else _shortened(text.replace(" ", "T")) + end for text in texts]


def _shortened(text: str) -> str:
    """Without the zeros behind milliseconds, three at a time."""
    whole, _, fraction = text.partition(".")
    while len(fraction) > 3 and fraction.endswith("000"):
        fraction = fraction[:-3]
    return f"{whole}.{fraction}"


def _at_offset(kind: pa.DataType) -> pa.DataType:
    """The type with instants at a fixed offset: a zone could not be looked up here."""
    if pa.types.is_timestamp(kind):
        return pa.timestamp(kind.unit, "+00:00" if kind.tz else None)
    if pa.types.is_list(kind):
        return pa.list_(kind.value_field.with_type(_at_offset(kind.value_type)))
    if pa.types.is_fixed_size_list(kind):
        return pa.list_(kind.value_field.with_type(_at_offset(kind.value_type)), kind.list_size)
    if pa.types.is_struct(kind):
        return pa.struct([field.with_type(_at_offset(field.type)) for field in kind])
    if pa.types.is_map(kind):
        return pa.map_(_at_offset(kind.key_type), _at_offset(kind.item_type))
    return kind


def _plain(value: Any) -> Any:
    write = _WRITERS.get(type(value))
    return value if write is None else write(value)


def _number(value: float) -> float | int:
    """Integral numbers are integers, as in every answer."""
    return int(value) if value.is_integer() and abs(value) < _INT64 else value


def _whole(value: int) -> Any:
    return value if -_INT64 <= value < _INT64 else orjson.Fragment(str(value))


def _decimal(value: Decimal) -> Any:
    if value.as_tuple().exponent == 0:
        return _whole(int(value))
    return orjson.Fragment(format(value, "f"))


def _list(value: list[Any]) -> list[Any]:
    if value and isinstance(value[0], tuple) and len(value[0]) == 2:
        # A map.
        return [[_plain(key), _plain(item)] for key, item in value]
    return list(map(_plain, value))


def _object(value: dict[str, Any]) -> dict[str, Any]:
    return {str(key): _plain(item) for key, item in value.items()}


def _bytes(value: bytes) -> str:
    return base64.b64encode(value).decode()


def _interval(value: Any) -> str:
    """As in ISO 8601: ``P1M2DT3.5S``."""
    seconds = Decimal(value.nanoseconds) / _SECOND_NS
    text = f"P{value.months}M{value.days}D"
    return text + (f"T{seconds.normalize():f}S" if value.nanoseconds else "")


_WRITERS: dict[type, Callable[[Any], Any]] = {
    float: _number,
    int: _whole,
    Decimal: _decimal,
    list: _list,
    dict: _object,
    bytes: _bytes,
    pa.MonthDayNano: _interval,
}
