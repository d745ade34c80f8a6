"""Extractions to files."""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from service.http.models.shared import ABSENT, AnswerBody, Moment


class Progress(AnswerBody):
    events: int
    of: int | None


class Mail(AnswerBody):
    state: Literal["waiting", "sent", "failed"] | None
    attempts: int
    message: str | None


class ExtractionJob(AnswerBody):
    id: str
    url: str = Field(description="Where the job is.")
    state: Literal["queued", "running", "done", "failed", "expired"]
    message: str | None = Field(description="Why it failed, or why its file is gone.")
    event_collection: str
    content_type: str
    content_encoding: Literal["gzip"] | None
    created_date: Moment
    started_date: Moment
    finished_date: Moment
    expires_date: Moment = Field(description="When the file is removed and its link ends.")
    progress: Progress
    bytes: int | None
    file_url: str | None = Field(
        description="Once it is done: the link to the file, which works without a key."
    )
    email: str = Field(ABSENT, description="Shown to the key that asked, and to the master key.")
    mail: Mail = ABSENT


class ExtractionJobs(AnswerBody):
    extractions: list[ExtractionJob]
    next_page_url: str | None
