"""Opens the file of an import: detects its format and creates the source that reads it."""

from __future__ import annotations

import shutil
import sys
import tempfile
import zlib
from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import dataclass, replace
from pathlib import Path

from service.imports.formats import TABLES, ImportFormat, Sniffed, UnknownFormat, sniff, sniff_table
from service.imports.json_source import GZIP_MAGIC, BadSource, BatchSource, EventSource
from service.imports.options import ImportOptions
from service.imports.tables import TableSource

START_BYTES = 1 << 20
_GZIP_WINDOW = 31


@dataclass(slots=True)
class OpenedSource:
    """A source and its properties; ``path`` is None if the source can be read only once."""

    source: BatchSource
    path: Path | None
    sniffed: Sniffed
    packed: bool
    """Whether it is compressed with gzip."""
    identity: str
    """Identifies how the file is read; empty if its bytes are sent unchanged."""
    drops_stamps: bool
    stack: ExitStack

    def close(self) -> None:
        self.source.close()
        self.stack.close()


def open_source(
    name: str,
    options: ImportOptions,
    item_bytes_max: int,
    *,
    shown: str = "",
    unpacked_bytes_max: int | None = None,
    check: Callable[[], None] = lambda: None,
) -> OpenedSource:
    """Open a file, or standard input (``-``). Raises BadSource if its content cannot be read.

    ``shown``: what messages call the file; by default its name. ``check`` is called while the file is read.
    """
    start = _start_of(name)
    packed = start[:2] == GZIP_MAGIC
    shown = shown or name
    sniffed = _sniffed(shown, _unpacked(start) if packed else start, len(start) < START_BYTES, options)
    answer = sniffed.format is ImportFormat.ANSWER
    identity = options.identity + ("keen/" if options.keen_export or answer else "")
    stack = ExitStack()
    if sniffed.format not in TABLES:
        if options.tables.types or options.tables.columns:
            raise BadSource(f"{shown} is {sniffed.format.value}: --types and --columns go with CSV.")
        source: BatchSource = EventSource(
            name,
            item_bytes_max,
            sniffed.format,
            start if name == "-" else b"",
            name=shown,
            unpacked_bytes_max=unpacked_bytes_max,
            check=check,
        )
        path = None if name == "-" else Path(name)
        return OpenedSource(source, path, sniffed, packed, identity, options.keen_export or answer, stack)
    path = _spooled(start, stack) if name == "-" else Path(name)
    table = TableSource(
        path,
        sniffed,
        options.tables,
        packed=packed,
        name=str(path) if name == "-" else shown,
        unpacked_bytes_max=unpacked_bytes_max,
        check=check,
    )
    identity = f"{sniffed.format.value}/{identity}"
    return OpenedSource(table, path, sniffed, packed, identity, options.keen_export, stack)


def _start_of(name: str) -> bytes:
    if name != "-":
        with open(name, "rb") as file:
            return file.read(START_BYTES)
    start = b""
    while len(start) < START_BYTES and (part := sys.stdin.buffer.read(START_BYTES - len(start))):
        start += part
    return start


def _unpacked(start: bytes) -> bytes:
    try:
        return zlib.decompressobj(_GZIP_WINDOW).decompress(start, START_BYTES)
    except zlib.error as error:
        raise BadSource(f"The file cannot be unpacked: {error}.") from None


def _sniffed(name: str, start: bytes, whole: bool, options: ImportOptions) -> Sniffed:
    try:
        kind = options.format
        if kind is None:
            sniffed = sniff(start, whole=whole)
        elif kind in TABLES:
            sniffed = sniff_table(start, kind)
        else:
            sniffed = Sniffed(kind)
    except UnknownFormat as error:
        raise BadSource(f"{name} {error}.") from None
    if options.delimiter is not None:
        sniffed = replace(sniffed, delimiter=options.delimiter)
    if options.encoding is not None:
        sniffed = replace(sniffed, encoding=options.encoding)
    return sniffed


def _spooled(start: bytes, stack: ExitStack) -> Path:
    """Copy standard input to a temporary file, since tables are read more than once."""
    path = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="acumen-import-"))) / "stdin"
    with path.open("wb") as spool:
        spool.write(start)
        shutil.copyfileobj(sys.stdin.buffer, spool)
    return path
