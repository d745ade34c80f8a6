"""What is known of the values of number columns, file by file: looked up once, since files never change."""

from __future__ import annotations

import math
import threading
from collections import OrderedDict
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING
from weakref import ref

import pyarrow as pa
import pyarrow.compute as pc

from query.plan.columns import Column
from query.plan.exact_sums import Extent
from query.plan.views import View
from query.sql import statements

if TYPE_CHECKING:
    from query.engine.engine import Deadline, Engine

KEPT_MAX = 100_000
"""Pairs of a file and a column."""
TAILS_MAX = 1_000
"""Tables of events that are in no file yet."""


class ExtentCache:
    """Of one engine. Thread-safe."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._held: OrderedDict[tuple[str, str], Extent] = OrderedDict()
        self._tails: OrderedDict[int, tuple[ref[pa.Table], dict[str, Extent]]] = OrderedDict()

    def find(self, path: str, column: str) -> Extent | None:
        with self._lock:
            return self._held.get((path, column))

    def keep(self, path: str, column: str, extent: Extent) -> None:
        with self._lock:
            self._held[(path, column)] = extent
            while len(self._held) > KEPT_MAX:
                self._held.popitem(last=False)

    def of_tail(self, table: pa.Table, column: Column) -> Extent:
        """Found once for each table, which is the same until further events come."""
        with self._lock:
            kept = self._tails.get(id(table))
            if kept is None or kept[0]() is not table:
                kept = self._tails[id(table)] = (ref(table), {})
                while len(self._tails) > TAILS_MAX:
                    self._tails.popitem(last=False)
        found = kept[1].get(column.name)
        if found is None:
            found = kept[1][column.name] = _of_table(table, column)
        return found


def reader(engine: Engine, deadline: Deadline) -> Callable[[View, Column], Extent]:
    """What gives the extent of a number column in a view: of all files and the tail, whatever the filters.

    It raises what ``Engine.chunks`` does, and SourceGone.
    """

    def extent_of(view: View, column: Column) -> Extent:
        paths = [file.path for file in view.files if column.name in file.columns]
        found = {path: engine.extents.find(path, column.name) for path in paths}
        missing = {path for path in paths if found[path] is None}
        if missing:
            view.source.verify([file for file in view.files if file.path in missing])
            for path, extent in _read(sorted(missing), column, engine, deadline):
                engine.extents.keep(path, column.name, extent)
                found[path] = extent
        tail = view.source.tail
        total = Extent() if tail is None else engine.extents.of_tail(tail, column)
        for one in found.values():
            total = total.joined(one or Extent())
        return total

    return extent_of


def _read(
    paths: Sequence[str], column: Column, engine: Engine, deadline: Deadline
) -> list[tuple[str, Extent]]:
    statement = statements.extents(paths, column)
    chunks = engine.chunks(statement, {}, deadline.cancel, deadline.seconds, deadline.at)
    return [(row[0], _extent(*row[1:])) for chunk in chunks for row in chunk]


def _of_table(table: pa.Table, column: Column) -> Extent:
    if column.name not in table.column_names:
        return Extent()
    values = table.column(column.name)
    ends = pc.min_max(values).as_py()
    if _is_whole(values):
        return _extent(ends["min"], ends["max"], 1.0, True)
    magnitudes = pc.abs(values)
    least = pc.min(pc.filter(magnitudes, pc.greater(magnitudes, 0.0))).as_py()
    integral = pc.all(pc.equal(pc.trunc(values), values)).as_py()
    return _extent(ends["min"], ends["max"], least, integral)


def _is_whole(values: pa.ChunkedArray) -> bool:
    """Whether all are integers that 64 bits hold, in one pass; most columns are."""
    try:
        values.cast(pa.int64())
    except pa.ArrowInvalid:
        return False
    return True


def _extent(low: float | None, high: float | None, least: float | None, integral: bool | None) -> Extent:
    """Null where there is no value."""
    if low is None or high is None:
        return Extent()
    return Extent(low, high, math.inf if least is None else least, integral is not False)
