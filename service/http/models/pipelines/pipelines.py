"""Pipelines, and the buckets that they derive."""

from __future__ import annotations

from typing import Annotated, Any, ClassVar, Literal

from pydantic import Field

from service.http.models.shared import AnswerBody, Count, Moment, Name, RequestBody

State = Literal["fresh", "stale", "failed", "frozen", "skipped"]
SeverityName = Literal["warn", "quarantine", "stop"]


class PipelineFiles(RequestBody):
    what: ClassVar[str] = "A folder of pipelines"

    file: Annotated[str, Field(max_length=4 << 20)] = Field(description="The text of `pipelines.toml`.")
    references: dict[str, Annotated[str, Field(max_length=16 << 20)]] | None = Field(
        None, description="Texts of the CSV or TSV files of reference tables, by their names in the file."
    )
    revision: Annotated[str, Field(min_length=1, max_length=100)] | None = Field(
        None, description="The commit of the folder, which is kept with each pipeline."
    )
    remove: bool | None = Field(None, description="Whether pipelines that the file lacks are removed.")


class PipelineStep(AnswerBody):
    action: Literal["create", "change", "relabel", "remove"]
    name: str
    buckets: Count = Field(description="To be derived at first.")
    events: Count = Field(description="That these read.")
    sinks: list[str] = Field(description="Where its buckets are delivered, in words.")


class DayOfPipeline(AnswerBody):
    buckets: float = Field(description="How many are derived.")
    rows_read: float
    bytes_read: float
    processor_seconds: float
    rows_written: float | None = Field(description="Null before it has run.")
    bytes_written: float | None = Field(description="Null before it has run.")
    measured: bool = Field(description="By its own runs, or by what pipelines usually take.")


class PlannedStep(PipelineStep):
    problem: str | None = Field(
        description="Why its steps would fail on the events of today; null where nothing is found, and where "
        "there are no events."
    )
    day: DayOfPipeline | None = Field(
        description="What it takes on a day, by the last seven days of its inputs; null where it is removed."
    )


class SourceStep(AnswerBody):
    action: Literal["create", "change", "remove"]
    name: str


class PipelineSteps(AnswerBody):
    changes: list[PipelineStep] = Field(description="By name; none where everything is as the file says.")
    sources: list[SourceStep] = Field(description="The same of sources.")


class PlannedSteps(AnswerBody):
    changes: list[PlannedStep] = Field(description="By name; none where everything is as the file says.")
    sources: list[SourceStep] = Field(description="The same of sources.")


Why = Literal["waiting", "running", "failed", "paused", "no_run_worker"]


class PipelineOverdue(AnswerBody):
    since: Moment = Field(description="When the deadline passed, on the watermark of its inputs.")
    bucket: Moment = Field(description="Where the bucket begins that waits longest.")
    why: Why
    message: str


class PipelineTroubleShown(AnswerBody):
    kind: Literal["overdue", "failed"]
    since: Moment
    until: Moment = Field(description="When it ended; null while it lasts.")
    told: Moment = Field(description="When its begin was told to those in `notify`.")
    bucket: Moment
    why: Why
    message: str


class PipelineSummary(AnswerBody):
    name: str
    owner: str
    sources: list[str] = Field(alias="from")
    output: str = Field(alias="into")
    bucket: Literal["hour", "day", "week", "month"]
    sinks: list[str] = Field(description="Where its buckets are delivered, in words.")
    version: Count
    revision: str | None
    health: Literal["fresh", "stale", "failed", "paused"]
    paused: bool = Field(description="Whether it begins no run until it is resumed.")
    buckets: dict[str, Count] = Field(description="How many are in each state.")
    due: Count = Field(description="Buckets that wait to be derived.")
    rows: Count
    quarantine: str | None = Field(
        description="The collection of the rows that expectations set aside; null where none sets any aside."
    )
    set_aside: Count = Field(description="How many rows are in it.")
    processor_seconds: float
    derived_until: Moment
    problem: str | None = Field(description="Why the newest failed bucket failed.")
    fresh_within_seconds: Count | None = Field(description="Its deadline; null: it has none.")
    overdue: PipelineOverdue | None = Field(description="Since when and why it misses its deadline.")
    url: str


class PipelineDetails(PipelineSummary):
    definition: dict[str, Any] = Field(description="Its part of the file.")
    as_of: Moment = Field(description="When this was told, by the server's clock.")
    stored_through: Moment = Field(
        description="All events that were acknowledged before it are in files, which the pipeline reads."
    )
    fresh_until: Moment = Field(
        description="Buckets that begin before it are those of the events in files; null: all are."
    )
    troubles: list[PipelineTroubleShown] = Field(
        description="Deadlines that it missed and failures that lasted, the newest first: 100 at most."
    )


class FoundRule(AnswerBody):
    rule: str = Field(description="In words.")
    broken: Count = Field(description="How many rows broke it; for a rule about all rows 1 or 0.")
    found: str | None = Field(None, description="What is wrong, where a rule about all rows says so.")


class CheckedExpectation(AnswerBody):
    name: str
    severity: SeverityName
    rows: Count = Field(description="The rows that were checked.")
    faulty: Count = Field(description="Those that broke any rule.")
    broken: bool = Field(
        description="Whether more rows were faulty than are tolerated, or their number was wrong."
    )
    rules: list[FoundRule]


class PipelineBucket(AnswerBody):
    start: Moment
    end: Moment
    state: State
    rows_in: Count
    rows_out: Count
    processor_seconds: float
    failures: Count = Field(description="How often it has failed since it last succeeded.")
    changed: Moment
    problem: str | None
    set_aside: Count = Field(description="Rows that expectations have set aside.")
    expectations: list[CheckedExpectation] = Field(description="What they found when it was derived last.")


class PipelineBuckets(AnswerBody):
    buckets: list[PipelineBucket] = Field(description="Newest first.")


class BucketsChange(RequestBody):
    what: ClassVar[str] = "A change of buckets"

    state: Literal["stale", "frozen", "skipped"] = Field(
        description="`stale`: derived again; `frozen`: left as they are; `skipped`: never derived."
    )
    since: Name | None = Field(None, description="An instant: buckets that end after it; all if left out.")
    until: Name | None = Field(None, description="An instant: buckets that begin before it.")


class BucketsChanged(AnswerBody):
    changed: Count
