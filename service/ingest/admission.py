"""Decides which events of a request are accepted, and in what form: pure rules, no catalog, no log.

Events arrive as JSON text. A list that passes its collection's strict check as a whole stays in one piece
and is logged as sent. Otherwise each event is checked separately, and one that fails is examined in full.
"""

from __future__ import annotations

import json
import re
from array import array
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from struct import Struct

import msgspec
from msgspec import Raw

from service.bodies import body_thread, splitting
from service.bodies.counting import holds_more_events, holds_more_lists
from service.ingest.errors import InvalidBatch
from storage.events.strict_decoder import Checked, Checker
from storage.events.validation import (
    Context,
    EventLimits,
    InvalidEvent,
    InvalidEventJSON,
    ValidatedEvent,
    Wanted,
    examine,
)
from storage.log.format import HAS_EMPTY, HAS_NULL, HAS_TOKEN, ROWWISE, Section
from storage.schema import LaneKind, Schema

COLLECTION_NAME_LENGTH_MAX = 64

ENRICHMENT_BYTES_MAX = 32_768
"""Bytes that add-ons may add to one event."""

DESCRIPTION_LENGTH_MAX = 600
"""Characters of a refusal's description, which may quote what the client sent."""

NEW_PROPERTIES_FACTOR = 50
"""New properties of one request that are kept until it is decided which fit, as a multiple of the properties
that a collection may have. Events are judged in order, and properties of refused events do not count."""

PERMANENT = frozenset({"InvalidCollectionNameError", "InvalidPropertyNameError", "InvalidPropertyValueError"})
"""The only error names in a bulk verdict: on any other, some clients keep the event and resend it forever."""

_BULK_NAMES = {"InvalidKeenNamespaceProperty": "InvalidPropertyNameError"}


@dataclass(frozen=True, slots=True)
class EventRefusal:
    """Why one event was not accepted: Keen's error name, and a sentence for a person."""

    name: str
    description: str

    def __post_init__(self) -> None:
        if len(self.description) > DESCRIPTION_LENGTH_MAX:
            object.__setattr__(self, "description", self.description[: DESCRIPTION_LENGTH_MAX - 1] + "…")

    def for_bulk(self) -> EventRefusal:
        """The refusal as a bulk answer names it, so that no client resends the event (see PERMANENT)."""
        if self.name in PERMANENT:
            return self
        return EventRefusal(_BULK_NAMES.get(self.name, "InvalidPropertyValueError"), self.description)


@dataclass(frozen=True, slots=True)
class AdmissionLimits:
    """What one request may contain, and what one collection and project may hold."""

    event: EventLimits = field(default_factory=EventLimits)
    event_bytes_max: int = 900_000
    batch_events_max: int = 50_000
    properties_max: int = 1_000
    """Distinct property paths of one collection."""
    collections_max: int = 2_000
    """Event collections of one project."""
    tokens_max: int = 10_000_000
    """Uniqueness tokens and idempotency keys kept for one project."""
    token_days: float = 31.0

    def no_collection(self, name: str) -> EventRefusal:
        """The refusal of an event that would create a collection beyond ``collections_max``."""
        return EventRefusal(
            "InvalidCollectionNameError",
            f"The project has {self.collections_max} event collections, which is the limit, so '{name}' "
            "cannot be created. Delete one that is not needed, or have ACUMEN_COLLECTIONS_MAX raised.",
        )


@dataclass(slots=True)
class AcceptedEvent:
    """One accepted event. ``line`` is a line of JSON without its line end. ``wanted`` holds the event's lanes
    if it was examined, and is empty if it passed the strict check. ``plain`` builds the event without the
    outputs of its add-ons."""

    index: int
    line: bytes
    time_us: int | None
    token: str | None
    flags: int
    wanted: Wanted
    plain: Callable[[], AcceptedEvent] | None = None


@dataclass(slots=True)
class AdmissionResult:
    """One collection's events of one request: either ``whole``, or split into ``ready`` and ``refused``."""

    count: int
    whole: Checked | None = None
    ready: list[AcceptedEvent] = field(default_factory=list)
    refused: dict[int, EventRefusal] = field(default_factory=dict)

    @property
    def taken(self) -> int:
        return self.whole.count if self.whole is not None else len(self.ready)

    @property
    def holds_tokens(self) -> bool:
        if self.whole is not None:
            return self.whole.tokens is not None
        return any(event.token is not None for event in self.ready)

    def refuse_all(self, refusal: EventRefusal) -> None:
        """Refuse all events; those already refused keep their own reason."""
        self.refused = {number: self.refused.get(number, refusal) for number in range(self.count)}
        self.whole, self.ready = None, []

    def wanted(self) -> Wanted:
        return list(dict.fromkeys(pair for event in self.ready for pair in event.wanted))

    def events(self) -> list[AcceptedEvent]:
        """The accepted events one by one, also if the strict check passed them as a whole."""
        whole = self.whole
        if whole is None:
            return self.ready
        lines = whole.lines.split(b"\n")
        tokens: Sequence[str | None] = whole.tokens or [None] * whole.count
        flags = whole.flags & ~HAS_TOKEN
        return [
            AcceptedEvent(number, lines[number], whole.times[number], token, flags, [])
            for number, token in enumerate(tokens)
        ]


def check_collection_name(name: str) -> EventRefusal | None:
    """Return the refusal of a collection name, or None if the name is valid."""
    good = (
        0 < len(name) <= COLLECTION_NAME_LENGTH_MAX
        and name.isascii()
        and name.isprintable()
        and name[0] not in "$_"
        and bool(name.strip())
    )
    if good:
        return None
    return EventRefusal(
        "InvalidCollectionNameError",
        f"Event collection name is invalid. Must be between 1 and {COLLECTION_NAME_LENGTH_MAX} printable "
        "ASCII characters, not blank, and cannot start with the '$' or '_' symbol. "
        f"You specified: '{name[:200]}'.",
    )


_batch = msgspec.json.Decoder(dict[str, Raw])
_items = msgspec.json.Decoder(list[Raw])


class NotParsed(Exception):
    """The parsers fail on a text that may still be JSON: ``service.bodies.splitting`` decides that."""


def split_batch(body: bytes, names_max: int) -> dict[str, bytes]:
    """Split a bulk body into collection name → JSON text of its list. Raises InvalidBatch, NotParsed."""
    if (
        len(body) > body_thread.INLINE_BYTES_MAX
        and body.count(b"[") > names_max
        and holds_more_lists(body, names_max)
    ):
        raise _too_many_names(names_max)
    body_thread.rest()
    try:
        parts = _batch.decode(body)
        body_thread.rest()
        return _lists(parts, names_max)
    except msgspec.ValidationError:
        raise InvalidBatch("InvalidBatchError", _BATCH_SHAPE) from None
    except RecursionError:
        raise NotParsed from None
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise _not_parsed(body, error) from None


def split_batch_slowly(body: bytes, names_max: int) -> dict[str, bytes]:
    """As ``split_batch``, for a body on which the parsers fail. Raises InvalidBatch."""
    try:
        return _lists(splitting.members(body, names_max), names_max)
    except splitting.TooMany:
        raise _too_many_names(names_max) from None
    except (splitting.NotSplit, splitting.TooLong) as error:
        raise _not_split(error) from None


def _lists(parts: Mapping[str, Raw], names_max: int) -> dict[str, bytes]:
    if len(parts) > names_max:
        raise _too_many_names(names_max)
    batch: dict[str, bytes] = {}
    for name, part in parts.items():
        text = bytes(part)
        if not text.startswith(b"["):
            raise InvalidBatch("InvalidBatchError", _BATCH_SHAPE)
        batch[name] = text
    return batch


def _not_parsed(text: bytes, error: Exception) -> Exception:
    if splitting.may_hold_half(text):
        return NotParsed()
    return InvalidBatch("InvalidJSONError", f"The request body is not valid JSON: {error}.")


def _not_split(error: Exception) -> InvalidBatch:
    if isinstance(error, splitting.NotSplit):
        return InvalidBatch("InvalidJSONError", "The request body is not valid JSON.")
    return InvalidBatch(
        "InvalidBatchError",
        "The request body has events that are nested too deeply or contain half a character, and is too "
        "large to sort them out. "
        "Send fewer events in one request.",
    )


def _too_many_names(names_max: int) -> InvalidBatch:
    return InvalidBatch("InvalidBatchError", f"One request may name at most {names_max} collections.")


def too_many_events(events_max: int) -> InvalidBatch:
    return InvalidBatch("InvalidBatchError", f"One request may hold at most {events_max} events.")


_LONE_LIST = re.compile(rb'[ \t\r\n]*+\{[ \t\r\n]*+"([ !#-\[\]-~]{1,64}+)"[ \t\r\n]*+:[ \t\r\n]*+(?=\[)')


def lone_list(body: bytes) -> tuple[str, bytes] | None:
    """The name and the text of the list, assuming that the body holds a single list and is valid JSON.

    Only the text around the list is checked: if the list is valid JSON, so is the body. None if the body has
    another shape.
    """
    start = _LONE_LIST.match(body)
    if start is None or not body.endswith(b"}"):
        return None
    return start[1].decode("ascii"), body[start.end() : -1]


_BATCH_SHAPE = 'The request body must be an object of lists of events: {"collection name": [{…}, {…}]}.'


def count_first(text: bytes, room: int, events_max: int) -> None:
    """Refuse a large list of more than ``room`` events before any object is built from it.

    Raises InvalidBatch, and NotParsed if the list holds anything but objects.
    """
    if len(text) > body_thread.INLINE_BYTES_MAX:
        beyond = holds_more_events(text, room)
        if beyond:
            raise too_many_events(events_max)
        if beyond is None:
            raise NotParsed


def split_list(text: bytes, room: int, events_max: int) -> list[Raw]:
    """The JSON text of each item of a list that passed ``count_first``. Raises InvalidBatch, NotParsed."""
    try:
        items = _items.decode(text)
    except RecursionError:
        raise NotParsed from None
    except (msgspec.MsgspecError, UnicodeDecodeError) as error:
        raise _not_parsed(text, error) from None
    if len(items) > room:
        raise too_many_events(events_max)
    return items


def split_list_slowly(text: bytes, room: int, events_max: int) -> list[Raw]:
    """As ``split_list``, for a list on which the parsers fail or that does not hold objects only."""
    try:
        return splitting.elements(text, room)
    except splitting.TooMany:
        raise too_many_events(events_max) from None
    except (splitting.NotSplit, splitting.TooLong) as error:
        raise _not_split(error) from None


def batches_of(body: bytes, names_max: int) -> dict[str, bytes]:
    """As ``split_batch``, falling back to the slow splitter; for threads."""
    try:
        return split_batch(body, names_max)
    except NotParsed:
        return split_batch_slowly(body, names_max)


def items_of(text: bytes, room: int, events_max: int) -> list[Raw]:
    """As ``split_list``, falling back to the slow splitter; for threads."""
    try:
        count_first(text, room, events_max)
        body_thread.rest()
        return split_list(text, room, events_max)
    except NotParsed:
        return split_list_slowly(text, room, events_max)


def check_whole(text: bytes, checker: Checker, limits: AdmissionLimits, room: int) -> AdmissionResult | None:
    """Accept the list in one piece if all of it passes the strict check and it holds at most ``room`` events.

    None otherwise.
    """
    checked = checker.check_list(text, room, limits.event_bytes_max)
    return None if checked is None else AdmissionResult(checked.count, whole=checked)


def sort_one(
    index: int, raw: bytes, checker: Checker, limits: AdmissionLimits, context: Context, paths: Paths
) -> AcceptedEvent | EventRefusal:
    """Accept or refuse one event of a list; ``paths`` collects the new properties of the whole request.

    Raises InvalidBatch if the event's text makes the whole body invalid JSON.
    """
    if len(raw) > limits.event_bytes_max:
        text = f"The event is larger than the limit of {limits.event_bytes_max} bytes."
        return EventRefusal("InvalidPropertyValueError", text)
    checked = checker.check(raw)
    if checked is not None:
        token = checked.tokens[0] if checked.tokens else None
        return AcceptedEvent(
            index, checked.lines[:-1], checked.times[0], token, checked.flags & ~HAS_TOKEN, []
        )
    try:
        return paths.take(_ready(index, raw, limits, context), checker.schema)
    except InvalidEventJSON as error:
        if _is_json(raw):
            return EventRefusal("InvalidPropertyValueError", error.description)
        raise InvalidBatch("InvalidJSONError", error.description) from None
    except InvalidEvent as error:
        return EventRefusal(error.name, error.description)


def _ready(index: int, raw: bytes, limits: AdmissionLimits, context: Context) -> AcceptedEvent:
    examined = examine(raw, limits.event, context)
    if len(examined.payload) > len(raw) + ENRICHMENT_BYTES_MAX and examined.enriched:
        return _plain(index, raw, limits, context)
    ready = ready_from(index, examined)
    if examined.enriched:
        ready.plain = partial(_plain, index, raw, limits, context)
    return ready


def _plain(index: int, raw: bytes, limits: AdmissionLimits, context: Context) -> AcceptedEvent:
    """The event without the outputs of its add-ons."""
    return ready_from(index, examine(raw, limits.event, context, outputs=False))


def ready_from(index: int, event: ValidatedEvent) -> AcceptedEvent:
    flags = (HAS_NULL if event.has_null else 0) | (HAS_EMPTY if event.has_empty else 0)
    return AcceptedEvent(index, event.payload, event.timestamp_us, event.token, flags, event.wanted)


def _is_json(raw: bytes) -> bool:
    """Whether the text is JSON by its grammar, which permits numbers beyond the range of a double."""
    try:
        json.loads(raw.decode("utf-8"), parse_constant=_refuse)
    except (ValueError, RecursionError):
        return False
    return True


def _refuse(name: str) -> float:
    raise ValueError(name)


def _too_many_properties(limit: int, first: str) -> EventRefusal:
    return EventRefusal(
        "InvalidPropertyNameError",
        f"The collection would have more than {limit} distinct properties. The first one too many is "
        f"'{first[:300]}'. Delete events or properties that are not needed, or have ACUMEN_PROPERTIES_MAX "
        "raised.",
    )


class PropertyBudget:
    """Tracks how many more properties a collection may get while events with new ones are accepted."""

    def __init__(self, schema: Schema, limit: int) -> None:
        self._paths = set(schema.by_path)
        self._limit = limit

    def has(self, event: AcceptedEvent) -> bool:
        """Whether the event's new properties fit; if so, they are added."""
        new = self._new(event)
        if new is not None:
            self._paths |= new
        return new is not None

    def take(self, event: AcceptedEvent) -> AcceptedEvent | EventRefusal:
        """Return the event if its properties fit, otherwise without its add-on outputs, or else a refusal."""
        new = self._new(event)
        if new is None and event.plain is not None:
            event = event.plain()
            new = self._new(event)
        if new is not None:
            self._paths |= new
            return event
        first = min({path for path, _ in event.wanted} - self._paths)
        return _too_many_properties(self._limit, first)

    def _new(self, event: AcceptedEvent) -> set[str] | None:
        """The properties that the event would add; None if they are too many."""
        new = {path for path, _ in event.wanted} - self._paths
        return None if new and len(self._paths) + len(new) > self._limit else new


class Paths:
    """The new properties of one request while its events are sorted, each stored once.

    Beyond NEW_PROPERTIES_FACTOR times what one collection may have, events with further new properties are
    refused and these are not stored, which bounds the memory of a request.
    """

    def __init__(self, properties_max: int) -> None:
        self._known: dict[tuple[str, LaneKind], tuple[str, LaneKind]] = {}
        self._properties_max = properties_max
        self._left = properties_max * NEW_PROPERTIES_FACTOR

    def take(self, event: AcceptedEvent, schema: Schema) -> AcceptedEvent | EventRefusal:
        if not event.wanted:
            return event
        unknown = {path for path, _ in event.wanted if path not in schema.by_path}
        if len(unknown) > self._properties_max and event.plain is None:
            # These alone exceed the limit, whatever the collection holds already.
            return _too_many_properties(self._properties_max, min(unknown))
        new = [pair for pair in event.wanted if pair not in self._known]
        unkept = sum(path in unknown for path, _ in new)
        if unkept > self._left and event.plain is not None:
            return self.take(event.plain(), schema)
        if unkept > self._left:
            first = next(path for path, _ in new if path in unknown)
            return _too_many_properties(self._properties_max, first)
        self._left -= unkept
        self._known.update(zip(new, new, strict=True))
        event.wanted = [self._known[pair] for pair in event.wanted]
        return event


@dataclass(slots=True)
class CollectionHandle:
    """A collection's id and strict check, as needed to write sections of its events."""

    collection_id: int
    checker: Checker

    def lacks_lanes_of(self, earlier: CollectionHandle) -> bool:
        """Whether lanes that the collection had then may be missing now, since they were removed or since it
        is another collection."""
        removed = self.checker.schema.pruned > earlier.checker.schema.version
        return removed or self.collection_id != earlier.collection_id


def sections(
    handle: CollectionHandle, events: list[AcceptedEvent], duplicates: int, received_us: int
) -> Iterator[Section]:
    """The events as sections of a frame: one for the bulk shredder, one for events shredded row by row."""
    plain: list[AcceptedEvent] = []
    rowwise: list[AcceptedEvent] = []
    for event in events:
        covered = not event.wanted or handle.checker.covers(event.wanted)
        (plain if covered else rowwise).append(event)
    if plain or (duplicates and not rowwise):
        yield _section(handle, plain, duplicates, 0, received_us)
        duplicates = 0
    if rowwise:
        yield _section(handle, rowwise, duplicates, ROWWISE, received_us)


def _section(
    handle: CollectionHandle, events: list[AcceptedEvent], duplicates: int, flags: int, received_us: int
) -> Section:
    for event in events:
        flags |= event.flags
        if event.token is not None:
            flags |= HAS_TOKEN
    return Section(
        collection_id=handle.collection_id,
        lanes_version=handle.checker.schema.version,
        count=len(events),
        duplicates=duplicates,
        flags=flags,
        times=pack_times([event.time_us for event in events], received_us),
        payload=b"".join([event.line + b"\n" for event in events]),
    )


def whole_section(handle: CollectionHandle, checked: Checked, received_us: int) -> Section:
    """Events that passed the strict check together and are all stored."""
    # Positional arguments: this runs for every request, and keywords would cost more than the rest of it.
    return Section(
        handle.collection_id,
        handle.checker.schema.version,
        checked.count,
        0,
        checked.flags,
        pack_times(checked.times, received_us),
        checked.lines,
    )


def pack_times(times: Sequence[int | None], received_us: int) -> bytes:
    """Pack times as little-endian int64 µs; an event without a time gets the time it was received."""
    if len(times) == 1:
        return _ONE_TIME.pack(received_us if times[0] is None else times[0])
    packed = array("q", [received_us if time is None else time for time in times])
    if _BIG_ENDIAN:
        packed.byteswap()
    return packed.tobytes()


_ONE_TIME = Struct("<q")
_BIG_ENDIAN = array("H", [1]).tobytes() == b"\x00\x01"
