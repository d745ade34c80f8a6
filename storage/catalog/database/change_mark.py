"""Change marks in shared memory: one number per area, which changes with every change to the area.

With them, an event loop can check that data read earlier is still current without querying the database.
A mark changes after its transaction ends and before the change is acknowledged. So data read after a mark
that has not changed since includes every acknowledged change. New marks are random numbers, so that processes
need no coordination.
"""

from __future__ import annotations

import secrets
import threading
from collections.abc import Iterable
from pathlib import Path

from storage.catalog.database.versions import Area
from storage.disk.file_system import LocalFileSystem

Marks = tuple[int, ...]
"""The marks of some areas, in the order in which they were given."""
_BYTES = 8
_BITS = 63
_PLACES = {area: place for place, area in enumerate(Area)}


class ChangeMark:
    """The change marks of one catalog file, for any number of processes. Thread-safe."""

    def __init__(self, catalog: Path) -> None:
        self._path = catalog.with_name(catalog.name + "-mark")
        self._lock = threading.Lock()
        self._words: memoryview | None = None

    def open(self) -> memoryview:
        """Map the file of marks. Raises OSError."""
        words = self._words
        if words is None:
            with self._lock:
                if self._words is None:
                    size = _BYTES * len(_PLACES)
                    self._words = memoryview(LocalFileSystem().map(self._path, size, writable=True)).cast("Q")
                words = self._words
        return words

    def read(self, areas: Iterable[Area]) -> Marks:
        """The marks of these areas; a value that has not occurred before if the file cannot be used."""
        try:
            words = self.open()
        except OSError:
            return (-1 - secrets.randbits(_BITS),)
        return tuple(words[_PLACES[area]] for area in areas)

    def change(self, areas: Iterable[Area]) -> None:
        words = self.open()
        for area in areas:
            words[_PLACES[area]] = secrets.randbits(_BITS)
