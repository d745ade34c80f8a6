"""What one worker knows of collections: their ids, their lanes and the strict check made of them.

The catalog is asked in threads, never on the event loop, and once for all requests that want the same.
What a frame cites (a collection, a version of its lanes) was committed before ``CollectionCache`` gives it
out.
"""

from __future__ import annotations

import asyncio
import sys
import time
from collections.abc import Callable, Container, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import Executor
from functools import partial
from typing import TypeVar

from service.ingest.admission import CollectionHandle
from storage.catalog.catalog import Catalog
from storage.catalog.errors import TooManyProperties
from storage.catalog.stored.records import Collection
from storage.events.strict_decoder import Checker
from storage.events.validation import EventLimits, Wanted
from storage.schema import LaneKind

_T = TypeVar("_T")

KNOWN_MAX = 4_000
"""Collections that a worker knows at most: the check of two dozen properties takes 35 kilobytes."""
TOGETHER = 250
"""Collections whose checks one thread builds at a time: some tenths of a second."""
OUTDATED_SECONDS = 600.0
"""After so long without a look at the catalog nothing is logged: the keeper removes a collection
``storage.keeper.keeper.FREED_SECONDS`` after its events were deleted, which is longer."""


class _Known:
    """Homes by project and name, of which the ones longest unused are let go.

    Two halves instead of an order: what is used is found at once in the young one or brought there, and
    where that is full the old one goes. So looking up costs what a dictionary costs.
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
        """(project, name, home) of each."""
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
        self._query_service: dict[tuple[str, str, bool], asyncio.Task[CollectionHandle | None]] = {}
        self._wanted: dict[int, dict[tuple[str, LaneKind], None]] = {}
        self._adding: dict[int, asyncio.Task[None]] = {}
        self._version = -1
        self.valid_until = time.monotonic() + OUTDATED_SECONDS
        """Until when events may be logged without another look at the catalog."""

    def known(self, project_id: str, name: str) -> CollectionHandle | None:
        """The collection as last seen, without asking the catalog."""
        return self._handles.get(project_id, name)

    async def find(self, project_id: str, name: str) -> CollectionHandle | None:
        """The collection, or None where it does not exist."""
        return self.known(project_id, name) or await self._ask(project_id, name, create=False)

    async def find_anew(self, project_id: str, name: str) -> CollectionHandle | None:
        """As ``find``, as the catalog has it now."""
        return await self._ask(project_id, name, create=False)

    async def find_all(self, project_id: str, names: Iterable[str]) -> dict[str, CollectionHandle]:
        """Those of the collections that exist, by name."""
        found = {name: self.known(project_id, name) for name in names}
        unknown = [name for name, handle in found.items() if handle is None]
        if len(unknown) == 1:
            found[unknown[0]] = await self.find(project_id, unknown[0])
            unknown = []
        for some in _some(unknown):
            there = await self._in_thread(partial(self._catalog.collections.named, project_id, some))
            found |= await self._keep_all([one for one in there if not one.freed])
        return {name: handle for name, handle in found.items() if handle is not None}

    async def ensure_all(self, project_id: str, wanted: Mapping[str, Wanted]) -> dict[str, CollectionHandle]:
        """The collections by name, with their lanes, created where they do not exist: many at once.

        One that would have too many properties lacks those that are new; those that the project may not have
        are missing.
        """
        most = self._properties_max, self._collections_max
        made = await self._in_thread(lambda: self._catalog.collections.ensure_all(project_id, wanted, *most))
        found: dict[str, CollectionHandle] = {}
        for some in _some(made):
            found |= await self._keep_all(some)
        return found

    async def ensure(self, project_id: str, name: str) -> CollectionHandle:
        """The collection, created where it does not exist yet. Raises TooManyCollections."""
        handle = self.known(project_id, name) or await self._ask(project_id, name, create=True)
        assert handle is not None
        return handle

    async def with_lanes(self, project_id: str, name: str, wanted: Wanted) -> CollectionHandle:
        """The collection, created where needed, once its schema has every wanted lane.

        Raises TooManyCollections, or TooManyProperties: what is known of the collection is up to date then.
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
                # All that were asked for together are too many; these alone may not be.
                await self._look_up(project_id, name, create=False)
                await self._add(handle.collection_id, missing)
            finally:
                del task
            handle = await self.ensure(project_id, name)
        return handle

    async def refresh(self) -> None:
        """Look at what others changed: new lanes, and collections that are no more."""
        if time.monotonic() > self.valid_until:
            # Some may have been removed for good, with which no event may be logged.
            self._handles = _Known(self._known_max)
            self._version = -1
        known = {
            handle.collection_id: (project_id, name, handle)
            for project_id, name, handle in self._handles.all()
        }
        version, changed = await self._in_thread(lambda: self._changed(known))
        for collection_id, now in changed.items():
            project_id, name, handle = known[collection_id]
            if now is None or now.freed:
                self._handles.drop(project_id, name)
            elif now.schema.version > handle.checker.schema.version:
                await self._keep(now)
        self._version = version
        self.valid_until = time.monotonic() + OUTDATED_SECONDS

    def _changed(self, known: Container[int]) -> tuple[int, dict[int, Collection | None]]:
        """The data's version, and which of these collections have changed since the last look: id → as it is
        now, None where it is no more. Costs some µs where nothing has changed. Blocks."""
        collections = self._catalog.collections
        if self._catalog.versions().data == self._version:
            return self._version, {}
        version, ids = collections.changed_since(self._version)
        changed: dict[int, Collection | None] = {one: None for one in ids if one in known}
        changed |= {one.id: one for one in collections.by_ids(list(changed))}
        return version, changed

    async def _ask(self, project_id: str, name: str, *, create: bool) -> CollectionHandle | None:
        """One question to the catalog for all who ask at the same time."""
        key = (project_id, name, create)
        task = self._query_service.get(key)
        if task is None:
            task = asyncio.ensure_future(self._look_up(project_id, name, create=create))
            self._query_service[key] = task
            task.add_done_callback(lambda _: self._query_service.pop(key))
        try:
            return await asyncio.shield(task)
        finally:
            # Its error leads to this frame, which would lead back to it.
            del task

    async def _look_up(self, project_id: str, name: str, *, create: bool) -> CollectionHandle | None:
        catalog, most = self._catalog, self._collections_max
        if create:
            return await self._keep(
                await self._in_thread(lambda: catalog.collections.ensure(project_id, name, most))
            )
        found = await self._in_thread(lambda: catalog.collections.named(project_id, [name]))
        if found and not found[0].freed:
            return await self._keep(found[0])
        self._handles.drop(project_id, name)
        return None

    async def _add_all(self, collection_id: int) -> None:
        """Add the lanes that all requests wait for."""
        wanted = list(self._wanted.pop(collection_id))
        try:
            await self._add(collection_id, wanted)
        finally:
            del self._adding[collection_id]

    async def _add(self, collection_id: int, wanted: Wanted) -> None:
        limit = self._properties_max
        await self._keep(
            await self._in_thread(lambda: self._catalog.collections.add_lanes(collection_id, wanted, limit))
        )

    async def _keep(self, collection: Collection) -> CollectionHandle:
        return (await self._keep_all([collection]))[collection.name]

    async def _keep_all(self, collections: Sequence[Collection]) -> dict[str, CollectionHandle]:
        """By name: as known already, or with a check that is built now."""
        found = {one.name: handle for one in collections if (handle := self._current(one)) is not None}
        new = [one for one in collections if one.name not in found]
        if not new:
            return found
        # Building a check of many lanes takes milliseconds.
        checkers = await self._in_thread(lambda: [Checker(one.schema, self._limits) for one in new])
        for one, checker in zip(new, checkers, strict=True):
            found[one.name] = handle = self._current(one) or CollectionHandle(one.id, checker)
            self._handles.put(one.project_id, one.name, handle)
        return found

    def _current(self, collection: Collection) -> CollectionHandle | None:
        """What is known of the collection, if that is no older."""
        known = self._handles.get(collection.project_id, collection.name)
        if (
            known is not None
            and known.collection_id == collection.id
            and known.checker.schema.version >= collection.schema.version
        ):
            return known
        return None

    async def _in_thread(self, call: Callable[[], _T]) -> _T:
        loop = asyncio.get_running_loop()
        return await loop.run_in_executor(self._executor, call)


def _some(values: Sequence[_T]) -> Iterator[Sequence[_T]]:
    for start in range(0, len(values), TOGETHER):
        yield values[start : start + TOGETHER]
