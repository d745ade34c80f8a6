"""The strict check: whether an event's values all fit lanes that its collection already has.

A ``Checker`` is generated from a schema. Events that pass may be logged byte for byte as the client sent
them, because the shredder reads exactly those lanes; all others go to ``storage.events.validation.examine``.
msgspec makes the check, without a Python object for each property.
"""

from __future__ import annotations

import functools
import operator
import re
from collections.abc import Callable, Collection, Iterable, Sequence
from dataclasses import dataclass, field
from typing import Annotated, Any

import msgspec
import pyarrow as pa
from msgspec import UNSET, Meta, Raw, UnsetType

from storage.events.validation import EXACT_INTEGER, EventLimits
from storage.instants import MAX_INSTANT_US, MIN_INSTANT_US, parse_instant, parse_instants
from storage.log.format import HAS_EMPTY, HAS_NULL, HAS_TOKEN
from storage.schema import LaneKind, Schema, fold

Number = Annotated[int, Meta(ge=-EXACT_INTEGER, le=EXACT_INTEGER)] | float
TOKEN = "keen.uniqueness_token"
LIST_DEPTH = 4
"""Levels of lists and objects inside a list that the strict check covers; deeper events are examined."""
NULLS_REMEMBERED = 20
"""After a null was seen, nulls are expected in this many further checks."""
_NO_LIMIT = 1 << 62
BULK_LENGTH_MAX = 512
BULK_DEPTH_MAX = 6
"""Length and depth limits of a property path that is checked strictly and read in bulk: DuckDB takes half a
minute to prepare a thousand lists eight levels deep, which would delay every read of their collection."""


@dataclass(slots=True)
class Checked:
    """Events that passed the check. ``lines`` is NDJSON, each line ended by a newline."""

    lines: bytes
    count: int
    times: Sequence[int | None]
    flags: int
    tokens: list[str | None] | None


@dataclass
class Node:
    """A property in the tree of a schema's paths."""

    kinds: set[LaneKind] = field(default_factory=set)
    children: dict[str, Node] = field(default_factory=dict)


class Checker:
    """The strict check for one schema. Building it is expensive: keep one per schema version."""

    def __init__(self, schema: Schema, limits: EventLimits) -> None:
        self.schema = schema
        self._limits = limits
        self._bulk_paths = bulk_paths(schema)
        self._decoders: dict[tuple[bool, bool], _Decoder] = {}
        for nullable in (False, True):
            self._decoder(nullable=nullable, short=True)
        self._nulls_expected = 0
        self._takes_tokens = TOKEN in schema.by_path

    def check(self, raw: bytes) -> Checked | None:
        """Check one event as sent; None where it must be examined."""
        if may_hold_placeholder(raw):
            return None
        found = self._decode(raw, len(raw), lambda decoder: decoder.decode(raw))
        if found is None:
            return None
        event, flags = found
        time, token = None, None
        keen = event.keen
        if keen is not UNSET:
            if keen.timestamp is not UNSET:
                time = parse_instant(keen.timestamp)
                if time is None:
                    return None
            token = keen.uniqueness_token
        if b"\n" in raw or b"\r" in raw:
            raw = one_line(raw)
        if token is None or token is UNSET:
            return Checked(raw + b"\n", 1, [time], flags, None)
        return Checked(raw + b"\n", 1, [time], flags | HAS_TOKEN, [token])

    def check_list(
        self, raw: bytes, events_max: int = _NO_LIMIT, event_bytes_max: int = _NO_LIMIT
    ) -> Checked | None:
        """Check a JSON list of events; None unless all pass.

        Also None for more than ``events_max`` events, or one of more than ``event_bytes_max`` bytes.
        """
        if may_hold_placeholder(raw):
            return None
        try:
            lines: Sequence[Raw | bytes] = _raw_list.decode(raw)
        except _NOT_TAKEN:
            return None
        longest = max(map(len, lines), default=0)
        if len(lines) > events_max or longest > event_bytes_max:
            return None
        found = self._decode(raw, longest, lambda decoder: _keens(decoder, lines))
        if found is None:
            return None
        keens, flags = found
        times = _times(keens)
        if times is None:
            return None
        tokens = _tokens(keens) if self._takes_tokens else None
        if tokens is not None:
            flags |= HAS_TOKEN
        # Searching for a single byte is many times faster than for a longer text, and mostly finds none.
        if b"\n" in raw or b"\r" in raw:
            lines = [one_line(bytes(line)) for line in lines]
        payload = b"\n".join(lines) + b"\n" if lines else b""
        return Checked(payload, len(keens), times, flags, tokens)

    def _decode(self, raw: bytes, longest: int, decode: Callable[[_Decoder], Any]) -> tuple[Any, int] | None:
        """Decode JSON with the strict types: the value and its flags, None where they reject it.

        ``longest`` is the number of bytes of its longest event.
        """
        short = longest <= self._limits.string_length_max
        flags = 0 if find_empty_object(raw, 0) < 0 else HAS_EMPTY
        # Decoding with types that reject null proves more cheaply than a search that there is none. The
        # attempt is skipped only while nulls are expected, since it would then mostly fail.
        if self._nulls_expected:
            self._nulls_expected -= 1
        else:
            try:
                return decode(self._decoder(nullable=False, short=short)), flags
            except _NOT_TAKEN:
                pass
        try:
            found = decode(self._decoder(nullable=True, short=short))
        except _NOT_TAKEN:
            return None
        if b"null" in raw:
            flags |= HAS_NULL
            if not self._nulls_expected:
                self._nulls_expected = NULLS_REMEMBERED
        return found, flags

    def covers(self, wanted: Iterable[tuple[str, LaneKind]]) -> bool:
        """Whether the bulk shredder can read an event that holds just these (path, kind) pairs.

        If not, its section must be flagged ``ROWWISE``. Call this on the checker of the schema that the pairs
        were added to.
        """
        paths = self._bulk_paths
        return all(
            path in paths and kind is not LaneKind.INTEGER and kind is not LaneKind.LONG
            for path, kind in wanted
        )

    def _decoder(self, *, nullable: bool, short: bool) -> _Decoder:
        """The decoder for events with or without nulls (``nullable``), and for events that are too short to
        hold a text beyond its limit or not (``short``)."""
        decoder = self._decoders.get((nullable, short))
        if decoder is None:
            root = tree(self.schema, self._bulk_paths)
            decoder = msgspec.json.Decoder(_Types(self._limits, nullable, short).event(root))
            self._decoders[nullable, short] = decoder
        return decoder


@dataclass(frozen=True, slots=True)
class _Types:
    """msgspec's types for a tree of properties."""

    limits: EventLimits
    nullable: bool
    short: bool
    """The JSON is too short to hold a text beyond the limit, so lengths are not checked."""
    leaves: dict[frozenset[LaneKind], Any] = field(default_factory=dict)
    """Types of properties without children, by their kinds. Cached, since building a union is slow."""

    def event(self, root: Node) -> Any:
        keen = root.children.pop("keen", Node())
        return self._struct(root, [("keen", self._keen(keen) | UnsetType, UNSET)])

    def _keen(self, keen: Node) -> Any:
        text = Annotated[str, Meta(min_length=1, max_length=self.limits.token_length_max)]
        token = text | UnsetType if "uniqueness_token" in keen.children else UnsetType
        fields: list[tuple[str, Any, Any]] = [
            ("timestamp", str | UnsetType, UNSET),
            ("uniqueness_token", token, UNSET),
        ]
        place = keen.children.get("location", Node())
        if LaneKind.JSON in place.children.get("coordinates", Node()).kinds:
            pair = Annotated[list[Number], Meta(min_length=2, max_length=2)]
            location = msgspec.defstruct(
                "Location", [("coordinates", pair)], forbid_unknown_fields=True, gc=False
            )
            fields.append(("location", location | UnsetType, UNSET))
        return msgspec.defstruct("Keen", fields, forbid_unknown_fields=True, gc=False)

    def _struct(self, node: Node, fields: Sequence[tuple[str, Any, Any]] = ()) -> Any:
        named = list(fields)
        names: dict[str, str] = {}
        for number, (name, child) in enumerate(node.children.items()):
            accepted = self._field(child)
            if accepted is not None:
                names[f"f{number}"] = name
                named.append((f"f{number}", accepted, UNSET))
        return msgspec.defstruct("Event", named, rename=names, forbid_unknown_fields=True, gc=False)

    def _field(self, node: Node) -> Any:
        """The type of an optional field for this property; None where no value of it is accepted."""
        if node.children:
            return self._value(node.kinds, self._struct(node))
        kinds = frozenset(node.kinds)
        if kinds not in self.leaves:
            self.leaves[kinds] = self._value(kinds)
        return self.leaves[kinds]

    def _value(self, kinds: Collection[LaneKind], *structs: Any) -> Any:
        options: dict[LaneKind, Callable[[], Any]] = {
            LaneKind.NUMBER: lambda: Number,
            LaneKind.STRING: self._text,
            LaneKind.BOOLEAN: lambda: bool,
            LaneKind.JSON: lambda: list[self._item(LIST_DEPTH)],  # type: ignore[misc]
        }
        accepted: list[Any] = [type(None)] if self.nullable else []
        accepted += [option() for kind, option in options.items() if kind in kinds]
        accepted += structs
        return functools.reduce(operator.or_, accepted) | UnsetType if accepted else None

    def _text(self) -> Any:
        return str if self.short else Annotated[str, Meta(max_length=self.limits.string_length_max)]

    def _item(self, depth: int) -> Any:
        """The type of a list's item, which may have ``depth`` levels."""
        scalar = self._text() | Number | bool | None
        if depth == 1:
            return scalar
        inner = self._item(depth - 1)
        name = Annotated[str, Meta(max_length=self.limits.name_length_max)]
        return scalar | list[inner] | dict[name, inner]  # type: ignore[valid-type]


_Decoder = msgspec.json.Decoder[Any]
_raw_list = msgspec.json.Decoder(list[Raw])


def _keens(decoder: _Decoder, lines: Sequence[Raw | bytes]) -> list[Any]:
    """The ``keen`` object of each event.

    Decoded one by one: each event is freed before the next is built, so that its memory is reused. A thousand
    at once would evict everything else from the processor's cache.
    """
    decode = decoder.decode
    return [decode(line).keen for line in lines]


_NOT_TAKEN = (ValueError, RecursionError, msgspec.MsgspecError)


def tree(schema: Schema, paths: frozenset[str]) -> Node:
    """The schema's paths that are in ``paths``, as a tree of properties."""
    root = Node()
    for lane in schema.lanes:
        if lane.path in paths:
            node = root
            for name in lane.path.split("."):
                node = node.children.setdefault(name, Node())
            if lane.kind is not LaneKind.NULL:
                node.kinds.add(lane.kind)
    return root


def bulk_paths(schema: Schema) -> frozenset[str]:
    """The paths that DuckDB's reader can distinguish and read.

    Of names that differ only in ASCII case, only the first seen is included, preferably one with a value.
    Left out are paths with a name that DuckDB's type syntax or reader might misread, and paths so long or
    deep that a thousand of them would make a statement of many megabytes.
    """
    first: dict[tuple[str, str], str] = {}
    good: set[str] = set()
    for lane in sorted(schema.lanes, key=lambda lane: lane.kind is LaneKind.NULL):
        prefix = ""
        names = lane.path.split(".")
        if len(lane.path) > BULK_LENGTH_MAX or len(names) > BULK_DEPTH_MAX:
            continue
        for name in names:
            plain = '"' not in name and "\\" not in name and min(name) >= " "
            if not plain or first.setdefault((prefix, fold(name)), name) != name:
                break
            prefix += name + "."
        else:
            good.add(lane.path)
    return frozenset(good)


_ASCII_ESCAPE = re.compile(rb"\\u00[2-7]")


def may_hold_placeholder(raw: bytes) -> bool:
    """Whether a text in this JSON may be ``${keen.…}``, of which any character may be escaped."""
    # Searching for a single byte is many times faster than for a longer text, and mostly finds none.
    if b"$" in raw and b"${keen." in raw:
        return True
    return b"\\" in raw and b"\\u00" in raw and _ASCII_ESCAPE.search(raw) is not None


_EMPTY_OBJECT = re.compile(rb"\{[} \t\r\n]")


def find_empty_object(raw: bytes, start: int) -> int:
    """The first offset from ``start`` on where there may be an empty object; -1 where there is none."""
    match = _EMPTY_OBJECT.search(raw, start)
    return -1 if match is None else match.start()


def one_line(raw: bytes) -> bytes:
    """The same JSON on one line: an unescaped line end can only be white space between tokens."""
    return raw.replace(b"\n", b" ").replace(b"\r", b" ")


def _times(keens: list[Any]) -> Sequence[int | None] | None:
    """Each event's time in µs, None for an event without one; None if any text is not a valid time."""
    try:
        texts = [keen.timestamp for keen in keens]
    except AttributeError:
        texts = [UNSET if keen is UNSET else keen.timestamp for keen in keens]
    if UNSET not in texts:
        return _instants(texts)
    texts = [None if text is UNSET else text for text in texts]
    times = _instants([text for text in texts if text is not None])
    if times is None:
        return None
    remaining = iter(times)
    return [None if text is None else next(remaining) for text in texts]


ARROW_TEXTS_MIN = 512
"""For fewer texts, the overhead of calling Arrow exceeds what it saves."""
_SECONDS_LENGTH = len("2026-01-01T00:00:00Z")
"""Arrow accepts some shorter texts that are not instants, such as an hour without minutes before a zone."""
_UTC = pa.timestamp("us", tz="UTC")


def _instants(texts: list[str]) -> list[int] | None:
    """The times in µs; None if any text is not a valid time.

    Arrow reads the common forms with a zone; anything else is left to ``parse_instants``. Each Arrow call
    releases the interpreter to other threads, so the calls are kept few.
    """
    if len(texts) < ARROW_TEXTS_MIN or min(map(len, texts)) < _SECONDS_LENGTH:
        return parse_instants(texts)
    try:
        column = pa.array(texts, pa.string()).cast(_UTC)
    except pa.ArrowInvalid:
        return parse_instants(texts)
    times: list[int] = memoryview(column.buffers()[1]).cast("b").cast("q")[: len(texts)].tolist()
    if min(times) < MIN_INSTANT_US or max(times) > MAX_INSTANT_US:
        return parse_instants(texts)
    return times


def _tokens(keens: list[Any]) -> list[str | None] | None:
    tokens = [
        None if keen is UNSET or keen.uniqueness_token is UNSET else keen.uniqueness_token for keen in keens
    ]
    return tokens if any(token is not None for token in tokens) else None
