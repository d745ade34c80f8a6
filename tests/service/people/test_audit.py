"""The audit log: who did what, by whichever way, and nothing secret in it."""

from __future__ import annotations

from typing import Any

import pytest

from storage.catalog.people.records import Role
from tests.service.people.browsers import PASSWORD, Browser, person
from tests.service.whole import Whole

SAVED = {"query": {"analysis_type": "count", "event_collection": "purchases"}, "refresh_rate": 0}


@pytest.fixture
def owner(whole: Whole) -> Browser:
    return person(whole, "ann", owner=True)


def log_of(whole: Whole, owner: Browser, **given: Any) -> list[dict[str, Any]]:
    query = "&".join(f"{name}={value}" for name, value in given.items())
    path = f"/account/organisations/{whole.project.organisation_id}/audit?{query}"
    found: list[dict[str, Any]] = owner.send("GET", path).json()
    return found


def newest(whole: Whole, owner: Browser) -> tuple[str, str, str, str | None, str]:
    entry = log_of(whole, owner, limit=1)[0]
    actor = entry["actor"]
    return actor["kind"], actor["name"], entry["action"], entry.get("project_id"), entry["object"]


def test_what_a_person_changes_is_told_with_their_name(whole: Whole, owner: Browser) -> None:
    cal = person(whole, "cal", Role.EDITOR)
    assert cal.send("PUT", f"/3.0/projects/{whole.project.id}/queries/saved/q", SAVED).status_code == 201
    who = ("person", "cal@example.com")
    assert newest(whole, owner) == (*who, "Make or replace a saved query", whole.project.id, "q")
    assert cal.send("DELETE", f"/3.0/projects/{whole.project.id}/queries/saved/q").status_code == 204
    assert newest(whole, owner) == (*who, "Delete a saved query", whole.project.id, "q")


def test_what_a_key_changes_is_told_without_the_key(whole: Whole, owner: Browser) -> None:
    key = whole.told(whole.project, "POST", "keys", {"name": "k", "permitted": ["queries"]})["key"]
    assert newest(whole, owner) == ("key", "master key", "Make an access key", whole.project.id, "")
    whole.told(whole.project, "POST", f"keys/{key}/revoke")
    made, revoked = reversed(log_of(whole, owner, limit=2))
    assert made["details"] == {"name": "k", "key": revoked["object"]}
    assert revoked["action"] == "Revoke an access key"
    everything = str(log_of(whole, owner, limit=1000))
    assert key not in everything and whole.project.master_key not in everything


def test_a_deletion_is_told_without_names_that_went_with_it(whole: Whole, owner: Browser) -> None:
    whole.record(whole.project, "private", [{"secret": 1, "n": 2}])
    assert whole.told(whole.project, "DELETE", "events/private/properties/secret") is None
    assert whole.told(whole.project, "DELETE", "events/private") is None
    told = log_of(whole, owner, limit=2)
    assert {entry["action"] for entry in told} == {"Delete events, or a whole collection"}
    assert [entry["details"] for entry in told] == [{"deleted": "a collection"}, {"deleted": "a property"}]
    assert {(entry["actor"]["kind"], entry["object"]) for entry in told} == {("key", "")}
    everything = str(log_of(whole, owner, limit=1000))
    assert "private" not in everything and "secret" not in everything


def test_what_is_refused_or_changes_nothing_is_not_told(whole: Whole, owner: Browser) -> None:
    ben = person(whole, "ben", Role.VIEWER)
    before = log_of(whole, owner)
    ben.send("PUT", f"/3.0/projects/{whole.project.id}/queries/saved/q", SAVED)
    ben.ask(whole.project, "queries/count?event_collection=purchases")
    whole.record(whole.project, "purchases", [{"price": 1}])
    whole.call(whole.project, "DELETE", "queries/saved/none")
    assert log_of(whole, owner) == before


def test_log_ins_are_told_and_refused_ones_too(whole: Whole, owner: Browser) -> None:
    Browser(whole).log_in("ann@example.com")
    assert newest(whole, owner)[:3] == ("person", "ann@example.com", "Log in")
    Browser(whole).log_in("ann@example.com", "wrong password")
    Browser(whole).log_in("nobody@example.com", "wrong password")
    whole.parts.catalog_executor.submit(int).result()
    while newest(whole, owner)[2] != "Log-in refused":
        # It is noted beside the answer.
        whole.parts.catalog_executor.submit(int).result()
    assert log_of(whole, owner)[0]["details"] == {"address": "127.0.0.1"}
    assert "nobody" not in str(log_of(whole, owner))


def test_the_management_of_people_is_told(whole: Whole, owner: Browser) -> None:
    ben = person(whole, "ben", Role.VIEWER)
    base = f"/account/organisations/{whole.project.organisation_id}"
    invitation = owner.send("POST", f"{base}/invitations", {"email": "x@example.com"}).json()
    entry = log_of(whole, owner)[0]
    assert entry["action"] == "Invite somebody"
    assert entry["details"]["email"] == "x@example.com"
    assert invitation["link"].partition("#")[2] not in str(entry)
    owner.send("PUT", f"{base}/people/{ben.id}", {"roles": {whole.project.id: "editor"}, "owner": False})
    entry = log_of(whole, owner)[0]
    assert entry["details"] == {"roles": {whole.project.id: "editor"}, "owner": False}
    ben.send("PUT", "/account/password", {"old": PASSWORD, "new": PASSWORD + "!"})
    assert newest(whole, owner)[1:3] == ("ben@example.com", "Change one's password")
    assert PASSWORD not in str(log_of(whole, owner))
    ben_id = ben.id
    owner.send("DELETE", f"{base}/people/{ben_id}")
    assert newest(whole, owner)[2:] == ("Remove a person from the organisation", None, ben_id)


def test_the_organisations_own_key_is_told(whole: Whole, owner: Browser) -> None:
    [organisation] = whole.catalog.organisations.all()
    path = f"/3.0/organizations/{organisation.id}/projects"
    made = whole.send("POST", path, {"name": "New"}, {"authorization": organisation.key}).json()
    entry = log_of(whole, owner)[0]
    assert (entry["actor"]["kind"], entry["actor"]["name"]) == ("key", "organisation key")
    assert entry["details"] == {"name": "New", "project": made["id"]}
    whole.send("DELETE", f"{path}/{made['id']}", headers={"authorization": organisation.key})
    assert newest(whole, owner)[2:4] == ("Delete a project", made["id"])
    assert organisation.key not in str(log_of(whole, owner))


def test_it_is_read_page_by_page_and_by_project(whole: Whole, owner: Browser) -> None:
    for name in ("a", "b", "c"):
        whole.told(whole.project, "PUT", f"queries/saved/{name}", SAVED)
    page = log_of(whole, owner, limit=2)
    assert [entry["object"] for entry in page] == ["c", "b"]
    assert log_of(whole, owner, limit=1, before=page[-1]["id"])[0]["object"] == "a"
    assert {entry["project_id"] for entry in log_of(whole, owner, project_id=whole.project.id)} == {
        whole.project.id
    }
    assert log_of(whole, owner, project_id="none") == []
    path = f"/account/organisations/{whole.project.organisation_id}/audit"
    for wrong in ("limit=0", "limit=1001", "before=x"):
        assert owner.send("GET", f"{path}?{wrong}").status_code == 400
