"""Statements of which ids belong to one actor, as events of the collection that has them.

Events may be sent there as to any collection, and those that say nothing are stored all the same; what is
sent to the address of identities is checked first.
"""

from __future__ import annotations

from codecs import BOM_UTF8
from typing import Any

from query.language.fields import missing, wrong
from query.plan.actors import ALIAS, ANONYMOUS, IDENTITIES, USER, is_id
from service.bodies.json_body import json_of
from service.ingest.admission import AdmissionLimits, items_of

ID_LENGTH_MAX = 1_000
_NEEDS = f"a text of 1 to {ID_LENGTH_MAX:,} characters, or a number"


def checked_event(body: bytes) -> bytes | None:
    """The event in the body, or None where it is a list. Raises InvalidJSON, InvalidQuery."""
    body = body.removeprefix(BOM_UTF8)
    if body.lstrip(b" \t\r\n").startswith(b"["):
        return None
    check_statement(json_of(body))
    return body


def checked_batch(body: bytes, limits: AdmissionLimits) -> bytes:
    """A list of events as a bulk body. Raises InvalidJSON, InvalidBatch, InvalidQuery."""
    items = items_of(body.removeprefix(BOM_UTF8), limits.batch_events_max, limits.batch_events_max)
    if not items:
        raise wrong("The body", "an object with 'user_id', or a list of at least one", [])
    for number, item in enumerate(items):
        check_statement(json_of(bytes(item)), f"[{number}].")
    return b'{"%b":[%b]}' % (IDENTITIES.encode(), b",".join(map(bytes, items)))


def check_statement(event: Any, where: str = "") -> None:
    """Raises InvalidQuery, which names the field, where the event does not say that two ids are one."""
    if not isinstance(event, dict):
        raise wrong(where[:-1] or "The body", f"an object with '{ANONYMOUS}' and '{USER}'", event)
    if event.get(USER) is None:
        raise missing(f"{where}{USER}")
    given = [name for name in (ANONYMOUS, ALIAS) if event.get(name) is not None]
    if not given:
        raise missing(f"{where}{ANONYMOUS}")
    if len(given) > 1:
        raise wrong(f"{where}{ALIAS}", f"left out where '{ANONYMOUS}' is given: send two", event[ALIAS])
    for name in (given[0], USER):
        value = event[name]
        if not is_id(value) or (isinstance(value, str) and len(value) > ID_LENGTH_MAX):
            raise wrong(f"{where}{name}", _NEEDS, value)
    if event[given[0]] == event[USER]:
        raise wrong(f"{where}{given[0]}", f"another id than '{USER}'", event[USER])
