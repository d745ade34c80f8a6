"""What keeps the partial answers of files, as the engine sees it."""

from __future__ import annotations

from typing import Protocol

import pyarrow as pa

from storage.source import DataFile

MergedPartials = tuple[frozenset[tuple[str, int]], pa.Table]
"""The keys of several partials, each with a number that tells its use apart, and all of them in one table."""


FilePlace = tuple[str, str, tuple[int, ...] | None]
"""What is wanted of a file, the file's path, and the buckets that it is cut into."""


class PartialStore(Protocol):
    """Partial answers by file and key. Thread-safe; what is kept may vanish at any time."""

    def may_keep(self, file: DataFile) -> bool:
        """Whether partials of this file are worth keeping: small files are soon merged into others."""
        ...

    def find(self, file: DataFile, key: str) -> pa.Table | None:
        """What was kept, complete and undamaged."""
        ...

    def find_key(self, place: FilePlace) -> str | None:
        """The key that was computed for what is wanted of a file."""
        ...

    def keep_key(self, place: FilePlace, key: str) -> None: ...

    def note_reused(self, partials: int) -> None:
        """Count that a question reused so many."""
        ...

    def holds(self, file: DataFile, key: str) -> bool:
        """Whether this partial is kept, by whichever process."""
        ...

    def is_refused(self, file: DataFile, key: str) -> bool:
        """Whether this partial was found to be too large to be kept, or none can be kept now."""
        ...

    def refuse(self, file: DataFile, key: str) -> None: ...

    def keep(self, file: DataFile, key: str, table: pa.Table, seconds: float) -> bool:
        """Keep a partial that took so long to compute, if it can be written. False where it is too large."""
        ...

    def find_merged(self, name: str) -> MergedPartials | None:
        """The partials merged last under this name, which are in memory only."""
        ...

    def keep_merged(self, name: str, merged: MergedPartials) -> None:
        """Keep them, or refuse the name where they are too large."""
        ...

    def may_merge(self, name: str) -> bool:
        """Whether nothing of this name was refused."""
        ...

    def refuse_merged(self, name: str) -> None: ...
