"""Events out of files: JSON lines, CSV and Parquet, a part at a time."""

from __future__ import annotations

import csv
import gzip
import io
import json
import re
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import IO, Any, Literal

Event = dict[str, Any]
Kind = Literal["number", "boolean", "text", "json"]
LINES = (".ndjson", ".jsonl", ".json")
PARQUET_ROWS = 5_000
_NUMBER = re.compile(r"-?(0|[1-9][0-9]*)(\.[0-9]+)?([eE][+-]?[0-9]{1,3})?")
_BOOLEAN = re.compile(r"true|false", re.IGNORECASE)


def events_of_file(file: str, types: Mapping[str, Kind] | None = None) -> Iterator[Event]:
    """The events of a local file, or of one that an address of Airflow's object storage names.

    ``types``: of columns of CSV. Raises ValueError for what cannot be read, naming the line.
    """
    name = file.removesuffix(".gz")
    suffix = Path(name).suffix.lower()
    if suffix in LINES:
        return _lines(file)
    if suffix == ".csv":
        return _rows(file, types or {})
    if suffix == ".parquet" and name == file:
        return _parquet(file)
    raise ValueError(f"{file} ends with none of {', '.join(LINES)}, .csv (each may be packed: .gz), .parquet")


@contextmanager
def opened(file: str, mode: Literal["rb", "wb"] = "rb") -> Iterator[IO[bytes]]:
    """The file's bytes, wherever it is."""
    if "://" in file:
        from airflow.sdk import ObjectStoragePath

        with ObjectStoragePath(file).open(mode) as far:
            yield far
    else:
        with Path(file).open(mode) as near:
            yield near


@contextmanager
def _text(file: str, newline: str | None = None) -> Iterator[IO[str]]:
    with opened(file) as raw:
        unpacked: Any = gzip.GzipFile(fileobj=raw) if file.endswith(".gz") else raw
        yield io.TextIOWrapper(unpacked, encoding="utf-8-sig", newline=newline)


def _lines(file: str) -> Iterator[Event]:
    with _text(file) as text:
        for number, line in enumerate(text, 1):
            if not line.strip():
                continue
            try:
                event = json.loads(line)
            except ValueError as error:
                raise ValueError(f"{file}, line {number} is not JSON: {error}") from None
            if not isinstance(event, dict):
                raise ValueError(f"{file}, line {number} is no event: an event is a JSON object")
            yield event


def _rows(file: str, types: Mapping[str, Kind]) -> Iterator[Event]:
    """A column is a number, or a boolean, where every cell of the whole file is one, and text otherwise."""
    kinds = {**_kinds(file), **types}
    for number, row in _cells(file):
        yield nested({name: _value(file, number, name, cell, kinds) for name, cell in row.items() if cell})


def _cells(file: str) -> Iterator[tuple[int, dict[str, str]]]:
    """The number of each row's last line, and its cells by their columns."""
    with _text(file, newline="") as text:
        reader = csv.reader(text, strict=True)
        try:
            names = next(reader, [])
            for cells in reader:
                if not cells:
                    continue
                if len(cells) != len(names):
                    raise ValueError(
                        f"{file}, line {reader.line_num} has {len(cells)} cells; its header has {len(names)}"
                    )
                yield reader.line_num, dict(zip(names, cells, strict=True))
        except csv.Error as error:
            raise ValueError(f"{file}, line {reader.line_num}: {error}") from None


def _kinds(file: str) -> dict[str, Kind]:
    found: dict[str, Kind] = {}
    for _, row in _cells(file):
        for name, cell in row.items():
            if cell:
                kind = _kind(cell)
                found[name] = kind if found.get(name, kind) == kind else "text"
    return found


def _kind(cell: str) -> Kind:
    if _NUMBER.fullmatch(cell):
        return "number"
    return "boolean" if _BOOLEAN.fullmatch(cell) else "text"


def _value(file: str, line: int, name: str, cell: str, kinds: Mapping[str, Kind]) -> Any:
    kind = kinds.get(name, "text")
    if kind == "text":
        return cell
    try:
        return json.loads(cell.lower() if kind == "boolean" else cell)
    except ValueError:
        raise ValueError(f"{file}, line {line}: '{cell[:100]}' in the column {name} is no {kind}") from None


def nested(row: Mapping[str, Any]) -> Event:
    """The event of a row: a column ``user.id`` is the property ``id`` within ``user``."""
    event: Event = {}
    for name, value in row.items():
        *outer, last = name.split(".")
        place = event
        for part in outer:
            inner = place.setdefault(part, {})
            if not isinstance(inner, dict):
                raise ValueError(f"the columns {name} and {'.'.join(outer)} are one property")
            place = inner
        place[last] = value
    return event


def _parquet(file: str) -> Iterator[Event]:
    try:
        import pyarrow.parquet
    except ImportError:
        raise ValueError("reading Parquet needs pyarrow: install acumen-airflow[parquet]") from None
    with opened(file) as raw:
        for batch in pyarrow.parquet.ParquetFile(raw).iter_batches(PARQUET_ROWS):
            rows: Sequence[Mapping[str, Any]] = batch.to_pylist()
            for row in rows:
                yield nested({name: value for name, value in row.items() if value is not None})
