"""The events of one request on their way into the log, and the verdicts on them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from service.ingest.admission import AdmissionResult, CollectionHandle, EventRefusal
from storage.events.validation import Context

NO_CONTEXT = Context()


@dataclass(slots=True)
class BatchVerdicts:
    """The result of a submit: per collection, the number of events and those refused, by index."""

    counts: dict[str, int] = field(default_factory=dict)
    refused: dict[str, dict[int, EventRefusal]] = field(default_factory=dict)
    duplicates: int = 0
    """Events, of those not refused, that were not stored again because of their token or key."""


@dataclass(slots=True)
class CollectionBatch:
    """One collection's events of one submit; ``handle`` is set before any of them is logged."""

    name: str
    sorted: AdmissionResult
    handle: CollectionHandle | None


@dataclass(frozen=True, slots=True)
class Origin:
    """Where a submit came from, and when."""

    received_us: int
    context: Context = NO_CONTEXT
    idempotency_key: str = ""
    digest: bytes = b""
    """16-byte digest of the body; required with an idempotency key."""
    autofill: Mapping[str, Any] | None = None
    """The autofill of the request's key, which the events already contain."""
