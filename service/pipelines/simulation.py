"""Running pipelines without writing: on the newest events of a project, and on golden files of the folder.

The golden files of a pipeline are ``golden/NAME/COLLECTION.ndjson``, events as clients send them, and
``golden/NAME/expected.ndjson``, the rows that they become, in any order.
"""

from __future__ import annotations

import json
from array import array
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pyarrow as pa

from query.engine.engine import CancelToken
from query.transforms.nodes import BucketSpan
from service.pipelines.definition import PipelineDefinition
from service.pipelines.execution import DerivationFailed, Deriver
from service.pipelines.inputs import BucketEdges
from storage.columns.arrow_lanes import text_of
from storage.columns.rowwise_shredder import wanted_of
from storage.columns.shredder import FramePiece, Shredder
from storage.events.validation import Context, EventLimits, InvalidEvent, examine, leaves
from storage.files.derived_buckets import DerivedRows
from storage.instants import parse_instant
from storage.log.format import ROWWISE
from storage.schema import TIMESTAMP, LaneKind, Schema
from storage.source import Source

GOLDEN = "golden"
EXPECTED = "expected.ndjson"
SHOWN_MAX = 5
_NOWHEN = BucketSpan(0, 1)
"""A bucket for which no file is read."""
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


@dataclass(frozen=True, slots=True)
class GoldenResult:
    """How the rows of golden files compare with those expected."""

    rows_in: int
    rows_out: int
    set_aside: int
    """Rows that expectations set aside."""
    missing: Sequence[str]
    """Expected rows that were not derived, as JSON."""
    unexpected: Sequence[str]

    @property
    def equal(self) -> bool:
        return not self.missing and not self.unexpected


def has_golden(folder: Path, definition: PipelineDefinition) -> bool:
    return (folder / GOLDEN / definition.name).is_dir()


def run_golden(
    folder: Path, definition: PipelineDefinition, deriver: Deriver, shredder: Shredder
) -> GoldenResult:
    """Derives the golden events. Raises DerivationFailed, OSError, and what deriving raises."""
    place = folder / GOLDEN / definition.name
    sources = {name: _source(place / f"{name}.ndjson", shredder) for name in definition.sources}
    expected = Counter(_canonical(row) for row in _expected(place / EXPECTED))
    made: Counter[str] = Counter()
    set_aside = 0
    for bucket in _buckets(definition, sources):
        found = deriver.derive("", definition, sources, bucket, CancelToken())
        made.update(_canonical(row) for row in shown_rows(found.rows))
        set_aside += found.set_aside
    missing, unexpected = expected - made, made - expected
    return GoldenResult(
        sum(source.tail.num_rows for source in sources.values() if source.tail is not None),
        made.total(),
        set_aside,
        sorted(missing.elements()),
        sorted(unexpected.elements()),
    )


def fault_of(
    project_id: str, definition: PipelineDefinition, sources: Mapping[str, Source], deriver: Deriver
) -> str | None:
    """Why its steps would fail on the events of today, whatever these are: an unknown column, a wrong type.
    None where nothing is found, and where that cannot be said: without events, and for other code."""
    if definition.runs_other_code or not any(source.known for source in sources.values()):
        return None
    try:
        deriver.derive(project_id, definition, sources, _NOWHEN, CancelToken())
    except DerivationFailed as error:
        # That there are too few rows is no fault of the steps.
        return None if error.reports else str(error)
    return None


def shown_rows(rows: DerivedRows, limit: int | None = None) -> list[dict[str, Any]]:
    """The rows, or the first ones, as JSON values with dotted names."""
    shown = [{TIMESTAMP: text_of(at)} for at in rows.times[:limit].to_pylist()]
    for (path, kind), column in rows.lanes.items():
        for row, value in zip(shown, column[:limit].to_pylist(), strict=True):
            if value is not None:
                row[path] = json.loads(value) if kind in (LaneKind.JSON, LaneKind.LONG) else value
    return shown


def _expected(path: Path) -> Iterator[dict[str, Any]]:
    """The rows of a file, with dotted names as those derived, whether they are written so or as objects."""
    for number, line in enumerate(_lines(path), 1):
        try:
            row = json.loads(line)
        except ValueError as error:
            raise DerivationFailed(f"{path.name}, line {number}: is no JSON: {error}.") from None
        if not isinstance(row, dict):
            raise DerivationFailed(f"{path.name}, line {number}: must be an object, as a row is.")
        flat = {path: leaf for path, leaf in leaves(row) if leaf != {}}
        at = flat.get(TIMESTAMP)
        instant = parse_instant(at) if isinstance(at, str) else None
        if instant is None:
            raise DerivationFailed(f"{path.name}, line {number}: an expected row needs a keen.timestamp.")
        flat[TIMESTAMP] = text_of(_EPOCH + timedelta(microseconds=instant))
        yield flat


def _canonical(row: Mapping[str, Any]) -> str:
    return json.dumps(_numbers(row), sort_keys=True, separators=(",", ":"), ensure_ascii=False)


def _numbers(value: Any) -> Any:
    """Integral numbers as integers, so that 2 and 2.0 are equal; doubles to 12 digits."""
    if isinstance(value, dict):
        return {key: _numbers(one) for key, one in value.items() if one is not None}
    if isinstance(value, list):
        return [_numbers(one) for one in value]
    if isinstance(value, float):
        return int(value) if value.is_integer() else float(f"{value:.12g}")
    return value


def _lines(path: Path) -> list[bytes]:
    return [line for line in path.read_bytes().split(b"\n") if line.strip()]


def _source(path: Path, shredder: Shredder) -> Source:
    """The events of a file as a source without stored files."""
    limits, times, payloads = EventLimits(), array("q"), []
    schema = Schema()
    for number, line in enumerate(_lines(path), 1):
        try:
            event = examine(line, limits, Context())
        except InvalidEvent as error:
            raise DerivationFailed(f"{path.name}, line {number}: {error.description}") from None
        if event.timestamp_us is None:
            raise DerivationFailed(f"{path.name}, line {number}: a golden event needs a keen.timestamp.")
        times.append(event.timestamp_us)
        payloads.append(event.payload)
        schema = schema.extended(wanted_of(event.payload))
    if not payloads:
        return Source(schema)
    lines = b"".join(payload + b"\n" for payload in payloads)
    piece = FramePiece(lines, len(payloads), times.tobytes(), times[0], 1, 0, ROWWISE)
    return Source(schema, tail=shredder.shred(schema, [piece]), collection_id=1)


def _buckets(definition: PipelineDefinition, sources: Mapping[str, Source]) -> list[BucketSpan]:
    edges = BucketEdges(definition.unit, definition.zone)
    found: set[BucketSpan] = set()
    for source in sources.values():
        if source.tail is not None:
            found.update(map(edges.at, source.tail.column(TIMESTAMP).cast(pa.int64()).to_pylist()))
    return sorted(found, key=lambda bucket: bucket.start_us)


def first(values: Iterable[str]) -> list[str]:
    return list(values)[:SHOWN_MAX]
