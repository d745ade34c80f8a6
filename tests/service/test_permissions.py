"""Every kind of key at every route: let in or refused as the route's rule says.

The routes come from the application, so that a new one without a rule, or with another way in, fails here.
"""

from __future__ import annotations

import re

import pytest

from service.auth import Permission
from service.rules import Realm, Rule
from tests.service.rule_table import READ_KEY, Ruled, check, ruled_by_project, ruled_routes
from tests.support.server import Served, ServedProject


@pytest.fixture(scope="module")
def routes(tmp_path_factory: pytest.TempPathFactory) -> list[Ruled]:
    return ruled_routes(tmp_path_factory.mktemp("rules"))


def test_every_route_has_a_rule(routes: list[Ruled]) -> None:
    assert [str(one) for one in routes if not isinstance(one.rule, Rule)] == []


def test_a_route_below_a_project_is_that_projects_alone(routes: list[Ruled]) -> None:
    assert [str(one) for one in routes if one.rule.realm is Realm.PUBLIC and "{project" in one.path] == []


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


def test_a_signed_address_opens_nothing_without_its_signature(
    served: Served, project: ServedProject, routes: list[Ruled]
) -> None:
    linked = [one for one in routes if one.rule.realm is Realm.LINK]
    assert linked
    for one in linked:
        path = re.sub(r"\{[^}]+\}", "x", one.path.replace("{project_id}", project.id))
        for key in (None, project.read_key, project.master_key):
            assert served.request(one.method, path, key=key).status == 403, str(one)
