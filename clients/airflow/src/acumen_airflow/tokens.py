"""Which event is which when a task is tried again: uniqueness tokens that depend on nothing that a try
changes.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Iterator, Mapping
from typing import Any

Event = Mapping[str, Any]
TOKEN_LENGTH_MAX = 64


def of_position(events: Iterable[Event], *parts: Any) -> Iterator[Event]:
    """The events, each with a token of what ``parts`` say (JSON values) and of its position.

    An event that brings a token keeps it.
    """
    start = hashlib.blake2b(json.dumps(parts).encode(), digest_size=16).hexdigest()
    for position, event in enumerate(events):
        yield _with_token(event, f"{start}-{position:x}")


def of_property(events: Iterable[Event], path: str) -> Iterator[Event]:
    """The events, each with the value of its property as its token. Raises ValueError where one has none."""
    for position, event in enumerate(events):
        value = value_at(event, path)
        if value is None or isinstance(value, bool | float | list | Mapping) or value == "":
            raise ValueError(
                f"event {position} has no text or integer as '{path}' to be its token: {value!r}"
            )
        token = str(value)
        if len(token) > TOKEN_LENGTH_MAX:
            token = hashlib.blake2b(token.encode(), digest_size=32).hexdigest()
        yield _with_token(event, token)


def at_time(events: Iterable[Event], path: str) -> Iterator[Event]:
    """The events, each with the value of its property as its time; without one its own stays."""
    for event in events:
        value = value_at(event, path)
        yield event if value in (None, "") else {**event, "keen": {**_keen(event), "timestamp": value}}


def value_at(event: Event, path: str) -> Any:
    """The value of a property by its dotted path; None where the event lacks it."""
    value: Any = event
    for name in path.split("."):
        if not isinstance(value, Mapping):
            return None
        value = value.get(name)
    return value


def _keen(event: Event) -> Mapping[str, Any]:
    keen = event.get("keen")
    return keen if isinstance(keen, Mapping) else {}


def _with_token(event: Event, token: str) -> Event:
    return {**event, "keen": {"uniqueness_token": token, **_keen(event)}}
