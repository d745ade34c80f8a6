"""A digest of derived rows: the same for the same rows, whatever their order."""

from __future__ import annotations

import hashlib
from typing import Any

import pyarrow as pa

from storage.files.derived_buckets import DerivedRows
from storage.schema import TIMESTAMP


def content_of(rows: DerivedRows) -> str:
    """The digest, in hex."""
    # Imported where it is used, since it takes memory.
    from pyarrow import csv

    columns: dict[str, Any] = {TIMESTAMP: rows.times}
    for (path, kind), values in sorted(rows.lanes.items(), key=lambda one: (one[0][0], one[0][1].value)):
        columns[f"{path}\0{kind.value}"] = values
    table = pa.table(columns)
    table = table.sort_by([(name, "ascending") for name in table.column_names])
    into = _Digest()
    csv.write_csv(table, pa.PythonFile(into, mode="w"))
    return into.digest.hexdigest()


class _Digest:
    """A file that only knows the digest of what is written to it."""

    closed = False

    def __init__(self) -> None:
        self.digest = hashlib.sha256()

    def write(self, data: Any) -> int:
        view = memoryview(data)
        self.digest.update(view)
        return view.nbytes

    def flush(self) -> None:
        return

    def close(self) -> None:
        return
