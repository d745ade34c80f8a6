"""Precomputed answers: the same query for every value of some properties, bucket by bucket.

A dataset is a query with an interval, and up to three *index* properties. ``payloads`` yields one *payload*
for each combination of their values: the complete answer of the query with the filters ``property eq value``,
in the buckets of its interval. ``arranged`` builds the answer for some of the buckets from payloads.

A payload is JSON, ``{"g": [[members, order], ...], "s": [start, ...], "p": [group, ...], "r": [members,
...]}``: ``g`` are the groups that occur, and for every bucket and group with events ``s`` is the bucket's
start (µs), ``p`` the group's position in ``g`` and ``r`` the results as members of a JSON object.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Generator, Iterable, Iterator, Mapping, Sequence
from contextlib import closing
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
"""Memory that a payload takes while an answer is built from it, as a multiple of its bytes."""
_GROUPS_KEPT = 100_000


@dataclass(frozen=True, slots=True)
class EventCounts:
    """The number of events, regardless of filters, in each bucket and after the last bucket.

    Events are never changed in place: where both are unchanged, and nothing was erased or updated, every
    answer is unchanged.
    """

    buckets: tuple[int, ...]
    later: int


def event_counts(
    collection: str, edges: tuple[int, ...], source: Source, engine: Engine, deadline: Deadline
) -> EventCounts:
    """Counts the events in one scan of their times. Raises what ``Engine.chunks`` raises."""
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
) -> Generator[tuple[bytes, bytes]]:
    """Yields (key, payload) for each combination of values that has events, in arbitrary order. To be closed
    by whoever may stop before the last.

    ``query`` has buckets. Raises what ``Engine.chunks`` raises, and QueryLimitExceeded where there are more
    than ``limits.cells_max`` cells, or a payload exceeds the limit on an answer's bytes.
    """
    views = Views(lambda _: source, extent_of=reader(engine, deadline), exact=True)
    # Results are stored unrounded, and rounded by the preferences that apply when they are read.
    query = replace(query, metrics=tuple(replace(metric, decimals=None) for metric in query.metrics))
    plan = plan_indexed(query, paths, views, limits.cells_max)
    run = _rows(plan, statements.indexed(plan, len(paths)), engine, deadline)
    indexes = plan.keys[: len(paths)]
    width = sum(len(key.parts) for key in indexes)
    groups = Groups(plan, limits, deadline.check, len(paths))
    write = _PayloadWriter(plan, groups, 1 + width, limits)
    with closing(run) as rows:
        for parts, value_rows in groupby(_bounded(rows, limits.cells_max), lambda row: row[1 : 1 + width]):
            key = _row_key(indexes, parts)
            if key is not None:
                yield key, write.payload(value_rows)


@dataclass
class _PayloadWriter:
    """Encodes the payloads of successive values; encoded groups are cached, since values share them."""

    plan: MetricsPlan
    groups: Groups
    first: int
    """Index of the column at which the groups' parts begin."""
    limits: Limits
    _known: dict[Row, Members] = field(default_factory=dict)

    def payload(self, rows: Iterable[Row]) -> bytes:
        assert self.plan.query.buckets is not None
        edges = self.plan.query.buckets.edges
        width = sum(len(key.parts) for key in self.plan.keys) - (self.first - 1)
        places: dict[Row, int] = {}
        group_list: list[list[Any]] = []
        starts, of_groups, results = [], [], []
        for row in rows:
            parts = row[self.first : self.first + width]
            place = places.setdefault(parts, len(group_list))
            if place == len(group_list):
                members, order = self._group(parts, row)
                group_list.append([members.decode(), order])
            starts.append(edges[row[0]])
            of_groups.append(place)
            results.append(self.groups.results(row)[0].decode())
        text = dumps({"g": group_list, "s": starts, "p": of_groups, "r": results})
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


def _rows(plan: MetricsPlan, statement: Statement, engine: Engine, deadline: Deadline) -> Generator[Row]:
    if plan.scan.empty:
        return
    deadline.check()
    tables = plan.view.tables(plan.scan)
    run = engine.chunks(statement, tables, deadline.cancel, deadline.seconds, deadline.at)
    with closing(run) as chunks:
        for chunk in chunks:
            yield from chunk
            deadline.check()


# --- keys -----------------------------------------------------------------------------------------------


def key_of(paths: Sequence[str], values: Sequence[Scalar]) -> bytes:
    """The key of a combination of values, equal where the filters ``path eq value`` keep the same events."""
    return _joined(_tag(path, value) for path, value in zip(paths, values, strict=True))


def _joined(tags: Iterable[str]) -> bytes:
    return json.dumps(list(tags), separators=(",", ":")).encode()


def _tag(path: str, value: Scalar) -> str:
    """A letter for the value's kind, and the canonical text of the value."""
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
    # Adding 0.0 removes the sign of zero, which filters ignore.
    return f"n{value + 0.0!r}"


def _row_key(indexes: Sequence[GroupKey], parts: Row) -> bytes | None:
    """The key of a row; None where a value cannot be given in a filter, such as an object."""
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

    ``found``: payloads, each with a mapping of the buckets to use, from their starts in the payload to their
    positions in the query. Raises QueryLimitExceeded.
    """
    assert query.buckets is not None
    groups = Groups(plan_metrics(query, Views(lambda _: NOWHERE), 1), limits, check, reservation=reservation)
    group_list: list[Members] = []
    by_members: dict[bytes, int] = {}
    cells: list[dict[int, Members]] = [{} for _ in query.buckets.edges[1:]]
    for payload, bucket_of in found:
        check()
        if reservation is not None:
            reservation.reserve(_PAYLOAD_SHARE * len(payload))
        content = loads(payload.decode())
        named = [(members.encode(), order) for members, order in content["g"]]
        for start, position, results in zip(content["s"], content["p"], content["r"], strict=True):
            bucket = bucket_of.get(start)
            if bucket is None:
                continue
            members, order = named[position]
            place = by_members.setdefault(members, len(group_list))
            if place == len(group_list):
                group_list.append((members, tuple(map(tuple, order))))
            cells[bucket][place] = groups.reread(results.encode())
    if not query.groups:
        return _plain(query, cells, groups.empty)
    places = sorted(range(len(group_list)), key=lambda place: group_list[place][1])
    return dumps(groups.arranged(group_list, cells, places))


def _plain(query: MetricQuery, cells: Sequence[dict[int, Members]], empty: Members) -> bytes:
    """Encodes intervals without groups: each has one value, or one object of values."""
    assert query.buckets is not None
    texts = []
    for cell, span in zip(cells, timeframes(query.buckets.edges), strict=True):
        members = cell.get(0, empty)[0]
        value = b"{" + members + b"}" if query.multi else members.partition(b":")[2]
        texts.append(b'{"value":' + value + b',"timeframe":' + dumps(span) + b"}")
    return array(texts)
