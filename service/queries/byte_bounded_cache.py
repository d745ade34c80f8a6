"""A cache that is bounded by the bytes of what it keeps."""

from __future__ import annotations

import threading
from collections import OrderedDict
from collections.abc import Hashable
from typing import Generic, TypeVar

K = TypeVar("K", bound=Hashable)
V = TypeVar("V")

SHARE_MAX = 4
"""One value takes at most this part of the cache; a larger one is not kept."""


class ByteBoundedCache(Generic[K, V]):
    """Keeps values up to so many bytes; the least recently used make room. Thread-safe."""

    def __init__(self, bytes_max: int) -> None:
        self._bytes_max = bytes_max
        self._bytes = 0
        self._kept: OrderedDict[K, tuple[V, int]] = OrderedDict()
        self._lock = threading.Lock()

    @property
    def bytes(self) -> int:
        """Of all that is kept."""
        return self._bytes

    def get(self, key: K) -> V | None:
        """The value, which is now the most recently used."""
        with self._lock:
            found = self._kept.get(key)
            if found is None:
                return None
            self._kept.move_to_end(key)
            return found[0]

    def put(self, key: K, value: V, size: int) -> None:
        """Keep a value of so many bytes in the place of the key's last one."""
        with self._lock:
            self._remove(key)
            if size > self._bytes_max // SHARE_MAX:
                return
            self._kept[key] = value, size
            self._bytes += size
            while self._bytes > self._bytes_max:
                self._remove(next(iter(self._kept)))

    def drop(self, key: K) -> None:
        """Forget the key's value, if it has one."""
        with self._lock:
            self._remove(key)

    def _remove(self, key: K) -> None:
        gone = self._kept.pop(key, None)
        if gone is not None:
            self._bytes -= gone[1]
