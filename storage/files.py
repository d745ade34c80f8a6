"""Whole files over the file seam, written so that they are there after a power loss."""

from __future__ import annotations

from pathlib import Path

from storage.fs import FileSystem


def write_synced(fs: FileSystem, path: Path, data: bytes | memoryview) -> None:
    """A new file with its folders; content and names are durable on return. Raises OSError."""
    make_folders(fs, path.parent)
    handle = fs.create(path)
    try:
        fs.append(handle, bytes(data))
        fs.datasync(handle)
    finally:
        fs.close(handle)
    fs.sync_directory(path.parent)


def make_folders(fs: FileSystem, folder: Path) -> None:
    """The folder and those above it, durable."""
    if folder.exists():
        return
    make_folders(fs, folder.parent)
    try:
        fs.make_directory(folder)
    except FileExistsError:
        return
    fs.sync_directory(folder.parent)
