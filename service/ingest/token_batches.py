"""Events with uniqueness tokens, as they are claimed and logged."""

from __future__ import annotations

from collections.abc import Iterator

from service.ingest.admission import (
    AcceptedEvent,
    AdmissionResult,
    CollectionHandle,
    sections,
    whole_section,
)
from service.ingest.batches import CollectionBatch
from service.ingest.deduplication import ClaimRequest, IdempotencyKey, Token, event_tokens
from storage.log.format import Section


class TokenBatch:
    """A share's events and tokens, from which events with lost tokens can be left out.

    Events that passed the strict check together stay in one piece until one of them has to be left out: as a
    rule none has.
    """

    __slots__ = ("_events", "_result", "handle", "repeated", "tokens", "within")

    def __init__(
        self,
        handle: CollectionHandle,
        tokens: list[Token],
        within: str,
        *,
        result: AdmissionResult | None = None,
        events: list[AcceptedEvent] | None = None,
        repeated: int = 0,
    ) -> None:
        """Of ``result``, whose events are in one piece, or of ``events``.

        ``tokens`` are those of the events, in order, each once; ``repeated`` is how many events were left out
        because an earlier one of the share has the same token; ``within`` is the autofill digest of the
        clients that share these tokens, empty for all clients of the project.
        """
        self.handle = handle
        self.tokens = tokens
        self.within = within
        self.repeated = repeated
        self._result = result
        self._events = events

    @classmethod
    def of(cls, share: CollectionBatch, within: str) -> TokenBatch:
        assert share.handle is not None
        handle, result = share.handle, share.sorted
        if result.whole is not None:
            texts = [text for text in result.whole.tokens or () if text is not None]
            if len(set(texts)) == len(texts):
                return cls(handle, event_tokens(handle.collection_id, texts, within), within, result=result)
        seen, kept = set[str](), list[AcceptedEvent]()
        events = result.events()
        for event in events:
            if event.token is None or event.token not in seen:
                kept.append(event)
                if event.token is not None:
                    seen.add(event.token)
        texts = [event.token for event in kept if event.token is not None]
        tokens = event_tokens(handle.collection_id, texts, within)
        return cls(handle, tokens, within, events=kept, repeated=len(events) - len(kept))

    @property
    def count(self) -> int:
        return self._result.taken if self._result is not None else len(self.events)

    @property
    def size(self) -> int:
        """Bytes of the events."""
        if self._result is not None and self._result.whole is not None:
            return len(self._result.whole.lines)
        return sum(len(event.line) for event in self.events)

    @property
    def events(self) -> list[AcceptedEvent]:
        if self._events is None:
            assert self._result is not None
            self._events = self._result.events()
        return self._events

    def only(self, tokens: set[Token]) -> TokenBatch:
        """The part of the batch whose events have one of these tokens."""
        events = [event for event, token in self._pairs() if token in tokens]
        left = [token for token in self.tokens if token in tokens]
        return TokenBatch(self.handle, left, self.within, events=events)

    def sections(self, lost: frozenset[Token], received_us: int) -> Iterator[Section]:
        """Sections of all events but those with lost tokens, which are counted as duplicates."""
        whole = None if self._result is None else self._result.whole
        if whole is not None and not lost:
            yield whole_section(self.handle, whole, received_us)
            return
        events = [event for event, token in self._pairs() if token not in lost] if lost else self.events
        duplicates = self.repeated + len(self.events) - len(events)
        yield from sections(self.handle, events, duplicates, received_us)

    def _pairs(self) -> Iterator[tuple[AcceptedEvent, Token | None]]:
        """Each event with its token, None for one without."""
        tokens = iter(self.tokens)
        for event in self.events:
            yield event, None if event.token is None else next(tokens)


def claim_request(
    project_id: str, cited: list[TokenBatch], received_us: int, key: IdempotencyKey | None
) -> ClaimRequest:
    return ClaimRequest(
        tokens=[token for share in cited for token in share.tokens],
        events=sum(share.count for share in cited),
        size=sum(share.size for share in cited),
        received_us=received_us,
        build=lambda lost: [section for share in cited for section in share.sections(lost, received_us)],
        key=key,
        project_id=project_id,
    )
