"""Uniqueness tokens and idempotency keys: of all events with the same token, over all workers, the first is
kept.

Correctness rests on the order of steps. Waiting requests are settled in groups, one group at a time:

1. reserve an ordinal for the group in this worker's log;
2. claim all tokens of the group in one catalog transaction: token → (log, ordinal); the first claim wins;
3. append the group as one frame, without the events whose token was claimed before;
4. once the frame is synced, answer; if it failed, first void its claims; only then the next group.

So a claim whose ordinal is in its log stands for a durable frame. A claim left behind by a dead worker lies
beyond its log's recovered end, and the process that takes over the log voids it. A request that lost a token
to another log waits for the winner's frame before it is answered, and claims again if the winner's claim was
voided.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import Executor
from dataclasses import dataclass, field
from pathlib import Path
from typing import NamedTuple

from service.errors import QuotaExceeded
from service.ingest.errors import IngestUnavailable
from service.threads import in_thread
from storage.catalog.catalog import Catalog
from storage.catalog.stored.records import Claim, event_scope, request_scope, shared_scope, shared_token
from storage.disk.file_system import FileSystem
from storage.log.errors import Backpressure, LogUnavailable
from storage.log.format import Batch, Section
from storage.log.writer import LogReader, LogWriter

_log = logging.getLogger("acumen.collect")

CLAIM_WAIT_SECONDS = 10.0
"""Longest wait for a request's claims, and for the frame of a claim that won."""
POLL_SECONDS = 0.003
LOOKS_PER_CATALOG_READ = 10
RETRY_SECONDS = 0.5
ROOM_SECONDS = 2.0
"""Age up to which a cached count of a project's tokens is used."""
ROOMS_MAX = 10_000
GROUP_BYTES_MAX = 16 << 20
NOT_STORED = "The events could not be stored. Send them again."


class Token(NamedTuple):
    """Something that can be claimed once: a scope (one collection, or one project's keys) and a text."""

    scope: str
    text: str


def event_tokens(collection_id: int, texts: Sequence[str], within: str = "") -> list[Token]:
    """The tokens of events; ``within`` is ``share_of`` of their key's autofill, empty if it has none."""
    if within:
        scope = shared_scope(collection_id)
        return [Token(scope, shared_token(text, within)) for text in texts]
    scope = event_scope(collection_id)
    return [Token(scope, text) for text in texts]


def idempotency_token(project_id: str, key: str) -> Token:
    return Token(request_scope(project_id), key)


@dataclass(slots=True)
class ClaimRequest:
    """One request with tokens. ``build`` makes its sections, given the tokens that were claimed before."""

    tokens: Sequence[Token]
    events: int
    size: int
    received_us: int
    build: Callable[[frozenset[Token]], list[Section]]
    key: IdempotencyKey | None = None
    project_id: str = ""

    def cited(self) -> list[Token]:
        """All tokens that the request claims, including its idempotency key."""
        return [*self.tokens, *([] if self.key is None else [self.key.token])]


@dataclass(frozen=True, slots=True)
class IdempotencyKey:
    """An idempotency key, the 16-byte digest of the request's body, and the answer to repeat."""

    project_id: str
    text: str
    digest: bytes
    response: bytes
    within: str = ""
    """The autofill digest of the clients that share this key; empty: all clients of the project."""

    @property
    def token(self) -> Token:
        return idempotency_token(self.project_id, f"{self.text}\n{self.within}" if self.within else self.text)


@dataclass(slots=True)
class ClaimOutcome:
    """``lost`` are earlier claims of the request's tokens. ``earlier`` is the earlier claim of its
    idempotency key; if it is set, nothing was logged."""

    lost: list[Claim] = field(default_factory=list)
    earlier: Claim | None = None
    logged: int = 0
    """Number of the request's events in its frame."""


@dataclass(slots=True)
class _Waiting:
    wish: ClaimRequest
    done: asyncio.Future[ClaimOutcome]
    outcome: ClaimOutcome = field(default_factory=ClaimOutcome)


class Deduplicator:
    """Makes the claims of one worker's log. All methods belong to one event loop.

    ``holds(log_id, ordinal)`` returns whether another log holds a claimed ordinal durably, or None if that
    log is gone: sealed, flushed and removed.
    """

    def __init__(
        self,
        catalog: Catalog,
        log: LogWriter,
        *,
        holds: Callable[[int, int], bool | None],
        executor: Executor,
        wait_seconds: float = CLAIM_WAIT_SECONDS,
        tokens_max: int,
        token_days: float,
    ) -> None:
        """``tokens_max``: tokens and keys kept for one project; ``token_days``: for how long."""
        self._catalog = catalog
        self._log = log
        self._log_id = log.log_id
        self._holds = holds
        self._executor = executor
        self._wait_seconds = wait_seconds
        self._tokens_max = tokens_max
        self._ttl_us = int(token_days * 86_400 * 1_000_000)
        self._rooms: dict[str, tuple[float, int]] = {}
        """Project → when its tokens were last counted, and how many more it may have."""
        self._queue: list[_Waiting] = []
        self._runner: asyncio.Task[None] | None = None
        self._spare: int | None = None
        """A reserved ordinal that no claim refers to."""

    async def settle(self, wish: ClaimRequest) -> ClaimOutcome:
        """Claim the tokens and log the events; returns once the frame is durable.

        Raises IngestUnavailable, with no claim left.
        """
        waiting = _Waiting(wish, asyncio.get_running_loop().create_future())
        self._queue.append(waiting)
        if self._runner is None:
            self._runner = asyncio.ensure_future(self._run())
        try:
            async with asyncio.timeout(self._wait_seconds):
                return await waiting.done
        except TimeoutError:
            raise IngestUnavailable(NOT_STORED) from None
        finally:
            # Its error refers to this stack frame, which without this would refer back to it and the request.
            del waiting

    async def await_winners(self, claims: Iterable[Claim]) -> list[Claim]:
        """Wait until each claim's frame is durable or the claim was voided; returns the voided claims.

        Raises IngestUnavailable if that takes too long.
        """
        deadline = asyncio.get_running_loop().time() + self._wait_seconds
        return [claim for claim in claims if not await self._is_durable(claim, deadline)]

    async def _run(self) -> None:
        try:
            while self._queue:
                group = self._next_group()
                try:
                    group = await self._admit(group)
                    if group:
                        await self._settle_group(group)
                except Exception as error:
                    _fail(group, error)
                for waiting in group:
                    if not waiting.done.done():
                        waiting.done.set_result(waiting.outcome)
        finally:
            self._runner = None

    def _next_group(self) -> list[_Waiting]:
        """Take the requests that have waited longest, in order. A request with an idempotency key forms a
        group of its own, since a frame carries one key."""
        self._queue = [waiting for waiting in self._queue if not waiting.done.done()]
        if not self._queue:
            return []
        taken, size = 1, self._queue[0].wish.size
        if self._queue[0].wish.key is None:
            for waiting in self._queue[1:]:
                size += waiting.wish.size
                if waiting.wish.key is not None or size > GROUP_BYTES_MAX:
                    break
                taken += 1
        group, self._queue = self._queue[:taken], self._queue[taken:]
        return group

    async def _admit(self, group: list[_Waiting]) -> list[_Waiting]:
        """The requests whose projects have room for their tokens; the others are refused."""
        taken = []
        for waiting in group:
            wish = waiting.wish
            if await self._reserve_room(wish.project_id, wish.cited()):
                taken.append(waiting)
            elif not waiting.done.done():
                waiting.done.set_exception(
                    QuotaExceeded(
                        f"This project keeps {self._tokens_max:,} uniqueness tokens and idempotency keys, "
                        "which is the limit: old ones go by themselves after some time. Send events without "
                        "them, or have ACUMEN_TOKENS_MAX raised."
                    )
                )
        return taken

    async def _reserve_room(self, project_id: str, tokens: list[Token]) -> bool:
        now = time.monotonic()
        counted_at, room = self._rooms.get(project_id, (0.0, -1))
        if room < len(tokens) or now - counted_at > ROOM_SECONDS:
            kept = await in_thread(self._executor, self._catalog.claims.kept, project_id)
            counted_at, room = now, self._tokens_max - kept
        needed = len(tokens)
        if needed > room:
            # Tokens claimed before need no more room, as when a request is sent again.
            claimed = await in_thread(self._executor, self._catalog.claims.find, tokens)
            needed = sum(token not in claimed for token in set(tokens))
        if len(self._rooms) >= ROOMS_MAX:
            self._rooms.clear()
        fits = needed <= max(0, room)
        self._rooms[project_id] = (counted_at, room - needed if fits else room)
        return fits

    async def _settle_group(self, group: list[_Waiting]) -> None:
        first = group[0].wish
        ordinal, self._spare = self._log.reserve(1) if self._spare is None else self._spare, None
        claims = self._claims_of(group, ordinal)
        try:
            winners = await in_thread(
                self._executor, lambda: self._catalog.claims.take(claims, first.received_us, self._ttl_us)
            )
        except Exception as error:
            # The transaction may have been committed despite the error.
            _fail(group, error)
            await self._void(ordinal)
            return
        others: dict[Token, Claim] = {}
        if winners is not claims:
            others = {_token_of(winner): winner for winner in winners if not self._ours(winner, ordinal)}
        key = first.key
        if key is not None and key.token in others:
            group[0].outcome.earlier = others[key.token]
            if len(others) == len(claims):
                self._spare = ordinal
            else:
                await self._void(ordinal)
            return
        batch = Batch(first.received_us, self._build(group, others))
        if key is not None:
            batch.idempotency_key, batch.digest = key.text, key.digest
        try:
            await self._append(batch, ordinal)
        except Exception as error:
            _fail(group, error)
            await self._void(ordinal)
            return
        if not batch.count:
            # The frame holds no event, and so not the ordinal that its key's claim refers to. If the request
            # is repeated, all its events are duplicates again, so the key need not be kept.
            if key is not None:
                await self._void(ordinal)
            else:
                self._spare = ordinal

    async def _append(self, batch: Batch, ordinal: int) -> None:
        """Append the frame to the log and wait until it is durable."""
        synced: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        if batch.count:
            # Only this class reserves ordinals, so these follow the first. Reserving them before the claims
            # would leave gaps where tokens were lost, and a log records a limited number of gaps.
            following = self._log.reserve(batch.count - 1)
            assert following == ordinal + 1
            self._log.append_claimed(batch, synced, ordinal)
        else:
            self._log.append(batch, synced)
        try:
            await synced
        finally:
            # Its error refers to this stack frame, which without this would refer back to it.
            del synced

    def _claims_of(self, group: list[_Waiting], ordinal: int) -> list[Claim]:
        first = group[0].wish
        claims = {
            token: Claim(*token, self._log_id, ordinal, b"", b"", first.received_us)
            for waiting in group
            for token in waiting.wish.tokens
        }
        if (key := first.key) is not None:
            claims[key.token] = Claim(
                *key.token, self._log_id, ordinal, key.digest, key.response, first.received_us
            )
        return list(claims.values())

    def _build(self, group: list[_Waiting], others: dict[Token, Claim]) -> list[Section]:
        """The sections of all requests; a token that several requests cite belongs to the first."""
        had = set(others)
        sections: list[Section] = []
        for waiting in group:
            wish = waiting.wish
            if others:
                waiting.outcome.lost = [others[token] for token in wish.tokens if token in others]
            own = wish.build(frozenset(had.intersection(wish.tokens)) if had else frozenset())
            waiting.outcome.logged = sum(section.count for section in own)
            sections += own
            if len(group) > 1:
                had.update(wish.tokens)
        return sections

    def _ours(self, winner: Claim, ordinal: int) -> bool:
        return winner.log_id == self._log_id and winner.ordinal == ordinal

    async def _void(self, ordinal: int) -> None:
        """Void the claims of this ordinal. Retries until it succeeds, since nothing may be logged before."""
        while True:
            try:
                await in_thread(self._executor, self._catalog.claims.void, self._log_id, [ordinal])
                return
            except Exception:
                _log.exception("Claims could not be voided; trying again.")
                await asyncio.sleep(RETRY_SECONDS)

    async def _is_durable(self, claim: Claim, deadline: float) -> bool:
        if claim.log_id == self._log_id:
            # Groups are settled one after the other, and the asking request is in a later one.
            return True
        loop = asyncio.get_running_loop()
        pair = (claim.scope, claim.token)
        looks = 0
        while True:
            holds = await in_thread(self._executor, self._holds, claim.log_id, claim.ordinal)
            if holds:
                return True
            looks += 1
            if holds is None or looks % LOOKS_PER_CATALOG_READ == 0:
                now = (await in_thread(self._executor, self._catalog.claims.find, [pair])).get(pair)
                same = now is not None and (now.log_id, now.ordinal) == (claim.log_id, claim.ordinal)
                if not same or holds is None:
                    return same
            if loop.time() > deadline:
                raise IngestUnavailable(
                    "An earlier event with the same token is not durable yet. Send the request again."
                )
            await asyncio.sleep(POLL_SECONDS)


class OtherLogs:
    """Reads from other workers' logs which ordinals are durable. For threads of one executor."""

    def __init__(self, catalog: Catalog, fs: FileSystem, root: Path) -> None:
        self._catalog = catalog
        self._fs = fs
        self._root = root

    def holds(self, log_id: int, ordinal: int) -> bool | None:
        # A log taken over meanwhile may have another file at the same path, so it is opened each time.
        reader = LogReader(self._fs, self._root, log_id)
        try:
            if reader.synced().holds(ordinal):
                return True
        finally:
            reader.close()
        return False if any(row.id == log_id for row in self._catalog.logs.all()) else None


def _token_of(claim: Claim) -> Token:
    return Token(claim.scope, claim.token)


def _fail(group: list[_Waiting], error: Exception) -> None:
    if not isinstance(error, (IngestUnavailable, Backpressure, LogUnavailable)):
        _log.error("Claiming tokens failed.", exc_info=error)
    for waiting in group:
        if not waiting.done.done():
            # A new error for each request: the original refers to the stack frame of the whole group.
            message = error.message if isinstance(error, IngestUnavailable) else NOT_STORED
            waiting.done.set_exception(IngestUnavailable(message))
