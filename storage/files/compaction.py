"""Compaction: few files, whatever the pace of flushing. Files are merged into files, in one swap.

Within a span, four files of about one size become one. Once nothing has come in for a while, a span whose
time has passed becomes one file, and spans long past become part of their month, then of their year. A file
that has grown to full size is left alone, so every event is rewritten a few times in all.
"""

from __future__ import annotations

import hashlib
import logging
import time
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq

from storage.catalog.catalog import Catalog
from storage.catalog.stored.records import Collection, FileRow
from storage.disk.file_system import FileSystem
from storage.files.flush import FileWriter
from storage.files.parquet import encode, sort_by_time, unmarked
from storage.files.partitions import last_day, parent_label
from storage.files.verification import Verifier
from storage.paths import DataFolder

ROWS_MAX = 1_000_000
BYTES_MAX = 64 << 20
MEMORY_MAX = 512 << 20
"""Bounds of a merge's output: rows, bytes in the file, and bytes of its rows in memory."""
FANOUT = 4
SETTLED = timedelta(days=1)
"""After this long past its end a span is merged whole."""
PROMOTED = timedelta(days=7)
"""After this long past the end of its month (or year) a small span joins it."""
QUIET = timedelta(minutes=2)
"""So long after its last file was written. History that is being loaded is not merged anew at every flush."""
WRITING_GRACE_SECONDS = 3600.0

logger = logging.getLogger("acumen.keeper")


@dataclass(frozen=True, slots=True)
class Merge:
    """Files to become one of the span ``label``."""

    label: str
    files: tuple[FileRow, ...]


def plan_merge(files: Sequence[FileRow], now: datetime) -> Merge | None:
    """The next merge that is worth its while, None where there is none. Pure; ``now`` is in UTC."""
    today = now.date()
    quiet_us = int((now - QUIET).timestamp() * 1e6)
    small = [file for file in files if file.rows < ROWS_MAX // 2 and file.bytes < BYTES_MAX // 2]
    spans: dict[str, list[FileRow]] = {}
    for file in small:
        spans.setdefault(file.span, []).append(file)
    quiet = {label for label, found in spans.items() if max(file.created_us for file in found) < quiet_us}
    for label, members in sorted(spans.items()):
        over = _calendar(label) and today - last_day(label) > SETTLED
        merge = _merge_within(label, members, whole=over and label in quiet)
        if merge is not None:
            return merge
    return _merge_upward({label: found for label, found in spans.items() if label in quiet}, today)


def _merge_within(label: str, files: list[FileRow], *, whole: bool) -> Merge | None:
    if len(files) < 2:
        return None
    if whole:
        return _bounded(label, files)
    for tier in _tiers(files):
        if len(tier) >= FANOUT:
            return _bounded(label, tier)
    return None


def _merge_upward(spans: dict[str, list[FileRow]], today: date) -> Merge | None:
    parents: dict[str, list[FileRow]] = {}
    for label, files in spans.items():
        parent = parent_label(label) if _calendar(label) else None
        if parent is not None and today - last_day(parent) > PROMOTED:
            parents.setdefault(parent, []).extend(files)
    for parent, files in sorted(parents.items()):
        merge = _bounded(parent, files + spans.get(parent, []))
        if merge is not None:
            return merge
    return None


def _calendar(label: str) -> bool:
    """Is it a day, month or year?"""
    return len(label) != len("1990-1999")


def _tiers(files: Iterable[FileRow]) -> list[list[FileRow]]:
    """Files of about one size together: sizes within a power of four."""
    tiers: dict[int, list[FileRow]] = {}
    for file in files:
        tiers.setdefault(file.rows.bit_length() // 2, []).append(file)
    return list(tiers.values())


def _bounded(label: str, files: Sequence[FileRow]) -> Merge | None:
    """As many files, in time order, as one output may hold; None for fewer than two."""
    chosen: list[FileRow] = []
    rows = size = 0
    for file in sorted(files, key=lambda f: (f.min_us, f.id)):
        if rows + file.rows > ROWS_MAX or size + file.bytes > BYTES_MAX:
            continue
        chosen.append(file)
        rows, size = rows + file.rows, size + file.bytes
    return Merge(label, tuple(chosen)) if len(chosen) > 1 else None


class Compactor:
    """Carries merges out, and removes files that nobody can be reading."""

    def __init__(
        self, folder: DataFolder, catalog: Catalog, fs: FileSystem, clock: Callable[[], float] = time.time
    ) -> None:
        self._folder = folder
        self._catalog = catalog
        self._fs = fs
        self._clock = clock
        self._writer = FileWriter(folder, catalog, fs)
        self._seen: dict[int, tuple[int, int]] = {}
        self._looked_at = (-1, -1)
        """When nothing was left to merge: the data's version, and the time in steps of QUIET."""
        self._heavy: set[int] = set()
        self._verify = Verifier(folder, catalog, fs)

    def step(self) -> bool:
        """At most one merge. False where nothing is left to merge now."""
        now = datetime.fromtimestamp(self._clock(), UTC)
        moment = (self._catalog.versions().data, int(now.timestamp() / QUIET.total_seconds()))
        if moment == self._looked_at:
            return False
        versions = self._catalog.files.mergeable()
        self._seen = {number: state for number, state in self._seen.items() if number in versions}
        for collection_id, data_version in versions.items():
            state = (data_version, moment[1])
            if self._seen.get(collection_id) == state:
                continue
            try:
                if self._merge_next(self._catalog.collections.by_id(collection_id), now):
                    return True
            except Exception:
                # Tried again when something of the collection has changed; the others go on.
                logger.exception("a merge in collection %d failed; its files are still live", collection_id)
            self._seen[collection_id] = state
        self._looked_at = moment
        return False

    def _merge_next(self, collection: Collection, now: datetime) -> bool:
        files = [
            file
            for file in self._catalog.files.live(collection.id)
            if file.id not in self._heavy and file.damaged is None
        ]
        merge = self._fitting(plan_merge(files, now))
        if merge is None:
            return False
        self._merge(collection, merge)
        return True

    def remove_dead(self, now: float, grace_seconds: float) -> None:
        """Remove files that have been dead, or never finished, for longer than any query may run."""
        gone: list[int] = []
        for file in self._catalog.files.dead(int((now - grace_seconds) * 1e6)):
            if self._remove(self._folder.absolute(file.path)):
                gone.append(file.id)
        if gone:
            self._catalog.files.forget(gone)
        self.remove_unfinished(int((now - max(grace_seconds, WRITING_GRACE_SECONDS)) * 1e6))

    def remove_unfinished(self, before_us: int) -> None:
        """Remove files that were begun before then and never became live: nobody ever read them."""
        gone: list[int] = []
        for reserved in self._catalog.files.unfinished(before_us):
            folders = f"*/*.{reserved.collection_id}.*"
            paths = self._folder.events.glob(f"{folders}/*/{reserved.id}.parquet")
            if all(map(self._remove, paths)):
                gone.append(reserved.id)
        if gone:
            self._catalog.files.forget(gone)

    def _remove(self, path: Path) -> bool:
        """Is it gone? What can not be removed is tried again, and keeps no other file."""
        try:
            self._fs.remove(path)
        except FileNotFoundError:
            return True
        except OSError as error:
            logger.warning("%s can not be removed: %s", path, error)
            return False
        return True

    def _fitting(self, merge: Merge | None) -> Merge | None:
        """As much of a merge as fits in memory: repetitive text may be tiny on disk and huge when read.

        Raises SourceGone where a file is damaged: it is set aside, and the next merge is without it.
        """
        if merge is None:
            return None
        chosen: list[FileRow] = []
        size = 0.0
        self._verify([file.data_file(self._folder.root) for file in merge.files])
        for file in merge.files:
            need = self._memory(file)
            if need > MEMORY_MAX / 2:
                self._heavy.add(file.id)
            elif size + need <= MEMORY_MAX:
                chosen.append(file)
                size += need
        return Merge(merge.label, tuple(chosen)) if len(chosen) > 1 else None

    def _memory(self, file: FileRow) -> float:
        """About the bytes of the file's rows in memory, from its first row group."""
        first = pq.ParquetFile(self._folder.absolute(file.path)).read_row_group(0)
        size: float = first.nbytes * file.rows / max(1, first.num_rows)
        return size

    def _merge(self, collection: Collection, merge: Merge) -> bool:
        """False where an input is larger than it seemed, or was gone by the time of the swap."""
        tables: list[pa.Table] = []
        room = 2 * MEMORY_MAX
        for file in merge.files:
            tables += self._read(file, room)
            room = 2 * MEMORY_MAX - sum(table.nbytes for table in tables)
            if room < 0:
                self._heavy.add(file.id)
                return False
        table = sort_by_time(pa.concat_tables(tables, promote_options="default"))
        expected = sum(file.rows for file in merge.files)
        if table.num_rows != expected:
            raise RuntimeError(f"the merge of {merge.label} holds {table.num_rows} rows, not {expected}")
        rows = self._writer.write(collection, [(merge.label, encode(table))])
        swapped = self._catalog.files.swap(collection.id, [file.id for file in merge.files], rows)
        if not swapped:
            self._writer.discard(rows)
        return swapped

    def _read(self, file: FileRow, room: int) -> list[pa.Table]:
        """The row groups of a file, those that go beyond ``room`` bytes left out but for the first of them.

        Raises RuntimeError where it is not as it was written: a merge must not pass damage on as sound.
        """
        content = self._folder.absolute(file.path).read_bytes()
        if hashlib.sha256(content).hexdigest() != file.sha256:
            raise RuntimeError(f"{file.path} is not what was written (SHA-256 differs)")
        parquet = pq.ParquetFile(pa.BufferReader(content))
        groups: list[pa.Table] = []
        for number in range(parquet.num_row_groups):
            groups.append(unmarked(parquet.read_row_group(number)))
            room -= groups[-1].nbytes
            if room < 0:
                break
        return groups
