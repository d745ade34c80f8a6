"""Events with uniqueness tokens, as they are claimed and logged."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from service.ingest.admission import AcceptedEvent, CollectionHandle, sections
from service.ingest.batches import CollectionBatch
from service.ingest.deduplication import ClaimRequest, IdempotencyKey, Token, event_token
from storage.log.format import Section


@dataclass(slots=True)
class TokenBatch:
    """A share's events and tokens, from which events with lost tokens can be left out."""

    handle: CollectionHandle
    events: list[AcceptedEvent]
    tokens: list[Token]
    """The tokens of ``events``, in order; each token once."""
    repeated: int
    """Number of events left out because an earlier event of the share has the same token."""
    within: str
    """The autofill digest of the clients that share these tokens; empty: all clients of the project."""

    @classmethod
    def of(cls, share: CollectionBatch, within: str) -> TokenBatch:
        assert share.handle is not None
        handle, seen, kept = share.handle, set[str](), list[AcceptedEvent]()
        events = share.sorted.events()
        for event in events:
            if event.token is None or event.token not in seen:
                kept.append(event)
                if event.token is not None:
                    seen.add(event.token)
        batch = cls(handle, kept, [], len(events) - len(kept), within)
        batch.tokens = [token for event in kept if (token := batch.token_of(event)) is not None]
        return batch

    def token_of(self, event: AcceptedEvent) -> Token | None:
        if event.token is None:
            return None
        return event_token(self.handle.collection_id, event.token, self.within)

    def only(self, tokens: set[Token]) -> TokenBatch:
        """The part of the batch whose events have one of these tokens."""
        events = [event for event in self.events if self.token_of(event) in tokens]
        tokens_left = [token for token in self.tokens if token in tokens]
        return TokenBatch(self.handle, events, tokens_left, 0, self.within)

    def sections(self, lost: frozenset[Token], received_us: int) -> Iterator[Section]:
        """Sections of all events but those with lost tokens, which are counted as duplicates."""
        events = [event for event in self.events if self.token_of(event) not in lost] if lost else self.events
        duplicates = self.repeated + len(self.events) - len(events)
        return sections(self.handle, events, duplicates, received_us)


def claim_request(
    project_id: str, cited: list[TokenBatch], received_us: int, key: IdempotencyKey | None
) -> ClaimRequest:
    return ClaimRequest(
        tokens=[token for share in cited for token in share.tokens],
        events=sum(len(share.events) for share in cited),
        size=sum(len(event.line) for share in cited for event in share.events),
        received_us=received_us,
        build=lambda lost: [section for share in cited for section in share.sections(lost, received_us)],
        key=key,
        project_id=project_id,
    )
