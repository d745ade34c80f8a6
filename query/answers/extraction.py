"""Extractions: converts rows back to the events that were sent, newest first.

A row's lanes are disjoint and paths are reversible, so an event consists of its non-null cells, placed by
their paths, and the explicit nulls and empty objects that the row lists.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Sequence
from dataclasses import dataclass, field
from typing import Any

from query.answers.values import loads
from query.engine.engine import Row
from query.engine.memory_budget import Reservation
from query.errors import QueryLimitExceeded
from query.json_encoding import Written, array, dumps
from query.language.nodes import ExtractionQuery, Span
from query.limits import Limits
from query.plan.columns import (
    CREATED_AT_COLUMN,
    EMPTIES_COLUMN,
    ID_COLUMN,
    NULLS_COLUMN,
    TIMESTAMP_COLUMN,
    Column,
    ColumnKind,
)
from query.plan.scans import Scan
from query.plan.views import View, Views
from query.sql import statements
from query.sql.statement import Statement

Event = dict[str, Any]
Run = Callable[[Statement, Scan], Iterable[Sequence[Row]]]
"""Runs a statement over a scan's tables and yields chunks of rows."""

_OBJECTS_SHARE = 4
"""Memory that a chunk's events take as Python objects and JSON, in addition to the rows, as a multiple of the
size of their texts."""
_EVENT_BYTES = 600
"""Further bytes for each event."""
_SLICE_SHARE = 2
"""The newest slice is sized for this multiple of the requested events, if they are evenly distributed."""
SYSTEM_COLUMNS = (TIMESTAMP_COLUMN, CREATED_AT_COLUMN, ID_COLUMN)


@dataclass(frozen=True)
class ExtractionPlan:
    query: ExtractionQuery
    view: View
    scan: Scan
    columns: tuple[Column, ...]
    """The columns in the order selected, after the size."""
    paths: tuple[str, ...]
    """The path of each column; empty for the lists of nulls and of empty objects."""
    limit: int

    def statement(self, scan: Scan, by: Sequence[Column] = ()) -> Statement:
        """``by``: the columns whose greatest values count as the newest; by default their times."""
        order = (TIMESTAMP_COLUMN, ID_COLUMN) if self.view.repeatable else (TIMESTAMP_COLUMN,)
        return statements.extraction(scan, self.columns, self.limit, by or order)


def plan_extraction(query: ExtractionQuery, views: Views, limits: Limits) -> ExtractionPlan:
    """Plans an extraction. Raises QueryLimitExceeded where it would scan too many events."""
    view = views.view(query.collection, (query.span,))
    if query.latest is None and view.rows > limits.extraction_scan_max:
        raise QueryLimitExceeded(
            f"The extraction would scan more than {limits.extraction_scan_max:,} events. "
            "Ask for a shorter timeframe, or for the newest ones by 'latest'."
        )
    columns, paths = wanted(query.properties, view)
    by = (TIMESTAMP_COLUMN, ID_COLUMN) if view.repeatable else (TIMESTAMP_COLUMN,)
    scan = view.scan((*columns, *by), view.condition(query.filters), query.span)
    limit = query.latest if query.latest is not None else limits.extraction_events_max + 1
    return ExtractionPlan(query, view, scan, columns, paths, limit)


def run_extraction(plan: ExtractionPlan, run: Run, limits: Limits, reservation: Reservation) -> Written:
    """The events as JSON. Raises QueryLimitExceeded where they are too many or too large."""
    if plan.scan.empty:
        return Written(b"[]")
    events_read = _newest(plan, run, limits, reservation) if plan.query.latest is not None else None
    if events_read is None:
        limits.check_rows(plan.view.rows)
        events_read = _fetch(plan, plan.scan, run, limits, reservation)
    if plan.query.latest is None and events_read.count >= plan.limit:
        raise QueryLimitExceeded(
            f"The extraction has more than {limits.extraction_events_max:,} events. "
            "Ask for a shorter timeframe, filter, or use 'latest'."
        )
    reservation.reserve(events_read.size)
    return Written(array(events_read.texts))


@dataclass
class _EncodedEvents:
    """The events read so far, as JSON."""

    count: int = 0
    size: int = 0
    texts: list[bytes] = field(default_factory=list)
    """The JSON of each chunk of rows."""


def _newest(
    plan: ExtractionPlan, run: Run, limits: Limits, reservation: Reservation
) -> _EncodedEvents | None:
    """The newest events, read from a short span; None where the whole timeframe has to be read.

    The span is first estimated from the catalog; if it is too short, it is determined from the exact times,
    which are cheap to read alone.
    """
    start = _likely_start(plan)
    if start is None:
        return None
    before = reservation.used_bytes
    newest = _fetch(plan, _since(plan, start), run, limits, reservation)
    if newest.count >= plan.limit:
        return newest
    limits.check_rows(plan.view.rows)
    narrow = plan.view.scan((TIMESTAMP_COLUMN,), plan.scan.predicate, plan.scan.span)
    times = [row[0] for chunk in run(statements.newest_times(narrow, plan.limit), narrow) for row in chunk]
    if len(times) <= newest.count:
        return newest
    del newest
    reservation.reduce_to(before)
    return _fetch(plan, _since(plan, times[-1]), run, limits, reservation)


def _likely_start(plan: ExtractionPlan) -> int | None:
    """The latest start from which the files have enough rows, assuming evenly distributed times."""
    files = sorted(plan.view.files, key=lambda file: file.max_us, reverse=True)
    end = plan.query.span.end_us
    rows_needed = plan.limit * _SLICE_SHARE
    if plan.view.rows <= rows_needed * 2:
        return None
    for position, file in enumerate(files):
        last = file.max_us if end is None else min(file.max_us, end)
        share = rows_needed / file.rows
        if share < 1 or position == len(files) - 1:
            length = max(last - file.min_us, 0) + 1
            return int(last - length * min(1.0, share * 1.1)) if share < 0.5 else file.min_us
        rows_needed -= file.rows
        if rows_needed <= 0:
            return file.min_us
    return None


def _since(plan: ExtractionPlan, start_us: int) -> Scan:
    """The plan's scan from this time on, without the files that end before it."""
    scan = plan.scan
    start = start_us if scan.span.start_us is None else max(start_us, scan.span.start_us)
    return plan.view.narrowed(scan, Span(start, scan.span.end_us))


def _fetch(
    plan: ExtractionPlan, scan: Scan, run: Run, limits: Limits, reservation: Reservation
) -> _EncodedEvents:
    """Reads the scan's events and encodes each chunk at once: rows of many columns are mostly nulls."""
    events_read = _EncodedEvents()
    properties = None if plan.query.properties is None else frozenset(plan.query.properties)
    size = 0
    for chunk in run(plan.statement(scan), scan):
        chunk_bytes = sum(row[0] for row in chunk)
        size += chunk_bytes
        if size > limits.response_bytes_max:
            raise QueryLimitExceeded(
                f"The extraction is larger than {limits.response_bytes_max:,} bytes. "
                "Ask for fewer events, or for some properties by 'property_names'."
            )
        # The event objects need memory in addition to the rows that they are built from.
        objects_bytes = _OBJECTS_SHARE * chunk_bytes + _EVENT_BYTES * len(chunk)
        reservation.reserve(objects_bytes)
        text = dumps(events(chunk, plan.columns, plan.paths, properties))[1:-1]
        reservation.give_back(objects_bytes)
        reservation.reserve(len(text) + 1)
        events_read.texts.append(text)
        events_read.count += len(chunk)
        events_read.size += len(text) + 1
    return events_read


def wanted(properties: Sequence[str] | None, view: View) -> tuple[tuple[Column, ...], tuple[str, ...]]:
    """The columns to select and their paths; the lists of nulls and empty objects have an empty path."""
    pairs: dict[Column, str] = {}
    system = {column.name: column for column in SYSTEM_COLUMNS}
    requested = None if properties is None else frozenset(properties)
    for path, column in system.items():
        if requested is None or is_wanted(path, requested):
            pairs[column] = path
    for lane in view.source.schema.lanes:
        if (requested is None or is_wanted(lane.path, requested)) and lane.column in view.available.names:
            pairs[Column(lane.column, ColumnKind(lane.kind.value))] = lane.path
    for paths_column in view.available.paths_columns():
        if paths_column is not None:
            pairs[paths_column] = ""
    return tuple(pairs), tuple(pairs.values())


def is_wanted(path: str, wanted: Collection[str]) -> bool:
    """Whether the path is in ``wanted``, ideally a set, or nested in one of its paths."""
    while path:
        if path in wanted:
            return True
        path = path.rpartition(".")[0]
    return False


# --- rows into events -----------------------------------------------------------------------------------


def events(
    rows: Sequence[Row], columns: Sequence[Column], paths: Sequence[str], properties: Collection[str] | None
) -> list[Event]:
    """Builds the events of rows (size, cells of ``columns`` …), column by column: most cells are null."""
    built: list[Event] = [{} for _ in rows]
    if not rows:
        return built
    objects = _Objects(built)
    cells = list(zip(*rows, strict=True))[1:]
    for column, path, values in zip(columns, paths, cells, strict=True):
        if column in (NULLS_COLUMN, EMPTIES_COLUMN):
            _place_listed(objects, values, properties, empty=column == EMPTIES_COLUMN)
        else:
            _place(objects, path, decoded(column.kind, values))
    return built


class _Objects:
    """The nested objects of many events: one list per path, whose objects are created on first use.

    The functions that create them refer to the lists only, without reference cycles, so that an extraction's
    events are freed when it ends and not at the next garbage collection.
    """

    def __init__(self, roots: list[Event]) -> None:
        self._size = len(roots)
        self._lists: dict[str, list[Event | None]] = {"": list(roots)}
        self._makers: dict[str, Callable[[int], Event]] = {"": roots.__getitem__}

    def at(self, path: str) -> tuple[list[Event | None], Callable[[int], Event]]:
        """Each event's object at ``path``, None where not created yet; and a function that creates it."""
        if path not in self._lists:
            self._lists[path] = [None] * self._size
        objects = self._lists[path]
        if path not in self._makers:
            self._makers[path] = self._maker(path, objects)
        return objects, self._makers[path]

    def make(self, path: str, position: int) -> Event:
        """The object at ``path`` of one event, created with its parents where missing."""
        return self.at(path)[1](position)

    def _maker(self, path: str, objects: list[Event | None]) -> Callable[[int], Event]:
        outer, _, name = path.rpartition(".")
        parents, make_parent = self.at(outer)

        def make(position: int) -> Event:
            event_object = objects[position]
            if event_object is None:
                event_object = objects[position] = {}
                parent = parents[position]
                if parent is None:
                    parent = make_parent(position)
                parent[name] = event_object
            return event_object

        return make


def _place(objects: _Objects, path: str, values: Sequence[Any]) -> None:
    if values.count(None) == len(values):
        return
    outer, _, name = path.rpartition(".")
    parents, make = objects.at(outer)
    for position, (parent, value) in enumerate(zip(parents, values, strict=True)):
        if value is not None:
            if parent is None:
                parent = make(position)
            parent[name] = value


def _place_listed(
    objects: _Objects, lists: Iterable[Sequence[str] | None], properties: Collection[str] | None, empty: bool
) -> None:
    for position, paths in enumerate(lists):
        for path in paths or ():
            if properties is None or is_wanted(path, properties):
                if empty:
                    objects.make(path, position)
                else:
                    outer, _, name = path.rpartition(".")
                    objects.make(outer, position)[name] = None


def decoded(kind: ColumnKind, values: Sequence[Any]) -> Sequence[Any]:
    """Cells as JSON values; integral doubles become integers, as in every other answer."""
    if kind is ColumnKind.NUMBER:
        return [int(value) if value is not None and value.is_integer() else value for value in values]
    if kind is ColumnKind.LONG:
        return [None if value is None else int(value) for value in values]
    if kind is ColumnKind.INSTANT:
        return [text[:-3] + "Z" if text.endswith("000") else text + "Z" for text in values]
    if kind is ColumnKind.JSON:
        by_text: dict[str | None, Any] = {None: None}
        for text in values:
            if text not in by_text:
                by_text[text] = loads(text)
        return [by_text[text] for text in values]
    return values
