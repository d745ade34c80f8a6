"""Detects the format of a file for ``acumen import`` from its first bytes."""

from __future__ import annotations

import csv
import json
from dataclasses import dataclass
from enum import StrEnum
from typing import Any


class ImportFormat(StrEnum):
    """The values of ``--format``."""

    NDJSON = "ndjson"
    JSON = "json"
    """One array of events."""
    ANSWER = "answer"
    """The API's answer to an extraction: an object whose ``result`` is a list of events."""
    CSV = "csv"
    TSV = "tsv"
    PARQUET = "parquet"
    ARROW = "arrow"


TABLES = frozenset({ImportFormat.CSV, ImportFormat.TSV, ImportFormat.PARQUET, ImportFormat.ARROW})
BYTE_ORDER_MARKS = {b"\xef\xbb\xbf": "utf-8", b"\xff\xfe": "utf-16", b"\xfe\xff": "utf-16"}
DELIMITERS = ",\t;|"
SNIFFED_LINES = 20

_MAGIC = {
    b"PAR1": ImportFormat.PARQUET,
    b"ARROW1": ImportFormat.ARROW,
    b"\xff\xff\xff\xff": ImportFormat.ARROW,
}
_NOT_TAKEN = {
    b"PK\x03\x04": "is a ZIP archive, as Excel workbooks are: unpack it, or save the sheet as CSV",
    b"\x28\xb5\x2f\xfd": "is compressed with zstd: unpack it first (zstd -d)",
    b"BZh": "is compressed with bzip2: unpack it first (bunzip2)",
    b"\xfd7zXZ\x00": "is compressed with xz: unpack it first (unxz)",
    b"ORC": "is an ORC file: convert it to Parquet",
    b"Obj\x01": "is an Avro file: convert it to Parquet or NDJSON",
    b"FEA1": "is a Feather file of version 1: convert it to Arrow IPC or Parquet",
    b"SQLite format 3\x00": "is a SQLite database: export the table as CSV",
}
_ANSWER_MEMBERS = frozenset(
    {"result", "query", "steps", "execution_metadata", "warnings", "complete", "run_information"}
    | {"query_name", "refresh_rate", "metadata", "created_at", "updated_at", "last_modified_date", "urls"}
    | {"user_last_modified_date", "cached", "interval", "timeframe"}
)


class UnknownFormat(Exception):
    """The content has no supported format; the text says what it seems to be."""


@dataclass(frozen=True, slots=True)
class Sniffed:
    format: ImportFormat
    delimiter: str = ","
    encoding: str = "utf-8"
    bom: int = 0
    """Bytes of the byte order mark."""


def sniff(start: bytes, *, whole: bool) -> Sniffed:
    """Detect the format of content from its start; ``whole``: whether ``start`` is all of the content.

    Raises UnknownFormat.
    """
    for magic, why in _NOT_TAKEN.items():
        if start.startswith(magic):
            raise UnknownFormat(why)
    for magic, kind in _MAGIC.items():
        if start.startswith(magic):
            return Sniffed(kind)
    bom = next((mark for mark in BYTE_ORDER_MARKS if start.startswith(mark)), b"")
    encoding = BYTE_ORDER_MARKS.get(bom, "utf-8")
    text = start[len(bom) :].decode(encoding if encoding == "utf-8" else _utf16(bom), "replace").lstrip()
    if text[:1] == "[":
        kind = ImportFormat.JSON
    elif text[:1] == "{":
        kind = ImportFormat.ANSWER if _is_answer(text, whole) else ImportFormat.NDJSON
    elif not text or _is_json_line(text):
        kind = ImportFormat.NDJSON
    else:
        delimiter = _delimiter(text, whole)
        kind = ImportFormat.TSV if delimiter == "\t" else ImportFormat.CSV
        return Sniffed(kind, delimiter, encoding, len(bom))
    if encoding != "utf-8":
        raise UnknownFormat("is JSON in UTF-16: convert it to UTF-8 (iconv -f utf-16 -t utf-8)")
    return Sniffed(kind, bom=len(bom))


def sniff_table(start: bytes, kind: ImportFormat) -> Sniffed:
    """As ``sniff``, for a table whose format is known: detects delimiter and encoding."""
    bom = next((mark for mark in BYTE_ORDER_MARKS if start.startswith(mark)), b"")
    encoding = BYTE_ORDER_MARKS.get(bom, "utf-8")
    if kind is not ImportFormat.CSV:
        return Sniffed(kind, "\t", encoding, len(bom))
    text = start[len(bom) :].decode(encoding if encoding == "utf-8" else _utf16(bom), "replace")
    try:
        return Sniffed(kind, _delimiter(text, whole=False), encoding, len(bom))
    except UnknownFormat:
        return Sniffed(kind, ",", encoding, len(bom))


def _utf16(bom: bytes) -> str:
    return "utf-16-le" if bom == b"\xff\xfe" else "utf-16-be"


def _is_json_line(text: str) -> bool:
    line = text.split("\n", 1)[0]
    try:
        json.loads(line)
    except (ValueError, RecursionError):
        return False
    return True


def _is_answer(text: str, whole: bool) -> bool:
    """Whether the content is a single answer of the API, and not lines of events.

    Such an object has a list of objects as its ``result``, and otherwise only members that answers have.
    Raises UnknownFormat for an answer that holds no events.
    """
    try:
        members, end = _members(text)
    except (ValueError, RecursionError):
        return False
    if end is not None and text[end:].strip():
        return False
    if members.keys() == {"message", "error_code"}:
        raise UnknownFormat(
            "is the answer to a request that failed and contains no events; to import it as one event, "
            "give --format ndjson"
        )
    if "result" not in members or not members.keys() <= _ANSWER_MEMBERS:
        return False
    result = members["result"]
    if result is _CUT:
        return True
    if not isinstance(result, list) or not all(isinstance(item, dict) for item in result):
        if whole and len(members) == 1:
            raise UnknownFormat(
                "is the answer to a query whose result is not a list of events; "
                "only the answers of extractions can be imported"
            )
        return False
    if any(item.keys() == {"value", "timeframe"} for item in result):
        raise UnknownFormat("is the answer to a query with an interval: only extractions can be imported")
    if result and all("result" in item and "keen" not in item for item in result):
        raise UnknownFormat(
            "is the answer to a query with a group_by: only extractions can be imported; "
            "if its rows are events, give --format answer"
        )
    return True


_CUT = object()
"""Stands for a list of which only the beginning is available."""


def _members(text: str) -> tuple[dict[str, Any], int | None]:
    """Parse the members of the object at the start of the text; returns them and the object's end.

    The end is None if the text was cut off within ``result``. Raises ValueError if the text is not valid JSON
    or is cut off before ``result``.
    """
    decoder = json.JSONDecoder(strict=False)
    members: dict[str, Any] = {}
    at = _skip(text, 1)
    while text[at : at + 1] != "}":
        name, at = decoder.raw_decode(text, at)
        at = _skip(text, at)
        if text[at : at + 1] != ":":
            raise ValueError
        at = _skip(text, at + 1)
        try:
            members[str(name)], at = decoder.raw_decode(text, at)
        except ValueError:
            if name == "result" and text[at : at + 1] == "[" and text[_skip(text, at + 1) :][:1] == "{":
                return members | {"result": _CUT}, None
            raise
        at = _skip(text, at)
        if text[at : at + 1] == ",":
            at = _skip(text, at + 1)
    return members, at + 1


def _skip(text: str, at: int) -> int:
    while text[at : at + 1] and text[at] in " \t\r\n":
        at += 1
    return at


def _delimiter(text: str, whole: bool) -> str:
    """The delimiter that splits the first lines into most columns, with most rows alike.

    Raises UnknownFormat.
    """
    lines = text.replace("\r\n", "\n").replace("\r", "\n").split("\n")
    if not whole and len(lines) > 1:
        lines.pop()
    best, best_columns = "", 1
    for delimiter in DELIMITERS:
        try:
            rows = [row for row in csv.reader(lines[:SNIFFED_LINES], delimiter=delimiter) if row]
        except csv.Error:
            continue
        if not rows:
            continue
        columns = len(rows[0])
        alike = sum(len(row) == columns for row in rows)
        if columns > best_columns and alike * 2 >= len(rows):
            best, best_columns = delimiter, columns
    if not best:
        raise UnknownFormat(
            "has no format that can be recognised from its content: give --format "
            f"({', '.join(kind.value for kind in ImportFormat)})"
        )
    return best
