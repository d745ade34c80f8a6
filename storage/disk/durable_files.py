"""Whole files over the file seam, written so that they are there after a power loss."""

from __future__ import annotations

import hashlib
from pathlib import Path

from storage.disk.file_system import FileSystem


def sha256_of(path: Path) -> str:
    """SHA-256 of a whole file, in hex. Raises OSError."""
    with open(path, "rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


class SyncedFiles:
    """Writes files below ``root``, which exists and is durable."""

    def __init__(self, fs: FileSystem, root: Path) -> None:
        self._fs = fs
        self._durable = {root}

    def write(self, path: Path, data: bytes) -> None:
        """A new file with its folders; content and names are durable on return. Raises OSError."""
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
        # Synced even where it existed: whoever made it may have failed before coming so far.
        self._fs.sync_directory(folder.parent)
        self._durable.add(folder)
