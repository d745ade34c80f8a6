"""Which events of a request are taken, and in what form: pure rules, no catalog, no log.

Events arrive as JSON text. A whole list that fits its collection's strict check stays one piece, logged
as it was sent; otherwise each event is checked by itself, and what does not fit is examined in full.
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
    Examined,
    InvalidEvent,
    InvalidJSON,
    Wanted,
    examine,
)
from storage.log.format import HAS_EMPTY, HAS_NULL, HAS_TOKEN, ROWWISE, Section
from storage.schema import LaneKind, Schema

COLLECTION_NAME_LENGTH_MAX = 64

ENRICHMENT_BYTES_MAX = 32_768
"""What add-ons may add to one event."""

DESCRIPTION_LENGTH_MAX = 600
"""Of a refusal, whatever it repeats of what was sent."""

NEW_PROPERTIES_FACTOR = 50
"""New properties of one request that are kept until it is known which fit, by those a collection may have.
Which fit is judged in order, so that those of refused events count for nothing."""

PERMANENT = frozenset({"InvalidCollectionNameError", "InvalidPropertyNameError", "InvalidPropertyValueError"})
"""The only names in a bulk verdict: on any other, some clients keep the event and send it for ever."""

_BULK_NAMES = {"InvalidKeenNamespaceProperty": "InvalidPropertyNameError"}


@dataclass(frozen=True, slots=True)
class Refusal:
    """Why one event was not taken: Keen's error name, and a sentence for a person."""

    name: str
    description: str

    def __post_init__(self) -> None:
        if len(self.description) > DESCRIPTION_LENGTH_MAX:
            object.__setattr__(self, "description", self.description[: DESCRIPTION_LENGTH_MAX - 1] + "…")

    def for_bulk(self) -> Refusal:
        """The same under one of the three names that bulk clients know."""
        if self.name in PERMANENT:
            return self
        return Refusal(_BULK_NAMES.get(self.name, "InvalidPropertyValueError"), self.description)


@dataclass(frozen=True, slots=True)
class AdmissionLimits:
    event: EventLimits = field(default_factory=EventLimits)
    event_bytes_max: int = 900_000
    batch_events_max: int = 50_000
    properties_max: int = 1_000
    """Distinct property paths of one collection."""
    collections_max: int = 2_000
    """Of one project."""
    tokens_max: int = 10_000_000
    """Uniqueness tokens and idempotency keys that are kept for one project."""
    token_days: float = 31.0

    def no_collection(self, name: str) -> Refusal:
        """Why an event of a new collection is refused where the project has as many as it may."""
        return Refusal(
            "InvalidCollectionNameError",
            f"The project has {self.collections_max} event collections, as many as it may: '{name}' can not "
            "be made. Deleting one that is not needed gives room; so does ACUMEN_COLLECTIONS_MAX.",
        )


@dataclass(slots=True)
class Ready:
    """One event that is taken. ``line`` is a line of JSON without its end; ``wanted`` its lanes where it
    was examined, empty where it passed the strict check. ``plain`` is the same without what add-ons found."""

    index: int
    line: bytes
    time_us: int | None
    token: str | None
    flags: int
    wanted: Wanted
    plain: Callable[[], Ready] | None = None


@dataclass(slots=True)
class Sorted:
    """One collection's events of one request: either ``whole``, or ``ready`` and ``refused`` apart."""

    count: int
    whole: Checked | None = None
    ready: list[Ready] = field(default_factory=list)
    refused: dict[int, Refusal] = field(default_factory=dict)

    @property
    def taken(self) -> int:
        return self.whole.count if self.whole is not None else len(self.ready)

    @property
    def holds_tokens(self) -> bool:
        if self.whole is not None:
            return self.whole.tokens is not None
        return any(event.token is not None for event in self.ready)

    def refuse_all(self, refusal: Refusal) -> None:
        """None of the events is taken any more; those refused before stay refused for their own reason."""
        self.refused = {number: self.refused.get(number, refusal) for number in range(self.count)}
        self.whole, self.ready = None, []

    def wanted(self) -> Wanted:
        return list(dict.fromkeys(pair for event in self.ready for pair in event.wanted))

    def events(self) -> list[Ready]:
        """The events one by one, also where the strict check took them as a whole."""
        whole = self.whole
        if whole is None:
            return self.ready
        lines = whole.lines.split(b"\n")
        tokens: Sequence[str | None] = whole.tokens or [None] * whole.count
        flags = whole.flags & ~HAS_TOKEN
        return [
            Ready(number, lines[number], whole.times[number], token, flags, [])
            for number, token in enumerate(tokens)
        ]


def check_collection_name(name: str) -> Refusal | None:
    """None for a name that a collection may have."""
    good = (
        0 < len(name) <= COLLECTION_NAME_LENGTH_MAX
        and name.isascii()
        and name.isprintable()
        and name[0] not in "$_"
        and bool(name.strip())
    )
    if good:
        return None
    return Refusal(
        "InvalidCollectionNameError",
        f"Event collection name is invalid. Must be between 1 and {COLLECTION_NAME_LENGTH_MAX} printable "
        "ASCII characters, not blank, and cannot start with the '$' or '_' symbol. "
        f"You specified: '{name[:200]}'.",
    )


_batch = msgspec.json.Decoder(dict[str, Raw])
_items = msgspec.json.Decoder(list[Raw])


class NotParsed(Exception):
    """No parser gets through the text, which may be JSON: ``service.bodies.splitting`` can tell."""


def split_batch(body: bytes, names_max: int) -> dict[str, bytes]:
    """A bulk body as collection name → the JSON text of its list. Raises InvalidBatch, NotParsed."""
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
    """The same for a body that no parser gets through. Raises InvalidBatch."""
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
        "The request body holds too much beside events that are nested too deep or hold half a character. "
        "Send fewer events in one request.",
    )


def _too_many_names(names_max: int) -> InvalidBatch:
    return InvalidBatch("InvalidBatchError", f"One request may name {names_max} collections at most.")


def too_many_events(events_max: int) -> InvalidBatch:
    return InvalidBatch("InvalidBatchError", f"One request may hold {events_max} events at most.")


_LONE_LIST = re.compile(rb'[ \t\r\n]*+\{[ \t\r\n]*+"([ !#-\[\]-~]{1,64}+)"[ \t\r\n]*+:[ \t\r\n]*+(?=\[)')


def lone_list(body: bytes) -> tuple[str, bytes] | None:
    """The name and the text of the list, *if* the body holds one list and is JSON: the list alone must
    prove to be JSON, then so is the body. None where it is of another shape."""
    start = _LONE_LIST.match(body)
    if start is None or not body.endswith(b"}"):
        return None
    return start[1].decode("ascii"), body[start.end() : -1]


_BATCH_SHAPE = 'The request body must be an object of lists of events: {"collection name": [{…}, {…}]}.'


def count_first(text: bytes, room: int, events_max: int) -> None:
    """Refuse a large list of more than ``room`` events before anything is built of it.

    Raises InvalidBatch, and NotParsed where it is no list of objects alone.
    """
    if len(text) > body_thread.INLINE_BYTES_MAX:
        beyond = holds_more_events(text, room)
        if beyond:
            raise too_many_events(events_max)
        if beyond is None:
            raise NotParsed


def split_list(text: bytes, room: int, events_max: int) -> list[Raw]:
    """The JSON text of each item of a list that ``count_first`` let pass. Raises InvalidBatch, NotParsed."""
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
    """The same for a list that no parser gets through, or that holds other things than objects."""
    try:
        return splitting.elements(text, room)
    except splitting.TooMany:
        raise too_many_events(events_max) from None
    except (splitting.NotSplit, splitting.TooLong) as error:
        raise _not_split(error) from None


def batches_of(body: bytes, names_max: int) -> dict[str, bytes]:
    """As ``split_batch``, by whichever way leads through the body; for threads."""
    try:
        return split_batch(body, names_max)
    except NotParsed:
        return split_batch_slowly(body, names_max)


def items_of(text: bytes, room: int, events_max: int) -> list[Raw]:
    """As ``split_list``, by whichever way leads through the text; for threads."""
    try:
        count_first(text, room, events_max)
        body_thread.rest()
        return split_list(text, room, events_max)
    except NotParsed:
        return split_list_slowly(text, room, events_max)


def check_whole(text: bytes, checker: Checker, limits: AdmissionLimits, room: int) -> Sorted | None:
    """The list as one piece, where the strict check passes all of it and there is room for so many events."""
    checked = checker.check_list(text, room, limits.event_bytes_max)
    return None if checked is None else Sorted(checked.count, whole=checked)


def sort_one(
    index: int, raw: bytes, checker: Checker, limits: AdmissionLimits, context: Context, paths: Paths
) -> Ready | Refusal:
    """One event of a list; ``paths`` keeps what all of the request's events bring.

    Raises InvalidBatch where its text makes the whole body no JSON.
    """
    if len(raw) > limits.event_bytes_max:
        text = f"The event is larger than the limit of {limits.event_bytes_max} bytes."
        return Refusal("InvalidPropertyValueError", text)
    checked = checker.check(raw)
    if checked is not None:
        token = checked.tokens[0] if checked.tokens else None
        return Ready(index, checked.lines[:-1], checked.times[0], token, checked.flags & ~HAS_TOKEN, [])
    try:
        return paths.take(_ready(index, raw, limits, context), checker.schema)
    except InvalidJSON as error:
        if _is_json(raw):
            return Refusal("InvalidPropertyValueError", error.description)
        raise InvalidBatch("InvalidJSONError", error.description) from None
    except InvalidEvent as error:
        return Refusal(error.name, error.description)


def _ready(index: int, raw: bytes, limits: AdmissionLimits, context: Context) -> Ready:
    examined = examine(raw, limits.event, context)
    if len(examined.payload) > len(raw) + ENRICHMENT_BYTES_MAX and examined.enriched:
        return _plain(index, raw, limits, context)
    ready = ready_from(index, examined)
    if examined.enriched:
        ready.plain = partial(_plain, index, raw, limits, context)
    return ready


def _plain(index: int, raw: bytes, limits: AdmissionLimits, context: Context) -> Ready:
    """The event without what its add-ons found."""
    return ready_from(index, examine(raw, limits.event, context, outputs=False))


def ready_from(index: int, event: Examined) -> Ready:
    flags = (HAS_NULL if event.has_null else 0) | (HAS_EMPTY if event.has_empty else 0)
    return Ready(index, event.payload, event.timestamp_us, event.token, flags, event.wanted)


def _is_json(raw: bytes) -> bool:
    """Is this JSON by its grammar, whatever it holds? Numbers beyond a double are."""
    try:
        json.loads(raw.decode("utf-8"), parse_constant=_refuse)
    except (ValueError, RecursionError):
        return False
    return True


def _refuse(name: str) -> float:
    raise ValueError(name)


def _beyond_properties(limit: int, first: str) -> Refusal:
    return Refusal(
        "InvalidPropertyNameError",
        f"The collection would have more than {limit} distinct properties. "
        f"The first new one: '{first[:300]}'. Deleting events or properties that are not needed gives "
        "room, as does ACUMEN_PROPERTIES_MAX.",
    )


class Room:
    """How many further properties a collection may have, as events come that each may bring some."""

    def __init__(self, schema: Schema, limit: int) -> None:
        self._paths = set(schema.by_path)
        self._limit = limit

    def has(self, event: Ready) -> bool:
        """Whether there is room for the event as it is, which then has it."""
        new = self._new(event)
        if new is not None:
            self._paths |= new
        return new is not None

    def take(self, event: Ready) -> Ready | Refusal:
        """The event, where it fits as it is; otherwise without what add-ons found, or not at all."""
        new = self._new(event)
        if new is None and event.plain is not None:
            event = event.plain()
            new = self._new(event)
        if new is not None:
            self._paths |= new
            return event
        first = min({path for path, _ in event.wanted} - self._paths)
        return _beyond_properties(self._limit, first)

    def _new(self, event: Ready) -> set[str] | None:
        """The properties that the event would bring; None where they are too many."""
        new = {path for path, _ in event.wanted} - self._paths
        return None if new and len(self._paths) + len(new) > self._limit else new


class Paths:
    """The new properties of one request while its events are sorted: each is kept once, and beyond a multiple
    of what one collection may have, events that bring more are refused and what they bring is not kept."""

    def __init__(self, properties_max: int) -> None:
        self._known: dict[tuple[str, LaneKind], tuple[str, LaneKind]] = {}
        self._properties_max = properties_max
        self._left = properties_max * NEW_PROPERTIES_FACTOR

    def take(self, event: Ready, schema: Schema) -> Ready | Refusal:
        if not event.wanted:
            return event
        unknown = {path for path, _ in event.wanted if path not in schema.by_path}
        if len(unknown) > self._properties_max and event.plain is None:
            # Whatever else the collection holds, there is no room for it.
            return _beyond_properties(self._properties_max, min(unknown))
        new = [pair for pair in event.wanted if pair not in self._known]
        unkept = sum(path in unknown for path, _ in new)
        if unkept > self._left and event.plain is not None:
            return self.take(event.plain(), schema)
        if unkept > self._left:
            first = next(path for path, _ in new if path in unknown)
            return _beyond_properties(self._properties_max, first)
        self._left -= unkept
        self._known.update(zip(new, new, strict=True))
        event.wanted = [self._known[pair] for pair in event.wanted]
        return event


@dataclass(slots=True)
class CollectionHandle:
    """What a section says of its collection."""

    collection_id: int
    generation: int
    checker: Checker

    def lacks_lanes_of(self, earlier: CollectionHandle) -> bool:
        """Whether lanes that the collection had may be gone: removed, or those of another collection."""
        same = (self.collection_id, self.generation) == (earlier.collection_id, earlier.generation)
        return not same or self.checker.schema.pruned > earlier.checker.schema.version


def sections(
    home: CollectionHandle, events: list[Ready], duplicates: int, received_us: int
) -> Iterator[Section]:
    """The events as sections of a frame: those that the bulk shredder reads, and those it does not."""
    plain: list[Ready] = []
    rowwise: list[Ready] = []
    for event in events:
        covered = not event.wanted or home.checker.covers(event.wanted)
        (plain if covered else rowwise).append(event)
    if plain or (duplicates and not rowwise):
        yield _section(home, plain, duplicates, 0, received_us)
        duplicates = 0
    if rowwise:
        yield _section(home, rowwise, duplicates, ROWWISE, received_us)


def _section(
    home: CollectionHandle, events: list[Ready], duplicates: int, flags: int, received_us: int
) -> Section:
    for event in events:
        flags |= event.flags
        if event.token is not None:
            flags |= HAS_TOKEN
    return Section(
        collection_id=home.collection_id,
        generation=home.generation,
        lanes_version=home.checker.schema.version,
        count=len(events),
        duplicates=duplicates,
        flags=flags,
        times=pack_times([event.time_us for event in events], received_us),
        payload=b"".join([event.line + b"\n" for event in events]),
    )


def whole_section(home: CollectionHandle, checked: Checked, received_us: int) -> Section:
    """Events that passed the strict check together, none of them with a token."""
    # By position: this runs for every request, and names cost more than all else in it.
    return Section(
        home.collection_id,
        home.generation,
        home.checker.schema.version,
        checked.count,
        0,
        checked.flags,
        pack_times(checked.times, received_us),
        checked.lines,
    )


def pack_times(times: Sequence[int | None], received_us: int) -> bytes:
    """int64 little-endian µs; an event that gives no time has the time it was received."""
    if len(times) == 1:
        return _ONE_TIME.pack(received_us if times[0] is None else times[0])
    packed = array("q", [received_us if time is None else time for time in times])
    if _BIG_ENDIAN:
        packed.byteswap()
    return packed.tobytes()


_ONE_TIME = Struct("<q")
_BIG_ENDIAN = array("H", [1]).tobytes() == b"\x00\x01"
