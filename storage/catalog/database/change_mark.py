"""A number in shared memory that changes with every write to the catalog, so that what was read of it can be
known to stand without asking the database, as on an event loop.

It is stored after each transaction, before anybody is told of it: whoever sees the number that stood before
reading sees all that was acknowledged. Each is drawn at random, so that processes need not take turns.
"""

from __future__ import annotations

import secrets
import threading
from pathlib import Path

from storage.disk.file_system import LocalFileSystem

_SIZE = 8
_BITS = 63


class ChangeMark:
    """Of one catalog file; any number of processes read and write. Thread-safe."""

    def __init__(self, catalog: Path) -> None:
        self._path = catalog.with_name(catalog.name + "-mark")
        self._lock = threading.Lock()
        self._words: memoryview | None = None

    def open(self) -> memoryview:
        """Raises OSError."""
        words = self._words
        if words is None:
            with self._lock:
                if self._words is None:
                    self._words = memoryview(LocalFileSystem().map(self._path, _SIZE, writable=True)).cast(
                        "Q"
                    )
                words = self._words
        return words

    def read(self) -> int:
        """A number that never was there before where the file can not be used."""
        try:
            return int(self.open()[0])
        except OSError:
            return -1 - secrets.randbits(_BITS)

    def change(self) -> None:
        self.open()[0] = secrets.randbits(_BITS)
