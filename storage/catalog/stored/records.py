"""Frozen records of collections, files, logs, claims and erasures. Times are µs since 1970 UTC."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from pathlib import Path
from typing import Any, NamedTuple

from storage.schema import Schema
from storage.source import DataFile

HELD_SLACK_US = 120_000_000
"""Maximum age of the clock mark while a keeper runs."""


@dataclass(frozen=True, slots=True)
class ClockMark:
    """The last clock state that ``storage.keeper.held_clock`` stored in the catalog."""

    held_us: int
    """The time to use when deleting data by age."""
    jumped: bool
    """The machine's clock shows another time, which is not trusted yet."""


@dataclass(frozen=True, slots=True)
class Collection:
    """A collection. ``id`` is never reused, so it distinguishes the collection from earlier ones of its name.

    ``data_version`` grows with every change of its live files, ``erase_version`` with every transaction that
    erases or changes stored events.
    """

    id: int
    project_id: str
    name: str
    schema: Schema
    data_version: int
    created_us: int
    erase_version: int = 0
    freed: bool = False
    """All its events were deleted: it does not count towards limits, and is removed later unless new events
    arrive."""
    derived: bool = False
    """Its events come from a pipeline alone: no client may send it any."""


class ErasureKind(StrEnum):
    EVENTS = "events"
    """Deletes the matching events."""
    PROPERTY = "property"
    """Removes a property, with everything nested in it, from every event."""
    UPDATE = "update"
    """Changes the matching events."""


class ErasureState(StrEnum):
    WAITING = "waiting"
    DONE = "done"
    FAILED = "failed"


@dataclass(frozen=True, slots=True)
class Erasure:
    """A request to erase or change stored events. ``events`` is the number of events affected."""

    id: int
    collection_id: int
    kind: ErasureKind
    parameters: Mapping[str, Any]
    state: ErasureState
    events: int
    problem: str | None


@dataclass(frozen=True, slots=True)
class RequestedErasure:
    """A request with its times. ``collection`` is None where no event of the collection is left."""

    erasure: Erasure
    collection: str | None
    requested_us: int
    ended_us: int | None


class LogState(StrEnum):
    OPEN = "open"
    SEALED = "sealed"


@dataclass(frozen=True, slots=True)
class Loss:
    """Bytes of a log that no repair could read; the number of events in them is unknown."""

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
    """A log. Everything before ``flushed_lsn`` is in files; ``end_lsn`` is known once the log is sealed."""

    id: int
    state: LogState
    flushed_lsn: int
    end_lsn: int | None


class Claim(NamedTuple):
    """A claim to a uniqueness token or idempotency key, owned by the first (log, ordinal) that requested it.

    The token is unique within ``scope``; ``digest`` and ``response`` are defined by the claimant.
    """

    scope: str
    token: str
    log_id: int
    ordinal: int
    digest: bytes
    response: bytes
    claimed_us: int


def event_scope(collection_id: int) -> str:
    """The scope of the tokens of a collection's events; its last number is always 1."""
    return f"event:{collection_id}:1"


SHARED = ":autofill"

SHARE_LENGTH = 32


def shared_scope(collection_id: int) -> str:
    """The scope of tokens sent with keys that have an autofill, which are separate from others' tokens."""
    return event_scope(collection_id) + SHARED


def shared_token(text: str, share: str) -> str:
    """The token to claim in a shared scope; ``share`` has ``SHARE_LENGTH`` characters."""
    return f"{text}\n{share}"


def request_scope(project_id: str) -> str:
    """The scope of the idempotency keys of a project's requests."""
    return f"request:{project_id}"


@dataclass(frozen=True, slots=True)
class TokenHolder:
    """A stored event, by its log and ordinal, and its token. It owns the claim to the token if the claim has
    the same log and no later ordinal: a claim names the first ordinal of its frame."""

    scope: str
    token: str
    log_id: int
    ordinal: int


Ends = tuple[int, int]
"""Up to where the events of a log go: the ends of its plain and of its claimed ordinals."""


class FileState(StrEnum):
    WRITING = "writing"
    """Its id is reserved; the file may or may not exist."""
    LIVE = "live"
    SUPERSEDED = "superseded"
    """Replaced, and kept for questions about earlier versions; it holds no erased events."""
    DEAD = "dead"
    """Not kept; the file is removed once no query can be using it."""


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
    """Column in the file → greatest magnitude in it for number lanes, else None."""
    created_us: int
    damaged: str | None = None
    """Why it is set aside: its bytes differ from what was written."""
    marked: bool = True
    """Whether its timestamps are marked as UTC; in files of older servers they are not."""
    # What follows changes in a file's life: rows of one file are equal whatever became of it.
    added: int | None = field(default=None, compare=False)
    """The first data version of which it holds events; None: the one that makes it live."""
    removed: int | None = field(default=None, compare=False)
    """The first data version of which it holds events no more; None while it is live."""
    removed_us: int | None = field(default=None, compare=False)
    flushed: bool = field(default=False, compare=False)
    """Whether its events were only in logs before ``added``."""
    arrived_us: int | None = field(default=None, compare=False)
    """No event of a flushed file was received before then."""
    outdated: bool = field(default=False, compare=False)
    """Whether events were changed by what superseded it, or later."""

    @property
    def is_past(self) -> bool:
        """Whether it is superseded."""
        return self.removed is not None

    def data_file(self, root: Path) -> DataFile:
        """The file as queries read it; ``root`` is the data folder."""
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
    """A reserved id, whose file is being written or was abandoned by a writer that died."""

    id: int
    collection_id: int
    reserved_us: int


@dataclass(frozen=True, slots=True)
class Counts:
    """Counts of a collection's events, or changes of them: ``logged = stored + duplicates + erased``.

    Events that are not flushed yet are not counted.
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
    """One flush of all collections. ``flush_number`` is that of the last flush plus one."""

    flush_number: int
    positions: Mapping[int, int]
    """Log id → its new ``flushed_lsn``."""
    files: list[FileRow] = field(default_factory=list)
    counts: Mapping[int, Counts] = field(default_factory=dict)
    """Collection id → counts that this flush adds; ``stored`` is the number of rows in its files."""
    ends: Mapping[int, Ends] = field(default_factory=dict)
    """Log id → the ends of its ordinals, up to which this flush and those before it go."""


@dataclass(frozen=True, slots=True)
class PastChange:
    """What an erasure changes of the versions before it: superseded files, and what replaces them."""

    removed: Sequence[int] = ()
    added: Sequence[FileRow] = ()
    lost: Sequence[FileRow] = ()
    """Those of ``removed`` that could not be read, so that their versions cannot be either."""
    span: tuple[int, int] | None = None
    """The times of the erased events, both included; None where none was erased."""
    events: int = 0


NOTHING_PAST = PastChange()


class CollectionFiles(NamedTuple):
    """A collection and its live files, oldest first; their paths are absolute.

    ``damaged`` are also live, but set aside."""

    collection: Collection
    files: tuple[DataFile, ...]
    damaged: tuple[DataFile, ...] = ()


@dataclass(frozen=True, slots=True)
class Snapshot:
    """A consistent view of the catalog. Collections that do not exist are absent."""

    version: int
    flushed_number: int
    logs: tuple[LogRow, ...]
    collections: Mapping[str, CollectionFiles]
