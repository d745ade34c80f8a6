"""SendGrid's event webhook: converts its list of events into a bulk body of one collection.

Everything that SendGrid sends is kept, except that names which no property may have are changed. SendGrid's
id of an event becomes its uniqueness token, so that a repeated delivery is stored once, and SendGrid's
timestamp becomes the time of the event.
"""

from __future__ import annotations

import hashlib
import json
from codecs import BOM_UTF8
from datetime import UTC, datetime
from typing import Any

import msgspec

from service.bodies.json_body import json_of
from service.ingest.admission import AdmissionLimits, items_of
from service.ingest.errors import InvalidBatch

COLLECTION = "sendgrid"
TOKEN_LENGTH_MAX = 64
SECONDS_MAX = 253_402_300_799
"""The end of the year 9999."""
_NO_JSON = "The request body is not valid JSON."


def batch_of(body: bytes, limits: AdmissionLimits) -> bytes:
    """Convert SendGrid's list of events into a bulk body.

    An event that is too long is left unchanged, since it is refused later for its length. Raises
    InvalidJSON, and InvalidBatch if the body is not a list of objects, or holds too many.
    """
    body = body.removeprefix(BOM_UTF8)
    if not body.lstrip(b" \t\r\n").startswith(b"["):
        raise _not_a_list() if _is_json(body) else InvalidBatch("InvalidJSONError", _NO_JSON)
    items = items_of(body, limits.batch_events_max, limits.batch_events_max)
    events = [
        bytes(item) if len(item) > limits.event_bytes_max else _converted(bytes(item)) for item in items
    ]
    return b'{"%b":[%b]}' % (COLLECTION.encode(), b",".join(events))


def _is_json(body: bytes) -> bool:
    """Whether the body is JSON; no values are built."""
    try:
        body.decode()
        msgspec.json.decode(body, type=msgspec.Raw)
    except (ValueError, RecursionError):
        return False
    return True


def _not_a_list() -> InvalidBatch:
    return InvalidBatch("InvalidBatchError", "The request body must be a list of events: [{…}, {…}].")


def _converted(item: bytes) -> bytes:
    event = json_of(item)
    if not isinstance(event, dict):
        raise _not_a_list()
    try:
        return json.dumps(_event(event)).encode()
    except (ValueError, RecursionError):
        raise InvalidBatch("InvalidJSONError", "The request body is nested too deeply.") from None


def _event(sent: dict[str, Any]) -> dict[str, Any]:
    event: dict[str, Any] = _renamed(sent)
    keen: dict[str, Any] = {}
    seconds = sent.get("timestamp")
    if isinstance(seconds, int) and not isinstance(seconds, bool) and 0 <= seconds <= SECONDS_MAX:
        keen["timestamp"] = datetime.fromtimestamp(seconds, UTC).isoformat()
    event_id = sent.get("sg_event_id")
    if isinstance(event_id, str) and event_id:
        keen["uniqueness_token"] = _token(event_id)
    if keen:
        event["keen"] = keen
    return event


def _renamed(value: Any, *, root: bool = True) -> Any:
    """The value with valid property names: ``_`` replaces dots and a leading ``$``, and precedes ``keen``."""
    if isinstance(value, list):
        return [_renamed(item, root=False) for item in value]
    if not isinstance(value, dict):
        return value
    renamed: dict[str, Any] = {}
    for name, item in value.items():
        legal = name.replace(".", "_")
        legal = "_" + legal[1:] if legal.startswith("$") else legal
        renamed["_keen" if root and legal == "keen" else legal or "_"] = _renamed(item, root=False)
    return renamed


def _token(event_id: str) -> str:
    if len(event_id) <= TOKEN_LENGTH_MAX:
        return event_id
    return hashlib.sha256(event_id.encode("utf-8", "replace")).hexdigest()[:TOKEN_LENGTH_MAX]
