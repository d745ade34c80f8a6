"""From an Arrow table of any types to lanes, as events with the same values would have."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from datetime import date, datetime, time, timedelta
from decimal import Decimal
from typing import Any

import orjson
import pyarrow as pa
import pyarrow.compute as pc

from storage.columns.rowwise_shredder import cell
from storage.events.validation import EXACT_INTEGER, EventLimits, kind_of, leaves
from storage.schema import ARROW_TYPES, SYSTEM_TYPES, LaneKind

Lanes = dict[tuple[str, LaneKind], pa.ChunkedArray]
"""(path, kind) → the values, null where a row has none in this lane."""


class Unstorable(Exception):
    """A value or name that no event can have; the text is a sentence that names the column."""


def lanes_of_table(table: pa.Table, json_columns: frozenset[str], limits: EventLimits) -> Lanes:
    """The lanes of all columns. A null is no value; objects become a path for each of their values; instants
    and dates become text. Raises Unstorable."""
    lanes: Lanes = {}
    for name, column in zip(table.column_names, table.columns, strict=True):
        check_path(name, limits)
        made = dict(_lanes_of(name, column, name in json_columns, limits))
        for pair, values in made.items():
            if pair in lanes or any(
                _clash(pair[0], other) and _both(values, others) for (other, _), others in lanes.items()
            ):
                raise Unstorable(
                    f"The column '{name}' gives values to '{pair[0]}', as another column does: rename one."
                )
        lanes |= made
    return lanes


def _clash(path: str, other: str) -> bool:
    """Whether no event can have values at both paths: one row has an object there, another may have none."""
    return path == other or _within(path, other)


def _both(values: pa.ChunkedArray, others: pa.ChunkedArray) -> bool:
    """Whether any row has a value in both lanes."""
    return bool(pc.any(pc.and_(pc.is_valid(values), pc.is_valid(others))).as_py())


def check_path(path: str, limits: EventLimits) -> None:
    """Raises Unstorable unless an event can have a property of this dotted path."""
    names = path.split(".")
    if path in SYSTEM_TYPES or path == "keen":
        raise Unstorable(
            f"The column '{path}' cannot be stored: this name is the server's. Rename or drop it."
        )
    for name in names:
        if not name or name[0] == "$" or len(name) > limits.name_length_max:
            raise Unstorable(
                f"The column '{path[:300]}' is no name of a property: each part between dots has 1 to "
                f"{limits.name_length_max} characters and does not begin with '$'. Rename it."
            )
    if len(names) >= limits.depth_max:
        raise Unstorable(f"The column '{path[:300]}' is nested deeper than {limits.depth_max} levels.")


def _within(path: str, other: str) -> bool:
    return path.startswith(other + ".") or other.startswith(path + ".")


Pairs = Iterator[tuple[tuple[str, LaneKind], pa.ChunkedArray]]


def _lanes_of(name: str, column: pa.ChunkedArray, is_json: bool, limits: EventLimits) -> Pairs:
    kind = column.type
    if pa.types.is_dictionary(kind):
        column = column.cast(kind.value_type)
        kind = column.type
    if column.null_count == len(column):
        return
    if is_json:
        yield from _of_values(name, (None if text is None else orjson.loads(text) for text in _texts(column)))
    elif pa.types.is_boolean(kind):
        yield (name, LaneKind.BOOLEAN), column
    elif pa.types.is_integer(kind):
        yield from _integers(name, column)
    elif pa.types.is_floating(kind):
        yield from _doubles(name, column)
    elif pa.types.is_string(kind) or pa.types.is_large_string(kind) or pa.types.is_string_view(kind):
        yield (name, LaneKind.STRING), _checked_texts(name, column.cast(pa.string()), limits)
    elif pa.types.is_timestamp(kind):
        yield (name, LaneKind.STRING), _instants(column)
    elif pa.types.is_binary(kind) or pa.types.is_large_binary(kind) or pa.types.is_fixed_size_binary(kind):
        raise Unstorable(
            f"The column '{name}' has bytes, which JSON has no form for: cast it to text, as by hex(…)."
        )
    else:
        yield from _of_values(name, map(_plain, column.to_pylist()))


def _instants(column: pa.ChunkedArray) -> pa.ChunkedArray:
    """Instants as events have them: UTC with milliseconds, and microseconds where any value has some."""
    times = column.cast(pa.timestamp("us"), safe=False)
    numbers = times.cast(pa.int64())
    whole = pc.all(pc.equal(pc.multiply(pc.divide(numbers, 1_000), 1_000), numbers)).as_py()
    return pc.strftime(times.cast(pa.timestamp("ms")) if whole else times, "%Y-%m-%dT%H:%M:%SZ")


def _integers(name: str, column: pa.ChunkedArray) -> Pairs:
    ends = pc.min_max(column).as_py()
    if ends["min"] >= -EXACT_INTEGER and ends["max"] <= EXACT_INTEGER:
        yield (name, LaneKind.NUMBER), column.cast(pa.float64())
    else:
        yield from _of_values(name, column.to_pylist())


def _doubles(name: str, column: pa.ChunkedArray) -> Pairs:
    column = column.cast(pa.float64())
    finite = pc.fill_null(pc.is_finite(column), True)
    if not pc.all(finite).as_py():
        raise Unstorable(
            f"The column '{name}' has values that are not finite numbers, which JSON has no form for: "
            "replace them, as by nullif or a CASE."
        )
    yield (name, LaneKind.NUMBER), column


def _checked_texts(name: str, column: pa.ChunkedArray, limits: EventLimits) -> pa.ChunkedArray:
    longest = pc.max(pc.utf8_length(column)).as_py() or 0
    if longest > limits.string_length_max:
        raise Unstorable(
            f"The column '{name}' has a text of {longest:,} characters: an event's text has at most "
            f"{limits.string_length_max:,}. Shorten it, as by left(…, {limits.string_length_max})."
        )
    return column


def _texts(column: pa.ChunkedArray) -> list[str | None]:
    texts: list[str | None] = column.cast(pa.string()).to_pylist()
    return texts


def _of_values(name: str, values: Any) -> Pairs:
    """The lanes of Python values, which may be of several kinds, lists and objects."""
    cells: dict[tuple[str, LaneKind], list[tuple[int, Any]]] = {}
    count = 0
    for value in values:
        if value is not None:
            for path, leaf in leaves({name: value}) if "." not in name else _nested(name, value):
                if leaf is not None and leaf != {}:
                    kind = kind_of(leaf)
                    cells.setdefault((path, kind), []).append((count, cell(leaf, kind)))
        count += 1
    for pair, found in cells.items():
        column: list[Any] = [None] * count
        for row, value in found:
            column[row] = value
        yield pair, pa.chunked_array([pa.array(column, ARROW_TYPES[pair[1]])])


def _nested(name: str, value: Any) -> Iterator[tuple[str, Any]]:
    if isinstance(value, dict):
        yield from leaves(value, name + ".")
    else:
        yield name, value


def _plain(value: Any) -> Any:
    """A value of Arrow as JSON has it."""
    if isinstance(value, Mapping):
        return {str(key): _plain(one) for key, one in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(one) for one in value]
    if isinstance(value, Decimal):
        return int(value) if value == value.to_integral_value() and abs(value) < 1 << 63 else float(value)
    if isinstance(value, datetime):
        return text_of(value)
    if isinstance(value, date | time):
        return value.isoformat()
    if isinstance(value, timedelta):
        return value.total_seconds()
    if isinstance(value, bytes):
        raise Unstorable("A column has bytes, which JSON has no form for: cast it to text, as by hex(…).")
    if isinstance(value, float) and not math.isfinite(value):
        return None
    return value


def text_of(value: datetime) -> str:
    """An instant as events have it: UTC with milliseconds, and microseconds where there are any."""
    text = value.replace(tzinfo=None).isoformat(timespec="microseconds")
    return (text[:-3] if text.endswith("000") else text) + "Z"
