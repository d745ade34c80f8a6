"""API versions, projects, collections, time zones and usage."""

from __future__ import annotations

from pydantic import Field

from service.http.models.shared import ABSENT, AnswerBody, Json, Link


class Version(AnswerBody):
    is_public: bool
    url: str
    version: str
    documentation_url: str = Field(ABSENT, description="A page for people that shows every call.")


class Resources(AnswerBody):
    projects_resource_url: str


class Project(AnswerBody):
    id: str
    name: str
    api_key: str
    url: str
    events_url: str
    queries_url: str
    events: list[Link]
    saved_queries: list[Link]


class CachedQueries(AnswerBody):
    limited: bool
    current_usage: int


class OwnUsage(AnswerBody):
    cached_queries: CachedQueries
    collections: int
    events: int
    bytes: int
    saved_queries: int
    cached_datasets: int
    today: Json = ABSENT
    this_month: Json = ABSENT
    quotas: Json = ABSENT
    keys: list[Json] = ABSENT


class Timezone(AnswerBody):
    name: str
    number_of_seconds_to_offset_time: int
    utc_offset: str


class Collection(AnswerBody):
    name: str
    url: str
    properties: dict[str, str] = ABSENT


class Property(AnswerBody):
    property_name: str
    url: str
    type: str


class Status(AnswerBody):
    status: str
