"""The start of the outgoing event stream, and the ids of events that may be new to it."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace

import pyarrow as pa

from storage.catalog.catalog import Catalog
from storage.catalog.stored.records import FileRow
from storage.catalog.stored.stream_positions import SettledFiles, StreamPosition, next_batch
from storage.errors import StorageError
from storage.files.parquet import read_column
from storage.files.verification import Verifier
from storage.paths import DataFolder
from storage.schema import EVENT_ID
from storage.source import DataFile

Verify = Callable[[Sequence[DataFile]], None]
"""Verifies files before they are read, as ``source.Source.verify`` does."""


class FilesDamaged(StorageError):
    """Files that are set aside as damaged may hold events that are still to be streamed."""

    def __init__(self, paths: Sequence[str]) -> None:
        super().__init__(f"new events cannot be read, since files are damaged: {', '.join(paths)}")


def begin(catalog: Catalog) -> None:
    """Begin streaming if it never ran before: events that are in files now count as streamed.

    Raises OSError, and the errors of ``ids_after``.
    """
    if catalog.streams.positions() is not None:
        return
    positions = {}
    verify = Verifier(catalog.folder, catalog)
    for collection in catalog.collections.all():
        settled = catalog.streams.settled(collection.id)
        ids = ids_after(catalog.folder, StreamPosition(), settled, verify)
        everything = next_batch(StreamPosition(), settled, ids, "", sys.maxsize).position
        positions[collection.id] = replace(everything, number=0)
    catalog.streams.begin(positions)


def files_after(position: StreamPosition, settled: SettledFiles) -> Iterator[FileRow]:
    """The files that may hold events after the position."""
    return (file for file in settled.files if file.id > position.file)


def refuse_damaged(files: Sequence[FileRow]) -> None:
    """Raise FilesDamaged where a file is set aside: its events, and later ones, are streamed once it is
    restored."""
    damaged = [file.path for file in files if file.damaged is not None]
    if damaged:
        raise FilesDamaged(damaged)


def ids_after(
    folder: DataFolder, position: StreamPosition, settled: SettledFiles, verify: Verify
) -> Iterator[pa.Array]:
    """The event ids in the files after the position.

    Raises OSError, FilesDamaged where a file is set aside, and SourceGone where one was removed since or is
    found to be damaged.
    """
    files = list(files_after(position, settled))
    refuse_damaged(files)
    verify([file.data_file(folder.root) for file in files])
    for file in files:
        yield from read_column(folder.absolute(file.path), EVENT_ID)
