"""Files to import."""

from __future__ import annotations

from typing import Annotated, Any, ClassVar, Literal

from pydantic import Field

from service.http.models.shared import AnswerBody, Json, Moment, RequestBody
from service.imports.options import GivenOptions

Types = Annotated[
    dict[str, Literal["auto", "text", "number", "boolean", "json"]],
    Field(description="Of columns of CSV and TSV: others are found over the whole file."),
]


class ReadingOptions(RequestBody):
    what: ClassVar[str] = "The request body"

    format: Literal["ndjson", "json", "answer", "csv", "tsv", "parquet", "arrow"] | None = Field(
        None, description="By default it is told by the content."
    )
    timestamp: str | None = Field(None, description="The column or property that is the time of the event.")
    timestamp_format: str = Field(
        "auto", description="`auto`, `epoch`, `epoch_ms`, `epoch_us`, `epoch_ns`, or a pattern of strptime."
    )
    timezone: str = Field("UTC", description="Of times that name no offset.")
    types: Types = Field(default_factory=dict)
    columns: list[str] = Field(
        default_factory=list, description="The names of the columns of a CSV without a header."
    )
    delimiter: str | None = Field(None, description="One character, or `tab`.")
    encoding: str | None = Field(None, description="Of CSV and TSV; by default UTF-8.")
    keen_export: bool = Field(False, description="Leave out `keen.id` and `keen.created_at`.")

    def options(self) -> GivenOptions:
        """The options, not checked yet."""
        return GivenOptions(
            self.format,
            self.timestamp or None,
            self.timestamp_format,
            self.timezone,
            {name: kind for name, kind in self.types.items() if kind != "auto"},
            tuple(self.columns),
            self.delimiter or None,
            self.encoding or None,
            self.keen_export,
        )


class NewImportStart(ReadingOptions):
    event_collection: str = Field(description="Where the events are stored; it need not exist.")
    again: bool = Field(
        False, description="Store events although an earlier import of the same file has stored them."
    )


class RefusedReason(AnswerBody):
    reason: str
    count: int
    lines: list[int] = Field(description="The first lines, of files that have lines.")
    numbers: list[int] = Field(description="The first events, from 1.")


class ImportProgress(AnswerBody):
    bytes: int = Field(description="How much of the file was read.")
    of: int


class ImportDescription(AnswerBody):
    id: str
    url: str = Field(description="Where the import is.")
    state: Literal["uploading", "uploaded", "queued", "running", "done", "failed", "cancelled"]
    message: str | None = Field(description="Why it failed.")
    file_name: str
    bytes: int
    event_collection: str | None
    options: Json | None = Field(description="How the file is read, from the start on.")
    again: bool
    created_date: Moment
    started_date: Moment
    finished_date: Moment
    expires_date: Moment = Field(description="When the file, and what was refused of it, are removed.")
    progress: ImportProgress
    stored: int
    already_stored: int = Field(description="Events that an earlier import or request had stored.")
    refused: int
    refused_reasons: list[RefusedReason] = Field(description="Once it has ended, the most frequent first.")
    refused_url: str | None
    first: str | None = Field(description="The earliest time that a column gave to an event.")
    last: str | None


class ImportList(AnswerBody):
    imports: list[ImportDescription]
    next_page_url: str | None


class NearlyAll(AnswerBody):
    type: str
    count: int = Field(description="How many values are of the type.")
    of: int = Field(description="How many values there are, without empty ones.")
    others: list[str] = Field(description="The first values that are not of the type.")


class PreviewColumn(AnswerBody):
    name: str
    type: str = Field(
        description="`text`, `number`, `boolean`, `json`; `time` of files that have types of their own, "
        "`mixed` and `null` of JSON."
    )
    given: bool = Field(description="Whether the request says the type.")
    empty: float | None = Field(description="The share of rows that have no value.")
    samples: list[str]
    counts: dict[str, int] = Field(
        description="Type → how many values are of it. Of text: `number`, `boolean` and `time` (ISO 8601); a "
        "type that fewer than half of many values are of is not counted. Empty in files that have types of "
        "their own."
    )
    nearly: NearlyAll | None = Field(
        description="The type of nearly all values (nine of ten) of a column that is read as `text` or "
        "`mixed` since some are of another; of a given `number` or `boolean` always, where some do not fit. "
        "Read as the type, the rows of the others are refused."
    )
    time_formats: list[str] = Field(description="The formats in which its first values are times.")


class TimeColumn(AnswerBody):
    column: str
    format: str


class TimeExample(AnswerBody):
    value: str
    time: str


class TimeFault(AnswerBody):
    value: str
    error: str


class PreviewTime(TimeColumn):
    timezone: str
    earliest: str | None
    latest: str | None
    fit: int
    unfit: int = Field(description="Rows that will be refused, since the value does not fit the format.")
    empty: int = Field(description="Rows that have no time, and get that of the import.")
    examples: list[TimeExample]
    unfit_examples: list[TimeFault]


class BrokenRow(AnswerBody):
    number: int
    line: int | None
    error: str
    event: str


class ImportPreview(AnswerBody):
    format: str
    delimiter: str | None
    encoding: str | None
    packed: bool = Field(description="Whether the file is compressed with gzip.")
    types_changeable: bool
    rows: int | None = Field(description="Of the whole file, if it is known.")
    rows_read: int
    complete: bool = Field(description="Whether the whole file was read; if not, types may change.")
    columns: list[PreviewColumn]
    columns_total: int
    dated: bool = Field(description="Whether the events have a `keen.timestamp` of their own.")
    suggested_time: TimeColumn | None
    time: PreviewTime | None = Field(description="What the chosen column gives.")
    events: list[Any] = Field(description="The first events as they will be stored.")
    broken: int = Field(description="Rows read that are no events.")
    broken_examples: list[BrokenRow]
