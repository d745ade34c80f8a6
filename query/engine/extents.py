"""Extents of number columns, file by file; each is computed once, since files never change."""

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
"""Cached extents, each of one column of one file."""
TAILS_MAX = 1_000
"""Tails whose extents are cached."""


class ExtentCache:
    """The extents that one engine has computed. Thread-safe."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._extents: OrderedDict[tuple[str, str], Extent] = OrderedDict()
        self._tails: OrderedDict[int, tuple[ref[pa.Table], dict[str, Extent]]] = OrderedDict()

    def find(self, path: str, column: str) -> Extent | None:
        with self._lock:
            return self._extents.get((path, column))

    def keep(self, path: str, column: str, extent: Extent) -> None:
        with self._lock:
            self._extents[(path, column)] = extent
            while len(self._extents) > KEPT_MAX:
                self._extents.popitem(last=False)

    def of_tail(self, table: pa.Table, column: Column) -> Extent:
        """The extent of a tail's column, computed once per table; the table changes with new events only."""
        with self._lock:
            entry = self._tails.get(id(table))
            if entry is None or entry[0]() is not table:
                entry = self._tails[id(table)] = (ref(table), {})
                while len(self._tails) > TAILS_MAX:
                    self._tails.popitem(last=False)
        extent = entry[1].get(column.name)
        if extent is None:
            extent = entry[1][column.name] = _of_table(table, column)
        return extent


def reader(engine: Engine, deadline: Deadline) -> Callable[[View, Column], Extent]:
    """A function that returns the extent of a number column over a view's files and tail, without filters.

    It raises what ``Engine.chunks`` raises, and SourceGone.
    """

    def extent_of(view: View, column: Column) -> Extent:
        paths = [file.path for file in view.files if column.name in file.columns]
        by_path = {path: engine.extents.find(path, column.name) for path in paths}
        missing = {path for path in paths if by_path[path] is None}
        if missing:
            view.source.verify([file for file in view.files if file.path in missing])
            for path, extent in _read(sorted(missing), column, engine, deadline):
                engine.extents.keep(path, column.name, extent)
                by_path[path] = extent
        tail = view.source.tail
        total = Extent() if tail is None else engine.extents.of_tail(tail, column)
        for file_extent in by_path.values():
            total = total.joined(file_extent or Extent())
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
    """Whether all values are 64-bit integers, tested in one pass; this is so for most columns."""
    try:
        values.cast(pa.int64())
    except pa.ArrowInvalid:
        return False
    return True


def _extent(low: float | None, high: float | None, least: float | None, integral: bool | None) -> Extent:
    """The extent of one result row, whose cells are None where there are no values."""
    if low is None or high is None:
        return Extent()
    return Extent(low, high, math.inf if least is None else least, integral is not False)
