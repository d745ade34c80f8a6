"""The organisation API: its projects, made, changed and deleted with its key, or by its owners."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import asdict, fields
from typing import Any, TypeVar

from starlette.responses import Response

from service.errors import Conflict, InvalidParameter, NotFound
from service.http.authorization import ORGANISATION
from service.http.models.organisations import (
    DeletedProject,
    OwnedProject,
    ProjectChange,
    ProjectDefinition,
    Usage,
)
from service.http.openapi.operation import Example, Method, Operation, gone, ok
from service.http.parts import Parts
from service.http.request import audit_details, empty_answer, json_answer, segment_of
from service.http.routing import OfOrganisation, OrganisationCall, RouteArea
from service.limits.quotas import usage_json
from service.saved_queries.definition import moment_text
from storage.catalog.errors import DuplicateProject, InvalidName, UnknownProject
from storage.catalog.tenants import records
from storage.catalog.tenants.records import Project

_ORGANISATION = "/3.0/organizations/{organization_id}"
_BASE = f"{_ORGANISATION}/projects"
_ONE = f"{_BASE}/{{own_project}}"
_DELETED = f"{_ORGANISATION}/deleted-projects"
_DAY_US = 86_400_000_000
_ANSWERED = ("id", "apiKeys")
"""Fields of an answer that a request does not take: so that a project can be sent back as it was received."""
_NEW = {"name": "Shop of {project_id}"}
_MINE = {"own_project": "{made_id}"}
_PROJECT = ok(OwnedProject, "The project, keys included.")
T = TypeVar("T")

area = RouteArea(
    "organizations",
    "Manage projects with the organisation's key, or as one of its owners with a session. Organisations are "
    "made from the shell.",
)


@area.post(
    _BASE,
    ORGANISATION,
    "Make a project",
    _PROJECT,
    errors=(409,),
    examples=(
        Example(body=_NEW, key="organization", keep={"made_id": "id"}),
        Example(body=_NEW, key="organization", status=409),
        Example(body={"name": "Other"}, key="master", status=401),
    ),
)
async def create(call: OfOrganisation, given: ProjectDefinition) -> Response:
    given.refuse_unknown("a project", *_ANSWERED)

    def make() -> Project:
        return call.parts.catalog.projects.create(
            given.name,
            organisation_id=call.organisation.id,
            users=given.addresses() or (),
            preferences=given.preferences,
            own_name=True,
        )

    made = await _changing(call.parts, make)
    audit_details(call.request, name=made.name, project=made.id)
    return json_answer(shown(made))


@area.get(
    _BASE,
    ORGANISATION,
    "The organisation's projects",
    ok(list[OwnedProject], "The projects, keys included."),
    examples=(Example(key="organization"),),
)
async def show_all(call: OfOrganisation) -> Response:
    return json_answer([shown(project) for project in await _own(call)])


@area.get(
    f"{_ORGANISATION}/usage",
    ORGANISATION,
    "What the organisation's projects hold",
    ok(Usage, "In total and by project: events stored in files, and their bytes."),
    examples=(Example(key="organization"), Example(key="read", status=401)),
)
async def usage(call: OfOrganisation) -> Response:
    own, catalog = await _own(call), call.parts.catalog
    by_project = await call.parts.in_thread(catalog.projects.usage)
    stored = [asdict(by_project.get(project.id, records.Usage())) for project in own]
    sent = await call.parts.in_thread(lambda: [catalog.activity.of_project(project.id) for project in own])
    total = {one.name: sum(usage[one.name] for usage in stored) for one in fields(records.Usage)}
    listed = [
        {"id": project.id, "name": project.name, **usage, **usage_json(activity)}
        for project, usage, activity in zip(own, stored, sent, strict=True)
    ]
    return json_answer({**total, "projects": listed})


@area.get(_ONE, ORGANISATION, "One project", _PROJECT, examples=(Example(_MINE, key="organization"),))
async def show(call: OfOrganisation) -> Response:
    return json_answer(shown(await _one(call)))


def _change(method: Method) -> Operation:
    body = {"users": [{"email": "ann@example.com"}]}
    return Operation(
        method=method,
        path=_ONE,
        summary="Change a project's name, users or preferences",
        answers=_PROJECT,
        errors=(409,),
        examples=(Example(_MINE, body=body, key="organization"),),
    )


@area.serve(_ONE, ORGANISATION, _change("post"), _change("put"))
async def update(call: OfOrganisation, given: ProjectChange) -> Response:
    """Fields that are left out stay as they are; `users` replaces the whole list."""
    given.refuse_unknown("a project", *_ANSWERED)
    project = await _one(call)

    def change() -> Project:
        return call.parts.catalog.projects.update(
            project.id,
            name=given.name,
            users=given.addresses(),
            preferences=given.preferences,
            own_name=True,
        )

    return json_answer(shown(await _changing(call.parts, change)))


@area.delete(
    _ONE,
    ORGANISATION,
    "Delete a project",
    gone("Its keys are dead; its data is purged some days later."),
    examples=(
        Example(_MINE, key="organization", status=204),
        Example(_MINE, key="organization", status=404),
    ),
)
async def delete(call: OfOrganisation) -> Response:
    project = await _one(call)
    await _changing(call.parts, lambda: call.parts.catalog.projects.delete(project.id))
    return empty_answer()


@area.get(
    _DELETED,
    ORGANISATION,
    "The organisation's deleted projects",
    ok(list[DeletedProject], "Those that can be restored, oldest first."),
    examples=(Example(key="organization"), Example(key="master", status=401)),
)
async def list_deleted(call: OfOrganisation) -> Response:
    days_us = int(call.parts.settings.purge_days * _DAY_US)
    return json_answer(
        [
            {
                "id": one.id,
                "name": one.name,
                "deleted_at": moment_text(one.deleted_us or 0),
                "restorable_until": moment_text((one.deleted_us or 0) + days_us),
            }
            for one in await _deleted(call)
        ]
    )


@area.post(
    f"{_DELETED}/{{own_project}}/restore",
    ORGANISATION,
    "Restore a deleted project",
    ok(OwnedProject, "The project, keys included, as it was."),
    examples=(
        Example(_MINE, key="organization"),
        Example(_MINE, key="organization", status=404),
    ),
)
async def restore(call: OfOrganisation) -> Response:
    project_id = segment_of(call.request.scope, 5)
    if project_id not in {one.id for one in await _deleted(call)}:
        raise NotFound.named("deleted project of this organization", project_id)
    parts = call.parts
    try:
        restored = await parts.in_thread(
            parts.tenants.changing, lambda: parts.catalog.projects.restore(project_id)
        )
    except UnknownProject:
        raise NotFound("Resource not found: the project's data is being removed already.") from None
    return json_answer(shown(restored))


def shown(project: Project) -> dict[str, Any]:
    """The project as ``models.organisations.OwnedProject`` describes it."""
    return {
        "id": project.id,
        "name": project.name,
        "users": [{"email": address} for address in project.users],
        "apiKeys": {
            "writeKey": project.write_key,
            "readKey": project.read_key,
            "masterKey": project.master_key,
        },
        "preferences": dict(project.preferences),
    }


async def _own(call: OrganisationCall) -> list[Project]:
    return await call.parts.in_thread(call.parts.catalog.projects.of_organisation, call.organisation.id)


async def _one(call: OrganisationCall) -> Project:
    """The project that the path names. Raises NotFound, also for projects of other organisations."""
    project_id = segment_of(call.request.scope, 5)
    project = next((one for one in await _own(call) if one.id == project_id), None)
    if project is None:
        raise NotFound.named("project of this organization", project_id)
    return project


async def _changing(parts: Parts, work: Callable[[], T]) -> T:
    """The result of ``work``, which changes projects. Raises NotFound, InvalidParameter, Conflict."""
    try:
        return await parts.in_thread(parts.tenants.changing, work)
    except UnknownProject:
        raise NotFound("Resource not found: the project was deleted meanwhile.") from None
    except InvalidName as error:
        raise InvalidParameter(f"'name': {error}") from None
    except DuplicateProject as error:
        raise Conflict(str(error)) from None


async def _deleted(call: OrganisationCall) -> list[Project]:
    listed = await call.parts.in_thread(call.parts.catalog.projects.deleted)
    return [one for one in listed if one.organisation_id == call.organisation.id]
