"""The measures of sessions in each cell of an answer."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np

from query.answers.behaviour.value_texts import Decoder
from query.answers.values import number
from query.behaviour import cells as counted
from query.behaviour.sequences import Integers
from query.behaviour.sessions import FoundSessions
from query.language.analyses.sequence_nodes import Measured, SessionMeasure, SessionsQuery

_SECOND_US = 1_000_000
_NUMBERS = frozenset(
    {
        SessionMeasure.SESSIONS,
        SessionMeasure.ACTORS,
        SessionMeasure.EVENTS,
        SessionMeasure.BOUNCES,
        SessionMeasure.UNFINISHED,
    }
)
"""Measures that are 0 where there is no session; the others are null."""
Column = Callable[[int], Any]
"""A measure by the number of a cell."""


@dataclass(frozen=True, slots=True)
class Pages:
    """The codes of the sessions' entries and exits, and what they stand for."""

    decoder: Decoder
    entries: Integers
    exits: Integers


@dataclass(frozen=True)
class SessionMeasures:
    """``cells``: the number of each session's cell, of ``size``; every cell has a session."""

    query: SessionsQuery
    sessions: FoundSessions
    cells: Integers
    size: int
    pages: Pages | None
    check: Callable[[], None]

    def result(self, cell: int) -> dict[str, Any]:
        """The measures of a cell by their labels."""
        return {label: column(cell) for label, column in self._columns}

    @property
    def empty(self) -> dict[str, Any]:
        """The measures where there is no session."""
        return {one.label: self._nothing(one.measure) for one in self.query.measures}

    def _nothing(self, measure: SessionMeasure) -> Any:
        if measure in (SessionMeasure.ENTRIES, SessionMeasure.EXITS):
            return _listed([], 0, 0)
        if measure is SessionMeasure.UNFINISHED and self.query.span.end_us is None:
            return None
        return 0 if measure in _NUMBERS else None

    @cached_property
    def _columns(self) -> list[tuple[str, Column]]:
        columns = []
        for one in self.query.measures:
            self.check()
            columns.append((one.label, self._column(one)))
        return columns

    def _column(self, measured: Measured) -> Column:
        cells, size = self.cells, self.size
        match measured.measure:
            case SessionMeasure.SESSIONS:
                return self._counts.__getitem__
            case SessionMeasure.ACTORS:
                return counted.distinct(cells, size, self.sessions.actors).__getitem__
            case SessionMeasure.EVENTS:
                return self._events.__getitem__
            case SessionMeasure.EVENTS_PER_SESSION:
                return self._per_session(self._events)
            case SessionMeasure.BOUNCES:
                return self._bounces.__getitem__
            case SessionMeasure.BOUNCE_RATE:
                return self._per_session(self._bounces)
            case SessionMeasure.DURATION_AVERAGE:
                return self._per_session(counted.sums(cells, size, self.sessions.durations), _SECOND_US)
            case SessionMeasure.UNFINISHED:
                return self._unfinished()
            case SessionMeasure.ENTRIES | SessionMeasure.EXITS:
                return self._of_pages(measured.measure)
            case SessionMeasure.DURATION_MEDIAN | SessionMeasure.DURATION_PERCENTILE:
                found = self._percentiles[_percentile(measured)]
                return lambda cell: number(found[cell] / _SECOND_US)

    @cached_property
    def _counts(self) -> list[int]:
        return counted.counts(self.cells, self.size)

    @cached_property
    def _events(self) -> list[int]:
        return counted.sums(self.cells, self.size, self.sessions.sizes)

    @cached_property
    def _bounces(self) -> list[int]:
        return counted.counts(self.cells, self.size, self.sessions.sizes == 1)

    @cached_property
    def _percentiles(self) -> dict[float, list[int]]:
        asked = list(dict.fromkeys(map(_percentile, filter(_is_percentile, self.query.measures))))
        found = counted.percentiles(self.cells, self.size, self.sessions.durations, asked)
        return dict(zip(asked, found, strict=True))

    def _per_session(self, totals: Sequence[int], unit: int = 1) -> Column:
        return lambda cell: number(totals[cell] / (self._counts[cell] * unit))

    def _unfinished(self) -> Column:
        """The sessions that an event after the timeframe may belong to."""
        end, longest = self.query.span.end_us, self.query.longest
        if end is None:
            return lambda _: None
        starts = self.sessions.starts
        until = starts + self.sessions.durations + self.query.gap
        if longest is not None:
            until = np.minimum(until, starts + longest)
        flags = until >= end
        if end in self.query.cuts:
            flags[:] = False
        return counted.counts(self.cells, self.size, flags).__getitem__

    def _of_pages(self, measure: SessionMeasure) -> Column:
        """The most frequent entries or exits of each cell; equally frequent ones in the order of values."""
        assert self.pages is not None
        decoder = self.pages.decoder
        codes = self.pages.entries if measure is SessionMeasure.ENTRIES else self.pages.exits
        owners, values, numbers = counted.pairs(self.cells, codes)
        order = np.lexsort((values, -numbers, owners))
        values, numbers = values[order], numbers[order]
        begins = np.searchsorted(owners, np.arange(self.size + 1)).tolist()

        def column(cell: int) -> dict[str, Any]:
            start, end = begins[cell], begins[cell + 1]
            named = min(end, start + self.query.pages)
            pairs = zip(values[start:named].tolist(), numbers[start:named].tolist(), strict=True)
            listed = [{"value": decoder.value(code), "sessions": sessions} for code, sessions in pairs]
            return _listed(listed, end - named, int(numbers[named:end].sum()))

        return column


def _is_percentile(measured: Measured) -> bool:
    return measured.measure in (SessionMeasure.DURATION_MEDIAN, SessionMeasure.DURATION_PERCENTILE)


def _percentile(measured: Measured) -> float:
    return 50.0 if measured.percentile is None else measured.percentile


def _listed(values: list[dict[str, Any]], others: int, sessions: int) -> dict[str, Any]:
    return {"values": values, "other": {"values": others, "sessions": sessions}}
