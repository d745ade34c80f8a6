"""Cohorts: definitions, and their actors."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated, Any, Literal

from pydantic import Field, SkipValidation

from query.language import parameter_table
from service.http.models.shared import ABSENT, AnswerBody, Json, RequestBody

_COUNT: Json = {"type": "integer", "minimum": 0}
_CONDITION: Json = {
    "type": "object",
    "properties": {
        "event_collection": {"type": "string", "description": "Whose events are counted for each actor."},
        "actor_property": parameter_table.ACTOR,
        "filters": {"type": "array", "items": {"$ref": "#/components/schemas/Filter"}},
        "timeframe": {"$ref": "#/components/schemas/Timeframe"},
        "timezone": parameter_table.TIMEZONE,
        "at_least": {**_COUNT, "description": "So many events or more; 1 if nothing else is said."},
        "at_most": {**_COUNT, "description": "So many events or fewer; with 0 also actors without any."},
        "exactly": _COUNT,
        "in_cohort": {"type": "string", "description": "Alone: in the cohort of this name."},
        "not_in_cohort": {"type": "string", "description": "Alone: not in it."},
    },
}
_CONDITIONS: Json = {"items": _CONDITION}


class CohortDefinition(RequestBody):
    # Checked further by ``service.cohorts.definition`` and ``query.language.cohorts``.

    actor_property: Annotated[Any, SkipValidation] = Field(
        None,
        description="What identifies an actor; without it the project's preference.",
        json_schema_extra=parameter_table.ACTOR,
    )
    actors: Annotated[list[Any] | None, SkipValidation] = Field(
        None, description="A static cohort: text, numbers, true and false."
    )
    all: Annotated[list[Json] | None, SkipValidation] = Field(
        None, description="Conditions that an actor fulfils all.", json_schema_extra=_CONDITIONS
    )
    any: Annotated[list[Json] | None, SkipValidation] = Field(
        None, description="Conditions of which an actor fulfils one or more.", json_schema_extra=_CONDITIONS
    )
    funnel: Annotated[Json | None, SkipValidation] = Field(
        None,
        description="The actors of a step of a funnel: its `steps`, `order`, `window`, `equal_times` and "
        "`exclusions`, and `step`, its number from 1; with `dropped` those whom the step lost.",
    )
    display_name: str | None = None


class MemberChanges(RequestBody):
    add: Annotated[list[Any], SkipValidation] = Field([], description="Actors; those listed stay once.")
    remove: Annotated[list[Any], SkipValidation] = Field([], description="Actors; taken out first.")


class SavedCohort(AnswerBody):
    name: str
    display_name: str | None
    kind: Literal["static", "behaviour", "funnel"]
    actor_property: str
    all: list[Json] = ABSENT
    any: list[Json] = ABSENT
    funnel: Json = ABSENT
    actors_listed: int = Field(
        ABSENT, description="How many actors a static cohort lists; not for keys with filters."
    )
    created_date: datetime
    last_modified_date: datetime
    url: str


class CohortActors(AnswerBody):
    result: int = Field(description="How many actors it has now, under the key's filters.")
    actors: list[Any] = Field(description="The first of them, in the order of their values.")
    truncated: bool = Field(description="Whether there are more than `actors` shows.")
