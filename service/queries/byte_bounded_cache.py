"""A cache with a limit on the total bytes of its values."""

from __future__ import annotations

import threading
from collections import OrderedDict
from collections.abc import Hashable
from typing import Generic, TypeVar

K = TypeVar("K", bound=Hashable)
V = TypeVar("V")

SHARE_MAX = 4
"""One value may take at most one part in this many of the cache; a larger one is not kept."""


class ByteBoundedCache(Generic[K, V]):
    """Keeps values up to ``bytes_max`` bytes in all, evicting the least recently used. Thread-safe."""

    def __init__(self, bytes_max: int) -> None:
        self._bytes_max = bytes_max
        self._bytes = 0
        self._kept: OrderedDict[K, tuple[V, int]] = OrderedDict()
        self._lock = threading.Lock()

    @property
    def bytes(self) -> int:
        """Size of all values in the cache."""
        return self._bytes

    def get(self, key: K) -> V | None:
        """The key's value, or None; marks it as the most recently used."""
        with self._lock:
            entry = self._kept.get(key)
            if entry is None:
                return None
            self._kept.move_to_end(key)
            return entry[0]

    def put(self, key: K, value: V, size: int) -> None:
        """Keep a value of ``size`` bytes, replacing the key's previous one."""
        with self._lock:
            self._remove(key)
            if size > self._bytes_max // SHARE_MAX:
                return
            self._kept[key] = value, size
            self._bytes += size
            while self._bytes > self._bytes_max:
                self._remove(next(iter(self._kept)))

    def drop(self, key: K) -> None:
        """Remove the key's value, if it has one."""
        with self._lock:
            self._remove(key)

    def _remove(self, key: K) -> None:
        removed = self._kept.pop(key, None)
        if removed is not None:
            self._bytes -= removed[1]
