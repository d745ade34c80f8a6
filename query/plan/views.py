"""Views: a source restricted to a query's timeframes and to the filters of its key."""

from __future__ import annotations

import secrets
import sys
import weakref
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property

import pyarrow as pa
import pyarrow.compute as pc

from query.language.nodes import ActorCohort, Filter, SessionDefinition, Span
from query.plan import operators
from query.plan import predicates as p
from query.plan.actors import LINKS_TABLE, UNLINKED, ActorColumn, IdLinks
from query.plan.cohort_sets import with_ids
from query.plan.columns import (
    EMPTIES_COLUMN,
    NULLS_COLUMN,
    TIMESTAMP_COLUMN,
    ActorsOf,
    ActorTables,
    Available,
    Column,
    ComputedColumns,
    no_actors,
    no_sessions,
)
from query.plan.exact_sums import Extent
from query.plan.operators import Spend
from query.plan.predicates import Predicate
from query.plan.scans import Scan, hull, overlaps, pieces_of
from query.plan.sessions import SessionColumn, contains, of_sessions, session_tables, stored, together
from storage.source import DataFile, Source, believe

SourceOf = Callable[[str], Source]
ComputeActors = Callable[[ActorCohort, "Views"], Mapping[str, pa.Table]]
"""Computes a cohort's actors: a table for each part that any has, with the column ``$member``, not null."""
ExtentOf = Callable[["View", Column], Extent]
FindSessions = Callable[["Views", SessionDefinition, str, Span, int], ComputedColumns]
"""The last argument is a number that no other call has."""
Held = Callable[["View", Span], frozenset[str]]
"""Returns the lanes in which any event that the key sees has a value, within a span."""


def no_found(
    views: Views, definition: SessionDefinition, collection: str, span: Span, number: int
) -> ComputedColumns:
    """For questions in which no property of sessions can be."""
    return no_sessions(definition)


class _HeldColumns(Collection[str]):
    """The columns of files and a tail, looked up one by one: most queries need few of many."""

    def __init__(self, files: tuple[DataFile, ...], tail: pa.Table | None) -> None:
        self._files = files
        self._tail = frozenset(tail.column_names) if tail is not None else frozenset()

    def __contains__(self, name: object) -> bool:
        return name in self._tail or any(name in file.columns for file in self._files)

    def __iter__(self) -> Iterator[str]:
        return iter({*self._tail, *(name for file in self._files for name in file.columns)})

    def __len__(self) -> int:
        return sum(1 for _ in self)


@dataclass(frozen=True)
class View:
    """One collection, restricted to the files of a query's timeframes and to the key's filters."""

    source: Source
    files: tuple[DataFile, ...]
    name: str
    """The table name that the tail is registered as."""
    forced: tuple[Filter, ...] = ()
    spend: Spend = lambda _: None
    spend_forced: Spend = lambda _: None
    held: frozenset[str] | None = None
    """The lanes in which any event that the key sees has a value; None where they need not be known."""
    extent_of: ExtentOf = lambda view, column: view.catalogued(column)
    exact: bool = False
    """Whether sums are planned so that they are always certain."""
    repeatable: bool = False
    """Whether the answer must be the same to the last bit however the events are arranged in files."""
    actors_of: ActorsOf = no_actors
    actor_tables: Mapping[str, pa.Table] = field(default_factory=dict)
    """The tables that ``actors_of`` has named, by name."""
    sessions_of: Callable[[SessionDefinition], ComputedColumns] = no_sessions

    @cached_property
    def available(self) -> Available:
        names = _HeldColumns(self.files, self.source.tail)
        return Available(self.source.schema, names, self.actors_of, self.sessions_of)

    @property
    def rows(self) -> int:
        """The number of rows that a scan reads, before any test."""
        tail = self.source.tail
        return sum(file.rows for file in self.files) + (tail.num_rows if tail is not None else 0)

    def part(self, files: Iterable[DataFile], *, with_tail: bool = False) -> View:
        """A part of the view: its files were verified, and its filters counted, with the whole of it."""
        tail = self.source.tail if with_tail else None
        return replace(
            self,
            files=tuple(files),
            source=replace(self.source, tail=tail, verify=believe),
            spend=lambda _: None,
            spend_forced=lambda _: None,
        )

    def condition(self, filters: Iterable[Filter]) -> Predicate:
        return operators.predicate(filters, self._columns_for_query, self.spend)

    @property
    def _columns_for_query(self) -> Available:
        """The columns for a query's own filters: in the events that the key sees, all others are empty."""
        names = self.available.names
        if self.held is None:
            return self.available
        kept = {name for name in (*self.held, NULLS_COLUMN.name, EMPTIES_COLUMN.name) if name in names}
        return Available(self.source.schema, kept, self.actors_of, self.sessions_of)

    def scan(
        self,
        columns: Iterable[Column],
        condition: Predicate,
        span: Span,
        tests: Iterable[Predicate] = (),
        *,
        in_us: bool = False,
    ) -> Scan:
        """A scan of the view's rows.

        This is the only way from a view to rows: only here are the forced filters added, and files verified
        before they are read. ``tests`` are further tests of rows, which use ``columns`` only. Raises
        SourceGone.
        """
        forced = operators.predicate(self.forced, self.available, self.spend_forced)
        predicate = p.all_of((forced, condition))
        if predicate != p.FALSE:
            self.source.verify(self.files)
        times, rest = _times_and_rest(predicate)
        used = (*columns, *p.columns_of(predicate))
        sessions, named = of_sessions(used), tuple(stored(used))
        needed = _stored(named)
        tail = self.source.tail
        has_tail = tail is not None and tail.num_rows > 0
        read = (predicate, *tests, *(column.join.member for column in sessions))
        return Scan(
            pieces=pieces_of(self.files, needed, span),
            tail=self.name if has_tail else None,
            tail_held=frozenset(tail.column_names) if tail is not None else frozenset(),
            columns=needed,
            span=span,
            predicate=predicate,
            readings=tuple(dict.fromkeys(found for one in read for found in p.readings_of(one))),
            times=times,
            rest=rest,
            in_us=in_us,
            actors=_actors_in(named),
            sessions=sessions,
        )

    def restricted(self, scan: Scan, columns: Iterable[Column]) -> Scan:
        """The scan with these of its columns, and those that its predicate needs."""
        used = (*columns, *p.columns_of(scan.predicate))
        sessions, named = of_sessions(used), tuple(stored(used))
        needed = _stored(named)
        pieces = pieces_of(self.files, needed, scan.span)
        return replace(scan, columns=needed, pieces=pieces, actors=_actors_in(named), sessions=sessions)

    def narrowed(self, scan: Scan, span: Span) -> Scan:
        """The scan over a span within its own that begins later, without the files that end before it.

        The columns of the remaining files are determined again: a column may be only in omitted files.
        """
        start = span.start_us
        files = tuple(file for file in self.files if start is None or file.max_us >= start)
        pieces = tuple(replace(piece, timed=True) for piece in pieces_of(files, scan.columns, span))
        return replace(scan, span=span, pieces=pieces)

    def tables(self, scan: Scan) -> dict[str, pa.Table]:
        """The tables to register to run the scan: the tail with the scan's columns, the links, the actors of
        cohorts and the sessions."""
        tables = dict(self.actor_tables)
        if scan.actors:
            tables[LINKS_TABLE] = scan.actors[0].links.table
        tables |= session_tables(scan.sessions)
        if scan.tail is None or self.source.tail is None:
            return tables
        names = {column.name for column in scan.columns} | {TIMESTAMP_COLUMN.name}
        names_in_tail = [name for name in self.source.tail.column_names if name in names]
        return tables | {scan.tail: self.source.tail.select(names_in_tail)}

    def extent(self, column: Column) -> Extent:
        """The known bounds of the column's values, regardless of filters."""
        computed = isinstance(column, SessionColumn)
        return self.catalogued(column) if computed else self.extent_of(self, column)

    def catalogued(self, column: Column) -> Extent:
        """The bounds that the catalog knows: the greatest magnitude."""
        if isinstance(column, SessionColumn):
            return Extent(-column.greatest, column.greatest, 0.0, integral=False)
        magnitudes = [
            _file_magnitude(file, column.name) for file in self.files if column.name in file.columns
        ]
        tail = self.source.tail
        if tail is not None and column.name in tail.column_names:
            ends = pc.min_max(tail.column(column.name)).as_py()
            magnitudes.append(max((abs(end) for end in ends.values() if end is not None), default=0.0))
        greatest = max(magnitudes, default=0.0)
        return Extent(-greatest, greatest, 0.0, integral=False)


@dataclass
class Views:
    """The sources of one query, each opened once, so that every step sees the same snapshot."""

    source_of: SourceOf
    forced: tuple[Filter, ...] = ()
    spend: Spend = lambda _: None
    """Called with the number of conditions of each filter."""
    held: Held | None = None
    spend_forced: Spend = lambda _: None
    """As ``spend`` for the key's filters, which are counted separately: the query did not cause them."""
    damaged: dict[str, DataFile] = field(default_factory=dict)
    """Damaged files within the requested timeframes, by path: their events are missing from the views."""
    erased: bool = False
    """Whether events within the requested timeframes were erased since the version that is read."""
    extent_of: ExtentOf = lambda view, column: view.catalogued(column)
    exact: bool = False
    """Whether sums are planned so that they are always certain, which takes longer."""
    repeatable: bool = False
    """Whether the answer must be the same however the events are arranged in files, which takes longer."""
    read_links: Callable[[Views], IdLinks] = lambda _: UNLINKED
    """Reads which ids belong to one actor."""
    asked: list[tuple[str, View]] = field(default_factory=list)
    """Every requested collection, and its view."""
    compute_actors: ComputeActors | None = None
    """Computes the actors of a cohort from these views; None where no cohort can be asked for."""
    actor_tables: dict[str, pa.Table] = field(default_factory=dict)
    """The actors of the cohorts that were asked for, by the names of their tables."""
    find_sessions: FindSessions = no_found
    """Finds the sessions of a collection's events in a span. Raises QueryError."""
    spans: tuple[Span, ...] = ()
    """Timeframes of the question: sessions are found once for all those that overlap or touch."""
    _sources: dict[str, Source] = field(default_factory=dict)
    _links: IdLinks | None = None
    _sessions: list[tuple[SessionDefinition, str, Span, ComputedColumns]] = field(default_factory=list)
    _cohorts: dict[str, tuple[ActorTables, ActorTables]] = field(default_factory=dict)

    def of_others(self, source_of: SourceOf) -> Views:
        """The same of other sources: nothing is asked of them or found in them yet."""
        return replace(
            self,
            source_of=source_of,
            damaged={},
            erased=False,
            asked=[],
            actor_tables={},
            _sources={},
            _links=None,
            _sessions=[],
            _cohorts={},
        )

    def actors_of(self, cohort: ActorCohort) -> ActorTables:
        """The tables of the ids that the cohort's actors have in events. Raises QueryError."""
        return self._tables_of(cohort)[1]

    def own_actors_of(self, cohort: ActorCohort) -> ActorTables:
        """The tables of the cohort's actors, each once: of linked ids the one that stands for all."""
        return self._tables_of(cohort)[0]

    def _tables_of(self, cohort: ActorCohort) -> tuple[ActorTables, ActorTables]:
        """The tables of the cohort, which is computed once, from the same snapshot as all else and under the
        key's filters."""
        # As text: equal values such as 1 and true make different cohorts.
        key = repr(cohort)
        if key in self._cohorts:
            return self._cohorts[key]
        if self.compute_actors is None:
            raise AssertionError(f"the cohort {cohort.name!r} is used where none can be")
        found = self.compute_actors(cohort, self)
        # No other question's: a statement that names it means these actors.
        name = f"$cohort{secrets.token_hex(8)}"
        own = self._registered(name, found)
        links = self.links() if cohort.merged else UNLINKED
        linked = own if not links else self._registered(f"{name}.ids", with_ids(found, links))
        self._cohorts[key] = own, linked
        return own, linked

    def _registered(self, name: str, tables: Mapping[str, pa.Table]) -> ActorTables:
        names = {part: f"{name}.{part}" for part in tables}
        self.actor_tables.update({names[part]: table for part, table in tables.items()})
        return names

    def links(self) -> IdLinks:
        """Which ids belong to one actor, as far as the key sees it; read where it is first needed."""
        if self._links is None:
            self._links = self.read_links(self)
        return self._links

    def source(self, collection: str) -> Source:
        source = self._sources.get(collection)
        if source is None:
            source = self._sources[collection] = self.source_of(collection)
        return source

    def view(self, collection: str, spans: Iterable[Span]) -> View:
        source = self.source(collection)
        timeframes = tuple(spans)
        files = tuple(file for file in source.files if any(overlaps(file, span) for span in timeframes))
        self.damaged |= {
            file.path: file for file in source.damaged if any(overlaps(file, span) for span in timeframes)
        }
        self.erased |= any(source.has_erased(span.start_us, span.end_us) for span in timeframes)
        name = f"$tail{len(self.asked)}"
        # Not itself: a cycle would hold the answer's memory until the next collection of garbage.
        these = weakref.proxy(self)
        view = View(
            source,
            files,
            name,
            self.forced,
            self.spend,
            self.spend_forced,
            extent_of=self.extent_of,
            exact=self.exact,
            repeatable=self.repeatable,
            actors_of=lambda cohort: these.actors_of(cohort),
            actor_tables=self.actor_tables,
            sessions_of=lambda definition: these._sessions_of(definition, collection, timeframes),
        )
        if self.held is not None:
            view = replace(view, held=self.held(view, hull(timeframes)))
        self.asked.append((collection, view))
        return view

    def _sessions_of(
        self, definition: SessionDefinition, collection: str, timeframes: Sequence[Span]
    ) -> ComputedColumns:
        """The columns of the sessions of a collection's events, which are found once."""
        own = hull(timeframes)
        span = next((one for one in together(self.spans) if contains(one, own)), own)
        for *known, columns in self._sessions:
            if known == [definition, collection, span]:
                return columns
        found = self.find_sessions(self, definition, collection, span, len(self._sessions))
        self._sessions.append((definition, collection, span, found))
        return found

    @property
    def unknown(self) -> list[str]:
        """The requested collections that do not exist."""
        asked = {name for name, _ in self.asked}
        return [name for name, source in self._sources.items() if name in asked and not source.known]


def _actors_in(columns: Iterable[Column]) -> tuple[ActorColumn, ...]:
    """Those of the columns that are ids of actors, each once."""
    return tuple(dict.fromkeys(column for column in columns if isinstance(column, ActorColumn)))


def _stored(columns: Iterable[Column]) -> tuple[Column, ...]:
    """The columns, each once, and in place of computed ones those that they are computed from."""
    each = (column.bases if isinstance(column, ActorColumn) else (column,) for column in columns)
    return tuple(dict.fromkeys(stored for bases in each for stored in bases))


def _times_and_rest(predicate: Predicate) -> tuple[tuple[p.Compare, ...], Predicate]:
    """Splits a predicate into the comparisons of instants that must all hold, and the rest."""
    operands = predicate.operands if isinstance(predicate, p.AllOf) else (predicate,)
    times = tuple(
        operand
        for operand in operands
        if isinstance(operand, p.Compare)
        and isinstance(operand.operand, p.Instant)
        and not isinstance(operand.column, SessionColumn)
    )
    if not times:
        return (), predicate
    return times, p.all_of(operand for operand in operands if operand not in times)


def _file_magnitude(file: DataFile, name: str) -> float:
    magnitude = file.columns[name]
    return sys.float_info.max if magnitude is None else magnitude
