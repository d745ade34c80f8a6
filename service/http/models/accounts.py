"""People: log-in, sessions, invitations, roles and the audit log."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated, Literal

from pydantic import AfterValidator, Field

from service.http.models.shared import ABSENT, AnswerBody, Json, RequestBody
from service.people.passwords import PASSWORD_LENGTH_MAX, PASSWORD_LENGTH_MIN
from storage.catalog.people.records import Role

TEXT_LENGTH_MAX = 1_024
ROLES_MAX = 10_000
KEY_LENGTH_MAX = 16_384
RoleName = Literal["viewer", "editor", "owner"]
Password = Annotated[str, Field(min_length=PASSWORD_LENGTH_MIN, max_length=PASSWORD_LENGTH_MAX)]
GivenPassword = Annotated[str, Field(max_length=PASSWORD_LENGTH_MAX)]
Text = Annotated[str, Field(max_length=TEXT_LENGTH_MAX)]


def _few(roles: dict[str, RoleName]) -> dict[str, RoleName]:
    if len(roles) > ROLES_MAX:
        raise ValueError(f"an object of at most {ROLES_MAX} projects")
    return roles


Roles = Annotated[dict[str, RoleName], AfterValidator(_few)]


def as_roles(given: dict[str, RoleName]) -> dict[str, Role]:
    return {project_id: Role(role) for project_id, role in given.items()}


class LogIn(RequestBody):
    """Either `email` and `password`, with `code` for a second factor; or `project_id` and `key`."""

    email: Text | None = None
    password: GivenPassword | None = None
    code: Text | None = None
    project_id: Text | None = None
    key: Annotated[str, Field(max_length=KEY_LENGTH_MAX)] | None = None


class Join(RequestBody):
    token: Text
    email: Text | None = None
    name: Text | None = None
    password: Password | None = None


class JoinCheck(RequestBody):
    token: Text


class OpenIdBegin(RequestBody):
    """`next`: the page to show afterwards. `invitation`: the token of one to accept."""

    next: Annotated[str, Field(max_length=2_000)] | None = None
    invitation: Text | None = None


class OpenIdOffer(AnswerBody):
    label: str | None = Field(description="What its button says; null where this server has no such log-in.")


class OpenIdSent(AnswerBody):
    location: str = Field(description="Where the browser is to go.")


class OwnChange(RequestBody):
    name: Text
    email: Text
    password: GivenPassword


class PasswordChange(RequestBody):
    old: GivenPassword
    new: Password


class PasswordForgotten(RequestBody):
    email: Text


class PasswordReset(RequestBody):
    token: Text
    new: Password


class FactorConfirmation(RequestBody):
    code: Text


class FactorBegin(RequestBody):
    password: GivenPassword


class FactorEnd(RequestBody):
    password: GivenPassword


class InvitationDefinition(RequestBody):
    email: Text | None = None
    roles: Roles = Field(default_factory=dict, description="Project id → role.")
    owner: bool = False


class PlaceDefinition(RequestBody):
    roles: Roles = Field(description="Project id → role; replaces all.")
    owner: bool


class OwnPerson(AnswerBody):
    id: str
    email: str
    name: str
    two_factor: bool
    password: bool = Field(description="Who came in by OpenID Connect may have none.")


class OwnOrganisation(AnswerBody):
    id: str
    name: str
    owner: bool


class OwnProject(AnswerBody):
    id: str
    name: str
    role: RoleName | Literal["key"]
    organisation_id: str
    permissions: list[str] = Field(description="What the session may do in the project.")


class OwnSession(AnswerBody):
    id: str
    expires_at: datetime


class Account(AnswerBody):
    person: OwnPerson | None = Field(description="Null where the session began with a key.")
    organisations: list[OwnOrganisation]
    projects: list[OwnProject]
    session: OwnSession
    operates: bool = Field(description="Whether they may see how the server is: /account/server.")


class ListedSession(OwnSession):
    created_at: datetime
    device: str = Field(description="What the browser calls itself.")
    current: bool


class OfferedProject(AnswerBody):
    id: str
    name: str
    role: RoleName


class JoinOffer(AnswerBody):
    organisation: OwnOrganisation
    projects: list[OfferedProject]
    email: str | None = Field(description="Whom it is for; null: for whoever has the link.")
    expires_at: datetime


class FactorOffer(AnswerBody):
    secret: str
    uri: str
    picture: str = Field(description="The address as a QR code, an SVG.")


class RecoveryCodes(AnswerBody):
    recovery_codes: list[str]


class OpenInvitation(AnswerBody):
    id: str
    email: str | None
    roles: dict[str, RoleName]
    owner: bool
    created_at: datetime
    expires_at: datetime
    invited_by: str | None


class NewInvitation(AnswerBody):
    id: str
    link: str = Field(description="Shown this once.")
    expires_at: datetime


class OrganisationMember(AnswerBody):
    id: str
    email: str
    name: str
    two_factor: bool
    owner: bool
    roles: dict[str, RoleName]
    created_at: datetime


class AuditActor(AnswerBody):
    kind: Literal["person", "key", "shell"]
    id: str
    name: str


class AuditedAction(AnswerBody):
    id: int
    at: datetime
    actor: AuditActor
    action: str
    project_id: str | None = ABSENT
    object: str
    details: Json
