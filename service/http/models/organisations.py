"""Projects in the organisation API, the one place where names are not snake case."""

from __future__ import annotations

from typing import Annotated

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, WithJsonSchema

from query.language.parameter_table import ACTOR, ROUND, WEEK_START
from service.auth.project_fields import USERS_MAX, check_address, checked_preferences
from service.http.models.shared import ABSENT, AnswerBody, Count, Json, Moment, RequestBody

_PREFERENCES: Json = {
    "type": "object",
    "description": "Any JSON; `round`, `week_start` and `actor_property` apply to the project's queries.",
    "properties": {"round": ROUND, "week_start": WEEK_START, "actor_property": ACTOR},
}
Preferences = Annotated[Json, AfterValidator(checked_preferences), WithJsonSchema(_PREFERENCES)]


class User(BaseModel):
    model_config = ConfigDict(strict=True)

    email: Annotated[str, AfterValidator(check_address)]


class ProjectFields(RequestBody):
    users: Annotated[list[User], Field(fail_fast=True, max_length=USERS_MAX)] | None = None
    preferences: Preferences | None = None

    def addresses(self) -> list[str] | None:
        """The users' e-mail addresses, each once."""
        return None if self.users is None else list(dict.fromkeys(user.email for user in self.users))


class ProjectDefinition(ProjectFields):
    name: str


class ProjectChange(ProjectFields):
    """Fields that are left out stay as they are; ``users`` replaces the whole list."""

    name: str | None = None


class ApiKeys(AnswerBody):
    writeKey: str
    readKey: str
    masterKey: str


class OwnedProject(AnswerBody):
    id: str
    name: str
    users: list[User]
    apiKeys: ApiKeys
    preferences: Annotated[Json, WithJsonSchema(_PREFERENCES)]


class Held(AnswerBody):
    """Events stored in files, and definitions."""

    collections: Count
    events: Count
    bytes: Count
    saved_queries: Count
    cached_queries: Count
    cached_datasets: Count


class ProjectUsage(Held):
    id: str
    name: str
    today: Json = ABSENT
    this_month: Json = ABSENT


class Usage(Held):
    projects: list[ProjectUsage]


class DeletedProject(AnswerBody):
    id: str
    name: str
    deleted_at: Moment
    restorable_until: Moment
