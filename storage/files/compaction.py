"""Compaction: merges files so that their number stays small at any flush rate. Each merge is one swap.

Within a span, four files of similar size become one. Once no file was added for a while, a span in the past
becomes one file, and spans long past are merged into their month, then into their year. A file of full size
is not merged again, so every event is rewritten only a few times.
"""

from __future__ import annotations

import hashlib
import logging
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq

from storage.catalog.catalog import Catalog
from storage.catalog.stored.records import Collection, FileRow
from storage.disk.durable_files import sync_removals
from storage.disk.file_system import FileSystem
from storage.files.flush import FileWriter
from storage.files.parquet import encode, sort_by_time, unmarked
from storage.files.partials import remove_partials
from storage.files.partitions import last_day, parent_label
from storage.files.verification import Verifier
from storage.paths import DataFolder

ROWS_MAX = 1_000_000
BYTES_MAX = 64 << 20
MEMORY_MAX = 512 << 20
"""Limits of a merge's output: rows, bytes in the file, and bytes of its rows in memory."""
FANOUT = 4
SETTLED = timedelta(days=1)
"""A span is merged as a whole this long after its end."""
PROMOTED = timedelta(days=7)
"""A small span is merged into its month (or year) this long after the end of that."""
QUIET = timedelta(minutes=2)
"""A span counts as quiet this long after its last file was written, so that history that is being loaded is
not merged again at every flush."""
WRITING_GRACE_SECONDS = 3600.0

logger = logging.getLogger("acumen.keeper")


@dataclass(frozen=True, slots=True)
class Merge:
    """Files to be merged into one file of the span ``label``."""

    label: str
    files: tuple[FileRow, ...]


def plan_merge(files: Sequence[FileRow], now: datetime) -> Merge | None:
    """The next worthwhile merge, None where there is none. Pure; ``now`` is in UTC."""
    today = now.date()
    quiet_us = int((now - QUIET).timestamp() * 1e6)
    small = [file for file in files if file.rows < ROWS_MAX // 2 and file.bytes < BYTES_MAX // 2]
    spans: dict[str, list[FileRow]] = {}
    for file in small:
        spans.setdefault(file.span, []).append(file)
    quiet = {label for label, members in spans.items() if max(file.created_us for file in members) < quiet_us}
    for label, members in sorted(spans.items()):
        over = _calendar(label) and today - last_day(label) > SETTLED
        merge = _merge_within(label, members, whole=over and label in quiet)
        if merge is not None:
            return merge
    return _merge_upward({label: members for label, members in spans.items() if label in quiet}, today)


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
    """Whether the span is a day, month or year."""
    return len(label) != len("1990-1999")


def _tiers(files: Iterable[FileRow]) -> list[list[FileRow]]:
    """Group files of similar size: row counts within the same power of four."""
    tiers: dict[int, list[FileRow]] = {}
    for file in files:
        tiers.setdefault(file.rows.bit_length() // 2, []).append(file)
    return list(tiers.values())


def _bounded(label: str, files: Sequence[FileRow]) -> Merge | None:
    """A merge of as many files, in time order, as fit into one output; None for fewer than two."""
    chosen: list[FileRow] = []
    rows = size = 0
    for file in sorted(files, key=lambda f: (f.min_us, f.id)):
        if rows + file.rows > ROWS_MAX or size + file.bytes > BYTES_MAX:
            continue
        chosen.append(file)
        rows, size = rows + file.rows, size + file.bytes
    return Merge(label, tuple(chosen)) if len(chosen) > 1 else None


class Compactor:
    """Carries out merges, and removes files that no query can be reading any more."""

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
        """The data's version, and the time in steps of QUIET, when nothing was left to merge."""
        self._heavy: set[int] = set()
        self._verify = Verifier(folder, catalog, fs)

    def step(self) -> bool:
        """Carry out at most one merge. False where nothing is left to merge now."""
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
                # Tried again once the collection's state has changed; other collections are still merged.
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

    def remove_dead(
        self, now: float, grace_seconds: float, *, history_seconds: float = 0.0, trusted: float | None = None
    ) -> None:
        """Remove files that have been dead, or unfinished, for longer than any query may run.

        Superseded files stay for the history before, by ``trusted``, a clock that does not jump.
        """
        clock = now if trusted is None else min(now, trusted)
        self._catalog.history.expire(int((clock - history_seconds - grace_seconds) * 1e6))
        removed: dict[int, list[Path]] = {}
        for file in self._catalog.files.dead(int((now - grace_seconds) * 1e6)):
            path = self._folder.absolute(file.path)
            if self._remove(path) and self._remove_partials(path):
                removed[file.id] = [path]
        self._forget(removed)
        self.remove_unfinished(int((now - max(grace_seconds, WRITING_GRACE_SECONDS)) * 1e6))

    def remove_unfinished(self, before_us: int) -> None:
        """Remove files that were begun before ``before_us`` and never became live, and so were never read."""
        removed: dict[int, list[Path]] = {}
        for reserved in self._catalog.files.unfinished(before_us):
            folders = f"*/*.{reserved.collection_id}.*"
            paths = list(self._folder.events.glob(f"{folders}/*/{reserved.id}.parquet"))
            if all(map(self._remove, paths)):
                removed[reserved.id] = paths
        self._forget(removed)

    def _forget(self, removed: Mapping[int, Sequence[Path]]) -> None:
        """Forget files that were removed, once they cannot come back."""
        if not removed:
            return
        try:
            sync_removals(self._fs, (path for paths in removed.values() for path in paths))
        except OSError as error:
            logger.warning("files that were removed may come back after a power loss: %s", error)
            return
        self._catalog.files.forget(list(removed))

    def _remove(self, path: Path) -> bool:
        """Remove a file; whether it is gone. A failure is logged and retried, and does not affect others."""
        try:
            self._fs.remove(path)
        except FileNotFoundError:
            return True
        except OSError as error:
            logger.warning("%s cannot be removed: %s", path, error)
            return False
        return True

    def _remove_partials(self, path: Path) -> bool:
        """Remove what was kept of a file, after the file itself; whether it is gone."""
        try:
            remove_partials(self._folder.partials, path)
        except OSError as error:
            logger.warning("what was kept of %s cannot be removed: %s", path, error)
            return False
        return True

    def _fitting(self, merge: Merge | None) -> Merge | None:
        """The part of a merge that fits in memory: repetitive text may be tiny on disk and huge when read.

        Raises SourceGone where a file is damaged: the file is set aside, and later merges leave it out.
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
        """An estimate of the bytes of the file's rows in memory, from its first row group."""
        first = pq.ParquetFile(self._folder.absolute(file.path)).read_row_group(0)
        size: float = first.nbytes * file.rows / max(1, first.num_rows)
        return size

    def _merge(self, collection: Collection, merge: Merge) -> bool:
        """Carry out a merge. False where an input exceeds its estimated size or is not live at the swap."""
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
        """The row groups of a file, up to the first that exceeds ``room`` bytes in total.

        Raises RuntimeError where the file differs from what was written: a merge must not spread damage.
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
