"""Lifecycle and stickiness: reads the events, and writes what ``query.behaviour.activity`` counts."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from query.answers.behaviour.actor_events import ReadEvents, read_events
from query.answers.behaviour.arranging import Arranging, CellResults, arranged, check_cells
from query.answers.behaviour.selections import SelectionPlan, plan_selections
from query.answers.behaviour.value_texts import Decoder, Grouping, group_items
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
    edges = query.buckets.edges
    read = read_events(plan, runner) if len(edges) > 1 else None
    grouping, cells, counts = Grouping.of_one(0, () if query.groups else ((),)), _NOTHING, _NOTHING
    if read is not None:
        grouping = _grouping(query, plan, read, runner, limits)
        # The history, the period before, and those of the answer.
        before = (edges[0], *edges) if query.before_us is None else (query.before_us, *edges)
        periods = activity.periods_of(read.events.times, np.array(before, dtype=np.int64)) + 1
        if query.before_us is None:
            periods = np.maximum(periods, 2)
        actors = grouping.groups * read.events.count + read.events.actors[grouping.items]
        keys = _active(actors, periods[grouping.items], len(grouping.valued) * read.events.count,
                       len(before), runner)  # fmt: skip
        cells, counts = activity.lifecycle(keys, len(before), read.events.count)
    check_cells(len(grouping.valued), len(cells), limits)
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
    results = CellResults(grouping.valued, states.by_interval(len(grouping.valued)), states.result, _states())
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


def _grouping(
    query: LifecycleQuery, plan: SelectionPlan, read: ReadEvents, runner: Runner, limits: Limits
) -> Grouping:
    """The groups of each event."""
    if not query.groups:
        return Grouping.of_one(read.events.size)
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


def _active(
    actors: NDArray[np.integer], periods: Integers, actor_count: int, period_count: int, runner: Runner
) -> Integers:
    """As ``activity.active_periods``, with its memory reserved."""
    runner.reservation.reserve(activity.table_bytes(len(actors), actor_count, period_count))
    runner.check()
    keys = activity.active_periods(actors, periods, actor_count, period_count)
    runner.reservation.reserve(_PAIR_BYTES * len(keys))
    runner.check()
    return keys


def _active_in(
    events: tuple[Any, ...], edges: tuple[int, ...], views: Views, runner: Runner, limits: Limits
) -> tuple[Integers, int]:
    """The periods of each actor, and the number of stored events."""
    plan = plan_selections(events, views, timed=True)
    limits.check_rows(plan.read)
    read = read_events(plan, runner) if len(edges) > 1 else None
    if read is None:
        return _NOTHING, plan.scanned
    periods = activity.periods_of(read.events.times, np.array(edges, dtype=np.int64))
    keys = _active(read.events.actors, periods, read.events.count, len(edges) - 1, runner)
    return keys, plan.scanned


def active_days_body(
    query: ActiveDaysQuery, views: Views, runner: Runner, limits: Limits
) -> tuple[dict[str, Any], int]:
    """The actors of each day, its week and its month, and their ratios."""
    keys, scanned = _active_in(query.events, query.days, views, runner, limits)
    windows = (1, WEEK_DAYS, query.month_days)
    active = activity.active_in_windows(keys, len(query.days) - 1, windows)
    spans = timeframes(query.days[query.first :])
    rows = []
    for at, span in enumerate(spans):
        begun = at < query.begun
        counts = [int(found[query.first + at]) if begun else None for found in active]
        rows.append({"value": _ratios(counts, query.decimals), "timeframe": span})
    return {"result": rows}, scanned


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
    keys, scanned = _active_in(query.events, edges, views, runner, limits)
    counts = activity.periods_by_actor(keys, len(edges) - 1).tolist() if len(keys) else [0] * len(edges)
    rows = [{"periods": number, "result": counts[number]} for number in range(1, len(edges))]
    return {"result": rows}, scanned
