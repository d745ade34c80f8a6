"""Sending events: ``record``, ``record_many``, ``record_all``, and the making of senders."""

from __future__ import annotations

import datetime as dt
from collections.abc import AsyncIterable, AsyncIterator, Callable, Iterable, Iterator, Mapping
from typing import Any

from acumen_client import _json
from acumen_client._transport import Answer, AsyncTransport, Transport
from acumen_client.batching import Batch, Batcher, BatchLimits, Exchange, duplicates
from acumen_client.errors import AcumenError, ApiError, EventError, UnreadableAnswerError
from acumen_client.events import Event, checked_collection, prepare
from acumen_client.identifying import COLLECTION, Id, alias, link
from acumen_client.outcome import Outcome, Recorded, RefusedEvent
from acumen_client.sender import AsyncSender, Sender, SenderOptions

TokenOf = Callable[[Event], str]

SEND_SECONDS = 60.0
"""How long the answer to a request that records events is waited for."""
ATTEMPTS_FOR_A_VERDICT = 4
"""How often an event is sent whose verdict is a fault that may pass."""


class Recording:
    """The part of ``Acumen`` that records."""

    transport: Transport

    def record(
        self,
        collection: str,
        event: Event,
        *,
        timestamp: dt.datetime | str | None = None,
        token: str | None = None,
    ) -> Recorded:
        """Record one event, and return once it is stored.

        However often it has to be sent it is stored once, by its uniqueness token: ``token``, the event's
        own, or one made here. ``timestamp`` says when it happened (a datetime without a zone is UTC); without
        it: now. Raises EventError or ApiError where it is refused, ConnectionFailedError where it may be
        stored or not: calling again with the same ``token`` is harmless.
        """
        path = self.transport.project_path("events", checked_collection(collection))
        body = prepare(event, timestamp=timestamp, token=token)
        answer = self.transport.request("POST", path, accept=_accept_created, **_sent(body))
        return Recorded(_token_in(body), duplicates(answer) > 0)

    def record_many(
        self,
        collection: str,
        events: Iterable[Event],
        *,
        token: TokenOf | None = None,
        limits: BatchLimits | None = None,
        raise_refused: bool = True,
    ) -> Outcome:
        """Record any number of events in as few requests as a server takes; see ``record_all``."""
        pairs = ((collection, event) for event in events)
        return self._record(pairs, _Work(token, limits), raise_refused)

    def record_all(
        self,
        events: Mapping[str, Iterable[Event]],
        *,
        token: TokenOf | None = None,
        limits: BatchLimits | None = None,
        raise_refused: bool = True,
    ) -> Outcome:
        """Record events of several collections: ``{"purchases": [...], "signups": [...]}``.

        ``token`` makes an event's uniqueness token from the event (its id, say), so that a call that failed
        can be repeated as a whole. An event that is refused for good harms no other: when all have been sent
        EventsRefusedError names them, or with ``raise_refused=False`` the outcome does. Any other exception
        carries ``outcome``, how far it came: so many events from the first on have been answered.
        """
        return self._record(_flat(events), _Work(token, limits), raise_refused)

    def identify(self, anonymous_id: Id, user_id: Id, **properties: Any) -> Recorded:
        """Say that an anonymous id belongs to a user: questions about actors count one from now on, over
        past events too. ``properties``: what else the event has, as those that keys filter by."""
        return self.record(COLLECTION, link(anonymous_id, user_id, **properties))

    def alias(self, other: Id, user_id: Id, **properties: Any) -> Recorded:
        """Say that two users are one, for whom ``user_id`` stands."""
        return self.record(COLLECTION, alias(other, user_id, **properties))

    def sender(self, **options: Any) -> Sender:
        """A sender that records in the background; the options are those of ``SenderOptions``."""
        return Sender(self.transport, SenderOptions(**options))

    def _record(self, pairs: Iterable[tuple[str, Event]], work: _Work, raise_refused: bool) -> Outcome:
        try:
            for collection, event in pairs:
                if (full := work.add(collection, event)) is not None:
                    self._send(full, work)
            if (last := work.last()) is not None:
                self._send(last, work)
        except AcumenError as error:
            error.outcome = work.outcome
            raise
        return work.finished(raise_refused)

    def _send(self, batch: Batch, work: _Work) -> None:
        path = self.transport.project_path("events")
        for exchange in work.exchanges(batch):
            while (part := exchange.next()) is not None:
                try:
                    self.transport.request("POST", path, accept=exchange.answered, **_sent(part.body()))
                except ApiError as error:
                    exchange.failed(error)


class AsyncRecording:
    """The part of ``AsyncAcumen`` that records."""

    transport: AsyncTransport

    async def record(
        self,
        collection: str,
        event: Event,
        *,
        timestamp: dt.datetime | str | None = None,
        token: str | None = None,
    ) -> Recorded:
        """As ``Acumen.record``."""
        path = self.transport.project_path("events", checked_collection(collection))
        body = prepare(event, timestamp=timestamp, token=token)
        answer = await self.transport.request("POST", path, accept=_accept_created, **_sent(body))
        return Recorded(_token_in(body), duplicates(answer) > 0)

    async def record_many(
        self,
        collection: str,
        events: Iterable[Event] | AsyncIterable[Event],
        *,
        token: TokenOf | None = None,
        limits: BatchLimits | None = None,
        raise_refused: bool = True,
    ) -> Outcome:
        """As ``Acumen.record_many``; the events may come from an asynchronous iterator."""
        return await self._record(_flat_later({collection: events}), _Work(token, limits), raise_refused)

    async def record_all(
        self,
        events: Mapping[str, Iterable[Event] | AsyncIterable[Event]],
        *,
        token: TokenOf | None = None,
        limits: BatchLimits | None = None,
        raise_refused: bool = True,
    ) -> Outcome:
        """As ``Acumen.record_all``."""
        return await self._record(_flat_later(events), _Work(token, limits), raise_refused)

    async def identify(self, anonymous_id: Id, user_id: Id, **properties: Any) -> Recorded:
        """As ``Acumen.identify``."""
        return await self.record(COLLECTION, link(anonymous_id, user_id, **properties))

    async def alias(self, other: Id, user_id: Id, **properties: Any) -> Recorded:
        """As ``Acumen.alias``."""
        return await self.record(COLLECTION, alias(other, user_id, **properties))

    def sender(self, **options: Any) -> AsyncSender:
        """A sender that records in the background; the options are those of ``SenderOptions``."""
        return AsyncSender(Transport(self.transport.target), SenderOptions(**options))

    async def _record(
        self, pairs: AsyncIterable[tuple[str, Event]], work: _Work, raise_refused: bool
    ) -> Outcome:
        try:
            async for collection, event in pairs:
                if (full := work.add(collection, event)) is not None:
                    await self._send(full, work)
            if (last := work.last()) is not None:
                await self._send(last, work)
        except AcumenError as error:
            error.outcome = work.outcome
            raise
        return work.finished(raise_refused)

    async def _send(self, batch: Batch, work: _Work) -> None:
        path = self.transport.project_path("events")
        for exchange in work.exchanges(batch):
            while (part := exchange.next()) is not None:
                try:
                    await self.transport.request("POST", path, accept=exchange.answered, **_sent(part.body()))
                except ApiError as error:
                    exchange.failed(error)


class _Work:
    """One call that records many events: what waits to be sent, and what has become of the rest."""

    def __init__(self, token: TokenOf | None, limits: BatchLimits | None) -> None:
        self.outcome = Outcome()
        self._token = token
        self._batcher = Batcher(limits or BatchLimits())
        self._place = -1
        self._unwritable: list[RefusedEvent] = []
        """Events without JSON, which count as refused once those before them have been sent."""

    def add(self, collection: str, event: Event) -> Batch | None:
        """The batch that is to be sent before more events are added, if there is one."""
        self._place += 1
        try:
            checked_collection(collection)
            body = prepare(event, token=None if self._token is None else self._token(event))
        except EventError as error:
            self._unwritable.append(RefusedEvent(self._place, collection, event, "EventError", str(error)))
            return None
        return self._batcher.add(self._place, collection, body)

    def last(self) -> Batch | None:
        return self._batcher.last()

    def exchanges(self, batch: Batch) -> Iterator[Exchange]:
        """What is to be carried out for a batch, each before the next is asked for."""
        for attempt in range(1, ATTEMPTS_FOR_A_VERDICT + 1):
            exchange = Exchange(batch)
            yield exchange
            self.outcome.duplicates += exchange.duplicates
            last = attempt == ATTEMPTS_FOR_A_VERDICT
            final = {one.place: one for one in exchange.verdicts if one.permanent or last}
            later = {one.place for one in exchange.verdicts} - final.keys()
            again = Batch()
            for place, collection, body in batch.events():
                if (verdict := final.get(place)) is not None:
                    refused = RefusedEvent(
                        place, collection, _json.loads(body), verdict.name, verdict.description
                    )
                    self.outcome.refused.append(refused)
                elif place in later:
                    again.add(place, collection, body)
            self.outcome.total += batch.count - again.count
            if not again.count:
                return
            batch = again

    def finished(self, raise_refused: bool) -> Outcome:
        self.outcome.total += len(self._unwritable)
        self.outcome.refused += self._unwritable
        self.outcome.refused.sort(key=lambda one: one.index)
        if raise_refused:
            self.outcome.raise_for_refused()
        return self.outcome


def _sent(body: bytes) -> dict[str, Any]:
    """The options of a request that records: harmless to repeat, since every event has a token."""
    return {"key": "write", "content": body, "timeout": SEND_SECONDS, "repeatable": True}


def _accept_created(answer: Answer) -> None:
    said = answer.json()
    if not isinstance(said, dict) or said.get("created") is not True:
        raise UnreadableAnswerError(
            "the answer does not say that the event was recorded",
            status=answer.status,
            request_id=answer.request_id,
        )


def _token_in(body: bytes) -> str | None:
    keen = _json.loads(body)["keen"]
    return keen.get("uniqueness_token") if isinstance(keen, dict) else None


def _flat(events: Mapping[str, Iterable[Event]]) -> Iterator[tuple[str, Event]]:
    for collection, rows in events.items():
        for event in rows:
            yield collection, event


async def _flat_later(
    events: Mapping[str, Iterable[Event] | AsyncIterable[Event]],
) -> AsyncIterator[tuple[str, Event]]:
    for collection, rows in events.items():
        if isinstance(rows, AsyncIterable):
            async for event in rows:
                yield collection, event
        else:
            for event in rows:
                yield collection, event
