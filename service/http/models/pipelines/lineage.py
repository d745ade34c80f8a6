"""What reads what."""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from service.http.models.shared import AnswerBody

ReaderKind = Literal["pipeline", "saved_query", "dataset", "cohort", "dashboard", "alert", "report"]
ReadKind = Literal["collection", "saved_query", "cohort", "dashboard"]


class ReadAsset(AnswerBody):
    kind: ReadKind
    name: str


class LineageReader(AnswerBody):
    kind: ReaderKind
    name: str
    title: str | None = Field(description="Its title, or a pipeline's description.")
    owner: str | None = Field(description="Who answers for a pipeline.")
    reads: list[ReadAsset] = Field(description="What it reads directly.")
    output: str | None = Field(alias="into", description="The collection that a pipeline fills.")
    url: str


class LineageCollection(AnswerBody):
    name: str
    derived_by: str | None = Field(description="The pipeline that fills it; null: clients and sources do.")
    sources: list[str] = Field(description="The sources that bring events to it, by name.")


class LineageAnswer(AnswerBody):
    collections: list[LineageCollection] = Field(description="Those that are read or filled, by name.")
    readers: list[LineageReader] = Field(description="By kind and name.")
