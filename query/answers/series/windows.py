"""Computes the values of series in all windows of a period: which questions that takes, and their answers."""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from query.answers.results import fold_metric
from query.answers.series.asking import Asker, Cell, EventSet, Question
from query.answers.series.merging import MERGED, Piece, merged, piece_of
from query.errors import QueryLimitExceeded
from query.language.nodes import Filter, Metric, Span
from query.language.series.nodes import Period, Series, Window, WindowKind

Leaf = tuple[str, Window]
"""A series' label, and a kind of window."""
Found = dict[Leaf, dict[int, dict[int, Any]]]
"""Of each leaf, by the number of a group and the place of a bucket: the value, where there are events.

The parts of a period's ``rest`` have the places after its buckets.
"""


@dataclass(frozen=True, slots=True)
class Narrowing:
    """Which events are looked at: by groups or all together, and which filters narrow them."""

    grouped: bool
    narrowed: Mapping[str, tuple[Filter, ...]] = field(default_factory=dict)
    """More filters of each series, by its label."""


@dataclass(frozen=True, slots=True)
class _Part:
    """One metric of a question, and where its cells belong.

    ``places``: for a part of the question's span the place of its bucket. ``merges``: cells are kept as
    pieces, and merged for windows.
    """

    leaf: Leaf
    metric: Metric
    places: Mapping[int, int]
    merges: Sequence[tuple[int, int, int]] = ()
    """(place, first part, last part) of each window."""


class WindowPlan:
    """The questions of one scope and period. Questions over the same events are asked as one."""

    def __init__(
        self, leaves: Iterable[tuple[Series, Window]], period: Period, scope: Narrowing, overlapping_max: int
    ) -> None:
        self._overlapping_max = overlapping_max
        self._questions: dict[tuple[Any, ...], tuple[Question, list[_Part]]] = {}
        self._period = period
        self.overlapping = 0
        """The number of questions that only windows which overlap need."""
        by_events: dict[str, tuple[EventSet, list[tuple[Series, Window]]]] = {}
        for series, window in {
            (series.label, window): (series, window) for series, window in leaves
        }.values():
            filters = (*series.filters, *scope.narrowed.get(series.label, ()))
            events = EventSet(series.collection, filters, series.groups if scope.grouped else ())
            # Filters are compared as they are written: 1 and true are equal in Python.
            by_events.setdefault(repr(events), (events, []))[1].append((series, window))
        for events, wanted in by_events.values():
            self._plan(events, wanted)

    def values(self, asker: Asker) -> Found:
        """Asks the questions. Raises what asking raises."""
        found: Found = {}
        for question, parts in self._questions.values():
            pieces: list[dict[int, dict[int, Piece]]] = [{} for _ in parts]
            metrics = list(dict.fromkeys(part.metric for part in parts))
            wanted = [
                (part, held, metrics.index(part.metric)) for part, held in zip(parts, pieces, strict=True)
            ]
            for cell in asker.cells(question, metrics):
                for part, held, position in wanted:
                    _keep(found, part, held, cell, position)
            for part, held in zip(parts, pieces, strict=True):
                if part.merges:
                    _merge(found, part, held)
        return found

    def _plan(self, events: EventSet, wanted: Sequence[tuple[Series, Window]]) -> None:
        period = self._period
        if period.buckets == (period.span,) and not period.starts:
            for series, window in wanted:
                self._add(Question(events, period.span, None), series, window, {0: 0})
            return
        merging = [one for one in wanted if one[1].kind is not WindowKind.PLAIN and _merges(one)]
        edges = _edges(period, merging) or (period.span.start_us or 0,)
        question = Question(events, Span(edges[0], edges[-1]), edges)
        if len(edges) == 1:
            # There is nothing to ask; the collection is looked up all the same.
            self._questions[_key(question)] = (question, [])
        for series, window in wanted:
            if window.kind is WindowKind.PLAIN:
                self._add(question, series, window, _places(period, edges))
            elif _merges((series, window)):
                self._add(question, series, window, {}, _ranges(period, window, edges))
        for series, window in wanted:
            if window.kind is not WindowKind.PLAIN and not _merges((series, window)):
                self._plan_overlapping(events, series, window)

    def _plan_overlapping(self, events: EventSet, series: Series, window: Window) -> None:
        for layer in _layers(self._period, window, self._overlapping_max):
            edges = tuple(sorted({edge for _, start, end in layer for edge in (start, end)}))
            places = {bisect_left(edges, start): place for place, start, _ in layer}
            question = Question(events, Span(edges[0], edges[-1]), edges)
            self.overlapping += _key(question) not in self._questions
            self._add(question, series, window, places)

    def _add(
        self,
        question: Question,
        series: Series,
        window: Window,
        places: Mapping[int, int],
        merges: Sequence[tuple[int, int, int]] = (),
    ) -> None:
        metric = replace(series.metric, label=None, decimals=None)
        part = _Part((series.label, window), metric, places, merges)
        self._questions.setdefault(_key(question), (question, []))[1].append(part)


def _key(question: Question) -> tuple[Any, ...]:
    return id(question.events), question.span, question.edges


def check_overlapping(plans: Iterable[WindowPlan], most: int) -> None:
    """Raises QueryLimitExceeded where overlapping windows need more questions than ``most``."""
    if sum(plan.overlapping for plan in plans) > most:
        raise _too_many(most)


def _too_many(most: int) -> QueryLimitExceeded:
    return QueryLimitExceeded(
        f"'rolling' and 'cumulative' need more than {most:,} questions for what cannot be added up "
        "(count_unique, median, percentile, standard_deviation). Use longer intervals, a shorter "
        "timeframe or shorter windows."
    )


def _merges(one: tuple[Series, Window]) -> bool:
    return one[0].metric.analysis in MERGED


def _edges(period: Period, merging: Sequence[tuple[Series, Window]]) -> tuple[int, ...]:
    """The ends of all buckets, and of the intervals before them that windows reach."""
    spans = [span for span in (*period.buckets, *period.rest) if span is not None]
    edges = {edge for span in spans for edge in (span.start_us, span.end_us) if edge is not None}
    reach = max((window.length for _, window in merging), default=1)
    if reach > 1:
        edges.update(period.starts[max(0, period.lead - reach + 1) :])
    if merging and period.span.start_us is not None:
        edges.add(period.span.start_us)
    return tuple(sorted(edges))


def _places(period: Period, edges: Sequence[int]) -> dict[int, int]:
    """The place of each bucket, and of each part of the rest, by its number in the edges."""
    spans = (*period.buckets, *period.rest)
    return {
        bisect_left(edges, span.start_us): place
        for place, span in enumerate(spans)
        if span is not None and span.start_us is not None
    }


def _ranges(period: Period, window: Window, edges: Sequence[int]) -> list[tuple[int, int, int]]:
    return [
        (place, bisect_left(edges, start), bisect_left(edges, end))
        for place, start, end in _windows(period, window)
    ]


def _windows(period: Period, window: Window) -> Iterator[tuple[int, int, int]]:
    """(place, start, end) of the window of each bucket."""
    for place in range(len(period.buckets)):
        span = period.window(place, window)
        if span is not None and span.start_us is not None and span.end_us is not None:
            yield place, span.start_us, span.end_us


def _layers(period: Period, window: Window, most: int) -> list[list[tuple[int, int, int]]]:
    """The windows in layers: those of one do not overlap, so that one question is about them all.

    Raises QueryLimitExceeded for more than ``most`` layers.
    """
    layers: list[list[tuple[int, int, int]]] = []
    for one in _windows(period, window):
        free = next((layer for layer in layers if layer[-1][2] <= one[1]), None)
        if free is None:
            layers.append([one])
            if len(layers) > most:
                raise _too_many(most)
        else:
            free.append(one)
    return layers


def _keep(found: Found, part: _Part, pieces: dict[int, dict[int, Piece]], cell: Cell, position: int) -> None:
    metric, cells = cell.metrics[position]
    if part.merges:
        if cells is not None:
            pieces.setdefault(cell.group, {})[cell.part] = piece_of(metric, cells)
        return
    place = part.places.get(cell.part)
    if place is not None:
        value = fold_metric(metric, cells)
        if cell.counted:
            value += cell.counted
        found.setdefault(part.leaf, {}).setdefault(cell.group, {})[place] = value


def _merge(found: Found, part: _Part, pieces: Mapping[int, Mapping[int, Piece]]) -> None:
    analysis = part.metric.analysis
    for group, by_part in pieces.items():
        values = {}
        for place, first, end in part.merges:
            held = [by_part[number] for number in range(first, end) if number in by_part]
            if held:
                values[place] = merged(analysis, held)
        if values:
            found.setdefault(part.leaf, {})[group] = values
