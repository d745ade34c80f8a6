"""Every kind of key at every route: let in or refused as the route's rule says.

The routes come from the application, so that a new one without a rule, or with another way in, fails here.
"""

from __future__ import annotations

import asyncio
import re
from dataclasses import dataclass
from pathlib import Path

import pytest

from service.app import create_app
from service.auth import Permission
from service.rules import WRITES, Realm, Rule
from service.settings import load
from service.worker import composed
from storage.catalog import Catalog
from tests.service.test_openapi import flattened
from tests.support.server import Served, ServedProject

FRAMEWORK_ROUTES = {"/openapi.json"}
"""Answered by FastAPI itself, to everybody."""
WRITE_ROUTES = [
    ("POST", "/3.0/projects/{project_id}/events"),
    ("POST", "/3.0/projects/{project_id}/events/{collection}"),
]
"""Answered before the application."""
READ_KEY = {
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


def _routes(data: Path) -> list[Ruled]:
    async def read() -> list[Ruled]:
        async with composed(load(data=data), 0) as (_, parts):
            return [
                Ruled(method, route.path, getattr(route.endpoint, "rule", None))  # type: ignore[arg-type]
                for route in flattened(create_app(parts).routes)
                if route.path not in FRAMEWORK_ROUTES
                for method in sorted(route.methods or ())
            ]

    Catalog.prepare(data).close()
    return asyncio.run(read())


@pytest.fixture(scope="module")
def routes(tmp_path_factory: pytest.TempPathFactory) -> list[Ruled]:
    return _routes(tmp_path_factory.mktemp("rules")) + [Ruled(*one, WRITES) for one in WRITE_ROUTES]


def test_every_route_has_a_rule(routes: list[Ruled]) -> None:
    assert [str(one) for one in routes if not isinstance(one.rule, Rule)] == []


def test_a_route_below_a_project_is_that_projects_alone(routes: list[Ruled]) -> None:
    assert [str(one) for one in routes if one.rule.realm is Realm.PUBLIC and "{project" in one.path] == []


def expected(rule: Rule, held: set[Permission]) -> int | None:
    """The status of a refusal; None where the key is let in."""
    if rule.permissions & held:
        return None
    return 401 if rule.permissions == {Permission.MASTER} else 403


def check(served: Served, project: ServedProject, one: Ruled, key: str, held: set[Permission]) -> str | None:
    """What is wrong with the answer to this key, if anything is."""
    path = re.sub(r"\{[^}]+\}", "x", one.path.replace("{project_id}", project.id))
    body: object = {} if one.method in ("POST", "PUT", "PATCH") else None
    reply = served.request(one.method, path, body, key=key)
    wanted = expected(one.rule, held)
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


@pytest.mark.parametrize("kind", ["master", "write", "read"])
def test_a_projects_own_keys_do_what_they_may_and_nothing_else(
    served: Served, project: ServedProject, routes: list[Ruled], kind: str
) -> None:
    held = {"master": set(Permission), "write": {Permission.WRITES}, "read": READ_KEY}[kind]
    key: str = getattr(project, f"{kind}_key")
    served.record(project, "x", {"x": 1})
    wrong = [check(served, project, one, key, held) for one in ruled_by_project(routes)]
    assert [text for text in wrong if text] == []


def test_no_key_and_a_wrong_key_are_refused_and_an_unknown_project_comes_first(
    served: Served, project: ServedProject, routes: list[Ruled]
) -> None:
    other = served.new_project("Other")
    for one in ruled_by_project(routes):
        path = re.sub(r"\{[^}]+\}", "x", one.path.replace("{project_id}", project.id))
        for key in (None, "wrong", other.master_key):
            assert served.request(one.method, path, key=key).status == 401, str(one)
        elsewhere = path.replace(project.id, "0" * 24)
        assert served.request(one.method, elsewhere, key=project.master_key).status == 404, str(one)
