"""What one worker knows of collections: their ids, their lanes and the strict check made of them.

The catalog is asked in threads, never on the event loop, and once for all requests that want the same.
What a frame cites (a collection, a version of its lanes) was committed before ``Homes`` hands it out.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from concurrent.futures import Executor
from typing import TypeVar

from service.admission import Home
from storage.catalog import Catalog
from storage.catalog_errors import TooManyProperties, UnknownCollection
from storage.catalog_records import Collection
from storage.decoder import Checker
from storage.events import EventLimits, Wanted
from storage.schema import LaneKind

_T = TypeVar("_T")


class Homes:
    """Collections by project and name. All methods belong to one event loop."""

    def __init__(
        self, catalog: Catalog, limits: EventLimits, properties_max: int, executor: Executor
    ) -> None:
        self._catalog = catalog
        self._limits = limits
        self._properties_max = properties_max
        self._executor = executor
        self._homes: dict[str, dict[str, Home]] = {}
        self._asking: dict[tuple[str, str, bool], asyncio.Task[Home | None]] = {}
        self._wanted: dict[int, dict[tuple[str, LaneKind], None]] = {}
        self._adding: dict[int, asyncio.Task[None]] = {}
        self._version = -1

    def known(self, project_id: str, name: str) -> Home | None:
        """The collection as last seen, without asking the catalog."""
        homes = self._homes.get(project_id)
        return None if homes is None else homes.get(name)

    async def find(self, project_id: str, name: str) -> Home | None:
        """The collection, or None where it does not exist."""
        return self.known(project_id, name) or await self._ask(project_id, name, create=False)

    async def ensure(self, project_id: str, name: str) -> Home:
        """The collection, created where it does not exist yet."""
        home = self.known(project_id, name) or await self._ask(project_id, name, create=True)
        assert home is not None
        return home

    async def with_lanes(self, project_id: str, name: str, wanted: Wanted) -> Home:
        """The collection, created where needed, once its schema has every wanted lane.

        Raises TooManyProperties; what is known of the collection is then up to date.
        """
        home = await self.ensure(project_id, name)
        while missing := home.checker.schema.missing(wanted):
            self._wanted.setdefault(home.collection_id, {}).update(dict.fromkeys(missing))
            task = self._adding.get(home.collection_id)
            if task is None:
                task = asyncio.ensure_future(self._add_all(home.collection_id))
                self._adding[home.collection_id] = task
            try:
                await asyncio.shield(task)
            except TooManyProperties:
                # All that were asked for together are too many; these alone may not be.
                await self._look_up(project_id, name, create=False)
                await self._add(home.collection_id, missing)
            home = await self.ensure(project_id, name)
        return home

    async def refresh(self) -> None:
        """Look at what others changed: new lanes, and collections that are no more."""
        version = await self._in_thread(self._catalog.version)
        if version == self._version:
            return
        collections = {c.id: c for c in await self._in_thread(self._catalog.all_collections)}
        for homes in self._homes.values():
            for name, home in list(homes.items()):
                now = collections.get(home.collection_id)
                if now is None or now.generation != home.generation:
                    del homes[name]
                elif now.schema.version > home.checker.schema.version:
                    await self._keep(now)
        self._version = version

    async def _ask(self, project_id: str, name: str, *, create: bool) -> Home | None:
        """One question to the catalog for all who ask at the same time."""
        key = (project_id, name, create)
        task = self._asking.get(key)
        if task is None:
            task = asyncio.ensure_future(self._look_up(project_id, name, create=create))
            self._asking[key] = task
            task.add_done_callback(lambda _: self._asking.pop(key))
        return await asyncio.shield(task)

    async def _look_up(self, project_id: str, name: str, *, create: bool) -> Home | None:
        look = self._catalog.ensure_collection if create else self._catalog.collection
        try:
            return await self._keep(await self._in_thread(lambda: look(project_id, name)))
        except UnknownCollection:
            self._homes.get(project_id, {}).pop(name, None)
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
        await self._keep(await self._in_thread(lambda: self._catalog.add_lanes(collection_id, wanted, limit)))

    async def _keep(self, collection: Collection) -> Home:
        homes = self._homes.setdefault(collection.project_id, {})
        old = homes.get(collection.name)
        if (
            old is not None
            and (old.collection_id, old.generation) == (collection.id, collection.generation)
            and old.checker.schema.version >= collection.schema.version
        ):
            return old
        # Building a check of many lanes takes milliseconds.
        checker = await self._in_thread(lambda: Checker(collection.schema, self._limits))
        home = Home(collection.id, collection.generation, checker)
        homes[collection.name] = home
        return home

    async def _in_thread(self, call: Callable[[], _T]) -> _T:
        loop = asyncio.get_running_loop()
        return await loop.run_in_executor(self._executor, call)
