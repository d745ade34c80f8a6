"""``Source``, the input of a query and the only interface between ``query`` and storage.

A source is a consistent view of one collection: immutable Parquet files and one Arrow table of the events
that are in no file yet. Every acknowledged event is in exactly one of them, once.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field

import pyarrow as pa

from storage.schema import Schema

_PARTS = 5
"""Parts of a file's path below the data folder: events, project, collection, span, file."""


class SourceGone(Exception):
    """A file of the snapshot was removed, or differs from what was written: take a new snapshot."""


@dataclass(frozen=True, slots=True)
class DataFile:
    """One live Parquet file, with all that planning needs, so that planning does not open the file."""

    path: str
    """Absolute path."""
    rows: int
    bytes: int
    min_us: int
    """Least and greatest ``keen.timestamp``, both included, in µs since 1970 UTC."""
    max_us: int
    columns: Mapping[str, float | None]
    """Every column in the file → the greatest magnitude in it for a number lane, else None."""
    id: int = 0
    sha256: str = ""
    """SHA-256 of the file's bytes, lower-case hex."""
    marked: bool = False
    """Whether its instants are stored as UTC (TIMESTAMPTZ); otherwise they have no zone."""

    @property
    def name(self) -> str:
        """Path below the data folder."""
        return "/".join(self.path.split("/")[-_PARTS:])


def believe(files: Sequence[DataFile]) -> None:
    """Accept files without a check, for sources whose files were verified by other means."""


@dataclass(frozen=True, slots=True)
class ErasedSpan:
    """What one erasure took from earlier versions; the times are those of its events, both included."""

    id: int
    min_us: int
    max_us: int
    events: int

    def meets(self, start_us: int | None, end_us: int | None) -> bool:
        """Whether events within ``[start, end)`` may have been among them."""
        return (start_us is None or self.max_us >= start_us) and (end_us is None or self.min_us < end_us)


@dataclass(frozen=True)
class Source:
    """A snapshot of one collection, stable while it is in use (files outlive the longest query)."""

    schema: Schema
    files: tuple[DataFile, ...] = ()
    tail: pa.Table | None = None
    """Events that are in no file yet; None where there are none. NULLS, EMPTIES and a lane's column are
    present where any event needs them, the other system columns always."""
    known: bool = True
    """False where the collection does not exist."""
    version: str = ""
    """Two sources of one collection with equal versions hold equal events, at least within one process."""
    collection_id: int = 0
    """Never reused, so it distinguishes a collection from an earlier one of the same name; 0 where there is
    no collection."""
    erase_version: int = 0
    """Grows when stored events are deleted or changed. While it and ``collection_id`` are unchanged, events
    have only been added."""
    damaged: tuple[DataFile, ...] = ()
    """Live files that are set aside as damaged: their events are missing from the source."""
    past: bool = False
    """Whether it is of an earlier version, in which events may have had other values."""
    erased: tuple[ErasedSpan, ...] = ()
    """Of an earlier version: what was erased from it since."""
    verify: Callable[[Sequence[DataFile]], None] = field(default=believe, compare=False)
    """Call it with files before they are read. Raises SourceGone if one differs from what was written."""

    def has_erased(self, start_us: int | None, end_us: int | None) -> bool:
        """Whether events within ``[start, end)`` were erased from this version since."""
        return any(one.meets(start_us, end_us) for one in self.erased)

    def lacks(self, start_us: int | None, end_us: int | None) -> bool:
        """Whether a damaged file that is set aside may hold events within ``[start, end)``."""
        return any(
            (start_us is None or file.max_us >= start_us) and (end_us is None or file.min_us < end_us)
            for file in self.damaged
        )


NOWHERE = Source(Schema(), known=False)
