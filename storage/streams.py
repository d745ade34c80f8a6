"""Where streaming out begins, and the ids of what may be new."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from dataclasses import replace

import pyarrow as pa

from storage.catalog import Catalog
from storage.catalog_records import FileRow
from storage.parquet import read_column
from storage.paths import DataFolder
from storage.schema import EVENT_ID
from storage.stream import Position, Settled, next_batch


def begin(catalog: Catalog) -> None:
    """Where streaming is on for the first time: what stands in files now was there before.

    Raises OSError, and ValueError of a file that is none.
    """
    if catalog.streams() is not None:
        return
    positions = {}
    for collection in catalog.all_collections():
        settled = catalog.settled(collection.id)
        ids = ids_after(catalog.folder, Position(), settled)
        everything = next_batch(Position(), settled, ids, "", sys.maxsize).position
        positions[collection.id] = replace(everything, number=0)
    catalog.begin_streams(positions)


def files_after(position: Position, settled: Settled) -> Iterator[FileRow]:
    """Those that may hold new events."""
    return (file for file in settled.files if file.id > position.file)


def ids_after(folder: DataFolder, position: Position, settled: Settled) -> Iterator[pa.Array]:
    """The ids in these files. Raises OSError, FileNotFoundError where one is gone since."""
    for file in files_after(position, settled):
        yield from read_column(folder.absolute(file.path), EVENT_ID)
