"""Retention: reads the events, and writes the cohorts that ``query.behaviour.retention`` counts."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import Any

import numpy as np

from query.answers.behaviour.active_periods import read_active, read_bits
from query.answers.behaviour.actor_events import ReadEvents, read_events
from query.answers.behaviour.arranging import check_cells
from query.answers.behaviour.selections import SelectionPlan, plan_selections
from query.answers.behaviour.value_texts import Decoder, group_items
from query.answers.values import number, rounded
from query.behaviour.retention import (
    RetentionCounts,
    RetentionRules,
    retention,
    retention_of_bits,
    retention_of_periods,
)
from query.behaviour.sequences import Integers
from query.engine.memory_budget import Reservation
from query.engine.runner import Runner
from query.errors import QueryLimitExceeded
from query.json_encoding import Written, array, dumps
from query.language.analyses.retention_nodes import Cohort, CohortSpan, RetentionQuery, ReturnOn
from query.limits import Limits
from query.plan.views import Views
from storage.instants import format_instant

_CELL_BYTES = 8
_NOTHING = np.empty(0, dtype=np.int64)


def retention_body(
    query: RetentionQuery, views: Views, runner: Runner, limits: Limits
) -> tuple[dict[str, Any], int]:
    """The answer's ``result`` and ``summary``, and the number of stored events in its timeframes."""
    plan = plan_retention(query, views)
    limits.check_rows(plan.read)
    counts = RetentionCounts(_NOTHING, _NOTHING, np.empty((0, len(query.columns)), dtype=np.int64))
    values: Sequence[Any] = [None]
    if not plan.can_have(0) or not query.cohorts:
        pass
    elif query.of_periods:
        counts = _of_periods(plan, _rules(query), runner)
    elif (read := read_events(plan, runner)) is not None:
        marks = 1 if query.group is None else read.further[0].size
        counts = retention(read.events, _rules(query), marks, runner.check)
        if query.group is not None:
            values, counts = _grouped(query, plan, read, counts, runner, limits)
    _check_cells(query, counts, limits)
    writer = _Writer(query, values, runner.check, runner.reservation, limits.response_bytes_max)
    body: dict[str, Any] = {"result": writer.cohorts(counts), "summary": writer.summary(counts)}
    return body, plan.scanned


def plan_retention(query: RetentionQuery, views: Views) -> SelectionPlan:
    values = () if query.group is None else (query.group,)
    return plan_selections(query.selections, views, timed=True, values=values)


def _rules(query: RetentionQuery) -> RetentionRules:
    edges = [one.start_us for one in query.cohorts] + [query.cohorts[-1].end_us]
    return RetentionRules(
        edges=np.array(edges, dtype=np.int64),
        firsts=np.array([column.first for column in query.columns], dtype=np.int64),
        lasts=np.array([column.last for column in query.columns], dtype=np.int64),
        recurring=query.cohort is Cohort.RECURRING,
        length=query.length,
        or_after=query.returned is ReturnOn.ON_OR_AFTER,
        same=query.returning is None,
    )


def _of_periods(plan: SelectionPlan, rules: RetentionRules, runner: Runner) -> RetentionCounts:
    edges = rules.edges.tolist()
    bits = read_bits(plan, edges, runner)
    if bits is not None:
        return retention_of_bits(bits, rules, runner.check)
    keys, _, _ = read_active(plan, edges, runner)
    return retention_of_periods(keys, rules, runner.check)


def _grouped(
    query: RetentionQuery,
    plan: SelectionPlan,
    read: ReadEvents,
    counts: RetentionCounts,
    runner: Runner,
    limits: Limits,
) -> tuple[Sequence[Any], RetentionCounts]:
    """The values of the groups in their order, and the counts by groups in place of marks."""
    assert query.group is not None
    cohorts = len(query.cohorts)
    codes, numbers = np.unique(counts.rows // cohorts, return_inverse=True)
    decoder = Decoder(read.further[0], plan.value_parts[0], query.group.ranges)

    def check(groups: int) -> None:
        runner.check()
        check_cells(groups, 0, limits)

    grouping = group_items([decoder], [(code,) for code in codes.tolist()], numbers, check)
    order = sorted(range(len(grouping.valued)), key=lambda at: grouping.valued[at][0][1])
    places = np.empty(len(order), dtype=np.int64)
    places[order] = np.arange(len(order))
    found = places[grouping.groups] * cohorts + counts.rows[grouping.items] % cohorts
    rows, at = np.unique(found, return_inverse=True)
    sizes = np.zeros(len(rows), dtype=np.int64)
    np.add.at(sizes, at, counts.sizes[grouping.items])
    retained = np.zeros((len(rows), len(query.columns)), dtype=np.int64)
    np.add.at(retained, at, counts.retained[grouping.items])
    return [grouping.valued[place][0][0] for place in order], RetentionCounts(rows, sizes, retained)


def _check_cells(query: RetentionQuery, counts: RetentionCounts, limits: Limits) -> None:
    listed = np.array([one.listed for one in query.cohorts], dtype=np.int64)
    if len(counts.rows) and listed[counts.rows % len(listed)].sum() > limits.cells_max:
        raise QueryLimitExceeded(
            f"The answer has more than {limits.cells_max:,} numbers. Ask for fewer 'periods', a longer "
            "'interval' or fewer groups."
        )


class _Writer:
    """Writes the rows of an answer."""

    def __init__(
        self,
        query: RetentionQuery,
        values: Sequence[Any],
        check: Callable[[], None],
        reservation: Reservation,
        bytes_max: int,
    ) -> None:
        self._query = query
        self._values = values
        self._check = check
        self._reservation = reservation
        self._bytes_max = bytes_max

    def cohorts(self, counts: RetentionCounts) -> Written:
        """A row for each cohort; of groups one for each group and cohort that has actors."""
        texts: list[bytes] = []
        size = 0
        for at, row in enumerate(self._rows(counts)):
            if at % 256 == 0:
                self._check()
            text = dumps(row)
            size += len(text) + 1
            self._reservation.reserve(len(text) + 1)
            if size > self._bytes_max:
                raise QueryLimitExceeded(
                    f"The answer takes more than {self._bytes_max:,} bytes. Ask for fewer 'periods', a "
                    "longer 'interval' or fewer groups."
                )
            texts.append(text)
        self._reservation.reserve(size)
        return Written(array(texts))

    def _rows(self, counts: RetentionCounts) -> Iterator[dict[str, Any]]:
        spans = self._query.cohorts
        if self._query.group is not None:
            for place, row in enumerate(counts.rows.tolist()):
                group, cohort = divmod(row, len(spans))
                yield self._row(group, spans[cohort], int(counts.sizes[place]), counts.retained[place])
            return
        nobody = np.zeros(len(self._query.columns), dtype=np.int64)
        places = dict(zip(counts.rows.tolist(), range(len(counts.rows)), strict=True))
        for cohort, span in enumerate(spans):
            at = places.get(cohort)
            if at is None:
                yield self._row(0, span, 0, nobody)
            else:
                yield self._row(0, span, int(counts.sizes[at]), counts.retained[at])

    def _row(self, group: int, span: CohortSpan, size: int, retained: Integers) -> dict[str, Any]:
        found = retained[: span.listed].tolist()
        # What has not begun is unknown; an event with a time to come may be in it all the same.
        numbers = [count if at < span.begun or count else None for at, count in enumerate(found)]
        return {
            **self._group(group),
            "timeframe": {"start": format_instant(span.start_us), "end": format_instant(span.end_us)},
            "size": size,
            "retained": numbers,
            "rates": [self._rate(count, size) for count in numbers],
            "unfinished": [at >= span.ended for at in range(span.listed)],
        }

    def _group(self, group: int) -> dict[str, Any]:
        return {} if self._query.group is None else {self._query.group.path: self._values[group]}

    def summary(self, counts: RetentionCounts) -> Any:
        """All cohorts together, each column over those in which it has ended; of groups one for each."""
        cohort_count = len(self._query.cohorts)
        ended = np.array([one.ended for one in self._query.cohorts], dtype=np.int64)
        columns = len(self._query.columns)
        if self._query.group is None:
            return self._summed(0, counts, np.arange(len(counts.rows)), ended, columns)
        groups = counts.rows // max(1, cohort_count)
        edges = np.flatnonzero(np.diff(groups)) + 1
        parts = np.split(np.arange(len(groups)), edges) if len(groups) else []
        return [self._summed(int(groups[part[0]]), counts, part, ended, columns) for part in parts]

    def _summed(
        self, group: int, counts: RetentionCounts, rows: Integers, ended: Integers, columns: int
    ) -> dict[str, Any]:
        cohorts = counts.rows[rows] % max(1, len(ended))
        done = ended[cohorts][:, None] > np.arange(columns)
        sizes = (counts.sizes[rows][:, None] * done).sum(axis=0).tolist()
        retained = (counts.retained[rows] * done).sum(axis=0).tolist()
        return {
            **self._group(group),
            "sizes": sizes,
            "retained": retained,
            "rates": [self._rate(count, size) for count, size in zip(retained, sizes, strict=True)],
        }

    def _rate(self, count: int | None, size: int) -> Any:
        return None if count is None or not size else rounded(number(count / size), self._query.decimals)
