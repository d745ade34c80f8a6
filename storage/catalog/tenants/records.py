"""Organisations, projects, keys and what they use, as frozen values. Times are µs since 1970 UTC."""

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
    """A deleted project has no keys any more, and its data is purged a while later."""


@dataclass(frozen=True, slots=True)
class Usage:
    """What a project holds. ``collections`` are those with events in files, ``events`` and ``bytes`` what is
    in those files: what came in the last moments stands in the log alone."""

    collections: int = 0
    events: int = 0
    bytes: int = 0
    saved_queries: int = 0
    cached_queries: int = 0
    cached_datasets: int = 0


@dataclass(frozen=True, slots=True)
class Activity:
    """What was sent and asked: accepted events, bytes of their bodies, and how long questions ran."""

    events: int = 0
    bytes: int = 0
    query_us: int = 0

    def __add__(self, other: Activity) -> Activity:
        return Activity(self.events + other.events, self.bytes + other.bytes, self.query_us + other.query_us)


@dataclass(frozen=True, slots=True)
class ActivityOf:
    """Of one project, by the id of a key; all of them together are the project's."""

    today: Mapping[str, Activity]
    month: Mapping[str, Activity]


@dataclass(frozen=True, slots=True)
class AccessKey:
    """``digest``: what it is found by; ``sealed``: the key itself, for whoever has the server's secret."""

    project_id: str
    digest: str
    sealed: bytes
    name: str
    is_active: bool
    permitted: tuple[str, ...]
    options: Mapping[str, Any]
    created_us: int


@dataclass(frozen=True, slots=True)
class TenantChanges:
    """What changed up to a version of the tenants. A project is among the changed ones also where one of its
    keys or access keys changed."""

    version: int
    projects: tuple[Project, ...] = ()
    """Oldest first."""
    gone_projects: frozenset[str] = frozenset()
    organisations: tuple[Organisation, ...] = ()
    gone_organisations: frozenset[str] = frozenset()
