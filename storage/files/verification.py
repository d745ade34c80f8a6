"""Verifying files against the catalog's digests before their content is used.

Each process verifies a file once and remembers it by inode, times and size, so that a file changed since is
read again. Damage that leaves those unchanged is found by ``service.maintenance.scrub_task``. A file that
differs from what was written is set aside: the catalog records that, and snapshots leave the file out.
"""

from __future__ import annotations

import hashlib
import logging
import os
import threading
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from storage.catalog.catalog import Catalog
from storage.disk.file_system import FileSystem, LocalFileSystem
from storage.paths import DataFolder
from storage.source import DataFile, SourceGone

READ_BYTES = 1 << 20
THREADS = 4
"""Number of files that are hashed in parallel."""
REMEMBERED_MAX = 200_000
READS = 2
"""Attempts at reading a file before it counts as unreadable."""

logger = logging.getLogger("acumen.verify")

Stamp = tuple[int, int, int, int]


class Verifier:
    """Verifies files for one process. Thread-safe."""

    def __init__(self, folder: DataFolder, catalog: Catalog, fs: FileSystem | None = None) -> None:
        self._folder = folder
        self._catalog = catalog
        self._fs = fs or LocalFileSystem()
        self._lock = threading.Lock()
        self._seen: dict[str, Stamp] = {}

    def __call__(self, files: Sequence[DataFile]) -> None:
        """Verify files. Raises SourceGone where one is damaged, or was replaced since the snapshot."""
        new = [file for file in files if not self._is_known(file.path)]
        if not new:
            return
        if len(new) == 1:
            faults = [self.fault(new[0])]
        else:
            with ThreadPoolExecutor(min(THREADS, len(new)), "verify") as pool:
                faults = list(pool.map(self.fault, new))
        damaged = [(file, fault) for file, fault in zip(new, faults, strict=True) if fault is not None]
        for file, fault in damaged:
            self.set_aside(file, fault)
        if damaged:
            raise SourceGone("A file of the snapshot is not what was written.")

    def _is_known(self, path: str) -> bool:
        """Whether the file is there, and is the one that was verified."""
        stamp = _stamp(path)
        return stamp is not None and self._seen.get(path) == stamp

    def set_aside(self, file: DataFile, fault: str) -> None:
        """Leave the file out of all further snapshots. Does nothing if it is not live any more."""
        if self._catalog.files.set_aside(file.id, fault):
            logger.error("%s is damaged and set aside: %s", file.path, fault)

    def fault(self, file: DataFile) -> str | None:
        """What is wrong with a file; None if it is undamaged, which is remembered."""
        # Taken before reading: a file that changes while it is read has another stamp at the next check.
        stamp = _stamp(file.path)
        fault = fault_of(file, self._fs)
        if fault is None and stamp is not None:
            with self._lock:
                if len(self._seen) >= REMEMBERED_MAX:
                    self._seen = {}
                self._seen[file.path] = stamp
        return fault


def fault_of(file: DataFile, fs: FileSystem, pace: Callable[[int], None] = lambda _: None) -> str | None:
    """What is wrong with a file's bytes; None if they are as written. ``pace`` is called after each read,
    with the number of bytes."""
    for attempt in range(READS):
        try:
            return _compared(file, fs, pace)
        except FileNotFoundError:
            return "it is missing"
        except OSError as error:
            if attempt == READS - 1:
                return f"it cannot be read ({error.strerror or error})"
    raise AssertionError("the last attempt returns")


def _compared(file: DataFile, fs: FileSystem, pace: Callable[[int], None]) -> str | None:
    handle = fs.open_read(Path(file.path))
    try:
        digest, offset = hashlib.sha256(), 0
        while block := fs.read_at(handle, READ_BYTES, offset):
            digest.update(block)
            offset += len(block)
            pace(len(block))
    finally:
        fs.close(handle)
    if offset != file.bytes:
        return f"it has {offset} bytes, {file.bytes} were written"
    if digest.hexdigest() != file.sha256:
        return "its content is not what was written (SHA-256 differs)"
    return None


def _stamp(path: str) -> Stamp | None:
    try:
        # Building a Path costs more than the call, which every query makes for each of its files.
        status = os.stat(path)  # noqa: PTH116
    except OSError:
        return None
    return status.st_ino, status.st_mtime_ns, status.st_ctime_ns, status.st_size
