"""The organisation API for owners with a session: what they may, what others may not, and what is noted."""

from __future__ import annotations

from typing import Any, ClassVar

import pytest

from service.people.accounts import ATTEMPTS_PER_ACCOUNT
from storage.catalog.people.records import Role
from tests.service.people.browsers import Browser, person
from tests.service.people.test_administration import owner_elsewhere
from tests.service.whole import Whole
from tests.support.embed import embed_token

DAY_US = 86_400_000_000


def address(whole: Whole, path: str) -> str:
    return f"/3.0/organizations/{whole.project.organisation_id}/{path}"


def calls(whole: Whole) -> list[tuple[str, str, Any]]:
    return [
        ("GET", "projects", None),
        ("POST", "projects", {"name": "Made"}),
        ("GET", "usage", None),
        ("GET", f"projects/{whole.project.id}", None),
        ("POST", f"projects/{whole.project.id}", {"name": "Renamed"}),
        ("GET", "deleted-projects", None),
        ("DELETE", f"projects/{whole.project.id}", None),
        ("POST", f"deleted-projects/{whole.project.id}/restore", None),
    ]


@pytest.fixture
def owner(whole: Whole) -> Browser:
    return person(whole, "ann", owner=True)


def test_owners_do_what_the_organisations_key_does(whole: Whole, owner: Browser) -> None:
    for method, path, body in calls(whole):
        assert owner.send(method, address(whole, path), body).status_code in (200, 204), (method, path)
    key = next(one.key for one in whole.catalog.organisations.all())
    by_key = whole.get(address(whole, "projects"), key=key).json()
    assert owner.send("GET", address(whole, "projects")).json() == by_key


def test_nobody_else_reaches_it(whole: Whole, owner: Browser) -> None:
    project = whole.project
    made = whole.told(project, "POST", "keys", {"name": "k", "permitted": ["queries", "writes"]})["key"]
    others = [
        (Browser(whole), {401}),
        (person(whole, "vic", Role.VIEWER), {403}),
        (person(whole, "edi", Role.EDITOR), {403}),
        (person(whole, "own", Role.OWNER), {403}),
        (owner_elsewhere(whole), {404}),
    ]
    for method, path, body in calls(whole):
        for browser, statuses in others:
            assert browser.send(method, address(whole, path), body).status_code in statuses, (method, path)
        for key in (project.master_key, project.read_key, project.write_key, made, embed_token(made)):
            sent = {"authorization": key, "content-type": "application/json"}
            assert whole.send(method, address(whole, path), body, sent).status_code == 401, (method, path)
    assert whole.catalog.projects.get(project.id).name == project.name


def test_an_organisation_of_others_is_as_unknown_as_one_that_is_not_there(
    whole: Whole, owner: Browser
) -> None:
    other = whole.catalog.organisations.create("Elsewhere").id
    there, absent = (owner.send("GET", f"/3.0/organizations/{one}/projects") for one in (other, "0" * 24))
    assert there.status_code == absent.status_code == 404
    assert there.text.replace(other, "0" * 24) == absent.text


def test_a_page_of_another_site_changes_nothing(whole: Whole, owner: Browser) -> None:
    other = {"sec-fetch-site": "cross-site", "origin": "https://evil.example"}
    for method, path, body in calls(whole):
        reply = owner.send(method, address(whole, path), body, other)
        assert (reply.status_code, reply.json()["error_code"]) == (403, "CrossSiteError")


def test_the_audit_log_names_the_person(whole: Whole, owner: Browser) -> None:
    owner.send("POST", address(whole, "projects"), {"name": "Made"})
    owner.send("DELETE", address(whole, f"projects/{whole.project.id}"))
    owner.send("POST", address(whole, f"deleted-projects/{whole.project.id}/restore"))
    noted = whole.catalog.audit.page(whole.project.organisation_id, limit=3)
    assert [(one.actor_name, one.action, one.project_id) for one in reversed(noted)] == [
        ("ann@example.com", "Make a project", None),
        ("ann@example.com", "Delete a project", whole.project.id),
        ("ann@example.com", "Restore a deleted project", whole.project.id),
    ]


class TestDeletedProjects:
    def test_one_comes_back_with_keys_and_events(self, whole: Whole, owner: Browser) -> None:
        whole.record(whole.project, "c", [{"n": 1}])
        owner.send("DELETE", address(whole, f"projects/{whole.project.id}"))
        [listed] = owner.send("GET", address(whole, "deleted-projects")).json()
        assert (listed["id"], listed["name"]) == (whole.project.id, whole.project.name)
        assert listed["deleted_at"] < listed["restorable_until"]
        assert owner.send("GET", "/account").json()["projects"] == []
        restored = owner.send("POST", address(whole, f"deleted-projects/{whole.project.id}/restore")).json()
        assert restored["apiKeys"]["masterKey"] == whole.project.master_key
        assert whole.told(whole.project, "POST", "queries/count", {"event_collection": "c"})["result"] == 1
        assert owner.send("GET", address(whole, "deleted-projects")).json() == []

    def test_one_whose_purge_has_begun_stays_gone(self, whole: Whole, owner: Browser) -> None:
        owner.send("DELETE", address(whole, f"projects/{whole.project.id}"))
        [deleted] = whole.catalog.projects.deleted()
        assert whole.catalog.projects.begin_purge(deleted)
        path = address(whole, f"deleted-projects/{whole.project.id}/restore")
        assert owner.send("POST", path).status_code == 404

    def test_one_of_another_organisation_is_not_theirs(self, whole: Whole, owner: Browser) -> None:
        other = whole.catalog.organisations.create("Elsewhere").id
        there = whole.catalog.projects.create("There", organisation_id=other)
        whole.catalog.projects.delete(there.id)
        assert owner.send("GET", address(whole, "deleted-projects")).json() == []
        path = address(whole, f"deleted-projects/{there.id}/restore")
        assert owner.send("POST", path).status_code == 404


class TestProjectFacts:
    def test_readers_are_told_preferences_of_questions_alone(self, whole: Whole, owner: Browser) -> None:
        preferences = {"round": 2, "quotas": {"events_per_day": 5}, "colour": "red"}
        owner.send("POST", address(whole, f"projects/{whole.project.id}"), {"preferences": preferences})
        vic = person(whole, "vic", Role.VIEWER)
        assert vic.ask(whole.project, "preferences").json() == {
            "round": 2,
            "week_start": None,
            "actor_property": None,
            "defaults": {"round": None, "week_start": "sunday"},
        }
        reply = whole.call(whole.project, "GET", "preferences", key=whole.project.write_key)
        assert reply.status_code == 403

    def test_the_audit_log_of_a_project_is_for_its_owners(self, whole: Whole, owner: Browser) -> None:
        dan = person(whole, "dan", Role.OWNER)
        for browser, body in ((owner, {"name": "a"}), (dan, {"name": "b"})):
            path = f"/3.0/projects/{whole.project.id}/keys"
            assert browser.send("POST", path, {**body, "permitted": ["queries"]}).status_code == 201
        whole.told(whole.new_project(), "POST", "keys", {"name": "elsewhere", "permitted": ["queries"]})
        noted = dan.ask(whole.project, "audit").json()
        assert [(one["actor"]["name"], one["details"]["name"]) for one in noted] == [
            ("dan@example.com", "b"),
            ("ann@example.com", "a"),
        ]
        for query, names in (
            (f"actor={dan.id}", ["b"]),
            ("actor=ann@example.com", ["a"]),
            ("kind=key", []),
            ("kind=person&limit=1", ["b"]),
            (f"before={noted[0]['id']}", ["a"]),
        ):
            found = dan.ask(whole.project, f"audit?{query}").json()
            assert [one["details"]["name"] for one in found] == names
        for role, status in ((Role.VIEWER, 403), (Role.EDITOR, 403), (None, 404)):
            assert person(whole, f"p-{role}", role).ask(whole.project, "audit").status_code == status
        assert whole.call(whole.project, "GET", "audit", key=whole.project.read_key).status_code == 401


class TestOwnAccount:
    BODY: ClassVar = {"name": "Anna", "email": "Anna@Example.com", "password": "correct horse battery"}

    def test_name_and_address_change_with_the_password(self, whole: Whole, owner: Browser) -> None:
        wrong = owner.send("PUT", "/account", {**self.BODY, "password": "another one"})
        assert (wrong.status_code, wrong.json()["error_code"]) == (401, "WrongLoginError")
        reply = owner.send("PUT", "/account", self.BODY)
        assert reply.status_code == 200
        assert reply.json()["person"] | {"id": ""} == {
            "id": "",
            "email": "anna@example.com",
            "name": "Anna",
            "two_factor": False,
            "password": True,
        }
        assert owner.send("GET", "/account").json()["person"]["email"] == "anna@example.com"
        assert Browser(whole).log_in("anna@example.com").status_code == 201
        assert Browser(whole).log_in("ann@example.com").status_code == 401
        noted = whole.catalog.audit.page(whole.project.organisation_id)
        entry = next(one for one in noted if one.action == "Change one's name and e-mail address")
        assert entry.actor_name == "ann@example.com"
        assert entry.details == {"name": "Anna", "email": "anna@example.com"}

    def test_the_address_of_another_person_is_refused(self, whole: Whole, owner: Browser) -> None:
        person(whole, "ben")
        reply = owner.send("PUT", "/account", {**self.BODY, "email": "ben@example.com"})
        assert (reply.status_code, reply.json()["message"]) == (
            409,
            "There already is a person with the address ben@example.com.",
        )
        for fault in ({"email": "nobody"}, {"name": " "}):
            assert owner.send("PUT", "/account", {**self.BODY, **fault}).status_code == 400
        assert owner.send("GET", "/account").json()["person"]["name"] == "Ann"

    def test_nobody_tries_out_whose_addresses_are_known(self, whole: Whole, owner: Browser) -> None:
        person(whole, "ben")
        taken = {**self.BODY, "email": "ben@example.com"}
        statuses = [owner.send("PUT", "/account", taken).status_code for _ in range(ATTEMPTS_PER_ACCOUNT + 1)]
        assert statuses == [409] * ATTEMPTS_PER_ACCOUNT + [429]
        assert Browser(whole).log_in("ann@example.com").status_code == 201, "to log in is not held up"

    def test_who_joins_is_named_in_the_audit_log(self, whole: Whole, owner: Browser) -> None:
        person(whole, "ben", Role.VIEWER)
        noted = whole.catalog.audit.page(whole.project.organisation_id)
        joined = next(one for one in noted if one.action == "Join")
        assert (joined.actor_name, joined.object) == ("ben@example.com", "Ben")
