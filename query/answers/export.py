"""Extractions of any size: a snapshot is read in slices of time, newest first, one at a time.

Each slice is a separate query, limited in time and memory like any other. All read the same source, so that
the properties determined beforehand are those of all rows.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Generator, Iterator, Sequence
from contextlib import closing
from dataclasses import dataclass, replace

from query.answers import extraction
from query.answers.pipeline import Conditions, seen_by
from query.engine.engine import Deadline, Engine, Row
from query.errors import TooManyConditions
from query.language.nodes import ExtractionQuery, Filter, Span
from query.limits import Limits
from query.plan.columns import TIMESTAMP_COLUMN, Column
from query.plan.views import View, Views
from query.sql import statements
from storage.source import Source

SLICE_ROWS = 50_000
SLICE_BYTES = 8 << 20
"""Bytes of a slice in Parquet, where events take about a tenth of their size in memory."""
_PACKING = 8
"""How many times smaller events are in a Parquet file than in the tail."""


@dataclass(frozen=True, slots=True)
class Chunk:
    """Some rows, each with the size of its texts in bytes, then a cell of each column."""

    rows: Sequence[Row]
    columns: tuple[Column, ...]
    paths: tuple[str, ...]
    """The path of each column; empty for the lists of nulls and of empty objects."""


@dataclass(frozen=True, slots=True)
class ExtractionSlices:
    """The slices of an extraction: the start of each in µs, newest first, and the total number of rows."""

    starts: tuple[int, ...]
    rows: int

    def spans(self, whole: Span) -> Iterator[Span]:
        end = whole.end_us
        for start in dict.fromkeys(self.starts):
            yield Span(start, end)
            end = start


class ExtractionRun:
    """One extraction under a key's filters. Every method may raise QueryError and SourceGone."""

    def __init__(
        self,
        query: ExtractionQuery,
        source: Source,
        engine: Engine,
        *,
        forced: Sequence[Filter],
        limits: Limits,
        deadline: Callable[[], Deadline],
        slice_rows: int | None = None,
    ) -> None:
        """``deadline`` returns a new deadline for each query of the engine."""
        self._query = query
        self._source = source
        self._engine = engine
        self._forced = tuple(forced)
        self._limits = limits
        self._deadline = deadline
        self._slice_rows = slice_rows or rows_of_slice(source)
        self._seen: frozenset[str] | None = None
        """The lanes that the key sees; None until they are needed."""

    def cut(self, rows_max: int) -> ExtractionSlices:
        """Determines the slices, covering at most ``rows_max`` + 1 rows."""
        deadline = self._deadline()
        view = self._view(self._query.span, deadline)
        try:
            condition = view.condition(self._query.filters)
        except TooManyConditions:
            if not self._forced:
                raise
            self._seen = seen_by(self._engine, deadline)(view, self._query.span)
            view = self._view(self._query.span, deadline)
            condition = view.condition(self._query.filters)
        scan = view.scan((TIMESTAMP_COLUMN,), condition, self._query.span)
        if scan.empty:
            return ExtractionSlices((), 0)
        limit = rows_max + 1 if self._query.latest is None else min(self._query.latest, rows_max + 1)
        statement = statements.cuts(scan, self._slice_rows, limit)
        chunks = self._engine.chunks(
            statement, view.tables(scan), deadline.cancel, deadline.seconds, deadline.at
        )
        slices = [row for chunk in chunks for row in chunk]
        return ExtractionSlices(tuple(row[0] for row in slices), sum(row[1] for row in slices))

    def held(self, cut: ExtractionSlices) -> dict[Column, str]:
        """The columns in which any row of these slices has a value, with their paths."""
        deadline = self._deadline()
        span = Span(cut.starts[-1] if cut.starts else None, self._query.span.end_us)
        query = replace(self._query, span=span)
        view = self._view(span, deadline)
        columns, paths = extraction.wanted(query.properties, view)
        pairs = {column: path for column, path in zip(columns, paths, strict=True) if path}
        scan = view.scan((*pairs, TIMESTAMP_COLUMN), view.condition(query.filters), span)
        if scan.empty or not cut.rows:
            return {column: path for column, path in pairs.items() if column in extraction.SYSTEM_COLUMNS}
        statement = statements.presence(scan, tuple(pairs))
        chunks = self._engine.chunks(
            statement, view.tables(scan), deadline.cancel, deadline.seconds, deadline.at
        )
        ((_, *counts),) = [row for chunk in chunks for row in chunk]
        return {column: pairs[column] for column, count in zip(pairs, counts, strict=True) if count}

    def chunks(self, cut: ExtractionSlices) -> Generator[Chunk]:
        """Yields the rows of all slices, newest first; to be closed by whoever may stop before the last."""
        rows_left = cut.rows
        for span in cut.spans(self._query.span):
            if rows_left <= 0:
                return
            with closing(self._slice(span, rows_left)) as chunks:
                for chunk in chunks:
                    rows_left -= len(chunk.rows)
                    yield chunk

    def _slice(self, span: Span, limit: int) -> Generator[Chunk]:
        deadline = self._deadline()
        query = replace(self._query, span=span, latest=limit)
        plan = extraction.plan_extraction(query, self._views(deadline), self._limits)
        if plan.scan.empty:
            return
        statement = plan.statement(plan.scan)
        tables = plan.view.tables(plan.scan)
        run = self._engine.chunks(statement, tables, deadline.cancel, deadline.seconds, deadline.at)
        with closing(run) as chunks:
            for rows in chunks:
                yield Chunk(rows, plan.columns, plan.paths)

    def _view(self, span: Span, deadline: Deadline) -> View:
        return self._views(deadline).view(self._query.collection, (span,))

    def _views(self, deadline: Deadline) -> Views:
        own, forced = (Conditions(self._limits, deadline.check).spend for _ in range(2))
        seen = self._seen
        held = None if seen is None else lambda _view, _span: seen
        return Views(lambda _: self._source, self._forced, own, held, forced)


def named_paths(properties: Collection[str] | None, held: Collection[str]) -> list[str]:
    """The sorted paths of a table's columns: those with values, and requested ones without any value."""
    paths = set(held)
    for name in properties or ():
        if not any(path == name or path.startswith(f"{name}.") for path in held):
            paths.add(name)
    return sorted(paths)


def rows_of_slice(source: Source) -> int:
    """How many rows fill a slice, given the average event size of the file with the longest events."""
    sizes = [file.bytes / file.rows for file in source.files if file.rows]
    tail = source.tail
    if tail is not None and tail.num_rows:
        sizes.append(tail.nbytes / tail.num_rows / _PACKING)
    longest = max(sizes, default=0.0)
    return max(1, min(SLICE_ROWS, int(SLICE_BYTES / longest))) if longest else SLICE_ROWS
