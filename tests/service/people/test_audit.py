"""The audit log: who did what, by whichever way, and nothing secret in it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from service.http.routes.erasure import NOTED_MAX
from storage.catalog.people.records import Role
from tests.service.people.browsers import PAGE, PASSWORD, Browser, person
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


def asked(owner: Browser, whole: Whole, method: str, path: str, body: Any = None, **query: Any) -> None:
    """A change of events, asked for by a person."""
    session = {**PAGE, "cookie": f"{owner.cookie_name}={owner.cookie}", "content-type": "application/json"}
    reply = whole.call(whole.project, method, path, body, key="session", headers=session, **query)
    assert reply.status_code in (200, 204), reply.text


def test_who_deleted_what_and_when_is_told(whole: Whole, owner: Browser) -> None:
    """Filters are told by property and operator: their values may be what was to be forgotten."""
    ben = {"user": {"mail": "ben@example.org"}, "keen": {"timestamp": "2026-01-02T03:00:00Z"}}
    whole.record(whole.project, "logins", [ben, {"user": {"mail": "cy@example.org"}}, {"n": 1}])
    filters = [
        {"property_name": "user.mail", "operator": "eq", "property_value": "ben@example.org"},
        {
            "operator": "or",
            "operands": [
                {"property_name": "n", "operator": "gt", "property_value": 9876543210},
                {"property_name": "user.mail", "operator": "contains", "property_value": "example.org"},
            ],
        },
    ]
    timeframe = {"start": "2026-01-01T00:00:00Z", "end": "2026-02-01T00:00:00Z"}
    asked(owner, whole, "DELETE", "events/logins", filters=filters, timeframe=timeframe)
    entry = log_of(whole, owner, limit=1)[0]
    assert entry["actor"]["name"] == "ann@example.com" and entry["at"] and entry["object"] == ""
    assert entry["action"] == "Delete events"
    assert entry["details"].pop("erasure") > 0
    assert entry["details"] == {
        "deleted": "some events",
        "event_collection": "logins",
        "filters": 2,
        "filtered_by": [
            {"property_name": "user.mail", "operator": "eq"},
            {"property_name": "n", "operator": "gt"},
            {"property_name": "user.mail", "operator": "contains"},
        ],
        "start": "2026-01-01T00:00:00.000000+00:00",
        "end": "2026-02-01T00:00:00.000000+00:00",
        "events": 1,
    }
    everything = str(log_of(whole, owner, limit=1000))
    assert "example.org" not in everything and "9876543210" not in everything


def test_a_property_and_a_collection_that_were_deleted_are_named(whole: Whole, owner: Browser) -> None:
    whole.record(whole.project, "logins", [{"secret": 1, "n": 2}, {"n": 3}])
    asked(owner, whole, "DELETE", "events/logins/properties/secret")
    asked(owner, whole, "DELETE", "events/logins")
    entries = log_of(whole, owner, limit=2)
    assert entries[0]["action"] == "Delete a collection"
    found = [entry["details"] for entry in entries]
    assert all(details.pop("erasure") for details in found)
    assert found == [
        {"deleted": "a collection", "event_collection": "logins", "events": 2},
        {"deleted": "a property", "event_collection": "logins", "properties": ["secret"]},
    ]


def test_an_import_is_told_with_the_name_of_its_file(whole: Whole, owner: Browser) -> None:
    job = whole.told(whole.project, "POST", "imports", b"a,b\n1,2\n", name="orders.csv")
    whole.told(whole.project, "POST", f"imports/{job['id']}/start", {"event_collection": "orders"})
    assert whole.call(whole.project, "DELETE", f"imports/{job['id']}").status_code == 204
    deleted, started = log_of(whole, owner, limit=2)
    assert (started["action"], started["details"]) == ("Start an import", {"file": "orders.csv"})
    assert deleted["details"] == {"file": "orders.csv"}


def test_a_change_of_events_is_told_without_its_values(whole: Whole, owner: Browser) -> None:
    whole.record(whole.project, "logins", [{"plan": "gold"}, {"plan": "lead"}])
    update = {"property_name": "plan", "property_value": "silver", "upsert_property": True}
    only = [{"property_name": "plan", "operator": "eq", "property_value": "gold"}]
    asked(owner, whole, "PUT", "events/logins", {"property_updates": [update], "filters": only})
    entry = log_of(whole, owner, limit=1)[0]
    assert entry["action"] == "Change properties of events" and entry["details"].pop("erasure")
    assert entry["details"] == {
        "event_collection": "logins",
        "filters": 1,
        "filtered_by": [{"property_name": "plan", "operator": "eq"}],
        "changed": "some events",
        "properties": ["plan"],
        "events": 1,
    }
    assert "silver" not in str(entry) and "gold" not in str(entry)


def test_one_that_goes_on_is_told_before_its_end(tmp_path: Path) -> None:
    whole = Whole(tmp_path / "data", erase_seconds=1e-6)
    try:
        owner = person(whole, "ann", owner=True)
        whole.record(whole.project, "logins", [{"n": 1}])
        reply = owner.send("DELETE", f"/3.0/projects/{whole.project.id}/events/logins")
        assert reply.status_code == 504
        details = log_of(whole, owner, limit=1)[0]["details"]
        assert details.pop("erasure") and details == {"deleted": "a collection", "event_collection": "logins"}
    finally:
        whole.close()


def test_names_in_the_log_are_few_and_short(whole: Whole, owner: Browser) -> None:
    names = [f"p{number:03}" for number in range(30)]
    whole.record(whole.project, "wide", [dict.fromkeys(names, 1)])
    only = [{"property_name": name, "operator": "exists", "property_value": True} for name in names]
    asked(owner, whole, "DELETE", "events/wide", filters=only)
    details = log_of(whole, owner, limit=1)[0]["details"]
    assert details["filters"] == 30 and len(details["filtered_by"]) == NOTED_MAX


def test_retention_is_told_with_its_days(whole: Whole, owner: Browser) -> None:
    whole.record(whole.project, "logins", [{"n": 1}])
    asked(owner, whole, "PUT", "retention/logins", {"days": 400})
    asked(owner, whole, "DELETE", "retention/logins")
    ended, began = (entry["details"] for entry in log_of(whole, owner, limit=2))
    assert (began, ended) == ({"event_collection": "logins", "days": 400}, {"event_collection": "logins"})


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
