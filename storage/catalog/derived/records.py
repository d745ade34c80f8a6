"""Frozen records of what is computed from events. Times are µs since 1970 UTC."""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import StrEnum
from typing import NamedTuple


@dataclass(frozen=True, slots=True)
class Dashboard:
    """A dashboard without its document, which may be long."""

    name: str
    metadata: str
    """A JSON text."""
    public_key: str | None = None
    """The access key with which anyone can view it."""


@dataclass(frozen=True, slots=True)
class StoredCohort:
    """A named set of actors. ``version`` changes with the definition and with the members."""

    id: int
    project_id: str
    name: str
    definition: str
    """A JSON text, without the actors of a static cohort."""
    actor_property: str | None
    """That of a static cohort; None for one by what actors did."""
    version: int
    created_us: int
    modified_us: int
    number: int | None = None
    """How many actors a static cohort lists."""

    @property
    def is_static(self) -> bool:
        return self.actor_property is not None


@dataclass(frozen=True, slots=True)
class DashboardShare:
    """A link that shows one dashboard to whoever has it."""

    id: str
    public_id: str
    """How the share's token names it."""
    sealed: bytes
    """The key of its token."""
    name: str
    conditions: str
    """A JSON object: those of embed tokens."""
    made_by: str
    created_us: int
    used_us: int | None = None
    """When it was used last, to the day."""


@dataclass(frozen=True, slots=True)
class SharedDashboard:
    """A share, with the dashboard as it is now."""

    share: DashboardShare
    dashboard: str
    document: str


@dataclass(frozen=True, slots=True)
class SavedQuery:
    """``query`` and ``metadata`` are JSON texts; ``version`` grows with every change of ``query``."""

    id: int
    """Never reused."""
    project_id: str
    name: str
    query: str
    metadata: str
    refresh_rate: int
    """In seconds; 0 means that its result is not kept."""
    version: int
    created_us: int
    modified_us: int


@dataclass(frozen=True, slots=True)
class SavedResult:
    """A stored result; its bytes are in ``file``, a name in the folder of results."""

    asked_us: int
    """When it was requested: its timeframe is relative to then, and it includes all events acknowledged
    before."""
    events: int
    covers: str
    """The reader's JSON description of what it covers."""
    file: str
    sha256: str


@dataclass(frozen=True, slots=True)
class SavedRun:
    """The last run of one version of a saved query for one ``audience``, and the last result of that version.

    ``audience`` identifies the filters through which a key sees events; empty without filters.
    """

    query_id: int
    audience: str
    version: int
    run_us: int
    duration_us: int
    failure: str | None
    """Why the last run failed; None if it succeeded."""
    failures: int
    """Failed runs since the last successful one."""
    result: SavedResult | None


class DatasetStatus(StrEnum):
    """As the API spells it."""

    CREATED = "Created"
    BOOTSTRAPPING = "Bootstrapping"
    OK = "OK"
    FAILED = "BootstrappingFailed"
    """No run has succeeded yet; another will be tried."""
    WARN = "Warn"
    """The last run failed; earlier results stay valid."""


class Bucket(NamedTuple):
    """``[start, end)`` in µs, and the number of the collection's events in it when it was computed."""

    start_us: int
    end_us: int
    events: int


@dataclass(frozen=True, slots=True)
class DatasetFile:
    """One file of results, and the buckets that it covers."""

    id: int
    dataset_id: int
    buckets: tuple[Bucket, ...]


@dataclass(frozen=True, slots=True)
class Dataset:
    """A cached dataset; ``definition`` is JSON in the service's own format."""

    id: int
    project_id: str
    name: str
    definition: str
    created_us: int
    status: DatasetStatus
    message: str | None
    """The error of the last run."""
    run: int
    """Number of successful runs."""
    scheduled_us: int | None
    """When the last run began."""
    through_us: int | None
    """The results include all events that were acknowledged before then. This and the fields below are None
    before the first run."""
    moment: tuple[int, int] | None
    """Id and erase version of the collection; (0, 0) if it does not exist."""
    start_us: int | None
    """Start and end of the timeframe that was computed."""
    end_us: int | None
    later: int | None
    """Number of events at or after ``end_us``."""
    files: tuple[DatasetFile, ...] = ()


@dataclass(frozen=True, slots=True)
class DatasetRun:
    """The outcome of a successful run. ``number`` is that of the last successful run plus one."""

    dataset_id: int
    number: int
    moment: tuple[int, int]
    through_us: int
    start_us: int
    end_us: int
    later: int
    added: tuple[DatasetFile, ...]
    kept: tuple[DatasetFile, ...]
    """Files that remain, with those of their buckets that are still valid."""
    removed: tuple[int, ...]


class ExportState(StrEnum):
    """As the API spells it."""

    QUEUED = "queued"
    RUNNING = "running"
    DONE = "done"
    FAILED = "failed"
    EXPIRED = "expired"
    """It was done, and its file has been removed: it expired, or events of its collection were erased or
    changed."""


class MailState(StrEnum):
    """As the API spells it."""

    WAITING = "waiting"
    SENT = "sent"
    FAILED = "failed"


@dataclass(frozen=True, slots=True)
class NewExport:
    """A requested extraction. ``question`` is in the service's own format, and is wiped once the job ends."""

    id: str
    project_id: str
    key_id: str
    audience: str
    """Digest of the filters through which the key sees events; empty without filters."""
    collection: str
    question: str
    format: str
    gzip: bool
    email: str | None


@dataclass(frozen=True, slots=True)
class ExportJob(NewExport):
    """A job that exports events to a file, and its progress."""

    number: int
    """Increases from job to job."""
    state: ExportState
    message: str | None
    """Why it failed, or why its file was removed."""
    created_us: int
    started_us: int | None
    ended_us: int | None
    expires_us: int | None
    attempts: int
    """Number of attempts."""
    claim: str | None
    """Claim of the process that works on it, valid until ``lease_us``."""
    lease_us: int | None
    events: int
    """Events written so far."""
    total: int | None
    """Events to be written, once known."""
    bytes: int | None
    file: str | None
    """A name in the folder of exports."""
    collection_id: int | None
    """Id of the collection that was read, and below its erase version; 0 if the collection did not exist."""
    erase_version: int | None
    mail_state: MailState | None
    """None where no mail was requested, or the job has not ended yet."""
    mail_attempts: int
    mail_us: int | None
    """When it was sent, or is tried next."""
    mail_message: str | None


class ImportState(StrEnum):
    """As the API spells it."""

    UPLOADING = "uploading"
    UPLOADED = "uploaded"
    QUEUED = "queued"
    RUNNING = "running"
    DONE = "done"
    FAILED = "failed"
    CANCELLED = "cancelled"


@dataclass(frozen=True, slots=True)
class ImportCounts:
    """How far an import is: all that belongs to its first ``batches`` batches."""

    position: int = 0
    """Bytes of the file that were read."""
    batches: int = 0
    stored: int = 0
    known: int = 0
    """Events that were stored before, by an earlier import or with an equal uniqueness token."""
    refused: int = 0
    refused_bytes: int = 0
    """Bytes of the file of refused events."""
    first: str | None = None
    """The earliest and the latest time that a column gave to an event, as ISO 8601."""
    last: str | None = None


@dataclass(frozen=True, slots=True)
class NewImport:
    id: str
    project_id: str
    key_id: str
    counted_as: str
    """The id under which quotas count the events."""
    file_name: str
    """As the client called it."""


@dataclass(frozen=True, slots=True)
class ImportJob(NewImport):
    """A file that was uploaded, and its import. The file has the name of the id."""

    number: int
    """Increases from upload to upload."""
    state: ImportState
    message: str | None
    """Why it failed."""
    bytes: int
    digest: str | None
    """SHA-256 of the file, once it is whole."""
    collection: str | None
    options: str | None
    """How the file is read, in the service's own format; with the collection, from the start on."""
    again: bool
    """Whether events are stored although an earlier import of the same file has stored them."""
    cancelled: bool
    """Whether it is to end as cancelled."""
    created_us: int
    started_us: int | None
    ended_us: int | None
    expires_us: int
    attempts: int
    claim: str | None
    """Claim of the process that works on it, valid until ``lease_us``."""
    lease_us: int | None
    counts: ImportCounts
    reasons: str | None
    """Why events were refused, as JSON, once it has ended."""


@dataclass(frozen=True, slots=True)
class ExportFile:
    """The file that a job has made, and the state of the collection that it was made from."""

    name: str
    bytes: int
    events: int
    collection_id: int
    erase_version: int


@dataclass(frozen=True, slots=True)
class Webhook:
    """Where a project's notices are sent. ``url`` and ``secret`` are None where another secret of the server
    sealed them. Their values are never shown."""

    id: int
    project_id: str
    name: str
    url: str | None = field(repr=False)
    secret: str | None = field(repr=False)
    created_us: int
    modified_us: int


class DeliveryState(StrEnum):
    """The values are stored."""

    WAITING = "waiting"
    DELIVERED = "delivered"
    DEAD = "dead"
    """Given up; it can be sent again."""


@dataclass(frozen=True, slots=True)
class Delivery:
    """What is sent to a webhook. ``id`` is its idempotency key, ``status`` that of the last answer."""

    number: int
    id: str
    webhook_id: int
    kind: str
    body: str
    state: DeliveryState
    attempts: int
    created_us: int
    due_us: int
    ended_us: int | None
    status: int | None
    message: str | None


class AlertState(StrEnum):
    """The values are stored."""

    OK = "ok"
    FIRING = "firing"
    NO_DATA = "no_data"
    ERROR = "error"


@dataclass(frozen=True, slots=True)
class StoredAlert:
    """``definition`` is JSON; ``version`` grows with every change of it."""

    id: int
    project_id: str
    name: str
    definition: str
    version: int
    created_us: int
    modified_us: int
    state: AlertState
    since_us: int | None
    """When the state began."""
    told_state: AlertState
    """The state that was last told."""
    told_us: int
    through_us: int
    """The end of the interval that was evaluated last, or from where on the first one is."""
    due_us: int
    silenced_us: int
    """Until when nobody is told."""


@dataclass(frozen=True, slots=True)
class AlertEvaluation:
    """``value`` and ``reference`` are JSON. ``complete``: whether all events were expected to be there."""

    at_us: int
    start_us: int
    end_us: int
    state: AlertState
    value: str
    reference: str
    message: str
    complete: bool
    told: bool
    audience: str
    """A digest of the filters under which it was asked; empty without any."""
    number: int = 0


@dataclass(frozen=True, slots=True)
class StoredNotice:
    """What is told of an alert or a report: to webhooks by their names, and by mail."""

    kind: str
    webhooks: tuple[str, ...]
    body: str
    """JSON, for webhooks."""
    emails: tuple[str, ...] = ()
    subject: str = ""
    text: str = ""


@dataclass(frozen=True, slots=True)
class NoticeMail:
    """A mail that waits to be sent."""

    number: int
    project_id: str
    recipient: str
    subject: str
    body: str
    attempts: int
    created_us: int


@dataclass(frozen=True, slots=True)
class StoredReport:
    """``definition`` is JSON; ``due_us`` is when it is made next."""

    id: int
    project_id: str
    name: str
    definition: str
    version: int
    created_us: int
    modified_us: int
    due_us: int


@dataclass(frozen=True, slots=True)
class ReportRun:
    """One making of a report. ``left``: the addresses to which it was not sent yet."""

    number: int
    report_id: int
    scheduled_us: int
    is_test: bool
    state: MailState
    attempts: int
    left: tuple[str, ...]
    pictures: int
    ended_us: int | None
    message: str | None
