"""Keeps which ids are linked: of each project, and of each key with filters that asked lately."""

from __future__ import annotations

import threading
from collections import OrderedDict
from dataclasses import dataclass

import pyarrow as pa

from query.plan.actors import IdLinks

KEPT_BYTES_MAX = 64 << 20
"""Bytes of tables that are kept beside the one read last."""
Key = tuple[int, str]
"""A collection's id, and the filters of a key."""


@dataclass(frozen=True, slots=True)
class KeptLinks:
    """The links as of some events, and what is needed to add those of later events."""

    links: IdLinks
    users: pa.Table
    """All ids that were a user: a column of texts and one of numbers."""
    erase_version: int
    rows: int
    """The events they were read from …"""
    last_us: int | None
    """… and when the last one of these arrived."""

    @property
    def bytes(self) -> int:
        return int(self.links.table.nbytes + self.users.nbytes)


class LinksCache:
    """The links that one engine has read. Thread-safe."""

    def __init__(self, bytes_max: int = KEPT_BYTES_MAX) -> None:
        self._lock = threading.Lock()
        self._bytes_max = bytes_max
        self._kept: OrderedDict[Key, KeptLinks] = OrderedDict()

    def find(self, key: Key) -> KeptLinks | None:
        with self._lock:
            kept = self._kept.get(key)
            if kept is not None:
                self._kept.move_to_end(key)
            return kept

    def keep(self, key: Key, kept: KeptLinks) -> None:
        with self._lock:
            self._kept[key] = kept
            self._kept.move_to_end(key)
            while len(self._kept) > 1 and sum(one.bytes for one in self._kept.values()) > self._bytes_max:
                self._kept.popitem(last=False)
