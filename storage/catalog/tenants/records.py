"""Frozen records of organisations, projects, keys and their usage. Times are µs since 1970 UTC."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any


@dataclass(frozen=True, slots=True)
class Organisation:
    id: str
    name: str
    key: str
    created_us: int


class KeyKind(StrEnum):
    MASTER = "master"
    WRITE = "write"
    READ = "read"


@dataclass(frozen=True, slots=True)
class Project:
    id: str
    name: str
    organisation_id: str
    master_key: str
    write_key: str
    read_key: str
    created_us: int
    users: tuple[str, ...] = ()
    """E-mail addresses."""
    preferences: Mapping[str, Any] = field(default_factory=dict, hash=False)
    deleted_us: int | None = None
    """When the project was deleted. Its keys are invalid then, and its data is purged later."""


@dataclass(frozen=True, slots=True)
class Usage:
    """What a project stores. ``collections`` counts those with events in files, and ``events`` and ``bytes``
    are of those files. The newest events are only in the logs, and not counted."""

    collections: int = 0
    events: int = 0
    bytes: int = 0
    saved_queries: int = 0
    cached_queries: int = 0
    cached_datasets: int = 0


@dataclass(frozen=True, slots=True)
class Activity:
    """What was sent and queried: accepted events, bytes of their bodies, and the time that queries ran."""

    events: int = 0
    bytes: int = 0
    query_us: int = 0

    def __add__(self, other: Activity) -> Activity:
        return Activity(self.events + other.events, self.bytes + other.bytes, self.query_us + other.query_us)


@dataclass(frozen=True, slots=True)
class ActivityOf:
    """The activity of one project by key id; the project's own is the sum."""

    today: Mapping[str, Activity]
    month: Mapping[str, Activity]


@dataclass(frozen=True, slots=True)
class AccessKey:
    """An access key: ``digest`` is for lookups, ``sealed`` is the key sealed with the server's secret.

    ``public_id`` is what embed tokens name the key by; None where the key cannot be unsealed.
    """

    project_id: str
    digest: str
    sealed: bytes
    name: str
    is_active: bool
    permitted: tuple[str, ...]
    options: Mapping[str, Any]
    created_us: int
    public_id: str | None = None


@dataclass(frozen=True, slots=True)
class TenantChanges:
    """Changes up to a version of the tenants. ``projects`` includes those of which only a key or access key
    changed."""

    version: int
    projects: tuple[Project, ...] = ()
    """Oldest first."""
    gone_projects: frozenset[str] = frozenset()
    organisations: tuple[Organisation, ...] = ()
    gone_organisations: frozenset[str] = frozenset()
