"""Ingestion of events: from JSON text to durable frames, with a verdict on each event.

Independent of HTTP: requests and imported files use the same code. One ``Ingestor`` serves one log and one
event loop. It answers a submit only once everything that the answer states is synced: the submit's own
frame, and the frame of every earlier event with one of its tokens.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Iterable, Mapping
from concurrent.futures import Executor
from dataclasses import dataclass
from time import monotonic
from typing import Protocol, cast

from service.bodies import body_thread
from service.ingest import kept_answers
from service.ingest.admission import (
    AcceptedEvent,
    AdmissionLimits,
    AdmissionResult,
    CollectionHandle,
    EventRefusal,
    NotParsed,
    Paths,
    PropertyBudget,
    check_collection_name,
    lone_list,
    sections,
    split_batch,
    split_batch_slowly,
    whole_section,
)
from service.ingest.autofill import share_of
from service.ingest.batches import BatchVerdicts, CollectionBatch, Origin
from service.ingest.collection_cache import CollectionCache
from service.ingest.cooperative_yield import CooperativeYield
from service.ingest.deduplication import Deduplicator, IdempotencyKey, Token
from service.ingest.enrich.enricher import Enricher
from service.ingest.errors import EventRefused, IngestUnavailable, KeyReused
from service.ingest.sorter import Sorter
from service.ingest.token_batches import TokenBatch, claim_request
from storage.catalog.catalog import Catalog
from storage.catalog.errors import TooManyCollections, TooManyProperties
from storage.catalog.stored.records import Claim
from storage.columns.rowwise_shredder import wanted_of
from storage.errors import StorageError
from storage.events.validation import Wanted
from storage.log.errors import Backpressure, LogUnavailable
from storage.log.format import Batch, Section
from storage.log.writer import LogWriter
from storage.schema import Schema

_log = logging.getLogger("acumen.collect")

CLOSED_RETRY_SECONDS = 5
INLINE_EVENTS_MAX = 5_000
"""Above this number of events, verdicts are packed and unpacked in a thread."""
REFUSAL_TEXT_MAX = 1_000_000
"""Characters of all descriptions in one answer."""
NOT_EXPLAINED = "Refused. The reason is left out of this long answer: send the event alone to see it."
NO_LANES = Schema()
"""The schema of a collection that does not exist yet."""


class FrameWaiter(Protocol):
    """Receives the outcome of a frame, on the event loop."""

    def settle(self, error: Exception | None) -> None: ...


Waiter = asyncio.Future[None] | FrameWaiter


def waker(loop: asyncio.AbstractEventLoop) -> Callable[[list[object], Exception | None], None]:
    """Make the ``on_synced`` of a log whose waiters belong to ``loop``: one wake-up for a whole group."""

    def resolve(waiters: list[object], error: Exception | None) -> None:
        for waiter in waiters:
            if not isinstance(waiter, asyncio.Future):
                try:
                    cast("FrameWaiter", waiter).settle(error)
                except Exception:
                    _log.exception("A request could not be answered after its frame was synced or failed.")
            elif waiter.done():
                continue
            elif error is None:
                waiter.set_result(None)
            else:
                waiter.set_exception(error)

    def on_synced(waiters: list[object], error: Exception | None) -> None:
        try:
            loop.call_soon_threadsafe(resolve, waiters, error)
        except RuntimeError:
            # The loop is closed: no request waits any more, and synced frames stay synced.
            pass

    return on_synced


class Ingestor:
    """Ingests events into one log. All methods belong to one event loop."""

    def __init__(
        self,
        catalog: Catalog,
        log: LogWriter,
        limits: AdmissionLimits,
        *,
        claims: Deduplicator,
        executor: Executor,
        enricher: Enricher | None = None,
    ) -> None:
        self._loop = asyncio.get_running_loop()
        self._log = log
        self.limits = limits
        self._executor = executor
        self._claims = claims
        self._sorter = Sorter(limits, enricher or Enricher(), executor)
        self.handles = CollectionCache(
            catalog,
            limits.event,
            limits.properties_max,
            executor,
            collections_max=limits.collections_max,
        )
        self._release_due = False
        self.closed_because: str | None = None
        """Why events are refused at present (a full disk, a keeper far behind); None while open."""

    def log_fast(self, project_id: str, name: str, raw: bytes, received_us: int, waiter: Waiter) -> bool:
        """Log one event that passes its collection's strict check and holds no token.

        The waiter is notified once the event is durable, or of a LogUnavailable. Returns False, with nothing
        logged, if the event needs ``submit_one``. Raises IngestUnavailable.
        """
        handle = self.handles.known(project_id, name)
        if handle is None:
            return False
        checked = handle.checker.check(raw)
        if checked is None or checked.tokens is not None or len(raw) > self.limits.event_bytes_max:
            return False
        self._append(Batch(received_us, [whole_section(handle, checked, received_us)]), waiter)
        return True

    async def submit_one(self, project_id: str, name: str, raw: bytes, origin: Origin) -> int:
        """Ingest one event; the number of duplicates (0 or 1) once it is durable. Raises IngestError."""
        refusal = check_collection_name(name)
        if refusal is not None:
            raise EventRefused(refusal.name, refusal.description)
        handle = await self._find(project_id, name)
        outcome = await self._sorter.sort_single(raw, handle, origin)
        if isinstance(outcome, EventRefusal):
            raise EventRefused(outcome.name, outcome.description)
        share = CollectionBatch(name, AdmissionResult(1, ready=[outcome]), handle)
        await self._settle(project_id, share)
        if (refused := share.sorted.refused.get(0)) is not None:
            raise EventRefused(refused.name, refused.description)
        return (await self._log_shares(project_id, [share], origin)).duplicates

    async def submit_body(self, project_id: str, body: bytes, origin: Origin) -> BatchVerdicts:
        """As ``submit``, for a bulk body: an object of lists of events."""
        large, events_max = len(body) > body_thread.INLINE_BYTES_MAX, self.limits.batch_events_max
        lone = await body_thread.call_if(large, lone_list, body)
        if lone is not None:
            name, text = lone
            handle = self.handles.known(project_id, name)
            whole = None if handle is None else await self._sorter.check_lone_list(text, handle.checker)
            if whole is not None and whole.taken:
                return await self._log_verdicts(project_id, [CollectionBatch(name, whole, handle)], origin)
        try:
            batches = await body_thread.call_if(large, split_batch, body, events_max)
        except NotParsed:
            batches = await body_thread.call(split_batch_slowly, body, events_max)
        return await self.submit(project_id, batches, origin)

    async def submit(self, project_id: str, batches: Mapping[str, bytes], origin: Origin) -> BatchVerdicts:
        """Ingest lists of events (collection name → JSON array) as one frame; the verdicts once durable.

        Raises IngestError, with nothing of the submit stored. After IngestUnavailable, however, its events
        may be stored, once, like those of any request whose answer was lost.
        """
        shares = await self._sort_all(project_id, batches, origin)
        await self._settle_new(project_id, shares)
        turn = CooperativeYield()
        for share in shares:
            await turn.over()
            if share.sorted.taken and not self._is_settled(share):
                await self._settle(project_id, share)
        return await self._log_verdicts(project_id, shares, origin)

    async def _log_verdicts(
        self, project_id: str, shares: list[CollectionBatch], origin: Origin
    ) -> BatchVerdicts:
        """Log the accepted events; the verdict on each event once these are durable."""
        verdicts, turn = BatchVerdicts(), CooperativeYield()
        for share in shares:
            await turn.over()
            verdicts.counts[share.name] = share.sorted.count
            if share.sorted.refused:
                verdicts.refused[share.name] = found = {}
                for index, refusal in share.sorted.refused.items():
                    await turn.over()
                    found[index] = refusal.for_bulk()
        taken = [share for share in shares if share.sorted.taken]
        if not taken:
            return await _shortened(verdicts)
        many, response = sum(verdicts.counts.values()) > INLINE_EVENTS_MAX, b""
        if origin.idempotency_key:
            response = await body_thread.call_if(many, kept_answers.packed, shares)
        logged = await self._log_shares(project_id, taken, origin, response)
        if logged.response is not None:
            verdicts.refused = await body_thread.call_if(many, kept_answers.refused, logged.response, shares)
        verdicts.duplicates = logged.duplicates
        return await _shortened(verdicts)

    async def _sort_all(
        self, project_id: str, batches: Mapping[str, bytes], origin: Origin
    ) -> list[CollectionBatch]:
        shares: list[CollectionBatch] = []
        room, paths = self.limits.batch_events_max, Paths(self.limits.properties_max)
        handles = await self._find_all(project_id, batches)
        turn = CooperativeYield()
        for name, text in batches.items():
            await turn.over()
            share = await self._sorter.sort(name, text, handles.get(name), origin, room, paths)
            room -= share.sorted.count
            shares.append(share)
        return shares

    async def _find(self, project_id: str, name: str) -> CollectionHandle | None:
        try:
            return await self.handles.find(project_id, name)
        except StorageError as error:
            raise IngestUnavailable("The catalog does not answer. Send the request again.") from error

    async def _find_all(self, project_id: str, names: Iterable[str]) -> dict[str, CollectionHandle]:
        try:
            good = [name for name in names if check_collection_name(name) is None]
            return await self.handles.find_all(project_id, good)
        except StorageError as error:
            raise IngestUnavailable("The catalog does not answer. Send the request again.") from error

    async def _settle_new(self, project_id: str, shares: list[CollectionBatch]) -> None:
        """If a request names several new collections, create them and their lanes all at once."""
        lanes_by_name: dict[str, Wanted] = {}
        turn = CooperativeYield()
        for share in shares:
            await turn.over()
            if share.handle is None and share.sorted.taken:
                await self._refuse_beyond_properties(share.sorted, NO_LANES)
                if share.sorted.taken:
                    lanes_by_name[share.name] = share.sorted.wanted()
        if len(lanes_by_name) < 2:
            return
        try:
            handles = await self.handles.ensure_all(project_id, lanes_by_name)
        except StorageError as error:
            raise IngestUnavailable("The catalog does not answer. Send the request again.") from error
        for share in shares:
            await turn.over()
            handle = handles.get(share.name)
            if handle is None:
                if share.name in lanes_by_name:
                    share.sorted.refuse_all(self.limits.no_collection(share.name))
            elif not handle.checker.schema.missing(lanes_by_name[share.name]):
                share.handle = handle

    async def _settle(self, project_id: str, share: CollectionBatch) -> None:
        """Ensure that the collection and every lane of the share's events are in the catalog."""
        result, checked_by = share.sorted, share.handle
        try:
            while True:
                handle = await self.handles.find(project_id, share.name)
                schema = handle.checker.schema if handle else NO_LANES
                if handle is not None and not await self._fits(result, schema):
                    # Properties may have been removed, with the events that had them, since it was cached.
                    handle = await self.handles.find_anew(project_id, share.name)
                    schema = handle.checker.schema if handle else NO_LANES
                await self._refuse_beyond_properties(result, schema)
                if not result.taken:
                    return
                try:
                    handle = await self.handles.with_lanes(project_id, share.name, result.wanted())
                    if checked_by is not None and handle.lacks_lanes_of(checked_by):
                        # Lanes of known properties may have been removed since these events passed the
                        # strict check, which lists no lanes.
                        await self._list_all_lanes(result)
                        checked_by = handle
                        continue
                    share.handle = handle
                    return
                except TooManyCollections:
                    result.refuse_all(self.limits.no_collection(share.name))
                    return
                except TooManyProperties:
                    # Other requests added properties meanwhile: decide again with the current schema.
                    continue
        except StorageError as error:
            raise IngestUnavailable("The catalog does not answer. Send the request again.") from error

    def _is_settled(self, share: CollectionBatch) -> bool:
        """Whether the collection and all lanes that the share's section refers to are in the catalog."""
        return share.handle is not None and not share.handle.checker.schema.missing(share.sorted.wanted())

    async def _list_all_lanes(self, result: AdmissionResult) -> None:
        """List the lanes of every event, also of those that passed the strict check."""
        turn = CooperativeYield()
        for event in result.ready:
            await turn.over()
            if not event.wanted:
                large = len(event.line) > body_thread.SLOW_INLINE_BYTES_MAX
                event.wanted = await body_thread.call_if(large, wanted_of, event.line)

    async def _fits(self, result: AdmissionResult, schema: Schema) -> bool:
        """Whether the collection has room for the properties of all of the events."""
        room, turn = PropertyBudget(schema, self.limits.properties_max), CooperativeYield()
        for event in result.ready:
            await turn.over()
            if not room.has(event):
                return False
        return True

    async def _refuse_beyond_properties(self, result: AdmissionResult, schema: Schema) -> None:
        room, taken, turn = (
            PropertyBudget(schema, self.limits.properties_max),
            list[AcceptedEvent](),
            CooperativeYield(),
        )
        for event in result.ready:
            await turn.over()
            outcome = room.take(event)
            if isinstance(outcome, EventRefusal):
                result.refused[event.index] = outcome
            else:
                taken.append(outcome)
        result.ready = taken

    async def _log_shares(
        self, project_id: str, shares: list[CollectionBatch], origin: Origin, response: bytes = b""
    ) -> _Logged:
        """Log the accepted events as one frame; returns once it is durable."""
        tokens = any(share.sorted.holds_tokens for share in shares)
        if tokens or origin.idempotency_key:
            return await self._log_claimed(project_id, shares, origin, response)
        future: asyncio.Future[None] = self._loop.create_future()
        self._append(Batch(origin.received_us, _sections(shares, origin.received_us)), future)
        await synced(future)
        return _Logged()

    async def _log_claimed(
        self, project_id: str, shares: list[CollectionBatch], origin: Origin, response: bytes
    ) -> _Logged:
        self._check_open()
        unlogged = sum(share.sorted.taken for share in shares)
        within = "" if origin.autofill is None else share_of(origin.autofill)
        cited = [TokenBatch.of(share, within) for share in shares]
        key = None
        if origin.idempotency_key:
            key = IdempotencyKey(project_id, origin.idempotency_key, origin.digest, response, within)
        earlier: Claim | None = None
        while True:
            outcome = await self._claims.settle(claim_request(project_id, cited, origin.received_us, key))
            unlogged -= outcome.logged
            winners = [*outcome.lost, outcome.earlier] if outcome.earlier else outcome.lost
            voided = await self._claims.await_winners(winners)
            if outcome.earlier is not None:
                assert key is not None
                if outcome.earlier in voided:
                    continue
                if outcome.earlier.digest != key.digest:
                    raise KeyReused
                # The first request may have died after logging its frame, before it took over a token whose
                # winner died too. So the tokens are settled again; the rest of the request is stored.
                earlier, key = outcome.earlier, None
                left = {token for share in cited for token in share.tokens}
            else:
                left = {Token(claim.scope, claim.token) for claim in voided}
            cited = [share.only(left) for share in cited]
            if not left:
                return _Logged(None if earlier is None else earlier.response, unlogged)

    def _append(self, batch: Batch, waiter: Waiter) -> None:
        if self.closed_because is not None or monotonic() > self.handles.valid_until:
            self._check_open()
        try:
            self._log.append(batch, waiter, hold=True)
        except Backpressure as error:
            raise IngestUnavailable(
                "The server receives more than it can store. Send the request again later."
            ) from error
        except LogUnavailable as error:
            raise IngestUnavailable("The events could not be stored. Send them again.") from error
        if not self._release_due:
            # Runs after all requests that have already arrived, so that one sync covers them together.
            self._release_due = True
            self._loop.call_soon(self._release)

    def _release(self) -> None:
        self._release_due = False
        self._log.release()

    def _check_open(self) -> None:
        if self.closed_because is not None:
            raise IngestUnavailable(self.closed_because, CLOSED_RETRY_SECONDS)
        if monotonic() > self.handles.valid_until:
            raise IngestUnavailable(
                "The catalog has not answered for too long. Send the request again.", CLOSED_RETRY_SECONDS
            )


async def _shortened(verdicts: BatchVerdicts) -> BatchVerdicts:
    """Replace the last descriptions by NOT_EXPLAINED where all together exceed REFUSAL_TEXT_MAX."""
    left, turn = REFUSAL_TEXT_MAX, CooperativeYield()
    for refused in verdicts.refused.values():
        for index, refusal in refused.items():
            await turn.over()
            left -= len(refusal.description)
            if left < 0:
                refused[index] = EventRefusal(refusal.name, NOT_EXPLAINED)
    return verdicts


@dataclass(frozen=True, slots=True)
class _Logged:
    response: bytes | None = None
    """The answer kept with the idempotency key if it was used before; nothing is logged again then."""
    duplicates: int = 0
    """Events that were accepted and not logged."""


def _sections(shares: list[CollectionBatch], received_us: int) -> list[Section]:
    """The sections of shares without tokens."""
    frame_sections: list[Section] = []
    for share in shares:
        assert share.handle is not None
        whole = share.sorted.whole
        if whole is not None:
            frame_sections.append(whole_section(share.handle, whole, received_us))
        else:
            frame_sections += sections(share.handle, share.sorted.ready, 0, received_us)
    return frame_sections


async def synced(future: asyncio.Future[None]) -> None:
    """Wait until the log has synced. Raises IngestUnavailable if it failed."""
    try:
        await future
    except LogUnavailable as error:
        raise IngestUnavailable("The events could not be stored. Send them again.") from error
    finally:
        # Its error refers to this stack frame, which without this would refer back to it.
        del future
