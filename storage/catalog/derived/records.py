"""What is computed from events, as frozen values. Times are µs since 1970 UTC."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from typing import NamedTuple


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
    """Id and erase version of the collection; of no collection (0, 0)."""
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
class ExportJob(NewExport):
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
    collection_id: int | None
    """Of the collection as it was read, and its erase version; 0 where there was none."""
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
    collection_id: int
    erase_version: int
