"""Removing properties that no event has any more from a collection's schema.

A lane stays while a live file or a chunk has its column, or while an event holds its path as an explicit
null. Events that are in no chunk yet are not considered: when one that was logged before its lanes were
removed is read, the reader adds the lanes again (``Schema.pruned``).
"""

from __future__ import annotations

import logging
from collections.abc import Iterable, Iterator, Sequence, Set
from itertools import chain

import pyarrow as pa
import pyarrow.compute as pc

from storage.catalog.stored.records import FileRow
from storage.files.parquet import read_column
from storage.paths import DataFolder
from storage.schema import NULLS, Schema, with_prefixes

logger = logging.getLogger("acumen.keeper")


def columns_of(tables: Iterable[pa.Table]) -> set[str]:
    return {name for table in tables for name in table.column_names}


def nulls_in(
    folder: DataFolder, schema: Schema, files: Sequence[FileRow], tables: Sequence[pa.Table] = ()
) -> set[str]:
    """The paths that some event holds as an explicit null, among those whose lanes would be removed if none
    did.

    The files and tables must be all those of the collection.
    """
    columns = columns_of(tables).union(*(file.columns for file in files))
    removable, _ = schema.unheld(columns, frozenset())
    paths = with_prefixes(lane.path for lane in removable)
    return _found(paths, chain(_in_tables(tables), _in_files(folder, files))) if paths else set()


def _in_tables(tables: Iterable[pa.Table]) -> Iterator[Iterable[pa.Array]]:
    for table in tables:
        if NULLS in table.column_names:
            yield table.column(NULLS).chunks


def _in_files(folder: DataFolder, files: Iterable[FileRow]) -> Iterator[Iterable[pa.Array]]:
    for file in files:
        if NULLS in file.columns:
            yield read_column(folder.absolute(file.path), NULLS)


def _found(paths: Set[str], sources: Iterable[Iterable[pa.Array]]) -> set[str]:
    """Those of ``paths`` that occur in a list of nulls, or all of them where a file cannot be read, so
    that they stay. Reading stops once all are found."""
    found: set[str] = set()
    try:
        for source in sources:
            for lists in source:
                found |= paths & set(pc.unique(pc.list_flatten(lists)).to_pylist())
                if len(found) == len(paths):
                    return found
    except (OSError, pa.ArrowException) as error:
        logger.warning("properties that no event may hold are kept: %s", error)
        return set(paths)
    return found
