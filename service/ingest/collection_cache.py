"""One worker's cache of collections: their ids, their lanes and the strict checks built from these.

The catalog is read in threads, never on the event loop, and concurrent requests for the same collection
share one read. ``CollectionCache`` returns only what is committed to the catalog, so everything that a frame
cites (a collection, a version of its lanes) is.
"""

from __future__ import annotations

import asyncio
import sys
import time
from collections.abc import Container, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import Executor
from functools import partial
from typing import TypeVar

from service.ingest.admission import CollectionHandle
from service.ingest.errors import CollectionDerived
from service.threads import in_thread
from storage.catalog.catalog import Catalog
from storage.catalog.errors import TooManyProperties
from storage.catalog.stored.records import Collection
from storage.events.strict_decoder import Checker
from storage.events.validation import EventLimits, Wanted
from storage.schema import LaneKind

_T = TypeVar("_T")

KNOWN_MAX = 4_000
"""Collections cached per worker: the check of two dozen properties takes 35 kilobytes."""
TOGETHER = 250
"""Collections whose checks one thread builds at a time: some tenths of a second."""
OUTDATED_SECONDS = 600.0
"""Nothing is logged if the cache was not refreshed for this long. The keeper removes a collection
``storage.keeper.freed_collections.FREED_SECONDS`` after its events were deleted, which is longer."""


class _Known:
    """Handles by project and name; those unused for longest are evicted.

    Two generations approximate an LRU order: a handle that is used is moved to the young generation, and
    when that is full the old one is dropped. A lookup thus costs little more than that of a dictionary.
    """

    def __init__(self, most: int) -> None:
        self._young_max = max(1, most // 2)
        self._young: dict[str, dict[str, CollectionHandle]] = {}
        self._old: dict[str, dict[str, CollectionHandle]] = {}
        self._count = 0

    def __len__(self) -> int:
        return sum(len(handles) for kept in (self._young, self._old) for handles in kept.values())

    def get(self, project_id: str, name: str) -> CollectionHandle | None:
        handles = self._young.get(project_id)
        handle = None if handles is None else handles.get(name)
        if handle is None and self._old:
            handles = self._old.get(project_id)
            handle = None if handles is None else handles.pop(name, None)
            if handle is not None:
                self.put(project_id, name, handle)
        return handle

    def put(self, project_id: str, name: str, handle: CollectionHandle) -> None:
        self.drop(project_id, name)
        if self._count >= self._young_max:
            self._young, self._old, self._count = {}, self._young, 0
        self._young.setdefault(project_id, {})[name] = handle
        self._count += 1

    def drop(self, project_id: str, name: str) -> None:
        if self._young.get(project_id, {}).pop(name, None) is not None:
            self._count -= 1
        self._old.get(project_id, {}).pop(name, None)

    def all(self) -> list[tuple[str, str, CollectionHandle]]:
        """(project, name, handle) of each cached collection."""
        return [
            (project_id, name, handle)
            for kept in (self._young, self._old)
            for project_id, handles in kept.items()
            for name, handle in handles.items()
        ]


class CollectionCache:
    """Collections by project and name. All methods belong to one event loop."""

    def __init__(
        self,
        catalog: Catalog,
        limits: EventLimits,
        properties_max: int,
        executor: Executor,
        known_max: int = KNOWN_MAX,
        *,
        collections_max: int = sys.maxsize,
    ) -> None:
        self._catalog = catalog
        self._limits = limits
        self._properties_max = properties_max
        self._collections_max = collections_max
        self._executor = executor
        self._known_max = known_max
        self._handles = _Known(known_max)
        self._lookups: dict[tuple[str, str, bool], asyncio.Task[CollectionHandle | None]] = {}
        self._wanted: dict[int, dict[tuple[str, LaneKind], None]] = {}
        self._adding: dict[int, asyncio.Task[None]] = {}
        self._version = -1
        self.valid_until = time.monotonic() + OUTDATED_SECONDS
        """Monotonic time until which events may be logged without another refresh."""

    def known(self, project_id: str, name: str) -> CollectionHandle | None:
        """The cached collection, without reading the catalog."""
        return self._handles.get(project_id, name)

    async def find(self, project_id: str, name: str) -> CollectionHandle | None:
        """The collection, or None if it does not exist."""
        return self.known(project_id, name) or await self._ask(project_id, name, create=False)

    async def find_anew(self, project_id: str, name: str) -> CollectionHandle | None:
        """As ``find``, but always read from the catalog."""
        return await self._ask(project_id, name, create=False)

    async def find_all(self, project_id: str, names: Iterable[str]) -> dict[str, CollectionHandle]:
        """The existing collections among ``names``, by name."""
        handles = {name: self.known(project_id, name) for name in names}
        unknown = [name for name, handle in handles.items() if handle is None]
        if len(unknown) == 1:
            handles[unknown[0]] = await self.find(project_id, unknown[0])
            unknown = []
        for part in _parts(unknown):
            rows = await in_thread(self._executor, partial(self._catalog.collections.named, project_id, part))
            handles |= await self._keep_all([row for row in rows if not row.freed])
        return {name: handle for name, handle in handles.items() if handle is not None}

    async def ensure_all(self, project_id: str, wanted: Mapping[str, Wanted]) -> dict[str, CollectionHandle]:
        """Create many collections and their lanes at once, as needed; the collections by name.

        A collection that would exceed the properties limit gets none of its new lanes. Collections beyond
        the project's limit are missing from the result.
        """
        limits = self._properties_max, self._collections_max
        collections = await in_thread(
            self._executor, lambda: self._catalog.collections.ensure_all(project_id, wanted, *limits)
        )
        handles: dict[str, CollectionHandle] = {}
        for part in _parts(collections):
            handles |= await self._keep_all(part)
        return handles

    async def ensure(self, project_id: str, name: str) -> CollectionHandle:
        """The collection, created if it does not exist. Raises TooManyCollections."""
        handle = self.known(project_id, name) or await self._ask(project_id, name, create=True)
        assert handle is not None
        return handle

    async def with_lanes(self, project_id: str, name: str, wanted: Wanted) -> CollectionHandle:
        """The collection, created if needed, once its schema has every lane in ``wanted``.

        Raises TooManyCollections, and TooManyProperties, after which the cached collection is up to date.
        """
        handle = await self.ensure(project_id, name)
        while missing := handle.checker.schema.missing(wanted):
            self._wanted.setdefault(handle.collection_id, {}).update(dict.fromkeys(missing))
            task = self._adding.get(handle.collection_id)
            if task is None:
                task = asyncio.ensure_future(self._add_all(handle.collection_id))
                self._adding[handle.collection_id] = task
            try:
                await asyncio.shield(task)
            except TooManyProperties:
                # The lanes of all waiting requests together are too many; this request's alone may fit.
                await self._look_up(project_id, name, create=False)
                await self._add(handle.collection_id, missing)
            finally:
                del task
            handle = await self.ensure(project_id, name)
        return handle

    async def refresh(self) -> None:
        """Apply what other processes changed: new lanes, and deleted collections."""
        if time.monotonic() > self.valid_until:
            # Collections may have been removed for good; no event may be logged for these.
            self._handles = _Known(self._known_max)
            self._version = -1
        known = {
            handle.collection_id: (project_id, name, handle)
            for project_id, name, handle in self._handles.all()
        }
        version, changed = await in_thread(self._executor, self._changed, known)
        for collection_id, now in changed.items():
            project_id, name, handle = known[collection_id]
            if now is None or now.freed or now.derived:
                self._handles.drop(project_id, name)
            elif now.schema.version > handle.checker.schema.version:
                await self._keep(now)
        self._version = version
        self.valid_until = time.monotonic() + OUTDATED_SECONDS

    def _changed(self, known: Container[int]) -> tuple[int, dict[int, Collection | None]]:
        """The data's version, and the cached collections changed since the last refresh, by id; None for one
        that no longer exists. Takes some µs if nothing has changed. Blocks."""
        collections = self._catalog.collections
        if self._catalog.versions().data == self._version:
            return self._version, {}
        version, ids = collections.changed_since(self._version)
        changed: dict[int, Collection | None] = {row_id: None for row_id in ids if row_id in known}
        changed |= {row.id: row for row in collections.by_ids(list(changed))}
        return version, changed

    async def _ask(self, project_id: str, name: str, *, create: bool) -> CollectionHandle | None:
        """Read the collection from the catalog; concurrent callers share one read."""
        key = (project_id, name, create)
        task = self._lookups.get(key)
        if task is None:
            task = asyncio.ensure_future(self._look_up(project_id, name, create=create))
            self._lookups[key] = task
            task.add_done_callback(lambda _: self._lookups.pop(key))
        try:
            return await asyncio.shield(task)
        finally:
            # The task's error refers to this stack frame; without this, the frame would refer back to it.
            del task

    async def _look_up(self, project_id: str, name: str, *, create: bool) -> CollectionHandle | None:
        catalog, limit = self._catalog, self._collections_max
        if create:
            return await self._keep(
                await in_thread(self._executor, catalog.collections.ensure, project_id, name, limit)
            )
        rows = await in_thread(self._executor, catalog.collections.named, project_id, [name])
        if rows and not rows[0].freed:
            return await self._keep(rows[0])
        self._handles.drop(project_id, name)
        return None

    async def _add_all(self, collection_id: int) -> None:
        """Add the lanes of all requests that wait for this collection."""
        lanes = list(self._wanted.pop(collection_id))
        try:
            await self._add(collection_id, lanes)
        finally:
            del self._adding[collection_id]

    async def _add(self, collection_id: int, wanted: Wanted) -> None:
        limit = self._properties_max
        await self._keep(
            await in_thread(
                self._executor, lambda: self._catalog.collections.add_lanes(collection_id, wanted, limit)
            )
        )

    async def _keep(self, collection: Collection) -> CollectionHandle:
        return (await self._keep_all([collection]))[collection.name]

    async def _keep_all(self, collections: Sequence[Collection]) -> dict[str, CollectionHandle]:
        """Cache the collections; their handles by name. Checks are built where none is cached. Raises
        CollectionDerived."""
        for one in collections:
            if one.derived:
                self._handles.drop(one.project_id, one.name)
                raise CollectionDerived(one.name)
        handles = {one.name: handle for one in collections if (handle := self._current(one)) is not None}
        new = [one for one in collections if one.name not in handles]
        if not new:
            return handles
        # Building a check of many lanes takes milliseconds.
        checkers = await in_thread(self._executor, lambda: [Checker(one.schema, self._limits) for one in new])
        for one, checker in zip(new, checkers, strict=True):
            handles[one.name] = handle = self._current(one) or CollectionHandle(one.id, checker)
            self._handles.put(one.project_id, one.name, handle)
        return handles

    def _current(self, collection: Collection) -> CollectionHandle | None:
        """The cached handle of the collection, if it is not older than ``collection``."""
        known = self._handles.get(collection.project_id, collection.name)
        if (
            known is not None
            and known.collection_id == collection.id
            and known.checker.schema.version >= collection.schema.version
        ):
            return known
        return None


def _parts(values: Sequence[_T]) -> Iterator[Sequence[_T]]:
    for start in range(0, len(values), TOGETHER):
        yield values[start : start + TOGETHER]
