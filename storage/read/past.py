"""The events of an earlier version: its files, and those of later files that were only in logs then."""

from __future__ import annotations

import functools
import threading
from collections import OrderedDict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import pyarrow as pa
import pyarrow.compute as pc

from storage.catalog.catalog import Catalog
from storage.catalog.stored.records import FileRow
from storage.files.parquet import read_table
from storage.files.verification import Verifier
from storage.log.format import CLAIMED_BIT
from storage.paths import DataFolder
from storage.read.versions import PastUnavailable, Version
from storage.schema import CREATED_AT, EVENT_ID
from storage.source import DataFile, ErasedSpan, SourceGone

KEPT_MAX = 32
"""Later files whose part in a version is remembered."""
SLACK_US = 60_000_000
"""How far the time of a version may be from that of its files: reading them takes a while."""


@dataclass(frozen=True, slots=True)
class PastPart:
    """What there is of a version in files: ``tables`` hold events that were only in logs then."""

    files: tuple[DataFile, ...]
    damaged: tuple[DataFile, ...]
    tables: tuple[pa.Table, ...]
    complete: bool
    """False where events of the version may be in no file yet."""
    erased: tuple[ErasedSpan, ...]


class PastReader:
    """Finds the events of earlier versions, for one worker. Thread-safe."""

    def __init__(
        self, folder: DataFolder, catalog: Catalog, verify: Verifier, history_seconds: float
    ) -> None:
        self._folder = folder
        self._catalog = catalog
        self._verify = verify
        self._history_us = int(history_seconds * 1e6)
        self._lock = threading.Lock()
        self._parts: OrderedDict[tuple[int, str], pa.Table | bool] = OrderedDict()

    def resolve(self, instant_us: int, now_us: int) -> Version:
        """The version of an instant. Raises PastUnavailable."""
        if instant_us > now_us:
            raise PastUnavailable("it is in the future.")
        self._refuse_old(instant_us, now_us)
        data = self._catalog.history.version_at(instant_us)
        if data is None:
            raise PastUnavailable("it is before the history of this server begins.")
        return Version(data, instant_us, by_arrival=True)

    def check(self, version: Version, now_us: int) -> None:
        """Check that this server can read a version that a client named. Raises PastUnavailable."""
        history = self._catalog.history
        unknown = PastUnavailable("this server never gave an answer of that version.")
        if version.data > history.state().version or version.instant_us > now_us + SLACK_US:
            raise unknown
        self._refuse_old(version.instant_us, now_us)
        if version.data < history.oldest(now_us - self._history_us):
            raise self._too_old()
        made_us, next_us = history.times_around(version.data)
        if version.instant_us < made_us - SLACK_US or (
            next_us is not None and version.instant_us > next_us + SLACK_US
        ):
            raise unknown

    def part(self, collection_id: int, version: Version) -> PastPart:
        """What there is of a version in files. Raises PastUnavailable, and SourceGone where a file was
        removed meanwhile or is damaged."""
        history = self._catalog.history
        received = version.instant_us if version.by_arrival else None
        past = history.past(collection_id, version.data, version.ends, received)
        if version.data < history.read_from(collection_id):
            raise self._too_old()
        files = [file.data_file(self._folder.root) for file in past.files if file.damaged is None]
        aside = [file.data_file(self._folder.root) for file in past.files if file.damaged is not None]
        tables: list[pa.Table] = []
        for row in past.later:
            file = row.data_file(self._folder.root)
            if row.damaged is not None:
                aside.append(file)
                continue
            found = self._of_version(row, file, version)
            if found is True:
                files.append(file)
            elif found is not False:
                tables.append(found)
        return PastPart(tuple(files), tuple(aside), tuple(tables), past.reached, past.erased)

    def _refuse_old(self, instant_us: int, now_us: int) -> None:
        if instant_us < now_us - self._history_us:
            raise self._too_old()

    def _too_old(self) -> PastUnavailable:
        days = self._history_us / 86_400e6
        return PastUnavailable(f"it is older than the {days:g} days of history that this server keeps.")

    def _of_version(self, row: FileRow, file: DataFile, version: Version) -> pa.Table | bool:
        """The events of a later file that belong to the version; True for all of them, False for none."""
        key = row.id, str(version)
        with self._lock:
            found = self._parts.get(key)
        if found is None:
            self._verify([file])
            try:
                found = _cut(read_table(file.path, (EVENT_ID, CREATED_AT)), file, version)
            except FileNotFoundError:
                raise SourceGone(f"{file.path} was removed.") from None
            with self._lock:
                self._parts[key] = found
                while len(self._parts) > KEPT_MAX:
                    self._parts.popitem(last=False)
        return found


def _cut(marks: pa.Table, file: DataFile, version: Version) -> pa.Table | bool:
    mask = belongs(marks, version)
    count = pc.sum(mask).as_py() or 0
    if count in (0, marks.num_rows):
        return bool(count)
    return read_table(file.path).filter(mask)


def belongs(table: pa.Table, version: Version) -> pa.ChunkedArray:
    """For each event that was in no file at the version's data version: whether the version has it."""
    if version.by_arrival:
        return pc.less_equal(table.column(CREATED_AT).cast(pa.int64()), version.instant_us)
    ids = table.column(EVENT_ID)
    masks = [pc.and_(pc.greater_equal(ids, low), pc.less(ids, high)) for low, high in _ranges(version.ends)]
    return functools.reduce(pc.or_, masks) if masks else pc.less(ids, "")


def part_of(tables: Sequence[pa.Table], version: Version) -> list[pa.Table]:
    """The tables without the events that the version does not have."""
    parts = (table.filter(belongs(table, version)) for table in tables)
    return [part for part in parts if part.num_rows]


def _ranges(ends: Mapping[int, tuple[int, int]]) -> list[tuple[str, str]]:
    """The ranges of ids that lie before the ends."""
    ranges: list[tuple[str, str]] = []
    for log_id, (plain, claimed) in ends.items():
        pairs = ((0, plain), (CLAIMED_BIT, claimed))
        ranges += [(_id(log_id, low), _id(log_id, high)) for low, high in pairs if high > low]
    return ranges


def _id(log_id: int, ordinal: int) -> str:
    return f"{log_id:08x}{ordinal:016x}"
