"""Taking events in: from JSON text to durable frames, and the verdict on each event.

Nothing here knows HTTP; requests and files of an import come in the same way. One ``Ingestor`` serves
one log and one event loop. It answers a submit only once everything that the answer says is synced: its
own frame, and the frame of every earlier event that one of its tokens stands for.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from concurrent.futures import Executor
from dataclasses import dataclass, field
from time import monotonic
from typing import Any, Protocol, cast

from msgspec import Raw

from service.bodies import body_thread
from service.ingest import kept_answers
from service.ingest.admission import (
    AdmissionLimits,
    CollectionHandle,
    NotParsed,
    Paths,
    Ready,
    Refusal,
    Room,
    Sorted,
    check_collection_name,
    check_whole,
    count_first,
    lone_list,
    sections,
    sort_one,
    split_batch,
    split_batch_slowly,
    split_list,
    split_list_slowly,
    whole_section,
)
from service.ingest.autofill import share_of
from service.ingest.collection_cache import CollectionCache
from service.ingest.deduplication import Deduplicator, Key, Token, Wish, event_token
from service.ingest.enrich.enricher import Enricher, keeping
from service.ingest.errors import EventRefused, InvalidBatch, KeyReused, Unavailable
from storage.catalog.catalog import Catalog
from storage.catalog.errors import TooManyCollections, TooManyProperties
from storage.catalog.records import Claim
from storage.columns.rowwise_shredder import wanted_of
from storage.errors import StorageError
from storage.events.strict_decoder import Checker
from storage.events.validation import Context, Enrich, Wanted
from storage.log.errors import Backpressure, LogUnavailable
from storage.log.format import Batch, Section
from storage.log.writer import LogWriter
from storage.schema import Schema

_log = logging.getLogger("acumen.collect")

CLOSED_RETRY_SECONDS = 5
TURN_SECONDS = 0.002
"""How long events are examined in full before the event loop gets a turn."""

INLINE_EVENTS_MAX = 5_000
"""The verdicts on more events than these are worked through in a thread."""
REFUSAL_TEXT_MAX = 1_000_000
"""Characters of all descriptions in one answer."""
NOT_EXPLAINED = "Refused, like others of this request before."

NO_CONTEXT = Context()


@dataclass(slots=True)
class Verdicts:
    """What became of each event: per collection, how many came and which were refused (by index)."""

    counts: dict[str, int] = field(default_factory=dict)
    refused: dict[str, dict[int, Refusal]] = field(default_factory=dict)
    duplicates: int = 0
    """Of the events that were not refused: those that an earlier one of the same token or key stands for."""


@dataclass(slots=True)
class Share:
    """One collection's events of one submit; ``home`` is set before any of them is logged."""

    name: str
    sorted: Sorted
    home: CollectionHandle | None


@dataclass(frozen=True, slots=True)
class Origin:
    """Where a submit came from and when."""

    received_us: int
    context: Context = NO_CONTEXT
    idempotency_key: str = ""
    digest: bytes = b""
    """16 bytes that stand for the body; needed with an idempotency key."""
    autofill: Mapping[str, Any] | None = None
    """What the request's key has written into every event, which is in them already."""


class Waits(Protocol):
    """Who is told what became of a frame, on the event loop."""

    def settle(self, error: Exception | None) -> None: ...


Waiter = asyncio.Future[None] | Waits


def waker(loop: asyncio.AbstractEventLoop) -> Callable[[list[object], Exception | None], None]:
    """The ``on_synced`` of a log whose waiters are ``Waiter`` of ``loop``: one wake-up for a whole group."""

    def resolve(waiters: list[object], error: Exception | None) -> None:
        for waiter in waiters:
            if not isinstance(waiter, asyncio.Future):
                try:
                    cast("Waits", waiter).settle(error)
                except Exception:
                    _log.exception("one of a group could not be answered")
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
            # The loop is closed: nobody waits any more, and what is synced stays so.
            pass

    return on_synced


class Ingestor:
    """The way into one log. All methods belong to one event loop."""

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
        self._enricher = enricher or Enricher()
        self.homes = CollectionCache(
            catalog,
            limits.event,
            limits.properties_max,
            executor,
            collections_max=limits.collections_max,
        )
        self._blank = Checker(Schema(), limits.event)
        self._release_due = False
        self.closed_because: str | None = None
        """Why nothing is taken at present (a full disk, a keeper far behind); None while open."""

    def log_fast(self, project_id: str, name: str, raw: bytes, received_us: int, waiter: Waiter) -> bool:
        """Log one event that passes its collection's strict check and holds no token.

        The waiter is told once the event is durable, or that it failed (LogUnavailable). False where the
        event needs ``submit_one``, and then nothing is logged. Raises Unavailable.
        """
        home = self.homes.known(project_id, name)
        if home is None:
            return False
        checked = home.checker.check(raw)
        if checked is None or checked.tokens is not None or len(raw) > self.limits.event_bytes_max:
            return False
        self._append(Batch(received_us, [whole_section(home, checked, received_us)]), waiter)
        return True

    async def submit_one(self, project_id: str, name: str, raw: bytes, origin: Origin) -> int:
        """Take one event; returns once it is durable. Raises CollectError. How many duplicates: 0 or 1."""
        refusal = check_collection_name(name)
        if refusal is not None:
            raise EventRefused(refusal.name, refusal.description)
        home = await self._find(project_id, name)
        checker = home.checker if home else self._blank
        context = await self._context(origin, raw)
        found = await self._sort_event(0, raw, checker, context, Paths(self.limits.properties_max))
        if isinstance(found, Refusal):
            raise EventRefused(found.name, found.description)
        share = Share(name, Sorted(1, ready=[found]), home)
        await self._settle(project_id, share)
        if (late := share.sorted.refused.get(0)) is not None:
            raise EventRefused(late.name, late.description)
        return (await self._log_shares(project_id, [share], origin)).duplicates

    async def submit_body(self, project_id: str, body: bytes, origin: Origin) -> Verdicts:
        """Take a bulk body: an object of lists of events. Otherwise as ``submit``."""
        large, events_max = len(body) > body_thread.INLINE_BYTES_MAX, self.limits.batch_events_max
        lone = await body_thread.call_if(large, lone_list, body)
        if lone is not None:
            name, text = lone
            home = self.homes.known(project_id, name)
            whole = None if home is None else await self._lone(text, home.checker)
            if whole is not None and whole.taken:
                return await self._log_verdicts(project_id, [Share(name, whole, home)], origin)
        try:
            batches = await body_thread.call_if(large, split_batch, body, events_max)
        except NotParsed:
            batches = await body_thread.call(split_batch_slowly, body, events_max)
        return await self.submit(project_id, batches, origin)

    async def submit(self, project_id: str, batches: Mapping[str, bytes], origin: Origin) -> Verdicts:
        """Take lists of events (collection name → JSON array) as one frame; the verdicts once durable.

        Raises CollectError; then nothing of the submit is stored, except that after Unavailable its events
        may be there, once, like those of any request whose answer was lost.
        """
        shares = await self._sort_all(project_id, batches, origin)
        await self._settle_new(project_id, shares)
        turn = _Turn()
        for share in shares:
            await turn.over()
            if share.sorted.taken and not self._is_settled(share):
                await self._settle(project_id, share)
        return await self._log_verdicts(project_id, shares, origin)

    async def _log_verdicts(self, project_id: str, shares: list[Share], origin: Origin) -> Verdicts:
        """Log what was taken; the verdict on each event once that is durable."""
        verdicts, turn = Verdicts(), _Turn()
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

    async def _sort_all(self, project_id: str, batches: Mapping[str, bytes], origin: Origin) -> list[Share]:
        shares: list[Share] = []
        room, paths = self.limits.batch_events_max, Paths(self.limits.properties_max)
        homes = await self._find_all(project_id, batches)
        turn = _Turn()
        for name, text in batches.items():
            await turn.over()
            share = await self._sort(name, text, homes.get(name), origin, room, paths)
            room -= share.sorted.count
            shares.append(share)
        return shares

    async def _sort(
        self, name: str, text: bytes, home: CollectionHandle | None, origin: Origin, room: int, paths: Paths
    ) -> Share:
        refusal = check_collection_name(name)
        if refusal is not None:
            count = len(await self._counted_items(text, room))
            return Share(name, Sorted(count, refused=dict.fromkeys(range(count), refusal)), None)
        checker = home.checker if home else self._blank
        try:
            await self._count_first(text, room)
            whole = await self._whole(text, checker, room)
            if whole is not None:
                return Share(name, whole, home)
            items = await self._items(text, room)
        except NotParsed:
            items = await self._items_slowly(text, room)
        context = await self._context(origin, text)
        result = Sorted(len(items))
        turn = _Turn()
        for index, item in enumerate(items):
            await turn.over()
            found = await self._sort_event(index, bytes(item), checker, context, paths)
            if isinstance(found, Refusal):
                result.refused[index] = found
            else:
                result.ready.append(found)
        return Share(name, result, home)

    async def _sort_event(
        self, index: int, raw: bytes, checker: Checker, context: Context, paths: Paths
    ) -> Ready | Refusal:
        """As ``sort_one``; a long event is examined in a thread."""
        large = len(raw) > body_thread.SLOW_INLINE_BYTES_MAX
        return await body_thread.call_if(large, sort_one, index, raw, checker, self.limits, context, paths)

    async def _context(self, origin: Origin, text: bytes) -> Context:
        """What an examined event needs; what its add-ons need is made ready where it seems to have some."""
        if b'"addons"' in text and self._enricher.must_prepare(text):
            await self._loop.run_in_executor(self._executor, self._enricher.prepare, text)
        enrich: Enrich = self._enricher
        if origin.autofill is not None:
            enrich = keeping(self._enricher, origin.autofill)
        known = origin.context
        return Context(known.ip, known.user_agent, origin.received_us, enrich)

    async def _find(self, project_id: str, name: str) -> CollectionHandle | None:
        try:
            return await self.homes.find(project_id, name)
        except StorageError as error:
            raise Unavailable("The catalog does not answer. Send again.") from error

    async def _find_all(self, project_id: str, names: Iterable[str]) -> dict[str, CollectionHandle]:
        try:
            good = [name for name in names if check_collection_name(name) is None]
            return await self.homes.find_all(project_id, good)
        except StorageError as error:
            raise Unavailable("The catalog does not answer. Send again.") from error

    async def _lone(self, text: bytes, checker: Checker) -> Sorted | None:
        """The only list of a body, if the strict check passes all of it. Else the body is taken apart, and it
        may be another thing than one list."""
        try:
            await self._count_first(text, self.limits.batch_events_max)
        except (NotParsed, InvalidBatch):
            return None
        return await self._whole(text, checker, self.limits.batch_events_max)

    async def _count_first(self, text: bytes, room: int) -> None:
        if len(text) > body_thread.INLINE_BYTES_MAX:
            await body_thread.call(count_first, text, room, self.limits.batch_events_max)

    async def _whole(self, text: bytes, checker: Checker, room: int) -> Sorted | None:
        large = len(text) > body_thread.INLINE_BYTES_MAX
        return await body_thread.call_if(large, check_whole, text, checker, self.limits, room)

    async def _counted_items(self, text: bytes, room: int) -> list[Raw]:
        try:
            await self._count_first(text, room)
            return await self._items(text, room)
        except NotParsed:
            return await self._items_slowly(text, room)

    async def _items(self, text: bytes, room: int) -> list[Raw]:
        large = len(text) > body_thread.INLINE_BYTES_MAX
        return await body_thread.call_if(large, split_list, text, room, self.limits.batch_events_max)

    async def _items_slowly(self, text: bytes, room: int) -> list[Raw]:
        return await body_thread.call(split_list_slowly, text, room, self.limits.batch_events_max)

    async def _settle_new(self, project_id: str, shares: list[Share]) -> None:
        """Where a request names several new collections, make them and their lanes all at once."""
        wanted: dict[str, Wanted] = {}
        turn = _Turn()
        for share in shares:
            await turn.over()
            if share.home is None and share.sorted.taken:
                await self._refuse_beyond_properties(share.sorted, self._blank.schema)
                if share.sorted.taken:
                    wanted[share.name] = share.sorted.wanted()
        if len(wanted) < 2:
            return
        try:
            homes = await self.homes.ensure_all(project_id, wanted)
        except StorageError as error:
            raise Unavailable("The catalog does not answer. Send again.") from error
        for share in shares:
            await turn.over()
            home = homes.get(share.name)
            if home is None:
                if share.name in wanted:
                    share.sorted.refuse_all(self.limits.no_collection(share.name))
            elif not home.checker.schema.missing(wanted[share.name]):
                share.home = home

    async def _settle(self, project_id: str, share: Share) -> None:
        """Make sure that the collection and every lane of the share's events are in the catalog."""
        result, checked_by = share.sorted, share.home
        try:
            while True:
                home = await self.homes.find(project_id, share.name)
                schema = home.checker.schema if home else self._blank.schema
                if home is not None and not await self._fits(result, schema):
                    # Since it was last looked at, properties may have gone with the events that held them.
                    home = await self.homes.find_anew(project_id, share.name)
                    schema = home.checker.schema if home else self._blank.schema
                await self._refuse_beyond_properties(result, schema)
                if not result.taken:
                    return
                try:
                    home = await self.homes.with_lanes(project_id, share.name, result.wanted())
                    if checked_by is not None and home.lacks_lanes_of(checked_by):
                        # Known properties of events may have gone since these passed the strict check.
                        await self._want_all(result)
                        checked_by = home
                        continue
                    share.home = home
                    return
                except TooManyCollections:
                    result.refuse_all(self.limits.no_collection(share.name))
                    return
                except TooManyProperties:
                    # Others added properties meanwhile: judge again by what there is now.
                    continue
        except StorageError as error:
            raise Unavailable("The catalog does not answer. Send again.") from error

    def _is_settled(self, share: Share) -> bool:
        """Whether all that its section will cite is in the catalog."""
        return share.home is not None and not share.home.checker.schema.missing(share.sorted.wanted())

    async def _want_all(self, result: Sorted) -> None:
        """Have every event tell its lanes, those too that passed the strict check."""
        turn = _Turn()
        for event in result.ready:
            await turn.over()
            if not event.wanted:
                large = len(event.line) > body_thread.SLOW_INLINE_BYTES_MAX
                event.wanted = await body_thread.call_if(large, wanted_of, event.line)

    async def _fits(self, result: Sorted, schema: Schema) -> bool:
        """Whether the collection has room for the properties of all of the events."""
        room, turn = Room(schema, self.limits.properties_max), _Turn()
        for event in result.ready:
            await turn.over()
            if not room.has(event):
                return False
        return True

    async def _refuse_beyond_properties(self, result: Sorted, schema: Schema) -> None:
        room, taken, turn = Room(schema, self.limits.properties_max), list[Ready](), _Turn()
        for event in result.ready:
            await turn.over()
            found = room.take(event)
            if isinstance(found, Refusal):
                result.refused[event.index] = found
            else:
                taken.append(found)
        result.ready = taken

    async def _log_shares(
        self, project_id: str, shares: list[Share], origin: Origin, response: bytes = b""
    ) -> _Logged:
        """Log what was taken as one frame; returns once it is durable."""
        tokens = any(share.sorted.holds_tokens for share in shares)
        if tokens or origin.idempotency_key:
            return await self._log_claimed(project_id, shares, origin, response)
        future: asyncio.Future[None] = self._loop.create_future()
        self._append(Batch(origin.received_us, _sections(shares, origin.received_us)), future)
        await synced(future)
        return _Logged()

    async def _log_claimed(
        self, project_id: str, shares: list[Share], origin: Origin, response: bytes
    ) -> _Logged:
        self._check_open()
        unlogged = sum(share.sorted.taken for share in shares)
        within = "" if origin.autofill is None else share_of(origin.autofill)
        cited = [_Cited.of(share, within) for share in shares]
        key = None
        if origin.idempotency_key:
            key = Key(project_id, origin.idempotency_key, origin.digest, response, within)
        earlier: Claim | None = None
        while True:
            outcome = await self._claims.settle(_wish(project_id, cited, origin.received_us, key))
            unlogged -= outcome.logged
            waited = [*outcome.lost, outcome.earlier] if outcome.earlier else outcome.lost
            vanished = await self._claims.await_winners(waited)
            if outcome.earlier is not None:
                assert key is not None
                if outcome.earlier in vanished:
                    continue
                if outcome.earlier.digest != key.digest:
                    raise KeyReused
                # The first request may have died between logging its frame and taking over a token whose
                # winner died too: its tokens are settled again, everything else of it is stored.
                earlier, key = outcome.earlier, None
                left = {token for share in cited for token in share.tokens}
            else:
                left = {Token(claim.scope, claim.token) for claim in vanished}
            cited = [share.only(left) for share in cited]
            if not left:
                return _Logged(None if earlier is None else earlier.response, unlogged)

    def _append(self, batch: Batch, waiter: Waiter) -> None:
        if self.closed_because is not None or monotonic() > self.homes.valid_until:
            self._check_open()
        try:
            self._log.append(batch, waiter, hold=True)
        except Backpressure as error:
            raise Unavailable("The server takes in more than it can store. Send again.") from error
        except LogUnavailable as error:
            raise Unavailable("The events could not be stored. Send again.") from error
        if not self._release_due:
            # After all requests that have come: one sync for them together.
            self._release_due = True
            self._loop.call_soon(self._release)

    def _release(self) -> None:
        self._release_due = False
        self._log.release()

    def _check_open(self) -> None:
        if self.closed_because is not None:
            raise Unavailable(self.closed_because, CLOSED_RETRY_SECONDS)
        if monotonic() > self.homes.valid_until:
            raise Unavailable("The catalog has not answered for long. Send again.", CLOSED_RETRY_SECONDS)


async def _shortened(verdicts: Verdicts) -> Verdicts:
    """The same, where the descriptions of refusals are too long together: the last ones say nothing then."""
    left, turn = REFUSAL_TEXT_MAX, _Turn()
    for refused in verdicts.refused.values():
        for index, refusal in refused.items():
            await turn.over()
            left -= len(refusal.description)
            if left < 0:
                refused[index] = Refusal(refusal.name, NOT_EXPLAINED)
    return verdicts


class _Turn:
    """The event loop is others' too: in a long loop this lets them have it now and then."""

    def __init__(self) -> None:
        self._began = time.perf_counter()

    async def over(self) -> None:
        if time.perf_counter() - self._began > TURN_SECONDS:
            await asyncio.sleep(0)
            self._began = time.perf_counter()


@dataclass(frozen=True, slots=True)
class _Logged:
    response: bytes | None = None
    """What was answered then, where the idempotency key came before: nothing of it is logged again."""
    duplicates: int = 0
    """Events that were taken and not logged."""


@dataclass(slots=True)
class _Cited:
    """A share event by event, so that those whose token is lost can be left out."""

    home: CollectionHandle
    events: list[Ready]
    tokens: list[Token]
    """Of each event; the first event of a token comes first."""
    repeated: int
    """Events whose token an earlier event of the same share has."""
    within: str
    """Whose tokens they are, where not everybody's."""

    @classmethod
    def of(cls, share: Share, within: str) -> _Cited:
        assert share.home is not None
        home, seen, kept = share.home, set[str](), list[Ready]()
        events = share.sorted.events()
        for event in events:
            if event.token is None or event.token not in seen:
                kept.append(event)
                if event.token is not None:
                    seen.add(event.token)
        found = cls(home, kept, [], len(events) - len(kept), within)
        found.tokens = [token for event in kept if (token := found.token_of(event)) is not None]
        return found

    def token_of(self, event: Ready) -> Token | None:
        if event.token is None:
            return None
        return event_token(self.home.collection_id, self.home.generation, event.token, self.within)

    def only(self, tokens: set[Token]) -> _Cited:
        """The events of these tokens."""
        events = [event for event in self.events if self.token_of(event) in tokens]
        tokens_left = [token for token in self.tokens if token in tokens]
        return _Cited(self.home, events, tokens_left, 0, self.within)

    def sections(self, lost: frozenset[Token], received_us: int) -> Iterator[Section]:
        """All but the events of lost tokens, which are counted as duplicates."""
        events = [event for event in self.events if self.token_of(event) not in lost] if lost else self.events
        duplicates = self.repeated + len(self.events) - len(events)
        return sections(self.home, events, duplicates, received_us)


def _wish(project_id: str, cited: list[_Cited], received_us: int, key: Key | None) -> Wish:
    return Wish(
        tokens=[token for share in cited for token in share.tokens],
        events=sum(len(share.events) for share in cited),
        size=sum(len(event.line) for share in cited for event in share.events),
        received_us=received_us,
        build=lambda lost: [section for share in cited for section in share.sections(lost, received_us)],
        key=key,
        project_id=project_id,
    )


def _sections(shares: list[Share], received_us: int) -> list[Section]:
    """The sections of shares without tokens."""
    found: list[Section] = []
    for share in shares:
        assert share.home is not None
        whole = share.sorted.whole
        if whole is not None:
            found.append(whole_section(share.home, whole, received_us))
        else:
            found += sections(share.home, share.sorted.ready, 0, received_us)
    return found


async def synced(future: asyncio.Future[None]) -> None:
    """Wait for the log. Raises Unavailable where it failed."""
    try:
        await future
    except LogUnavailable as error:
        raise Unavailable("The events could not be stored. Send again.") from error
    finally:
        # Its error leads to this frame, which would lead back to it.
        del future
