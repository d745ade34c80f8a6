"""What is managed, as it is told: definitions, keys, collections, projects. ``raw`` is all of it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from acumen_client.results import Notice, instant

Json = Mapping[str, Any]


def _moment(text: Any) -> datetime | None:
    return instant(text) if isinstance(text, str) else None


def _notices(sent: Json) -> tuple[Notice, ...]:
    return tuple(Notice.of(one) for one in sent.get("warnings") or ())


@dataclass(frozen=True, slots=True)
class RunInformation:
    """The last run of a cached query."""

    last_run_date: datetime | None
    last_run_status: str
    last_run_message: str | None
    duration_ms: float | None
    events_scanned: int | None
    data_through: datetime | None
    """Every event that was acknowledged before this moment is in the result."""
    stale: bool | None
    """Whether an event that the result covers has come since."""
    next_run_date: datetime | None

    @classmethod
    def read(cls, sent: Json) -> RunInformation:
        return cls(
            last_run_date=_moment(sent.get("last_run_date")),
            last_run_status=str(sent.get("last_run_status", "")),
            last_run_message=sent.get("last_run_message"),
            duration_ms=sent.get("duration_ms"),
            events_scanned=sent.get("events_scanned"),
            data_through=_moment(sent.get("data_through")),
            stale=sent.get("stale"),
            next_run_date=_moment(sent.get("next_run_date")),
        )


@dataclass(frozen=True, slots=True)
class SavedQuery:
    """A question with a name."""

    name: str
    query: Json
    """The parameters, and ``analysis_type``."""
    refresh_rate: int
    metadata: Any
    run_information: RunInformation | None
    created_date: datetime | None
    last_modified_date: datetime | None
    warnings: Sequence[Notice] = ()
    raw: Json = field(default_factory=dict, repr=False)

    @property
    def display_name(self) -> str | None:
        name = self.metadata.get("display_name") if isinstance(self.metadata, Mapping) else None
        return name if isinstance(name, str) else None

    @classmethod
    def read(cls, sent: Json) -> SavedQuery:
        run = sent.get("run_information")
        return cls(
            name=sent["query_name"],
            query=sent["query"],
            refresh_rate=sent["refresh_rate"],
            metadata=sent.get("metadata"),
            run_information=None if run is None else RunInformation.read(run),
            created_date=_moment(sent.get("created_date")),
            last_modified_date=_moment(sent.get("last_modified_date")),
            warnings=_notices(sent),
            raw=sent,
        )


@dataclass(frozen=True, slots=True)
class ActorCohort:
    """A named set of actors."""

    name: str
    display_name: str | None
    kind: str
    """``static``, ``behaviour`` or ``funnel``."""
    actor_property: str
    actors_listed: int | None
    """How many actors a static cohort lists; None for others, and for keys with filters."""
    created_date: datetime | None
    last_modified_date: datetime | None
    raw: Json = field(default_factory=dict, repr=False)

    @classmethod
    def read(cls, sent: Json) -> ActorCohort:
        return cls(
            name=sent["name"],
            display_name=sent.get("display_name"),
            kind=sent["kind"],
            actor_property=sent["actor_property"],
            actors_listed=sent.get("actors_listed"),
            created_date=_moment(sent.get("created_date")),
            last_modified_date=_moment(sent.get("last_modified_date")),
            raw=sent,
        )


@dataclass(frozen=True, slots=True)
class CohortActors:
    """How many actors a cohort has, and the first of them."""

    number: int
    actors: Sequence[Any]
    truncated: bool
    """Whether there are more than ``actors``."""

    @classmethod
    def read(cls, sent: Json) -> CohortActors:
        return cls(sent["result"], tuple(sent["actors"]), sent["truncated"])


@dataclass(frozen=True, slots=True)
class Dataset:
    """A question with an interval whose answer is kept ready for each value of its index."""

    name: str
    display_name: str
    query: Json
    index_by: Sequence[str]
    status: str
    """``Created``, ``Bootstrapping``, ``OK``, ``BootstrappingFailed`` or ``Warn``."""
    status_message: str | None
    milliseconds_behind: int
    last_scheduled_date: datetime | None
    latest_subtimeframe_available: datetime | None
    warnings: Sequence[Notice] = ()
    raw: Json = field(default_factory=dict, repr=False)

    @classmethod
    def read(cls, sent: Json) -> Dataset:
        return cls(
            name=sent["dataset_name"],
            display_name=sent["display_name"],
            query=sent["query"],
            index_by=tuple(sent["index_by"]),
            status=sent["status"],
            status_message=sent.get("status_message"),
            milliseconds_behind=sent["milliseconds_behind"],
            last_scheduled_date=_moment(sent.get("last_scheduled_date")),
            latest_subtimeframe_available=_moment(sent.get("latest_subtimeframe_available")),
            warnings=_notices(sent),
            raw=sent,
        )


@dataclass(frozen=True, slots=True)
class AccessKey:
    """A key with the rights that its maker chose."""

    key: str | None = field(repr=False)
    """None where the server's secret is not the one under which the key was made."""
    name: str
    is_active: bool
    permitted: Sequence[str]
    options: Json | None
    project_id: str
    raw: Json = field(default_factory=dict, repr=False)

    @classmethod
    def read(cls, sent: Json) -> AccessKey:
        return cls(
            key=sent["key"],
            name=sent["name"],
            is_active=sent["is_active"],
            permitted=tuple(sent["permitted"]),
            options=sent["options"],
            project_id=sent["project_id"],
            raw=sent,
        )


@dataclass(frozen=True, slots=True)
class Collection:
    """A collection and the types of its properties, by their paths; None where they were not asked for."""

    name: str
    properties: Mapping[str, str] | None

    @classmethod
    def read(cls, sent: Json) -> Collection:
        return cls(sent["name"], sent.get("properties"))


@dataclass(frozen=True, slots=True)
class ProjectDescription:
    """A project as its own keys see it."""

    id: str
    name: str
    collections: Sequence[str]
    saved_queries: Sequence[str]
    """Told to the master key."""
    raw: Json = field(default_factory=dict, repr=False)

    @classmethod
    def read(cls, sent: Json) -> ProjectDescription:
        return cls(
            id=sent["id"],
            name=sent["name"],
            collections=tuple(one["name"] for one in sent.get("events") or ()),
            saved_queries=tuple(one["name"] for one in sent.get("saved_queries") or ()),
            raw=sent,
        )


@dataclass(frozen=True, slots=True)
class Project:
    """A project as its organisation sees it."""

    id: str
    name: str
    write_key: str = field(repr=False)
    read_key: str = field(repr=False)
    master_key: str = field(repr=False)
    users: Sequence[str]
    """E-mail addresses."""
    preferences: Json
    raw: Json = field(default_factory=dict, repr=False)

    @classmethod
    def read(cls, sent: Json) -> Project:
        keys = sent["apiKeys"]
        return cls(
            id=sent["id"],
            name=sent["name"],
            write_key=keys["writeKey"],
            read_key=keys["readKey"],
            master_key=keys["masterKey"],
            users=tuple(one["email"] for one in sent.get("users") or ()),
            preferences=sent.get("preferences") or {},
            raw=sent,
        )


@dataclass(frozen=True, slots=True)
class OrganizationUsage:
    """What an organisation's projects hold, in all; ``projects`` has the same of each."""

    events: int
    bytes: int
    collections: int
    projects: Sequence[Json]
    raw: Json = field(default_factory=dict, repr=False)

    @classmethod
    def read(cls, sent: Json) -> OrganizationUsage:
        return cls(sent["events"], sent["bytes"], sent["collections"], tuple(sent["projects"]), sent)
