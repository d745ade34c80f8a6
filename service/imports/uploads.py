"""The files of imports in the data folder: written piece by piece, and removed.

A file has the name of its import's id. It ends in ``.tmp`` until all of it is there.
"""

from __future__ import annotations

import errno
import hashlib
import os
import shutil
from contextlib import suppress
from pathlib import Path
from typing import IO

from service.errors import ServiceUnavailable
from storage.disk.durable_files import UNFINISHED, sync_folder
from storage.disk.file_system import full_sync
from storage.paths import DataFolder

FREE_TIMES = 4
"""Multiple of ``min_free_bytes`` left free on the disk, so that uploads never cause events to be refused."""
PIECE_BYTES = 1 << 20
"""Bytes that are written at once."""
_REFUSED = ".refused.ndjson"
_FULL = (errno.ENOSPC, errno.EDQUOT)


class DiskFull(ServiceUnavailable):
    message = "The server's disk has no room for the file. Nothing of it was kept; send it again later."

    def headers(self) -> dict[str, str]:
        return {"retry-after": "60"}


def upload_path(folder: DataFolder, import_id: str) -> Path:
    return folder.imports / import_id


def unfinished_path(folder: DataFolder, import_id: str) -> Path:
    return folder.imports / f"{import_id}{UNFINISHED}"


def refused_path(folder: DataFolder, import_id: str) -> Path:
    return folder.imports / f"{import_id}{_REFUSED}"


def import_of(path: Path) -> str:
    """The id of the import that a file in the folder belongs to."""
    return path.name.partition(".")[0]


def remove_upload(folder: DataFolder, import_id: str) -> None:
    """Remove the uploaded file; the refused events stay."""
    for path in (upload_path(folder, import_id), unfinished_path(folder, import_id)):
        path.unlink(missing_ok=True)


def remove_all(folder: DataFolder, import_id: str) -> None:
    """Remove all files of an import. The refused events are cut off first, so that downloads end too."""
    remove_upload(folder, import_id)
    path = refused_path(folder, import_id)
    with suppress(FileNotFoundError):
        os.truncate(path, 0)
        path.unlink()


class UploadFile:
    """A file on its way. Its methods block; they are called one after the other."""

    def __init__(self, folder: DataFolder, import_id: str, free_bytes_min: int) -> None:
        """``free_bytes_min``: what must stay free on the disk. Raises DiskFull, OSError."""
        self.bytes = 0
        self._digest = hashlib.sha256()
        self._folder = folder
        self._free_bytes_min = free_bytes_min
        self._path = upload_path(folder, import_id)
        self._unfinished = unfinished_path(folder, import_id)
        self._check_room(0)
        handle = os.open(self._unfinished, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        self._file: IO[bytes] = open(handle, "wb", buffering=0)  # noqa: SIM115

    def write(self, piece: bytes) -> None:
        """Raises DiskFull, OSError."""
        self._check_room(len(piece))
        try:
            left = memoryview(piece)
            while left:
                left = left[self._file.write(left) :]
        except OSError as error:
            raise _as_full(error) from error
        self._digest.update(piece)
        self.bytes += len(piece)

    def finish(self) -> str:
        """Make the file durable under its name; returns its SHA-256. Raises DiskFull, OSError."""
        try:
            full_sync(self._file.fileno())
            self._file.close()
            self._unfinished.replace(self._path)
            sync_folder(self._path.parent)
        except OSError as error:
            raise _as_full(error) from error
        return self._digest.hexdigest()

    def abandon(self) -> None:
        """Remove the file, finished or not."""
        with suppress(OSError):
            self._file.close()
        self._unfinished.unlink(missing_ok=True)
        self._path.unlink(missing_ok=True)

    def _check_room(self, size: int) -> None:
        if shutil.disk_usage(self._folder.imports).free - size < self._free_bytes_min:
            raise DiskFull


def _as_full(error: OSError) -> Exception:
    return DiskFull() if error.errno in _FULL else error
