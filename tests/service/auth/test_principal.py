"""Keys: where they are looked for, what each may do, in which order the errors come."""

from __future__ import annotations

import asyncio
import hmac
from contextlib import closing
from dataclasses import replace
from pathlib import Path

import pytest
from keen import scoped_keys

from service.auth.principal import Caller, Permission, Tenants, key_of
from service.errors import AdminOnly, Forbidden, InvalidKey, NotFound
from storage.catalog.catalog import Catalog
from storage.catalog.keyring import Keyring
from storage.catalog.tenants.records import AccessKey, Project, TenantChanges
from tests.support.server import TAKES_SCOPED_KEYS, Served, ServedProject


class Projects:
    """Projects that change, and how often they are looked at and read."""

    def __init__(self, *projects: Project) -> None:
        self._changed = dict.fromkeys(projects, 0)
        self._gone: dict[str, int] = {}
        self._version = 0
        self.looks = 0
        self.reads = 0
        self.key_looks = 0

    def version(self) -> int:
        self.looks += 1
        return self._version

    def since(self, version: int) -> TenantChanges:
        self.reads += 1
        projects = tuple(one for one, changed in self._changed.items() if changed > version)
        gone = frozenset(one for one, changed in self._gone.items() if changed > version)
        return TenantChanges(self._version, projects, gone)

    def find(self, project_id: str, digest: str) -> AccessKey | None:
        self.key_looks += 1
        return None

    def find_public(self, project_id: str, public_id: str) -> AccessKey | None:
        return self.find(project_id, public_id)

    def put(self, project: Project) -> None:
        """In place of the one with this id, if there is one."""
        self._version += 1
        self._changed = {one: at for one, at in self._changed.items() if one.id != project.id}
        self._changed[project] = self._version

    def remove(self, project_id: str) -> None:
        self._version += 1
        self._changed = {one: at for one, at in self._changed.items() if one.id != project_id}
        self._gone[project_id] = self._version


def project_of(name: str) -> Project:
    return Project(name, name, "org", f"{name}master", f"{name}write", f"{name}read", 0)


def tenants_of(catalog: Projects) -> tuple[Tenants, list[float]]:
    now = [100.0]
    return Tenants(catalog, catalog, Keyring("a secret for tests"), clock=lambda: now[0]), now


def test_a_new_project_is_known_at_its_first_request() -> None:
    catalog = Projects(project_of("a"))
    tenants, _ = tenants_of(catalog)
    tenants.authenticate("a", "aread")
    catalog.put(project_of("b"))
    assert tenants.authenticate("b", "bread").project.id == "b"


def test_requests_for_unknown_projects_and_keys_do_not_flood_the_catalog() -> None:
    """They learn whether it has changed, which costs some µs, and read it only then."""
    catalog = Projects(project_of("a"))
    tenants, now = tenants_of(catalog)
    for _ in range(1_000):
        now[0] += 0.001
        with pytest.raises(NotFound):
            tenants.authenticate("nope", "key")
        with pytest.raises(InvalidKey):
            tenants.authenticate("a", "key")
    assert (catalog.reads, catalog.key_looks) == (1, 1)


def test_what_this_process_changes_is_known_at_once_and_told_to_who_remembers_keys() -> None:
    catalog, told = Projects(project_of("a"), project_of("b")), []
    tenants, _ = tenants_of(catalog)
    tenants.authenticate("b", "bread")
    tenants.watch(lambda project_ids: told.append(list(project_ids)))
    tenants.changing(lambda: catalog.remove("b"))
    assert told == [["b"]]
    with pytest.raises(NotFound):
        tenants.authenticate("b", "bread")


def test_what_others_change_is_told_once_it_is_seen() -> None:
    catalog, told = Projects(project_of("a"), project_of("b")), []
    tenants, now = tenants_of(catalog)
    tenants.authenticate("b", "bread")
    tenants.watch(lambda project_ids: told.append(list(project_ids)))
    catalog.remove("b")
    tenants.authenticate("b", "bread")
    assert told == []
    now[0] += 1
    with pytest.raises(NotFound):
        tenants.authenticate("b", "bread")
    assert told == [["b"]]


def test_after_a_change_that_may_be_any_nothing_is_trusted() -> None:
    catalog, told = Projects(project_of("a"), project_of("b")), []
    tenants, _ = tenants_of(catalog)
    tenants.authenticate("b", "bread")
    tenants.watch(lambda project_ids: told.append(list(project_ids)))
    catalog.remove("b")
    tenants.look_again()
    assert told == [[]]
    with pytest.raises(NotFound):
        tenants.authenticate("b", "bread")


def test_a_key_is_its_projects_as_it_is_now() -> None:
    """Renewed, shared by two, and given up by one of them."""
    old = project_of("a")
    catalog = Projects(old, replace(project_of("b"), master_key="amaster", created_us=1))
    tenants, now = tenants_of(catalog)
    assert [one.id for one in asyncio.run(tenants.mastered("amaster"))] == ["a", "b"]
    catalog.put(replace(old, master_key="anew"))
    now[0] += 1
    assert [one.id for one in asyncio.run(tenants.mastered("amaster"))] == ["b"]
    assert [one.id for one in asyncio.run(tenants.mastered("anew"))] == ["a"]
    with pytest.raises(AdminOnly):
        asyncio.run(tenants.mastered("aread"))
    catalog.remove("a")
    now[0] += 1
    for key in ("anew", "aread"):
        with pytest.raises(InvalidKey):
            asyncio.run(tenants.mastered(key))


def test_known_keys_are_looked_up_at_most_twice_a_second() -> None:
    catalog = Projects(project_of("a"))
    tenants, now = tenants_of(catalog)
    for _ in range(1_000):
        now[0] += 0.002
        tenants.authenticate("a", "aread")
    assert catalog.looks <= 5


def test_no_thread_grants_by_what_it_knew_before_another_looked() -> None:
    """Else a scoped key of the last master key would live on, until the catalog changes again."""
    old, new = (
        replace(project_of("a"), master_key=letter * 64, preferences=TAKES_SCOPED_KEYS) for letter in "AB"
    )
    catalog, now = Projects(old), [100.0]
    changes = [new]

    class Slow(Projects):
        """Another thread hears of a change while an access key is looked for."""

        def find(self, project_id: str, digest: str) -> AccessKey | None:
            while changes:
                catalog.put(changes.pop())
                now[0] = 200.0
                assert tenants.find("a") == new
            return None

    tenants = Tenants(catalog, Slow(), Keyring("a secret for tests"), clock=lambda: now[0])
    made = scoped_keys.encrypt(old.master_key, {"allowed_operations": ["read"], "filters": []})
    key = made.decode() if isinstance(made, bytes) else str(made)
    tenants.authenticate("a", key)
    with pytest.raises(InvalidKey):
        tenants.authenticate("a", key)


def test_the_key_of_another_project_is_no_key() -> None:
    tenants, _ = tenants_of(Projects(project_of("a"), project_of("b")))
    with pytest.raises(InvalidKey):
        tenants.authenticate("a", "bmaster")


@pytest.mark.parametrize("key", [None, "", "amaste", "amaster ", "AMASTER", "amasterx", "\ud800", "ä"])
def test_only_the_very_key_is_a_key(key: str | None) -> None:
    tenants, _ = tenants_of(Projects(project_of("a")))
    with pytest.raises(InvalidKey):
        tenants.authenticate("a", key)


def test_an_insufficient_right_is_admin_only_where_nothing_but_the_master_key_would_do() -> None:
    caller = Caller(project_of("a"), frozenset({Permission.WRITES}))
    with pytest.raises(AdminOnly):
        caller.require(Permission.MASTER)
    with pytest.raises(Forbidden):
        caller.require(Permission.QUERIES)
    caller.require(Permission.WRITES)


def test_the_header_wins_and_an_empty_one_does_not_count() -> None:
    assert key_of("header", "parameter") == "header"
    assert key_of(" header ", None) == "header"
    assert key_of("", "parameter") == "parameter"
    assert key_of(None, "parameter") == "parameter"
    assert key_of(None, None) is None


BASE = "/3.0/projects/{id}"
MATRIX = [
    # method, path, body, statuses for: master, write, read key
    ("GET", BASE, None, (200, 403, 200)),
    ("GET", f"{BASE}/events", None, (200, 403, 200)),
    ("GET", f"{BASE}/events/c", None, (200, 403, 200)),
    ("GET", f"{BASE}/events/c/properties/a", None, (200, 403, 200)),
    ("GET", f"{BASE}/queries", None, (200, 403, 200)),
    ("GET", f"{BASE}/queries/count?event_collection=c", None, (200, 403, 200)),
    ("HEAD", f"{BASE}/queries/count?event_collection=c", None, (200, 403, 200)),
    ("POST", f"{BASE}/queries/count", {"event_collection": "c"}, (200, 403, 200)),
    ("GET", f"{BASE}/organization-usage", None, (200, 401, 401)),
    ("POST", f"{BASE}/events/c", {"a": 1}, (201, 201, 403)),
    ("POST", f"{BASE}/events", {"c": [{"a": 1}]}, (200, 200, 403)),
    ("GET", f"{BASE}/events/c?data=e30=", None, (200, 200, 403)),
    ("GET", "/3.0/projects", None, (200, 401, 401)),
]


@pytest.mark.parametrize(("method", "path", "body", "statuses"), MATRIX)
def test_who_may_call_what(
    served: Served,
    project: ServedProject,
    method: str,
    path: str,
    body: object,
    statuses: tuple[int, int, int],
) -> None:
    """By header and by parameter; a wrong key and none are 401, an unknown project 404 before either."""
    served.record(project, "c", {"a": 1})
    keys = (project.master_key, project.write_key, project.read_key)
    mine = path.format(id=project.id)
    join = "&" if "?" in mine else "?"
    for key, status in zip(keys, statuses, strict=True):
        for reply in (
            served.request(method, mine, body, key=key),
            served.request(method, f"{mine}{join}api_key={key}", body),
        ):
            assert reply.status == status, (key == project.read_key, reply.body)
    for wrong in (
        served.request(method, mine, body, key="wrong"),
        served.request(method, mine, body),
        served.request(method, f"{mine}{join}api_key={keys[0]}", body, key="wrong"),
    ):
        assert wrong.status == 401
        if method != "HEAD":
            assert wrong.json["error_code"] == "InvalidApiKeyError"
    if "{id}" in path:
        assert served.request(method, path.format(id="0" * 24), body, key="wrong").status == 404


def test_a_reader_learns_no_other_key(served: Served, project: ServedProject) -> None:
    reply = served.request("GET", f"/3.0/projects/{project.id}", key=project.read_key)
    assert reply.json["api_key"] == project.read_key
    assert project.master_key.encode() not in reply.body
    assert project.write_key.encode() not in reply.body


def test_a_wrong_key_is_looked_up_and_not_compared_with_the_keys_of_every_project(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    compared: list[bytes] = []
    compare = hmac.compare_digest

    def counted(known: bytes, given: bytes) -> bool:
        compared.append(known)
        return compare(known, given)

    tenants, _ = tenants_of(Projects(*(project_of(f"p{n}") for n in range(2_000))))
    monkeypatch.setattr(hmac, "compare_digest", counted)
    assert [one.id for one in asyncio.run(tenants.mastered("p7master"))] == ["p7"]
    for key, refusal in (("wrong", InvalidKey), (None, InvalidKey), ("p7read", AdminOnly)):
        with pytest.raises(refusal):
            asyncio.run(tenants.mastered(key))
    assert len(compared) <= 4


def test_a_change_makes_nobody_read_all_projects(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with closing(Catalog.prepare(tmp_path)) as catalog:
        project = catalog.projects.ensure_first()[0]
        other = catalog.projects.create("Another")
        now = [100.0]
        tenants = Tenants(catalog.tenants, catalog.access_keys, catalog.keyring, clock=lambda: now[0])
        tenants.authenticate(project.id, project.read_key)
        read: list[tuple[str, ...]] = []
        since = catalog.tenants.since

        def noted(version: int) -> TenantChanges:
            found = since(version)
            read.append(tuple(one.name for one in found.projects))
            return found

        monkeypatch.setattr(catalog.tenants, "since", noted)
        for number in range(5):
            catalog.collections.ensure(project.id, f"c{number}")
            catalog.saved_queries.put(project.id, "q", "q", query="{}", metadata="{}", refresh_rate=number)
            now[0] += 1
            tenants.authenticate(project.id, project.read_key)
        assert read == []
        catalog.projects.update(other.id, name="Renamed")
        now[0] += 1
        assert tenants.authenticate(other.id, other.read_key).project.name == "Renamed"
        assert read == [("Renamed",)]


def test_a_look_that_began_before_a_change_of_this_process_is_not_the_last() -> None:
    """Else a key that this process has revoked would live until the next look."""
    catalog = Projects(project_of("a"), project_of("b"))
    tenants, _ = tenants_of(catalog)
    reading, changes = catalog.since, [1]

    def since(version: int) -> TenantChanges:
        found = reading(version)
        if changes:
            # Between the look and its end: another thread of this process deletes the project.
            changes.pop()
            catalog.remove("b")
            tenants.look_again()
        return found

    catalog.since = since  # type: ignore[method-assign]
    tenants.find("a")
    with pytest.raises(NotFound):
        tenants.authenticate("b", "bread")
