"""Dashboards: stored as they were sent, listed by their metadata, seen by those they are for."""

from __future__ import annotations

import json
from typing import Any
from urllib.parse import quote

import pytest

from service.queries import dashboards
from tests.support.server import Reply, Served, ServedProject

DOCUMENT = {
    "version": "1",
    "widgets": [{"id": "a", "query": "q"}, {"id": "b"}],
    "big": 2**60,
    "π": [None, {}],
}
SAID = {
    "id": "d",
    "title": "Sales",
    "widgets": 7,
    "queries": 0,
    "tags": ["shop"],
    "lastModificationDate": 1_700_000_000_000,
    "isPublic": False,
    "publicAccessKey": None,
    "owner": {"of": "the client"},
}


class Dashboards:
    def __init__(self, served: Served, project: ServedProject) -> None:
        self.served, self.project = served, project

    def call(
        self, method: str, path: str, body: Any = None, key: str | None = None, said: Any = None
    ) -> Reply:
        headers = {} if said is None else {"X-Keen-Blob-Metadata": json.dumps(said)}
        url = f"/projects/{self.project.id}/dashboards/{path}"
        return self.served.request(method, url, body, key=key or self.project.master_key, headers=headers)

    def listed(self, key: str | None = None) -> list[str]:
        return [one["id"] for one in self.call("GET", "metadata", key=key).json]

    def key(self, **options: Any) -> str:
        made = {
            "name": "k",
            "permitted": ["queries", "saved_queries", "cached_queries", "schema"],
            "options": options,
        }
        reply = self.served.request(
            "POST", f"/3.0/projects/{self.project.id}/keys", made, key=self.project.master_key
        )
        return str(reply.json["key"])


@pytest.fixture
def mine(served: Served, project: ServedProject) -> Dashboards:
    return Dashboards(served, project)


def test_a_dashboard_is_stored_shown_replaced_and_deleted(mine: Dashboards) -> None:
    read = mine.project.read_key
    assert mine.call("GET", "d", key=read).status == 404
    assert mine.listed() == []
    made = mine.call("PUT", "d", DOCUMENT, said=SAID)
    assert (made.status, made.json) == (201, DOCUMENT)
    shown = mine.call("GET", "d", key=read)
    assert (shown.json, shown.headers["cache-control"]) == (DOCUMENT, "no-store")
    assert mine.call("GET", "d/metadata", key=read).json == SAID
    assert mine.call("GET", "metadata", key=read).json == [SAID]
    again = mine.call("PUT", "d", {"widgets": []}, said={"title": "Two"})
    assert (again.status, again.json) == (200, {"widgets": []})
    told = mine.call("GET", "d/metadata").json
    assert told.pop("lastModificationDate") > SAID["lastModificationDate"]
    assert told == {
        "id": "d",
        "title": "Two",
        "widgets": 0,
        "queries": 0,
        "tags": [],
        "isPublic": False,
        "publicAccessKey": None,
    }
    assert mine.call("DELETE", "d").status == 204
    assert [mine.call(method, "d").status for method in ("GET", "DELETE")] == [404, 404]


def test_metadata_is_kept_where_none_is_sent_and_replaced_alone(mine: Dashboards) -> None:
    mine.call("PUT", "d", {}, said=SAID)
    mine.call("PUT", "d", DOCUMENT)
    told = mine.call("GET", "d/metadata").json
    assert (told["title"], told["owner"], told["widgets"], told["queries"]) == ("Sales", SAID["owner"], 2, 1)
    reply = mine.call("PUT", "d/metadata", {"id": "other", "title": None, "tags": ["x"]})
    assert reply.status == 200
    assert reply.json == mine.call("GET", "d/metadata").json
    assert (reply.json["id"], reply.json["title"], reply.json["tags"]) == ("d", None, ["x"])
    assert mine.call("GET", "d").json == DOCUMENT
    assert mine.call("PUT", "none/metadata", {}).status == 404
    nothing = mine.call("PUT", "d/metadata", dict.fromkeys(SAID)).json
    assert nothing == dict.fromkeys(SAID) | {
        "id": "d",
        "widgets": 0,
        "queries": 0,
        "tags": [],
        "isPublic": False,
    }


@pytest.mark.parametrize("name", ["@a b", "x" * 256, "ü%..", "..", "metadata2", "%"])
def test_any_plain_text_is_an_id(mine: Dashboards, name: str) -> None:
    assert mine.call("PUT", quote(name, safe=""), DOCUMENT).status == 201
    assert mine.listed() == [name]
    assert mine.call("GET", quote(name, safe="")).json == DOCUMENT


def test_a_header_may_be_utf_8_or_latin_1(mine: Dashboards) -> None:
    path = f"/projects/{mine.project.id}/dashboards/d"
    for title, raw in (("Umsätze", "Umsätze".encode()), ("Umsätze", "Umsätze".encode("latin-1"))):
        header = b'{"title": "%b"}' % raw
        reply = mine.served.request(
            "PUT",
            path,
            {},
            key=mine.project.master_key,
            headers={"X-Keen-Blob-Metadata": header.decode("latin-1")},
        )
        assert reply.status in (200, 201)
        assert mine.call("GET", "d/metadata").json["title"] == title


def test_a_narrowed_key_sees_what_is_shared_with_it_and_nothing_else(mine: Dashboards) -> None:
    plain = mine.key(writes={"autofill": {"a": 1}})
    ours, others = mine.key(saved_queries={"allowed": ["q"]}), mine.key(saved_queries={"allowed": ["r"]})
    filters = [{"property_name": "a", "operator": "eq", "property_value": 1}]
    filtered = mine.key(queries={"filters": filters})
    for name, said in (
        ("private", {}),
        ("not yet", {"isPublic": False, "publicAccessKey": ours}),
        ("ours", {"isPublic": True, "publicAccessKey": ours}),
        ("theirs", {"isPublic": True, "publicAccessKey": others}),
        ("nobody's", {"isPublic": True}),
    ):
        assert mine.call("PUT", quote(name), DOCUMENT, said=said).status == 201
    every = ["nobody's", "not yet", "ours", "private", "theirs"]
    assert mine.listed(plain) == mine.listed(mine.project.read_key) == mine.listed() == every
    assert (mine.listed(ours), mine.listed(others), mine.listed(filtered)) == (["ours"], ["theirs"], [])
    for name in every:
        wanted = 200 if name == "ours" else 404
        for path in (quote(name), f"{quote(name)}/metadata"):
            assert mine.call("GET", path, key=ours).status == wanted, name
    assert mine.call("GET", "ours", key=mine.project.write_key).status == 403
    assert mine.call("PUT", "ours", {}, key=ours).status == 401


def test_the_key_of_a_public_dashboard_does_not_stand_in_the_catalog_as_it_is(mine: Dashboards) -> None:
    key = mine.key(saved_queries={"allowed": ["q"]})
    mine.call("PUT", "d", {}, said={"isPublic": True, "publicAccessKey": key})
    assert mine.call("GET", "d/metadata").json["publicAccessKey"] == key
    for path in mine.served.data.glob("catalog.sqlite*"):
        assert key.encode() not in path.read_bytes()


@pytest.mark.parametrize(
    ("body", "said", "word"),
    [
        ([], None, "object"),
        ("x", None, "object"),
        ({"a": 10**400}, None, "number"),
        ({}, [], "metadata"),
        ({}, {"title": 1}, "title"),
        ({}, {"tags": "x"}, "tags"),
        ({}, {"tags": [1]}, "tags"),
        ({}, {"isPublic": 1}, "isPublic"),
        ({}, {"widgets": -1}, "widgets"),
        ({}, {"queries": True}, "queries"),
        ({}, {"lastModificationDate": "now"}, "lastModificationDate"),
        ({}, {"publicAccessKey": 1}, "publicAccessKey"),
        ({}, {"x": "y" * dashboards.METADATA_BYTES_MAX}, "bytes"),
    ],
)
def test_what_is_wrong_is_said(mine: Dashboards, body: Any, said: Any, word: str) -> None:
    reply = mine.call("PUT", "d", body, said=said)
    assert reply.status == 400
    assert word in reply.json["message"]
    if said is not None:
        reply = mine.call("PUT", "d/metadata", said)
        assert reply.status == 400
        assert word in reply.json["message"]
    assert mine.listed() == []


def test_limits(mine: Dashboards) -> None:
    assert mine.call("PUT", "metadata", {}).status == 400
    assert mine.call("PUT", "a%0Ab", {}).status == 400
    assert mine.call("PUT", "x" * 257, {}).status == 400
    assert mine.call("PUT", "d", {"a": "b" * dashboards.DOCUMENT_BYTES_MAX}).status == 413
    path = f"/projects/{mine.project.id}/dashboards/d"
    bad = mine.served.request(
        "PUT", path, {}, key=mine.project.master_key, headers={"X-Keen-Blob-Metadata": "{"}
    )
    assert (bad.status, bad.json["error_code"]) == (400, "InvalidJSONError")
    assert mine.listed() == []
