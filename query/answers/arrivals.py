"""Events in the order in which they arrived, each with its id, as a live tail shows them.

Ids of one log and series rise with arrival, and the order returned keeps that, so that everything before an
event can be said by one id for each series.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from contextlib import closing
from dataclasses import dataclass, replace

from query.answers import extraction
from query.answers.pipeline import Conditions, seen_by
from query.engine.engine import Deadline, Engine
from query.errors import TooManyConditions
from query.json_encoding import dumps
from query.language.nodes import ExtractionQuery, Filter
from query.limits import Limits
from query.plan.columns import CREATED_AT_COLUMN, ID_COLUMN
from query.plan.views import Held, Views
from storage.source import Source

SERIES_LENGTH = 9
"""Leading characters of an event's id that name its log and series."""


@dataclass(frozen=True, slots=True)
class Arrival:
    """``received``: when the event came, ISO 8601 without a zone. ``text``: its JSON, as in an extraction."""

    id: str
    received: str
    text: bytes


@dataclass(frozen=True, slots=True)
class Arrivals:
    """``left_out``: there are older ones that did not fit."""

    events: tuple[Arrival, ...]
    left_out: bool = False


def arrivals(
    query: ExtractionQuery,
    source: Source,
    engine: Engine,
    *,
    forced: Sequence[Filter],
    limits: Limits,
    deadline: Deadline,
    events_max: int,
    bytes_max: int,
) -> Arrivals:
    """The newest events of a source under a key's filters, in the order of arrival.

    Raises QueryError, SourceGone.
    """

    def run(lanes_of: Held | None) -> Arrivals:
        own, of_key = (Conditions(limits, deadline.check).spend for _ in range(2))
        views = Views(lambda _: source, tuple(forced), own, lanes_of, of_key)
        return _run(query, views, engine, limits, deadline, events_max, bytes_max)

    try:
        return run(None)
    except TooManyConditions:
        if not forced:
            raise
    # Lanes that the key does not see must not cause its query to exceed the limit.
    return run(seen_by(engine, deadline))


def _run(
    query: ExtractionQuery,
    views: Views,
    engine: Engine,
    limits: Limits,
    deadline: Deadline,
    events_max: int,
    bytes_max: int,
) -> Arrivals:
    plan = extraction.plan_extraction(replace(query, latest=events_max + 1), views, limits)
    if plan.scan.empty:
        return Arrivals(())
    limits.check_rows(plan.view.rows)
    by = (CREATED_AT_COLUMN, ID_COLUMN)
    statement = plan.statement(plan.scan, by)
    id_at, received_at = (1 + plan.columns.index(column) for column in (ID_COLUMN, CREATED_AT_COLUMN))
    found: list[Arrival] = []
    size = 0
    tables = plan.view.tables(plan.scan)
    run = engine.chunks(statement, tables, deadline.cancel, deadline.seconds, deadline.at)
    with closing(run) as chunks:
        for rows in chunks:
            events = extraction.events(rows, plan.columns, plan.paths, None)
            for row, event in zip(rows, events, strict=True):
                text = dumps(event)
                size += len(text)
                if len(found) == events_max or (found and size > bytes_max):
                    return Arrivals(in_order(found), left_out=True)
                found.append(Arrival(row[id_at], row[received_at], text))
    return Arrivals(in_order(found))


def in_order(events: Iterable[Arrival]) -> tuple[Arrival, ...]:
    """The events by the time they came, those of one series by their ids.

    An event that waited for its write may have come earlier than one that is before it in the log: it counts
    as of the time of that one.
    """
    latest: dict[str, str] = {}
    dated = []
    for event in sorted(events, key=_id_of):
        series = event.id[:SERIES_LENGTH]
        latest[series] = max(event.received, latest.get(series, ""))
        dated.append((latest[series], event))
    dated.sort(key=_date_of)
    return tuple(event for _, event in dated)


def _id_of(event: Arrival) -> str:
    return event.id


def _date_of(pair: tuple[str, Arrival]) -> str:
    return pair[0]
