"""Events in batches that a server takes, and the verdicts of its answers. Nothing here sends anything."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

from acumen_client import _json
from acumen_client._transport import Answer
from acumen_client.errors import ApiError, BadRequestError, TooLargeError, UnreadableAnswerError

PERMANENT = frozenset({"InvalidCollectionNameError", "InvalidPropertyNameError", "InvalidPropertyValueError"})
"""Names of the faults for which an event can never be stored; with any other it may be sent again."""

_STORED = b'{"success":true}'


@dataclass(frozen=True, slots=True)
class BatchLimits:
    """How much goes in one request: below what a server takes, which is 50,000 events and 10,000,000 bytes.

    An event that is larger than that goes alone.
    """

    events: int = 5_000
    bytes: int = 4_000_000


class Batch:
    """Events of one request, each with the place it has for whoever sends it."""

    __slots__ = ("_parts", "count", "size")

    def __init__(self) -> None:
        self._parts: dict[str, tuple[list[int], list[bytes]]] = {}
        self.count = 0
        self.size = 2
        """Bytes of the body, or a few more."""

    def add(self, place: int, collection: str, body: bytes) -> None:
        part = self._parts.get(collection)
        if part is None:
            part = self._parts[collection] = ([], [])
            self.size += len(_json.dumps(collection)) + 4
        part[0].append(place)
        part[1].append(body)
        self.count += 1
        self.size += len(body) + 1

    def takes(self, collection: str, body: bytes, limits: BatchLimits) -> bool:
        """Whether one more event keeps it within the limits; an empty batch takes any."""
        if not self.count:
            return True
        new_part = 0 if collection in self._parts else len(_json.dumps(collection)) + 4
        return self.count < limits.events and self.size + new_part + len(body) + 1 <= limits.bytes

    def events(self) -> Iterator[tuple[int, str, bytes]]:
        """Place, collection and body of each event, collection by collection."""
        for collection, (places, bodies) in self._parts.items():
            for place, body in zip(places, bodies, strict=True):
                yield place, collection, body

    def body(self) -> bytes:
        """The body of the request."""
        parts = (
            _json.dumps(collection) + b":[" + b",".join(bodies) + b"]"
            for collection, (_, bodies) in self._parts.items()
        )
        return b"{" + b",".join(parts) + b"}"

    def halves(self) -> tuple[Batch, Batch]:
        """The same events in two batches; there must be two at least."""
        first, second = Batch(), Batch()
        for number, event in enumerate(self.events()):
            (first if number < self.count // 2 else second).add(*event)
        return first, second

    def verdicts(self, answer: Answer) -> list[Verdict]:
        """What the answer says of each event that is not stored. Raises UnreadableAnswerError."""
        if answer.content == self._all_stored():
            return []
        said = answer.json()
        if not isinstance(said, dict):
            raise _unreadable(answer)
        found: list[Verdict] = []
        for collection, (places, _) in self._parts.items():
            row = said.get(collection)
            if not isinstance(row, list) or len(row) != len(places):
                raise _unreadable(answer)
            for place, verdict in zip(places, row, strict=True):
                if fault := _fault(verdict, answer):
                    name, description = fault
                    found.append(Verdict(place, name, description, name in PERMANENT))
        return found

    def _all_stored(self) -> bytes:
        """The answer to a batch of which every event is stored, as the server writes it."""
        parts = (
            _json.dumps(collection) + b":[" + b",".join([_STORED] * len(places)) + b"]"
            for collection, (places, _) in self._parts.items()
        )
        return b"{" + b",".join(parts) + b"}"


@dataclass(frozen=True, slots=True)
class Verdict:
    """Why the event at this place is not stored; ``permanent`` where it never can be as it is."""

    place: int
    name: str
    description: str
    permanent: bool


class Batcher:
    """Puts events in batches within the limits: in order, each batch as full as can be."""

    def __init__(self, limits: BatchLimits) -> None:
        self._limits = limits
        self._batch = Batch()

    def add(self, place: int, collection: str, body: bytes) -> Batch | None:
        """The batch before, where this event begins a new one."""
        full = None
        if not self._batch.takes(collection, body, self._limits):
            full, self._batch = self._batch, Batch()
        self._batch.add(place, collection, body)
        return full

    def last(self) -> Batch | None:
        """What has not been given out yet; None where that is nothing."""
        batch, self._batch = self._batch, Batch()
        return batch if batch.count else None


@dataclass(slots=True)
class Exchange:
    """One batch until each of its events has a verdict; whoever uses it sends ``next()`` and tells what came.

    A request that is refused as a whole for its body is sent again in halves, so that one event that a server
    cannot take leaves the others unharmed.
    """

    batch: Batch
    verdicts: list[Verdict] = field(default_factory=list)
    duplicates: int = 0
    _waiting: list[Batch] = field(default_factory=list)

    def __post_init__(self) -> None:
        self._waiting.append(self.batch)

    def next(self) -> Batch | None:
        """The batch to be sent now; None where all have been answered."""
        return self._waiting[-1] if self._waiting else None

    def answered(self, answer: Answer) -> None:
        """The last batch of ``next`` was answered so. Raises UnreadableAnswerError; then it still waits."""
        batch = self._waiting[-1]
        self.verdicts += batch.verdicts(answer)
        self.duplicates += duplicates(answer)
        self._waiting.pop()

    def failed(self, error: ApiError) -> None:
        """The last batch of ``next`` was refused with this error; raises it where it is not for the body."""
        if not is_about_the_body(error):
            raise error
        batch = self._waiting.pop()
        if batch.count > 1:
            self._waiting += reversed(batch.halves())
            return
        ((place, _, _),) = batch.events()
        self.verdicts.append(Verdict(place, error.code or type(error).__name__, error.message, True))

    def unanswered(self) -> set[int]:
        """The places of the events that have no verdict yet."""
        return {place for batch in self._waiting for place, _, _ in batch.events()}


def is_about_the_body(error: ApiError) -> bool:
    """Whether a request was refused for what stands in it, not for its key, its rate or its address.

    A 400 without a code is no answer of a server, so nothing is known of the events.
    """
    if isinstance(error, TooLargeError):
        return True
    return isinstance(error, BadRequestError) and error.status == 400 and error.code != ""


def duplicates(answer: Answer) -> int:
    """How many events of the request had been stored before, by their tokens."""
    value = answer.headers.get("acumen-duplicates", "0")
    return int(value) if value.isascii() and value.isdigit() else 0


def _fault(verdict: Any, answer: Answer) -> tuple[str, str] | None:
    """Name and description of a verdict that is no success."""
    if not isinstance(verdict, dict):
        raise _unreadable(answer)
    if verdict.get("success") is True:
        return None
    fault = verdict.get("error")
    if verdict.get("success") is not False or not isinstance(fault, dict):
        raise _unreadable(answer)
    return str(fault.get("name", "")), str(fault.get("description", ""))


def _unreadable(answer: Answer) -> UnreadableAnswerError:
    return UnreadableAnswerError(
        "the answer does not name each event that was sent",
        status=answer.status,
        request_id=answer.request_id,
    )
