"""The application's routes with their rules, and what a key must meet at each."""

from __future__ import annotations

import asyncio
import re
from dataclasses import dataclass
from pathlib import Path

from starlette.routing import Route

from service.auth.principal import OF_MASTER_KEY, Permission
from service.http.app import create_app
from service.http.authorization import WRITES, Realm, Rule
from service.process.worker import composed
from service.settings import load
from storage.catalog.catalog import Catalog
from tests.support.catalogs import migrated
from tests.support.server import Served, ServedProject

WRITE_ROUTES = [
    ("POST", "/3.0/projects/{project_id}/events"),
    ("POST", "/3.0/projects/{project_id}/events/{collection}"),
    ("POST", "/3.0/projects/{project_id}/identities"),
    ("POST", "/3.0/projects/{project_id}/partners/sendgrid/versions/v3"),
]
"""Answered before the application."""
OF_QUERIES = {Permission.EXTRACTIONS, Permission.EXPORTS, Permission.TAIL}
"""What a key that may ask questions may do too; embed tokens have each by itself."""
OF_SHARES = "/tiles/{tile_id}/result"
"""The end of paths whose rule lets tokens of shares in; keys need the right to ask questions there."""
READ_KEY = {
    *OF_QUERIES,
    Permission.QUERIES,
    Permission.SAVED_QUERIES,
    Permission.CACHED_QUERIES,
    Permission.DATASETS,
    Permission.SCHEMA,
}


@dataclass(frozen=True)
class Ruled:
    method: str
    path: str
    rule: Rule

    def __str__(self) -> str:
        return f"{self.method} {self.path}"


def ruled_routes(data: Path) -> list[Ruled]:
    """All routes, those of the write path included."""

    async def read() -> list[Ruled]:
        async with composed(load(data=data), 0) as (_, parts):
            return [
                Ruled(method, route.path, getattr(route, "rule", None))  # type: ignore[arg-type]
                for route in create_app(parts).routes
                if isinstance(route, Route)
                for method in sorted(route.methods or ())
            ]

    Catalog.prepare(migrated(data)).close()
    return asyncio.run(read()) + [Ruled(*one, WRITES) for one in WRITE_ROUTES]


def expected(rule: Rule, held: set[Permission]) -> int | None:
    """The status of a refusal; None where the key is let in."""
    if rule.permissions & held and rule.further <= held:
        return None
    return 401 if rule.permissions <= OF_MASTER_KEY else 403


def check(served: Served, project: ServedProject, one: Ruled, key: str, held: set[Permission]) -> str | None:
    """What is wrong with the answer to this key, if anything is."""
    path = re.sub(r"\{[^}]+\}", "x", one.path.replace("{project_id}", project.id))
    # A tail has no end; with filters that are none it is refused once the key is let in.
    path += "?filters=none" if path.endswith("/tail") else ""
    body: object = {} if one.method in ("POST", "PUT", "PATCH") else None
    reply = served.request(one.method, path, body, key=key)
    wanted = expected(one.rule, held)
    if one.path.endswith(OF_SHARES) and wanted is None and Permission.QUERIES not in held:
        wanted = 403
    if wanted is None:
        return f"{one}: refused, {reply.status}" if reply.status in (401, 403, 500) else None
    if reply.status != wanted:
        return f"{one}: {reply.status}, not {wanted}"
    code = None if one.method == "HEAD" else reply.json["error_code"]
    good = code is None or (code == "AdminOnlyEndpointError") == (wanted == 401)
    return None if good else f"{one}: {code}"


def ruled_by_project(routes: list[Ruled]) -> list[Ruled]:
    """Those that do no harm to the project come first."""
    mine = [one for one in routes if one.rule.realm is Realm.PROJECT]
    return sorted(mine, key=lambda one: one.method == "DELETE")
