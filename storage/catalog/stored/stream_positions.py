"""Which events of a collection are new since a position, each exactly once however files are merged.

An event's id is its log and its number there, and a flush takes each log from where the last one ended. So
of what stands in files, the events of one log are its first ones, and how far a log was streamed is a single
number for each of its two series: claimed events (those with tokens) are numbered apart, and above all
others. Merged and rewritten files hold old events under the ids that they had.
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
"""Of an event's id, which are followed by 16 for the event in the log."""
_SERIES_DIGITS = _LOG_DIGITS + 1
"""Of an event's id, which tell its log and whether its number is a claimed one."""


@dataclass(frozen=True, slots=True)
class StreamPosition:
    """How far a collection was streamed.

    ``floor``: all events of the logs before it; ``logs``: log → its last event; ``claimed``: log → its last
    claimed event; ``file``: the live files up to it hold nothing else; ``version``: the collection's data
    version as of which all this was; ``number``: of the files that were made.
    """

    floor: int = 0
    logs: Mapping[int, int] = field(default_factory=dict)
    file: int = 0
    version: int = -1
    number: int = 0
    claimed: Mapping[int, int] = field(default_factory=dict)

    def last(self, log: int, base: int) -> int | None:
        """The last event of the series that begins at ``base``."""
        return (self.claimed if base else self.logs).get(log)


@dataclass(frozen=True, slots=True)
class OrdinalRange:
    """Some events of one series of a log, ``first`` and ``last`` included."""

    log: int
    first: int
    last: int


@dataclass(frozen=True, slots=True)
class StreamBatch:
    """What is to be streamed next, up to a position. ``time`` names its folder."""

    position: StreamPosition
    ranges: tuple[OrdinalRange, ...]
    time: str


@dataclass(frozen=True, slots=True)
class SettledFiles:
    """A collection's live files of one moment. No event of a log before ``floor`` can still come, and no
    file up to ``file``."""

    files: tuple[FileRow, ...]
    floor: int
    file: int
    version: int


def written(record: StreamPosition | StreamBatch) -> str:
    return json.dumps(asdict(record))


def read_position(text: str) -> StreamPosition:
    return _position(json.loads(text))


def read_batch(text: str) -> StreamBatch:
    found = json.loads(text)
    ranges = tuple(OrdinalRange(**one) for one in found["ranges"])
    return StreamBatch(_position(found["position"]), ranges, found["time"])


def _position(found: dict[str, object]) -> StreamPosition:
    logs, claimed = _numbers(found.pop("logs")), _numbers(found.pop("claimed", {}))
    return StreamPosition(**found, logs=logs, claimed=claimed)  # type: ignore[arg-type]


def _numbers(found: object) -> dict[int, int]:
    assert isinstance(found, dict)
    return {int(log): ordinal for log, ordinal in found.items()}


def event_id(log_id: int, ordinal: int) -> str:
    return f"{log_id:0{_LOG_DIGITS}x}{ordinal:016x}"


def next_batch(
    position: StreamPosition, settled: SettledFiles, ids: Iterable[pa.Array], time: str, events_max: int
) -> StreamBatch:
    """The next ``events_max`` events. ``ids``: of all events in the files after ``position.file``."""
    new = [found for array in ids for found in _new(position, array)]
    joined = pa.concat_arrays(new) if new else pa.array([], pa.string())
    if len(joined) > events_max:
        joined = joined.take(pc.array_sort_indices(joined))
        left = joined[events_max].as_py()
        joined = joined[:events_max]
        # The rest is in these files still, and in no log before this one.
        floor = min(settled.floor, _log_of(left))
        settled = replace(settled, floor=floor, file=position.file, version=-1)
    ranges = tuple(_ranges(position, joined))
    floor = max(position.floor, settled.floor)
    logs = {one.log: one.last for one in ranges if not one.last & CLAIMED_BIT}
    claimed = {one.log: one.last for one in ranges if one.last & CLAIMED_BIT}
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
    for log, base, found in _by_series(ids):
        if log < position.floor:
            continue
        last = position.last(log, base)
        yield found if last is None else found.filter(pc.greater(found, event_id(log, last)))


def _ranges(position: StreamPosition, ids: pa.Array) -> Iterator[OrdinalRange]:
    for log, base, found in _by_series(ids):
        before, last = position.last(log, base), pc.max(found).as_py()
        first = base if before is None else before + 1
        yield OrdinalRange(log, first, int(last[_LOG_DIGITS:], 16))


def _by_series(ids: pa.Array) -> Iterator[tuple[int, int, pa.Array]]:
    """(log, the number at which its series begins, the ids in it)."""
    prefixes = pc.utf8_slice_codeunits(ids, 0, _SERIES_DIGITS)
    for prefix in sorted(pc.unique(prefixes).to_pylist()):
        base = int(prefix[_LOG_DIGITS:], 16) << 60 & CLAIMED_BIT
        yield int(prefix[:_LOG_DIGITS], 16), base, ids.filter(pc.equal(prefixes, prefix))


def _log_of(found: str) -> int:
    return int(found[:_LOG_DIGITS], 16)
