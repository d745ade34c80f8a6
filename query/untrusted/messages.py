"""What a worker and the process that runs a statement say to each other: messages of a kind and bytes."""

from __future__ import annotations

import json
import os
import selectors
import struct
from collections.abc import Callable
from dataclasses import asdict, dataclass, field
from enum import StrEnum
from typing import Any

_HEAD = struct.Struct(">cQ")
HEAD_BYTES = _HEAD.size
_WRITTEN_AT_ONCE = 1 << 20


class Format(StrEnum):
    """How rows are written."""

    JSON = "json"
    CSV = "csv"
    ARROW = "arrow"


class MessageKind(StrEnum):
    """Kinds of messages, one letter each. The worker sends the first three, the process the others."""

    TEXT = "t"
    WORK = "w"
    TABLE = "a"
    """A table as an Arrow stream."""

    BEGUN = "s"
    """The process has read the statement."""
    JUDGED = "j"
    REFUSED = "r"
    ROWS = "o"
    """What is known of the rows, as JSON; the rows themselves follow."""
    BODY = "b"


class Cause(StrEnum):
    """Why a statement has no rows."""

    REFUSED = "refused"
    LIMIT = "limit"
    GONE = "gone"
    """A file could not be read: it may have been replaced."""
    FAILED = "failed"
    """The fault is not the client's; the text is for the log."""


@dataclass(frozen=True, slots=True)
class Text:
    """The statement, before it is known what it reads."""

    sql: str
    folder: str
    """The folder that holds all files that it could read."""
    scratch: str
    """The folder for spilling."""
    memory_bytes: int
    spill_bytes: int
    seconds: float


@dataclass(frozen=True, slots=True)
class TableText:
    """A table: the SQL of its rows, and the values of the variables in it."""

    name: str
    sql: str
    variables: dict[str, Any]
    tail: str = ""
    """The name under which the SQL has the Arrow table that follows; empty for none."""


@dataclass(frozen=True, slots=True)
class Work:
    """All that the process needs to run the statement."""

    tables: list[TableText]
    files: list[str]
    parameters: list[Any] | dict[str, Any]
    timezone: str
    format: Format
    rows_max: int
    limit: int | None
    bytes_max: int
    memory_bytes: int
    spill_bytes: int
    threads: int
    explain: bool = False


@dataclass(frozen=True, slots=True)
class RowsHead:
    """What is known of the rows that follow."""

    columns: list[dict[str, str]]
    rows: int
    bytes: int
    """Of the body."""
    truncated: bool
    plan: str = ""


@dataclass(frozen=True, slots=True)
class Refusal:
    """Why there are no rows."""

    fault: Cause
    text: str


@dataclass(frozen=True, slots=True)
class Reads:
    """What a statement reads, as ``judge`` found it, and how the process is confined."""

    tables: list[str]
    columns: list[str] = field(default_factory=list)
    landlock: int = 0
    seccomp: bool = False


def packed(message: Any) -> bytes:
    return json.dumps(asdict(message)).encode()


def head_of(kind: MessageKind, length: int) -> bytes:
    return _HEAD.pack(kind.value.encode(), length)


def read_head(head: bytes) -> tuple[MessageKind, int]:
    letter, length = _HEAD.unpack(head)
    return MessageKind(letter.decode()), length


def work_of(content: bytes) -> Work:
    fields = json.loads(content)
    fields["tables"] = [TableText(**table) for table in fields["tables"]]
    fields["format"] = Format(fields["format"])
    return Work(**fields)


class Ended(Exception):
    """The other side has ended."""


class Channel:
    """One side of a conversation over two pipes.

    ``check`` is called at least every ``pause`` seconds while the other side is waited for; it may raise.
    """

    def __init__(
        self, source: int, target: int, check: Callable[[], None] = lambda: None, pause: float = 0.05
    ) -> None:
        self._source, self._target = source, target
        self._check, self._pause = check, pause
        os.set_blocking(source, False)
        os.set_blocking(target, False)

    def send(self, kind: MessageKind, content: bytes | memoryview) -> None:
        """Raises Ended, and what ``check`` raises."""
        self._write(head_of(kind, len(content)))
        self._write(content)

    def receive(self, bytes_max: int) -> tuple[MessageKind, bytes]:
        """The next message. Raises Ended, also for one that is longer than ``bytes_max``."""
        try:
            kind, length = read_head(self._read(HEAD_BYTES))
        except ValueError:
            raise Ended from None
        if length > bytes_max:
            raise Ended
        return kind, self._read(length)

    def _write(self, content: bytes | memoryview) -> None:
        left = memoryview(content)
        while left:
            self._wait(self._target, selectors.EVENT_WRITE)
            try:
                left = left[os.write(self._target, left[:_WRITTEN_AT_ONCE]) :]
            except BlockingIOError:
                continue
            except OSError:
                raise Ended from None

    def _read(self, length: int) -> bytes:
        content = bytearray()
        while len(content) < length:
            self._wait(self._source, selectors.EVENT_READ)
            try:
                part = os.read(self._source, min(_WRITTEN_AT_ONCE, length - len(content)))
            except BlockingIOError:
                continue
            if not part:
                raise Ended
            content += part
        return bytes(content)

    def _wait(self, descriptor: int, event: int) -> None:
        with selectors.PollSelector() as selector:
            selector.register(descriptor, event)
            while True:
                self._check()
                if selector.select(self._pause):
                    return
