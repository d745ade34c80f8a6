"""Results of cached datasets, read from what was computed beforehand.

Nothing computed before an erasure is ever used: what is kept says at which moment of the collection it was
computed, and every request looks whether that still is the moment.
"""

from __future__ import annotations

import time
from collections import OrderedDict
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
"""Of results as they were sent."""
STATES_MAX = 10_000

Moment = tuple[int, int]


@dataclass(frozen=True, slots=True)
class State:
    """A dataset as of one moment of the catalog."""

    dataset: Dataset
    definition: DatasetDefinition
    collection: Collection | None
    preferences: Preferences
    """Of its project, by which the definition is understood."""

    @property
    def moment(self) -> Moment:
        return moment_of(self.collection)

    @property
    def usable(self) -> bool:
        """Whether what was computed may be shown."""
        return self.dataset.moment == self.moment

    def holds_text(self, path: str) -> bool:
        """Whether any event ever had a text, or a list, at this property."""
        return holds_text(path, self.collection.schema.at(path) if self.collection is not None else ())


def holds_text(path: str, lanes: Iterable[Lane]) -> bool:
    """Whether one of the lanes is one of texts, or of lists, at this property."""
    if path in (TIMESTAMP, CREATED_AT, EVENT_ID):
        return True
    return any(lane.path == path and lane.kind in (LaneKind.STRING, LaneKind.JSON) for lane in lanes)


def moment_of(collection: Collection | None) -> Moment:
    """What changes with every erasure; results of different moments are never mixed."""
    if collection is None:
        return 0, 0
    return collection.id, collection.erase_version


class States:
    """Datasets by name, as of the newest versions of the catalog. Thread-safe."""

    def __init__(self, catalog: Catalog, preferences: ProjectPreferences | None = None) -> None:
        self._catalog = catalog
        self._preferences = preferences or ProjectPreferences(catalog)
        # Changed as one: threads that look at different versions must not mix what they found.
        self._held: tuple[tuple[int, ...], dict[tuple[str, str], State]] = (), {}
        """The versions of data and of what is derived, and what was read as of them."""
        self._seen: tuple[Marks, float, dict[tuple[str, str], State]] = (), float("-inf"), {}
        """The catalog's marks, when they were read, and what was current then."""

    def surely(self, project_id: str, name: str) -> State | None:
        """What is current as far as memory tells: for an event loop, which must not ask the catalog."""
        marks, at, known = self._seen
        if time.monotonic() - at > TRUSTED_SECONDS or self._catalog.mark(*Area) != marks:
            return None
        return known.get((project_id, name))

    def find(self, project_id: str, name: str) -> State | None:
        """What is known already; None where the catalog must be asked. Costs some µs, and a look at the
        project where tenants have changed."""
        versions, known = self._held
        found = known.get((project_id, name))
        if found is None or self._catalog.versions()[1:] != versions:
            return None
        return found if found.preferences == self._preferences.of(project_id) else None

    def current(self, project_id: str, name: str) -> State:
        """The dataset as of now. Raises UnknownDataset."""
        at, marks = time.monotonic(), self._catalog.mark(*Area)
        found = self.find(project_id, name) or self.load(project_id, name)
        seen_marks, _, known = self._seen
        if seen_marks != marks or len(known) >= STATES_MAX:
            known = {}
        known[(project_id, name)] = found
        self._seen = marks, at, known
        return found

    def load(self, project_id: str, name: str) -> State:
        """Asks the catalog. Raises UnknownDataset."""
        versions = self._catalog.versions()[1:]
        dataset = self._catalog.datasets.get(project_id, name)
        preferences = self._preferences.of(project_id)
        definition = datasets.stored(dataset, preferences)
        found = self._catalog.collections.named(project_id, [definition.collection])
        state = State(dataset, definition, found[0] if found else None, preferences)
        of, known = self._held
        if of != versions or len(known) >= STATES_MAX:
            known = {}
            self._held = versions, known
        known[(project_id, name)] = state
        return state


class Kept:
    """The newest results by what they are results of, up to so many bytes. Belongs to one event loop."""

    def __init__(self, bytes_max: int = KEPT_BYTES_MAX) -> None:
        self._bytes_max = bytes_max
        self._bytes = 0
        self._held: OrderedDict[object, bytes] = OrderedDict()

    def get(self, key: object) -> bytes | None:
        found = self._held.get(key)
        if found is not None:
            self._held.move_to_end(key)
        return found

    def put(self, key: object, result: bytes) -> None:
        if len(result) > self._bytes_max // 4:
            return
        self._bytes += len(result) - len(self._held.pop(key, b""))
        self._held[key] = result
        while self._bytes > self._bytes_max:
            self._bytes -= len(self._held.popitem(last=False)[1])


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
    wanted = _buckets_of(state.dataset, query.buckets.edges)
    if wanted is None:
        return None
    found = []
    for file, positions in wanted:
        try:
            payload = find_result(path_of(file), key)
        except ResultsDamaged:
            return None
        if payload is not None:
            found.append((payload, positions))
    return precomputed.arranged(query, found, limits=limits, reservation=reservation)


def _buckets_of(dataset: Dataset, edges: tuple[int, ...]) -> list[tuple[DatasetFile, dict[int, int]]] | None:
    """Each file with what it has of these buckets (start → position); None where one is in no file.

    What begins where the computed timeframe ends, or later, is empty if nothing was there at the last run;
    and a bucket that was cut by that end is then the whole of it.
    """
    ends = dict(pairwise(edges))
    positions = {start: position for position, start in enumerate(edges[:-1])}
    nothing_later = dataset.later == 0 and dataset.end_us is not None
    end_us = dataset.end_us or 0
    found = []
    for file in dataset.files:
        mine = {}
        for bucket in file.buckets:
            end = ends.get(bucket.start_us)
            if end is None or bucket.start_us not in positions:
                continue
            if end == bucket.end_us or (nothing_later and bucket.end_us == end_us and end > end_us):
                mine[bucket.start_us] = positions.pop(bucket.start_us)
        if mine:
            found.append((file, mine))
    if any(not (nothing_later and start >= end_us) for start in positions):
        return None
    return found
