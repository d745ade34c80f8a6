"""Who has several ids: a page of all actors, and one actor with all that was said about its ids."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import pyarrow.compute as pc

from query.answers.identities.reading import PROPERTIES, said_columns
from query.answers.pipeline import Answer, extraction_body
from query.answers.values import instant_us, number
from query.engine.runner import Runner
from query.errors import QueryLimitExceeded
from query.json_encoding import Written, dumps
from query.language.nodes import AnyOf, Condition, ExtractionQuery, Operator, Span
from query.limits import Limits
from query.plan.actors import ALIAS, ANONYMOUS, IDENTITIES, TO_NUMBER, TO_STRING, USER, Id, IdLinks, is_id
from query.plan.views import Views
from query.sql import identities as sql
from storage.instants import format_instant

STATEMENTS_MAX = 10_000
"""Statements about one actor that are told."""
Json = dict[str, Any]


def actors_page(views: Views, after: int, limit: int) -> Answer:
    """``actors``: those with several ids, texts first, each kind in order; ``next``: where others follow."""
    links = views.links()
    actors = _actors(links)
    page = actors[after : after + limit]
    following = after + limit if after + limit < len(actors) else None
    body = {"actors": [_described(links, one) for one in page], "count": len(actors), "next": following}
    return Answer(body)


def one_actor(views: Views, runner: Runner, asked: str, *, quoted: bool = False) -> Answer:
    """The actor with an id, written as text: ``ids``, and ``links``: what was said of them. The body is empty
    where nothing names the id.

    A text that spells a number is one where nothing names the text; ``quoted``: it is never one.
    """
    if not views.source(IDENTITIES).known:
        return Answer({})
    links = views.links()
    for identifier in [asked] if quoted else _readings(asked):
        ids = links.ids_of(identifier)
        told = _told(views, runner, ids)
        if told:
            for one in told:
                pair = [one.get(name) for name in (ANONYMOUS, ALIAS) if one.get(name) is not None]
                actors = {links.actor_of(end) for end in (*pair, one[USER]) if is_id(end)}
                one["conflict"] = len(actors) > 1
            return Answer({**_described(links, identifier), "links": told}, complete=not views.damaged)
    return Answer({})


def ids_of(views: Views, runner: Runner, asked: str, *, quoted: bool) -> Answer:
    """``ids``: all of the actor with an id, as of ``one_actor``. Without links an id alone is an actor, and a
    text that spells a number stands for both."""
    return Answer(_ids_meant(views, runner, asked, quoted=quoted))


def with_events(
    views: Views,
    runner: Runner,
    limits: Limits,
    asked: str,
    places: Sequence[tuple[str, Sequence[str]]],
    *,
    quoted: bool,
) -> Answer:
    """``events``: of each collection those in which one of its properties has an id of the actor; those
    without any are left out. ``places``: the collections with their properties."""
    body = _ids_meant(views, runner, asked, quoted=quoted)
    # All events of a collection are looked at, however many there are.
    unhurried = replace(limits, extraction_scan_max=sys.maxsize)
    found: Json = {}
    for collection, paths in places:
        tests = tuple(Condition(path, Operator.IN, body["ids"]) for path in paths)
        query = ExtractionQuery(collection, filters=(AnyOf(tests),))
        events = dumps(extraction_body(query, views, runner, unhurried)[0]["result"])
        if events != b"[]":
            runner.reservation.reserve(len(events))
            found[collection] = Written(events)
    return Answer({**body, "events": found}, complete=not views.damaged)


def _ids_meant(views: Views, runner: Runner, asked: str, *, quoted: bool) -> Json:
    readings = [asked] if quoted else _readings(asked)
    if views.source(IDENTITIES).known:
        links = views.links()
        for identifier in readings:
            if _told(views, runner, [identifier]):
                return _described(links, identifier)
    shown = [_shown(one) for one in readings]
    return {"id": shown[0], "ids": shown}


def _readings(asked: str) -> list[Id]:
    """What a text without quotes may mean: itself, or the number that it spells."""
    try:
        value = float(asked)
    except ValueError:
        return [asked]
    spelled = number(value)
    return [asked, value] if spelled is not None and str(spelled) == asked else [asked]


def _actors(links: IdLinks) -> list[Id]:
    found: list[Id] = []
    for name in (TO_STRING, TO_NUMBER):
        values = pc.unique(links.table.column(name)).drop_null()
        found += values.take(pc.sort_indices(values)).to_pylist()
    return found


def _described(links: IdLinks, identifier: Id) -> Json:
    actor, *others = (_shown(one) for one in links.ids_of(identifier))
    return {"id": actor, "ids": [actor, *others]}


def _shown(one: Id) -> Any:
    return one if isinstance(one, str) else number(one)


def _told(views: Views, runner: Runner, ids: list[Id]) -> list[Json]:
    """What events say of these ids, in the order in which it was first said. Raises QueryLimitExceeded."""
    view = views.view(IDENTITIES, (Span(),))
    shown = [_shown(one) for one in ids]
    named = AnyOf(tuple(Condition(name, Operator.IN, shown) for name in PROPERTIES))
    properties = said_columns(view)
    columns = [*sql.ORDER, *(column for listed in properties for column in listed)]
    scan = view.scan(columns, view.condition((named,)), Span())
    if scan.empty:
        return []
    table = runner.table(sql.said(scan, properties, STATEMENTS_MAX + 1), view.tables(scan), reads=view.rows)
    if table.num_rows > STATEMENTS_MAX:
        raise QueryLimitExceeded(
            f"More than {STATEMENTS_MAX:,} different things are said of this actor's ids."
        )
    return [_statement(row) for row in zip(*(column.to_pylist() for column in table.columns), strict=True)]


def _statement(row: tuple[Any, ...]) -> Json:
    *cells, events, _, first = row
    named = {
        name: text if text is not None else number(value)
        for name, text, value in zip(PROPERTIES, cells[::2], cells[1::2], strict=True)
        if text is not None or value is not None
    }
    return {USER: None, **named, "events": events, "first_at": format_instant(instant_us(first["by0"]))}
