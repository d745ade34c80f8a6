"""Results of cached datasets, read from files computed beforehand.

Nothing computed before an erasure is ever used: results record the erasure state (``Moment``) of the
collection, and every request checks that it is still the present one.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path

from query.answers import precomputed
from query.engine.memory_budget import Reservation
from query.language.nodes import MetricQuery
from query.language.preferences import Preferences
from query.limits import Limits
from service.datasets import definition as datasets
from service.datasets.definition import DatasetDefinition
from service.queries.project_preferences import ProjectPreferences
from storage.catalog.catalog import Catalog
from storage.catalog.database.change_mark import Marks
from storage.catalog.database.versions import Area
from storage.catalog.derived.records import Dataset, DatasetFile
from storage.catalog.stored.records import Collection
from storage.files.dataset_file import ResultsDamaged, find_result
from storage.read.snapshot_reader import TRUSTED_SECONDS
from storage.schema import CREATED_AT, EVENT_ID, TIMESTAMP, Lane, LaneKind

KEPT_BYTES_MAX = 32 << 20
"""Bytes of results kept as they were sent."""
STATES_MAX = 10_000

Moment = tuple[int, int]


@dataclass(frozen=True, slots=True)
class State:
    """A dataset as of one version of the catalog."""

    dataset: Dataset
    definition: DatasetDefinition
    collection: Collection | None
    preferences: Preferences
    """The project's preferences, by which the definition is read."""

    @property
    def moment(self) -> Moment:
        return moment_of(self.collection)

    @property
    def usable(self) -> bool:
        """Whether the computed results may be shown."""
        return self.dataset.moment == self.moment

    def holds_text(self, path: str) -> bool:
        """Whether any event ever had a text or a list in this property."""
        return holds_text(path, self.collection.schema.at(path) if self.collection is not None else ())


def holds_text(path: str, lanes: Iterable[Lane]) -> bool:
    """Whether the property has a lane of texts or of lists."""
    if path in (TIMESTAMP, CREATED_AT, EVENT_ID):
        return True
    return any(lane.path == path and lane.kind in (LaneKind.STRING, LaneKind.JSON) for lane in lanes)


def moment_of(collection: Collection | None) -> Moment:
    """A value that changes with every erasure; results of different moments are never mixed."""
    if collection is None:
        return 0, 0
    return collection.id, collection.erase_version


class States:
    """Datasets by name, as of the newest versions of the catalog. Thread-safe."""

    def __init__(self, catalog: Catalog, preferences: ProjectPreferences | None = None) -> None:
        self._catalog = catalog
        self._preferences = preferences or ProjectPreferences(catalog)
        # Replaced as a whole: threads that see different versions must not mix their results.
        self._cached: tuple[tuple[int, ...], dict[tuple[str, str], State]] = (), {}
        """The versions of the data and derived areas, and the states read as of them."""
        self._current: tuple[Marks, float, dict[tuple[str, str], State]] = (), float("-inf"), {}
        """The catalog's marks, when they were read, and the states that were current then."""

    def surely(self, project_id: str, name: str) -> State | None:
        """The present state, or None where the catalog must be read, which an event loop must not do."""
        marks, at, known = self._current
        if time.monotonic() - at > TRUSTED_SECONDS or self._catalog.mark(*Area) != marks:
            return None
        return known.get((project_id, name))

    def find(self, project_id: str, name: str) -> State | None:
        """The cached state; None where the catalog must be read.

        Takes some µs, and a read of the project where tenants have changed.
        """
        versions, known = self._cached
        state = known.get((project_id, name))
        if state is None or self._catalog.versions()[1:3] != versions:
            return None
        return state if state.preferences == self._preferences.of(project_id) else None

    def current(self, project_id: str, name: str) -> State:
        """The dataset as of now. Raises UnknownDataset."""
        at, marks = time.monotonic(), self._catalog.mark(*Area)
        state = self.find(project_id, name) or self.load(project_id, name)
        seen_marks, _, known = self._current
        if seen_marks != marks or len(known) >= STATES_MAX:
            known = {}
        known[(project_id, name)] = state
        self._current = marks, at, known
        return state

    def load(self, project_id: str, name: str) -> State:
        """The dataset, read from the catalog. Raises UnknownDataset."""
        versions = self._catalog.versions()[1:3]
        dataset = self._catalog.datasets.get(project_id, name)
        preferences = self._preferences.of(project_id)
        definition = datasets.stored(dataset, preferences)
        collections = self._catalog.collections.named(project_id, [definition.collection])
        state = State(dataset, definition, collections[0] if collections else None, preferences)
        known_versions, known = self._cached
        if known_versions != versions or len(known) >= STATES_MAX:
            known = {}
            self._cached = versions, known
        known[(project_id, name)] = state
        return state


def stored_result(
    state: State,
    query: MetricQuery,
    key: bytes,
    path_of: Callable[[DatasetFile], Path],
    limits: Limits,
    reservation: Reservation,
) -> bytes | None:
    """The JSON of ``result`` for the query's buckets; None where not all of them were computed.

    Raises FileNotFoundError where a later run has replaced the files, QueryLimitExceeded.
    """
    if not state.usable or query.buckets is None:
        return None
    shares = _buckets_of(state.dataset, query.buckets.edges)
    if shares is None:
        return None
    payloads = []
    for file, positions in shares:
        try:
            payload = find_result(path_of(file), key)
        except ResultsDamaged:
            return None
        if payload is not None:
            payloads.append((payload, positions))
    return precomputed.arranged(query, payloads, limits=limits, reservation=reservation)


def _buckets_of(dataset: Dataset, edges: tuple[int, ...]) -> list[tuple[DatasetFile, dict[int, int]]] | None:
    """Each file with its share of these buckets (start → position); None where a bucket is in no file.

    Buckets that begin at the end of the computed timeframe or later are empty if the last run found no events
    there; a bucket that was cut off by that end then counts as complete.
    """
    ends = dict(pairwise(edges))
    positions = {start: position for position, start in enumerate(edges[:-1])}
    nothing_later = dataset.later == 0 and dataset.end_us is not None
    end_us = dataset.end_us or 0
    shares = []
    for file in dataset.files:
        share = {}
        for bucket in file.buckets:
            end = ends.get(bucket.start_us)
            if end is None or bucket.start_us not in positions:
                continue
            if end == bucket.end_us or (nothing_later and bucket.end_us == end_us and end > end_us):
                share[bucket.start_us] = positions.pop(bucket.start_us)
        if share:
            shares.append((file, share))
    if any(not (nothing_later and start >= end_us) for start in positions):
        return None
    return shares
