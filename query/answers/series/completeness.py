"""How much of the newest intervals is still to come, judged by how late the events of earlier ones were.

Of each earlier interval two numbers are counted: its events, and those of them that had arrived when it was
as old as the newest one is now. Their quotient over all of them is the share that is expected to be there.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import pairwise
from typing import Any

from query.answers.series.arrangement import timeframe_of
from query.answers.series.asking import Asker, EventSet, Question
from query.answers.values import number
from query.language.nodes import Analysis, AnyOf, Condition, Filter, Metric, Operator, Span
from query.language.series.nodes import OpenInterval, SeriesQuery
from storage.instants import format_instant

_TIME, _ARRIVAL = "keen.timestamp", "keen.created_at"
_DECIMALS = 4
Json = dict[str, Any]


def completeness(query: SeriesQuery, asker: Asker) -> list[Json]:
    """The intervals to which events are expected to come, the oldest one first."""
    found = []
    events_of = {one.label: EventSet(one.collection, one.filters, ()) for one in query.series}
    for interval in reversed(query.open_intervals or ()):
        known = {events: _expected(interval, events, asker) for events in dict.fromkeys(events_of.values())}
        parts = {label: known[events] for label, events in events_of.items()}
        if any(part["arrived"] != 1 for part in parts.values()):
            found.append({"timeframe": timeframe_of(interval.interval), "series": parts})
    return found


def _expected(interval: OpenInterval, events: EventSet, asker: Asker) -> Json:
    cuts = () if interval.cut_us is None else tuple(_up_to(_TIME, interval, interval.cut_us))
    arrived = (*cuts, *_up_to(_ARRIVAL, interval, interval.age_us))
    all_of, here = (_counts(interval, events, narrowed, asker) for narrowed in (cuts, arrived))
    shares = [at / of for of, at in zip(all_of, here, strict=True) if of]
    if not shares:
        return {"arrived": None, "least": None, "most": None, "intervals": 0}
    return {
        "arrived": _share(sum(here) / sum(all_of)),
        "least": _share(min(shares)),
        "most": _share(max(shares)),
        "intervals": len(shares),
    }


def _share(value: float) -> int | float | None:
    return number(round(value, _DECIMALS))


def _up_to(path: str, interval: OpenInterval, age_us: int) -> Iterator[Filter]:
    """Filters that an event passes where its interval was not older than this at the time of ``path``.

    One for each interval: it is passed by later events, and by those before this age of the interval. The
    filters of later intervals than an event's own say less than that of its own.
    """
    for start, following in pairwise(interval.edges):
        before = Condition(path, Operator.LT, format_instant(start + age_us))
        yield AnyOf((Condition(_TIME, Operator.GTE, format_instant(following)), before))


def _counts(interval: OpenInterval, events: EventSet, narrowed: Sequence[Filter], asker: Asker) -> list[int]:
    edges = interval.edges
    asked = EventSet(events.collection, (*events.filters, *narrowed), ())
    counts = [0] * (len(edges) - 1)
    question = Question(asked, Span(edges[0], edges[-1]), edges)
    for cell in asker.cells(question, (Metric(Analysis.COUNT),)):
        _, row = cell.metrics[0]
        counts[cell.part] = row[0] if row is not None else 0
    return counts
