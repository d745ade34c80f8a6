"""Frozen records of people, sessions, one-time links and the audit log. Times are µs since 1970 UTC."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any


class Role(StrEnum):
    """What a person may do in a project; each role may do what those before it may."""

    VIEWER = "viewer"
    EDITOR = "editor"
    OWNER = "owner"

    @property
    def rank(self) -> int:
        return list(Role).index(self)


@dataclass(frozen=True, slots=True)
class Person:
    id: str
    email: str
    name: str
    password: str = field(repr=False)
    """A hash; empty where there is none, so that no password is right."""
    created_us: int
    factor: bytes | None = field(default=None, repr=False)
    """The sealed secret of the second factor."""
    factor_offered: bytes | None = field(default=None, repr=False)
    factor_step: int = 0
    """The time step of the last code that was taken."""
    recovery: tuple[str, ...] = field(default=(), repr=False)
    """Digests of the recovery codes that are left."""


@dataclass(frozen=True, slots=True)
class Identity:
    """Who somebody is at a provider of log-in. Without a person it is that of one who was removed."""

    issuer: str
    subject: str
    person_id: str | None


@dataclass(frozen=True, slots=True)
class Standing:
    """A person with their places: organisation id → whether they own it, project id → role."""

    person: Person
    organisations: Mapping[str, bool]
    roles: Mapping[str, Role]

    def role_in(self, project_id: str, organisation_id: str) -> Role | None:
        """The role in a project of this organisation: its owners own all its projects."""
        if self.organisations.get(organisation_id):
            return Role.OWNER
        return self.roles.get(project_id) if organisation_id in self.organisations else None


@dataclass(frozen=True, slots=True)
class Member:
    """A person's place in one organisation."""

    person: Person
    is_owner: bool
    roles: Mapping[str, Role]


@dataclass(frozen=True, slots=True)
class Session:
    """``digest`` is of its token. It is a person's, or that of the sealed key of a project."""

    id: str
    digest: str
    device: str
    created_us: int
    expires_us: int
    person_id: str | None = None
    project_id: str | None = None
    sealed_key: bytes | None = field(default=None, repr=False)


@dataclass(frozen=True, slots=True)
class Invitation:
    """A one-time link to join an organisation. ``digest`` is of its token."""

    id: str
    digest: str
    organisation_id: str
    email: str | None
    roles: Mapping[str, Role]
    is_owner: bool
    created_us: int
    expires_us: int
    is_first: bool = False
    invited_by: str | None = None


@dataclass(frozen=True, slots=True)
class AuditEntry:
    """``actor_kind`` is person, key or shell."""

    actor_kind: str
    actor_id: str
    actor_name: str
    action: str
    object: str = ""
    organisation_id: str | None = None
    project_id: str | None = None
    details: Mapping[str, Any] = field(default_factory=dict)
    id: int = 0
    at_us: int = 0
