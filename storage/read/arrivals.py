"""Following all logs from a moment on: what arrives, in order, and a position that stays true for ever.

A position says by stored facts alone which events are before it, so it outlives flushes, processes and logs:
for each log that had events since, the last ordinal of each series; for all others the time from which on an
event is after it.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field, replace

from storage.catalog.catalog import Catalog, system_clock
from storage.columns.frame_pieces import CollectionPiece, pieces_of
from storage.disk.file_system import FileSystem, LocalFileSystem
from storage.errors import StorageError
from storage.log.errors import LogError
from storage.log.format import CLAIMED_BIT, Frame
from storage.log.reader import LogReader
from storage.paths import DataFolder
from storage.read.snapshot_reader import Reader, StoreVersion

BEHIND_BYTES_MAX = 64 << 20
"""Bytes of logs that are read at once; who is further behind has lost its place."""
Series = tuple[int, bool]
"""A log, and whether its claimed ordinals are meant."""


class ArrivalsLost(StorageError):
    """What arrived cannot be followed any more from here; a position may still be resumed from."""


@dataclass(frozen=True, slots=True)
class ArrivalPosition:
    """A place in the order of arrival.

    ``since_us``: events of series without an entry in ``lasts`` are after it where they were received at this
    time or later. ``file``: files with an id up to this one hold no event after it.
    """

    since_us: int
    file: int = 0
    lasts: Mapping[Series, int] = field(default_factory=dict)

    def past(self, log_id: int, ordinal: int) -> ArrivalPosition:
        """The position behind this event."""
        return replace(self, lasts={**self.lasts, series_of(log_id, ordinal): ordinal})

    def covers(self, log_id: int, ordinal: int) -> bool:
        """Whether its series has an entry, and the event is not after it."""
        return ordinal <= self.lasts.get(series_of(log_id, ordinal), -1)


@dataclass(frozen=True, slots=True)
class Arrived:
    """What arrived between two positions, by collection id, in order."""

    start: ArrivalPosition
    end: ArrivalPosition
    pieces: Mapping[int, list[CollectionPiece]]


@dataclass(slots=True)
class _FollowedLog:
    reader: LogReader
    lsn: int


class ArrivalReader:
    """Follows the logs for one worker. Its methods block, and are called by one thread at a time, all but
    ``stands``."""

    def __init__(
        self,
        folder: DataFolder,
        catalog: Catalog,
        reader: Reader,
        fs: FileSystem | None = None,
        clock: Callable[[], int] = system_clock,
    ) -> None:
        self._folder = folder
        self._catalog = catalog
        self._reader = reader
        self._fs = fs or LocalFileSystem()
        self._clock = clock
        self._logs: dict[int, _FollowedLog] = {}
        self._moment: StoreVersion | None = None
        self.position = ArrivalPosition(0)

    def begin(self) -> None:
        """Follow what is durable from now on. Raises StorageError."""
        since, file = self._clock(), self._catalog.files.last_id()
        moment = self._reader.moment()
        self._logs = {log_id: _FollowedLog(self._log(log_id), lsn) for log_id, lsn in moment.synced}
        self._moment = moment
        self.position = ArrivalPosition(since, file)

    def stands(self) -> bool:
        """Whether surely nothing has arrived since. Reads shared memory alone: for an event loop."""
        return self._moment is not None and self._reader.surely_stands(self._moment)

    def read(self) -> Arrived | None:
        """What arrived since the last call; None for nothing.

        Raises ArrivalsLost, after which ``begin`` must be called, and StorageError.
        """
        since, file = self._clock(), self._catalog.files.last_id()
        moment = self._reader.moment()
        known = self._moment
        self._moment = moment
        if known is not None and moment.synced == known.synced:
            return None
        try:
            frames = list(self._frames(dict(moment.synced)))
        except (LogError, OSError) as error:
            raise ArrivalsLost(f"The logs cannot be followed from here: {error}") from error
        start = replace(self.position, lasts=_begun(self.position.lasts, frames))
        lasts = dict(start.lasts)
        for frame in frames:
            lasts[series_of(frame.log_id, frame.base_ordinal)] = frame.base_ordinal + frame.count - 1
        self.position = self._forget(replace(start, file=max(file, start.file), lasts=lasts), since)
        pieces: dict[int, list[CollectionPiece]] = {}
        for frame in _in_order(frames):
            for piece in pieces_of(frame):
                if piece.piece.count:
                    pieces.setdefault(piece.collection_id, []).append(piece)
        return Arrived(start, self.position, pieces)

    def _frames(self, synced: Mapping[int, int]) -> Iterator[Frame]:
        """The frames of all logs that are not read yet. Raises LogError, OSError, ArrivalsLost."""
        for log_id in synced:
            if log_id not in self._logs:
                self._logs[log_id] = _FollowedLog(self._log(log_id), 0)
        # A log that is gone may have ended after it was last read.
        ends = {log_id: synced.get(log_id, log.reader.synced().lsn) for log_id, log in self._logs.items()}
        if sum(max(0, end - self._logs[log_id].lsn) for log_id, end in ends.items()) > BEHIND_BYTES_MAX:
            raise ArrivalsLost("More arrived than can be followed.")
        for log_id, end in ends.items():
            log = self._logs[log_id]
            yield from log.reader.read(log.lsn, end)
            log.lsn = max(log.lsn, end)
        for log_id in self._logs.keys() - synced.keys():
            self._logs.pop(log_id).reader.close()

    def _forget(self, position: ArrivalPosition, since_us: int) -> ArrivalPosition:
        """The position without the entries of logs that are gone, whose events all came before this time."""
        lasts = {series: last for series, last in position.lasts.items() if series[0] in self._logs}
        if len(lasts) == len(position.lasts):
            return position
        return ArrivalPosition(since_us, position.file, lasts)

    def _log(self, log_id: int) -> LogReader:
        reader = LogReader(self._fs, self._folder.root, log_id)
        # Mapped now, so that the end can still be read once the log is removed.
        reader.synced()
        return reader


def series_of(log_id: int, ordinal: int) -> Series:
    return log_id, bool(ordinal & CLAIMED_BIT)


def _begun(lasts: Mapping[Series, int], frames: Iterable[Frame]) -> Mapping[Series, int]:
    """The entries, with one for each series that these are the first frames of."""
    begun = dict(lasts)
    for frame in frames:
        begun.setdefault(series_of(frame.log_id, frame.base_ordinal), frame.base_ordinal - 1)
    return begun


def _in_order(frames: Iterable[Frame]) -> list[Frame]:
    """The frames by the time they came; those of one series as they are in the log."""
    latest: dict[Series, int] = {}
    dated = []
    for frame in frames:
        series = series_of(frame.log_id, frame.base_ordinal)
        latest[series] = max(frame.received_us, latest.get(series, frame.received_us))
        dated.append((latest[series], frame))
    dated.sort(key=lambda pair: pair[0])
    return [frame for _, frame in dated]
