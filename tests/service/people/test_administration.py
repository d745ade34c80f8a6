"""Who may call what manages a project, and what each is told."""

from __future__ import annotations

from typing import Any

import pytest

from service.auth.principal import Permission
from service.people.links import make_invitation
from storage.catalog.people.records import Role
from tests.service.people.browsers import Browser, person
from tests.service.whole import Whole
from tests.support.embed import embed_token

RIGHTS = {"permitted": ["queries"]}
MASTERS: tuple[tuple[str, str, Any], ...] = (
    ("POST", "key-preview", RIGHTS),
    (
        "POST",
        "key-preview/answer",
        {**RIGHTS, "question": {"analysis_type": "count", "event_collection": "purchases"}},
    ),
    ("POST", "own-keys/renew", {"kinds": ["read"]}),
    ("GET", "erasures", None),
    ("GET", "erasures/1", None),
    ("GET", "files", None),
    ("GET", "files/list?event_collection=purchases", None),
    ("GET", "files/code?event_collection=purchases", None),
    ("GET", "usage", None),
)
"""Calls that take all rights."""
KEYS = ("GET", "own-keys", None)


@pytest.fixture
def owner(whole: Whole) -> Browser:
    whole.record(whole.project, "purchases", [{"price": 1}])
    whole.flush()
    whole.call(whole.project, "DELETE", "events/purchases", timeframe={"end": "2001-01-01T00:00:00Z"})
    return person(whole, "ann", owner=True)


def owner_elsewhere(whole: Whole) -> Browser:
    """An owner of another organisation."""
    other = whole.catalog.organisations.create("Elsewhere").id
    _, token = make_invitation(whole.catalog, other, whole.parts.clock(), is_owner=True)
    browser = Browser(whole)
    assert browser.join(token, "eve").status_code == 201
    return browser


def of_project(whole: Whole, path: str) -> str:
    return f"/3.0/projects/{whole.project.id}/{path}"


@pytest.mark.parametrize("call", [*MASTERS, KEYS], ids=lambda call: f"{call[0]} {call[1]}")
def test_each_is_for_those_who_own_the_project(
    whole: Whole, owner: Browser, call: tuple[str, str, Any]
) -> None:
    method, path, body = call
    address, project = of_project(whole, path), whole.project
    for refused, status in (
        (Browser(whole), 401),
        (person(whole, "vic", Role.VIEWER), 403),
        (person(whole, "dan"), 404),
        (owner_elsewhere(whole), 404),
    ):
        assert refused.send(method, address, body).status_code == status
    if call is not KEYS:
        assert person(whole, "edi", Role.EDITOR).send(method, address, body).status_code == 403
    made = whole.told(project, "POST", "keys", {"name": "k", "permitted": ["writes", "queries", "schema"]})
    for key in (project.read_key, project.write_key, made["key"], embed_token(made["key"])):
        reply = whole.call(project, method, path, body, key=key)
        assert (reply.status_code, reply.json()["error_code"]) == (401, "AdminOnlyEndpointError")
    assert person(whole, "own", Role.OWNER).send(method, address, body).status_code == 200
    assert owner.send(method, address, body).status_code == 200
    now = whole.catalog.projects.get(project.id)
    assert whole.call(project, method, path, body, key=now.master_key).status_code == 200


@pytest.mark.parametrize("call", [*MASTERS, KEYS], ids=lambda call: f"{call[0]} {call[1]}")
def test_a_page_of_another_site_reaches_none(
    whole: Whole, owner: Browser, call: tuple[str, str, Any]
) -> None:
    method, path, body = call
    other = {"sec-fetch-site": "cross-site", "origin": "https://evil.example"}
    reply = owner.send(method, of_project(whole, path), body, other)
    assert (reply.status_code, reply.json()["error_code"]) == (403, "CrossSiteError")


def test_owners_are_shown_all_keys_and_editors_the_write_key(whole: Whole, owner: Browser) -> None:
    project = whole.project
    assert owner.ask(project, "own-keys").json() == {
        "write_key": project.write_key,
        "read_key": project.read_key,
        "master_key": project.master_key,
    }
    edi = person(whole, "edi", Role.EDITOR)
    assert edi.ask(project, "own-keys").json() == {"write_key": project.write_key}


def test_who_looked_at_keys_is_noted_and_previews_are_not(whole: Whole, owner: Browser) -> None:
    edi = person(whole, "edi", Role.EDITOR)
    assert edi.ask(whole.project, "own-keys").status_code == 200
    assert owner.send("POST", of_project(whole, "key-preview"), RIGHTS).status_code == 200
    noted = whole.catalog.audit.page(whole.project.organisation_id, project_id=whole.project.id)
    assert (noted[0].actor_name, noted[0].action) == (
        "edi@example.com",
        "Show the project's own keys",
    )
    assert not any("would" in one.action for one in noted)


def test_a_renewed_key_ends_the_old_one(whole: Whole, owner: Browser) -> None:
    project = whole.project
    body = {"kinds": ["read", "write"]}
    reply = owner.send("POST", of_project(whole, "own-keys/renew"), body)
    assert reply.status_code == 200
    keys = reply.json()
    assert keys["master_key"] == project.master_key
    for kind in ("read_key", "write_key"):
        assert keys[kind] != getattr(project, kind)
    assert whole.call(project, "GET", "events", key=project.read_key).status_code == 401
    assert whole.call(project, "GET", "events", key=keys["read_key"]).status_code == 200
    noted = whole.catalog.audit.page(project.organisation_id)[0]
    assert (noted.action, noted.details) == ("Replace own keys of the project", {"kinds": ["read", "write"]})
    assert not {keys[kind] for kind in keys} & set(str(noted).replace("'", " ").split())


class TestServer:
    PATH = "/account/server"

    def test_it_is_for_owners_of_the_first_organisation(self, whole: Whole, owner: Browser) -> None:
        told = owner.send("GET", self.PATH)
        assert told.status_code == 200
        assert told.json()["state"] == "ready" and told.json()["disk_free_bytes"] > 0
        assert owner.send("GET", "/account").json()["operates"] is True
        for role in (Role.VIEWER, Role.EDITOR, Role.OWNER):
            ben = person(whole, f"ben-{role}", role)
            assert ben.send("GET", self.PATH).status_code == 403
            assert ben.send("GET", "/account").json()["operates"] is False
        assert Browser(whole).send("GET", self.PATH).status_code == 401

    def test_an_owner_of_another_organisation_learns_nothing(self, whole: Whole, owner: Browser) -> None:
        eve = owner_elsewhere(whole)
        assert eve.send("GET", self.PATH).status_code == 403

    def test_no_key_opens_it(self, whole: Whole, owner: Browser) -> None:
        for key in (whole.project.master_key, whole.project.read_key):
            assert whole.get(self.PATH, key=key).status_code == 401
        browser = Browser(whole)
        body = {"project_id": whole.project.id, "key": whole.project.master_key}
        assert browser.send("POST", "/account/sessions", body).status_code == 201
        assert browser.send("GET", self.PATH).status_code == 403


def test_a_session_of_the_master_key_manages_its_project(whole: Whole, owner: Browser) -> None:
    browser = Browser(whole)
    body = {"project_id": whole.project.id, "key": whole.project.master_key}
    browser.send("POST", "/account/sessions", body)
    assert browser.ask(whole.project, "files").status_code == 200
    assert {str(one) for one in Permission} == set(
        browser.send("GET", "/account").json()["projects"][0]["permissions"]
    )
