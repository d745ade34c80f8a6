"""Writing the file of an extraction: under a temporary name, with a size limit, renamed once it is complete.

There are three formats, compressed or not. Exceeding the size limit is an error; nothing is cut off.
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
    """The file would exceed the size limit or the room on the disk."""


class Output:
    """A new file, as a binary stream that counts and hashes the bytes written."""

    def __init__(self, path: Path, bytes_max: int, free_min: int) -> None:
        """``free_min``: bytes that must stay free on its disk. Raises TooLarge, OSError."""
        self.path = path
        self.bytes = 0
        self.closed = False
        self._max = bytes_max
        self._free_min = free_min
        self._check_disk()
        self._unfinished = path.with_name(path.name + UNFINISHED)
        handle = os.open(self._unfinished, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        self._digest = hashlib.sha256()
        self._file: IO[bytes] = open(handle, "wb", buffering=_BUFFER_BYTES)  # noqa: SIM115

    def write(self, data: bytes) -> int:
        """Raises TooLarge, OSError."""
        size = memoryview(data).nbytes
        if self._file.closed:
            # An abandoned Parquet writer still writes its footer.
            return size
        self.bytes += size
        if self.bytes > self._max:
            raise TooLarge(
                f"The extraction's file would be larger than {self._max:,} bytes, which is the limit. Ask "
                "for a shorter timeframe, for some properties by 'property_names', or with gzip."
            )
        if self.bytes - self._checked_bytes > _BUFFER_BYTES:
            self._check_disk()
        self._digest.update(data)
        self._file.write(data)
        return size

    def _check_disk(self) -> None:
        self._checked_bytes = self.bytes
        if shutil.disk_usage(self.path.parent).free < self._free_min:
            raise TooLarge("The server's disk has no room for the extraction's file. Try again later.")

    @property
    def digest(self) -> str:
        """SHA-256 of the bytes written."""
        return self._digest.hexdigest()

    def flush(self) -> None:
        if not self._file.closed:
            self._file.flush()

    def writable(self) -> bool:
        return True

    def close(self) -> None:
        """Does nothing: only ``finish`` and ``abandon`` close the file."""

    def finish(self, name: str | None = None) -> None:
        """Make the file durable under its name, or under ``name`` in the same folder. Raises OSError."""
        if name is not None:
            self.path = self.path.with_name(name)
        self._file.flush()
        full_sync(self._file.fileno())
        self._file.close()
        self._unfinished.replace(self.path)
        sync_folder(self.path.parent)

    def abandon(self) -> None:
        """Remove the file, finished or not."""
        # On a full disk the rest of the buffer cannot be written either, and need not be.
        with suppress(OSError):
            self._file.close()
        self._unfinished.unlink(missing_ok=True)
        self.path.unlink(missing_ok=True)


def is_sound(path: Path, status: os.stat_result) -> bool:
    """Whether the file matches the digest in its name; files with older names have none and count as sound.

    An unchanged file is read only once. Raises OSError.
    """
    stamp = status.st_ino, status.st_mtime_ns, status.st_ctime_ns, status.st_size
    digest = path.name.partition(".")[0].rpartition("-")[2]
    return len(digest) != _DIGEST_LENGTH or _digest_of(path, stamp) == digest


@lru_cache(maxsize=1_024)
def _digest_of(path: Path, _stamp: tuple[int, int, int, int]) -> str:
    return sha256_of(path)


class ByteTarget(Protocol):
    """A binary file that is written from its beginning to its end."""

    def write(self, data: bytes, /) -> int: ...


class Rows(Protocol):
    """Writer of the chunks of one extraction in its format."""

    def add(self, chunk: Chunk) -> None: ...

    def end(self) -> None: ...


class _Lines:
    """Writer of CSV or NDJSON, compressed or not."""

    def __init__(
        self,
        output: ByteTarget,
        columns: Mapping[Column, str] | None,
        properties: Collection[str] | None,
        *,
        gzip: bool,
    ) -> None:
        self._output = output
        self._properties = properties
        self._csv = None if columns is None else Csv(columns, properties)
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
        self, output: ByteTarget, columns: Mapping[Column, str], properties: Collection[str] | None
    ) -> None:
        self._tables = Tables(columns, properties)
        self._writer = PlainWriter(output, self._tables.schema)

    def add(self, chunk: Chunk) -> None:
        self._writer.add(self._tables.table(chunk))

    def end(self) -> None:
        self._writer.end()


def rows_into(
    output: ByteTarget,
    form: ExportFormat,
    held: Mapping[Column, str],
    properties: Collection[str] | None,
    *,
    gzip: bool,
) -> Rows:
    """The writer for a format. ``held``: the columns in which any row has a value; NDJSON ignores it."""
    if form is ExportFormat.PARQUET:
        return _Parquet(output, held, properties)
    return _Lines(output, None if form is ExportFormat.NDJSON else held, properties, gzip=gzip)
