"""Reads a file of events in JSON (lines, an array, an answer of the API; plain or gzip) piece by piece.

The result is batches, cut at the same places whenever the same content is read, so that a batch can be
identified by its start and a repeated import of it recognised.
"""

from __future__ import annotations

import gzip
import io
import json
import re
import sys
import zlib
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO, Any, Protocol

import msgspec
import orjson
from msgspec import Raw

from service.imports.formats import ImportFormat
from service.imports.times import ReadTime

CHUNK_BYTES = 1 << 20
BATCH_EVENTS_MAX = 1_000
BATCH_BYTES_MAX = 4_000_000
"""A batch may be longer by one event."""

GZIP_MAGIC = b"\x1f\x8b"
_WHITE = b" \t\r\n"
_BYTE_ORDER_MARK = b"\xef\xbb\xbf"


class BadSource(Exception):
    """The file cannot be read to its end; the text says where and why."""


class Interrupted(Exception):
    """The reading of a file was stopped from outside, by the ``check`` that is called meanwhile."""


@dataclass(frozen=True, slots=True)
class Item:
    """The text of one event, its offset in the uncompressed content, and its number from 1.

    Of a table, the number is that of the row of data, and the offset counts the rows that were taken.
    """

    number: int
    offset: int
    text: bytes
    problem: str | None = None
    """Why this is not an event; ``text`` may then be truncated."""
    line: int | None = None
    """The line on which the event begins, from 1; None where a file has no lines or they are not counted."""


@dataclass(slots=True)
class ItemBatch:
    """Items in order. ``offset`` identifies the batch, since equal content is cut equally."""

    index: int
    offset: int
    items: list[Item] = field(default_factory=list)
    size: int = 0


class BatchSource(Protocol):
    """A file as batches of events."""

    @property
    def name(self) -> str: ...

    @property
    def size(self) -> int | None:
        """Bytes of the file; None if unknown."""
        ...

    @property
    def position(self) -> int:
        """Bytes of the file read so far."""
        ...

    def batches(self) -> Iterator[ItemBatch]:
        """Raises BadSource at the point from which the content cannot be read."""
        ...

    def as_in_file(self, items: Sequence[Item]) -> list[Item]:
        """Items, in their order, with their text and line in the file, where those are known."""
        ...

    def close(self) -> None: ...


def batched(items: Iterable[Item]) -> Iterator[ItemBatch]:
    """Group items into batches, cut by count and size alone."""
    batch: ItemBatch | None = None
    index = 0
    for item in items:
        if batch is None:
            batch = ItemBatch(index, item.offset)
        batch.items.append(item)
        batch.size += len(item.text) + 1
        if len(batch.items) >= BATCH_EVENTS_MAX or batch.size >= BATCH_BYTES_MAX:
            yield batch
            batch, index = None, index + 1
    if batch is not None:
        yield batch


class EventSource:
    """One file of events in JSON; ``start`` holds the bytes of standard input (``-``) read already."""

    def __init__(
        self,
        path: str,
        item_bytes_max: int,
        kind: ImportFormat | None = None,
        start: bytes = b"",
        *,
        name: str = "",
        unpacked_bytes_max: int | None = None,
        check: Callable[[], None] = lambda: None,
    ) -> None:
        """``name``: what messages call the file; by default its path. ``check`` is called while the file is
        read, and may raise. BadSource is raised beyond ``unpacked_bytes_max``."""
        self.name = name or path
        self._check = check
        self._item_bytes_max = item_bytes_max
        self._kind = kind
        self._raw: IO[bytes] = sys.stdin.buffer if path == "-" else open(path, "rb")  # noqa: SIM115
        self.size = None if path == "-" else Path(path).stat().st_size
        self._counted = Counted(self._raw, start)
        plain = io.BufferedReader(self._counted, CHUNK_BYTES)
        packed = plain.peek(2)[:2] == GZIP_MAGIC
        self._stream: io.BufferedIOBase = Unpacked(plain, unpacked_bytes_max) if packed else plain
        self._buffer = b""
        self._text: str | None = None
        self._base, self._at = 0, 0
        self._line: int | None = None

    @property
    def position(self) -> int:
        return self._counted.position

    def close(self) -> None:
        if self._raw is not sys.stdin.buffer:
            self._raw.close()

    def as_in_file(self, items: Sequence[Item]) -> list[Item]:
        return list(items)

    def batches(self) -> Iterator[ItemBatch]:
        """Raises BadSource at the point from which the content cannot be read."""
        return batched(self._items())

    def _items(self) -> Iterator[Item]:
        if self._fill() and self._buffer.startswith(_BYTE_ORDER_MARK):
            self._at = len(_BYTE_ORDER_MARK)
        blank_lines = 0
        while True:
            start = self._at
            found = self._skip_white()
            blank_lines += self._buffer.count(b"\n", start, self._at)
            if found:
                break
            if not self._fill():
                return
        for number, (offset, text) in enumerate(self._texts(blank_lines), start=1):
            yield self._item(number, offset, text)

    def _texts(self, blank_lines: int) -> Iterator[tuple[int, bytes]]:
        if self._kind is ImportFormat.ANSWER:
            return self._answer()
        array = self._kind is ImportFormat.JSON or (self._kind is None and self._peek() == b"[")
        return self._array() if array else self._lines(blank_lines)

    def _item(self, number: int, offset: int, text: bytes) -> Item:
        line = self._line
        if len(text) > self._item_bytes_max:
            limit = self._item_bytes_max
            why = f"The event is larger than the limit of {limit} bytes."
            return Item(number, offset, text[:1_000], why, line)
        try:
            _one.decode(text)
            text.decode("utf-8")
        except UnicodeDecodeError as error:
            return Item(number, offset, text, f"Not UTF-8 at byte {error.start}.", line)
        except (msgspec.MsgspecError, RecursionError) as error:
            return Item(number, offset, text, f"Not valid JSON: {error}.", line)
        return Item(number, offset, text, None, line)

    def _lines(self, blank_lines: int) -> Iterator[tuple[int, bytes]]:
        """Lines that are not blank, as many of which come first as said; too long a line is truncated."""
        self._line = blank_lines + 1
        while True:
            end = self._buffer.find(b"\n", self._at)
            if end < 0 and self._fill():
                if len(self._buffer) > self._item_bytes_max + CHUNK_BYTES and b"\n" not in self._buffer:
                    yield self._long_line()
                    self._line += 1
                continue
            stop = end if end >= 0 else len(self._buffer)
            line, offset = self._buffer[self._at : stop].strip(_WHITE), self._offset
            self._at = min(stop + 1, len(self._buffer))
            if line:
                yield offset, line
            self._line += 1
            if end < 0:
                return

    def _long_line(self) -> tuple[int, bytes]:
        offset = self._offset
        line = self._buffer[self._at : self._at + self._item_bytes_max + 1]
        while (end := self._buffer.find(b"\n", self._at)) < 0:
            self._at = len(self._buffer)
            if not self._fill():
                return offset, line
        self._at = end + 1
        return offset, line

    def _answer(self) -> Iterator[tuple[int, bytes]]:
        """The items of the list ``result`` of one object."""
        self._expect(b"{")
        while (mark := self._peek()) != b"}":
            if mark == b",":
                self._at += 1
                continue
            name = self._value()
            self._expect(b":")
            if name == b'"result"' and self._peek() == b"[":
                yield from self._array(within=True)
            else:
                self._peek()
                self._value()
        self._at += 1
        if self._peek(at_end=True):
            raise self._broken("something follows the end of the answer")

    def _expect(self, mark: bytes) -> None:
        if self._peek() != mark:
            raise self._broken(f"'{mark.decode()}' is missing")
        self._at += 1

    def _value(self) -> bytes:
        end = self._value_end()
        text = self._buffer[self._at : end]
        self._at = end
        return text

    def _array(self, *, within: bool = False) -> Iterator[tuple[int, bytes]]:
        """The items of one array, found by decoding the bytes as Latin-1, one character per byte."""
        self._expect(b"[")
        first = True
        while (mark := self._peek()) != b"]":
            if not first:
                if mark != b",":
                    raise self._broken("a comma or the end of the array is missing")
                self._at += 1
                self._peek()
            first = False
            end = self._value_end()
            yield self._offset, self._buffer[self._at : end]
            self._at = end
        self._at += 1
        if not within and self._peek(at_end=True):
            raise self._broken("something follows the end of the array")

    def _value_end(self) -> int:
        """The end, in the buffer, of the value at the current position; fills the buffer as needed."""
        while True:
            if self._text is None:
                self._text = self._buffer.decode("latin-1")
            try:
                _, end = _lenient.raw_decode(self._text, self._at)
            except RecursionError:
                raise self._broken("an item is nested too deeply") from None
            except ValueError as error:
                if len(self._buffer) - self._at > 4 * self._item_bytes_max + CHUNK_BYTES:
                    raise self._broken(f"an item is far larger than {self._item_bytes_max} bytes") from None
                if not self._fill():
                    raise self._broken(str(error)) from None
                continue
            # A number may continue in the next chunk, so the character after it must be available.
            if not _CUT_NUMBER.fullmatch(self._buffer, end) or not self._fill():
                return end

    def _peek(self, *, at_end: bool = False) -> bytes:
        """The next byte that is not white space, without consuming it."""
        while not self._skip_white():
            if not self._fill():
                if at_end:
                    return b""
                raise self._broken("it ends too soon")
        return self._buffer[self._at : self._at + 1]

    def _skip_white(self) -> bool:
        at, buffer, end = self._at, self._buffer, len(self._buffer)
        while at < end and buffer[at] in _WHITE:
            at += 1
        self._at = at
        return at < end

    @property
    def _offset(self) -> int:
        return self._base + self._at

    def _fill(self) -> bool:
        """Read the next chunk and drop consumed bytes from the buffer. False at the end of the content."""
        self._check()
        try:
            chunk = self._stream.read(CHUNK_BYTES)
        except (EOFError, zlib.error, OSError, ValueError) as error:
            raise self._broken(str(error)) from None
        self._base += self._at
        self._buffer = self._buffer[self._at :] + chunk
        self._at, self._text = 0, None
        return bool(chunk)

    def _broken(self, why: str) -> BadSource:
        return BadSource(f"{self.name} cannot be read from byte {self._offset} on: {why}.")


class Unpacked(gzip.GzipFile):
    """The content of a gzip file, up to a number of bytes. OSError is raised for more."""

    def __init__(self, file: IO[bytes] | io.BufferedIOBase, bytes_max: int | None) -> None:
        super().__init__(fileobj=file, mode="rb")
        self._left = bytes_max

    def read(self, size: int | None = -1) -> bytes:
        data = super().read(size)
        if self._left is not None:
            self._left -= len(data)
            if self._left < 0:
                raise OSError("unpacked it is larger than this server takes: split it, or unpack it first")
        return data


class Counted(io.RawIOBase):
    """Counts the bytes read from a file or pipe; ``start`` is returned first."""

    def __init__(self, file: IO[bytes], start: bytes = b"") -> None:
        self._file = file
        self._start = start
        self.position = 0

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: memoryview) -> int:  # type: ignore[override]
        if self._start:
            part, self._start = self._start[: len(buffer)], self._start[len(buffer) :]
        else:
            part = self._file.read(len(buffer))
        buffer[: len(part)] = part
        self.position += len(part)
        return len(part)


_STAMPS = ("created_at", "id")
_members = msgspec.json.Decoder(dict[str, Raw])
_one = msgspec.json.Decoder(Raw)
_lenient = json.JSONDecoder(strict=False)
_CUT_NUMBER = re.compile(rb"(\.|[eE][+-]?)?")
"""What may follow a number in the buffer if the rest of the number has not been read yet."""


def without_stamps(text: bytes) -> bytes:
    """Remove the properties that only a server may set from an event as exported by Keen.

    The rest keeps its spelling. Anything else is returned unchanged, for the server to refuse.
    """
    try:
        event = _members.decode(text)
        keen = _members.decode(event["keen"])
    except (msgspec.MsgspecError, KeyError, RecursionError):
        return text
    if keen.keys().isdisjoint(_STAMPS):
        return text
    kept = {name: value for name, value in keen.items() if name not in _STAMPS}
    return msgspec.json.encode(event | {"keen": kept})


def with_time(text: bytes, path: Sequence[str], read: ReadTime) -> bytes:
    """Move an event's property at ``path`` to its ``keen.timestamp``.

    A text that has no such property, or is not an event, is returned unchanged. Raises ValueError if the
    value is not a time.
    """
    try:
        event = _members.decode(text)
        value, rest = _split_off(event, path)
        if value is None or value.strip() == b"null":
            return text
        keen = _members.decode(rest.get("keen", Raw(b"{}")))
    except (msgspec.MsgspecError, RecursionError):
        return text
    try:
        time = read(msgspec.json.decode(value))
    except ValueError as error:
        raise ValueError(f"'{'.'.join(path)}': {error}.") from None
    keen["timestamp"] = Raw(orjson.dumps(time))
    return msgspec.json.encode(rest | {"keen": keen})


def _split_off(event: dict[str, Raw], path: Sequence[str]) -> tuple[bytes | None, dict[str, Any]]:
    """The value at a path (None if it does not exist), and the event without it."""
    if path[0] not in event:
        return None, event
    rest = {name: part for name, part in event.items() if name != path[0]}
    if len(path) == 1:
        return bytes(event[path[0]]), rest
    value, inner = _split_off(_members.decode(event[path[0]]), path[1:])
    return value, rest | ({path[0]: inner} if inner else {})


def has_property(text: bytes, path: Sequence[str]) -> bool:
    """Whether an event has a property at this path."""
    try:
        return _split_off(_members.decode(text), path)[0] is not None
    except (msgspec.MsgspecError, RecursionError):
        return False


def names_of(text: bytes) -> list[str]:
    """The names of an event's properties, and ``keen.timestamp`` if it has one; empty if it is no event."""
    try:
        event = _members.decode(text)
        keen = _members.decode(event["keen"]) if "keen" in event else {}
    except (msgspec.MsgspecError, RecursionError):
        return []
    return [*event, *(["keen.timestamp"] if "timestamp" in keen else [])]
