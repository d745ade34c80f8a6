"""Collections, files, logs, claims and requests, as frozen values. Times are µs since 1970 UTC."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from pathlib import Path
from typing import Any, NamedTuple

from storage.schema import Schema
from storage.source import DataFile

HELD_SLACK_US = 120_000_000
"""A clock mark is never older than this while a keeper works."""


@dataclass(frozen=True, slots=True)
class ClockMark:
    """What ``storage.keeper.held_clock`` last told the catalog."""

    held_us: int
    """The time by which data may be deleted for its age."""
    jumped: bool
    """The clock says another time, and is not believed yet."""


@dataclass(frozen=True, slots=True)
class Collection:
    """``data_version`` grows with every change of its live files. ``id`` is never used again: it tells the
    collection from any that had its name before.

    ``erase_version`` grows with every transaction that takes stored events away or changes them.
    """

    id: int
    project_id: str
    name: str
    schema: Schema
    data_version: int
    created_us: int
    erase_version: int = 0
    freed: bool = False
    """All its events were deleted: it counts no more, and goes in a while unless events come again."""


class ErasureKind(StrEnum):
    EVENTS = "events"
    """Those that match are taken away."""
    PROPERTY = "property"
    """It is taken out of every event, with all that is nested in it."""
    UPDATE = "update"
    """Those that match are changed."""


class ErasureState(StrEnum):
    WAITING = "waiting"
    DONE = "done"
    FAILED = "failed"


@dataclass(frozen=True, slots=True)
class Erasure:
    """A request to take stored events away, or to change them. ``events``: how many that were."""

    id: int
    collection_id: int
    kind: ErasureKind
    parameters: Mapping[str, Any]
    state: ErasureState
    events: int
    problem: str | None


class LogState(StrEnum):
    OPEN = "open"
    SEALED = "sealed"


@dataclass(frozen=True, slots=True)
class Loss:
    """Bytes of a log that no repair could read, with the events in them, however many they were."""

    log_id: int
    lsn: int
    bytes: int
    segment: str
    """The file in quarantine, relative to the data folder; empty where there was none."""
    offset: int

    def told(self) -> str:
        where = f", from offset {self.offset} of {self.segment}" if self.segment else ""
        return f"log {self.log_id}: {self.bytes} bytes of acknowledged events{where}"


@dataclass(frozen=True, slots=True)
class LogRow:
    """``flushed_lsn``: all before it stands in files. ``end_lsn`` is known once the log is sealed."""

    id: int
    state: LogState
    flushed_lsn: int
    end_lsn: int | None


@dataclass(frozen=True, slots=True)
class Claim:
    """A right to a token or idempotency key: the first (log, ordinal) that asked for it has it.

    ``scope`` says what the token is unique in; ``digest`` and ``response`` are the claimant's own.
    """

    scope: str
    token: str
    log_id: int
    ordinal: int
    digest: bytes
    response: bytes
    claimed_us: int


def event_scope(collection_id: int) -> str:
    """What the tokens of a collection's events are unique in; the last number is always 1."""
    return f"event:{collection_id}:1"


SHARED = ":autofill"

SHARE_LENGTH = 32


def shared_scope(collection_id: int) -> str:
    """Of the tokens of events of keys with an autofill, which know nothing of others' tokens."""
    return event_scope(collection_id) + SHARED


def shared_token(text: str, share: str) -> str:
    """A token as it is claimed in a shared scope; ``share`` has ``SHARE_LENGTH`` characters."""
    return f"{text}\n{share}"


def request_scope(project_id: str) -> str:
    """What the idempotency keys of a project's requests are unique in."""
    return f"request:{project_id}"


@dataclass(frozen=True, slots=True)
class TokenHolder:
    """A stored event, by its log and ordinal, and its token. It has the claim to the token if the claim is
    of its own log and of no later ordinal: a claim names the first ordinal of the frame that it went with."""

    scope: str
    token: str
    log_id: int
    ordinal: int


class FileState(StrEnum):
    WRITING = "writing"
    """Its id is taken; the file may or may not exist."""
    LIVE = "live"
    DEAD = "dead"
    """Replaced; the file goes once no query can hold it."""


@dataclass(frozen=True, slots=True)
class FileRow:
    """One Parquet file. ``path`` is relative to the data folder; ``sha256`` is lower-case hex."""

    id: int
    collection_id: int
    span: str
    path: str
    rows: int
    bytes: int
    sha256: str
    min_us: int
    max_us: int
    columns: Mapping[str, float | None]
    """Every column in the file → the greatest magnitude in it (number lanes), else None."""
    created_us: int
    damaged: str | None = None
    """Why it is set aside: its bytes are not what was written."""
    marked: bool = True
    """Its instants are marked as UTC; in files of older servers they are not."""

    def data_file(self, root: Path) -> DataFile:
        """As queries read it; ``root``: the data folder."""
        path = str(root / self.path)
        return DataFile(
            path,
            self.rows,
            self.bytes,
            self.min_us,
            self.max_us,
            self.columns,
            self.id,
            self.sha256,
            self.marked,
        )


@dataclass(frozen=True, slots=True)
class ReservedFile:
    """An id whose file is being written, or was left behind by a writer that died."""

    id: int
    collection_id: int
    reserved_us: int


@dataclass(frozen=True, slots=True)
class Counts:
    """Events of a collection, or a change of them: ``logged = stored + duplicates + erased``.

    What is logged and not flushed yet is counted nowhere here: it is in the logs.
    """

    logged: int = 0
    stored: int = 0
    duplicates: int = 0
    erased: int = 0

    @property
    def balanced(self) -> bool:
        return self.logged == self.stored + self.duplicates + self.erased


@dataclass(frozen=True)
class FlushCommit:
    """One flush of all collections. ``flush_number`` is the last one plus one."""

    flush_number: int
    positions: Mapping[int, int]
    """Log id → its new ``flushed_lsn``."""
    files: list[FileRow] = field(default_factory=list)
    counts: Mapping[int, Counts] = field(default_factory=dict)
    """Collection id → what this flush adds; ``stored`` is the rows of its files."""


class CollectionFiles(NamedTuple):
    """A collection and its live files, oldest first; their paths are absolute.

    ``damaged`` are live as well, and set aside."""

    collection: Collection
    files: tuple[DataFile, ...]
    damaged: tuple[DataFile, ...] = ()


@dataclass(frozen=True, slots=True)
class Snapshot:
    """One moment of the catalog. Collections that do not exist are absent."""

    version: int
    flushed_number: int
    logs: tuple[LogRow, ...]
    collections: Mapping[str, CollectionFiles]
