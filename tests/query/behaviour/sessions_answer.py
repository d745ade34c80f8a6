"""Answers to questions about sessions, worked out session by session in plain Python."""

from __future__ import annotations

import math
from bisect import bisect_right
from collections import Counter
from collections.abc import Callable, Sequence
from fractions import Fraction
from itertools import pairwise, product
from typing import Any

from query.behaviour.sessions import SessionRules
from query.language.analyses.sequence_nodes import Attribution, SessionMeasure, SessionsQuery
from query.language.nodes import Group, Selection
from storage.instants import format_instant, parse_instant
from storage.schema import LaneKind
from tests.query import reference
from tests.query.behaviour.sessions_reference import Happened, sessions
from tests.query.support_source import Event, cells_of, kind_of

Session = list[Happened]


def happened(
    selections: Sequence[Selection],
    rank: Callable[[Event, list[bool]], Any],
    collections: dict[str, list[Event]],
) -> list[Happened]:
    """Each event once for each of its actors; ``what`` is the event, and the selections it is in as bits.

    ``rank`` orders events of one time and of the same selections.
    """
    found: list[Happened] = []
    for collection, actor in dict.fromkeys((one.collection, one.actor) for one in selections):
        for event in collections.get(collection, []):
            bits = [
                (one.collection, one.actor) == (collection, actor)
                and bool(reference.select([event], one.span, one.filters))
                for one in selections
            ]
            if any(bits):
                order_of = [not bit for bit in bits], rank(event, bits)
                for value in reference.values_of(event, actor):
                    if value is not None:
                        kind, order = reference.order_at(actor, value)
                        # Times are not texts, though they sort beside them.
                        key = kind, isinstance(order, str), order
                        found.append(Happened(key, reference.time_of(event), order_of, (event, bits)))
    return found


def rank_of(event: Event, group: Group) -> tuple[int, Any]:
    """What orders events of one time: numbers, long integers, texts, booleans, times, lists, nothing."""
    if group.size is not None or group.ranges is not None:
        ((order, value),) = reference.group_values(event, group)
        if value is None:
            return 9, 0
        return (1, str(value)) if isinstance(value, int) and len(str(abs(value))) > 15 else (0, order[1])
    value = reference.lookup(event, group.path)
    if group.path in reference.TIMES:
        return 4, parse_instant(value)
    if isinstance(value, list):
        return 5, cells_of(event)[(group.path, LaneKind.JSON)]
    if not isinstance(value, str | int | float):
        return 9, 0
    return {
        LaneKind.NUMBER: (0, value),
        LaneKind.INTEGER: (1, str(value)),
        LaneKind.LONG: (1, str(value)),
        LaneKind.STRING: (2, value),
        LaneKind.BOOLEAN: (3, value),
    }[kind_of(value)]


def answer(query: SessionsQuery, collections: dict[str, list[Event]]) -> Any:
    pages = () if query.page is None else (Group(query.page),)
    groups = (*pages, *query.groups)
    events = happened(query.events, lambda event, _: [rank_of(event, one) for one in groups], collections)
    rules = SessionRules(query.gap, query.cuts, query.longest)
    found = [
        session
        for session in sessions(events, rules)
        if query.span.start_us is None or session[0].time >= query.span.start_us
    ]
    if query.buckets is None:
        return _block(query, found, None)
    edges = query.buckets.edges
    cells: list[list[Session]] = [[] for _ in edges[1:]]
    for session in found:
        cells[bisect_right(edges, session[0].time) - 1].append(session)
    keys = _grouped(query, found) if query.groups and query.zero_fill else None
    return [
        {
            "value": _block(query, cell, keys),
            "timeframe": {"start": format_instant(start), "end": format_instant(end)},
        }
        for cell, (start, end) in zip(cells, pairwise(edges), strict=True)
    ]


def _grouped(query: SessionsQuery, found: Sequence[Session]) -> dict[Any, list[Session]]:
    groups: dict[Any, list[Session]] = {}
    for session in found:
        event = session[0 if query.attribution is Attribution.ENTRY else -1].what[0]
        for key in product(*(reference.group_values(event, group) for group in query.groups)):
            groups.setdefault(tuple((repr(order), order, value) for order, value in key), []).append(session)
    return groups


def _block(query: SessionsQuery, found: Sequence[Session], keys: dict[Any, Any] | None) -> Any:
    if not query.groups:
        return _measures(query, found)
    groups = _grouped(query, found)
    if keys is not None:
        groups = {key: groups.get(key, []) for key in keys}
    rows = []
    for key in sorted(groups, key=lambda key: [order for _, order, _ in key]):
        named = {group.path: value for group, (_, _, value) in zip(query.groups, key, strict=True)}
        rows.append((key, {**named, **_measures(query, groups[key])}))
    paths = [group.path for group in query.groups]
    for order in reversed(query.order):

        def rank(pair: Any, by: str = order.by) -> Any:
            return pair[0][paths.index(by)][1] if by in paths else reference.order_of(pair[1][by])

        nulls = [pair for pair in rows if rank(pair)[0] == 9]
        rest = sorted((p for p in rows if rank(p)[0] != 9), key=rank, reverse=order.descending)
        rows = rest + nulls
    return [row for _, row in rows][: query.limit]


def _measures(query: SessionsQuery, found: Sequence[Session]) -> dict[str, Any]:
    durations = sorted(session[-1].time - session[0].time for session in found)
    sizes = [len(session) for session in found]

    def share(total: int, of: int = 1) -> Any:
        return total / (len(found) * of) if found else None

    def percentile(percent: float) -> Any:
        rank = math.ceil(Fraction(str(percent)) * len(durations) / 100)
        return durations[max(1, rank) - 1] / 1_000_000 if durations else None

    plain = {
        SessionMeasure.SESSIONS: len(found),
        SessionMeasure.ACTORS: len({session[0].actor for session in found}),
        SessionMeasure.EVENTS: sum(sizes),
        SessionMeasure.EVENTS_PER_SESSION: share(sum(sizes)),
        SessionMeasure.BOUNCES: sizes.count(1),
        SessionMeasure.BOUNCE_RATE: share(sizes.count(1)),
        SessionMeasure.DURATION_AVERAGE: share(sum(durations), 1_000_000),
        SessionMeasure.DURATION_MEDIAN: percentile(50),
        SessionMeasure.UNFINISHED: _unfinished(query, found),
        SessionMeasure.ENTRIES: _pages(query, [session[0] for session in found]),
        SessionMeasure.EXITS: _pages(query, [session[-1] for session in found]),
    }
    return {
        one.label: percentile(one.percentile) if one.percentile is not None else plain[one.measure]
        for one in query.measures
    }


def _unfinished(query: SessionsQuery, found: Sequence[Session]) -> int | None:
    end = query.span.end_us
    if end is None:
        return None
    if end in query.cuts:
        return 0
    longest = math.inf if query.longest is None else query.longest
    return sum(session[-1].time + query.gap >= end and session[0].time + longest >= end for session in found)


def _pages(query: SessionsQuery, events: Sequence[Happened]) -> Any:
    if query.page is None:
        return None
    page = Group(query.page)
    values = {rank_of(one.what[0], page): value_at(one.what[0], query.page) for one in events}
    numbers = Counter(rank_of(one.what[0], page) for one in events)
    ranked = sorted(numbers, key=lambda rank: (-numbers[rank], rank))
    named, others = ranked[: query.pages], ranked[query.pages :]
    return {
        "values": [{"value": values[rank], "sessions": numbers[rank]} for rank in named],
        "other": {"values": len(others), "sessions": sum(numbers[rank] for rank in others)},
    }


def value_at(event: Event, path: str) -> Any:
    """The value as it was sent; nothing for objects."""
    value = reference.lookup(event, path)
    if isinstance(value, list):
        return value
    (found,) = reference.values_of(event, path)
    return found
