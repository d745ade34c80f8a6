"""Reference tables: small tables beside the events, which lookups join.

A table is kept by its content, as a Parquet file named by its digest, so that an earlier version stays as
long as a pipeline names it.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc

from query.transforms.fields import Fields, InvalidPipeline
from storage.disk.durable_files import make_folder, new_file
from storage.files.parquet import decode_small, encode_small

BYTES_MAX = 256 << 20
_TYPES = {
    "string": pa.string(),
    "number": pa.float64(),
    "integer": pa.int64(),
    "boolean": pa.bool_(),
    "datetime": pa.timestamp("us", "UTC"),
    "date": pa.date32(),
}


@dataclass(frozen=True, slots=True)
class Reference:
    """A version of a reference table."""

    columns: tuple[str, ...]
    rows: int
    digest: str
    """SHA-256 of the file that it was read from, and of how it was read."""

    def stored(self) -> dict[str, Any]:
        return {"columns": list(self.columns), "rows": self.rows, "digest": self.digest}

    @classmethod
    def of(cls, stored: Mapping[str, Any]) -> Reference:
        return cls(tuple(stored["columns"]), stored["rows"], stored["digest"])


@dataclass(frozen=True, slots=True)
class ReadReference:
    """A version with its rows."""

    reference: Reference
    rows: pa.Table


def read_reference(folder: Path, fields: Fields) -> ReadReference:
    """The table that a part of the file describes: CSV or Parquet. Raises InvalidPipeline."""
    path = _inside(folder, fields)
    types = dict(fields.pairs("types")) if fields.has("types") else {}
    unique = fields.texts("unique", empty=True)
    fields.raw("description")
    fields.end()
    for column, kind in types.items():
        if kind not in _TYPES:
            raise InvalidPipeline(fields.at(f"types.{column}"), f"must be one of {', '.join(_TYPES)}.")
    try:
        if path.stat().st_size > BYTES_MAX:
            raise InvalidPipeline(fields.at("file"), f"has more than {BYTES_MAX:,} bytes.")
        content = path.read_bytes()
        rows = _rows(path, content, types)
    except FileNotFoundError:
        raise InvalidPipeline(
            fields.at("file"), f"there is no '{path.name}' in the folder, or it was not sent along."
        ) from None
    except (OSError, pa.ArrowException) as error:
        raise InvalidPipeline(fields.at("file"), f"cannot be read: {error}") from None
    for name in (*types, *unique):
        if name not in rows.column_names:
            raise InvalidPipeline(fields.place, f"the file has no column '{name}'.")
    _check_unique(fields, rows, unique)
    how = json.dumps([sorted(types.items()), path.suffix])
    digest = hashlib.sha256(hashlib.sha256(content).digest() + how.encode()).hexdigest()
    return ReadReference(Reference(tuple(rows.column_names), rows.num_rows, digest), rows)


def _inside(folder: Path, fields: Fields) -> Path:
    name = fields.text("file")
    path = (folder / name).resolve()
    if not path.is_relative_to(folder.resolve()):
        raise InvalidPipeline(fields.at("file"), "must be a file of the folder.")
    return path


def _rows(path: Path, content: bytes, types: Mapping[str, str]) -> pa.Table:
    if path.suffix == ".parquet":
        return decode_small(content)
    # Imported where it is used, since it takes memory.
    from pyarrow import csv

    options = csv.ConvertOptions(
        column_types={name: _TYPES[kind] for name, kind in types.items()},
        null_values=[""],
        strings_can_be_null=True,
    )
    parsing = csv.ParseOptions(
        delimiter="\t" if path.suffix == ".tsv" else ",", newlines_in_values=b'"' in content
    )
    return csv.read_csv(pa.BufferReader(content), parse_options=parsing, convert_options=options)


def _check_unique(fields: Fields, rows: pa.Table, columns: tuple[str, ...]) -> None:
    """A key that is there twice would double the events that look it up."""
    if not columns:
        return
    counts = rows.group_by(list(columns)).aggregate([([], "count_all")])
    twice = counts.filter(pc.greater(counts.column("count_all"), 1))
    if twice.num_rows:
        shown = ", ".join(str(twice.column(name)[0].as_py()) for name in columns)
        raise InvalidPipeline(
            fields.at("unique"), f"{twice.num_rows:,} keys stand in more than one row, the first is {shown}."
        )


class ReferenceStore:
    """The versions that are kept, in a folder of the data."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def keep(self, read: ReadReference) -> None:
        """Raises OSError."""
        make_folder(self._folder)
        path = self._path(read.reference.digest)
        if not path.exists():
            with new_file(path) as file:
                file.write(encode_small(read.rows))

    def rows(self, reference: Reference) -> pa.Table:
        """Raises OSError."""
        return decode_small(self._path(reference.digest).read_bytes())

    def _path(self, digest: str) -> Path:
        return self._folder / f"{digest}.parquet"


class FolderReferences(ReferenceStore):
    """The tables of a folder that is not applied yet."""

    def __init__(self, references: Mapping[str, ReadReference]) -> None:
        self._rows = {one.reference.digest: one.rows for one in references.values()}

    def rows(self, reference: Reference) -> pa.Table:
        return self._rows[reference.digest]
