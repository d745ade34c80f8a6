"""Autofill: what an access key writes into every event sent with it, before any other processing."""

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
    """Merge the autofill into the event: objects merge, any other value replaces the event's."""
    if not isinstance(event, dict):
        return event
    merged = dict(event)
    for name, value in autofill.items():
        current = merged.get(name)
        both_objects = isinstance(current, dict) and isinstance(value, dict)
        merged[name] = fill(current, value) if both_objects else value
    return merged


def share_of(autofill: Mapping[str, Any]) -> str:
    """A digest of the autofill, which separates its clients' tokens and idempotency keys from others'."""
    return hashlib.blake2b(json.dumps(autofill, sort_keys=True).encode(), digest_size=16).hexdigest()


def fill_event(body: bytes, autofill: Json, limit_bytes: int) -> bytes:
    """Write the autofill into one event of at most ``limit_bytes``. Raises InvalidJSON, BodyTooLarge."""
    if len(body) + len(json.dumps(autofill)) > limit_bytes:
        raise BodyTooLarge(limit_bytes)
    return _filled(body, autofill)


def fill_batch(body: bytes, autofill: Json, limit_bytes: int, limits: AdmissionLimits) -> bytes:
    """Write the autofill into each event of a bulk body; the result has at most ``limit_bytes``.

    Events are parsed one at a time. An event that is too long is left unchanged, since it is refused later
    for its length. Raises InvalidBatch and BodyTooLarge, and InvalidJSON for the whole body if any part of
    it is not JSON: an event without its autofill must not reach the code that salvages the other events.
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
        raise InvalidJSON("The request body is nested too deeply.") from None
