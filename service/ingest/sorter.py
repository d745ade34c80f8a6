"""Sorts the events of requests into those that are accepted and those that are refused.

Long texts and large lists are processed in the thread for bodies; the rest on the event loop, in turns.
"""

from __future__ import annotations

from concurrent.futures import Executor

from msgspec import Raw

from service.bodies import body_thread
from service.ingest.admission import (
    AcceptedEvent,
    AdmissionLimits,
    AdmissionResult,
    CollectionHandle,
    EventRefusal,
    NotParsed,
    Paths,
    check_collection_name,
    check_whole,
    count_first,
    sort_one,
    split_list,
    split_list_slowly,
)
from service.ingest.batches import CollectionBatch, Origin
from service.ingest.cooperative_yield import CooperativeYield
from service.ingest.enrich.enricher import Enricher, keeping
from service.ingest.errors import InvalidBatch
from service.threads import in_thread
from storage.events.strict_decoder import Checker
from storage.events.validation import Context, Enrich
from storage.schema import Schema


class Sorter:
    """Sorts events by the limits, without the catalog; collections that do not exist yet have no handle."""

    def __init__(self, limits: AdmissionLimits, enricher: Enricher, executor: Executor) -> None:
        self._limits = limits
        self._enricher = enricher
        self._executor = executor
        self._new = Checker(Schema(), limits.event)
        """The check of events of new collections."""

    async def sort_single(
        self, raw: bytes, handle: CollectionHandle | None, origin: Origin
    ) -> AcceptedEvent | EventRefusal:
        """The verdict on an event that came alone."""
        checker = handle.checker if handle else self._new
        context = await self._context(origin, raw)
        return await self._sort_event(0, raw, checker, context, Paths(self._limits.properties_max))

    async def sort(
        self, name: str, text: bytes, handle: CollectionHandle | None, origin: Origin, room: int, paths: Paths
    ) -> CollectionBatch:
        refusal = check_collection_name(name)
        if refusal is not None:
            count = len(await self._counted_items(text, room))
            return CollectionBatch(
                name, AdmissionResult(count, refused=dict.fromkeys(range(count), refusal)), None
            )
        checker = handle.checker if handle else self._new
        try:
            await self._count_first(text, room)
            whole = await self._whole(text, checker, room)
            if whole is not None:
                return CollectionBatch(name, whole, handle)
            items = await self._items(text, room)
        except NotParsed:
            items = await self._items_slowly(text, room)
        context = await self._context(origin, text)
        result = AdmissionResult(len(items))
        turn = CooperativeYield()
        for index, item in enumerate(items):
            await turn.over()
            outcome = await self._sort_event(index, bytes(item), checker, context, paths)
            if isinstance(outcome, EventRefusal):
                result.refused[index] = outcome
            else:
                result.ready.append(outcome)
        return CollectionBatch(name, result, handle)

    async def _sort_event(
        self, index: int, raw: bytes, checker: Checker, context: Context, paths: Paths
    ) -> AcceptedEvent | EventRefusal:
        """As ``sort_one``; a long event is processed in a thread."""
        large = len(raw) > body_thread.SLOW_INLINE_BYTES_MAX
        return await body_thread.call_if(large, sort_one, index, raw, checker, self._limits, context, paths)

    async def _context(self, origin: Origin, text: bytes) -> Context:
        """The context for examining events; add-on data is loaded first if ``text`` seems to use add-ons."""
        if b'"addons"' in text and self._enricher.must_prepare(text):
            await in_thread(self._executor, self._enricher.prepare, text)
        enrich: Enrich = self._enricher
        if origin.autofill is not None:
            enrich = keeping(self._enricher, origin.autofill)
        known = origin.context
        return Context(known.ip, known.user_agent, origin.received_us, enrich)

    async def check_lone_list(self, text: bytes, checker: Checker) -> AdmissionResult | None:
        """Accept the only list of a body if all of it passes the strict check. None otherwise: the body must
        then be split, and may not be a single list after all."""
        try:
            await self._count_first(text, self._limits.batch_events_max)
        except (NotParsed, InvalidBatch):
            return None
        return await self._whole(text, checker, self._limits.batch_events_max)

    async def _count_first(self, text: bytes, room: int) -> None:
        if len(text) > body_thread.INLINE_BYTES_MAX:
            await body_thread.call(count_first, text, room, self._limits.batch_events_max)

    async def _whole(self, text: bytes, checker: Checker, room: int) -> AdmissionResult | None:
        large = len(text) > body_thread.INLINE_BYTES_MAX
        return await body_thread.call_if(large, check_whole, text, checker, self._limits, room)

    async def _counted_items(self, text: bytes, room: int) -> list[Raw]:
        try:
            await self._count_first(text, room)
            return await self._items(text, room)
        except NotParsed:
            return await self._items_slowly(text, room)

    async def _items(self, text: bytes, room: int) -> list[Raw]:
        large = len(text) > body_thread.INLINE_BYTES_MAX
        return await body_thread.call_if(large, split_list, text, room, self._limits.batch_events_max)

    async def _items_slowly(self, text: bytes, room: int) -> list[Raw]:
        return await body_thread.call(split_list_slowly, text, room, self._limits.batch_events_max)
