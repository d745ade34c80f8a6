"""What those who manage a project, or the server, are shown."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import Field, SkipValidation

from service.http.models.keys import AccessKeyOptions, Permitted
from service.http.models.shared import ABSENT, AnswerBody, Count, Json, Moment, RequestBody
from storage.catalog.stored.records import ErasureKind, ErasureState
from storage.catalog.tenants.records import KeyKind


class KeyRights(RequestBody):
    """The rights of an access key that is not made; a `name` may stand beside them."""

    permitted: Permitted
    options: Annotated[AccessKeyOptions | None, SkipValidation] = None


class RightsAndQuestion(KeyRights):
    question: Annotated[Json, Field(description="A question, with its `analysis_type`.")]


class VisibleCollection(AnswerBody):
    """A collection of the project, as the key would see it."""

    name: str
    visible: bool = Field(description="Whether the key would learn anything of it.")
    properties: dict[str, str] | None = Field(description="null where the key may not read the schema of it.")
    events: int | None = Field(description="Within its filters; null where it may not ask questions.")
    newest: list[Json] | None = Field(description="null where it may not extract events.")


class ReadableNames(AnswerBody):
    saved_queries: list[str]
    datasets: list[str]
    more: bool = Field(description="Whether there are more than are listed.")


class KeyPreview(AnswerBody):
    collections: list[VisibleCollection]
    next: str | None = Field(description="The `after` of the next page.")
    readable: ReadableNames


class OwnKeys(AnswerBody):
    """The project's own keys, as far as the caller may see them."""

    write_key: str
    read_key: str = ABSENT
    master_key: str = ABSENT


class KeyRenewal(RequestBody):
    kinds: Annotated[list[Literal["master", "write", "read"]], Field(min_length=1, max_length=len(KeyKind))]


class ErasedBytesState(AnswerBody):
    """What may still hold erased bytes on the disk. Segments are those of the server's logs."""

    gone: bool
    files: Count
    bytes: Count
    segments: Count
    by: Moment = Field(description="When it will be gone, unless the server stands still.")


class RequestedErasure(AnswerBody):
    id: int
    kind: ErasureKind
    state: ErasureState
    event_collection: str | None = Field(description="null once no event of it is left.")
    requested_at: Moment
    ended_at: Moment
    events: Count = Field(description="How many events it has deleted or changed.")
    problem: str | None
    filters: Any = Field(description="While it waits; they are forgotten with its end.")
    timeframe: Json | None
    property_name: str | None
    on_disk: ErasedBytesState | None = Field(description="null unless it is done.")


class StoredCollection(AnswerBody):
    event_collection: str
    files: Count
    events: Count
    bytes: Count
    first: Moment
    last: Moment
    written_at: Moment = Field(description="When its newest file was written.")
    damaged: Count
    superseded_files: Count = Field(description="Replaced files that are kept for earlier versions.")
    superseded_bytes: Count
    partials_bytes: Count = Field(description="Of partial answers that are kept of its files.")


class StoredFile(AnswerBody):
    id: int
    path: str = Field(description="Below the data folder.")
    events: Count
    bytes: Count
    first: Moment
    last: Moment
    written_at: Moment
    damaged: str | None


class StoredFiles(AnswerBody):
    files: list[StoredFile]
    next: int | None = Field(description="The `after` of the next page.")


class ReaderCode(AnswerBody):
    reader: str
    code: str


class Taken(AnswerBody):
    """What was sent and asked."""

    events: Count
    bytes: Count
    query_seconds: float


class TakenOnDay(Taken):
    day: str


class TakenByKey(Taken):
    kind: Literal["master", "write", "read", "access", "scoped", "people", "gone"]
    name: str
    public_id: str | None = Field(description="Of an access key.")
    last_day: str


class QuotaInForce(AnswerBody):
    name: str
    limit: Count
    used: float
    left: float
    until: Moment = Field(description="When it begins anew; null where it never does.")


class RateInForce(AnswerBody):
    name: str
    limit: Count
    of_key: bool = Field(description="Of each key, rather than of the project.")


class TakenByDay(AnswerBody):
    days: list[TakenOnDay] = Field(description="Each day of the stretch, oldest first, in UTC.")
    keys: list[TakenByKey]
    quotas: list[QuotaInForce]
    rates: list[RateInForce] = Field(description="Requests a minute.")


class ServerState(AnswerBody):
    """How the server is."""

    version: str
    format: int = Field(description="Of the data folder.")
    state: Literal["ready", "stopping"]
    events_refused: str | None = Field(description="Why events are refused; null while they are taken.")
    damaged_logs: list[int]
    damaged_files: Count
    events_waiting: Count = Field(description="Events that are in no file yet.")
    bytes_waiting: Count
    written_at: Moment = Field(description="When the newest file was written.")
    disk_free_bytes: Count
    disk_bytes: Count
    disk_free_min_bytes: Count = Field(description="Below this, events are refused.")
    clock_jumped: bool
    projects: Count
    events: Count
    bytes: Count
    superseded_bytes: Count = Field(description="Of files that are kept for earlier versions.")
    partials_bytes: Count = Field(description="Of partial answers that are kept.")
    queries_running: Count
    queries_waiting: Count
    starts: dict[str, int] = Field(description="Of each kind of process, since the server's start.")
    task_failures: dict[str, int]


class QuestionDefaults(AnswerBody):
    round: Any
    week_start: str


class QuestionPreferences(AnswerBody):
    round: Any = Field(description="null: the server's own.")
    week_start: Any = Field(description="null: the server's own.")
    actor_property: Any = Field(description="null: each question about behaviour has to name it.")
    defaults: QuestionDefaults = Field(description="The server's own.")
