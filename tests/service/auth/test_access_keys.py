"""Access keys: made, changed, revoked, and what each lets its holder do."""

from __future__ import annotations

import base64
import http.client
import json
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any
from urllib.parse import quote

import pytest

from service.auth.access_keys import PERMITTED
from service.auth.principal import Permission
from storage.catalog.keyring import public_id
from tests.service.rule_table import OF_QUERIES, Ruled, check, ruled_by_project, ruled_routes
from tests.support.server import Reply, Served, ServedProject

EU = [{"property_name": "customer.id", "operator": "eq", "property_value": "eu"}]
NOTHING = {"saved_queries": None, "writes": None, "datasets": None, "cached_queries": None, "queries": None}


class Keys:
    """The keys of one project, as its owner sees them."""

    def __init__(self, served: Served, project: ServedProject) -> None:
        self.served = served
        self.project = project

    def call(self, method: str, path: str = "", body: Any = None) -> Reply:
        base = f"/3.0/projects/{self.project.id}/keys"
        return self.served.request(method, base + path, body, key=self.project.master_key)

    def make(self, *permitted: str, name: str = "k", **options: Any) -> str:
        reply = self.call("POST", "", {"name": name, "permitted": list(permitted), "options": options})
        assert reply.status == 201, reply.body
        made: str = reply.json["key"]
        return made

    def ask(self, key: str, analysis: str, **parameters: Any) -> Reply:
        path = f"/3.0/projects/{self.project.id}/queries/{analysis}"
        return self.served.request("POST", path, parameters, key=key)

    def write(self, key: str, event: Any, collection: str = "c") -> Reply:
        path = f"/3.0/projects/{self.project.id}/events/{collection}"
        return self.served.request("POST", path, event, key=key)

    def events(self, collection: str = "c") -> list[dict[str, Any]]:
        found = self.ask(self.project.master_key, "extraction", event_collection=collection).json["result"]
        return [{name: value for name, value in event.items() if name != "keen"} for event in found]


@pytest.fixture
def keys(served: Served, project: ServedProject) -> Keys:
    return Keys(served, project)


def refused_soon(call: Callable[[], Reply]) -> Reply:
    deadline = time.monotonic() + 120
    while True:
        reply = call()
        if reply.status == 401 or time.monotonic() > deadline:
            return reply
        time.sleep(0.02)


def test_an_event_out_of_sight_decides_no_type(keys: Keys) -> None:
    """Of a property with several kinds of values the type is the first one's: not here."""
    types = []
    for first in ("eu", "us"):
        name = f"mixed {first}"
        keys.served.record(keys.project, name, {"customer": {"id": first}, "mixed": "text", "z": 1})
        keys.served.record(keys.project, name, *({"customer": {"id": "eu"}, "mixed": m} for m in (1, "t")))
        key = keys.make("schema", queries={"filters": EU})
        path = f"/3.0/projects/{keys.project.id}/events/{quote(name)}"
        types.append(keys.served.request("GET", path, key=key).json["properties"])
        whole = keys.served.request("GET", path, key=keys.project.master_key).json["properties"]
        assert whole["mixed"] == "string"
    assert types[0].pop("z") == "num"
    assert types[0] == types[1]
    assert types[0]["mixed"] == "num"


def test_a_key_is_made_shown_changed_and_deleted(keys: Keys) -> None:
    sent = {
        "name": "Bob",
        "is_active": True,
        "permitted": ["queries"],
        "options": {"queries": {"filters": EU}},
    }
    made = keys.call("POST", "", sent)
    assert made.status == 201
    key = made.json["key"]
    assert len(key) == 64
    assert key == key.upper()
    options = NOTHING | {"queries": {"filters": EU}}
    own = {"key": key, "project_id": keys.project.id, "public_id": public_id(key)}
    assert made.json == sent | {"options": options} | own
    assert keys.call("GET", f"/{key}").json == made.json
    assert keys.call("GET").json == [made.json]

    changed = keys.call("POST", f"/{key}", {"name": "Bo", "is_active": False, "permitted": []})
    assert changed.status == 200
    assert changed.json == made.json | {"name": "Bo", "is_active": False, "permitted": [], "options": NOTHING}
    unsaid = keys.call("POST", f"/{key}", {"name": "B", "permitted": []})
    assert unsaid.json["is_active"] is False, "nothing revives a key by the way"
    assert keys.call("POST", f"/{key}", {"name": "B", "is_active": True, "permitted": []}).json["is_active"]
    deleted = keys.call("DELETE", f"/{key}")
    assert (deleted.status, deleted.body) == (204, b"")
    for method, path in (
        ("GET", ""),
        ("POST", ""),
        ("DELETE", ""),
        ("POST", "/revoke"),
        ("POST", "/unrevoke"),
    ):
        body = sent if (method, path) == ("POST", "") else None
        assert keys.call(method, f"/{key}{path}", body).status == 404
    assert keys.call("GET").json == []


def test_keys_are_listed_by_name_and_by_pages(keys: Keys) -> None:
    made = [keys.make("writes", name=name) for name in ("a", "b", "a", "a")]
    assert [one["key"] for one in keys.call("GET").json] == made
    assert [one["key"] for one in keys.call("GET", "?name=a").json] == [made[0], made[2], made[3]]
    assert [one["key"] for one in keys.call("GET", "?name=a&page=2&per_page=2").json] == [made[3]]
    assert keys.call("GET", "?page=9").json == []
    for query in ("page=0", "per_page=201", "page=x", "per_page=1.5"):
        assert keys.call("GET", f"?{query}").status == 400


@pytest.mark.parametrize("own", ["read_key", "write_key"])
def test_only_the_master_key_has_to_do_with_keys(served: Served, project: ServedProject, own: str) -> None:
    reply = served.request("GET", f"/3.0/projects/{project.id}/keys", key=getattr(project, own))
    assert (reply.status, reply.json["error_code"]) == (401, "AdminOnlyEndpointError")


def test_a_revoked_key_is_dead_within_a_second_and_lives_again(keys: Keys) -> None:
    reader, writer = keys.make("queries"), keys.make("writes")
    calls: list[tuple[str, Callable[[], Reply]]] = [
        (reader, lambda: keys.ask(reader, "count", event_collection="c")),
        (writer, lambda: keys.write(writer, {"a": 1})),
    ]
    for key, call in calls:
        assert call().status in (200, 201)
        revoked = keys.call("POST", f"/{key}/revoke", "")
        assert (revoked.status, revoked.json["is_active"]) == (200, False)
        assert refused_soon(call).status == 401
        assert keys.call("POST", f"/{key}/unrevoke").json["is_active"] is True
        deadline = time.monotonic() + 120
        while call().status == 401:
            assert time.monotonic() < deadline
        keys.call("DELETE", f"/{key}")
        assert refused_soon(call).status == 401


def test_a_revoked_key_gets_no_answer_to_what_it_had_begun_to_ask(keys: Keys) -> None:
    """A body may come as slowly as its sender likes."""
    key = keys.make("queries")
    more = {"name": "k", "permitted": ["queries", "schema"]}
    connection = http.client.HTTPConnection("127.0.0.1", keys.served.port, timeout=120)
    for change, status in (((), 200), ((f"/{key}", more), 503), ((f"/{key}/revoke",), 401)):
        connection.putrequest("POST", f"/3.0/projects/{keys.project.id}/queries/count")
        connection.putheader("Authorization", key)
        connection.putheader("Content-Length", "24")
        connection.endheaders(b'{"event_')
        time.sleep(0.1)
        if change:
            assert keys.call("POST", *change).status == 200
        time.sleep(0.4)
        connection.send(b'collection":"c"}')
        answer = connection.getresponse()
        assert (answer.status, b"result" in answer.read()) == (status, status == 200)
    connection.close()


def test_a_key_of_another_project_is_no_key(keys: Keys) -> None:
    key = keys.make(*PERMITTED)
    other = Keys(keys.served, keys.served.new_project("Other"))
    assert other.ask(key, "count", event_collection="c").status == 401
    assert other.call("GET", f"/{key}").status == 404


@pytest.fixture(scope="module")
def routes(tmp_path_factory: pytest.TempPathFactory) -> list[Ruled]:
    return ruled_routes(tmp_path_factory.mktemp("rules"))


@pytest.mark.parametrize("permission", PERMITTED)
def test_a_key_may_what_is_permitted_and_nothing_else(
    keys: Keys,
    routes: list[Ruled],
    permission: str,
) -> None:
    key = keys.make(permission)
    keys.served.record(keys.project, "x", {"x": 1})
    held = {Permission(permission)} | (OF_QUERIES if permission == "queries" else set())
    wrong = [check(keys.served, keys.project, one, key, held) for one in ruled_by_project(routes)]
    assert [text for text in wrong if text] == []


def test_filters_narrow_every_question_and_tell_nothing_of_the_rest(keys: Keys) -> None:
    keys.served.record(
        keys.project,
        "c",
        {"n": 1, "customer": {"id": "eu"}},
        {"n": 2, "customer": {"id": "us"}, "secret": "x", "late": {"only": True}},
        {"n": 3, "customer": {"id": "eu"}, "open": "y"},
    )
    keys.served.record(keys.project, "hidden", {"customer": {"id": "us"}})
    key = keys.make("queries", "schema", queries={"filters": EU})
    asked = keys.ask(key, "count", event_collection="c", include_metadata=True).json
    assert asked["result"] == 2
    assert asked["execution_metadata"]["events_scanned"] == 2
    assert keys.ask(key, "sum", event_collection="c", target_property="n").json == {"result": 4}
    extracted = keys.ask(key, "extraction", event_collection="c").json["result"]
    assert sorted(event["n"] for event in extracted) == [1, 3]
    steps = [{"event_collection": "c", "actor_property": "n"}]
    assert keys.ask(key, "funnel", steps=steps).json["result"] == [2]
    for name in ("hidden", "nowhere"):
        reply = keys.ask(key, "count", event_collection=name)
        assert (reply.json["result"], "warning" in reply.headers) == (0, False)
        # Not a word that would not be said of a name that nobody ever used.
        assert [one["message"] for one in reply.json["warnings"]] == [f"There is no collection '{name}'."]

    base = f"/3.0/projects/{keys.project.id}"
    schema = keys.served.request("GET", f"{base}/events", key=key).json
    assert [one["name"] for one in schema] == ["c"]
    assert set(schema[0]["properties"]) == {
        "n",
        "customer.id",
        "open",
        "keen.id",
        "keen.created_at",
        "keen.timestamp",
    }
    assert list(schema[0]["properties"])[3:] == ["customer.id", "n", "open"]
    assert [one["name"] for one in keys.served.request("GET", base, key=key).json["events"]] == ["c"]
    assert keys.served.request("GET", f"{base}/events/hidden", key=key).status == 404
    assert keys.served.request("GET", f"{base}/events/c/properties/secret", key=key).status == 404


def test_autofill_is_in_every_event_and_wins(keys: Keys) -> None:
    autofill = {"customer": {"id": "eu", "tags": ["a"]}, "agent": "${keen.user_agent}", "plan": None}
    key = keys.make("writes", writes={"autofill": autofill})
    mine = {"n": 1, "customer": {"id": "us", "name": "N", "tags": ["b", "c"]}, "plan": "gold"}
    wanted = {"n": 1, "customer": {"id": "eu", "name": "N", "tags": ["a"]}, "plan": None}
    assert keys.write(key, mine).json == {"created": True}
    base = f"/3.0/projects/{keys.project.id}/events"
    bulk = keys.served.request("POST", base, {"c": [mine, {"a.b": 1}, {"customer": 5}], "d": [{}]}, key=key)
    assert [one["success"] for one in bulk.json["c"]] == [True, False, True]
    data = quote(base64.b64encode(json.dumps(mine).encode()))
    assert keys.served.request("GET", f"{base}/c?api_key={key}&data={data}").status == 200
    events = keys.events()
    assert all(event.pop("agent") for event in events)
    assert sorted(events, key=json.dumps) == sorted(
        [wanted] * 3 + [{"customer": {"id": "eu", "tags": ["a"]}, "plan": None}], key=json.dumps
    )
    assert keys.events("d")[0]["customer"] == {"id": "eu", "tags": ["a"]}


@pytest.mark.parametrize(
    "autofill",
    [{"$a": 1}, {"a.b": 1}, {"a": "x" * 10_000}, {"keen": {"id": "x"}}, {"keen": {"timestamp": 5}}],
)
def test_an_autofill_that_no_event_may_hold_is_refused(keys: Keys, autofill: Any) -> None:
    body = {"name": "k", "permitted": ["writes"], "options": {"writes": {"autofill": autofill}}}
    answer = keys.served.request(
        "POST", f"/3.0/projects/{keys.project.id}/keys", body, key=keys.project.master_key
    )
    assert answer.status == 400
    assert "options.writes.autofill" in answer.json["message"]


def test_nothing_between_keeps_what_a_key_was_told(keys: Keys) -> None:
    """With the key in the address a proxy may keep an answer, and tell it when the key is revoked."""
    base, master = f"/3.0/projects/{keys.project.id}", keys.project.master_key
    for path in ("/keys?", "/queries/count?event_collection=c&max_age=60&", "/events?", "?", "/nowhere?"):
        reply = keys.served.request("GET", f"{base}{path}api_key={master}")
        assert reply.headers["cache-control"] == "no-store", path


def test_a_filter_may_be_any_pattern_that_a_question_may_have(keys: Keys) -> None:
    for text in ("abc", "12"):
        assert keys.write(keys.project.write_key, {"t": text}).status == 201
    for pattern in (r"^\pL+$", r"\Aabc\z", r"\Qab\E"):
        condition = {"property_name": "t", "operator": "regex", "property_value": pattern}
        key = keys.make("queries", "schema", queries={"filters": [condition]})
        assert keys.ask(key, "count", event_collection="c").json == {"result": 1}


def test_an_idempotency_key_is_not_another_customers(keys: Keys) -> None:
    """Who writes under an autofill knows nothing of others, who may count their requests from 1 as well."""
    path = f"/3.0/projects/{keys.project.id}/events/c"
    sender = {"Idempotency-Key": "1"}
    for customer in ("eu", "us"):
        key = keys.make("writes", writes={"autofill": {"customer": customer}})
        again = keys.make("writes", writes={"autofill": {"customer": customer}})
        for one in (key, key, again):
            assert keys.served.request("POST", path, {"n": 1}, key=one, headers=sender).status == 201
        assert keys.served.request("POST", path, {"n": 2}, key=key, headers=sender).status == 409
    plain = keys.served.request("POST", path, {"n": 3}, key=keys.project.write_key, headers=sender)
    assert plain.status == 201
    found = sorted(keys.events(), key=json.dumps)
    assert found == [{"customer": "eu", "n": 1}, {"customer": "us", "n": 1}, {"n": 3}]


def test_what_can_not_be_filled_is_not_taken(keys: Keys) -> None:
    """Bytes that only a lenient reader would save part of must not slip past the autofill."""
    key = keys.make("writes", writes={"autofill": {"customer": "eu"}})
    base = f"/3.0/projects/{keys.project.id}/events"
    for body in (b'{"c":[{"a":1},{"a":"\xff"}]}', b'{"c":[{"a":NaN},{}]}', b"{", b'{"c":' + b"[" * 100_000):
        reply = keys.served.request("POST", base, body, key=key)
        assert (reply.status, reply.json["error_code"]) == (400, "InvalidJSONError")
    assert keys.events() == []


def test_a_key_has_only_the_saved_queries_that_are_allowed(keys: Keys) -> None:
    base = f"/3.0/projects/{keys.project.id}/queries/saved"
    query = {"analysis_type": "count", "event_collection": "c"}
    keys.served.record(keys.project, "c", {"customer": {"id": "eu"}}, {"customer": {"id": "us"}})
    for name, rate in (("plain1", 0), ("plain2", 0), ("kept1", 14_400), ("kept2", 14_400)):
        body = {"query": query, "refresh_rate": rate}
        assert keys.served.request("PUT", f"{base}/{name}", body, key=keys.project.master_key).status == 201

    def statuses(key: str, what: str = "/result") -> list[int]:
        names = ("plain1", "plain2", "kept1", "kept2", "none1")
        return [keys.served.request("GET", f"{base}/{name}{what}", key=key).status for name in names]

    ours = ["plain1", "kept1", "none1"]
    both = keys.make(
        "saved_queries", "cached_queries", saved_queries={"allowed": ours}, cached_queries={"allowed": ours}
    )
    assert statuses(both) == [200, 403, 200, 403, 404]
    blocked = keys.make(
        "saved_queries", "cached_queries", saved_queries={"blocked": ours}, cached_queries={"blocked": ours}
    )
    assert statuses(blocked) == [403, 200, 403, 200, 403]
    reader = keys.make("query_definition", saved_queries={"allowed": ours}, cached_queries={"blocked": ours})
    assert statuses(reader, "") == [200, 403, 403, 200, 404]
    assert statuses(keys.make("query_definition"), "") == [200, 200, 200, 200, 404]
    assert statuses(keys.make("cached_queries")) == [403, 403, 200, 200, 404]
    narrowed = keys.make("saved_queries", "cached_queries", saved_queries={"filters": EU})
    for name in ("plain1", "kept1"):
        for key, result in ((narrowed, 1), (both, 2), (narrowed, 1)):
            assert keys.served.request("GET", f"{base}/{name}/result", key=key).json["result"] == result


@pytest.fixture
def sent() -> dict[str, Any]:
    return {"name": "k", "permitted": ["queries"], "options": {}}


BAD: list[tuple[dict[str, Any], str]] = [
    ({"name": ""}, "name"),
    ({"name": "x" * 257}, "name"),
    ({"name": 5}, "name"),
    ({"is_active": "yes"}, "is_active"),
    ({"permitted": "queries"}, "permitted"),
    ({"permitted": ["master"]}, "permitted"),
    ({"permitted": [1]}, "permitted"),
    ({"permitted": None}, "permitted"),
    ({"options": []}, "options"),
    ({"options": {"query": {}}}, "options.query"),
    ({"options": {"queries": []}}, "options.queries"),
    ({"options": {"queries": {"filter": []}}}, "options.queries.filter"),
    ({"options": {"queries": {"filters": {}}}}, "options.queries.filters"),
    ({"options": {"queries": {"filters": [{"property_name": "a"}]}}}, "options.queries.filters"),
    ({"options": {"saved_queries": {"filters": [5]}}}, "options.saved_queries.filters"),
    ({"options": {"saved_queries": {"allowed": "a"}}}, "options.saved_queries.allowed"),
    ({"options": {"cached_queries": {"blocked": [1]}}}, "options.cached_queries.blocked"),
    ({"options": {"writes": {"autofill": []}}}, "options.writes.autofill"),
    ({"options": {"writes": {"autofill": {"a": "\ud800"}}}}, "options"),
    ({"options": {"writes": {"autofill": {"a": 2**70}}}}, "options"),
    ({"options": {"writes": {"autofill": {"a": "x" * 300_000}}}}, "options"),
    ({"options": {"datasets": {"operations": ["write"]}}}, "options.datasets.operations"),
    ({"options": {"datasets": {"allowed": "a"}}}, "options.datasets.allowed"),
    ({"options": {"datasets": {"allowed": {"d": {"index": {}}}}}}, "options.datasets.allowed.d"),
    ({"options": {"datasets": {"allowed": {"d": False}}}}, "options.datasets.allowed.d"),
    ({"options": {"datasets": {"allowed": {"d": []}}}}, "options.datasets.allowed.d"),
    ({"options": {"datasets": {"allowed": {"d": {"index_by": {"p": {"x": 1}}}}}}}, "index_by.p"),
]


@pytest.mark.parametrize(
    ("change", "told"),
    [
        ({"name": 5}, "You specified: 5."),
        ({"permitted": ["query"]}, "You specified: [\"query\"]. Did you mean 'queries'?"),
        ({"permitted": "queries"}, "You specified: queries."),
        ({"permitted": ["queries", "write"]}, "Did you mean 'writes'?"),
        ({"options": {"query": {}}}, "Did you mean 'queries'?"),
        ({"options": {"quota": {}}}, "Did you mean 'quotas'?"),
        ({"options": {"queries": {"filter": []}}}, "Did you mean 'filters'?"),
        ({"options": {"queries": {"filters": {}}}}, "must be a list of filters. You specified: {}."),
        ({"options": {"queries": {"filters": None}}}, "'options.queries.filters' is null."),
        ({"options": {"queries": {"extraction": "no"}}}, "must be true or false. You specified: no."),
        ({"options": {"writes": {"autofill": []}}}, "must be an object. You specified: []."),
        ({"options": {"saved_queries": {"allowed": "a"}}}, "You specified: a."),
        ({"options": {"datasets": {"operations": ["reed"]}}}, "Did you mean 'read'?"),
        ({"options": {"datasets": {"allowed": {"d": False}}}}, "You specified: false."),
        ({"options": {"quotas": {"events_per_day": -1}}}, "a whole number from 0 (no limit)"),
        ({"options": {"quotas": {"events_per_day": -1}}}, "You specified: -1."),
        ({"options": {"quotas": {"event_per_day": 1}}}, "Did you mean 'events_per_day'?"),
    ],
)
def test_a_bad_key_is_told_what_it_sent_and_what_is_near(
    keys: Keys, sent: dict[str, Any], change: dict[str, Any], told: str
) -> None:
    reply = keys.call("POST", "", sent | change)
    assert reply.status == 400, reply.body
    assert told in reply.json["message"]


@pytest.mark.parametrize(("change", "field"), BAD)
def test_a_bad_key_is_told_which_field_is_wrong(
    keys: Keys, sent: dict[str, Any], change: dict[str, Any], field: str
) -> None:
    for path in ("", "/" + "0" * 64):
        reply = keys.call("POST", path, sent | change)
        assert reply.status == 400, reply.body
        assert field in reply.json["message"]
        assert "error_code" in reply.json
    assert keys.call("GET").json == []


def test_the_catalog_holds_no_key_as_it_is(keys: Keys) -> None:
    key = keys.make("writes", name="secretive")
    found = [path for path in keys.served.data.glob("catalog.sqlite*") if key.encode() in path.read_bytes()]
    assert found == []
    secret = keys.served.data / "secret.key"
    assert secret.stat().st_mode & 0o777 == 0o600


@pytest.fixture(scope="module")
def three() -> Iterator[Served]:
    with Served(workers=3) as server:
        yield server


def test_a_key_is_revoked_on_every_worker(three: Served) -> None:
    keys = Keys(three, three.project)
    key = keys.make("writes")
    for _ in range(30):
        keys.write(key, {"a": 1})
    keys.call("POST", f"/{key}/revoke")
    deadline = time.monotonic() + 120
    while {keys.write(key, {"a": 1}).status for _ in range(30)} != {401}:
        assert time.monotonic() < deadline
    # Connections go to all workers in turn, or nearly so.
    assert {keys.write(key, {"a": 1}).status for _ in range(30)} == {401}


def test_the_worker_that_revokes_a_key_refuses_it_at_once(keys: Keys) -> None:
    key = keys.make("writes", "queries")
    for call, told in (("", (201, 200)), ("/revoke", (401, 401)), ("/unrevoke", (201, 200))):
        if call:
            keys.call("POST", f"/{key}{call}")
        for _ in range(3):
            asked = keys.ask(key, "count", event_collection="c")
            assert (keys.write(key, {"a": 1}).status, asked.status) == told


def test_keys_are_made_and_ended_from_a_shell_beside_the_server(keys: Keys, tmp_path: Path) -> None:
    def acumen(*arguments: str, check: bool = True) -> Any:
        """With the key of ``key_file`` where the command is about one."""
        named = () if arguments[0] in ("create", "list") else ("--key-file", str(key_file))
        done = keys.served.told("keys", *arguments, *named, "--project", keys.project.id)
        assert (done.returncode == 0) is check, done.stderr
        return json.loads(done.stdout) if check else done

    key_file = tmp_path / "key"
    options = json.dumps({"queries": {"filters": EU}})
    made = acumen("create", "Shell", "--permit", "queries", "--permit", "schema", "--options", options)
    assert acumen("list") == [made] == keys.call("GET").json
    key = made["key"]
    key_file.write_text(key)
    assert keys.ask(key, "count", event_collection="c").status == 200
    renamed = acumen("update", "--name", "Renamed")
    assert renamed == made | {"name": "Renamed"} == acumen("show") == keys.call("GET", f"/{key}").json
    changed = acumen("update", "--permit", "queries", "--options", "{}")
    assert (changed["name"], changed["permitted"]) == ("Renamed", ["queries"])
    assert set(changed["options"].values()) == {None}
    own = {"queries": {"filters": [{"property_name": "t", "operator": "regex", "property_value": r"\pL"}]}}
    assert keys.call("POST", f"/{key}", {"name": "RE2", "permitted": [], "options": own}).status == 200
    assert acumen("update", "--name", "Mine")["options"]["queries"] == own["queries"]
    assert acumen("revoke")["is_active"] is False
    assert refused_soon(lambda: keys.ask(key, "count", event_collection="c")).status == 401
    assert acumen("unrevoke")["is_active"] is True
    acumen("delete")
    assert acumen("list") == []
    gone = [("revoke",), ("show",), ("update", "--name", "x")]
    vast = json.dumps({"writes": {"autofill": {"n": 10**30}}})
    create = ("create", "x", "--permit", "queries", "--options")
    for wrong in (*gone, *((*create, text) for text in ("{", "[]", vast))):
        done = acumen(*wrong, check=False)
        assert (done.returncode, len(done.stderr.splitlines())) == (1, 1)
