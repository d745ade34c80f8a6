"""What a query reads: the one thing that ``query`` knows of storage.

A source is a consistent view of one collection: immutable Parquet files and one Arrow table of what
is not in a file yet. Every acknowledged event is in exactly one of them, once.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field

import pyarrow as pa

from storage.schema import Schema

_PARTS = 5
"""Of a file's path below the data folder: events, project, collection, span, file."""


class SourceGone(Exception):
    """A file of the snapshot is not there any more, or not as it was written: take a new snapshot."""


@dataclass(frozen=True, slots=True)
class DataFile:
    """One live Parquet file. Planning needs nothing of the file itself."""

    path: str
    """Absolute."""
    rows: int
    bytes: int
    min_us: int
    """Least and greatest ``keen.timestamp``, both included, in µs since 1970 UTC."""
    max_us: int
    columns: Mapping[str, float | None]
    """Every column in the file → the greatest magnitude in it (number lanes), else None."""
    id: int = 0
    sha256: str = ""
    """Of the file's bytes, lower-case hex."""
    marked: bool = False
    """Its instants are marked as UTC (TIMESTAMPTZ); else they are without zone."""

    @property
    def name(self) -> str:
        """Its path below the data folder."""
        return "/".join(self.path.split("/")[-_PARTS:])


def believe(files: Sequence[DataFile]) -> None:
    """Takes files as they are: of sources whose files were verified otherwise."""


@dataclass(frozen=True)
class Source:
    """A snapshot of one collection, stable while it is held (files outlive the longest query)."""

    schema: Schema
    files: tuple[DataFile, ...] = ()
    tail: pa.Table | None = None
    """Events in no file yet: system columns always but NULLS and EMPTIES, lane columns where any
    event holds one. None where there are no such events."""
    tail_magnitudes: Mapping[str, float] | None = None
    """Greatest magnitude of each number column of the tail; None where it was not computed."""
    known: bool = True
    """False where the collection does not exist."""
    version: str = ""
    """Two sources of one collection with equal versions hold equal events, for one process at least."""
    collection_id: int = 0
    """Never used again: it tells a collection from another that had its name; 0 where there is none."""
    erase_version: int = 0
    """Grows when stored events are taken away or changed. With both unchanged, events have only come."""
    damaged: tuple[DataFile, ...] = ()
    """Live files that are set aside: the source lacks their events."""
    verify: Callable[[Sequence[DataFile]], None] = field(default=believe, compare=False)
    """Must be called with files before they are read. Raises SourceGone where one is not what was written."""

    def lacks(self, start_us: int | None, end_us: int | None) -> bool:
        """Whether a file that is set aside may hold events within ``[start, end)``."""
        return any(
            (start_us is None or file.max_us >= start_us) and (end_us is None or file.min_us < end_us)
            for file in self.damaged
        )


NOWHERE = Source(Schema(), known=False)
