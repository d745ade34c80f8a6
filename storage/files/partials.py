"""Partial answers of Parquet files, kept beside them in files of their own.

    partials/<project>/<collection id>/<file id>/<key>.part

Each is a small Parquet file behind its digest. It is written elsewhere and renamed, so it is there as a whole
or not at all; what is damaged is removed, and never read. All of it may be deleted at any time. A folder goes
when the bytes of its data file go, and holds no more than a share of these: the least useful partial makes
room for one that is more useful.
"""

from __future__ import annotations

import hashlib
import logging
import os
import struct
import threading
import time
from collections import OrderedDict
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from shutil import rmtree

import pyarrow as pa

from storage.disk.durable_files import bytes_below
from storage.files.parquet import decode_small, encode_small
from storage.paths import partials_folder, partials_of_collection
from storage.source import DataFile

SUFFIX = ".part"
SHARE = 0.05
"""The most that the partials of a file take, as a share of its bytes."""
ENTRY_PART = 0.5
"""The most that one of them takes of that."""
ROWS_MIN = 5_000
"""Smaller files are soon merged into larger ones, and quickly read."""
MERGED_PART = 0.5
"""The most that one table of merged partials takes of the memory."""
COMPRESSION = 8
"""How much smaller a partial in memory may become: above that it is not even tried."""
MEMORY_BYTES = 32 << 20
REFUSED_MAX = 100_000
USED_SECONDS = 60
"""How old the note of a partial's last use may be."""
WEEK_SECONDS = 604_800
KEYS_MAX = 20_000
PAUSE_SECONDS = 60.0
"""After a write that failed, none is tried for this long."""
FilePlace = tuple[str, str, tuple[int, ...] | None]
MergedPartials = tuple[frozenset[tuple[str, int]], pa.Table]
_MERGED = ""
"""In place of a file's path: what was refused is not of one file."""
_MAGIC = b"ACUP"
_HEADER = struct.Struct("<4sIQ16s")
"""Magic, the µs that it took to compute, the bytes that follow, their digest."""
_DIGEST = 16

logger = logging.getLogger("acumen.partials")


class Partials:
    """The partials of one process. Thread-safe."""

    def __init__(
        self,
        root: Path,
        *,
        rows_min: int = ROWS_MIN,
        share: float = SHARE,
        memory_bytes: int = MEMORY_BYTES,
        reused: Callable[[int], object] = lambda _: None,
        kept: Callable[[], object] = lambda: None,
    ) -> None:
        """``share``: of a data file's bytes, the most that its partials take together. ``reused`` is called
        with the number of partials that a question reused, ``kept`` for each one that is kept."""
        self._reused, self._kept = reused, kept
        self.root = root
        self._rows_min = rows_min
        self._share = share
        self._entry_share = share * ENTRY_PART
        self._lock = threading.Lock()
        self._memory_left = memory_bytes
        self._merged_bytes_max = int(memory_bytes * MERGED_PART)
        self._tables: OrderedDict[tuple[str, str], pa.Table] = OrderedDict()
        self._merged: OrderedDict[str, MergedPartials] = OrderedDict()
        self._refused: OrderedDict[tuple[str, str], None] = OrderedDict()
        self._keys: OrderedDict[FilePlace, str] = OrderedDict()
        self._failed_at: float | None = None

    def forget(self) -> None:
        """Drop what is in memory; what is on the disk stays."""
        with self._lock:
            self._memory_left += sum(table.nbytes for table in self._tables.values())
            self._memory_left += sum(merged[1].nbytes for merged in self._merged.values())
            self._tables.clear()
            self._merged.clear()

    def may_keep(self, file: DataFile) -> bool:
        return file.rows >= self._rows_min

    def find(self, file: DataFile, key: str) -> pa.Table | None:
        place = (file.path, key)
        with self._lock:
            table = self._tables.get(place)
            if table is not None:
                self._tables.move_to_end(place)
                return table
        path = self._path(file, key)
        table = _read(path)
        if table is None:
            return None
        _note_use(path)
        self._remember(place, table)
        return table

    def find_key(self, place: FilePlace) -> str | None:
        return self._keys.get(place)

    def keep_key(self, place: FilePlace, key: str) -> None:
        with self._lock:
            self._keys[place] = key
            while len(self._keys) > KEYS_MAX:
                self._keys.popitem(last=False)

    def note_reused(self, partials: int) -> None:
        self._reused(partials)

    def holds(self, file: DataFile, key: str) -> bool:
        return self._path(file, key).exists()

    def is_refused(self, file: DataFile, key: str) -> bool:
        failed = self._failed_at
        if failed is not None and time.monotonic() - failed < PAUSE_SECONDS:
            return True
        return (file.path, key) in self._refused

    def refuse(self, file: DataFile, key: str) -> None:
        """Remember that a partial is too large to be kept."""
        self._refuse((file.path, key))

    def _refuse(self, place: tuple[str, str]) -> None:
        with self._lock:
            self._refused[place] = None
            while len(self._refused) > REFUSED_MAX:
                self._refused.popitem(last=False)

    def keep(self, file: DataFile, key: str, table: pa.Table, seconds: float) -> bool:
        """Keep a partial that took so long to compute. False where it is too large.

        Where it cannot be written, as on a full disk, the log says so and nothing is kept for some time:
        ``is_refused`` says so of all partials.
        """
        try:
            if self._written(file, key, table, seconds):
                self._failed_at = None
                return True
        except OSError as error:
            self._failed_at = time.monotonic()
            logger.warning(
                "a partial answer could not be kept on the disk (%s): questions are answered from the "
                "events, and none is kept there for %g seconds",
                error,
                PAUSE_SECONDS,
            )
            return True
        self.refuse(file, key)
        return False

    def find_merged(self, name: str) -> MergedPartials | None:
        with self._lock:
            merged = self._merged.get(name)
            if merged is not None:
                self._merged.move_to_end(name)
            return merged

    def keep_merged(self, name: str, merged: MergedPartials) -> None:
        if merged[1].nbytes > self._merged_bytes_max:
            self.refuse_merged(name)
            return
        with self._lock:
            before = self._merged.pop(name, None)
            if before is not None:
                self._memory_left += before[1].nbytes
            self._merged[name] = merged
            self._memory_left -= merged[1].nbytes
            self._shrink()

    def may_merge(self, name: str) -> bool:
        return (_MERGED, name) not in self._refused

    def refuse_merged(self, name: str) -> None:
        self._refuse((_MERGED, name))

    def _path(self, file: DataFile, key: str) -> Path:
        return partials_folder(self.root, file.path) / f"{key}{SUFFIX}"

    def _remember(self, place: tuple[str, str], table: pa.Table) -> None:
        with self._lock:
            if place in self._tables:
                return
            self._tables[place] = table
            self._memory_left -= table.nbytes
            self._shrink()

    def _shrink(self) -> None:
        """Drop what was used longest ago until the rest fits into memory; partials before merged ones."""
        while self._memory_left < 0 and self._tables:
            _, dropped = self._tables.popitem(last=False)
            self._memory_left += dropped.nbytes
        while self._memory_left < 0 and self._merged:
            _, merged = self._merged.popitem(last=False)
            self._memory_left += merged[1].nbytes

    def _written(self, file: DataFile, key: str, table: pa.Table, seconds: float) -> bool:
        """Write a partial. False where it is too large, or where others are more useful."""
        if table.nbytes > COMPRESSION * self._entry_share * file.bytes + 4_096:
            return False
        content = encode_small(table)
        if len(content) > self._entry_share * file.bytes:
            return False
        path = self._path(file, key)
        path.parent.mkdir(parents=True, exist_ok=True)
        room = int(self._share * file.bytes) - len(content)
        if not _make_room(path.parent, room, seconds / len(content)):
            return False
        header = _HEADER.pack(_MAGIC, min(int(seconds * 1e6), 2**32 - 1), len(content), _digest(content))
        temporary = path.with_suffix(f".{os.getpid()}.{threading.get_ident()}.tmp")
        try:
            temporary.write_bytes(header + content)
            temporary.rename(path)
        finally:
            temporary.unlink(missing_ok=True)
        if not Path(file.path).exists():
            # The file was removed meanwhile, with its partials: this one must not outlive it.
            remove_partials(self.root, file.path)
            return True
        self._remember((file.path, key), table)
        self._kept()
        return True


def remove_partials(root: Path, path: str | Path) -> None:
    """Remove all partials of a data file. Raises OSError."""
    folder = partials_folder(root, str(path))
    with suppress(FileNotFoundError):
        rmtree(folder)
    for parent in (folder.parent, folder.parent.parent):
        with suppress(OSError):
            parent.rmdir()


def partials_bytes(root: Path, project_id: str, collection_id: int) -> int:
    """The bytes of all partials of a collection's files."""
    return bytes_below(partials_of_collection(root, project_id, collection_id), f"*{SUFFIX}")


def _digest(content: bytes) -> bytes:
    return hashlib.blake2b(content, digest_size=_DIGEST).digest()


def _read(path: Path) -> pa.Table | None:
    """The partial, None where there is none; one that is damaged is removed."""
    try:
        content = path.read_bytes()
    except OSError:
        return None
    try:
        magic, _, size, digest = _HEADER.unpack_from(content)
        body = content[_HEADER.size :]
        if magic != _MAGIC or len(body) != size or _digest(body) != digest:
            raise ValueError("its digest differs")
        return decode_small(body)
    except (struct.error, ValueError, OSError, pa.ArrowException) as error:
        logger.warning("the partial answer %s is damaged and removed: %s", path, error)
        with suppress(OSError):
            path.unlink()
        return None


def _note_use(path: Path) -> None:
    with suppress(OSError):
        if time.time() - path.stat().st_mtime > USED_SECONDS:
            os.utime(path)


@dataclass(frozen=True, slots=True)
class KeptFile:
    """One partial on the disk; ``worth`` grows with how useful it is."""

    worth: float
    bytes: int
    path: Path


def kept_files(folder: Path, now: float) -> Iterator[KeptFile]:
    """The partials below a folder.

    Useful is what saves most seconds for its bytes; one that was not used for a week counts half, for two
    weeks a third, and so on.
    """
    for path in folder.rglob(f"*{SUFFIX}"):
        with suppress(OSError):
            status = path.stat()
            with path.open("rb") as file:
                header = file.read(_HEADER.size)
            # One that was cut is of no use.
            seconds = _HEADER.unpack(header)[1] / 1e6 if len(header) == _HEADER.size else 0.0
            weeks = max(0.0, now - status.st_mtime) / WEEK_SECONDS
            yield KeptFile(seconds / max(1, status.st_size) / (1 + weeks), status.st_size, path)


def _make_room(folder: Path, room: int, worth: float) -> bool:
    """Remove the least useful partials until the others take no more than ``room`` bytes.

    False where one that would have to go is worth more than ``worth``.
    """
    if room < 0:
        return False
    held = list(kept_files(folder, time.time()))
    total = sum(one.bytes for one in held)
    for one in sorted(held, key=lambda one: one.worth):
        if total <= room:
            break
        if one.worth >= worth:
            return False
        one.path.unlink(missing_ok=True)
        total -= one.bytes
    return True
