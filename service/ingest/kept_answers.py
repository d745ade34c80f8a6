"""The part of a bulk answer kept with an idempotency key: which events were refused, and under which name.

One byte per event, compressed, and nothing that the client sent. The rest of the answer is rebuilt from the
repeated request, which has the same body.
"""

from __future__ import annotations

import zlib
from collections.abc import Iterable, Sequence
from typing import Protocol

import msgspec

from service.ingest.admission import PERMANENT, AdmissionResult, EventRefusal

NAMES = sorted(PERMANENT)
FORMAT = b"\1"
REPEATED = "The event was refused when this request was first received."


class CollectionVerdict(Protocol):
    """One collection's events of a request."""

    @property
    def name(self) -> str: ...
    @property
    def sorted(self) -> AdmissionResult: ...


class _UnversionedAnswers(msgspec.Struct):
    """The form of answers stored before FORMAT existed: the whole answer as JSON."""

    refused: dict[str, dict[int, EventRefusal]]


def packed(shares: Sequence[CollectionVerdict]) -> bytes:
    """Encode the refusals of these shares for storage."""
    codes = bytearray(sum(share.sorted.count for share in shares))
    start = 0
    for share in shares:
        for index, refusal in share.sorted.refused.items():
            codes[start + index] = NAMES.index(refusal.for_bulk().name) + 1
        start += share.sorted.count
    return FORMAT + zlib.compress(bytes(codes)) if any(codes) else FORMAT


def refused(kept: bytes, shares: Iterable[CollectionVerdict]) -> dict[str, dict[int, EventRefusal]]:
    """Decode the refusals of the first answer, given the shares of the repeated request."""
    if not kept.startswith(FORMAT):
        return msgspec.json.decode(kept, type=_UnversionedAnswers).refused
    codes = zlib.decompress(kept[1:]) if len(kept) > 1 else b""
    refusals: dict[str, dict[int, EventRefusal]] = {}
    start = 0
    for share in shares:
        end = start + share.sorted.count
        share_codes = {index: code for index, code in enumerate(codes[start:end]) if code}
        if share_codes:
            refusals[share.name] = {
                index: _refusal(share, index, NAMES[code - 1]) for index, code in share_codes.items()
            }
        start = end
    return refusals


def _refusal(share: CollectionVerdict, index: int, name: str) -> EventRefusal:
    now = share.sorted.refused.get(index)
    if now is not None and now.for_bulk().name == name:
        return now.for_bulk()
    return EventRefusal(name, REPEATED)
