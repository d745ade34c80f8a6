"""The organisation API and its shell: projects made, changed, deleted, brought back and purged."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest

from storage.catalog.catalog import Catalog
from storage.catalog.errors import UnknownProject
from tests.support.server import Reply, Served, ServedProject


class Organisation:
    def __init__(self, served: Served, name: str = "Org") -> None:
        self.served = served
        made = json.loads(served.told("orgs", "create", name).stdout)
        self.id, self.key = made["id"], made["key"]

    def call(self, method: str, path: str = "", body: Any = None, key: str | None = None) -> Reply:
        base = f"/3.0/organizations/{self.id}/projects"
        return self.served.request(method, base + path, body, key=key or self.key)


@pytest.fixture(scope="module")
def hasty() -> Iterator[Served]:
    """Events come to files soon, what is deleted is purged at once, and what is purged goes from the disk."""
    seconds = {"GRACE": "0.5", "QUERY_TIMEOUT": "0.5", "FLUSH": "0.3"}
    env = {f"ACUMEN_{name}_SECONDS": value for name, value in seconds.items()}
    with Served(env=env | {"ACUMEN_PURGE_DAYS": "0"}) as server:
        yield server


@pytest.fixture(scope="module")
def org(served: Served) -> Organisation:
    found = Organisation(served)
    deadline = time.monotonic() + 120
    while found.call("GET").status == 404 and time.monotonic() < deadline:
        time.sleep(0.05)
    return found


def count(served: Served, made: dict[str, Any]) -> Reply:
    path = f"/3.0/projects/{made['id']}/queries/count?event_collection=c"
    return served.request("GET", path, key=made["apiKeys"]["readKey"])


def answered(call: Any, status: int) -> Reply:
    """The reply, once it has the status."""
    deadline = time.monotonic() + 120
    while True:
        reply: Reply = call()
        if reply.status == status or time.monotonic() > deadline:
            return reply
        time.sleep(0.02)


def test_a_project_is_made_changed_and_listed(served: Served, org: Organisation) -> None:
    sent = {"name": "Shop", "users": [{"email": "ann@example.com"}], "preferences": {"s3_bucket_name": "b"}}
    made = org.call("POST", body=sent)
    assert made.status == 200
    keys = made.json["apiKeys"]
    assert made.json == sent | {"id": made.json["id"], "apiKeys": keys}
    assert set(keys) == {"writeKey", "readKey", "masterKey"}
    path = f"/{made.json['id']}"
    assert org.call("GET", path).json == made.json
    assert made.json in org.call("GET").json
    assert answered(lambda: count(served, made.json), 200).json["result"] == 0

    twin = org.call("POST", body={"name": "Shop"})
    assert (twin.status, "Duplicate" in twin.json["message"]) == (409, True)
    other = org.call("POST", body={"name": "Other"}).json
    assert (other["users"], other["preferences"]) == ([], {})
    assert org.call("POST", f"/{other['id']}", {"name": "Shop"}).status == 409
    changed = org.call("POST", path, {"users": [{"email": "bob@example.com"}]})
    assert changed.json == made.json | {"users": [{"email": "bob@example.com"}]}
    assert org.call("POST", path, {"name": "Shop"}).status == 200
    assert org.call("PUT", path, {"name": "Store"}).json["name"] == "Store"


def test_only_the_organisations_own_key_opens_it(
    served: Served, org: Organisation, project: ServedProject
) -> None:
    for key in (project.master_key, project.read_key, "x"):
        assert org.call("GET", key=key).status == 401
    assert served.request("GET", f"/3.0/organizations/{org.id}/projects").status == 401
    unknown = served.request("GET", "/3.0/organizations/nobody/projects", key=org.key)
    assert (unknown.status, unknown.json["error_code"]) == (404, "ResourceNotFoundError")
    assert org.call("GET", f"/{project.id}").status == 404
    assert org.call("DELETE", f"/{project.id}").status == 404
    path = f"/3.0/projects/{project.id}/queries/count?event_collection=c"
    assert served.request("GET", path, key=org.key).status == 401


def test_a_deleted_project_is_dead_at_once_and_can_be_restored(served: Served, org: Organisation) -> None:
    made = org.call("POST", body={"name": "Short-lived"}).json
    write = f"/3.0/projects/{made['id']}/events/c"
    key = made["apiKeys"]["writeKey"]
    assert answered(lambda: served.request("POST", write, {"a": 1}, key=key), 201).status == 201
    assert org.call("DELETE", f"/{made['id']}").status == 204
    assert answered(lambda: served.request("POST", write, {"a": 1}, key=key), 404).status == 404
    assert answered(lambda: count(served, made), 404).status == 404
    assert org.call("GET", f"/{made['id']}").status == 404
    assert org.call("POST", body={"name": "Short-lived"}).status == 200
    restored = json.loads(served.told("projects", "restore", made["id"]).stdout)
    assert restored["master_key"] == made["apiKeys"]["masterKey"]
    assert answered(lambda: count(served, made), 200).json["result"] >= 1


def test_of_many_who_make_a_project_of_one_name_at_once_one_does(org: Organisation) -> None:
    with ThreadPoolExecutor(8) as threads:
        made = list(threads.map(lambda _: org.call("POST", body={"name": "Only one"}).status, range(24)))
    assert (made.count(200), made.count(409)) == (1, 23)
    assert [one["name"] for one in org.call("GET").json].count("Only one") == 1


def test_usage_is_told_by_project_and_in_all(hasty: Served) -> None:
    """Of the organisation alone whose key asks; events count once they stand in files."""
    org = Organisation(hasty, "Users")
    other = json.loads(hasty.told("projects", "create", "Other", "--org", org.id).stdout)
    made = json.loads(hasty.told("projects", "create", "Used", "--org", org.id).stdout)
    write = f"/3.0/projects/{made['id']}/events/c"
    assert answered(lambda: hasty.request("POST", write, {"a": 1}, key=made["write_key"]), 201).status == 201
    path = f"/3.0/organizations/{org.id}/usage"
    deadline = time.monotonic() + 120
    while (told := hasty.request("GET", path, key=org.key).json)["events"] == 0:
        assert time.monotonic() < deadline
        time.sleep(0.05)
    assert {(one["id"], one["events"], one["collections"]) for one in told["projects"]} == {
        (made["id"], 1, 1),
        (other["id"], 0, 0),
    }
    assert told["bytes"] == sum(one["bytes"] for one in told["projects"]) > 0
    assert (told["collections"], told["cached_queries"], told["cached_datasets"]) == (1, 0, 0)
    # What its workers were busy with is written down a little later.
    while json.loads(hasty.told("orgs", "usage", org.id).stdout) != [
        {"id": org.id, "name": "Users", "projects": hasty.request("GET", path, key=org.key).json["projects"]}
    ]:
        assert time.monotonic() < deadline
        time.sleep(0.05)


def test_organisations_are_changed_and_ended_from_a_shell(served: Served) -> None:
    org = Organisation(served, "Changing")
    made = json.loads(served.told("projects", "create", "Its own", "--org", org.id).stdout)
    shown = json.loads(served.told("orgs", "update", org.id, "--name", "Changed").stdout)
    assert shown == {
        "id": org.id,
        "name": "Changed",
        "key": org.key,
        "projects": [{"id": made["id"], "name": "Its own"}],
    }
    old, org.key = org.key, json.loads(served.told("orgs", "rekey", org.id).stdout)["key"]
    assert answered(lambda: org.call("GET"), 200).status == 200
    assert org.call("GET", key=old).status == 401
    refused = served.told("orgs", "delete", org.id)
    assert (refused.returncode, "--with-projects" in refused.stderr) == (1, True)
    assert org.call("GET").status == 200
    served.told("orgs", "delete", org.id, "--with-projects")
    assert answered(lambda: org.call("GET"), 404).status == 404
    path = f"/3.0/projects/{made['id']}/queries/count?event_collection=c"
    assert served.request("GET", path, key=made["read_key"]).status == 404
    refused = served.told("projects", "restore", made["id"])
    assert (refused.returncode, "is deleted" in refused.stderr) == (1, True)


def test_a_project_is_changed_from_a_shell_as_over_http(served: Served, org: Organisation) -> None:
    given = ["--user", "ann@example.com", "--preferences", '{"s3_bucket_name": "b"}']
    made = json.loads(served.told("projects", "create", "By shell", "--org", org.id, *given).stdout)
    path = f"/{made['id']}"
    shown = answered(lambda: org.call("GET", path), 200).json
    assert shown["users"] == [{"email": "ann@example.com"}]
    assert shown["preferences"] == {"s3_bucket_name": "b"}
    assert served.told("projects", "update", made["id"], "--user", "", "--name", "Other").returncode == 0
    changed = org.call("GET", path).json
    assert changed == shown | {"users": [], "name": "Other"}
    for wrong in (["--user", "nobody"], ["--preferences", "{"], ["--preferences", "[]"]):
        refused = served.told("projects", "update", made["id"], *wrong)
        assert (refused.returncode, len(refused.stderr.splitlines())) == (1, 1)


def test_new_keys_end_the_old_ones(served: Served, org: Organisation) -> None:
    made = json.loads(served.told("projects", "create", "Leaked", "--org", org.id).stdout)
    renewed = json.loads(served.told("projects", "rekey", made["id"], "--read-key").stdout)
    assert renewed["read_key"] != made["read_key"]
    assert (renewed["master_key"], renewed["write_key"]) == (made["master_key"], made["write_key"])
    path = f"/3.0/projects/{made['id']}/queries/count?event_collection=c"
    assert answered(lambda: served.request("GET", path, key=renewed["read_key"]), 200).status == 200
    assert answered(lambda: served.request("GET", path, key=made["read_key"]), 401).status == 401


def nested(depth: int) -> dict[str, Any]:
    value: dict[str, Any] = {}
    for _ in range(depth):
        value = {"a": value}
    return value


@pytest.mark.parametrize(
    ("body", "named"),
    [
        ([], "body"),
        ({}, "name"),
        ({"name": 5}, "name"),
        ({"name": " "}, "name"),
        ({"name": "x" * 257}, "name"),
        ({"name": "\ud800"}, "name"),
        ({"name": "n", "users": {}}, "users"),
        ({"name": "n", "users": ["a@b"]}, "users[0]"),
        ({"name": "n", "users": [{"email": "nobody"}]}, "users[0]"),
        ({"name": "n", "users": [{"email": "a b@c"}]}, "users[0]"),
        ({"name": "n", "preferences": []}, "preferences"),
        ({"name": "n", "preferences": {"a": "x" * 70_000}}, "preferences"),
        ({"name": "n", "preferences": {"a": "\ud800"}}, "preferences"),
        ({"name": "n", "preferences": {"\ud800": 1}}, "preferences"),
        ({"name": "n", "preferences": {"a": 10**400}}, "preferences"),
        ({"name": "n", "preferences": {"a": 2**64}}, "preferences"),
        ({"name": "n", "preferences": nested(400)}, "preferences"),
    ],
)
def test_what_is_wrong_with_a_project_is_told(org: Organisation, body: Any, named: str) -> None:
    reply = org.call("POST", body=body)
    assert reply.status == 400, reply.body
    assert named in reply.json["message"]


@pytest.mark.parametrize(
    ("body", "meant"),
    [({"name": "n", "preference": {}}, "preferences"), ({"name": "n", "user": []}, "users")],
)
def test_a_misspelt_field_of_a_project_is_refused(
    org: Organisation, body: dict[str, Any], meant: str
) -> None:
    made = org.call("POST", body={"name": f"Kept for {meant}"}).json
    for method, path in (("POST", ""), ("POST", f"/{made['id']}"), ("PUT", f"/{made['id']}")):
        reply = org.call(method, path, body)
        assert reply.status == 400, reply.body
        assert f"Did you mean '{meant}'?" in reply.json["message"]
    assert org.call("PUT", f"/{made['id']}", made).status == 200, "an answer may be sent back"


def test_the_deletion_of_a_project_takes_no_parameter(org: Organisation) -> None:
    made = org.call("POST", body={"name": "Not to be deleted"}).json
    reply = org.call("DELETE", f"/{made['id']}?dry_run=1")
    assert (reply.status, "'dry_run'" in reply.json["message"]) == (400, True)
    assert org.call("GET", f"/{made['id']}").status == 200


def test_what_is_not_there_is_named(served: Served, org: Organisation) -> None:
    assert "project of this organization 'nope'" in org.call("GET", "/nope").json["message"]
    unknown = served.request("GET", "/3.0/organizations/nope/projects", key=org.key)
    assert (unknown.status, "organization 'nope'" in unknown.json["message"]) == (404, True)
    assert "key of this organization" in org.call("GET", key="A" * 64).json["message"]


def test_a_project_that_was_brought_back_is_not_purged(tmp_path: Path) -> None:
    """Also where the purge had seen it deleted."""
    catalog = Catalog.prepare(tmp_path)
    project = catalog.projects.create("Back")
    catalog.projects.delete(project.id)
    (seen,) = catalog.projects.deleted()
    catalog.projects.restore(project.id)
    assert not catalog.projects.begin_purge(seen)
    catalog.projects.delete(project.id)
    (seen,) = catalog.projects.deleted()
    assert catalog.projects.begin_purge(seen)
    assert catalog.projects.begin_purge(seen), "after a crash it goes on"
    with pytest.raises(UnknownProject):
        catalog.projects.restore(project.id)
    catalog.projects.end_purge(seen)
    assert (catalog.projects.all(), catalog.projects.deleted()) == ([], [])
    catalog.close()


def test_the_data_of_a_deleted_project_is_purged(hasty: Served) -> None:
    project = hasty.new_project("Doomed")
    marker = "q8wzkpurged"
    hasty.record(project, "c", *({"who": marker, "n": n} for n in range(20)))
    base = f"/3.0/projects/{project.id}"
    saved = {"query": {"analysis_type": "select_unique", "event_collection": "c", "target_property": "who"}}
    body = saved | {"refresh_rate": 14_400}
    assert hasty.request("PUT", f"{base}/queries/saved/s", body, key=project.master_key).status == 201
    reply = hasty.request("GET", f"{base}/queries/saved/s/result", key=project.master_key)
    assert reply.json["result"] == [marker]
    board = f"/projects/{project.id}/dashboards/d"
    assert hasty.request("PUT", board, {"of": marker}, key=project.master_key).status == 201
    hasty.told("projects", "delete", project.id)
    deadline = time.monotonic() + 120
    while left := [p for p in hasty.data.rglob("*") if p.is_file() and marker.encode() in _bytes(p)]:
        assert time.monotonic() < deadline, left
        time.sleep(0.2)
    assert hasty.told("projects", "restore", project.id).returncode == 1
    assert hasty.told("check").returncode == 0


def _bytes(path: Any) -> bytes:
    try:
        content: bytes = path.read_bytes()
    except FileNotFoundError:
        return b""
    return content
