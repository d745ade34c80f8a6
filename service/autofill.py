"""What an access key writes into every event that is sent with it, before anything else looks at it."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from typing import Any

from service.access_keys import Json
from service.bodies import BodyTooLarge
from service.errors import InvalidJSON
from service.wire import json_of


def fill(event: Any, autofill: Json) -> Any:
    """The event with the autofill in it, which wins: objects merge, all else is replaced."""
    if not isinstance(event, dict):
        return event
    merged = dict(event)
    for name, value in autofill.items():
        mine = merged.get(name)
        both = isinstance(mine, dict) and isinstance(value, dict)
        merged[name] = fill(mine, value) if both else value
    return merged


def share_of(autofill: Mapping[str, Any]) -> str:
    """A name of those whose events it marks: they know nothing of other clients, nor of their idempotency
    keys."""
    return hashlib.blake2b(json.dumps(autofill, sort_keys=True).encode(), digest_size=16).hexdigest()


def fill_body(body: bytes, autofill: Json, limit_bytes: int, *, single: bool) -> bytes:
    """The body of a write with the autofill in each of its events, of ``limit_bytes`` at most.

    Raises InvalidJSON for the whole of a body that is not JSON throughout: what could not be filled must not
    reach those who would save its other events. Raises BodyTooLarge.
    """
    value = json_of(body)
    if len(body) + _count(value, single=single) * len(json.dumps(autofill)) > limit_bytes:
        raise BodyTooLarge(limit_bytes)
    if single:
        value = fill(value, autofill)
    elif isinstance(value, dict):
        value = {
            name: [fill(event, autofill) for event in events] if isinstance(events, list) else events
            for name, events in value.items()
        }
    try:
        return json.dumps(value, separators=(",", ":")).encode()
    except (ValueError, RecursionError):
        raise InvalidJSON("The request body is nested too deep.") from None


def _count(value: Any, *, single: bool) -> int:
    """The events of a body."""
    if single or not isinstance(value, dict):
        return 1
    return sum(len(events) for events in value.values() if isinstance(events, list))
