"""The file operations that the log uses: tests replace them to simulate disk failures and power loss.

Every operation raises OSError as the system does. File descriptors are plain integers, never inherited by
child processes.
"""

from __future__ import annotations

import fcntl
import mmap
import os
import sys
from pathlib import Path
from typing import Protocol


class FileSystem(Protocol):
    """The file operations that the log needs. Only ``datasync`` and ``sync_directory`` make data durable."""

    def make_directory(self, path: Path) -> None:
        """Create one directory level. FileExistsError where it exists."""

    def remove_directory(self, path: Path) -> None:
        """Remove an empty directory."""

    def sync_directory(self, path: Path) -> None:
        """Make the entries of a directory durable: files and folders created, renamed and removed in it."""

    def names(self, path: Path) -> list[str]:
        """Names of a directory's entries, unordered. FileNotFoundError where there is no such directory."""

    def create(self, path: Path) -> int:
        """Create an empty file for ``append``. FileExistsError where it exists."""

    def open_read(self, path: Path) -> int:
        """Open a file for ``read_at`` and ``size``. FileNotFoundError where there is none."""

    def open_write(self, path: Path) -> int:
        """Open an existing file for ``write_at``, ``truncate`` and ``datasync``."""

    def close(self, fd: int) -> None:
        """Close a descriptor; makes nothing durable."""

    def append(self, fd: int, data: bytes) -> None:
        """Append all of ``data``. After an OSError any part of it may be at the end of the file."""

    def write_at(self, fd: int, data: bytes, offset: int) -> None:
        """Write all of ``data`` at ``offset``, or raise OSError."""

    def read_at(self, fd: int, size: int, offset: int) -> bytes:
        """Read ``size`` bytes, fewer only where the file ends."""

    def size(self, fd: int) -> int:
        """Size of the file in bytes."""

    def status(self, path: Path) -> os.stat_result:
        """The stat result of a file or directory. FileNotFoundError where there is none."""

    def read_file(self, path: Path) -> bytes:
        """The whole content of a file. FileNotFoundError where there is none."""

    def truncate(self, fd: int, size: int) -> None:
        """Cut the file to ``size`` bytes."""

    def datasync(self, fd: int) -> None:
        """Make content and size durable. After an OSError the state is unknown, even if a retry succeeds."""

    def rename(self, old: Path, new: Path) -> None:
        """Rename within one directory; replaces ``new`` where it exists."""

    def remove(self, path: Path) -> None:
        """Remove a file. FileNotFoundError where there is none."""

    def map(self, path: Path, size: int, *, writable: bool) -> mmap.mmap:
        """Map ``size`` bytes of a file (0: the whole file), shared with every process that maps it.

        With ``writable`` the file is created, or padded with zeros to ``size``.
        """

    def lock(self, path: Path) -> int:
        """Take an exclusive lock without waiting; the returned descriptor holds it until closed.

        BlockingIOError where another descriptor holds it.
        """


class LocalFileSystem:
    """The files of the operating system."""

    def make_directory(self, path: Path) -> None:
        path.mkdir(0o700)

    def remove_directory(self, path: Path) -> None:
        path.rmdir()

    def sync_directory(self, path: Path) -> None:
        fd = os.open(path, os.O_RDONLY | os.O_DIRECTORY)
        try:
            full_sync(fd)
        finally:
            os.close(fd)

    def names(self, path: Path) -> list[str]:
        return [entry.name for entry in path.iterdir()]

    def create(self, path: Path) -> int:
        return os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_APPEND, 0o600)

    def open_read(self, path: Path) -> int:
        return os.open(path, os.O_RDONLY)

    def open_write(self, path: Path) -> int:
        return os.open(path, os.O_RDWR)

    def close(self, fd: int) -> None:
        os.close(fd)

    def append(self, fd: int, data: bytes) -> None:
        written = os.write(fd, data)
        if written < len(data):
            rest = memoryview(data)[written:]
            while rest:
                rest = rest[os.write(fd, rest) :]

    def write_at(self, fd: int, data: bytes, offset: int) -> None:
        rest = memoryview(data)
        while rest:
            written = os.pwrite(fd, rest, offset)
            rest, offset = rest[written:], offset + written

    def read_at(self, fd: int, size: int, offset: int) -> bytes:
        data = os.pread(fd, size, offset)
        while len(data) < size:
            more = os.pread(fd, size - len(data), offset + len(data))
            if not more:
                break
            data += more
        return data

    def size(self, fd: int) -> int:
        return os.fstat(fd).st_size

    def status(self, path: Path) -> os.stat_result:
        return path.stat()

    def read_file(self, path: Path) -> bytes:
        return path.read_bytes()

    def truncate(self, fd: int, size: int) -> None:
        os.ftruncate(fd, size)

    def datasync(self, fd: int) -> None:
        if sys.platform == "darwin":
            full_sync(fd)
        else:
            os.fdatasync(fd)

    def rename(self, old: Path, new: Path) -> None:
        old.replace(new)

    def remove(self, path: Path) -> None:
        path.unlink()

    def map(self, path: Path, size: int, *, writable: bool) -> mmap.mmap:
        fd = os.open(path, os.O_RDWR | os.O_CREAT if writable else os.O_RDONLY, 0o600)
        try:
            if writable:
                # Zeros are written, since a page of a merely lengthened file has no disk block: when the disk
                # is full, accessing it can kill the process (SIGBUS).
                present = self.size(fd)
                self.write_at(fd, bytes(max(0, size - present)), present)
            return mmap.mmap(fd, size, access=mmap.ACCESS_WRITE if writable else mmap.ACCESS_READ)
        finally:
            os.close(fd)

    def lock(self, path: Path) -> int:
        fd = os.open(path, os.O_RDWR | os.O_CREAT, 0o600)
        try:
            fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BaseException:
            os.close(fd)
            raise
        return fd


def full_sync(fd: int) -> None:
    """Sync a file through the drive's cache.

    On macOS fsync stops at that cache, so F_FULLFSYNC is used where the volume supports it.
    """
    if sys.platform == "darwin":
        try:
            fcntl.fcntl(fd, fcntl.F_FULLFSYNC)
            return
        except OSError as error:
            if error.errno not in _FULL_SYNC_UNKNOWN:
                raise
    os.fsync(fd)


if sys.platform == "darwin":
    import errno

    _FULL_SYNC_UNKNOWN = (errno.ENOTSUP, errno.EINVAL, errno.ENOTTY)
