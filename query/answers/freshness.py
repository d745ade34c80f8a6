"""What an answer covers, and whether it has changed since.

Stored events never change, and what takes events away raises a collection's ``erase_version`` or removes the
collection. With its id and that version as they were, events can only have come; so the events under an
answer are the same exactly where their number is. Counting is the last resort: a source that has the same
files and as many unsettled events within the timeframe has the same events there.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass

import pyarrow as pa
import pyarrow.compute as pc

from query.answers.pipeline import answer
from query.engine.engine import Deadline, Engine
from query.language.nodes import (
    Analysis,
    ExtractionQuery,
    Filter,
    FunnelQuery,
    Metric,
    MetricQuery,
    ParsedQuery,
    Query,
    Span,
)
from query.limits import Limits
from storage.schema import TIMESTAMP
from storage.source import Source

SourceOf = Callable[[str], Source]


@dataclass(frozen=True, slots=True)
class ReadScope:
    """Events that an answer is made of: those of a collection within a span, under filters."""

    collection: str
    span: Span
    filters: tuple[Filter, ...]


@dataclass(frozen=True, slots=True)
class Erasures:
    """Which collection it was, and how often events of it were taken away or changed."""

    collection_id: int
    erase_version: int

    def stand(self, now: Erasures) -> bool:
        """Whether no event can have gone since: of a collection that was not there yet, while none was ever
        taken from the one that is."""
        return self == now or not (self.collection_id or now.erase_version)


NOWHERE = Erasures(0, 0)
"""Of a collection that is not there."""


@dataclass(frozen=True, slots=True)
class SourceSummary:
    """Equal outlines of one collection and its spans mean equal events within them."""

    erasures: Erasures
    files: frozenset[str]
    unsettled: int


@dataclass(frozen=True, slots=True)
class Covered:
    """What an answer was made of: the number of events of each part, in the order of ``parts``."""

    erasures: Mapping[str, Erasures]
    """Of every collection read."""
    counts: tuple[int, ...]

    @property
    def events(self) -> int:
        return sum(self.counts)


class RecordingSource:
    """Gives sources, and remembers of each collection the last one given."""

    def __init__(self, source_of: SourceOf) -> None:
        self._source_of = source_of
        self.given: dict[str, Source] = {}

    def __call__(self, name: str) -> Source:
        self.given[name] = source = self._source_of(name)
        return source


def parts(query: Query) -> tuple[ReadScope, ...]:
    """In the order of the question."""
    match query:
        case MetricQuery() | ExtractionQuery():
            return (ReadScope(query.collection, query.span, query.filters),)
        case FunnelQuery():
            return tuple(ReadScope(step.collection, step.span, step.filters) for step in query.steps)


def erasures(source: Source) -> Erasures:
    return Erasures(source.collection_id, source.erase_version)


def outlines(wanted: Iterable[ReadScope], sources: Mapping[str, Source]) -> dict[str, SourceSummary]:
    """Of each collection, over all its spans."""
    spans: dict[str, list[Span]] = {}
    for part in wanted:
        spans.setdefault(part.collection, []).append(part.span)
    return {name: _outline(sources[name], spans[name]) for name in spans}


def count(
    wanted: Sequence[ReadScope],
    sources: Mapping[str, Source],
    engine: Engine,
    *,
    limits: Limits,
    deadline: Deadline,
    forced_filters: Sequence[Filter] = (),
) -> Covered:
    """The numbers of events in these very sources. Raises QueryError."""
    counts: list[int] = []
    for part in wanted:
        question = MetricQuery(part.collection, (Metric(Analysis.COUNT),), part.span, part.filters)
        found = answer(
            ParsedQuery(question),
            sources.__getitem__,
            engine,
            limits=limits,
            deadline=deadline,
            forced_filters=forced_filters,
        )
        counts.append(int(found.body["result"]))
    return Covered({part.collection: erasures(sources[part.collection]) for part in wanted}, tuple(counts))


def erased(before: Covered, sources: Mapping[str, Source]) -> bool:
    """Whether any of the collections has lost or changed events since, of whatever time."""
    return not all(then.stand(erasures(sources[name])) for name, then in before.erasures.items())


def _outline(source: Source, spans: Sequence[Span]) -> SourceSummary:
    files = frozenset(
        file.path for file in source.files if any(_meets(span, file.min_us, file.max_us) for span in spans)
    )
    return SourceSummary(
        erasures(source), files, 0 if source.tail is None else _rows_within(source.tail, spans)
    )


def _meets(span: Span, min_us: int, max_us: int) -> bool:
    after = span.start_us is None or max_us >= span.start_us
    return after and (span.end_us is None or min_us < span.end_us)


def _rows_within(tail: pa.Table, spans: Sequence[Span]) -> int:
    """Rows of each span added up: a new row in any of them makes for another sum."""
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
