"""What became of events that were sent."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from acumen_client.errors import EventsRefusedError


@dataclass(frozen=True, slots=True)
class Recorded:
    """One stored event: its uniqueness token, and whether it had been stored by that token before."""

    token: str | None
    duplicate: bool = False


@dataclass(frozen=True, slots=True)
class RefusedEvent:
    """An event that the server refused for good: it will never be stored as it is.

    ``index`` is its place among the events of the call, over all collections in their order.
    """

    index: int
    collection: str
    event: Mapping[str, Any]
    name: str
    description: str


@dataclass(slots=True)
class Outcome:
    """What became of the events of one call."""

    total: int = 0
    """Events that were given and have been answered."""
    duplicates: int = 0
    """Those of them that were stored before, by their uniqueness tokens."""
    refused: list[RefusedEvent] = field(default_factory=list)

    @property
    def stored(self) -> int:
        """Events that are stored, whether by this call or by one before."""
        return self.total - len(self.refused)

    @property
    def new(self) -> int:
        """Events that this call stored: without those that were there before."""
        return self.stored - self.duplicates

    def raise_for_refused(self) -> None:
        """Raise EventsRefusedError where an event was refused."""
        if self.refused:
            raise EventsRefusedError(self)
