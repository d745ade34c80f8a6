"""Which ids are one actor, statement by statement. Slow and obvious."""

from __future__ import annotations

from typing import Any

from query.plan.actors import ALIAS, ANONYMOUS, USER, is_id
from tests.query.support_source import Event


class People:
    """What the events of the collection of identities say, in the order of their arrival."""

    def __init__(self, events: list[Event]) -> None:
        self._person_of: dict[Any, list[Any]] = {}
        """Each id's person: all ids of it, the one that stands for it first."""
        self._given: set[Any] = set()
        self._users: set[Any] = set()
        for event in sorted(events, key=_arrival):
            user = event.get(USER)
            if not is_id(user):
                continue
            if is_id(event.get(ANONYMOUS)) and event[ANONYMOUS] != user:
                self._link(event[ANONYMOUS], user)
            if is_id(event.get(ALIAS)) and event[ALIAS] != user:
                self._alias(event[ALIAS], user)

    def _link(self, one: Any, user: Any) -> None:
        is_free = one not in self._given and one not in self._users
        self._users.add(user)
        if is_free:
            self._merge(one, user)

    def _alias(self, other: Any, user: Any) -> None:
        self._merge(other, user)
        self._users.add(user)

    def _merge(self, one: Any, user: Any) -> None:
        person, other = self._of(user), self._of(one)
        if person is other:
            return
        self._given.add(other[0])
        person += other
        for member in other:
            self._person_of[member] = person

    def _of(self, one: Any) -> list[Any]:
        return self._person_of.setdefault(one, [one])

    def actor(self, one: Any) -> Any:
        """The id that stands for the actor."""
        if isinstance(one, list):
            return [self.actor(element) for element in one]
        return self._of(one)[0] if is_id(one) else one


def _arrival(event: Event) -> tuple[str, str, str]:
    keen = event["keen"]
    return keen["created_at"], keen["timestamp"], keen["id"]
