"""Requests the deletion of events that are past their collection's retention, or of purged projects."""

from __future__ import annotations

from collections.abc import Mapping

from storage.catalog.catalog import Catalog
from storage.catalog.stored.records import Erasure, ErasureKind

HOUR_SECONDS, DAY_SECONDS = 3_600, 86_400


class RetentionRequests:
    """Looks once an hour, and whenever the retention of a collection has changed."""

    def __init__(self, catalog: Catalog) -> None:
        self._catalog = catalog
        self._applied: tuple[Mapping[int, int], int] = ({}, -1)
        """The days that were applied last, and the hour then."""
        self._looked_at = (-1, -1)
        """The version of the data, and the hour, of the last look."""
        self._requested: dict[int, tuple[int, int]] = {}
        """Waiting deletion requests made here: id → collection and days."""

    def request(self, now: float) -> bool:
        """Request what is due, in whole UTC days; whether it was time to. ``now``: by ``HeldClock``."""
        moment = self._catalog.versions().data, int(now // HOUR_SECONDS)
        if moment == self._looked_at:
            return False
        retention = self._catalog.retention.days()
        if (retention, int(now // HOUR_SECONDS)) == self._applied:
            self._looked_at = moment
            return False
        today = int(now // DAY_SECONDS)
        waiting = {erasure.collection_id for erasure in self._catalog.erasures.waiting()}
        carried_out = self._catalog.retention.carried_out()
        for collection_id, days in retention.items():
            end_us = (today - days) * DAY_SECONDS * 1_000_000
            old = any(file.min_us < end_us for file in self._catalog.files.live(collection_id))
            # Where the setting is new, events that are in no file yet may be too old as well.
            if (old or carried_out.get(collection_id) != days) and collection_id not in waiting:
                number = self._catalog.erasures.request(collection_id, ErasureKind.EVENTS, {"end_us": end_us})
                self._requested[number] = collection_id, days
        # The deletion for a purge may have failed, or some events were in a log that could not be read then.
        for collection_id in self._catalog.collections.purged() - waiting:
            self._catalog.erasures.request(collection_id, ErasureKind.EVENTS, {})
        self._applied = (retention, int(now // HOUR_SECONDS))
        return True

    def note_carried_out(self, erasure: Erasure) -> None:
        """Remember that a request, if it was made here, was carried out."""
        if erasure.id in self._requested:
            self._catalog.retention.note_carried_out(*self._requested.pop(erasure.id))
