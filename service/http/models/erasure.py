"""Changes of events, their retention, and actors with several ids."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated, Any

from pydantic import BaseModel, ConfigDict, Field

from service.http.models.shared import ABSENT, AnswerBody, Count, Name, RequestBody

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


Identifier = str | int | float


class ActorIds(AnswerBody):
    id: Identifier = Field(description="The id that stands for the actor.")
    ids: list[Identifier] = Field(description="All of its ids; the one that stands for it first.")


class ActorPage(AnswerBody):
    actors: list[ActorIds]
    count: Count = Field(description="How many actors have several ids.")
    next: Count | None = Field(description="The `after` of the page that follows; null on the last one.")


class ToldLink(AnswerBody):
    """What events say of two ids."""

    user_id: Any
    anonymous_id: Any = Field(ABSENT, description="Of a link.")
    alias: Any = Field(ABSENT, description="Of an alias.")
    events: Count = Field(description="How many events say so.")
    first_at: datetime = Field(description="When the first of them arrived.")
    conflict: bool = Field(description="Whether the ids belong to different actors all the same.")


class OneActor(ActorIds):
    links: list[ToldLink] = Field(description="In the order in which they were first said.")


class ActorEvents(ActorIds):
    events: dict[str, list[dict[str, Any]]] = Field(description="Collection → its events of the actor.")


class ErasedActor(ActorIds):
    deleted_events: dict[str, int] = Field(description="Collection → how many were deleted.")
