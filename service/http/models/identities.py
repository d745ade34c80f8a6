"""Actors with several ids."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from pydantic import Field

from service.http.models.shared import ABSENT, AnswerBody, Count

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
