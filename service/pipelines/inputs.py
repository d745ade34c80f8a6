"""What each bucket of a pipeline is derived from, and whether that has changed.

Files never change, so a bucket whose events are in the same files is unchanged. Where files were merged, it
is unchanged if no event was removed or changed since (``erase_version``) and it has as many events: then
events can only have been added. Anything else is derived again.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence, Set
from dataclasses import dataclass, replace
from datetime import tzinfo
from functools import lru_cache

from query.language.calendar import FIXED_US, Unit, aligned_edges, first_reach, fixed_start, unit_start
from query.transforms.nodes import BucketSpan
from service.pipelines.definition import BucketUnit, CheckContext, PipelineDefinition, checked
from storage.catalog.catalog import Catalog
from storage.catalog.derived.pipeline_records import StoredPipeline
from storage.files.parquet import QUARTER_US, quarters_in
from storage.source import NOWHERE, DataFile, Source, believe

_DAY_US = 86_400_000_000
KEPT_FILES = 20_000
"""Files whose times are remembered: some hundred bytes for a file of one day."""
KEPT_SPANS = 20_000
"""Instants whose buckets are remembered, of a few hundred bytes each."""


@dataclass(frozen=True, slots=True)
class CollectionPart:
    """The events of one collection that a bucket reads."""

    collection_id: int
    erase_version: int
    events: int
    files: str
    """A digest of the files' ids."""

    def has_events_of(self, other: CollectionPart) -> bool:
        """Whether both hold the same events: in the same files, or as many with none removed or changed."""
        if self.collection_id != other.collection_id:
            return False
        same_count = (self.erase_version, self.events) == (other.erase_version, other.events)
        return same_count or self.files == other.files

    def stored(self) -> list[int | str]:
        return [self.collection_id, self.erase_version, self.events, self.files]


Parts = Mapping[str, CollectionPart]
"""Collection → its part."""


@dataclass(frozen=True, slots=True)
class Inputs:
    """A snapshot of what a pipeline reads: only events in files."""

    sources: Mapping[str, Source]
    buckets: Mapping[BucketSpan, Parts]
    """The buckets that have events, in order."""
    expired_us: int | None = None
    """Events before it are deleted by a collection's retention."""

    @property
    def events(self) -> int:
        """The events that all buckets read."""
        return sum(map(events_of, self.buckets.values()))

    def texts(self) -> list[tuple[int, int, str]]:
        """The buckets that have events: start, end, and what is stored of what they read."""
        return [(bucket.start_us, bucket.end_us, text_of(parts)) for bucket, parts in self.buckets.items()]

    def only(self, buckets: Set[BucketSpan]) -> Inputs:
        """The same without the events of other buckets."""
        kept = {bucket: parts for bucket, parts in self.buckets.items() if bucket in buckets}
        return replace(self, buckets=kept)

    def bytes_in(self, bucket: BucketSpan) -> int:
        """The bytes of the files that hold events of the bucket."""
        files = (file for source in self.sources.values() for file in source.files)
        return sum(
            file.bytes for file in files if file.max_us >= bucket.start_us and file.min_us < bucket.end_us
        )

    def damaged_in(self, bucket: BucketSpan, lookback_us: int) -> bool:
        """Whether a damaged file that is set aside may hold events that the bucket reads."""
        return any(
            source.lacks(bucket.start_us - lookback_us, bucket.end_us) for source in self.sources.values()
        )

    def expired(self, bucket: BucketSpan, lookback_us: int) -> bool:
        """Whether retention deletes some of what the bucket reads: rows derived before stay."""
        return self.expired_us is not None and bucket.start_us - lookback_us < self.expired_us

    def of(self, bucket: BucketSpan) -> Parts:
        """What a bucket reads; no event of any collection where it has none of its own."""
        return self.buckets.get(bucket) or {name: _part(source, {}) for name, source in self.sources.items()}


@dataclass(frozen=True, slots=True)
class InputKey:
    """What the inputs of a pipeline depend on, beside events: those of equal keys are equal."""

    project_id: str
    sources: tuple[str, ...]
    unit: BucketUnit
    zone: tzinfo
    lookback_us: int
    start_us: int | None

    @classmethod
    def of(cls, project_id: str, definition: PipelineDefinition) -> InputKey:
        return cls(
            project_id,
            definition.sources,
            definition.unit,
            definition.zone,
            definition.lookback_us,
            definition.start_us,
        )


def text_of(parts: Parts) -> str:
    return json.dumps({name: part.stored() for name, part in sorted(parts.items())}, separators=(",", ":"))


def events_of(parts: Parts) -> int:
    return sum(part.events for part in parts.values())


def same_events(before: str, now: Parts) -> bool:
    """Whether these are the events of the inputs ``before``, as ``text_of`` wrote them."""
    if not before:
        return False
    known = {name: CollectionPart(*values) for name, values in json.loads(before).items()}
    return known.keys() == now.keys() and all(known[name].has_events_of(part) for name, part in now.items())


@dataclass(frozen=True)
class PipelineReader:
    """Reads pipelines as they were applied, and their inputs."""

    catalog: Catalog
    around: CheckContext
    verify: Callable[[Sequence[DataFile]], None] = believe

    def definition(self, stored: StoredPipeline) -> PipelineDefinition:
        """Raises InvalidPipeline."""
        document = json.loads(stored.definition)
        definition = checked(stored.name, document, document["code"], self.around)
        return replace(definition, digest=stored.digest)

    def source(self, project_id: str, name: str) -> Source:
        """The events of a collection that are in files. Raises StorageError."""
        return self._sources(project_id, [name])[name]

    def _sources(self, project_id: str, names: Sequence[str]) -> dict[str, Source]:
        snapshot = self.catalog.snapshot(project_id, list(names))
        sources: dict[str, Source] = {}
        for name in names:
            found = snapshot.collections.get(name)
            if found is None:
                sources[name] = NOWHERE
                continue
            sources[name] = Source(
                found.collection.schema,
                found.files,
                collection_id=found.collection.id,
                erase_version=found.collection.erase_version,
                damaged=found.damaged,
                verify=self.verify,
            )
        return sources

    def inputs(self, project_id: str, definition: PipelineDefinition, now_us: int) -> Inputs:
        """Raises OSError where a file cannot be read, StorageError."""
        sources = self._sources(project_id, definition.sources)
        own: set[BucketSpan] = set()
        edges = BucketEdges(definition.unit, definition.zone)
        times = {
            name: _by_bucket(source.files, edges, definition.lookback_us, own)
            for name, source in sources.items()
        }
        collections = [source.collection_id for source in sources.values()]
        wanted = sorted(own, key=lambda one: one.start_us)
        return Inputs(
            sources,
            {
                bucket: {name: _part(sources[name], times[name].get(bucket, {})) for name in sources}
                for bucket in wanted
                if definition.start_us is None or bucket.end_us > definition.start_us
            },
            expired_before(self.catalog.retention.days(), collections, now_us),
        )


def expired_before(days: Mapping[int, int], collection_ids: Iterable[int], now_us: int) -> int | None:
    """Events before it are deleted by the retention of one of the collections; ``days`` of each that has
    one."""
    kept = [days[one] for one in collection_ids if one in days]
    return now_us - now_us % _DAY_US - min(kept) * _DAY_US if kept else None


def _by_bucket(
    files: Sequence[DataFile], edges: BucketEdges, lookback_us: int, own: set[BucketSpan]
) -> dict[BucketSpan, dict[int, int]]:
    """Bucket → file id → events that it reads, those before it too. Adds to ``own`` the buckets that have
    events of their own."""
    read: dict[BucketSpan, dict[int, int]] = {}
    for file in files:
        for quarter, count in _quarters(file.path).items():
            for bucket in edges.reached(quarter * QUARTER_US, lookback_us):
                if bucket.start_us < (quarter + 1) * QUARTER_US:
                    own.add(bucket)
                by_file = read.setdefault(bucket, {})
                by_file[file.id] = by_file.get(file.id, 0) + count
    return read


@lru_cache(maxsize=KEPT_FILES)
def _quarters(path: str) -> Mapping[int, int]:
    """How many events of a file are in each quarter of an hour. A file never changes, nor does another ever
    have its path."""
    return quarters_in(path)


def _part(source: Source, by_file: Mapping[int, int]) -> CollectionPart:
    ids = hashlib.sha256(",".join(map(str, sorted(by_file))).encode()).hexdigest()[:16] if by_file else ""
    return CollectionPart(source.collection_id, source.erase_version, sum(by_file.values()), ids)


@lru_cache(maxsize=KEPT_SPANS)
def _span_at(unit: Unit, zone: tzinfo, instant_us: int) -> BucketSpan:
    """Kept, since many pipelines have the same buckets."""
    if unit in FIXED_US:
        start = fixed_start(instant_us, unit, zone)
    else:
        start = first_reach(unit_start(instant_us, unit, zone), zone)
    return BucketSpan(start, next(aligned_edges(start, unit, zone)))


class BucketEdges:
    """Where the buckets of a unit begin in a zone."""

    def __init__(self, unit: BucketUnit, zone: tzinfo) -> None:
        self._unit, self._zone = Unit(unit.value), zone
        self._last: BucketSpan | None = None

    def at(self, instant_us: int) -> BucketSpan:
        """The bucket that an instant is in."""
        if self._last is None or not self._last.start_us <= instant_us < self._last.end_us:
            self._last = _span_at(self._unit, self._zone, instant_us)
        return self._last

    def reached(self, quarter_us: int, lookback_us: int) -> Iterator[BucketSpan]:
        """The buckets that read events of a quarter of an hour: its own, and those that look back to it."""
        bucket = self.at(quarter_us)
        while bucket.start_us - lookback_us < quarter_us + QUARTER_US:
            yield bucket
            bucket = self.at(bucket.end_us)
