"""Writing whole files so that they survive a power loss."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Iterable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import BinaryIO

from storage.disk.file_system import FileSystem, LocalFileSystem, full_sync

UNFINISHED = ".tmp"
"""Suffix of the name of a file that is being written."""
_BUFFER_BYTES = 1 << 20


def sha256_of(path: Path) -> str:
    """SHA-256 of a whole file, in hex. Raises OSError."""
    with open(path, "rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def bytes_below(folder: Path, pattern: str) -> int:
    """The bytes of the files below a folder whose names match; those that vanish meanwhile do not count."""
    size = 0
    for path in folder.rglob(pattern):
        with suppress(FileNotFoundError):
            size += path.stat().st_size
    return size


@contextmanager
def new_file(path: Path, mode: int = 0o600) -> Iterator[BinaryIO]:
    """Write a file that appears under its name, replacing an existing one, once all of it is durable.

    If writing fails, no partial file is left and an existing file is unchanged. Raises OSError.
    """
    unfinished = path.with_name(f".{path.name}{UNFINISHED}")
    try:
        descriptor = os.open(unfinished, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, mode)
        with open(descriptor, "wb", buffering=_BUFFER_BYTES) as file:
            yield file
            file.flush()
            full_sync(file.fileno())
        unfinished.replace(path)
    except BaseException:
        unfinished.unlink(missing_ok=True)
        raise
    sync_folder(path.parent)


def make_folder(path: Path, mode: int = 0o700) -> None:
    """Create a folder and its missing parents, each durable. Raises OSError."""
    if path.is_dir():
        return
    make_folder(path.parent, mode)
    path.mkdir(mode, exist_ok=True)
    sync_folder(path.parent)


def sync_removals(fs: FileSystem, removed: Iterable[Path]) -> None:
    """Make it durable that these files are gone: a power loss must not bring back what nothing knows of any
    more. Raises OSError."""
    for folder in sorted({path.parent for path in removed}):
        with suppress(FileNotFoundError):
            fs.sync_directory(folder)


def sync_folder(path: Path) -> None:
    """Make the directory entries of a folder durable. Raises OSError."""
    LocalFileSystem().sync_directory(path)


class SyncedFiles:
    """Writes files through a ``FileSystem``, below ``root``, which exists and is durable."""

    def __init__(self, fs: FileSystem, root: Path) -> None:
        self._fs = fs
        self._durable = {root}

    def write(self, path: Path, data: bytes) -> None:
        """Create a file and its folders; content and names are durable on return. Raises OSError."""
        self._make_folder(path.parent)
        handle = self._fs.create(path)
        try:
            self._fs.append(handle, data)
            self._fs.datasync(handle)
        finally:
            self._fs.close(handle)
        self._fs.sync_directory(path.parent)

    def _make_folder(self, folder: Path) -> None:
        if folder in self._durable:
            return
        self._make_folder(folder.parent)
        try:
            self._fs.make_directory(folder)
        except FileExistsError:
            pass
        # Synced even where it existed: the process that made it may have failed before its sync.
        self._fs.sync_directory(folder.parent)
        self._durable.add(folder)
