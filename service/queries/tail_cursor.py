"""Cursors of live tails: a position among all that arrives, sealed, as text for ``Last-Event-ID``.

A position counts the events of all projects of the server, so only the server can read it.
"""

from __future__ import annotations

import base64
import binascii
import os
from collections.abc import Iterator
from struct import Struct, error

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from query.language.nodes import AnyOf, Condition, Filter, Operator
from storage.catalog.keyring import Keyring
from storage.catalog.stored.stream_positions import event_id
from storage.instants import MAX_INSTANT_US, MIN_INSTANT_US, format_instant
from storage.log.format import CLAIMED_BIT
from storage.read.arrivals import ArrivalPosition
from storage.schema import CREATED_AT, EVENT_ID

CURSOR_LENGTH_MAX = 65_536
_VERSION = 1
_HEAD = Struct("<BqQ")
_ENTRY = Struct("<I?Q")
_NONCE_SIZE = 12


class UnknownCursor(Exception):
    """The text is no cursor that this server gave for this project, or one of another version of it."""


class TailCursors:
    """Writes and reads cursors."""

    def __init__(self, keyring: Keyring) -> None:
        self._keyring = keyring
        self._seal: AESGCM | None = None

    def written(self, position: ArrivalPosition, project_id: str) -> str:
        parts = [_HEAD.pack(_VERSION, position.since_us, position.file)]
        for (log_id, claimed), last in position.lasts.items():
            parts.append(_ENTRY.pack(log_id, claimed, last + 1))
        nonce = os.urandom(_NONCE_SIZE)
        sealed = nonce + self._key().encrypt(nonce, b"".join(parts), project_id.encode())
        return base64.urlsafe_b64encode(sealed).rstrip(b"=").decode()

    def read(self, text: str, project_id: str) -> ArrivalPosition:
        """Raises UnknownCursor."""
        try:
            sealed = base64.b64decode(text + "=" * (-len(text) % 4), altchars=b"-_", validate=True)
            plain = self._key().decrypt(sealed[:_NONCE_SIZE], sealed[_NONCE_SIZE:], project_id.encode())
            version, since_us, file = _HEAD.unpack_from(plain)
            if version != _VERSION:
                raise UnknownCursor
            entries = _ENTRY.iter_unpack(plain[_HEAD.size :])
            lasts = {(log_id, claimed): number - 1 for log_id, claimed, number in entries}
        except (ValueError, binascii.Error, InvalidTag, error):
            raise UnknownCursor from None
        return ArrivalPosition(since_us, file, lasts)

    def _key(self) -> AESGCM:
        if self._seal is None:
            self._seal = AESGCM(self._keyring.derived("tail cursors"))
        return self._seal


def filters_after(position: ArrivalPosition) -> Iterator[Filter]:
    """Filters, all of which hold for exactly the events after the position."""
    since_us = min(max(position.since_us, MIN_INSTANT_US), MAX_INSTANT_US)
    late = Condition(CREATED_AT, Operator.GTE, format_instant(since_us))
    before: tuple[Condition, ...] = ()
    for (log_id, claimed), last in sorted(position.lasts.items()):
        base = CLAIMED_BIT if claimed else 0
        first = event_id(log_id, base)
        # Between the series with an entry, the time of arrival decides.
        yield AnyOf((late, *before, Condition(EVENT_ID, Operator.GTE, first)))
        if last >= base:
            seen = Condition(EVENT_ID, Operator.GT, event_id(log_id, last))
            yield AnyOf((Condition(EVENT_ID, Operator.LT, first), seen))
        before = (Condition(EVENT_ID, Operator.LTE, event_id(log_id, base + CLAIMED_BIT - 1)),)
    yield AnyOf((late, *before)) if before else late
