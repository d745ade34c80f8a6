"""Numbers in shared memory that change with every change of the catalog, one for each of its areas, so that
what was read of it can be known to stand without asking the database, as on an event loop.

They are stored after each transaction, before anybody is told of it: whoever sees the number that stood
before reading sees all that was acknowledged. Each is drawn at random, so that processes need not take turns.
"""

from __future__ import annotations

import secrets
import threading
from collections.abc import Iterable
from pathlib import Path

from storage.catalog.database.versions import Area
from storage.disk.file_system import LocalFileSystem

Marks = tuple[int, ...]
"""Of some areas, in their order."""
_BYTES = 8
_BITS = 63
_PLACES = {area: place for place, area in enumerate(Area)}


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
                    size = _BYTES * len(_PLACES)
                    self._words = memoryview(LocalFileSystem().map(self._path, size, writable=True)).cast("Q")
                words = self._words
        return words

    def read(self, areas: Iterable[Area]) -> Marks:
        """Numbers that never were there before where the file can not be used."""
        try:
            words = self.open()
        except OSError:
            return (-1 - secrets.randbits(_BITS),)
        return tuple(words[_PLACES[area]] for area in areas)

    def change(self, areas: Iterable[Area]) -> None:
        words = self.open()
        for area in areas:
            words[_PLACES[area]] = secrets.randbits(_BITS)
