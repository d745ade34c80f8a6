"""Tables from answers and events from tables: pandas, Polars and Arrow, each imported where it is wanted."""

from __future__ import annotations

import json
import math
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta, tzinfo
from decimal import Decimal
from enum import Enum
from typing import TYPE_CHECKING, Any
from uuid import UUID

from acumen_client._extras import wanted
from acumen_client.query import Zone, zone_of

if TYPE_CHECKING:
    import pandas
    import polars
    import pyarrow

INT64_MAX = 2**63 - 1
DECIMAL_DIGITS_MAX = 38


class Kind(Enum):
    """What the values of a column are, those that are None left aside."""

    NOTHING = "nothing"
    TRUTH = "truth"
    INTEGER = "integer"
    LONG = "long"
    """Integers, some beyond 64 bits."""
    NUMBER = "number"
    TEXT = "text"
    INSTANT = "instant"
    LIST = "list"
    MIXED = "mixed"


@dataclass(frozen=True, slots=True)
class Column:
    """A column of a table: its name, and its values with None for what is absent."""

    name: str
    values: list[Any]
    kind: Kind


def column(name: str, values: list[Any]) -> Column:
    return Column(name, values, kind_of(values))


_KINDS: Mapping[frozenset[type], Kind] = {
    frozenset(): Kind.NOTHING,
    frozenset({bool}): Kind.TRUTH,
    frozenset({int}): Kind.INTEGER,
    frozenset({float}): Kind.NUMBER,
    frozenset({int, float}): Kind.NUMBER,
    frozenset({str}): Kind.TEXT,
    frozenset({datetime}): Kind.INSTANT,
    frozenset({list}): Kind.LIST,
}


def kind_of(values: Iterable[Any]) -> Kind:
    """What these values are; MIXED where no one type holds them all."""
    listed = values if isinstance(values, list) else list(values)
    kind = _KINDS.get(frozenset({type(one) for one in listed} - {type(None)}), Kind.MIXED)
    if kind is Kind.INTEGER and any(one is not None and not -INT64_MAX <= one <= INT64_MAX for one in listed):
        return Kind.LONG
    return kind


def columns_of_events(events: Sequence[Mapping[str, Any]]) -> list[Column]:
    """A column for each path at which any event has a value, in the order in which they first appear."""
    values: dict[str, list[Any]] = {}
    for row, event in enumerate(events):
        for path, value in flattened(event):
            if path not in values:
                values[path] = [None] * len(events)
            values[path][row] = value
    return [column(path, listed) for path, listed in values.items()]


def flattened(event: Mapping[str, Any], before: str = "") -> Iterator[tuple[str, Any]]:
    """The paths and values of an event; objects are gone into, lists are values."""
    for name, value in event.items():
        if isinstance(value, Mapping):
            yield from flattened(value, f"{before}{name}.")
        else:
            yield f"{before}{name}", value


def _json_text(value: Any) -> str | None:
    if value is None:
        return None
    return json.dumps(value, ensure_ascii=False, separators=(",", ":"), default=str)


def _element_kind(values: list[Any]) -> Kind:
    return kind_of([one for listed in values if listed is not None for one in listed])


# Tables from columns


def to_pandas(columns: Sequence[Column], zone: tzinfo) -> pandas.DataFrame:
    """Numbers with gaps are Int64 and float64, texts of pandas' text type; lists and the like are objects."""
    pd = wanted("pandas", "pandas", "pandas tables")
    return pd.DataFrame({one.name: _pandas_series(pd, one, zone) for one in columns})


def _pandas_series(pd: Any, of: Column, zone: tzinfo) -> Any:
    gaps = any(value is None for value in of.values)
    match of.kind:
        case Kind.INSTANT:
            instants = pd.Series(pd.to_datetime([_utc(value) for value in of.values], utc=True))
            return instants.dt.as_unit("us").dt.tz_convert(zone)
        case Kind.INTEGER:
            return pd.Series(of.values, dtype="Int64" if gaps else "int64")
        case Kind.NUMBER:
            return pd.Series([math.nan if one is None else one for one in of.values], dtype="float64")
        case Kind.TRUTH:
            return pd.Series(of.values, dtype="boolean" if gaps else "bool")
        case Kind.TEXT:
            return pd.Series(of.values, dtype="string" if pd.__version__.startswith("2.") else "str")
    return pd.Series(of.values, dtype="object")


def to_polars(columns: Sequence[Column], zone: tzinfo) -> polars.DataFrame:
    """Mixed values are their JSON text; integers beyond 64 bits are 128 bits wide, or text beyond those."""
    pl = wanted("polars", "polars", "Polars tables")
    return pl.DataFrame([_polars_series(pl, one, zone) for one in columns])  # type: ignore[no-any-return]


def _polars_series(pl: Any, of: Column, zone: tzinfo) -> Any:
    if of.kind is Kind.INSTANT:
        utc = pl.Series(of.name, [_utc(value) for value in of.values], dtype=pl.Datetime("us", "UTC"))
        name = zone_name(zone)
        return utc if name is None or name == "UTC" else utc.dt.convert_time_zone(name)
    if of.kind is Kind.LONG and all(one is None or abs(one) < 2**127 for one in of.values):
        return pl.Series(of.name, of.values, dtype=pl.Int128)
    if of.kind is Kind.LIST:
        inner = _polars_type(pl, _element_kind(of.values))
        if inner is not None:
            return pl.Series(of.name, of.values, dtype=pl.List(inner), strict=False)
    plain = pl.Null if of.kind is Kind.NOTHING else _polars_type(pl, of.kind)
    if plain is not None:
        return pl.Series(of.name, of.values, dtype=plain, strict=False)
    return pl.Series(of.name, [_json_text(value) for value in of.values], dtype=pl.String)


def _polars_type(pl: Any, kind: Kind) -> Any:
    names = {Kind.TRUTH: "Boolean", Kind.INTEGER: "Int64", Kind.NUMBER: "Float64", Kind.TEXT: "String"}
    return getattr(pl, names[kind]) if kind in names else None


def to_arrow(columns: Sequence[Column], zone: tzinfo) -> pyarrow.Table:
    """Mixed values are their JSON text; integers beyond 64 bits are decimals, or text beyond 38 digits."""
    pa = wanted("pyarrow", "arrow", "Arrow tables")
    arrays = [_arrow_array(pa, one, zone) for one in columns]
    return pa.Table.from_arrays(arrays, names=[one.name for one in columns])


def _arrow_array(pa: Any, of: Column, zone: tzinfo) -> Any:
    if of.kind is Kind.INSTANT:
        kind = pa.timestamp("us", tz=zone_name(zone) or _offset_text(zone))
        return pa.array([_utc(value) for value in of.values], kind)
    if of.kind is Kind.LONG and all(one is None or abs(one) < 10**DECIMAL_DIGITS_MAX for one in of.values):
        exact = [None if one is None else Decimal(one) for one in of.values]
        return pa.array(exact, pa.decimal128(DECIMAL_DIGITS_MAX, 0))
    if of.kind is Kind.LIST:
        inner = _arrow_type(pa, _element_kind(of.values))
        if inner is not None:
            return pa.array(of.values, pa.list_(inner))
    plain = pa.null() if of.kind is Kind.NOTHING else _arrow_type(pa, of.kind)
    if plain is not None:
        floats = of.kind is Kind.NUMBER
        values = [one if one is None else float(one) for one in of.values] if floats else of.values
        return pa.array(values, plain)
    return pa.array([_json_text(value) for value in of.values], pa.string())


def _arrow_type(pa: Any, kind: Kind) -> Any:
    makers = {Kind.TRUTH: "bool_", Kind.INTEGER: "int64", Kind.NUMBER: "float64", Kind.TEXT: "string"}
    return getattr(pa, makers[kind])() if kind in makers else None


def _utc(moment: datetime | None) -> datetime | None:
    return None if moment is None else moment.astimezone(UTC)


def zone_name(zone: tzinfo) -> str | None:
    """An IANA name of the zone; None for an offset that has none."""
    name = getattr(zone, "key", None)
    if isinstance(name, str):
        return name
    hours, rest = divmod(_offset_seconds(zone), 3600)
    if rest or not -12 <= hours <= 14:
        return None
    return f"Etc/GMT{-hours:+d}" if hours else "UTC"


def _offset_text(zone: tzinfo) -> str:
    seconds = _offset_seconds(zone)
    hours, minutes = divmod(abs(seconds) // 60, 60)
    return f"{'-' if seconds < 0 else '+'}{hours:02}:{minutes:02}"


def _offset_seconds(zone: tzinfo) -> int:
    return int((zone.utcoffset(None) or timedelta()).total_seconds())


# Events from tables

BATCH_EVENTS = 5000
_GONE = object()


class FrameError(ValueError):
    """A table that cannot be written as events; nothing of it was sent that the message does not name."""


def events_of_frame(
    frame: Any,
    *,
    timestamp: str | None = None,
    unique: str | None = None,
    tz: Zone = "UTC",
    batch: int = BATCH_EVENTS,
) -> Iterator[list[dict[str, Any]]]:
    """The rows of a pandas, Polars or Arrow table as events, in lists of ``batch`` at most.

    Null, NaN and NaT are absent. A column ``user.id`` is the property ``id`` of an object ``user``.
    ``timestamp`` names the column of ``keen.timestamp``, ``unique`` that of ``keen.uniqueness_token``. Times
    without a zone are of ``tz``. Raises FrameError where the table's columns cannot be events.
    """
    if batch < 1:
        raise ValueError("batch must be at least 1")
    reader = _reader_of(frame)
    names = reader.names(timestamp)
    places = _places(names, timestamp, unique)
    zone = zone_of(tz)
    return _batches(reader, places, timestamp, zone, batch)


def _batches(
    reader: _Reader, places: Mapping[str, tuple[str, ...]], timestamp: str | None, zone: tzinfo, batch: int
) -> Iterator[list[dict[str, Any]]]:
    first = 0
    for columns, count in reader.slices(batch):
        events: list[dict[str, Any]] = [{} for _ in range(count)]
        for name, place in places.items():
            whole = place == ("keen", "uniqueness_token")
            for row, value in enumerate(columns[name]):
                said = _said(value, zone, name, first + row)
                if said is _GONE:
                    continue
                _put(events[row], place, str(said) if whole else said)
        first += count
        yield events


def _put(event: dict[str, Any], place: tuple[str, ...], value: Any) -> None:
    for name in place[:-1]:
        event = event.setdefault(name, {})
    if isinstance(value, dict) and isinstance(event.get(place[-1]), dict):
        event[place[-1]].update(value)
    else:
        event[place[-1]] = value


def _places(names: Sequence[str], timestamp: str | None, unique: str | None) -> dict[str, tuple[str, ...]]:
    """Where in an event each column goes. Raises FrameError where two would be in each other's way."""
    for wanted_name in (timestamp, unique):
        if wanted_name is not None and wanted_name not in names:
            raise FrameError(f"the table has no column {wanted_name!r}; it has {', '.join(map(repr, names))}")
    if len(set(names)) < len(names):
        twice = next(name for name in names if names.count(name) > 1)
        raise FrameError(f"the table has the column {twice!r} twice")
    places = {name: tuple(name.split(".")) for name in names}
    if timestamp is not None:
        places[timestamp] = ("keen", "timestamp")
    if unique is not None and unique != timestamp:
        places[unique] = ("keen", "uniqueness_token")
    taken = {place: name for name, place in places.items()}
    if len(taken) < len(places):
        raise FrameError(
            "the table has a column of keen.timestamp or keen.uniqueness_token beside the one named"
        )
    for place, name in taken.items():
        over = next((taken[place[:end]] for end in range(1, len(place)) if place[:end] in taken), None)
        if over is not None:
            raise FrameError(f"the columns {over!r} and {name!r} are in each other's way: rename one")
        if "" in place:
            raise FrameError(f"a column's name must name a property; {name!r} does not")
    return places


def _said(value: Any, zone: tzinfo, name: str, row: int) -> Any:
    """The value as JSON holds it, or that it is gone."""
    try:
        return _plain(value, zone)
    except (TypeError, ValueError) as error:
        raise FrameError(f"column {name!r}, row {row}: {error}") from None


def _plain(value: Any, zone: tzinfo) -> Any:
    kind = type(value)
    if kind is str or kind is int or kind is bool:
        return value
    if value is None or kind.__name__ in ("NAType", "NaTType"):
        return _GONE
    if kind is float:
        if value != value:
            return _GONE
        if math.isinf(value):
            raise ValueError(f"{value} is no JSON number")
        return value
    if isinstance(value, datetime):
        aware = value if value.tzinfo is not None else value.replace(tzinfo=zone)
        return aware.isoformat(timespec="microseconds")
    if isinstance(value, Mapping):
        plain = {str(key): _plain(one, zone) for key, one in value.items()}
        return {key: one for key, one in plain.items() if one is not _GONE}
    if isinstance(value, list | tuple | set | frozenset):
        listed = [_plain(one, zone) for one in value]
        return [None if one is _GONE else one for one in listed]
    return _rarer_plain(value, zone)


def _rarer_plain(value: Any, zone: tzinfo) -> Any:
    if isinstance(value, Enum):
        return _plain(value.value, zone)
    if isinstance(value, date | time):
        return value.isoformat()
    if isinstance(value, UUID):
        return str(value)
    if isinstance(value, Decimal):
        if not value.is_finite():
            return _GONE if value.is_nan() else _plain(float(value), zone)
        return int(value) if value == value.to_integral_value() else float(value)
    if isinstance(value, str | int | float):  # subclasses of them
        return _plain(next(kind for kind in (str, int, float) if isinstance(value, kind))(value), zone)
    if hasattr(value, "tolist"):  # scalars and arrays of NumPy, series of Polars
        return _plain(value.tolist(), zone)
    if hasattr(value, "to_list"):
        return _plain(value.to_list(), zone)
    raise TypeError(f"{type(value).__name__} is nothing that an event holds")


class _Reader:
    """A table of some library, read in slices."""

    def __init__(self, frame: Any) -> None:
        self.frame = frame

    def names(self, timestamp: str | None) -> list[str]:
        """The columns' names; ``timestamp`` may also be the name of an index."""
        raise NotImplementedError

    def slices(self, rows: int) -> Iterator[tuple[Mapping[str, Sequence[Any]], int]]:
        """Lists of values by column, and how many rows they have."""
        raise NotImplementedError


class _PandasReader(_Reader):
    def names(self, timestamp: str | None) -> list[str]:
        if (
            timestamp not in self.frame.columns
            and timestamp in self.frame.index.names
            and timestamp is not None
        ):
            self.frame = self.frame.reset_index(timestamp)
        return [_text_name(name) for name in self.frame.columns]

    def slices(self, rows: int) -> Iterator[tuple[Mapping[str, Sequence[Any]], int]]:
        for start in range(0, len(self.frame), rows):
            part = self.frame.iloc[start : start + rows]
            yield {name: part[name].astype("object").tolist() for name in part.columns}, len(part)


class _PolarsReader(_Reader):
    def __init__(self, frame: Any) -> None:
        super().__init__(frame.collect() if type(frame).__name__ == "LazyFrame" else frame)

    def names(self, timestamp: str | None) -> list[str]:
        return list(self.frame.columns)

    def slices(self, rows: int) -> Iterator[tuple[Mapping[str, Sequence[Any]], int]]:
        for part in self.frame.iter_slices(rows):
            yield part.to_dict(as_series=False), part.height


class _ArrowReader(_Reader):
    """Tables, record batches and streams of them, as whatever speaks Arrow's C stream gives."""

    def __init__(self, frame: Any) -> None:
        pa = wanted("pyarrow", "arrow", "Arrow tables")
        if isinstance(frame, pa.RecordBatch):
            frame = pa.Table.from_batches([frame])
        if isinstance(frame, pa.Table):
            frame = pa.RecordBatchReader.from_batches(frame.schema, iter(frame.to_batches()))
        if not isinstance(frame, pa.RecordBatchReader):
            frame = pa.RecordBatchReader.from_stream(frame)
        super().__init__(frame)
        self._pa = pa

    def names(self, timestamp: str | None) -> list[str]:
        return list(self.frame.schema.names)

    def slices(self, rows: int) -> Iterator[tuple[Mapping[str, Sequence[Any]], int]]:
        for batch in self.frame:
            for start in range(0, batch.num_rows, rows):
                part = self._in_microseconds(batch.slice(start, rows))
                yield part.to_pydict(), part.num_rows

    def _in_microseconds(self, batch: Any) -> Any:
        """Nanoseconds, which Python's datetime has not, are cut."""
        pa = self._pa
        fields = [self._field(pa, one) for one in batch.schema]
        if fields == list(batch.schema):
            return batch
        arrays = [array.cast(one.type, safe=False) for array, one in zip(batch.columns, fields, strict=True)]
        return pa.RecordBatch.from_arrays(arrays, schema=pa.schema(fields))

    @staticmethod
    def _field(pa: Any, one: Any) -> Any:
        if pa.types.is_timestamp(one.type) and one.type.unit == "ns":
            return one.with_type(pa.timestamp("us", tz=one.type.tz))
        return one


def _reader_of(frame: Any) -> _Reader:
    kind = type(frame)
    known = (kind.__module__.partition(".")[0], kind.__name__)
    if known == ("pandas", "DataFrame"):
        return _PandasReader(frame)
    if known in (("polars", "DataFrame"), ("polars", "LazyFrame")):
        return _PolarsReader(frame)
    if known[0] == "pyarrow" or hasattr(frame, "__arrow_c_stream__"):
        return _ArrowReader(frame)
    raise TypeError(f"a pandas, Polars or Arrow table is wanted, not {kind.__name__}")


def _text_name(name: Any) -> str:
    if not isinstance(name, str):
        raise FrameError(f"columns must be named by texts; {name!r} is none")
    return name
