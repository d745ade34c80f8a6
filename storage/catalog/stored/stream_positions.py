"""Finds the events of a collection that are new since a stream position, each exactly once, even if files
are merged.

An event's id consists of its log and its number in the log, and a flush continues each log where the last one
ended. So the files contain a prefix of each log, and one number per series is enough to record how far a log
was streamed. A log has two series: claimed events (those with tokens) are numbered separately, above all
others. Merged and rewritten files keep the ids of their events.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import asdict, dataclass, field, replace

import pyarrow as pa
import pyarrow.compute as pc

from storage.catalog.stored.records import FileRow
from storage.log.format import CLAIMED_BIT

_LOG_DIGITS = 8
"""Hex digits of the log in an event's id, followed by 16 for the event's number in the log."""
_SERIES_DIGITS = _LOG_DIGITS + 1
"""Leading hex digits of an event's id that identify its log and series."""


@dataclass(frozen=True, slots=True)
class StreamPosition:
    """How far a collection was streamed.

    ``floor``: all events of logs before this one were streamed. ``logs``: log → its last streamed event.
    ``claimed``: log → its last streamed claimed event. ``file``: the live files up to this id contain no
    further events. ``version``: the collection's data version at which all of this was true. ``number``: the
    number of files that were made.
    """

    floor: int = 0
    logs: Mapping[int, int] = field(default_factory=dict)
    file: int = 0
    version: int = -1
    number: int = 0
    claimed: Mapping[int, int] = field(default_factory=dict)

    def last(self, log: int, base: int) -> int | None:
        """The last streamed event of the series that begins at ``base``."""
        return (self.claimed if base else self.logs).get(log)


@dataclass(frozen=True, slots=True)
class OrdinalRange:
    """A range of events in one series of a log, with ``first`` and ``last`` included."""

    log: int
    first: int
    last: int


@dataclass(frozen=True, slots=True)
class StreamBatch:
    """The events to stream next, and the position after them. ``time`` names the batch's folder."""

    position: StreamPosition
    ranges: tuple[OrdinalRange, ...]
    time: str


@dataclass(frozen=True, slots=True)
class SettledFiles:
    """A collection's live files in one consistent view, and what can no longer be added to it: events of logs
    with an id below ``floor``, and files with an id up to ``file``."""

    files: tuple[FileRow, ...]
    floor: int
    file: int
    version: int


def written(record: StreamPosition | StreamBatch) -> str:
    return json.dumps(asdict(record))


def read_position(text: str) -> StreamPosition:
    return _position(json.loads(text))


def read_batch(text: str) -> StreamBatch:
    fields = json.loads(text)
    ranges = tuple(OrdinalRange(**ordinals) for ordinals in fields["ranges"])
    return StreamBatch(_position(fields["position"]), ranges, fields["time"])


def _position(fields: dict[str, object]) -> StreamPosition:
    logs, claimed = _numbers(fields.pop("logs")), _numbers(fields.pop("claimed", {}))
    return StreamPosition(**fields, logs=logs, claimed=claimed)  # type: ignore[arg-type]


def _numbers(ordinals: object) -> dict[int, int]:
    assert isinstance(ordinals, dict)
    return {int(log): ordinal for log, ordinal in ordinals.items()}


def event_id(log_id: int, ordinal: int) -> str:
    return f"{log_id:0{_LOG_DIGITS}x}{ordinal:016x}"


def next_batch(
    position: StreamPosition, settled: SettledFiles, ids: Iterable[pa.Array], time: str, events_max: int
) -> StreamBatch:
    """The batch of the next ``events_max`` events at most.

    ``ids`` are arrays of the ids of all events in the files after ``position.file``.
    """
    new = [new_ids for array in ids for new_ids in _new(position, array)]
    joined = pa.concat_arrays(new) if new else pa.array([], pa.string())
    if len(joined) > events_max:
        joined = joined.take(pc.array_sort_indices(joined))
        next_id = joined[events_max].as_py()
        joined = joined[:events_max]
        # The remaining events are in these same files, and in no log before that of the next event.
        floor = min(settled.floor, _log_of(next_id))
        settled = replace(settled, floor=floor, file=position.file, version=-1)
    ranges = tuple(_ranges(position, joined))
    floor = max(position.floor, settled.floor)
    logs = {ordinals.log: ordinals.last for ordinals in ranges if not ordinals.last & CLAIMED_BIT}
    claimed = {ordinals.log: ordinals.last for ordinals in ranges if ordinals.last & CLAIMED_BIT}
    after = StreamPosition(
        floor,
        _open(dict(position.logs) | logs, floor),
        max(position.file, settled.file),
        settled.version,
        position.number + bool(ranges),
        _open(dict(position.claimed) | claimed, floor),
    )
    return StreamBatch(after, ranges, time)


def _open(lasts: Mapping[int, int], floor: int) -> dict[int, int]:
    return {log: last for log, last in lasts.items() if log >= floor}


def _new(position: StreamPosition, ids: pa.Array) -> Iterator[pa.Array]:
    for log, base, series_ids in _by_series(ids):
        if log < position.floor:
            continue
        last = position.last(log, base)
        yield series_ids if last is None else series_ids.filter(pc.greater(series_ids, event_id(log, last)))


def _ranges(position: StreamPosition, ids: pa.Array) -> Iterator[OrdinalRange]:
    for log, base, series_ids in _by_series(ids):
        before, last = position.last(log, base), pc.max(series_ids).as_py()
        first = base if before is None else before + 1
        yield OrdinalRange(log, first, int(last[_LOG_DIGITS:], 16))


def _by_series(ids: pa.Array) -> Iterator[tuple[int, int, pa.Array]]:
    """Yields (log, number at which the series begins, ids of the series) for each series."""
    prefixes = pc.utf8_slice_codeunits(ids, 0, _SERIES_DIGITS)
    for prefix in sorted(pc.unique(prefixes).to_pylist()):
        base = int(prefix[_LOG_DIGITS:], 16) << 60 & CLAIMED_BIT
        yield int(prefix[:_LOG_DIGITS], 16), base, ids.filter(pc.equal(prefixes, prefix))


def _log_of(text: str) -> int:
    """The log in an event's id."""
    return int(text[:_LOG_DIGITS], 16)
