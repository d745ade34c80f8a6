"""Sources, and the files that they have read."""

from __future__ import annotations

from typing import Any, Literal

from pydantic import Field

from service.http.models.shared import AnswerBody, Count, Moment


class SourceSummary(AnswerBody):
    name: str
    owner: str
    reads: str = Field(description="What it reads, in words.")
    collection: str = Field(alias="into")
    every_seconds: float
    version: Count
    revision: str | None
    health: Literal["new", "reading", "current", "failing", "paused"]
    paused: bool = Field(description="Whether it is not read until it is resumed.")
    problem: str | None = Field(description="Why it could not be read last, or what of it is not read.")
    events: Count = Field(description="That it brought; of rows with one id one is stored.")
    refused: Count = Field(description="Rows that were left out.")
    looked: Moment = Field(description="When it was last read to its end.")
    stored: Moment = Field(description="When it last brought events.")
    files: dict[str, Count] = Field(description="How many are in each state.")
    url: str


class FileOfSource(AnswerBody):
    path: str
    state: Literal["read", "failed", "changed", "same"] = Field(
        description="`failed`: not read, for its content; `changed`: not what it was when it was read; "
        "`same`: another file of the same content was read."
    )
    events: Count
    refused: Count
    changed: Moment
    problem: str | None


class SourceDetails(SourceSummary):
    definition: dict[str, Any] = Field(description="Its part of the file.")
    newest_files: list[FileOfSource] = Field(
        description="First those that are not read, then those that were read last; 100 at most."
    )
