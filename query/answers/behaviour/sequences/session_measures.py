"""The measures of sessions in each cell of an answer: counted block by block, then added up."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np

from query.answers.behaviour.value_texts import Decoder
from query.answers.values import number
from query.behaviour import cells as counted
from query.behaviour.sequences import Flags, Integers
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


_KINDS = {
    SessionMeasure.ACTORS: ("actors",),
    SessionMeasure.EVENTS: ("events",),
    SessionMeasure.EVENTS_PER_SESSION: ("events",),
    SessionMeasure.BOUNCES: ("bounces",),
    SessionMeasure.BOUNCE_RATE: ("bounces",),
    SessionMeasure.DURATION_AVERAGE: ("high", "low"),
    SessionMeasure.UNFINISHED: ("unfinished",),
}
"""The totals that a measure is made of, beside the number of sessions."""
_PAGES = (SessionMeasure.ENTRIES, SessionMeasure.EXITS)


@dataclass(frozen=True, slots=True)
class SessionCounts:
    """What is counted of some sessions. ``durations`` and ``pages`` are there where a measure needs them."""

    totals: counted.Totals
    durations: list[counted.CellValues]
    pages: dict[SessionMeasure, list[counted.Pairs]]

    @property
    def cells(self) -> int:
        return len(self.totals.places)


@dataclass(frozen=True, slots=True)
class SessionCounting:
    """Counts what the measures of a question are made of."""

    query: SessionsQuery

    def of_block(
        self, sessions: FoundSessions, places: Integers, page_of: Callable[[Integers], Integers]
    ) -> SessionCounts:
        """``places``: the cell of each session. ``page_of``: the codes of the pages, by the events' marks."""
        present, cells = counted.numbered(places)
        size = len(present)
        totals = {kind: self._total(kind, sessions, cells, size) for kind in self._kinds}
        durations: list[counted.CellValues] = []
        if any(map(_is_percentile, self.query.measures)):
            own = None if size == 1 else cells.astype(np.int32)
            durations.append(counted.CellValues(present, own, sessions.durations))
        pages = {}
        for measure in self._pages:
            marks = sessions.entries if measure is SessionMeasure.ENTRIES else sessions.exits
            if marks is not None:
                pages[measure] = [counted.pairs(places, page_of(marks))]
        return SessionCounts(counted.Totals(present, totals), durations, pages)

    def of_all(self, blocks: Sequence[SessionCounts]) -> SessionCounts:
        return SessionCounts(
            counted.added([one.totals for one in blocks], self._kinds),
            [values for one in blocks for values in one.durations],
            {
                measure: [counted.added_pairs([pairs for one in blocks for pairs in one.pages[measure]])]
                for measure in self._pages
            },
        )

    @property
    def _kinds(self) -> list[str]:
        """The totals that are needed."""
        found = {kind for one in self.query.measures for kind in _KINDS.get(one.measure, ())}
        return ["sessions", *sorted(found)]

    @property
    def _pages(self) -> list[SessionMeasure]:
        asked = {one.measure for one in self.query.measures}
        return [measure for measure in _PAGES if measure in asked]

    def _total(self, kind: str, sessions: FoundSessions, cells: Integers, size: int) -> Integers:
        match kind:
            case "actors":
                return counted.distinct(cells, size, sessions.actors)
            case "events":
                return counted.sums(cells, size, sessions.sizes)
            case "bounces":
                return counted.counts(cells, size, sessions.sizes == 1)
            case "unfinished":
                return counted.counts(cells, size, self._unfinished(sessions))
            case "high" | "low":
                return counted.sums(cells, size, counted.halves(sessions.durations)[kind == "low"])
            case _:
                return counted.counts(cells, size)

    def _unfinished(self, sessions: FoundSessions) -> Flags:
        """The sessions that an event after the timeframe may belong to."""
        query = self.query
        end = query.span.end_us
        if end is None or end in query.cuts:
            return np.zeros(sessions.count, dtype=bool)
        until = sessions.starts + sessions.durations + query.gap
        if query.longest is not None:
            until = np.minimum(until, sessions.starts + query.longest)
        return until >= end


@dataclass(frozen=True)
class SessionMeasures:
    """``decoder``: of the pages, where there are some."""

    query: SessionsQuery
    counts: SessionCounts
    decoder: Decoder | None
    threads: int
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
        match measured.measure:
            case SessionMeasure.SESSIONS | SessionMeasure.ACTORS | SessionMeasure.EVENTS:
                return self._total(measured.measure.value)
            case SessionMeasure.BOUNCES:
                return self._total("bounces")
            case SessionMeasure.EVENTS_PER_SESSION:
                return self._per_session(self._total("events"))
            case SessionMeasure.BOUNCE_RATE:
                return self._per_session(self._total("bounces"))
            case SessionMeasure.DURATION_AVERAGE:
                high, low = self._total("high"), self._total("low")
                return self._per_session(lambda cell: counted.of_halves(high(cell), low(cell)), _SECOND_US)
            case SessionMeasure.UNFINISHED:
                return self._total("unfinished") if self.query.span.end_us is not None else lambda _: None
            case SessionMeasure.ENTRIES | SessionMeasure.EXITS:
                return self._of_pages(measured.measure)
            case SessionMeasure.DURATION_MEDIAN | SessionMeasure.DURATION_PERCENTILE:
                found = self._percentiles[_percentile(measured)]
                return lambda cell: number(found[cell] / _SECOND_US)

    def _total(self, kind: str) -> Callable[[int], int]:
        found: list[int] = self.counts.totals.totals[kind].tolist()
        return found.__getitem__

    @cached_property
    def _percentiles(self) -> dict[float, list[int]]:
        asked = list(dict.fromkeys(map(_percentile, filter(_is_percentile, self.query.measures))))
        totals = self.counts.totals
        sessions = totals.totals["sessions"]
        found = counted.percentiles(self.counts.durations, totals.places, sessions, asked, self.threads)
        return dict(zip(asked, found, strict=True))

    def _per_session(self, total: Callable[[int], int], unit: int = 1) -> Column:
        sessions = self._total("sessions")
        return lambda cell: number(total(cell) / (sessions(cell) * unit))

    def _of_pages(self, measure: SessionMeasure) -> Column:
        """The most frequent entries or exits of each cell; equally frequent ones in the order of values."""
        decoder = self.decoder
        assert decoder is not None
        found = self.counts.pages[measure][0]
        order = np.lexsort((found.codes, -found.numbers, found.places))
        values, numbers = found.codes[order], found.numbers[order]
        begins = [*np.searchsorted(found.places, self.counts.totals.places).tolist(), len(values)]

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
