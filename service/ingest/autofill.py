"""What an access key writes into every event that is sent with it, before anything else looks at it."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from typing import Any

from service.auth.access_keys import Json
from service.bodies.json_body import json_of
from service.bodies.reader import BodyTooLarge
from service.errors import InvalidJSON
from service.ingest.admission import AdmissionLimits, batches_of, items_of


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


def fill_event(body: bytes, autofill: Json, limit_bytes: int) -> bytes:
    """One event with the autofill in it, of ``limit_bytes`` at most. Raises InvalidJSON, BodyTooLarge."""
    if len(body) + len(json.dumps(autofill)) > limit_bytes:
        raise BodyTooLarge(limit_bytes)
    return _filled(body, autofill)


def fill_batch(body: bytes, autofill: Json, limit_bytes: int, limits: AdmissionLimits) -> bytes:
    """A bulk body with the autofill in each of its events, of ``limit_bytes`` at most.

    An event is filled before the next is looked at; one that is too long stays as it is, and is refused for
    that. Raises InvalidBatch; InvalidJSON for the whole of a body that is not JSON throughout: what could not
    be filled must not reach those who would save its other events. Raises BodyTooLarge.
    """
    events_max, room = limits.batch_events_max, limits.batch_events_max
    added = len(json.dumps(autofill))
    lists: list[bytes] = []
    for name, text in batches_of(body, events_max).items():
        items = items_of(text, room, events_max)
        room -= len(items)
        if len(body) + (events_max - room) * added > limit_bytes:
            raise BodyTooLarge(limit_bytes)
        events = (
            bytes(item) if len(item) > limits.event_bytes_max else _filled(bytes(item), autofill)
            for item in items
        )
        lists.append(json.dumps(name).encode() + b":[" + b",".join(events) + b"]")
    return b"{" + b",".join(lists) + b"}"


def _filled(event: bytes, autofill: Json) -> bytes:
    try:
        return json.dumps(fill(json_of(event), autofill), separators=(",", ":")).encode()
    except (ValueError, RecursionError):
        raise InvalidJSON("The request body is nested too deep.") from None
