"""What the catalog holds, as frozen values. Times are µs since 1970 UTC."""

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
class Organisation:
    id: str
    name: str
    key: str
    created_us: int


class KeyKind(StrEnum):
    MASTER = "master"
    WRITE = "write"
    READ = "read"


@dataclass(frozen=True, slots=True)
class Project:
    id: str
    name: str
    organisation_id: str
    master_key: str
    write_key: str
    read_key: str
    created_us: int
    users: tuple[str, ...] = ()
    """E-mail addresses."""
    preferences: Mapping[str, Any] = field(default_factory=dict, hash=False)
    deleted_us: int | None = None
    """A deleted project has no keys any more, and its data is purged a while later."""


@dataclass(frozen=True, slots=True)
class Usage:
    """What a project holds. ``collections`` are those with events in files, ``events`` and ``bytes`` what is
    in those files: what came in the last moments stands in the log alone."""

    collections: int = 0
    events: int = 0
    bytes: int = 0
    saved_queries: int = 0
    cached_queries: int = 0
    cached_datasets: int = 0


@dataclass(frozen=True, slots=True)
class Activity:
    """What was sent and asked: accepted events, bytes of their bodies, and how long questions ran."""

    events: int = 0
    bytes: int = 0
    query_us: int = 0

    def __add__(self, other: Activity) -> Activity:
        return Activity(self.events + other.events, self.bytes + other.bytes, self.query_us + other.query_us)


@dataclass(frozen=True, slots=True)
class ActivityOf:
    """Of one project, by the id of a key; all of them together are the project's."""

    today: Mapping[str, Activity]
    month: Mapping[str, Activity]


@dataclass(frozen=True, slots=True)
class AccessKey:
    """``digest``: what it is found by; ``sealed``: the key itself, for whoever has the server's secret."""

    project_id: str
    digest: str
    sealed: bytes
    name: str
    is_active: bool
    permitted: tuple[str, ...]
    options: Mapping[str, Any]
    created_us: int


@dataclass(frozen=True, slots=True)
class Collection:
    """``data_version`` grows with every change of its live files. ``generation`` never changes: it tells the
    collection from any that had its name before.

    ``erase_version`` grows with every transaction that takes stored events away or changes them.
    """

    id: int
    project_id: str
    name: str
    generation: int
    schema: Schema
    data_version: int
    created_us: int
    erase_version: int = 0
    freed: bool = False
    """All its events were deleted: it counts no more, and goes in a while unless events come again."""


@dataclass(frozen=True, slots=True)
class Dashboard:
    """Without its document, which may be long."""

    name: str
    metadata: str
    """A JSON text."""
    public_key: str | None = None
    """The access key that shows it to everybody."""


@dataclass(frozen=True, slots=True)
class SavedQuery:
    """``query`` and ``metadata`` are JSON texts; ``version`` grows with every change of ``query``."""

    id: int
    """Never used again."""
    project_id: str
    name: str
    query: str
    metadata: str
    refresh_rate: int
    """Seconds; 0: its result is not kept."""
    version: int
    created_us: int
    modified_us: int


@dataclass(frozen=True, slots=True)
class SavedResult:
    """A kept result: its bytes are in ``file``, a name in the folder of results."""

    asked_us: int
    """The moment as of which it is: its timeframe is resolved then; what was acknowledged before is in it."""
    events: int
    covers: str
    """The reader's own account of what it covers, as JSON."""
    file: str
    sha256: str


@dataclass(frozen=True, slots=True)
class SavedRun:
    """The last run of one version of a saved query for one ``audience``, and the last result of that version.

    ``audience`` tells the filters apart under which a key sees events; it is empty where there are none.
    """

    query_id: int
    audience: str
    version: int
    run_us: int
    duration_us: int
    failure: str | None
    """Why the last run gave no result."""
    failures: int
    """Runs that failed since the last that did not."""
    result: SavedResult | None


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


def event_scope(collection_id: int, generation: int) -> str:
    """What the tokens of a collection's events are unique in."""
    return f"event:{collection_id}:{generation}"


SHARED = ":autofill"
SHARE_LENGTH = 32


def shared_scope(collection_id: int, generation: int) -> str:
    """Of the tokens of events of keys with an autofill, which know nothing of others' tokens."""
    return event_scope(collection_id, generation) + SHARED


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
    generation: int
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
    generation: int
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


class DatasetStatus(StrEnum):
    """As the API spells it."""

    CREATED = "Created"
    BOOTSTRAPPING = "Bootstrapping"
    OK = "OK"
    FAILED = "BootstrappingFailed"
    """Nothing was ever computed; it is tried again."""
    WARN = "Warn"
    """The last run failed; what was computed before it stands."""


class Bucket(NamedTuple):
    """``[start, end)`` in µs, and how many events of the collection it held when it was computed."""

    start_us: int
    end_us: int
    events: int


@dataclass(frozen=True, slots=True)
class DatasetFile:
    """Results in one file, and the buckets that they are of."""

    id: int
    dataset_id: int
    buckets: tuple[Bucket, ...]


@dataclass(frozen=True, slots=True)
class Dataset:
    """A cached dataset; ``definition`` is JSON of the service's own."""

    id: int
    project_id: str
    name: str
    definition: str
    created_us: int
    status: DatasetStatus
    message: str | None
    """What went wrong in the last run."""
    run: int
    """How many runs have succeeded."""
    scheduled_us: int | None
    """When the last run began."""
    through_us: int | None
    """All events that were acknowledged before then are in the results. None before the first run, as what
    follows."""
    moment: tuple[int, int] | None
    """Generation and erase version of the collection; of no collection (0, 0)."""
    start_us: int | None
    """Start and end of the timeframe that was computed."""
    end_us: int | None
    later: int | None
    """Events from that end on."""
    files: tuple[DatasetFile, ...] = ()


@dataclass(frozen=True, slots=True)
class DatasetRun:
    """What a run has computed. ``number`` is the last successful one's plus one."""

    dataset_id: int
    number: int
    moment: tuple[int, int]
    through_us: int
    start_us: int
    end_us: int
    later: int
    added: tuple[DatasetFile, ...]
    kept: tuple[DatasetFile, ...]
    """Files that stay, with the buckets that still count of them."""
    removed: tuple[int, ...]


class ExportState(StrEnum):
    """As the API spells it."""

    QUEUED = "queued"
    RUNNING = "running"
    DONE = "done"
    FAILED = "failed"
    EXPIRED = "expired"
    """It was done, and its file is gone: its time was up, or events of its collection were taken away."""


class MailState(StrEnum):
    """As the API spells it."""

    WAITING = "waiting"
    SENT = "sent"
    FAILED = "failed"


@dataclass(frozen=True, slots=True)
class NewExport:
    """An extraction asked for. ``question`` is the service's own, and goes once the job has ended."""

    id: str
    project_id: str
    key_id: str
    audience: str
    """Digest of the filters that the key saw events through; empty where it saw all."""
    collection: str
    question: str
    format: str
    gzip: bool
    email: str | None


@dataclass(frozen=True, slots=True)
class Export(NewExport):
    """A job that makes a file of events, and how far it is."""

    number: int
    """Later jobs have greater ones."""
    state: ExportState
    message: str | None
    """Why it failed, or why its file is gone."""
    created_us: int
    started_us: int | None
    ended_us: int | None
    expires_us: int | None
    attempts: int
    """How often it was begun."""
    claim: str | None
    """Of whoever works at it, until ``lease_us``."""
    lease_us: int | None
    events: int
    """Written so far."""
    total: int | None
    """To be written, once that is known."""
    bytes: int | None
    file: str | None
    """A name in the folder of exports."""
    generation: int | None
    """Of the collection as it was read, and its erase version."""
    erase_version: int | None
    mail_state: MailState | None
    """None where nobody is to get a mail, or nothing can be said yet."""
    mail_attempts: int
    mail_us: int | None
    """When it was sent, or is tried next."""
    mail_message: str | None


@dataclass(frozen=True, slots=True)
class ExportFile:
    """What a job has made, and of which state of the collection."""

    name: str
    bytes: int
    events: int
    generation: int
    erase_version: int
