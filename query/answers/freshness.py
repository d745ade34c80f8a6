"""Records which events an answer covers, and detects whether they have changed since.

Stored events never change, and removing events raises a collection's ``erase_version`` or removes the
collection. While the collection's id and that version are unchanged, events can only have been added; so the
events of an answer are the same if and only if their number is. Counting is the last resort: a source with
the same files and as many events of the tail within the timeframe has the same events there.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace

import pyarrow as pa
import pyarrow.compute as pc

from query.answers.pipeline import answer, spans_of
from query.engine.engine import Deadline, Engine
from query.language.cohorts.finding import cohorts_in, selections_of
from query.language.event_sessions.finding import session_of, without_sessions
from query.language.nodes import (
    Analysis,
    BehaviourQuery,
    ComposedQuery,
    ExtractionQuery,
    Filter,
    Metric,
    MetricQuery,
    ParsedQuery,
    Query,
    Span,
)
from query.limits import Limits
from query.plan.actors import IDENTITIES
from query.plan.sessions import read_span, together
from storage.schema import TIMESTAMP
from storage.source import DataFile, Source

SourceOf = Callable[[str], Source]


@dataclass(frozen=True, slots=True)
class ReadScope:
    """The events that an answer is computed from: those of a collection within a span that match filters."""

    collection: str
    span: Span
    filters: tuple[Filter, ...]


@dataclass(frozen=True, slots=True)
class ErasureMark:
    """The collection's id, and how often its events were removed or changed."""

    collection_id: int
    erase_version: int

    def stand(self, now: ErasureMark) -> bool:
        """Whether no event can have been removed since. Where no collection existed then: as long as none was
        ever removed from the one that does now."""
        return self == now or not (self.collection_id or now.erase_version)


NOWHERE = ErasureMark(0, 0)
"""The value for a collection that does not exist."""


@dataclass(frozen=True, slots=True)
class SourceSummary:
    """A summary of a source: equal summaries for the same collection and spans mean equal events in them."""

    erasures: ErasureMark
    files: frozenset[str]
    unsettled: int


@dataclass(frozen=True, slots=True)
class Covered:
    """What an answer was computed from: the number of events of each part, in the order of ``parts``."""

    erasures: Mapping[str, ErasureMark]
    """The erasures of every collection read."""
    counts: tuple[int, ...]

    @property
    def events(self) -> int:
        return sum(self.counts)


class RecordingSource:
    """Returns sources, and records the last one of each collection in ``given``."""

    def __init__(self, source_of: SourceOf) -> None:
        self._source_of = source_of
        self.given: dict[str, Source] = {}

    def __call__(self, name: str) -> Source:
        self.given[name] = source = self._source_of(name)
        return source


def parts(query: Query) -> tuple[ReadScope, ...]:
    """The scopes that a query reads, in its order, those of its cohorts, then what says which ids belong
    together.

    With no further event in any of them, the cohorts have the same actors, and so filters by them keep the
    same events.
    """
    return (*own_parts(query), *_of_cohorts_and_ids(query))


def own_parts(query: Query) -> tuple[ReadScope, ...]:
    """The scopes that the query itself names, in its order, and then those of its sessions.

    With no further event in any of them, the sessions are the same, and filters by them keep the same events.
    """
    of_sessions = _of_sessions(query)
    named = _named(query)
    if of_sessions:
        named = [replace(scope, filters=without_sessions(scope.filters)) for scope in named]
    return (*named, *of_sessions)


def parts_beside(query: Query) -> tuple[ReadScope, ...]:
    """The scopes that a query reads beside those that it names: of its sessions, of its cohorts, and of what
    says which ids belong together."""
    return (*_of_sessions(query), *_of_cohorts_and_ids(query))


def _named(query: Query) -> list[ReadScope]:
    match query:
        case MetricQuery() | ExtractionQuery():
            return [ReadScope(query.collection, query.span, query.filters)]
        case BehaviourQuery():
            return [ReadScope(one.collection, one.span, one.filters) for one in query.selections]
        case ComposedQuery():
            reads = (ReadScope(read.collection, read.span, read.filters) for read in query.reads)
            return list({repr(scope): scope for scope in reads}.values())


def _of_sessions(query: Query) -> list[ReadScope]:
    definition = session_of(query)
    if definition is None:
        return []
    spans = [read_span(definition, span) for span in together(spans_of(query))]
    return [ReadScope(one.collection, span, one.filters) for one in definition.events for span in spans]


def _of_cohorts_and_ids(query: Query) -> list[ReadScope]:
    cohorts = {repr(cohort): cohort for cohort in cohorts_in(query)}.values()
    scopes = [
        ReadScope(one.collection, one.span, one.filters)
        for cohort in cohorts
        for one in selections_of(cohort)
    ]
    if uses_links(query) or any(cohort.merged for cohort in cohorts):
        scopes.append(ReadScope(IDENTITIES, Span(), ()))
    return scopes


def uses_links(query: Query) -> bool:
    """Whether the answer depends on which ids belong to one actor."""
    definition = session_of(query)
    if definition is not None and any(one.merged for one in definition.events):
        return True
    match query:
        case MetricQuery():
            return any(metric.merged for metric in query.metrics)
        case BehaviourQuery():
            return any(one.merged for one in query.selections)
        case ComposedQuery():
            return any(read.merged for read in query.reads)
        case ExtractionQuery():
            return False


def is_named(collection: str, query: Query) -> bool:
    """Whether the query itself names the collection, which that of identities is read beside."""
    return collection != IDENTITIES or any(one.collection == collection for one in own_parts(query))


def erasures(source: Source) -> ErasureMark:
    return ErasureMark(source.collection_id, source.erase_version)


def outlines(scopes: Iterable[ReadScope], sources: Mapping[str, Source]) -> dict[str, SourceSummary]:
    """The summary of each collection, over all its spans."""
    return {name: _outline(sources[name], spans) for name, spans in _spans(scopes).items()}


def count(
    scopes: Sequence[ReadScope],
    sources: Mapping[str, Source],
    engine: Engine,
    *,
    limits: Limits,
    deadline: Deadline,
    forced_filters: Sequence[Filter] = (),
) -> Covered:
    """Counts the events of each scope in the given sources. Raises QueryError."""
    counts: list[int] = []
    for part in scopes:
        count_query = MetricQuery(part.collection, (Metric(Analysis.COUNT),), part.span, part.filters)
        counted = answer(
            ParsedQuery(count_query),
            sources.__getitem__,
            engine,
            limits=limits,
            deadline=deadline,
            forced_filters=forced_filters,
        )
        counts.append(int(counted.body["result"]))
    return Covered({part.collection: erasures(sources[part.collection]) for part in scopes}, tuple(counts))


def erased(before: Covered, sources: Mapping[str, Source]) -> bool:
    """Whether any event of the collections has been removed or changed since, at any time."""
    return not all(then.stand(erasures(sources[name])) for name, then in before.erasures.items())


def files_within(query: Query, sources: Mapping[str, Source]) -> dict[str, list[DataFile]]:
    """The files of each collection that may hold events within the query's timeframes."""
    return {name: _files(sources[name], spans) for name, spans in _spans(parts(query)).items()}


def _spans(scopes: Iterable[ReadScope]) -> dict[str, list[Span]]:
    spans: dict[str, list[Span]] = {}
    for part in scopes:
        spans.setdefault(part.collection, []).append(part.span)
    return spans


def _files(source: Source, spans: Sequence[Span]) -> list[DataFile]:
    return [file for file in source.files if any(_meets(span, file.min_us, file.max_us) for span in spans)]


def _outline(source: Source, spans: Sequence[Span]) -> SourceSummary:
    files = frozenset(file.path for file in _files(source, spans))
    return SourceSummary(
        erasures(source), files, 0 if source.tail is None else _rows_within(source.tail, spans)
    )


def _meets(span: Span, min_us: int, max_us: int) -> bool:
    after = span.start_us is None or max_us >= span.start_us
    return after and (span.end_us is None or min_us < span.end_us)


def _rows_within(tail: pa.Table, spans: Sequence[Span]) -> int:
    """The sum of the numbers of rows in each span: a new row in any of them changes it."""
    times = tail.column(TIMESTAMP).cast(pa.int64())
    total = 0
    for span in dict.fromkeys(spans):
        inside = pc.is_valid(times)
        if span.start_us is not None:
            inside = pc.and_(inside, pc.greater_equal(times, span.start_us))
        if span.end_us is not None:
            inside = pc.and_(inside, pc.less(times, span.end_us))
        total += int(pc.sum(inside).as_py() or 0)
    return total
