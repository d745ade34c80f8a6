"""Answers questions about sessions: finds them, and tells which group and interval each belongs to."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from query.answers.behaviour.actor_events import ReadEvents, read_events
from query.answers.behaviour.arranging import Arranging, CellResults, arranged, check_cells
from query.answers.behaviour.selections import SelectionPlan, plan_selections
from query.answers.behaviour.sequences.session_measures import (
    SessionCounting,
    SessionCounts,
    SessionMeasures,
)
from query.answers.behaviour.value_texts import CodeGroups, Decoder, groups_of
from query.behaviour.cells import different, different_of
from query.behaviour.sequences import Integers, Sequences, each_block
from query.behaviour.sessions import FoundSessions, SessionRules, sessions_of
from query.behaviour.threads import in_threads
from query.engine.runner import Runner
from query.language.analyses.sequence_nodes import Attribution, SessionsQuery
from query.language.nodes import Group
from query.limits import Limits
from query.plan.views import Views

_SESSION_BYTES = 100
"""Bytes that a session takes while sessions are measured."""
_CELL_BYTES = 700
"""Bytes that a cell takes: the numbers of each measure."""
_BLOCK_CELL_BYTES = 100
"""Bytes that a cell takes in each block that has it."""


def plan_sessions(query: SessionsQuery, views: Views) -> SelectionPlan:
    pages = () if query.page is None else (Group(query.page),)
    return plan_selections(query.events, views, timed=True, values=(*pages, *query.groups))


def sessions_body(
    query: SessionsQuery, views: Views, runner: Runner, limits: Limits
) -> tuple[dict[str, Any], int]:
    """The answer's body, and the number of stored events in its timeframes."""
    plan = plan_sessions(query, views)
    limits.check_rows(plan.read)
    read = read_events(plan, runner)
    return {"result": _SessionsAnswer(query, plan, read, runner, limits).result()}, plan.scanned


@dataclass(frozen=True)
class _SessionsAnswer:
    query: SessionsQuery
    plan: SelectionPlan
    read: ReadEvents | None
    runner: Runner
    limits: Limits

    def result(self) -> Any:
        query, runner = self.query, self.runner
        blocks = self._blocks()
        grouping = self._grouping(blocks)
        valued = grouping.groups.valued
        counts = self._counted(blocks, grouping)
        check_cells(len(valued), counts.cells, self.limits)
        runner.check()
        runner.reservation.reserve(_CELL_BYTES * counts.cells)
        edges = self._edges
        by_interval: list[dict[int, int]] = [{} for _ in edges]
        for cell, place in enumerate(counts.totals.places.tolist()):
            interval, group = divmod(place, len(valued))
            by_interval[interval][group] = cell
        measured = SessionMeasures(query, counts, self._pages, runner.threads, runner.check)
        how = Arranging(
            tuple(group.path for group in query.groups),
            query.order,
            query.limit,
            query.zero_fill,
            query.decimals,
            query.buckets,
        )
        measures = CellResults(valued, by_interval, measured.result, measured.empty)
        return arranged(how, measures, self.limits, runner.check, runner.reservation)

    @property
    def _edges(self) -> Integers:
        """Where the intervals begin; of a question without any, one that is never compared."""
        buckets = self.query.buckets
        return np.array([0] if buckets is None else buckets.edges[:-1], dtype=np.int64)

    def _blocks(self) -> list[FoundSessions]:
        """The sessions, those of some actors at a time."""
        query, runner = self.query, self.runner
        if self.read is None:
            return []
        rules = SessionRules(query.gap, query.cuts, query.longest)

        def sessions_in(block: Sequences) -> FoundSessions:
            runner.check()
            return sessions_of(block, rules, query.span.start_us)

        found = list(each_block(self.read.events, len(query.events), sessions_in, runner.threads))
        runner.reservation.reserve(_SESSION_BYTES * sum(one.count for one in found))
        return found

    def _counted(self, blocks: Sequence[FoundSessions], grouping: _Grouping) -> SessionCounts:
        query, runner = self.query, self.runner
        edges, size = self._edges, len(grouping.groups.valued)
        counting = SessionCounting(query)

        def counted(block: FoundSessions) -> SessionCounts:
            runner.check()
            items, places = grouping.of(block)
            sessions = block if items is None else block.taken(items)
            if query.buckets is not None:
                intervals = np.searchsorted(edges, sessions.starts, side="right") - 1
                places = places + intervals * size
            return counting.of_block(sessions, places, self._page_codes)

        found = []
        for one in in_threads(counted, blocks, runner.threads):
            runner.reservation.reserve(_BLOCK_CELL_BYTES * one.cells)
            found.append(one)
        return counting.of_all(found)

    def _grouping(self, blocks: Sequence[FoundSessions]) -> _Grouping:
        """The groups of the sessions."""
        query, read = self.query, self.read
        if not query.groups:
            none = np.zeros(0, dtype=np.int64)
            return _Grouping(CodeGroups(((),), none, none))
        exits = query.attribution is not Attribution.ENTRY
        marks = different_of([_marks(one, exits=exits) for one in blocks], self.runner.threads)
        if read is None or read.marks is None:
            return _Grouping(CodeGroups((), marks, marks))
        first = 0 if query.page is None else 1
        kinds = zip(read.further[first:], self.plan.value_parts[first:], query.groups, strict=True)
        decoders = [Decoder(values, parts, group.ranges) for values, parts, group in kinds]
        codes = read.marks.codes(marks)[first:]
        combinations, numbers = different(codes, read.marks.sizes[first:])
        groups = groups_of(decoders, combinations, self._check_groups)
        return _Grouping(groups, marks, numbers, exits)

    def _check_groups(self, groups: int) -> None:
        self.runner.check()
        check_cells(groups, 0, self.limits)

    @property
    def _pages(self) -> Decoder | None:
        if self.query.page is None or self.read is None:
            return None
        return Decoder(self.read.further[0], self.plan.value_parts[0])

    def _page_codes(self, marks: Integers) -> Integers:
        assert self.read is not None
        assert self.read.marks is not None
        return self.read.marks.codes(marks)[0]


@dataclass(frozen=True, slots=True)
class _Grouping:
    """``marks``: those of the sessions' first, or last (``exits``), events; None where there is one group.
    ``combinations``: which combination of codes each of them stands for."""

    groups: CodeGroups
    marks: Integers | None = None
    combinations: Integers | None = None
    exits: bool = False

    def of(self, sessions: FoundSessions) -> tuple[Integers | None, Integers]:
        """As ``CodeGroups.of``, for sessions."""
        if self.marks is None or self.combinations is None:
            return None, np.zeros(sessions.count, dtype=np.int64)
        own = np.searchsorted(self.marks, _marks(sessions, exits=self.exits))
        return self.groups.of(self.combinations[own])


def _marks(sessions: FoundSessions, *, exits: bool) -> Integers:
    """Of the event that a session belongs to groups by."""
    marks = sessions.exits if exits else sessions.entries
    assert marks is not None
    return marks
