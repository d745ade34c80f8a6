"""What a query reads: the one thing that ``query`` knows of storage.

A source is a consistent view of one collection: immutable Parquet files and one Arrow table of what
is not in a file yet. Every acknowledged event is in exactly one of them, once.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import pyarrow as pa

from storage.schema import Schema


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
    generation: int = 0
    """Grows when the collection is deleted."""
    erase_version: int = 0
    """Grows when stored events are taken away or changed. With both unchanged, events have only come."""


NOWHERE = Source(Schema(), known=False)
