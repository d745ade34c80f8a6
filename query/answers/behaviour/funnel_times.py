"""How long the steps of a funnel took: percentiles by nearest rank and a histogram, in seconds."""

from __future__ import annotations

import math
from collections.abc import Sequence
from itertools import pairwise
from typing import Any

import numpy as np

from query.answers.behaviour.funnel_outcomes import NEVER
from query.answers.values import number
from query.behaviour.sequences import Integers
from query.language.analyses.behaviour_nodes import Durations, Step

_SECOND_US = 1_000_000


def times_of(times: Integers, steps: Sequence[Step], durations: Durations) -> dict[str, Any]:
    """``steps``: of each required step, from the required one before; ``total``: from the first to the last.

    ``times``: for each step and attempt the time in µs, NEVER for none.
    """
    required = [at for at, step in enumerate(steps) if not (step.optional or step.inverted)]
    listed: list[Any] = [None] * len(steps)
    for before, at in pairwise(required):
        listed[at] = _summary(times[before], times[at], durations)
    return {"steps": listed, "total": _summary(times[required[0]], times[required[-1]], durations)}


def _summary(begins: Integers, ends: Integers, durations: Durations) -> dict[str, Any]:
    reached = ends != NEVER
    taken = np.sort(ends[reached] - begins[reached])
    average = int(taken.sum()) / len(taken) if len(taken) else None
    return {
        "count": len(taken),
        "average": None if average is None else number(average / _SECOND_US),
        "minimum": _seconds(taken[0]) if len(taken) else None,
        "median": _percentile(taken, 50),
        "maximum": _seconds(taken[-1]) if len(taken) else None,
        "percentiles": [
            {"percentile": one, "value": _percentile(taken, one)} for one in durations.percentiles
        ],
        "histogram": _histogram(taken, durations.edges),
    }


def _percentile(taken: Integers, percentile: float) -> int | float | None:
    if not len(taken):
        return None
    return _seconds(taken[max(1, math.ceil(percentile / 100 * len(taken))) - 1])


def _histogram(taken: Integers, edges: Sequence[int]) -> list[dict[str, Any]]:
    """The number of times from each edge to below the next; the last has no end."""
    below = [0, *np.searchsorted(taken, edges, side="left").tolist(), len(taken)]
    ends = [None, *map(_seconds, edges), None]
    rows = [
        {"from": start, "to": end, "count": after - before}
        for (start, end), (before, after) in zip(pairwise(ends), pairwise(below), strict=True)
    ]
    return rows[1:] if edges and edges[0] <= 0 else rows


def _seconds(us: Any) -> int | float | None:
    return number(int(us) / _SECOND_US)
