"""Actors with several ids: ``client.identities``."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

from acumen_client._calls import MASTER, READ, AsyncPart, Call, Part, awaited, blocking, in_project, nothing

Id = str | int | float
Json = dict[str, Any]
COLLECTION = "acumen.identities"
"""The collection whose events say which ids are one actor."""


@dataclass(frozen=True, slots=True)
class Actor:
    """An actor with several ids."""

    id: Id
    """The one that stands for the actor."""
    ids: tuple[Id, ...]
    links: tuple[Mapping[str, Any], ...] = ()
    """What was said of its ids; ``conflict``: two ids that are of different actors all the same."""
    raw: Json = field(default_factory=dict, repr=False)

    @classmethod
    def read(cls, sent: Json) -> Actor:
        return cls(sent["id"], tuple(sent["ids"]), tuple(sent.get("links", ())), sent)


def link(anonymous_id: Id, user_id: Id, **properties: Any) -> Json:
    """The event that says that an anonymous id belongs to a user."""
    return {**properties, "anonymous_id": anonymous_id, "user_id": user_id}


def alias(other: Id, user_id: Id, **properties: Any) -> Json:
    """The event that says that two users are one, for whom ``user_id`` stands."""
    return {**properties, "alias": other, "user_id": user_id}


def _written(one: Id) -> str:
    """An id as it stands in an address: texts in quotes, so that none is read as a number."""
    number = int(one) if isinstance(one, float) and one.is_integer() else one
    return json.dumps(number, ensure_ascii=False)


def _page(after: int = 0, limit: int = 100) -> Call[list[Actor]]:
    """Actors with several ids: as many as ``limit``, without the first ``after``."""
    params = {"after": after, "limit": limit}
    return Call(
        "GET",
        in_project("identities"),
        lambda answer: [Actor.read(one) for one in answer.json()["actors"]],
        {**READ, "params": params},
    )


def _get(one: Id) -> Call[Actor]:
    """The actor with an id, by any of its ids. NotFoundError where nothing names it."""
    return Call(
        "GET", in_project("identities", _written(one)), lambda answer: Actor.read(answer.json()), READ
    )


def _revoke(user_id: Id, *, anonymous_id: Id | None = None, alias: Id | None = None) -> Call[None]:
    """Delete all events that say that these two ids are one."""
    given = {"user_id": user_id, "anonymous_id": anonymous_id, "alias": alias}
    params = {name: _written(one) for name, one in given.items() if one is not None}
    return Call("DELETE", in_project("identities"), nothing, {**MASTER, "params": params})


def _export(one: Id, *properties: str) -> Call[dict[str, list[Json]]]:
    """All events of an actor, by collection: those with one of its ids in one of these properties; without
    any, in the one that the project prefers."""
    path = in_project("identities", _written(one), "events")
    return Call("GET", path, lambda answer: answer.json()["events"], {**READ, **_of(properties)})


def _erase(one: Id, *properties: str) -> Call[dict[str, int]]:
    """Delete all events of an actor, as ``export`` finds them, and what was said of its ids; how many, by
    collection. Where it fails midway, the same call completes it."""
    path = in_project("identities", _written(one), "events")
    return Call("DELETE", path, lambda answer: answer.json()["deleted_events"], {**MASTER, **_of(properties)})


def _of(properties: Iterable[str]) -> Json:
    listed = list(properties)
    return {"params": {"actor_property": listed}} if listed else {}


class Identities(Part):
    """``client.identities``."""

    page = blocking(_page)
    get = blocking(_get)
    revoke = blocking(_revoke)
    export = blocking(_export)
    erase = blocking(_erase)

    def all(self) -> Iterator[Actor]:
        """All actors with several ids."""
        after = 0
        while found := self.page(after):
            yield from found
            after += len(found)


class AsyncIdentities(AsyncPart):
    """As ``Identities``."""

    page = awaited(_page)
    get = awaited(_get)
    revoke = awaited(_revoke)
    export = awaited(_export)
    erase = awaited(_erase)
