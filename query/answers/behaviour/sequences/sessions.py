"""Answers questions about sessions: finds them, and tells which group and interval each belongs to."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np

from query.answers.behaviour.actor_events import ReadEvents, read_events
from query.answers.behaviour.arranging import Arranging, CellResults, arranged, check_cells
from query.answers.behaviour.selections import SelectionPlan, plan_selections
from query.answers.behaviour.sequences.session_measures import Pages, SessionMeasures
from query.answers.behaviour.value_texts import Decoder, Grouping, group_items
from query.behaviour.cells import different, numbered
from query.behaviour.sequences import Integers, Sequences, each_block
from query.behaviour.sessions import FoundSessions, SessionRules, sessions_of
from query.engine.runner import Runner
from query.language.analyses.sequence_nodes import Attribution, SessionsQuery
from query.language.nodes import Group
from query.limits import Limits
from query.plan.views import Views

_SESSION_BYTES = 160
"""Bytes that a session takes while sessions are measured."""
_CELL_BYTES = 700
"""Bytes that a cell takes: the numbers of each measure."""


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
        grouping = self._grouping()
        sessions = self._sessions.taken(grouping.items)
        place = grouping.groups
        intervals = 1
        if query.buckets is not None:
            edges = np.array(query.buckets.edges, dtype=np.int64)
            intervals = len(edges) - 1
            place = place + (np.searchsorted(edges, sessions.starts, side="right") - 1) * len(grouping.valued)
        present, cells = numbered(place)
        check_cells(len(grouping.valued), len(present), self.limits)
        runner.check()
        runner.reservation.reserve(_CELL_BYTES * len(present))
        by_interval: list[dict[int, int]] = [{} for _ in range(intervals)]
        for cell, number in enumerate(present.tolist()):
            interval, group = divmod(number, len(grouping.valued))
            by_interval[interval][group] = cell
        measured = SessionMeasures(query, sessions, cells, len(present), self._pages(sessions), runner.check)
        how = Arranging(
            tuple(group.path for group in query.groups),
            query.order,
            query.limit,
            query.zero_fill,
            query.decimals,
            query.buckets,
        )
        measures = CellResults(grouping.valued, by_interval, measured.result, measured.empty)
        return arranged(how, measures, self.limits, runner.check, runner.reservation)

    @cached_property
    def _sessions(self) -> FoundSessions:
        query = self.query
        found: list[FoundSessions] = []
        if self.read is not None:
            rules = SessionRules(query.gap, query.cuts, query.longest)

            def sessions_in(block: Sequences) -> FoundSessions:
                self.runner.check()
                return sessions_of(block, rules, query.span.start_us)

            found += each_block(self.read.events, len(query.events), sessions_in, self.runner.threads)
        sessions = FoundSessions.of_all(found)
        self.runner.reservation.reserve(_SESSION_BYTES * sessions.count)
        return sessions

    def _grouping(self) -> Grouping:
        """The groups of each session."""
        query, sessions, read = self.query, self._sessions, self.read
        if not query.groups:
            return Grouping.of_one(sessions.count)
        marks = sessions.entries if query.attribution is Attribution.ENTRY else sessions.exits
        if read is None or read.marks is None or marks is None:
            return Grouping.of_one(0, valued=())
        first = 0 if query.page is None else 1
        codes = read.marks.codes(marks)[first:]
        kinds = zip(read.further[first:], self.plan.value_parts[first:], query.groups, strict=True)
        decoders = [Decoder(values, parts, group.ranges) for values, parts, group in kinds]
        combinations, numbers = different(codes, read.marks.sizes[first:])
        return group_items(decoders, combinations, numbers, self._check_groups)

    def _check_groups(self, groups: int) -> None:
        self.runner.check()
        check_cells(groups, 0, self.limits)

    def _pages(self, sessions: FoundSessions) -> Pages | None:
        read = self.read
        if self.query.page is None or read is None or read.marks is None:
            return None
        return Pages(
            Decoder(read.further[0], self.plan.value_parts[0]),
            _first_codes(read, sessions.entries),
            _first_codes(read, sessions.exits),
        )


def _first_codes(read: ReadEvents, marks: Integers | None) -> Integers:
    assert read.marks is not None
    assert marks is not None
    return read.marks.codes(marks)[0]
