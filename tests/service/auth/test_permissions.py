"""Every kind of key at every route: let in or refused as the route's rule says.

The routes come from the application, so that a new one without a rule, or with another way in, fails here.
"""

from __future__ import annotations

import json
import os
import re
import time
from typing import Any

import pytest
from keen import scoped_keys

from service.auth.access_keys import PERMITTED
from service.auth.principal import Permission
from service.http.authorization import Realm, Rule
from tests.service.rule_table import READ_KEY, Ruled, check, ruled_by_project, ruled_routes
from tests.support.server import TAKES_SCOPED_KEYS, Served, ServedProject


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


@pytest.mark.parametrize("length", [64, 32])
def test_a_scoped_key_of_either_form_does_what_its_operations_say(
    served: Served, routes: list[Ruled], length: int
) -> None:
    project = served.new_project(master_key=os.urandom(length // 2).hex(), preferences=TAKES_SCOPED_KEYS)
    served.record(project, "x", {"x": 1})
    both = READ_KEY | {Permission.WRITES}
    wrong = []
    for operations, held in (
        (["read"], READ_KEY),
        (["write"], {Permission.WRITES}),
        (["read", "write"], both),
    ):
        key = scoped(project.master_key, operations)
        wrong += [check(served, project, one, key, held) for one in ruled_by_project(routes)]
    assert [text for text in wrong if text] == []


def test_keys_that_are_no_more_or_of_others_open_nothing(served: Served, routes: list[Ruled]) -> None:
    organisation = made_organisation(served, "Of it")
    other = served.new_project("Other", preferences=TAKES_SCOPED_KEYS)
    project, gone = (made_project(served, organisation, name) for name in ("Here", "Gone"))
    keys = {
        "revoked": access_key(served, project, "POST", "/revoke"),
        "deleted": access_key(served, project, "DELETE"),
        "its organisation's": organisation["key"],
        "another project's": access_key(served, other),
        "another project's, scoped": scoped(other.master_key, ["read", "write"]),
        "a deleted project's": access_key(served, gone),
        "a deleted project's master": gone.master_key,
    }
    path = f"/3.0/organizations/{organisation['id']}/projects/{gone.id}"
    assert served.request("DELETE", path, key=organisation["key"]).status == 204
    await_refused(served, project, *keys.values())
    await_refused(served, gone, gone.master_key)
    wrong = []
    for one in ruled_by_project(routes):
        path = re.sub(r"\{[^}]+\}", "x", one.path.replace("{project_id}", project.id))
        for kind, key in keys.items():
            if (status := served.request(one.method, path, key=key).status) != 401:
                wrong.append(f"{one}: {status} with a key that is {kind}")
        path = path.replace(project.id, gone.id)
        if (status := served.request(one.method, path, key=gone.master_key).status) != 404:
            wrong.append(f"{one}: {status} in a deleted project")
    assert wrong == []


def test_an_organisations_routes_are_for_its_own_key_alone(
    served: Served, project: ServedProject, routes: list[Ruled]
) -> None:
    organisation, other = (made_organisation(served, name) for name in ("A", "B"))
    keys = [project.master_key, project.read_key, access_key(served, project), other["key"], "wrong", None]
    mine = [one for one in routes if one.rule.realm is Realm.ORGANISATION]
    assert mine
    for one in mine:
        path = re.sub(r"\{[^}]+\}", "x", re.sub(r"\{organi[sz]ation_id\}", organisation["id"], one.path))
        for key in keys:
            assert served.request(one.method, path, key=key).status == 401, str(one)
        assert served.request(one.method, path, key=organisation["key"]).status not in (401, 403), str(one)


def scoped(master: str, operations: list[str]) -> str:
    made: Any = scoped_keys.encrypt(master, {"allowed_operations": operations, "filters": []})
    return made.decode() if isinstance(made, bytes) else str(made)


def access_key(served: Served, project: ServedProject, then: str | None = None, path: str = "") -> str:
    """One that may do all that an access key can; ``then`` is the method of what is done to it."""
    base = f"/3.0/projects/{project.id}/keys"
    body = {"name": "k", "permitted": list(PERMITTED), "options": {}}
    made: str = served.request("POST", base, body, key=project.master_key).json["key"]
    if then is not None:
        reply = served.request(then, f"{base}/{made}{path}", key=project.master_key)
        assert reply.status in (200, 204)
    return made


def made_organisation(served: Served, name: str) -> dict[str, str]:
    """Its id and key, once the server knows it."""
    made: dict[str, str] = json.loads(served.told("orgs", "create", name).stdout)
    deadline = time.monotonic() + 120
    while served.request("GET", f"/3.0/organizations/{made['id']}/projects", key=made["key"]).status != 200:
        assert time.monotonic() < deadline
        time.sleep(0.05)
    return made


def await_refused(served: Served, project: ServedProject, *keys: str) -> None:
    """Return once the server has looked whether the keys are still good."""
    deadline = time.monotonic() + 120
    for key in keys:
        while served.request("GET", f"/3.0/projects/{project.id}", key=key).status not in (401, 404):
            assert time.monotonic() < deadline
            time.sleep(0.02)


def made_project(served: Served, organisation: dict[str, str], name: str) -> ServedProject:
    path = f"/3.0/organizations/{organisation['id']}/projects"
    made = served.request("POST", path, {"name": name, "users": []}, key=organisation["key"]).json
    keys = made["apiKeys"]
    project = ServedProject(made["id"], name, keys["masterKey"], keys["writeKey"], keys["readKey"])
    served.await_project(project)
    return project


def test_a_signed_address_opens_nothing_without_its_signature(
    served: Served, project: ServedProject, routes: list[Ruled]
) -> None:
    linked = [one for one in routes if one.rule.realm is Realm.LINK]
    assert linked
    for one in linked:
        path = re.sub(r"\{[^}]+\}", "x", one.path.replace("{project_id}", project.id))
        for key in (None, project.read_key, project.master_key):
            assert served.request(one.method, path, key=key).status == 403, str(one)
