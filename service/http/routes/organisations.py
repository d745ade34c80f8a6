"""The organisation API: its projects, made, changed and deleted with the organisation's key."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable, Mapping
from dataclasses import asdict, fields
from typing import Any, TypeVar

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Router

from service.auth.preferences import check_preferences
from service.bodies.json_body import check_answerable
from service.errors import Conflict, InvalidParameter, NotFound
from service.http.authorization import Routes
from service.http.parts import Parts
from service.http.request import empty_answer, json_answer, read_json, segment_of
from service.limits.quotas import usage_json
from storage.catalog.errors import DuplicateProject, InvalidName, UnknownProject
from storage.catalog.tenants.records import Organisation, Project, Usage

ORGANISATION = "/3.0/organizations/{organization_id}"
USERS_MAX = 1_000
ADDRESS_LENGTH_MAX = 254
PREFERENCES_BYTES_MAX = 65_536
T = TypeVar("T")


def router(parts: Parts) -> Router:
    routes = Routes(parts.tenants)
    api = _Projects(parts)
    base = f"{ORGANISATION}/projects"
    one = f"{base}/{{project_id}}"
    routes.organisation(f"{ORGANISATION}/usage", api.usage)
    routes.organisation(base, api.show_all)
    routes.organisation(base, api.create, ["POST"])
    routes.organisation(one, api.show)
    routes.organisation(one, api.update, ["POST", "PUT"])
    routes.organisation(one, api.delete, ["DELETE"])
    return routes.router


def shown(project: Project) -> dict[str, Any]:
    """As the API shows it: the one object in which names are not written with underscores."""
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


class _Projects:
    def __init__(self, parts: Parts) -> None:
        self._parts = parts
        self._catalog = parts.catalog

    async def show_all(self, _: Request, organisation: Organisation) -> Response:
        return json_answer([shown(project) for project in await self._own(organisation)])

    async def usage(self, _: Request, organisation: Organisation) -> Response:
        own = await self._own(organisation)
        found = await self._blocking(self._catalog.projects.usage)
        held = [asdict(found.get(project.id, Usage())) for project in own]
        sent = await self._blocking(
            lambda: [self._catalog.activity.of_project(project.id) for project in own]
        )
        total = {one.name: sum(usage[one.name] for usage in held) for one in fields(Usage)}
        listed = [
            {"id": project.id, "name": project.name, **usage, **usage_json(activity)}
            for project, usage, activity in zip(own, held, sent, strict=True)
        ]
        return json_answer({**total, "projects": listed})

    async def create(self, request: Request, organisation: Organisation) -> Response:
        given = await self._read(request)
        name = given.get("name")
        if name is None:
            raise InvalidParameter("'name' is missing: a project must have one.")

        def make() -> Project:
            return self._catalog.projects.create(
                name,
                organisation_id=organisation.id,
                users=given.get("users") or (),
                preferences=given.get("preferences"),
                own_name=True,
            )

        return json_answer(shown(await self._changing(make)))

    async def show(self, request: Request, organisation: Organisation) -> Response:
        return json_answer(shown(await self._one(request, organisation)))

    async def update(self, request: Request, organisation: Organisation) -> Response:
        project = await self._one(request, organisation)
        given = await self._read(request)
        changed = await self._changing(
            lambda: self._catalog.projects.update(project.id, **given, own_name=True)
        )
        return json_answer(shown(changed))

    async def delete(self, request: Request, organisation: Organisation) -> Response:
        project = await self._one(request, organisation)
        await self._changing(lambda: self._catalog.projects.delete(project.id))
        return empty_answer()

    async def _own(self, organisation: Organisation) -> list[Project]:
        return await self._blocking(lambda: self._catalog.projects.of_organisation(organisation.id))

    async def _one(self, request: Request, organisation: Organisation) -> Project:
        """Raises NotFound, for projects of others too."""
        wanted = segment_of(request.scope, 5)
        found = next((one for one in await self._own(organisation) if one.id == wanted), None)
        if found is None:
            raise NotFound
        return found

    async def _read(self, request: Request) -> dict[str, Any]:
        """What of name, users and preferences is given, checked. Raises InvalidParameter, InvalidJSON."""
        body = await read_json(self._parts.bodies, request, self._parts.settings.query_bytes_max)
        if not isinstance(body, dict):
            raise InvalidParameter("The body must be an object: name, users, preferences.")
        given: dict[str, Any] = {}
        if body.get("name") is not None:
            if not isinstance(body["name"], str):
                raise InvalidParameter("'name' must be a string.")
            given["name"] = body["name"]
        if body.get("users") is not None:
            given["users"] = addresses(body["users"])
        if body.get("preferences") is not None:
            given["preferences"] = preferences(body["preferences"])
        return given

    async def _changing(self, work: Callable[[], T]) -> T:
        return await self._blocking(lambda: self._parts.tenants.changing(work))

    async def _blocking(self, work: Callable[[], T]) -> T:
        """Raises NotFound, InvalidParameter, Conflict."""
        try:
            return await asyncio.get_running_loop().run_in_executor(self._parts.catalog_executor, work)
        except UnknownProject:
            raise NotFound from None
        except InvalidName as error:
            raise InvalidParameter(f"'name': {error}") from None
        except DuplicateProject as error:
            raise Conflict(str(error)) from None


def addresses(value: Any) -> list[str]:
    """Raises InvalidParameter."""
    if not isinstance(value, list) or len(value) > USERS_MAX:
        raise InvalidParameter(f"'users' must be a list of at most {USERS_MAX} objects with an 'email'.")
    found: list[str] = []
    for number, user in enumerate(value):
        address = user.get("email") if isinstance(user, Mapping) else None
        if not isinstance(address, str) or not _is_address(address):
            raise InvalidParameter(f"'users[{number}].email' must be an e-mail address.")
        found.append(address)
    return list(dict.fromkeys(found))


def _is_address(text: str) -> bool:
    local, at, host = text.rpartition("@")
    plain = all(character.isprintable() and not character.isspace() for character in text)
    return bool(at and local and host) and plain and len(text) <= ADDRESS_LENGTH_MAX


def preferences(value: Any) -> dict[str, Any]:
    """Raises InvalidParameter."""
    if not isinstance(value, dict):
        raise InvalidParameter("'preferences' must be an object.")
    check_answerable(value, "preferences")
    size = len(json.dumps(value))
    if size > PREFERENCES_BYTES_MAX:
        raise InvalidParameter(f"'preferences' may have {PREFERENCES_BYTES_MAX} bytes at most.")
    check_preferences(value)
    return value
