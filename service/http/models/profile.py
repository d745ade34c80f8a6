"""The profile of a collection."""

from __future__ import annotations

from typing import Any

from pydantic import Field

from service.http.models.shared import ABSENT, AnswerBody


class PeriodCount(AnswerBody):
    start: str
    events: int


class CountsOverTime(AnswerBody):
    interval: str = Field(description="`daily`; `monthly` or `yearly` where the events lie far apart.")
    counts: list[PeriodCount] = Field(description="The periods that have events, in UTC.")


class DistinctCount(AnswerBody):
    count: int
    exact: bool = Field(description="Whether it was counted, not estimated.")


class FrequentValue(AnswerBody):
    value: Any
    count: int


class FrequentValues(AnswerBody):
    values: list[FrequentValue]
    exact: bool = Field(description="Whether no value that is left out is more frequent.")


class NumberProfile(AnswerBody):
    min: Any
    max: Any
    mean: Any


class DateProfile(AnswerBody):
    count: int
    first: str
    last: str


class LengthProfile(AnswerBody):
    min: int
    max: int
    mean: float


class PropertyProfile(AnswerBody):
    name: str
    types: dict[str, int] = Field(description="How many events have a value of each type.")
    missing: float | None = Field(description="The share of events that do not have it.")
    distinct: DistinctCount
    top: FrequentValues
    numbers: NumberProfile | None
    dates: DateProfile | None = Field(description="Of texts that are dates, and of times.")
    lengths: LengthProfile | None = Field(description="Of texts, in characters.")


class CollectionProfile(AnswerBody):
    events: int
    first: str | None
    last: str | None
    over_time: CountsOverTime
    properties: list[PropertyProfile]
    next: str | None = Field(description="Ask again with this as `after` for the properties that follow.")
    complete: bool = ABSENT
    damaged_files: list[str] = ABSENT
