"""Tables written as events: ``record_frame``."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from acumen_client._progress import progress_for
from acumen_client.batching import BatchLimits
from acumen_client.frames import events_of_frame
from acumen_client.outcome import Outcome
from acumen_client.query import Zone
from acumen_client.recording import AsyncRecording, Recording


class FrameRecording(Recording):
    """The part of ``Acumen`` that records tables."""

    def record_frame(
        self,
        collection: str,
        frame: Any,
        *,
        timestamp: str | None = None,
        unique: str | None = None,
        tz: Zone = "UTC",
        limits: BatchLimits | None = None,
        raise_refused: bool = True,
        progress: bool | None = None,
    ) -> Outcome:
        """Record each row of a pandas, Polars or Arrow table (or stream of one) as an event.

        Null, NaN and NaT are absent; a column ``user.id`` is the property ``id`` of an object ``user``.
        ``timestamp`` names the column that says when it happened, ``unique`` one that tells rows apart (an
        order's number, say), so that what is sent again is stored once. Times without a zone are of ``tz``.
        For the rest see ``record_many``. Raises FrameError where the columns cannot be events.
        """
        events = _events(collection, frame, timestamp, unique, tz, progress)
        return self.record_many(collection, events, limits=limits, raise_refused=raise_refused)


class AsyncFrameRecording(AsyncRecording):
    """The part of ``AsyncAcumen`` that records tables."""

    async def record_frame(
        self,
        collection: str,
        frame: Any,
        *,
        timestamp: str | None = None,
        unique: str | None = None,
        tz: Zone = "UTC",
        limits: BatchLimits | None = None,
        raise_refused: bool = True,
        progress: bool | None = None,
    ) -> Outcome:
        """As ``Acumen.record_frame``."""
        events = _events(collection, frame, timestamp, unique, tz, progress)
        return await self.record_many(collection, events, limits=limits, raise_refused=raise_refused)


def _events(
    collection: str,
    frame: Any,
    timestamp: str | None,
    unique: str | None,
    tz: Zone,
    progress: bool | None,
) -> Iterator[dict[str, Any]]:
    lists = events_of_frame(frame, timestamp=timestamp, unique=unique, tz=tz)
    total = getattr(frame, "num_rows", None) if not hasattr(frame, "__len__") else len(frame)
    return _watched(lists, collection, total, progress)


def _watched(
    lists: Iterator[list[dict[str, Any]]], title: str, total: int | None, progress: bool | None
) -> Iterator[dict[str, Any]]:
    bar, done = progress_for(title, progress), 0
    try:
        for events in lists:
            yield from events
            done += len(events)
            bar.update(done, total)
    finally:
        bar.close()
