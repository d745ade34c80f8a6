"""Access keys: made, shown, changed, revoked and deleted with the master key."""

from __future__ import annotations

import asyncio
import json
import secrets
from collections.abc import Callable
from typing import Any, TypeVar

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Router

from query.language.filters import CheckRegex
from service.api_paths import PROJECTS
from service.auth.access_keys import Definition, read_definition
from service.auth.principal import Caller, Permission
from service.bodies.json_body import check_answerable
from service.errors import InvalidParameter, NotFound
from service.http.authorization import Routes, needs
from service.http.parts import Parts
from service.http.request import empty_answer, json_answer, pairs_of, parameter, read_json, segment_of
from storage.catalog.errors import UnknownAccessKey, WrongSecret
from storage.catalog.keyring import Keyring
from storage.catalog.tenants.records import AccessKey

KEYS = f"{PROJECTS}/{{project_id}}/keys"
PAGE_SIZE_MAX = 200
PAGE_MAX = 1_000_000
OPTIONS_BYTES_MAX = 262_144
T = TypeVar("T")


def new_access_key(keyring: Keyring, project_id: str, made: Definition, now_us: int) -> tuple[str, AccessKey]:
    """The key itself, 64 upper-case hexadecimal digits, and how the catalog keeps it."""
    key = secrets.token_hex(32).upper()
    digest = keyring.digest(project_id, key)
    sealed = keyring.seal(key, f"{project_id}/{digest}")
    fields = (made.name, made.is_active is not False, made.permitted, made.options)
    return key, AccessKey(project_id, digest, sealed, *fields, now_us)


def checked(body: Any, check_regex: CheckRegex) -> Definition:
    """A key as it may be kept: all of it can be shown again. Raises InvalidParameter."""
    made = read_definition(body, check_regex)
    check_answerable(made.options, "options")
    if len(json.dumps(made.options)) > OPTIONS_BYTES_MAX:
        raise InvalidParameter(f"'options' may have {OPTIONS_BYTES_MAX} bytes at most.")
    return made


def shown(keyring: Keyring, key: AccessKey) -> dict[str, Any]:
    """As the API shows it. ``key`` is null where the server's secret is not the one it was sealed with."""
    try:
        text = keyring.unseal(key.sealed, f"{key.project_id}/{key.digest}")
    except WrongSecret:
        text = None
    return {
        "key": text,
        "name": key.name,
        "is_active": key.is_active,
        "permitted": list(key.permitted),
        "options": dict(key.options),
        "project_id": key.project_id,
    }


def router(parts: Parts) -> Router:
    routes = Routes(parts.tenants)
    rule = needs(Permission.MASTER)
    api = _Keys(parts)
    routes.project(KEYS, api.list, rule)
    routes.project(KEYS, api.create, rule, ["POST"])
    one = f"{KEYS}/{{key}}"
    routes.project(one, api.show, rule)
    routes.project(one, api.update, rule, ["POST"])
    routes.project(one, api.delete, rule, ["DELETE"])
    routes.project(f"{one}/revoke", api.revoke, rule, ["POST"])
    routes.project(f"{one}/unrevoke", api.unrevoke, rule, ["POST"])
    return routes.router


class _Keys:
    def __init__(self, parts: Parts) -> None:
        self._parts = parts
        self._catalog = parts.catalog

    async def list(self, request: Request, caller: Caller) -> Response:
        pairs = pairs_of(request.scope)
        size = _whole(parameter(pairs, "per_page"), "per_page", PAGE_SIZE_MAX, PAGE_SIZE_MAX)
        page = _whole(parameter(pairs, "page"), "page", 1, PAGE_MAX)
        name = parameter(pairs, "name")
        found = await self._blocking(
            lambda: self._catalog.access_keys.of_project(
                caller.project.id, name=name, offset=(page - 1) * size, limit=size
            )
        )
        return json_answer([shown(self._parts.keyring, key) for key in found])

    async def create(self, request: Request, caller: Caller) -> Response:
        made = await self._read(request)
        _, key = new_access_key(self._parts.keyring, caller.project.id, made, self._parts.clock())
        await self._blocking(lambda: self._catalog.access_keys.create(key))
        return self._told(key, 201)

    async def _read(self, request: Request) -> Definition:
        """Raises InvalidParameter, InvalidJSON."""
        return checked(await read_json(self._parts.bodies, request, self._limit), self._check_regex)

    async def show(self, request: Request, caller: Caller) -> Response:
        digest = self._digest(request, caller)
        key = await self._blocking(lambda: self._catalog.access_keys.find(caller.project.id, digest))
        if key is None:
            raise NotFound
        return self._told(key)

    async def update(self, request: Request, caller: Caller) -> Response:
        digest = self._digest(request, caller)
        made = await self._read(request)
        return self._told(
            await self._changing(
                lambda: self._catalog.access_keys.update(
                    caller.project.id,
                    digest,
                    name=made.name,
                    is_active=made.is_active,
                    permitted=made.permitted,
                    options=made.options,
                )
            )
        )

    async def revoke(self, request: Request, caller: Caller) -> Response:
        return await self._activate(request, caller, active=False)

    async def unrevoke(self, request: Request, caller: Caller) -> Response:
        return await self._activate(request, caller, active=True)

    async def delete(self, request: Request, caller: Caller) -> Response:
        digest = self._digest(request, caller)
        await self._changing(lambda: self._catalog.access_keys.delete(caller.project.id, digest))
        return empty_answer()

    async def _activate(self, request: Request, caller: Caller, *, active: bool) -> Response:
        """What the body holds is of no interest: clients send nothing, or an empty string."""
        digest = self._digest(request, caller)
        project_id = caller.project.id
        return self._told(
            await self._changing(lambda: self._catalog.access_keys.activate(project_id, digest, active))
        )

    @property
    def _limit(self) -> int:
        return self._parts.settings.query_bytes_max

    def _check_regex(self, pattern: str) -> str | None:
        return self._parts.asking.check_regex(pattern)

    def _digest(self, request: Request, caller: Caller) -> str:
        """Of the key that the path names."""
        return self._parts.keyring.digest(caller.project.id, segment_of(request.scope, 5))

    def _told(self, key: AccessKey, status: int = 200) -> Response:
        return json_answer(shown(self._parts.keyring, key), status)

    async def _changing(self, work: Callable[[], T]) -> T:
        try:
            return await self._blocking(lambda: self._parts.tenants.changing(work))
        except UnknownAccessKey:
            raise NotFound from None

    async def _blocking(self, work: Callable[[], T]) -> T:
        return await asyncio.get_running_loop().run_in_executor(self._parts.catalog_executor, work)


def _whole(text: str | None, name: str, default: int, largest: int) -> int:
    if text is None:
        return default
    if not (text.isascii() and text.isdigit() and len(text) < 10 and 1 <= int(text) <= largest):
        raise InvalidParameter(f"'{name}' must be a whole number from 1 to {largest}.")
    return int(text)
