"""Removes collections whose events were all deleted long ago."""

from __future__ import annotations

import time
from collections.abc import Callable, Container

from storage.catalog.catalog import Catalog
from storage.keeper.log_follower import LogFollower

FREED_SECONDS = 3_600.0
"""A collection without events is removed after this time. No worker uses a cached copy of it then, since
workers log no event by a cache entry older than ``OUTDATED_SECONDS`` of their collection cache."""
COLLECTIONS_AT_ONCE = 500
"""Most collections that are removed after one look."""


class FreedCollections:
    """Looks once a minute. ``removed`` is called with each collection that is removed."""

    def __init__(self, catalog: Catalog, logs: LogFollower, removed: Callable[[int], None]) -> None:
        self._catalog = catalog
        self._logs = logs
        self._removed = removed
        self._minute = -1
        self._since: dict[int, float] = {}
        """Collections without events → when this process first saw them so, by the monotonic clock."""
        self._next: tuple[list[int], dict[int, int]] = ([], {})
        """Collections to remove next, and the LSN up to which each log must be read before."""

    def step(self, now: float, in_chunks: Container[int]) -> None:
        """Remove the collections that are due, but for those with events ``in_chunks``.

        Events that workers may have logged since are read first, since they keep a collection.
        """
        minute = int(now // 60)
        if minute == self._minute:
            return
        self._minute = minute
        ids, targets = self._next
        if not self._logs.is_past(targets):
            return
        for collection_id in ids:
            if collection_id not in in_chunks and self._catalog.collections.remove_freed(collection_id):
                self._removed(collection_id)
        # The monotonic clock cannot be set, and like the workers it stops while the machine sleeps.
        elapsed = time.monotonic()
        freed = self._catalog.collections.freed()
        self._since = {number: self._since.get(number, elapsed) for number in freed}
        due = [number for number, since in self._since.items() if elapsed - since >= FREED_SECONDS]
        self._next = due[:COLLECTIONS_AT_ONCE], self._logs.synced()
