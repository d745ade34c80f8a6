"""Lifecycle and stickiness: reads the events, and writes what ``query.behaviour.activity`` counts."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from query.answers.behaviour.active_periods import read_active
from query.answers.behaviour.actor_events import ReadEvents, read_events
from query.answers.behaviour.arranging import Arranging, CellResults, arranged, check_cells
from query.answers.behaviour.selections import SelectionPlan, plan_selections
from query.answers.behaviour.value_texts import Decoder, Grouping, Valued, group_items
from query.answers.values import number, rounded, timeframes
from query.behaviour import activity
from query.behaviour.cells import different
from query.behaviour.sequences import Integers
from query.engine.runner import Runner
from query.errors import QueryLimitExceeded
from query.language.analyses.activity import LIFECYCLE_LABELS, WEEK_DAYS
from query.language.analyses.activity_nodes import ActiveDaysQuery, ActivePeriodsQuery, LifecycleQuery
from query.limits import Limits
from query.plan.views import Views

_NOTHING = np.empty(0, dtype=np.int64)
_PAIR_BYTES = 64
"""Bytes that a pair of an actor and a period takes while pairs are compared."""
_CELL_BYTES = 200
"""Bytes that the numbers of a cell take."""
_NOT_BEGUN = -1
"""The cell of a group without events in an interval that has not begun."""
_DAY = "dau", "wau", "mau"
_RATIOS = {"dau_wau": ("dau", "wau"), "dau_mau": ("dau", "mau"), "wau_mau": ("wau", "mau")}


def plan_lifecycle(query: LifecycleQuery, views: Views) -> SelectionPlan:
    return plan_selections(query.events, views, timed=True, values=query.groups)


def lifecycle_body(
    query: LifecycleQuery, views: Views, runner: Runner, limits: Limits
) -> tuple[dict[str, Any], int]:
    """The answer's body, and the number of stored events in its timeframes."""
    plan = plan_lifecycle(query, views)
    limits.check_rows(plan.read)
    valued: Sequence[tuple[Valued, ...]] = () if query.groups else ((),)
    cells, counts = _NOTHING, _NOTHING
    if len(query.buckets.edges) > 1:
        # The history, the period before, and those of the answer.
        before, first = (query.buckets.edges, 2)
        if query.before_us is not None:
            before, first = ((query.before_us, *before), 1)
        if query.groups:
            valued, keys, actors, periods = _by_groups(query, plan, before, first, runner, limits)
        else:
            keys, actors, periods = read_active(plan, before, runner, first)
        cells, counts = activity.lifecycle(keys, periods, actors)
    check_cells(len(valued), len(cells), limits)
    runner.reservation.reserve(_CELL_BYTES * len(cells))
    how = Arranging(
        tuple(group.path for group in query.groups),
        query.order,
        query.limit,
        query.zero_fill,
        None,
        query.buckets,
    )
    states = _States(query, cells, counts)
    results = CellResults(valued, states.by_interval(len(valued)), states.result, _states())
    return {"result": arranged(how, results, limits, runner.check, runner.reservation)}, plan.scanned


class _States:
    """The actors of each state, by cells."""

    def __init__(self, query: LifecycleQuery, cells: Integers, counts: Integers) -> None:
        self._intervals = len(query.buckets.edges) - 1
        self._begun = query.begun
        self._cells, self._counts = cells, counts

    def by_interval(self, groups: int) -> list[dict[int, int]]:
        found: list[dict[int, int]] = [{} for _ in range(self._intervals)]
        for interval in range(self._begun, self._intervals):
            found[interval] = dict.fromkeys(range(groups), _NOT_BEGUN)
        for cell, place in enumerate(self._cells.tolist()):
            group, interval = divmod(place, self._intervals)
            found[interval][group] = cell
        return found

    def result(self, cell: int) -> dict[str, int | None]:
        if cell == _NOT_BEGUN:
            return _states(None)
        found = _states()
        found.update(zip(LIFECYCLE_LABELS, self._counts[cell].tolist(), strict=True))
        if self._cells[cell] % self._intervals >= self._begun:
            found[LIFECYCLE_LABELS[activity.DORMANT]] = None
        return found


def _states(dormant: int | None = 0) -> dict[str, int | None]:
    return {**dict.fromkeys(LIFECYCLE_LABELS, 0), LIFECYCLE_LABELS[activity.DORMANT]: dormant}


def _by_groups(
    query: LifecycleQuery,
    plan: SelectionPlan,
    edges: tuple[int, ...],
    first: int,
    runner: Runner,
    limits: Limits,
) -> tuple[Sequence[tuple[Valued, ...]], Integers, int, int]:
    """The groups, and as ``read_active`` for an actor of each group: ``group * actors + actor``."""
    period_count = len(edges) - 1 + first
    read = read_events(plan, runner)
    if read is None:
        return (), _NOTHING, 0, period_count
    grouping = _grouping(query, plan, read, runner, limits)
    periods = activity.periods_of(read.events.times, np.array(edges, dtype=np.int64))
    periods = np.where(periods < 0, 0, periods + first)
    actors = grouping.groups * read.events.count + read.events.actors[grouping.items]
    owners = len(grouping.valued) * read.events.count
    runner.reservation.reserve(activity.table_bytes(len(actors), owners, period_count))
    keys = activity.active_periods(actors, periods[grouping.items], owners, period_count)
    runner.reservation.reserve(_PAIR_BYTES * len(keys))
    runner.check()
    return grouping.valued, keys, read.events.count, period_count


def _grouping(
    query: LifecycleQuery, plan: SelectionPlan, read: ReadEvents, runner: Runner, limits: Limits
) -> Grouping:
    """The groups of each event."""
    kinds = zip(read.further, plan.value_parts, query.groups, strict=True)
    decoders = [Decoder(values, parts, group.ranges) for values, parts, group in kinds]
    codes = [values.codes.astype(np.int64) for values in read.further]
    combinations, numbers = different(codes, [values.size for values in read.further])

    def check(groups: int) -> None:
        runner.check()
        check_cells(groups, 0, limits)

    grouping = group_items(decoders, combinations, numbers, check)
    runner.reservation.reserve(2 * grouping.items.nbytes)
    return grouping


def plan_active(query: ActiveDaysQuery | ActivePeriodsQuery, views: Views) -> SelectionPlan:
    return plan_selections(query.events, views, timed=True)


def active_days_body(
    query: ActiveDaysQuery, views: Views, runner: Runner, limits: Limits
) -> tuple[dict[str, Any], int]:
    """The actors of each day, its week and its month, and their ratios."""
    plan = plan_active(query, views)
    limits.check_rows(plan.read)
    windows = (1, WEEK_DAYS, query.month_days)
    active: list[Integers] = []
    if len(query.days) > 1:
        keys, _, days = read_active(plan, query.days, runner)
        active = activity.active_in_windows(keys, days, windows)
    spans = timeframes(query.days[query.first :])
    rows = []
    for at, span in enumerate(spans):
        begun = at < query.begun
        counts = [int(found[query.first + at]) if begun else None for found in active]
        rows.append({"value": _ratios(counts, query.decimals), "timeframe": span})
    return {"result": rows}, plan.scanned


def _ratios(counts: list[int | None], decimals: int | None) -> dict[str, int | float | None]:
    values: dict[str, int | float | None] = dict(zip(_DAY, counts, strict=True))
    for name, (part, whole) in _RATIOS.items():
        some, all_ = values[part], values[whole]
        values[name] = None if some is None or not all_ else rounded(number(some / all_), decimals)
    return values


def active_periods_body(
    query: ActivePeriodsQuery, views: Views, runner: Runner, limits: Limits
) -> tuple[dict[str, Any], int]:
    """How many actors were active in 1, 2, 3 … periods."""
    edges = query.buckets.edges
    if len(edges) - 1 > limits.groups_max:
        raise QueryLimitExceeded(f"The answer has more than {limits.groups_max:,} rows.")
    plan = plan_active(query, views)
    limits.check_rows(plan.read)
    counts = [0] * len(edges)
    if len(edges) > 1:
        keys, _, periods = read_active(plan, edges, runner)
        if len(keys):
            counts = activity.periods_by_actor(keys, periods).tolist()
    rows = [{"periods": number, "result": counts[number]} for number in range(1, len(edges))]
    return {"result": rows}, plan.scanned
