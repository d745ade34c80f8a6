"""The file of an extraction on its way: written under a name of its own, bounded, and whole once it is named.

Its format is one of three, packed or not. What it can not hold is an error; nothing is ever cut off.
"""

from __future__ import annotations

import hashlib
import os
import shutil
from collections.abc import Collection, Mapping
from contextlib import suppress
from functools import lru_cache
from pathlib import Path
from typing import IO, Protocol

from isal import isal_zlib

from query.answers.export import Chunk
from query.answers.export_rows import Csv, Tables, ndjson
from query.errors import QueryLimitExceeded
from query.plan.columns import Column
from service.exports.request import ExportFormat
from storage.disk.durable_files import UNFINISHED, sha256_of, sync_folder
from storage.disk.file_system import full_sync
from storage.files.parquet import PlainWriter

_GZIP_WBITS = 31
_BUFFER_BYTES = 1 << 20
_DIGEST_LENGTH = 64


class TooLarge(QueryLimitExceeded):
    """The file would be larger than one may be, or than the disk has room for."""


class Output:
    """A new file, as a binary stream that counts what it is given."""

    def __init__(self, path: Path, bytes_max: int, free_min: int) -> None:
        """``free_min``: bytes of its disk that are to stay free. Raises TooLarge, OSError."""
        self.path = path
        self.bytes = 0
        self.closed = False
        self._max = bytes_max
        self._free_min = free_min
        self._look()
        self._unfinished = path.with_name(path.name + UNFINISHED)
        handle = os.open(self._unfinished, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        self._digest = hashlib.sha256()
        self._file: IO[bytes] = open(handle, "wb", buffering=_BUFFER_BYTES)  # noqa: SIM115

    def write(self, data: bytes) -> int:
        """Raises TooLarge, OSError."""
        size = memoryview(data).nbytes
        if self._file.closed:
            # Parquet's writer, given up, tells its end still.
            return size
        self.bytes += size
        if self.bytes > self._max:
            raise TooLarge(
                f"The extraction's file would be larger than {self._max:,} bytes, which is the limit. Ask "
                "for a shorter timeframe, for some properties by 'property_names', or with gzip."
            )
        if self.bytes - self._looked > _BUFFER_BYTES:
            self._look()
        self._digest.update(data)
        self._file.write(data)
        return size

    def _look(self) -> None:
        self._looked = self.bytes
        if shutil.disk_usage(self.path.parent).free < self._free_min:
            raise TooLarge("The server's disk has no room for the extraction's file. Try again later.")

    @property
    def digest(self) -> str:
        """SHA-256 of what was written."""
        return self._digest.hexdigest()

    def flush(self) -> None:
        if not self._file.closed:
            self._file.flush()

    def writable(self) -> bool:
        return True

    def close(self) -> None:
        """Only ``finish`` and ``abandon`` end it."""

    def finish(self, name: str | None = None) -> None:
        """Durable, with its name, on return; ``name``: another than it was begun with. Raises OSError."""
        if name is not None:
            self.path = self.path.with_name(name)
        self._file.flush()
        full_sync(self._file.fileno())
        self._file.close()
        self._unfinished.replace(self.path)
        sync_folder(self.path.parent)

    def abandon(self) -> None:
        """No file is left."""
        # On a full disk, what the buffer holds yet can not be written either, nor need it be.
        with suppress(OSError):
            self._file.close()
        self._unfinished.unlink(missing_ok=True)
        self.path.unlink(missing_ok=True)


def is_sound(path: Path, status: os.stat_result) -> bool:
    """Whether the file is what was written, by the digest in its name; older names have none. It is read once
    for as long as it is as it is. Raises OSError."""
    stamp = status.st_ino, status.st_mtime_ns, status.st_ctime_ns, status.st_size
    digest = path.name.partition(".")[0].rpartition("-")[2]
    return len(digest) != _DIGEST_LENGTH or _digest_of(path, stamp) == digest


@lru_cache(maxsize=1_024)
def _digest_of(path: Path, _stamp: tuple[int, int, int, int]) -> str:
    return sha256_of(path)


class Rows(Protocol):
    """Writes the chunks of one extraction in its format."""

    def add(self, chunk: Chunk) -> None: ...

    def end(self) -> None: ...


class _Lines:
    """CSV or NDJSON, packed or not."""

    def __init__(
        self,
        output: Output,
        held: Mapping[Column, str] | None,
        properties: Collection[str] | None,
        *,
        gzip: bool,
    ) -> None:
        self._output = output
        self._properties = properties
        self._csv = None if held is None else Csv(held, properties)
        self._packer = isal_zlib.compressobj(wbits=_GZIP_WBITS) if gzip else None
        if self._csv is not None:
            self._write(self._csv.header())

    def add(self, chunk: Chunk) -> None:
        csv = self._csv
        self._write(ndjson(chunk, self._properties) if csv is None else csv.lines(chunk))

    def end(self) -> None:
        if self._packer is not None:
            self._output.write(self._packer.flush())

    def _write(self, data: bytes) -> None:
        self._output.write(data if self._packer is None else self._packer.compress(data))


class _Parquet:
    def __init__(
        self, output: Output, held: Mapping[Column, str], properties: Collection[str] | None
    ) -> None:
        self._tables = Tables(held, properties)
        self._writer = PlainWriter(output, self._tables.schema)

    def add(self, chunk: Chunk) -> None:
        self._writer.add(self._tables.table(chunk))

    def end(self) -> None:
        self._writer.end()


def rows_into(
    output: Output,
    form: ExportFormat,
    held: Mapping[Column, str],
    properties: Collection[str] | None,
    *,
    gzip: bool,
) -> Rows:
    """``held``: the columns in which any row has a value; lines of JSON need none."""
    if form is ExportFormat.PARQUET:
        return _Parquet(output, held, properties)
    return _Lines(output, None if form is ExportFormat.NDJSON else held, properties, gzip=gzip)
