"""Planning: which files and columns a question reads, and which aggregates answer it.

Pure: needs the catalog's facts about files, never the files. Three levels:

    View      a source cut to a timeframe: files that may hold a row of it, the tail, the columns they hold
    Scan      a view read: pieces of files with equal columns, a predicate, the columns wanted
    MetricsPlan   a scan, grouped and aggregated
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from decimal import Decimal
from enum import StrEnum
from functools import cached_property

import pyarrow as pa
import pyarrow.compute as pc

from query.language.nodes import (
    Analysis,
    Buckets,
    Condition,
    Filter,
    Group,
    Metric,
    MetricQuery,
    Operator,
    Order,
    Range,
    Span,
)
from query.plan import operators
from query.plan import predicates as p
from query.plan.columns import (
    EMPTIES_COLUMN,
    NULLS_COLUMN,
    NUMERIC,
    TIMESTAMP_COLUMN,
    Available,
    Column,
    ColumnKind,
)
from query.plan.exact_sums import EXACT_DOUBLES, SPLIT_MAX, Band, Extent, bands, exact_rows, splitter
from query.plan.operators import Spend
from query.plan.predicates import Predicate
from storage.source import DataFile, Source

PIECES_MAX = 4
"""With more sets of files than this, one reader that unifies their columns by name is faster."""

SourceOf = Callable[[str], Source]
ExtentOf = Callable[["View", Column], Extent]
Held = Callable[["View", Span], frozenset[str]]
"""The lanes in which an event that the key sees has a value, within a span."""


@dataclass(frozen=True, slots=True)
class Piece:
    """Files that hold the same of the wanted columns."""

    paths: tuple[str, ...]
    held: frozenset[str]
    timed: bool
    """False where every row of every file lies in the span, which then needs no test."""
    by_name: bool = False
    marked: bool = False
    """Whether instants are marked as UTC in the files."""


@dataclass(frozen=True, slots=True)
class Scan:
    """The rows of a view that lie in the span and satisfy the predicate, with the wanted columns."""

    pieces: tuple[Piece, ...]
    tail: str | None
    """Name of the registered table."""
    tail_held: frozenset[str]
    columns: tuple[Column, ...]
    span: Span
    predicate: Predicate
    readings: tuple[tuple[p.Reading, Column], ...] = ()
    """What conditions read in texts."""
    times: tuple[p.Compare, ...] = ()
    """Of the predicate's conditions, those on instants that all must hold: tested where files are read."""
    rest: Predicate = p.TRUE
    """The predicate without those."""
    in_us: bool = False
    """Whether each row's time is also given as an integer, in µs."""

    @property
    def empty(self) -> bool:
        return self.predicate == p.FALSE or not (self.pieces or self.tail)


class _Held(Collection[str]):
    """The columns of some files and a tail, asked one by one: most questions need few of many."""

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
    """One collection as a question sees it: cut to the files of its timeframes, under the key's filters."""

    source: Source
    files: tuple[DataFile, ...]
    name: str
    """What the tail is registered as."""
    forced: tuple[Filter, ...] = ()
    spend: Spend = lambda _: None
    spend_forced: Spend = lambda _: None
    held: frozenset[str] | None = None
    """The lanes in which an event that the key sees has a value; None where that makes no difference."""
    extent_of: ExtentOf = lambda view, column: view.catalogued(column)
    exact: bool = False
    """Whether sums are to be certain at once."""

    @cached_property
    def available(self) -> Available:
        return Available(self.source.schema, _Held(self.files, self.source.tail))

    @property
    def rows(self) -> int:
        """Rows of everything that a scan reads, before any test."""
        tail = self.source.tail
        return sum(file.rows for file in self.files) + (tail.num_rows if tail is not None else 0)

    def condition(self, filters: Iterable[Filter]) -> Predicate:
        return operators.predicate(filters, self._asked, self.spend)

    @property
    def _asked(self) -> Available:
        """What a question's own filters need: of the events in sight, all other lanes are empty."""
        names = self.available.names
        if self.held is None:
            return self.available
        kept = {name for name in (*self.held, NULLS_COLUMN.name, EMPTIES_COLUMN.name) if name in names}
        return Available(self.source.schema, kept)

    def scan(
        self,
        columns: Iterable[Column],
        condition: Predicate,
        span: Span,
        tests: Iterable[Predicate] = (),
        *,
        in_us: bool = False,
    ) -> Scan:
        """The only way from a view to rows: here, and nowhere else, the forced filters join, and files are
        verified before they are read.

        ``tests``: what else is asked of a row once it is read, of ``columns`` alone. Raises SourceGone.
        """
        forced = operators.predicate(self.forced, self.available, self.spend_forced)
        predicate = p.all_of((forced, condition))
        if predicate != p.FALSE:
            self.source.verify(self.files)
        times, rest = _apart(predicate)
        wanted = tuple(dict.fromkeys((*columns, *p.columns_of(predicate))))
        tail = self.source.tail
        has_tail = tail is not None and tail.num_rows > 0
        return Scan(
            pieces=_pieces(self.files, wanted, span),
            tail=self.name if has_tail else None,
            tail_held=frozenset(tail.column_names) if tail is not None else frozenset(),
            columns=wanted,
            span=span,
            predicate=predicate,
            readings=tuple(dict.fromkeys(read for one in (predicate, *tests) for read in p.readings_of(one))),
            times=times,
            rest=rest,
            in_us=in_us,
        )

    def narrowed(self, scan: Scan, span: Span) -> Scan:
        """The scan over a span within its own that begins later, without the files that end before that.

        What the fewer files hold is found anew: a column may be in those alone that are left out.
        """
        start = span.start_us
        files = tuple(file for file in self.files if start is None or file.max_us >= start)
        pieces = tuple(replace(piece, timed=True) for piece in _pieces(files, scan.columns, span))
        return replace(scan, span=span, pieces=pieces)

    def tables(self, scan: Scan) -> dict[str, pa.Table]:
        """What must be registered to run the scan: the tail, cut to its columns."""
        if scan.tail is None or self.source.tail is None:
            return {}
        names = {column.name for column in scan.columns} | {TIMESTAMP_COLUMN.name}
        held = [name for name in self.source.tail.column_names if name in names]
        return {scan.tail: self.source.tail.select(held)}

    def extent(self, column: Column) -> Extent:
        """What is known of the column's values, whatever the filters."""
        return self.extent_of(self, column)

    def catalogued(self, column: Column) -> Extent:
        """As far as the catalog knows: how great they are."""
        found = [_file_magnitude(file, column.name) for file in self.files if column.name in file.columns]
        tail = self.source.tail
        if tail is not None and column.name in tail.column_names:
            ends = pc.min_max(tail.column(column.name)).as_py()
            found.append(max((abs(end) for end in ends.values() if end is not None), default=0.0))
        greatest = max(found, default=0.0)
        return Extent(-greatest, greatest, 0.0, integral=False)


@dataclass
class Views:
    """The sources of one question, each asked for once, so that every step sees the same snapshot."""

    source_of: SourceOf
    forced: tuple[Filter, ...] = ()
    spend: Spend = lambda _: None
    """Told of the conditions that each filter comes to."""
    held: Held | None = None
    spend_forced: Spend = lambda _: None
    """The same of the key's filters, which are counted apart: what they come to is no question's doing."""
    damaged: dict[str, DataFile] = field(default_factory=dict)
    """Files of the timeframes asked for that are set aside, by path: the views lack their events."""
    extent_of: ExtentOf = lambda view, column: view.catalogued(column)
    exact: bool = False
    """Whether sums are to be certain at once, which takes longer."""
    _sources: dict[str, Source] = field(default_factory=dict)
    _count: int = 0

    def view(self, collection: str, spans: Iterable[Span]) -> View:
        source = self._sources.get(collection)
        if source is None:
            source = self._sources[collection] = self.source_of(collection)
        wanted = tuple(spans)
        files = tuple(file for file in source.files if any(_overlaps(file, span) for span in wanted))
        self.damaged |= {
            file.path: file for file in source.damaged if any(_overlaps(file, span) for span in wanted)
        }
        name = f"$tail{self._count}"
        self._count += 1
        view = View(
            source,
            files,
            name,
            self.forced,
            self.spend,
            self.spend_forced,
            extent_of=self.extent_of,
            exact=self.exact,
        )
        return view if self.held is None else replace(view, held=self.held(view, hull(wanted)))

    @property
    def unknown(self) -> list[str]:
        """The collections asked for that do not exist."""
        return [name for name, source in self._sources.items() if not source.known]


class Part(StrEnum):
    """One of the columns that together hold a group's value; at most one is non-null."""

    NUMBER = "number"
    BIG = "big"
    """Decimal text of an integer that no double holds."""
    STRING = "string"
    BOOLEAN = "boolean"
    INSTANT = "instant"
    RANGE = "range"
    """The position of a range in the group's ``ranges``."""
    MISSING = "missing"
    """Of an index, where all other parts are null: whether the value equals null as a filter has it."""


@dataclass(frozen=True)
class Key:
    """A value to group by: a path's columns, lists taken apart, or numeric buckets, or ranges."""

    path: str
    columns: tuple[Column, ...]
    size: float | None = None
    ranges: tuple[Range, ...] | None = None
    missing: Predicate | None = None
    """Of an index: what holds of the rows that a filter for null would keep."""
    greatest: float = 0.0
    """Of buckets: no double is greater."""

    @cached_property
    def parts(self) -> tuple[Part, ...]:
        """In the order of values: numbers, strings, booleans, instants."""
        return self._values if self.missing is None else (*self._values, Part.MISSING)

    @property
    def _values(self) -> tuple[Part, ...]:
        if self.ranges is not None:
            return (Part.RANGE,) if self.columns else ()
        if self.size is not None:
            return (
                ((Part.NUMBER, Part.BIG) if self.beyond_doubles else (Part.NUMBER,)) if self.columns else ()
            )
        kinds = {column.kind for column in self.columns}
        lists = ColumnKind.JSON in kinds
        present = {
            Part.NUMBER: lists or ColumnKind.NUMBER in kinds,
            Part.BIG: lists or bool(kinds & {ColumnKind.INTEGER, ColumnKind.LONG}),
            Part.STRING: lists or ColumnKind.STRING in kinds,
            Part.BOOLEAN: lists or ColumnKind.BOOLEAN in kinds,
            Part.INSTANT: ColumnKind.INSTANT in kinds,
        }
        return tuple(part for part, there in present.items() if there)

    @property
    def beyond_doubles(self) -> bool:
        """Of buckets: whether integers may be among the values that need all their digits."""
        others = any(column.kind is not ColumnKind.NUMBER for column in self.columns)
        return others or self.greatest >= EXACT_DOUBLES

    @property
    def list_column(self) -> Column | None:
        plain = self.size is None and self.ranges is None
        lists = (column for column in self.columns if column.kind is ColumnKind.JSON)
        return next(lists, None) if plain else None


class Fold(StrEnum):
    """What one aggregate column of the answer is; how they make a result is in ``query.answers.shape``."""

    ROWS = "rows"
    DISTINCT = "distinct values"
    VALUES = "list of distinct values"
    ELEMENTS = "list of distinct list elements, as JSON"
    EXPLICIT_NULL = "whether any row holds an explicit null"
    SUM = "sum"
    SUM_HIGH = "sum of the high parts of doubles, exact"
    SUM_LOW = "sum of the low parts of doubles, rounded"
    SUM_BAND = "sum of some bits of doubles, exact"
    PRESENT = "number of values"
    MINIMUM = "minimum"
    MAXIMUM = "maximum"
    QUANTILE = "quantile"
    DEVIATION = "standard deviation"


@dataclass(frozen=True, slots=True)
class Aggregate:
    fold: Fold
    columns: tuple[Column, ...] = ()
    fraction: Decimal | None = None
    path: str = ""
    """Of EXPLICIT_NULL, whose column lists the paths of nulls."""
    split: float = 0.0
    """Of SUM_HIGH and SUM_LOW: what parts a value, as by ``exact_sums.splitter``."""
    exact_rows: float = 0.0
    """Of SUM_HIGH and SUM_LOW, as by ``exact_sums.exact_rows``."""
    band: Band | None = None
    """Of SUM_BAND."""
    centre: float = 0.0
    """Of DEVIATION: what is taken from each value first."""

    @property
    def orders_as_result(self) -> bool:
        """False for lists, and for long integers, which leave the engine as text."""
        if self.fold in (Fold.MINIMUM, Fold.MAXIMUM, Fold.SUM):
            return all(column.kind is not ColumnKind.LONG for column in self.columns)
        return self.fold not in (Fold.VALUES, Fold.ELEMENTS, Fold.EXPLICIT_NULL)


@dataclass(frozen=True, slots=True)
class MetricPlan:
    """One analysis as the aggregates that its result is made of."""

    metric: Metric
    aggregates: tuple[Aggregate, ...]

    @property
    def sortable(self) -> bool:
        """True where the engine can order by the result, which it has or can make of the aggregates."""
        if self.in_two_parts:
            return True
        return len(self.aggregates) == 1 and self.aggregates[0].orders_as_result

    @property
    def in_two_parts(self) -> bool:
        """True for a sum of one number column, split in a high and a low part."""
        folds = tuple(one.fold for one in self.aggregates)
        sums = self.metric.analysis is Analysis.SUM
        return sums and folds == (Fold.SUM_HIGH, Fold.SUM_LOW, Fold.PRESENT)


@dataclass(frozen=True)
class MetricsPlan:
    """A whole metric question. Rows come ordered by ``order`` where that is not None."""

    query: MetricQuery
    view: View
    scan: Scan
    keys: tuple[Key, ...]
    metrics: tuple[MetricPlan, ...]
    counted: int
    """Rows that the catalog counted, beside those of the scan."""
    order: tuple[Order, ...] | None
    row_limit: int
    cut: bool
    """True where ``row_limit`` is the question's own limit, rather than one that may not be met."""
    ordered: bool = False
    """True where ``order`` is the question's own, with nothing left to sort."""

    @property
    def buckets(self) -> Buckets | None:
        return self.query.buckets

    @property
    def has_lists(self) -> bool:
        """Whether some aggregates are lists of values."""
        lists = (Fold.VALUES, Fold.ELEMENTS)
        return any(aggregate.fold in lists for metric in self.metrics for aggregate in metric.aggregates)


def plan_metrics(query: MetricQuery, views: Views, rows_max: int) -> MetricsPlan:
    """The plan of a metric question over the sources at hand, which gets one row more than ``rows_max``."""
    view = views.view(query.collection, (query.span,))
    keys = tuple(_key(group, view) for group in query.groups)
    metrics = tuple(_metric(metric, view) for metric in query.metrics)
    counted = 0
    if not (query.filters or view.forced or keys or query.buckets) and _only_counts(metrics):
        view, counted = _count_by_catalog(view, query.span)
    columns = [column for key in keys for column in key.columns]
    columns += [
        column for metric in metrics for aggregate in metric.aggregates for column in aggregate.columns
    ]
    if query.buckets is not None:
        columns.append(TIMESTAMP_COLUMN)
    scan = view.scan(columns, view.condition(query.filters), query.span, in_us=query.buckets is not None)
    order, ordered = _engine_order(query, keys, metrics)
    cut = ordered and query.limit is not None
    return MetricsPlan(
        query=query,
        view=view,
        scan=scan,
        keys=keys,
        metrics=metrics,
        counted=counted,
        order=order,
        row_limit=query.limit if cut and query.limit is not None else rows_max + 1,
        cut=cut,
        ordered=ordered,
    )


def plan_indexed(query: MetricQuery, paths: Sequence[str], views: Views, rows_max: int) -> MetricsPlan:
    """The plan of the question for every value of the properties ``paths`` at once; they are its first keys.

    The rows of one value are those that the filters ``path eq value`` would keep. They come unordered by
    group.
    """
    view = views.view(query.collection, (query.span,))
    indexes = tuple(_index(path, view) for path in paths)
    keys = (*indexes, *(_key(group, view) for group in query.groups))
    metrics = tuple(_metric(metric, view) for metric in query.metrics)
    tests = [key.missing for key in indexes if key.missing is not None]
    columns = [column for key in keys for column in key.columns]
    columns += [column for one in metrics for aggregate in one.aggregates for column in aggregate.columns]
    columns += [column for test in tests for column in p.columns_of(test)]
    columns.append(TIMESTAMP_COLUMN)
    return MetricsPlan(
        query=query,
        view=view,
        scan=view.scan(
            columns, view.condition(query.filters), query.span, tests, in_us=query.buckets is not None
        ),
        keys=keys,
        metrics=metrics,
        counted=0,
        order=None,
        row_limit=rows_max + 1,
        cut=False,
    )


def _index(path: str, view: View) -> Key:
    null = Condition(path, Operator.EQ, None)
    return replace(key_of(path, view), missing=operators.predicate((null,), view.available))


def hull(spans: Iterable[Span]) -> Span:
    """The shortest span that holds them all."""
    listed = list(spans)
    starts = [span.start_us for span in listed if span.start_us is not None]
    ends = [span.end_us for span in listed if span.end_us is not None]
    return Span(
        min(starts) if len(starts) == len(listed) else None,
        max(ends) if len(ends) == len(listed) else None,
    )


def _overlaps(file: DataFile, span: Span) -> bool:
    after = span.start_us is None or file.max_us >= span.start_us
    return after and (span.end_us is None or file.min_us < span.end_us)


def _inside(file: DataFile, span: Span) -> bool:
    after = span.start_us is None or file.min_us >= span.start_us
    return after and (span.end_us is None or file.max_us < span.end_us)


def _pieces(files: tuple[DataFile, ...], wanted: tuple[Column, ...], span: Span) -> tuple[Piece, ...]:
    alike: dict[tuple[frozenset[str], bool, bool], list[str]] = {}
    for file in files:
        held = frozenset(column.name for column in wanted if column.name in file.columns)
        alike.setdefault((held, not _inside(file, span), file.marked), []).append(file.path)
    if len(alike) > PIECES_MAX:
        return tuple(_of_all(alike, marked) for marked in sorted({file.marked for file in files}))
    return tuple(
        Piece(tuple(paths), held, timed, marked=marked) for (held, timed, marked), paths in alike.items()
    )


def _of_all(alike: Mapping[tuple[frozenset[str], bool, bool], list[str]], marked: bool) -> Piece:
    """One piece of all files of one kind: instants of both kinds never go into one column."""
    kinds = {kind: paths for kind, paths in alike.items() if kind[2] is marked}
    held = frozenset[str]().union(*(columns for columns, _, _ in kinds))
    paths = tuple(path for some in kinds.values() for path in some)
    return Piece(paths, held, any(timed for _, timed, _ in kinds), by_name=True, marked=marked)


def _apart(predicate: Predicate) -> tuple[tuple[p.Compare, ...], Predicate]:
    """The comparisons of instants that must all hold, and the rest."""
    both = predicate.operands if isinstance(predicate, p.AllOf) else (predicate,)
    times = tuple(one for one in both if isinstance(one, p.Compare) and isinstance(one.operand, p.Instant))
    if not times:
        return (), predicate
    return times, p.all_of(one for one in both if one not in times)


def _file_magnitude(file: DataFile, name: str) -> float:
    magnitude = file.columns[name]
    return sys.float_info.max if magnitude is None else magnitude


def _only_counts(metrics: tuple[MetricPlan, ...]) -> bool:
    return all(metric.metric.analysis is Analysis.COUNT for metric in metrics)


def _count_by_catalog(view: View, span: Span) -> tuple[View, int]:
    """The view without what the catalog alone can count, and how many rows that is."""
    inside = tuple(file for file in view.files if _inside(file, span))
    outside = tuple(file for file in view.files if not _inside(file, span))
    counted = sum(file.rows for file in inside)
    source = view.source
    if source.tail is not None and span == Span():
        counted += source.tail.num_rows
        source = replace(source, tail=None, tail_magnitudes=None)
    return replace(view, source=source, files=outside), counted


def key_of(path: str, view: View) -> Key:
    """The plain value of a path, lists taken apart."""
    return Key(path, view.available.at(path))


def _key(group: Group, view: View) -> Key:
    if group.size is None and group.ranges is None:
        return key_of(group.path, view)
    columns = view.available.numeric(group.path)
    doubles = (view.catalogued(column) for column in columns if column.kind is ColumnKind.NUMBER)
    greatest = max((extent.greatest for extent in doubles), default=0.0)
    return Key(group.path, columns, group.size, group.ranges, greatest=greatest)


def _metric(metric: Metric, view: View) -> MetricPlan:
    if metric.analysis is Analysis.COUNT or metric.target is None:
        return MetricPlan(metric, (Aggregate(Fold.ROWS),))
    columns = view.available.at(metric.target)
    if metric.analysis is Analysis.COUNT_UNIQUE:
        return MetricPlan(metric, _distinct(columns))
    if metric.analysis is Analysis.SELECT_UNIQUE:
        return MetricPlan(metric, (*_values(columns), *_explicit_null(metric.target, view)))
    numbers = tuple(column for column in columns if column.kind in NUMERIC)
    return MetricPlan(metric, _numeric(metric, numbers, view) if numbers else ())


def _distinct(columns: tuple[Column, ...]) -> tuple[Aggregate, ...]:
    """Columns hold disjoint values, so counts add up; elements of lists may equal other values."""
    if any(column.kind is ColumnKind.JSON for column in columns):
        return _values(columns)
    return tuple(Aggregate(Fold.DISTINCT, (column,)) for column in columns)


def _values(columns: tuple[Column, ...]) -> tuple[Aggregate, ...]:
    return tuple(
        Aggregate(Fold.ELEMENTS if column.kind is ColumnKind.JSON else Fold.VALUES, (column,))
        for column in columns
    )


def _explicit_null(path: str, view: View) -> tuple[Aggregate, ...]:
    """A null that was sent is a value, a property that was not sent is none."""
    nulls, _ = view.available.paths_columns()
    return () if nulls is None else (Aggregate(Fold.EXPLICIT_NULL, (nulls,), path=path),)


def _numeric(metric: Metric, columns: tuple[Column, ...], view: View) -> tuple[Aggregate, ...]:
    match metric.analysis:
        case Analysis.SUM:
            return tuple(fold for column in columns for fold in _sum(column, view))
        case Analysis.MINIMUM:
            return tuple(Aggregate(Fold.MINIMUM, (column,)) for column in columns)
        case Analysis.MAXIMUM:
            return tuple(Aggregate(Fold.MAXIMUM, (column,)) for column in columns)
        case Analysis.AVERAGE:
            folds = tuple(fold for column in columns for fold in _sum(column, view, Analysis.AVERAGE))
            counts = tuple(Aggregate(Fold.PRESENT, (column,)) for column in columns)
            return folds + tuple(one for one in counts if one not in folds)
        case Analysis.STANDARD_DEVIATION:
            number = next((column for column in columns if column.kind is ColumnKind.NUMBER), None)
            centre = 0.0 if number is None else view.extent(number).centre
            return (Aggregate(Fold.DEVIATION, columns, centre=centre),)
    percent = Decimal(50) if metric.percentile is None else Decimal(str(metric.percentile))
    return (Aggregate(Fold.QUANTILE, columns, percent / 100),)


def _sum(column: Column, view: View, analysis: Analysis = Analysis.SUM) -> tuple[Aggregate, ...]:
    """As quick as the values allow: plain, in two parts, or in bands."""
    if column.kind is not ColumnKind.NUMBER:
        return (Aggregate(Fold.SUM, (column,)),)
    extent = view.extent(column)
    bound = extent.greatest * view.rows
    if extent.integral and bound < EXACT_DOUBLES:
        return (Aggregate(Fold.SUM, (column,)),)
    all_digits = extent.integral and analysis is Analysis.SUM
    if not (view.exact or all_digits) and bound < SPLIT_MAX:
        split = splitter(bound)
        exact = exact_rows(extent, split)
        high, low = (
            Aggregate(fold, (column,), split=split, exact_rows=exact)
            for fold in (Fold.SUM_HIGH, Fold.SUM_LOW)
        )
        return (high, low, Aggregate(Fold.PRESENT, (column,)))
    return tuple(Aggregate(Fold.SUM_BAND, (column,), band=band) for band in bands(extent, view.rows))


def _engine_order(
    query: MetricQuery, keys: tuple[Key, ...], metrics: tuple[MetricPlan, ...]
) -> tuple[tuple[Order, ...] | None, bool]:
    """The order that the engine gives the rows, None where only Python can, and whether it is the question's.

    Big integers are text to the engine, and some results are made of several columns: those sort here.
    """
    if not keys or any(Part.BIG in key.parts for key in keys):
        return None, False
    by_key = tuple(Order(key.path) for key in keys)
    if query.buckets is not None or not query.order:
        return by_key, False
    sortable = {metric.metric.label or "result" for metric in metrics if metric.sortable}
    paths = {key.path for key in keys}
    if all(order.by in sortable or order.by in paths for order in query.order):
        return (*query.order, *by_key), True
    return by_key, False
