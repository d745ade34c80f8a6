"""The runs of pipelines, and all buckets of one."""

from __future__ import annotations

from datetime import datetime
from typing import Literal

from pydantic import Field

from service.http.models.pipelines.pipelines import State
from service.http.models.shared import AnswerBody, Count, Moment

StateOfRun = Literal["waiting", "running", "done", "dead", "cancelled", "replayed", "superseded"]


class PipelineRun(AnswerBody):
    number: Count = Field(description="Greater ones were queued later.")
    id: str
    pipeline: str
    start: datetime = Field(description="Its bucket.")
    end: datetime
    state: StateOfRun = Field(
        description="`dead`: it failed for good; `replayed`: it was dead, and another is in its place; "
        "`superseded`: it failed while another one of the same bucket waited."
    )
    delivers: bool = Field(description="Whether it delivers the bucket to a folder; others derive it.")
    cause: str = Field(description="Why it was queued.")
    attempts: Count = Field(description="How often it began.")
    queued: datetime
    began: Moment = Field(description="When it began last.")
    ended: Moment
    seconds: float | None = Field(description="From its last begin to its end, or until now.")
    processor_seconds: float
    problem: str | None = Field(description="Why it failed last.")


class PipelineRuns(AnswerBody):
    runs: list[PipelineRun] = Field(description="Newest first.")


class TimelineBucket(AnswerBody):
    start: datetime
    end: datetime
    state: State = Field(description="`stale` where it waits to be derived, for the first time or again.")
    running: bool
    cause: Literal["new", "events", "definition", "requested"] | None = Field(
        description="Why it waits to be derived."
    )


class PipelineTimeline(AnswerBody):
    total: Count = Field(description="How many buckets of this time there are.")
    buckets: list[TimelineBucket] = Field(description="The newest of them, newest first.")
