"""Warnings about names in a query, based only on what the caller can see.

For a key without filters the catalog's lanes suffice, which costs nothing. For a key with filters its visible
events are scanned once: what they contain remains known until events are erased. They are scanned again only
before a warning is given.
"""

from __future__ import annotations

import hashlib
import threading
from collections import OrderedDict
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Protocol

from query.answers.pipeline import Conditions
from query.answers.visible_properties import dated_by_arrival, held_lanes
from query.engine.engine import Deadline, Engine
from query.errors import QueryError
from query.language.nodes import Filter, MetricQuery, Query
from query.language.suggestions import KNOWN_MAX, nearest
from query.limits import Limits
from query.plan.data_warnings import (
    DataWarning,
    VisibleProperties,
    collections_of,
    has_timeframe,
    is_sound,
    undated,
    warnings_of,
)
from storage.read.versions import Version
from storage.schema import Schema
from storage.source import Source, SourceGone

KEPT_MAX = 1_000
"""Collections, each under the filters of a key, whose visible properties are cached."""
TRIES_MAX = 3
"""Similar names that are tried to find a collection of which the caller sees events."""

SourceOf = Callable[[str], Source]


class SourceReader(Protocol):
    """Source of consistent views of one collection; blocking and thread-safe."""

    def source(self, project_id: str, collection_name: str) -> Source: ...

    def source_at(self, project_id: str, collection_name: str, version: Version) -> Source: ...

    def version(self, instant_us: int) -> Version: ...

    def named_version(self, text: str, now_us: int) -> Version: ...

    def collection_names(self, project_id: str, limit: int) -> list[str]: ...


@dataclass(frozen=True, slots=True)
class _KeptSchema:
    """``seen``: properties known to be visible; they are all of them as of the source's ``version``."""

    erasures: tuple[int, int]
    version: str
    seen: VisibleProperties | None


class WarningFinder:
    """The warnings of one worker. Thread-safe; methods block."""

    def __init__(self, reader: SourceReader, engine: Engine, limits: Limits) -> None:
        self._reader = reader
        self._engine = engine
        self._limits = limits
        self._lock = threading.Lock()
        self._dated: OrderedDict[str, bool] = OrderedDict()
        self._kept: OrderedDict[tuple[str, str, str], _KeptSchema] = OrderedDict()
        self._whole: dict[tuple[str, str], VisibleProperties] = {}
        """What keys without filters see, by project and collection."""

    def warnings(
        self,
        project_id: str,
        query: Query,
        filters: Sequence[Filter],
        deadline: Deadline,
        sources: Mapping[str, Source] | None = None,
    ) -> list[DataWarning]:
        """The warnings for a caller that sees events through these filters. ``sources``: those read already.

        Empty where what the caller sees cannot be found within the limits of a query.
        """
        if not filters and sources and self._is_sound(project_id, query, sources):
            return self._undated(project_id, query, sources, deadline)
        known_sources = dict(sources or {})
        for name in collections_of(query):
            if name not in known_sources:
                known_sources[name] = self._reader.source(project_id, name)

        if filters and any(source.damaged for source in known_sources.values()):
            # What such a key sees is found by reading, and a part cannot be read.
            return []

        def seen_of(name: str) -> VisibleProperties | None:
            return self._seen(project_id, name, known_sources[name], filters, deadline, again=False)

        def seen_again(name: str) -> VisibleProperties | None:
            return self._seen(project_id, name, known_sources[name], filters, deadline, again=True)

        def near(name: str) -> str | None:
            return self._near(project_id, name, filters, deadline)

        try:
            warnings = warnings_of(query, seen_of, near)
            if filters:
                return warnings_of(query, seen_again, near) if warnings else warnings
            return warnings + self._undated(project_id, query, known_sources, deadline)
        except (QueryError, SourceGone):
            return []

    def _is_sound(self, project_id: str, query: Query, sources: Mapping[str, Source]) -> bool:
        """Whether a query of a key without filters needs no name warnings: a quick check for most queries."""
        if not isinstance(query, MetricQuery):
            return False
        source = sources.get(query.collection)
        if source is None or not source.known:
            return False
        return is_sound(query, self._all(project_id, query.collection, source.schema))

    def _undated(
        self, project_id: str, query: Query, sources: Mapping[str, Source], deadline: Deadline
    ) -> list[DataWarning]:
        """Warnings for a timeframe over events whose own time is in another property than their timestamp."""
        warnings = []
        for name, source in sources.items() if has_timeframe(query) else ():
            path = self._all(project_id, name, source.schema).timestamp_property
            if path is not None and self._is_dated_by_arrival(source, deadline):
                warnings.append(undated(name, path))
        return warnings

    def _is_dated_by_arrival(self, source: Source, deadline: Deadline) -> bool:
        """Whether events are dated by arrival; False where that cannot be found out."""
        try:
            return self._dated_by_arrival(source, deadline)
        except (QueryError, SourceGone):
            return False

    def _dated_by_arrival(self, source: Source, deadline: Deadline) -> bool:
        """Whether the events of the newest file, which is read once, or of the tail are dated by arrival."""
        newest = max(source.files, key=lambda file: file.max_us, default=None)
        if newest is None:
            return dated_by_arrival(source, self._engine, deadline)
        with self._lock:
            known = self._dated.get(newest.path)
        if known is None:
            alone = replace(source, files=(newest,), tail=None)
            known = dated_by_arrival(alone, self._engine, deadline)
            with self._lock:
                self._dated[newest.path] = known
                while len(self._dated) > KEPT_MAX:
                    self._dated.popitem(last=False)
        return known

    def _seen(
        self,
        project_id: str,
        name: str,
        source: Source,
        filters: Sequence[Filter],
        deadline: Deadline,
        *,
        again: bool,
    ) -> VisibleProperties | None:
        if not source.known:
            return None
        if not filters:
            # When a deletion ends, lanes that no event has any more are removed from the schema.
            return self._all(project_id, name, source.schema)
        key = (project_id, name, hashlib.sha256(repr(tuple(filters)).encode()).hexdigest())
        erasures = (source.collection_id, source.erase_version)
        with self._lock:
            kept = self._kept.get(key)
        if kept is not None and kept.erasures == erasures and (not again or kept.version == source.version):
            return kept.seen
        self._limits.check_rows(_rows(source))
        lanes = held_lanes(
            name,
            lambda _: source,
            self._engine,
            filters=filters,
            spend=lambda: Conditions(self._limits, deadline.check).spend,
            deadline=deadline,
        )
        # Sorted: the catalog's order may reveal an event that the caller cannot see.
        seen = (
            None
            if lanes is None
            else VisibleProperties(Schema(tuple(sorted(lanes, key=lambda lane: lane.path))))
        )
        with self._lock:
            self._kept[key] = _KeptSchema(erasures, source.version, seen)
            self._kept.move_to_end(key)
            while len(self._kept) > KEPT_MAX:
                self._kept.popitem(last=False)
        return seen

    def _all(self, project_id: str, name: str, schema: Schema) -> VisibleProperties:
        kept = self._whole.get((project_id, name))
        if kept is None or kept.schema is not schema:
            if len(self._whole) >= KEPT_MAX:
                self._whole = {}
            kept = self._whole[project_id, name] = VisibleProperties(schema)
        return kept

    def _near(self, project_id: str, name: str, filters: Sequence[Filter], deadline: Deadline) -> str | None:
        """The nearest name of a collection of which the caller sees events."""
        names = self._reader.collection_names(project_id, KNOWN_MAX)
        for _ in range(TRIES_MAX):
            similar = nearest(name, (one for one in names if one != name))
            if similar is None:
                return None
            source = self._reader.source(project_id, similar)
            if self._seen(project_id, similar, source, filters, deadline, again=True) is not None:
                return similar
            names.remove(similar)
        return None


def _rows(source: Source) -> int:
    tail = 0 if source.tail is None else source.tail.num_rows
    return tail + sum(file.rows for file in source.files)
