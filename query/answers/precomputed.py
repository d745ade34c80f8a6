"""Answers computed beforehand: the same question for every value of some properties, bucket by bucket.

A dataset is a question with an interval, and up to three *index* properties. ``payloads`` gives for each
combination of their values one *payload*: all that the question would answer with the filters ``property eq
value``, in the buckets of its interval. ``arranged`` makes the answer for some of the buckets of payloads.

A payload is JSON, ``{"g": [[members, order], ...], "s": [start, ...], "p": [group, ...], "r": [members,
...]}``: ``g`` are the groups that occur, and for every bucket and group that has events ``s`` is the bucket's
start (µs), ``p`` the group's position in ``g`` and ``r`` the results as members of a JSON object.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from itertools import groupby
from typing import Any

from query.answers.groups import Groups, Members
from query.answers.values import instant_us, loads, timeframes
from query.engine.engine import Deadline, Engine, Row
from query.engine.extents import reader
from query.engine.memory_budget import Reservation
from query.errors import QueryLimitExceeded
from query.json_encoding import array, dumps
from query.language.nodes import Analysis, Buckets, Metric, MetricQuery, Span
from query.limits import Limits
from query.plan.keys import GroupKey, KeyPart
from query.plan.plan import MetricsPlan, plan_indexed, plan_metrics
from query.plan.views import Views
from query.sql import statements
from query.sql.statement import Statement
from storage.instants import parse_instant
from storage.schema import CREATED_AT, TIMESTAMP
from storage.source import NOWHERE, Source

Scalar = str | int | float | bool | None
_COUNT = (Metric(Analysis.COUNT),)
_PAYLOAD_SHARE = 8
"""How many times its bytes a payload takes while an answer is made of it."""
_GROUPS_KEPT = 100_000


@dataclass(frozen=True, slots=True)
class EventCounts:
    """Events in each bucket, whatever the filters, and from the last bucket's end on.

    Events are never changed in place: where both are as they were, and nothing was erased or updated, so is
    every answer.
    """

    buckets: tuple[int, ...]
    later: int


def event_counts(
    collection: str, edges: tuple[int, ...], source: Source, engine: Engine, deadline: Deadline
) -> EventCounts:
    """Counted in one scan of the events' times. Raises what ``Engine.chunks`` does."""
    counts = [0] * (len(edges) - 1)
    if counts:
        query = MetricQuery(collection, _COUNT, Span(edges[0], edges[-1]), buckets=Buckets(edges))
        plan = plan_metrics(query, Views(lambda _: source), len(counts))
        for row in _rows(plan, statements.metrics(plan), engine, deadline):
            counts[row[0]] = row[1]
    after = MetricQuery(collection, _COUNT, Span(edges[-1], None))
    plan = plan_metrics(after, Views(lambda _: source), 1)
    later = plan.counted + sum(row[0] for row in _rows(plan, statements.metrics(plan), engine, deadline))
    return EventCounts(tuple(counts), later)


def payloads(
    query: MetricQuery,
    paths: Sequence[str],
    source: Source,
    engine: Engine,
    *,
    limits: Limits,
    deadline: Deadline,
) -> Iterator[tuple[bytes, bytes]]:
    """(key, payload) of each combination of values that has events, in no order that means anything.

    ``query`` has buckets. Raises what ``Engine.chunks`` does, and QueryLimitExceeded where cells are more
    than ``limits.cells_max``, or a payload is larger than an answer may be.
    """
    views = Views(lambda _: source, extent_of=reader(engine, deadline), exact=True)
    # Rounded when they are read, by what is preferred then.
    query = replace(query, metrics=tuple(replace(metric, decimals=None) for metric in query.metrics))
    plan = plan_indexed(query, paths, views, limits.cells_max)
    rows = _rows(plan, statements.indexed(plan, len(paths)), engine, deadline)
    indexes = plan.keys[: len(paths)]
    width = sum(len(key.parts) for key in indexes)
    groups = Groups(plan, limits, deadline.check, len(paths))
    write = _PayloadWriter(plan, groups, 1 + width, limits)
    for parts, found in groupby(_bounded(rows, limits.cells_max), lambda row: row[1 : 1 + width]):
        key = _row_key(indexes, parts)
        if key is not None:
            yield key, write.payload(found)


@dataclass
class _PayloadWriter:
    """Writes the rows of one value after the other; what groups are called is the same for many."""

    plan: MetricsPlan
    groups: Groups
    first: int
    """Column at which the groups' parts begin."""
    limits: Limits
    _known: dict[Row, Members] = field(default_factory=dict)

    def payload(self, rows: Iterable[Row]) -> bytes:
        assert self.plan.query.buckets is not None
        edges = self.plan.query.buckets.edges
        width = sum(len(key.parts) for key in self.plan.keys) - (self.first - 1)
        places: dict[Row, int] = {}
        listed: list[list[Any]] = []
        starts, of_groups, results = [], [], []
        for row in rows:
            parts = row[self.first : self.first + width]
            place = places.setdefault(parts, len(listed))
            if place == len(listed):
                members, order = self._group(parts, row)
                listed.append([members.decode(), order])
            starts.append(edges[row[0]])
            of_groups.append(place)
            results.append(self.groups.results(row)[0].decode())
        text = dumps({"g": listed, "s": starts, "p": of_groups, "r": results})
        if len(text) > self.limits.response_bytes_max:
            raise QueryLimitExceeded(
                f"The results of one index value take more than {self.limits.response_bytes_max:,} bytes. "
                "Use fewer groups or intervals, or a shorter timeframe."
            )
        return text

    def _group(self, parts: Row, row: Row) -> Members:
        known = self._known.get(parts)
        if known is None:
            if len(self._known) >= _GROUPS_KEPT:
                self._known.clear()
            known = self._known[parts] = self.groups.group(row)
        return known


def _bounded(rows: Iterable[Row], limit: int) -> Iterator[Row]:
    for number, row in enumerate(rows):
        if number >= limit:
            raise QueryLimitExceeded(
                f"The dataset has more than {limit:,} results in a part of its timeframe. "
                "Index or group by properties with fewer values, or use longer intervals."
            )
        yield row


def _rows(plan: MetricsPlan, statement: Statement, engine: Engine, deadline: Deadline) -> Iterator[Row]:
    if plan.scan.empty:
        return
    deadline.check()
    tables = plan.view.tables(plan.scan)
    for chunk in engine.chunks(statement, tables, deadline.cancel, deadline.seconds, deadline.at):
        yield from chunk
        deadline.check()


# --- keys -----------------------------------------------------------------------------------------------


def key_of(paths: Sequence[str], values: Sequence[Scalar]) -> bytes:
    """The key of a combination of values, equal where the filters ``path eq value`` keep the same events."""
    return _joined(_tag(path, value) for path, value in zip(paths, values, strict=True))


def _joined(tags: Iterable[str]) -> bytes:
    return json.dumps(list(tags), separators=(",", ":")).encode()


def _tag(path: str, value: Scalar) -> str:
    """A value's kind and its one spelling."""
    if value is None:
        return "z"
    if isinstance(value, bool):
        return "t" if value else "f"
    if isinstance(value, str):
        us = parse_instant(value) if path in (TIMESTAMP, CREATED_AT) else None
        return f"s{value}" if us is None else f"i{us}"
    try:
        return _double(float(value)) if float(value) == value else f"b{value}"
    except OverflowError:
        return f"b{value}"


def _double(value: float) -> str:
    # Zero has a sign, which no filter sees.
    return f"n{value + 0.0!r}"


def _row_key(indexes: Sequence[GroupKey], parts: Row) -> bytes | None:
    """None where a value is none that a filter can name: an object, say."""
    tags = []
    position = 0
    for key in indexes:
        tag = _row_tag(key.parts, parts[position : position + len(key.parts)])
        if tag is None:
            return None
        tags.append(tag)
        position += len(key.parts)
    return _joined(tags)


def _row_tag(parts: Sequence[KeyPart], cells: Row) -> str | None:
    for part, cell in zip(parts, cells, strict=True):
        if cell is None:
            continue
        match part:
            case KeyPart.MISSING:
                return "z" if cell else None
            case KeyPart.NUMBER:
                return _double(cell)
            case KeyPart.BIG:
                return f"b{int(cell)}"
            case KeyPart.BOOLEAN:
                return "t" if cell else "f"
            case KeyPart.INSTANT:
                return f"i{instant_us(cell)}"
            case _:
                return f"s{cell}"
    return None


# --- answers --------------------------------------------------------------------------------------------


def arranged(
    query: MetricQuery,
    found: Iterable[tuple[bytes, Mapping[int, int]]],
    *,
    limits: Limits,
    check: Callable[[], None] = lambda: None,
    reservation: Reservation | None = None,
) -> bytes:
    """The JSON of an answer's ``result``, for the buckets of ``query``, from payloads of one value.

    ``found``: payloads, each with the buckets that count of it: their starts there → their positions in the
    query's. Raises QueryLimitExceeded.
    """
    assert query.buckets is not None
    groups = Groups(plan_metrics(query, Views(lambda _: NOWHERE), 1), limits, check, reservation=reservation)
    listed: list[Members] = []
    by_members: dict[bytes, int] = {}
    cells: list[dict[int, Members]] = [{} for _ in query.buckets.edges[1:]]
    for payload, wanted in found:
        check()
        if reservation is not None:
            reservation.reserve(_PAYLOAD_SHARE * len(payload))
        read = loads(payload.decode())
        named = [(members.encode(), order) for members, order in read["g"]]
        for start, position, results in zip(read["s"], read["p"], read["r"], strict=True):
            bucket = wanted.get(start)
            if bucket is None:
                continue
            members, order = named[position]
            place = by_members.setdefault(members, len(listed))
            if place == len(listed):
                listed.append((members, tuple(map(tuple, order))))
            cells[bucket][place] = groups.reread(results.encode())
    if not query.groups:
        return _plain(query, cells, groups.empty)
    places = sorted(range(len(listed)), key=lambda place: listed[place][1])
    return dumps(groups.arranged(listed, cells, places))


def _plain(query: MetricQuery, cells: Sequence[dict[int, Members]], empty: Members) -> bytes:
    """Intervals without groups: each has one value, or one object of them."""
    assert query.buckets is not None
    texts = []
    for cell, span in zip(cells, timeframes(query.buckets.edges), strict=True):
        members = cell.get(0, empty)[0]
        value = b"{" + members + b"}" if query.multi else members.partition(b":")[2]
        texts.append(b'{"value":' + value + b',"timeframe":' + dumps(span) + b"}")
    return array(texts)
