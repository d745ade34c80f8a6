"""Changes of events, and their retention."""

from __future__ import annotations

from typing import Annotated, Any

from pydantic import BaseModel, ConfigDict, Field

from service.http.models.shared import AnswerBody, Name, RequestBody

UPDATES_MAX = 100
DAYS_MAX = 36_500


class PropertyUpdate(BaseModel):
    model_config = ConfigDict(strict=True, extra="allow")

    property_name: Annotated[Name, Field(description="The property's dotted path.")]
    property_value: Any
    upsert_property: bool = False


class EventUpdate(RequestBody):
    property_updates: Annotated[
        list[PropertyUpdate], Field(fail_fast=True, min_length=1, max_length=UPDATES_MAX)
    ]
    filters: Any = Field(None, json_schema_extra={"type": "array", "items": {"type": "object"}})
    timeframe: Any = None
    timezone: Any = None
    week_start: Any = None


class Updated(AnswerBody):
    updated_events: int


class NewRetention(RequestBody):
    days: Annotated[int, Field(ge=1, le=DAYS_MAX)]


class Retention(AnswerBody):
    days: int | None
