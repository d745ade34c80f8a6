"""Which events of a collection are new since a position, each exactly once however files are merged.

An event's id is its log and its number there, and a flush takes each log from where the last one ended. So
of what stands in files, the events of one log are its first ones, and how far a log was streamed is a single
number. Merged and rewritten files hold old events under the ids that they had.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import asdict, dataclass, field, replace

import pyarrow as pa
import pyarrow.compute as pc

from storage.catalog_records import FileRow

_LOG_DIGITS = 8
"""Of an event's id, which are followed by 16 for the event in the log."""


@dataclass(frozen=True, slots=True)
class Position:
    """How far a collection was streamed.

    ``floor``: all events of the logs before it; ``logs``: log → its last event; ``file``: the live files up
    to it hold nothing else; ``version``: the collection's data version as of which all this was; ``number``:
    of the files that were made.
    """

    floor: int = 0
    logs: Mapping[int, int] = field(default_factory=dict)
    file: int = 0
    version: int = -1
    number: int = 0


@dataclass(frozen=True, slots=True)
class Range:
    """Some events of one log, ``first`` and ``last`` included."""

    log: int
    first: int
    last: int


@dataclass(frozen=True, slots=True)
class Batch:
    """What is to be streamed next, up to a position. ``time`` names its folder."""

    position: Position
    ranges: tuple[Range, ...]
    time: str


@dataclass(frozen=True, slots=True)
class Settled:
    """A collection's live files of one moment. No event of a log before ``floor`` can still come, and no
    file up to ``file``."""

    files: tuple[FileRow, ...]
    floor: int
    file: int
    version: int


def written(record: Position | Batch) -> str:
    return json.dumps(asdict(record))


def read_position(text: str) -> Position:
    return _position(json.loads(text))


def read_batch(text: str) -> Batch:
    found = json.loads(text)
    ranges = tuple(Range(**one) for one in found["ranges"])
    return Batch(_position(found["position"]), ranges, found["time"])


def _position(found: dict[str, object]) -> Position:
    logs = found.pop("logs")
    assert isinstance(logs, dict)
    return Position(**found, logs={int(log): ordinal for log, ordinal in logs.items()})  # type: ignore[arg-type]


def event_id(log_id: int, ordinal: int) -> str:
    return f"{log_id:0{_LOG_DIGITS}x}{ordinal:016x}"


def next_batch(
    position: Position, settled: Settled, ids: Iterable[pa.Array], time: str, events_max: int
) -> Batch:
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
    logs = dict(position.logs) | {one.log: one.last for one in ranges}
    after = Position(
        floor,
        {log: last for log, last in logs.items() if log >= floor},
        max(position.file, settled.file),
        settled.version,
        position.number + bool(ranges),
    )
    return Batch(after, ranges, time)


def _new(position: Position, ids: pa.Array) -> Iterator[pa.Array]:
    for log, found in _by_log(ids):
        if log < position.floor:
            continue
        last = position.logs.get(log)
        yield found if last is None else found.filter(pc.greater(found, event_id(log, last)))


def _ranges(position: Position, ids: pa.Array) -> Iterator[Range]:
    for log, found in _by_log(ids):
        last = pc.max(found).as_py()
        yield Range(log, position.logs.get(log, -1) + 1, int(last[_LOG_DIGITS:], 16))


def _by_log(ids: pa.Array) -> Iterator[tuple[int, pa.Array]]:
    prefixes = pc.utf8_slice_codeunits(ids, 0, _LOG_DIGITS)
    for prefix in sorted(pc.unique(prefixes).to_pylist()):
        yield int(prefix, 16), ids.filter(pc.equal(prefixes, prefix))


def _log_of(found: str) -> int:
    return int(found[:_LOG_DIGITS], 16)
