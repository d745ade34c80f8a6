"""The actors that a step of a funnel counts, or loses."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
import pyarrow as pa

from query.answers.behaviour.actor_events import ReadEvents
from query.answers.behaviour.funnel import check_actors, plan_funnel, survives
from query.answers.behaviour.ordered_funnel import actors_and_masks, step_before
from query.engine.runner import Runner
from query.language.analyses.behaviour_nodes import FunnelOrder, FunnelQuery
from query.language.nodes import FunnelActors
from query.limits import Limits
from query.plan.keys import KeyPart
from query.plan.views import Views
from query.sql import behaviour as sql

Columns = Mapping[str, pa.ChunkedArray]


def funnel_actors(of: FunnelActors, views: Views, runner: Runner, limits: Limits) -> Columns:
    """The actors by the parts of their values. Raises QueryError."""
    assert isinstance(of.funnel, FunnelQuery)
    if of.funnel.order is FunnelOrder.ANY:
        return _unordered(of, of.funnel, views, runner, limits)
    return _ordered(of, of.funnel, views, runner, limits)


def _unordered(
    of: FunnelActors, funnel: FunnelQuery, views: Views, runner: Runner, limits: Limits
) -> Columns:
    scans = plan_funnel(funnel, views, limits.funnel_actors_max).scans
    if not scans.can_have(0):
        return {}
    limits.check_rows(scans.read)
    branches = [sql.rows(one.scan, one.key, scans.parts, one.tests) for one in scans.live]
    statement = sql.actors_by_mask(branches, scans.parts, limits.funnel_actors_max)
    table = runner.table(statement, scans.tables, reads=scans.read)
    check_actors(table.num_rows, limits.funnel_actors_max)
    if not table.num_rows:
        return {}
    masks, inverse = np.unique(table.column(len(scans.parts)).to_numpy(), return_inverse=True)
    kept = np.array([_is_wanted(of, int(mask), funnel) for mask in masks], dtype=bool)
    wanted = table.filter(pa.array(kept[inverse]))
    return {part: wanted.column(at).drop_null() for at, part in enumerate(scans.parts)}


def _is_wanted(of: FunnelActors, mask: int, funnel: FunnelQuery) -> bool:
    counted = survives(mask, of.step, funnel.steps)
    if not of.dropped:
        return counted
    return survives(mask, step_before(funnel, of.step), funnel.steps) and not counted


def _ordered(of: FunnelActors, funnel: FunnelQuery, views: Views, runner: Runner, limits: Limits) -> Columns:
    read, numbers, masks = actors_and_masks(funnel, views, runner, limits)
    if read is None:
        return {}
    wanted = (masks >> of.step) & 1 == 1
    if of.dropped:
        wanted = ((masks >> step_before(funnel, of.step)) & 1 == 1) & ~wanted
    return dict(_values(read, np.sort(numbers[wanted]), read.parts))


def _values(read: ReadEvents, numbers: np.ndarray, parts: Sequence[KeyPart]) -> Columns:
    found: dict[str, pa.ChunkedArray] = {}
    first = 0
    for part, values in zip(parts, read.values, strict=True):
        own = numbers[(numbers >= first) & (numbers < first + len(values))]
        found[part] = pa.chunked_array([values.take(pa.array(own - first))])
        first += len(values)
    return found
