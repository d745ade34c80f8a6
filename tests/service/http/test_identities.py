"""Actors with several ids over HTTP: who may say, read and revoke it, and that one person goes as a whole."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator
from typing import Any
from urllib.parse import quote, urlencode

import pytest

from tests.service.http.test_erasure import holding
from tests.support.server import Reply, Served, ServedProject

LINK = {"anonymous_id": "a1", "user_id": "ann"}
UNIQUES = {"event_collection": "c", "target_property": "who"}


@pytest.fixture(scope="module")
def server() -> Iterator[Served]:
    """Two workers: what one takes is seen by the questions of the other."""
    with Served(workers=2) as server:
        yield server


@pytest.fixture
def own(server: Served) -> ServedProject:
    return server.new_project("Identities")


def call(
    server: Served, project: ServedProject, method: str, path: str = "", body: Any = None, **how: Any
) -> Reply:
    query, key = how.pop("query", None), how.pop("key", project.master_key)
    where = f"/3.0/projects/{project.id}/identities{path}" + (f"?{urlencode(query)}" if query else "")
    return server.request(method, where, body, key=key, **how)


def say(server: Served, project: ServedProject, *statements: Any) -> None:
    reply = call(server, project, "POST", body=list(statements), key=project.write_key)
    assert reply.status == 200, reply.body
    assert all(one["success"] for one in reply.json["acumen.identities"])


def uniques(server: Served, project: ServedProject, **more: Any) -> Any:
    return server.ask(project, "select_unique", **UNIQUES, identity="merged", **more)


def test_what_is_said_counts_from_the_answer_on_over_past_events(server: Served, own: ServedProject) -> None:
    server.record(own, "c", {"who": "a1"}, {"who": "ann"})
    assert uniques(server, own) == ["a1", "ann"]
    reply = call(server, own, "POST", body=LINK, key=own.write_key)
    assert (reply.status, reply.json) == (201, {"created": True})
    for _ in range(6):
        assert uniques(server, own) == ["ann"]
    assert uniques(server, own, filters=[{"property_name": "who", "operator": "eq", "property_value": "a1"}])
    assert server.ask(own, "select_unique", **UNIQUES, max_age=None) == ["a1", "ann"]


def test_an_event_says_it_as_well(server: Served, own: ServedProject) -> None:
    server.record(own, "c", {"who": "a1"}, {"who": "ann"})
    server.record(own, "acumen.identities", LINK)
    assert uniques(server, own) == ["ann"]
    assert server.ask(own, "count", event_collection="acumen.identities") == 1


def test_one_request_sent_twice_says_it_once(server: Served, own: ServedProject) -> None:
    for _ in range(2):
        once = {"Idempotency-Key": "k1"}
        assert call(server, own, "POST", body=[LINK], key=own.write_key, headers=once).status == 200
    assert server.ask(own, "count", event_collection="acumen.identities") == 1


@pytest.mark.parametrize(
    ("body", "field"),
    [
        ({}, "'user_id'"),
        ({"user_id": "ann"}, "'anonymous_id'"),
        ({"anonymous_id": "a1"}, "'user_id'"),
        ({"anonymous_id": "a1", "user_id": None}, "'user_id'"),
        ({"anonymous_id": "", "user_id": "ann"}, "'anonymous_id'"),
        ({"anonymous_id": True, "user_id": "ann"}, "'anonymous_id'"),
        ({"anonymous_id": ["a1"], "user_id": "ann"}, "'anonymous_id'"),
        ({"anonymous_id": "a1", "user_id": {"id": 1}}, "'user_id'"),
        ({"anonymous_id": "a1", "user_id": 2**60 + 1}, "'user_id'"),
        ({"anonymous_id": "x" * 1001, "user_id": "ann"}, "'anonymous_id'"),
        ({"anonymous_id": "ann", "user_id": "ann"}, "'anonymous_id'"),
        ({"alias": "ann", "user_id": "ann"}, "'alias'"),
        ({**LINK, "alias": "bob"}, "'alias'"),
        ([LINK, {"user_id": "ann"}], "'[1].anonymous_id'"),
        ([LINK, 3], "'[1]'"),
        ([], "The body"),
        (7, "The body"),
        ("ann", "The body"),
    ],
)
def test_what_says_nothing_is_refused_and_named(
    server: Served, own: ServedProject, body: Any, field: str
) -> None:
    reply = call(server, own, "POST", body=body, key=own.write_key)
    assert reply.status == 400, reply.body
    assert field in reply.json["message"]
    assert server.ask(own, "count", event_collection="acumen.identities") == 0


def test_bodies_that_are_no_json_are_refused(server: Served, own: ServedProject) -> None:
    for body in (b"", b"{", b"[{]", b"\xff"):
        assert call(server, own, "POST", body=body, key=own.write_key).status == 400


def test_an_actor_is_shown_by_any_of_its_ids_with_conflicts(server: Served, own: ServedProject) -> None:
    say(server, own, LINK, {"anonymous_id": "tablet", "user_id": "ann"})
    say(server, own, {"anonymous_id": "tablet", "user_id": "bob"}, {"alias": 42, "user_id": "ann"})
    for one in ("a1", "ann", "tablet", "42"):
        found = call(server, own, "GET", f"/{one}", key=own.read_key).json
        assert found["id"] == "ann"
        assert sorted(map(str, found["ids"])) == ["42", "a1", "ann", "tablet"]
        told = {(one.get("anonymous_id", one.get("alias")), one["user_id"]): one for one in found["links"]}
        assert {pair: one["conflict"] for pair, one in told.items()} == {
            ("a1", "ann"): False,
            ("tablet", "ann"): False,
            ("tablet", "bob"): True,
            (42, "ann"): False,
        }
    bob = call(server, own, "GET", "/bob").json
    assert (bob["ids"], [one["conflict"] for one in bob["links"]]) == (["bob"], [True])
    assert call(server, own, "GET", "/%2242%22").status == 404
    assert call(server, own, "GET", "/nobody").status == 404
    say(server, own, {"alias": "bob", "user_id": "ann"})
    assert not any(one["conflict"] for one in call(server, own, "GET", "/bob").json["links"])


def test_ids_with_any_characters_are_found(server: Served, own: ServedProject) -> None:
    odd = 'é/ "x" 100%?&#'
    say(server, own, {"anonymous_id": odd, "user_id": "events"})
    assert call(server, own, "GET", f"/{quote(odd, safe='')}").json["id"] == "events"
    assert call(server, own, "DELETE", query={"anonymous_id": odd, "user_id": "events"}).status == 204
    assert call(server, own, "GET", "/%22events%22").status == 404


def test_actors_are_listed_page_by_page(server: Served, own: ServedProject) -> None:
    say(server, own, *({"anonymous_id": f"a{at}", "user_id": at % 5 or "zero"} for at in range(20)))
    first = call(server, own, "GET", query={"limit": 3}).json
    assert [one["id"] for one in first["actors"]] == ["zero", 1, 2]
    assert (first["count"], first["next"]) == (5, 3)
    last = call(server, own, "GET", query={"limit": 3, "after": 3}).json
    assert ([one["id"] for one in last["actors"]], last["next"]) == ([3, 4], None)
    assert sorted(last["actors"][0]["ids"], key=str) == [3, "a13", "a18", "a3", "a8"]
    for query in ({"limit": 0}, {"after": -1}, {"limit": "x"}):
        assert call(server, own, "GET", query=query).status == 400


def test_revoking_splits_what_it_says_and_nothing_else(server: Served, own: ServedProject) -> None:
    server.record(own, "c", {"who": "a1"}, {"who": "a2"}, {"who": "ann"})
    say(server, own, LINK, LINK, {"anonymous_id": "a2", "user_id": "ann"})
    assert uniques(server, own) == ["ann"]
    assert call(server, own, "DELETE", query=LINK).status == 204
    assert uniques(server, own) == ["a1", "ann"]
    assert call(server, own, "DELETE", query=LINK).status == 404
    say(server, own, LINK)
    assert uniques(server, own) == ["ann"]


@pytest.mark.parametrize(
    "query",
    [{}, {"user_id": "ann"}, {"anonymous_id": "a1"}, {**LINK, "alias": "x"}, {**LINK, "limit": "1"}],
)
def test_a_revocation_says_which_two_ids(server: Served, own: ServedProject, query: dict[str, str]) -> None:
    say(server, own, LINK)
    assert call(server, own, "DELETE", query=query).status == 400
    assert call(server, own, "GET", "/a1").json["id"] == "ann"


def test_each_key_may_do_what_it_is_for(server: Served, own: ServedProject) -> None:
    say(server, own, LINK)
    for path in ("", "/a1"):
        assert call(server, own, "GET", path, key=own.read_key).status == 200
        assert call(server, own, "GET", path, key=own.write_key).status == 403
    assert call(server, own, "POST", body=LINK, key=own.read_key).status == 403
    for path, query in (("", LINK), ("/a1/events", {"actor_property": "who"})):
        for key in (own.read_key, own.write_key):
            assert call(server, own, "DELETE", path, query=query, key=key).status in (401, 403)
    assert call(server, own, "GET", "/a1", key=own.read_key).json["id"] == "ann"


def _access_key(server: Served, project: ServedProject, **made: Any) -> str:
    body = {"name": "k", "is_active": True, "permitted": ["queries"], "options": {}, **made}
    reply = server.request("POST", f"/3.0/projects/{project.id}/keys", body, key=project.master_key)
    assert reply.status in (200, 201), reply.body
    key: str = reply.json["key"]
    return key


def test_a_key_with_filters_sees_the_links_of_what_it_sees(server: Served, own: ServedProject) -> None:
    server.record(
        own, "c", *({"who": who, "site": site} for site in (1, 2) for who in ("a1", "a2", "ann", "bob"))
    )
    say(server, own, {**LINK, "site": 1}, {"anonymous_id": "a2", "user_id": "bob", "site": 2})
    of_site = [{"property_name": "site", "operator": "eq", "property_value": 1}]
    key = _access_key(server, own, options={"queries": {"filters": of_site}})
    path = f"/3.0/projects/{own.id}/queries/select_unique"
    found = server.request("POST", path, {**UNIQUES, "identity": "merged"}, key=key).json["result"]
    assert found == ["a2", "ann", "bob"]
    assert [one["id"] for one in call(server, own, "GET", key=key).json["actors"]] == ["ann"]
    for hidden in ("a2", "bob"):
        assert call(server, own, "GET", f"/{hidden}", key=key).status == 404
    assert call(server, own, "GET", "/a2/events", query={"actor_property": "who"}, key=key).json == {
        "id": "a2",
        "ids": ["a2"],
        "events": {"c": call_events(server, own, key, "a2")},
    }
    assert uniques(server, own) == ["ann", "bob"]


def call_events(server: Served, project: ServedProject, key: str, who: str) -> Any:
    mine = [{"property_name": "who", "operator": "eq", "property_value": who}]
    path = f"/3.0/projects/{project.id}/queries/extraction"
    return server.request("POST", path, {"event_collection": "c", "filters": mine}, key=key).json["result"]


def test_one_person_is_exported_and_erased_as_a_whole(server: Served, own: ServedProject) -> None:
    """Afterwards no byte of any of the ids is left below the data folder."""
    ids = ["marker-anon-1", "marker-anon-2", "marker-user-1"]
    for one in (*ids, "ann"):
        server.record(own, "c", {"who": one})
        server.record(own, "d", {"visitor": {"id": one}, "n": 1}, {"visitor": {"list": [one]}})
    say(server, own, *({"anonymous_id": one, "user_id": "marker-user-1"} for one in ids[:2]))
    properties = [("actor_property", "who"), ("actor_property", "visitor.id")]
    path = f"/3.0/projects/{own.id}/identities/marker-anon-2/events?{urlencode(properties)}"
    exported = server.request("GET", path, key=own.read_key).json
    assert (exported["id"], set(exported["ids"])) == ("marker-user-1", set(ids))
    assert {name: len(listed) for name, listed in exported["events"].items()} == {
        "acumen.identities": 2,
        "c": 3,
        "d": 3,
    }
    uniques(server, own)

    erased = server.request("DELETE", path, key=own.master_key)

    assert erased.status == 200, erased.body
    assert erased.json["deleted_events"] == {"acumen.identities": 2, "c": 3, "d": 3}
    assert server.ask(own, "select_unique", **UNIQUES) == ["ann"]
    assert uniques(server, own) == ["ann"]
    assert call(server, own, "GET", "/marker-anon-2").status == 404


def test_erasing_names_a_property_and_nothing_unknown(server: Served, own: ServedProject) -> None:
    server.record(own, "c", {"who": "a1"})
    for query in ({}, {"actor_proprety": "who"}, {"actor_property": "who", "limit": "1"}):
        reply = call(server, own, "DELETE", "/a1/events", query=query)
        assert reply.status == 400
        assert "actor_property" in reply.json["message"]
    assert call(server, own, "GET", "/a1/events").status == 400
    assert server.ask(own, "count", event_collection="c") == 1


def test_no_byte_of_an_erased_person_is_left() -> None:
    env = {"ACUMEN_GRACE_SECONDS": "0.5", "ACUMEN_QUERY_TIMEOUT_SECONDS": "20", "ACUMEN_FLUSH_SECONDS": "1"}
    with Served(env=env) as server:
        project = server.new_project("Erased")
        server.record(project, "c", {"who": "marker-anon"}, {"who": "marker-user"}, {"who": "ann"})
        say(server, project, {"anonymous_id": "marker-anon", "user_id": "marker-user"})
        say(server, project, LINK)
        assert uniques(server, project) == ["ann", "marker-user"]
        query = {"actor_property": "who"}
        assert call(server, project, "DELETE", "/marker-anon/events", query=query).status == 200
        assert uniques(server, project) == ["ann"]
        deadline = time.monotonic() + 120
        while left := holding(server.data, b"marker-"):
            assert time.monotonic() < deadline, left
            time.sleep(0.2)
        assert json.loads(call(server, project, "GET", "/a1").body)["id"] == "ann"
