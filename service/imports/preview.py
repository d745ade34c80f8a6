"""Looks into an uploaded file before it is imported: its columns, their types, times, and the first events.

    python -m service.imports.preview

A process of its own, started by ``service.imports.previewer`` for one file, since files may be hostile: its
memory is bounded, and it may be killed. It reads a ``Look`` as JSON from its standard input, and writes
either ``{"preview": {…}}`` or ``{"fault": "…"}``.
"""

from __future__ import annotations

import json
import os
import resource
import sys
import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import UTC
from typing import Any

import msgspec
import pyarrow as pa
import pyarrow.compute as pc

from service.imports.json_source import BadSource, Interrupted, Item, ItemBatch
from service.imports.opening import OpenedSource, open_source
from service.imports.options import GivenOptions, ImportOptions, checked, in_words_of_api, thawed_options
from service.imports.sending import EVENT_BYTES_MAX, preparation
from service.imports.tables import KindFinder, TableSource, which_are
from service.imports.times import NAMES, PATTERNS, ReadTime, reader

Json = dict[str, Any]

MEMORY_MAX = 1536 << 20
NICENESS = 5
COLUMNS_MAX = 1_000
"""Columns that are described."""
SAMPLES = 5
SAMPLE_LENGTH_MAX = 100
SAMPLED_VALUES = 200
"""Values of a column that decide whether it looks like a time."""
AFTER_SECONDS = 3.0
"""For the beginning of a file so large that its quotes could not be checked in time."""
OTHERS = 3
EVENTS = 10
EVENTS_BYTES_MAX = 200_000
FAULTS = 5
PATH_DEPTH_MAX = 20
FIRST_VALUES = 5
COUNTED_KINDS = ("number", "boolean", "time")
"""Types that are counted in columns of text."""
COUNTED_VALUES = 1_000
"""After so many values a type is counted no more if fewer than half of them are of it."""
NEARLY = 0.9
"""From this share on nearly all values are of one type."""
_YEARS = ("1990", "2100")
"""Between these, numbers may be counts of seconds since 1970."""
_KINDS = {bool: "boolean", int: "number", float: "number", str: "text"}


@dataclass(frozen=True, slots=True)
class Look:
    """Which file is to be looked into, and how."""

    path: str
    options: str
    seconds: float
    unpacked_bytes_max: int


class _TimeUp(Interrupted):
    pass


class _Deadline:
    def __init__(self, seconds: float) -> None:
        self.extend(seconds)

    def extend(self, seconds: float) -> None:
        """Set it to so many seconds from now."""
        self._until = time.monotonic() + seconds

    def check(self) -> None:
        """Raises _TimeUp."""
        if time.monotonic() > self._until:
            raise _TimeUp


@dataclass(slots=True)
class _Column:
    name: str
    kind: str
    given: bool = False
    values: list[Any] = field(default_factory=list)
    """Some values, in the order of the file."""
    filled: int = 0
    """In how many rows it has a value."""
    counts: dict[str, int] = field(default_factory=dict)
    """Type → how many values are of it; a type that few are of may be missing."""
    others: dict[str, list[str]] = field(default_factory=dict)
    """Type → the first values that are not of it."""

    def add(self, value: Any) -> None:
        if len(self.values) < SAMPLED_VALUES:
            self.values.append(value)

    def described(self, rows: int) -> Json:
        samples = list(dict.fromkeys(shown(value) for value in self.values))[:SAMPLES]
        return {
            "name": self.name,
            "type": self.kind,
            "given": self.given,
            "empty": None if not rows else round(1 - self.filled / rows, 6),
            "samples": samples,
            "counts": {kind: count for kind, count in self.counts.items() if count},
            "nearly": self._nearly(),
            "time_formats": time_formats(self.values, is_named=self.name.lower() in NAMES),
        }

    def count_texts(self, values: pa.Array) -> None:
        """Count the types of a column of text."""
        before = self.filled
        self.filled += len(values) - values.null_count
        kinds = [kind for kind in COUNTED_KINDS if kind in self.counts or not before]
        try:
            text = pc.utf8_trim_whitespace(values.cast(pa.string()).drop_null()) if kinds else None
        except pa.ArrowInvalid:
            # Bytes that are no UTF-8 are of none of these types.
            return
        for kind in kinds if text is not None and len(text) else ():
            fits = which_are(kind, text)
            self.counts[kind] = self.counts.get(kind, 0) + (pc.sum(fits).as_py() or 0)
            others = self.others.setdefault(kind, [])
            if len(others) < OTHERS:
                found = pc.filter(text, pc.invert(fits)).slice(0, OTHERS - len(others))
                others += [shown(value) for value in found.to_pylist()]
            if not self.given and self.filled >= COUNTED_VALUES and 2 * self.counts[kind] < self.filled:
                del self.counts[kind]

    def count_json(self, value: Any) -> None:
        """Count the type of one value of JSON that is not null."""
        kind = _kind(value)
        if kind not in self.counts:
            # All values before it are of other types.
            self.counts[kind] = 0
            self.others[kind] = list(dict.fromkeys(shown(one) for one in self.values))[:OTHERS]
        self.counts[kind] += 1
        for other, values in self.others.items():
            if other != kind and len(values) < OTHERS:
                values.append(shown(value))

    def _nearly(self) -> Json | None:
        """The type that nearly all values are of, where some are not, and the column is not read as it."""
        if not self.filled or (self.given and self.kind not in self.counts):
            return None
        kinds = [self.kind] if self.given else list(self.counts)
        kind = max(kinds, key=lambda one: self.counts[one], default=None)
        count = 0 if kind is None else self.counts[kind]
        if kind is None or count == self.filled or (not self.given and count < NEARLY * self.filled):
            return None
        return {"type": kind, "count": count, "of": self.filled, "others": self.others.get(kind, [])}


class _Times:
    """What becomes of the values of the column that is the time of the event."""

    def __init__(self, read: ReadTime) -> None:
        self._read = read
        self.earliest: str | None = None
        self.latest: str | None = None
        self.fit = self.unfit = self.empty = 0
        self.examples: list[Json] = []
        self.faults: dict[str, str] = {}

    def add(self, value: Any, count: int = 1) -> None:
        if value is None:
            self.empty += count
            return
        try:
            text = self._read(value.decode() if isinstance(value, bytes) else value)
        except ValueError as error:
            self.unfit += count
            if len(self.faults) < FAULTS:
                self.faults.setdefault(shown(value), f"{in_words_of_api(str(error))}.")
            return
        self.fit += count
        if self.earliest is None or text[:-1] < self.earliest[:-1]:
            self.earliest = text
        if self.latest is None or text[:-1] > self.latest[:-1]:
            self.latest = text
        if len(self.examples) < SAMPLES:
            self.examples.append({"value": shown(value), "time": text})

    def described(self, given: GivenOptions) -> Json:
        return {
            "column": given.timestamp,
            "format": given.timestamp_format,
            "timezone": given.timezone,
            "earliest": self.earliest,
            "latest": self.latest,
            "fit": self.fit,
            "unfit": self.unfit,
            "empty": self.empty,
            "examples": self.examples,
            "unfit_examples": [{"value": value, "error": error} for value, error in self.faults.items()],
        }


@dataclass(slots=True)
class _Seen:
    """What was found in a file."""

    columns: dict[str, _Column] = field(default_factory=dict)
    columns_total: int = 0
    rows: int = 0
    rows_total: int | None = None
    complete: bool = False
    items: list[Item] = field(default_factory=list)
    """The first rows, as events."""
    faults: list[Item] = field(default_factory=list)
    """Some of what is no event."""
    broken: int = 0
    """Rows that are no rows of the table, and events that are no JSON."""


def preview(look: Look) -> Json:
    """What the file is, by the options. Raises BadSource; BadOption for options that were not checked."""
    given = thawed_options(look.options)
    options = checked(given)
    deadline = _Deadline(look.seconds)
    opened = open_source(
        look.path,
        options,
        EVENT_BYTES_MAX,
        shown="The file",
        unpacked_bytes_max=look.unpacked_bytes_max,
        check=deadline.check,
    )
    try:
        times = None if options.read_time is None else _Times(options.read_time)
        source = opened.source
        if isinstance(source, TableSource):
            seen = _look_into_table(source, options, times, deadline)
        else:
            seen = _look_into_events(opened, options, times, deadline)
        if times is not None and not seen.columns_total:
            times = None
        return _described(opened, given, seen, times)
    finally:
        opened.close()


def _described(opened: OpenedSource, given: GivenOptions, seen: _Seen, times: _Times | None) -> Json:
    columns = [column.described(seen.rows) for column in list(seen.columns.values())[:COLUMNS_MAX]]
    sniffed = opened.sniffed
    table = isinstance(opened.source, TableSource)
    text = table and isinstance(opened.source, TableSource) and opened.source.is_text
    return {
        "format": sniffed.format.value,
        "delimiter": sniffed.delimiter if text else None,
        "encoding": sniffed.encoding if text else None,
        "packed": opened.packed,
        "types_changeable": text,
        "rows": seen.rows if seen.complete else seen.rows_total,
        "rows_read": seen.rows,
        "complete": seen.complete,
        "columns": columns,
        "columns_total": seen.columns_total,
        "dated": "keen.timestamp" in seen.columns,
        "suggested_time": None if "keen.timestamp" in seen.columns else suggested_time(columns),
        "time": None if times is None else times.described(given),
        "events": _events(seen.items),
        "broken": seen.broken,
        "broken_examples": [_fault(item) for item in seen.faults[:FAULTS]],
    }


def _look_into_table(
    source: TableSource, options: ImportOptions, times: _Times | None, deadline: _Deadline
) -> _Seen:
    seen = _Seen(rows_total=source.row_count())
    names: list[str] = []
    is_checked = True
    with suppress(_TimeUp):
        names = source.text_names() if source.is_text else []
    if source.is_text and not names:
        deadline.extend(AFTER_SECONDS)
        names = _names_without_quotes(source)
        if not names:
            seen.complete = True
            return seen
        deadline.extend(AFTER_SECONDS)
        is_checked = False
    finder = KindFinder(names, options.tables)
    first: pa.RecordBatch | None = None
    with suppress(_TimeUp):
        for table in source.cells(names):
            if first is None and table.num_rows:
                first = table.slice(0, SAMPLED_VALUES)
            _add_table(table, seen, source, finder, options, times)
            _take_broken(source, seen)
        seen.complete = is_checked
    _take_broken(source, seen)
    rows = list(seen.faults)
    kinds = finder.kinds() if source.is_text else {}
    for name, column in seen.columns.items():
        column.kind = kinds.get(name, column.kind)
    if first is not None:
        items = source.first_items(first, kinds)
        seen.items = [item for item in items if item.problem is None][:EVENTS]
        rows += [item for item in items if item.problem is not None]
    seen.faults = source.as_in_file(sorted(rows[: 2 * FAULTS], key=lambda item: item.number)[:FAULTS])
    return seen


def _take_broken(source: TableSource, seen: _Seen) -> None:
    seen.broken += len(source.broken_rows)
    seen.faults += [source.broken_rows.popleft() for _ in range(min(FAULTS, len(source.broken_rows)))]
    source.broken_rows.clear()
    del seen.faults[FAULTS:]


def _names_without_quotes(source: TableSource) -> list[str]:
    """The names of a file so large that its quotes could not be checked in time; none of an empty one."""
    try:
        return source.text_names(check_quotes=False)
    except _TimeUp:
        raise BadSource("The file is too large to be looked into: import it with 'acumen import'.") from None


def _add_table(
    table: pa.RecordBatch,
    seen: _Seen,
    source: TableSource,
    finder: KindFinder,
    options: ImportOptions,
    times: _Times | None,
) -> None:
    if source.is_text:
        finder.add(table)
    seen.rows += table.num_rows
    seen.columns_total = len(table.schema.names)
    described = table.schema.names[:COLUMNS_MAX]
    for name in described if options.timestamp in (None, *described) else [*described, options.timestamp]:
        values = table.column(name)
        column = seen.columns.get(name)
        if column is None:
            given = options.tables.types.get(name, "auto") != "auto"
            column = seen.columns[name] = _Column(name, kind_of(values.type), given)
        if source.is_text:
            column.count_texts(values)
        else:
            column.filled += table.num_rows - values.null_count
        if len(column.values) < SAMPLED_VALUES:
            for value in values.slice(0, 2 * SAMPLED_VALUES).to_pylist():
                if value is not None:
                    column.add(_plain(value))
        if times is not None and name == options.timestamp:
            for value, count in _counted(values):
                times.add(value, count)


def _counted(values: pa.Array) -> Iterator[tuple[Any, int]]:
    """The distinct values with how often they occur; each alone, where they cannot be compared."""
    try:
        found = pc.value_counts(values)
    except pa.ArrowException:
        yield from ((value, 1) for value in values.to_pylist())
        return
    pairs = zip(found.field("values").to_pylist(), found.field("counts").to_pylist(), strict=True)
    yield from pairs


def _look_into_events(
    opened: OpenedSource, options: ImportOptions, times: _Times | None, deadline: _Deadline
) -> _Seen:
    seen = _Seen()
    prepare = preparation(options, opened.drops_stamps, table=False)
    batches = opened.source.batches()
    try:
        for batch in batches:
            _add_batch(batch, seen, options, times)
            if not batch.index:
                for item in batch.items:
                    if item.problem is None and len(seen.items) < EVENTS:
                        _prepared(item, prepare, seen)
            deadline.check()
        seen.complete = True
    except _TimeUp:
        pass
    seen.columns_total = len(seen.columns)
    return seen


def _prepared(item: Item, prepare: Callable[[bytes], bytes] | None, seen: _Seen) -> None:
    text = item.text
    try:
        text = text if prepare is None else prepare(text)
    except ValueError as error:
        seen.faults.append(Item(item.number, item.offset, item.text, str(error), item.line))
        return
    seen.items.append(Item(item.number, item.offset, text, None, item.line))


def _add_batch(batch: ItemBatch, seen: _Seen, options: ImportOptions, times: _Times | None) -> None:
    for item in batch.items:
        event = None if item.problem is not None else _decoded(item)
        if not isinstance(event, dict):
            seen.broken += 1
            if len(seen.faults) < FAULTS:
                why = item.problem or "The event is no object."
                seen.faults.append(Item(item.number, item.offset, item.text, why, item.line))
            continue
        seen.rows += 1
        found = dict(_flat(event))
        for name, value in found.items():
            column = seen.columns.get(name)
            if column is None:
                if len(seen.columns) >= 2 * COLUMNS_MAX:
                    continue
                column = seen.columns[name] = _Column(name, _kind(value))
            elif column.kind != (kind := _kind(value)):
                column.kind = kind if column.kind == "null" else column.kind if kind == "null" else "mixed"
            if value is not None:
                column.filled += 1
                column.count_json(value)
                column.add(value)
        if times is not None:
            times.add(found.get(options.timestamp or ""))


def _decoded(item: Item) -> Any:
    try:
        return msgspec.json.decode(item.text)
    except (msgspec.MsgspecError, RecursionError):
        return None


def _flat(event: Mapping[str, Any], path: str = "", depth: int = 0) -> Iterator[tuple[str, Any]]:
    """The values of an event by their dotted paths; lists and empty objects are values."""
    for name, value in event.items():
        if isinstance(value, dict) and value and depth < PATH_DEPTH_MAX:
            yield from _flat(value, f"{path}{name}.", depth + 1)
        else:
            yield f"{path}{name}", value


def _kind(value: Any) -> str:
    return "null" if value is None else _KINDS.get(type(value), "json")


def kind_of(kind: pa.DataType) -> str:
    """The type of a column of a file that has types of its own, as the API names it."""
    types = pa.types
    if types.is_boolean(kind):
        return "boolean"
    if types.is_integer(kind) or types.is_floating(kind) or types.is_decimal(kind) or types.is_duration(kind):
        return "number"
    if types.is_timestamp(kind) or types.is_date(kind):
        return "time"
    if types.is_nested(kind):
        return "json"
    return "text"


def time_formats(values: Iterable[Any], *, is_named: bool = False) -> list[str]:
    """The formats in which most of the values are times, those that fit the most; none of no values.

    Numbers that could be anything are times only in a column that is named so.
    """
    values = list(values)
    if not values or any(isinstance(value, bool | list | dict) for value in values):
        return []
    if all(_is_number(value) for value in values):
        return _number_formats(values, is_named=is_named)
    fits = {pattern: _fitting(values, pattern) for pattern in ("auto", *PATTERNS)}
    best = max(fits.values())
    return [pattern for pattern, count in fits.items() if count == best and 2 * count > len(values)]


def _number_formats(values: list[Any], *, is_named: bool) -> list[str]:
    if _fitting(values, "auto") == len(values):
        read = reader("auto", UTC)
        return ["auto"] if is_named or all(_YEARS[0] < read(one) < _YEARS[1] for one in values) else []
    return ["epoch"] if is_named and _fitting(values, "epoch") == len(values) else []


def _is_number(value: Any) -> bool:
    return str(value).replace(".", "", 1).isdigit()


def _fitting(values: list[Any], pattern: str) -> int:
    """How many values are times in this format; 0 where none of the first is."""
    read, count = reader(pattern, UTC), 0
    for number, value in enumerate(values):
        if number == FIRST_VALUES and not count:
            break
        with suppress(ValueError, TypeError, OverflowError):
            read(value)
            count += 1
    return count


def suggested_time(columns: list[Json]) -> Json | None:
    """The column that most looks like the events' time: by its name, else the first text that is a time."""
    likely = [column for column in columns if column["time_formats"]]
    named = [column for column in likely if column["name"].lower() in NAMES]
    best = next(iter((*named, *(column for column in likely if column["type"] != "number"))), None)
    return None if best is None else {"column": best["name"], "format": best["time_formats"][0]}


def shown(value: Any) -> str:
    """A value as a short text."""
    if isinstance(value, bytes):
        value = value.decode("utf-8", "replace")
    text = value if isinstance(value, str) else json.dumps(value, default=str, ensure_ascii=False)
    return text[:SAMPLE_LENGTH_MAX] + ("…" if len(text) > SAMPLE_LENGTH_MAX else "")


def _plain(value: Any) -> Any:
    return value.decode("utf-8", "replace") if isinstance(value, bytes) else value


def _events(items: list[Item]) -> list[Any]:
    events, size = [], 0
    for item in items:
        size += len(item.text)
        if size > EVENTS_BYTES_MAX:
            break
        events.append(msgspec.json.decode(item.text))
    return events


def _fault(item: Item) -> Json:
    text = item.text[:SAMPLE_LENGTH_MAX].decode("utf-8", "replace")
    problem = in_words_of_api(item.problem or "")
    return {"number": item.number, "line": item.line, "error": problem, "event": text}


def _answer() -> Json:
    look = Look(**json.load(sys.stdin))
    try:
        return {"preview": preview(look)}
    except BadSource as error:
        return {"fault": in_words_of_api(str(error))}
    except MemoryError:
        return {"fault": "The file cannot be looked into: a part of it, unpacked, takes too much memory."}


def main() -> None:
    os.nice(NICENESS)
    resource.setrlimit(resource.RLIMIT_DATA, (MEMORY_MAX, MEMORY_MAX))
    pa.set_memory_pool(pa.system_memory_pool())
    pa.set_cpu_count(1)
    sys.stdout.buffer.write(msgspec.json.encode(_answer()))
    sys.stdout.buffer.flush()
    # Arrow's threads may still be starting, and an orderly exit would sometimes abort because of them.
    os._exit(0)


if __name__ == "__main__":
    main()
