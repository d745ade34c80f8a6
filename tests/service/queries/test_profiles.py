"""Profiles over HTTP: their shape, paging, who may have them, and that they are kept until events change."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.parse import quote, urlencode

import pytest

from tests.service.whole import Whole
from tests.support.embed import embed_token
from tests.support.server import Reply, Served, ServedProject

EVENTS: list[dict[str, Any]] = [
    {
        "price": 4.5,
        "user": {"id": "ann", "born": "1990-05-01"},
        "keen": {"timestamp": "2026-01-01T10:00:00Z"},
    },
    {
        "price": 4.5,
        "user": {"id": "bob", "born": "1985-01-31"},
        "keen": {"timestamp": "2026-01-03T12:00:00Z"},
    },
    {"price": "free", "user": {"id": "ann"}, "tags": ["a"], "keen": {"timestamp": "2026-01-03T13:00:00Z"}},
    {"price": None, "keen": {"timestamp": "2026-01-03T14:00:00Z"}},
]


def get(served: Served, project: ServedProject, key: str = "", collection: str = "c", **asked: Any) -> Reply:
    path = f"/3.0/projects/{project.id}/events/{quote(collection, safe='')}/profile?{urlencode(asked)}"
    return served.request("GET", path, key=key or project.read_key)


def own(names: list[str]) -> str:
    return json.dumps(names)


def test_a_profile_tells_what_events_and_properties_are_like(served: Served, project: ServedProject) -> None:
    served.record(project, "c", *EVENTS)
    told = get(served, project, property_names=own(["price", "user", "tags"]), top=1).json
    price, tags, born, user = told.pop("properties")
    assert told == {
        "events": 4,
        "first": "2026-01-01T10:00:00.000Z",
        "last": "2026-01-03T14:00:00.000Z",
        "over_time": {
            "interval": "daily",
            "counts": [
                {"start": "2026-01-01T00:00:00.000Z", "events": 1},
                {"start": "2026-01-03T00:00:00.000Z", "events": 3},
            ],
        },
        "next": None,
    }
    assert price == {
        "name": "price",
        "types": {"num": 2, "string": 1, "null": 1},
        "missing": 0,
        "distinct": {"count": 2, "exact": True},
        "top": {"values": [{"value": 4.5, "count": 2}], "exact": True},
        "numbers": {"min": 4.5, "max": 4.5, "mean": 4.5},
        "dates": None,
        "lengths": {"min": 4, "max": 4, "mean": 4},
    }
    assert (tags["name"], tags["types"], tags["missing"]) == ("tags", {"list": 1}, 0.75)
    assert born["dates"] == {
        "count": 2,
        "first": "1985-01-31T00:00:00.000Z",
        "last": "1990-05-01T00:00:00.000Z",
    }
    assert user["top"]["values"] == [{"value": "ann", "count": 2}]


def test_timeframes_and_filters_say_which_events(served: Served, project: ServedProject) -> None:
    served.record(project, "c", *EVENTS)
    third = {"start": "2026-01-03", "end": "2026-01-04"}
    ann = [{"property_name": "user.id", "operator": "eq", "property_value": "ann"}]
    assert get(served, project, timeframe=json.dumps(third)).json["events"] == 3
    told = get(served, project, timeframe=json.dumps(third), filters=json.dumps(ann)).json
    assert told["events"] == 1
    born = next(one for one in told["properties"] if one["name"] == "user.born")
    assert (born["missing"], born["types"], born["lengths"]) == (1, {}, None)


def test_pages_have_every_property_once_by_name(served: Served, project: ServedProject) -> None:
    served.record(project, "c", {f"p{n:02}": n for n in range(7)})
    path = f"/3.0/projects/{project.id}/events/c"
    everything = sorted(served.request("GET", path, key=project.read_key).json["properties"])
    found: list[str] = []
    after: str | None = ""
    while after is not None:
        page = get(served, project, limit=3, after=after).json
        assert 1 <= len(page["properties"]) <= 3
        found += [one["name"] for one in page["properties"]]
        after = page["next"]
    assert found == everything
    assert get(served, project, limit=len(everything)).json["next"] is None


@pytest.mark.parametrize(
    ("asked", "status", "word"),
    [
        ({"limit": 0}, 400, "limit"),
        ({"limit": 101}, 400, "limit"),
        ({"top": 51}, 400, "top"),
        ({"top": "many"}, 400, "top"),
        ({"limits": 1}, 400, "limit"),
        ({"timeframe": "sometimes"}, 400, "timeframe"),
        ({"property_names": '["pricey"]'}, 404, "pricey"),
    ],
)
def test_what_cannot_be_told_is_named(
    served: Served, project: ServedProject, asked: dict[str, Any], status: int, word: str
) -> None:
    served.record(project, "c", {"price": 1})
    reply = get(served, project, **asked)
    assert reply.status == status
    assert word in reply.json["message"]


def test_an_unknown_collection_is_not_found(served: Served, project: ServedProject) -> None:
    assert get(served, project).status == 404


@pytest.mark.parametrize("name", ["a/b", "profile", "a/profile", "100%"])
def test_any_collection_has_a_profile(served: Served, project: ServedProject, name: str) -> None:
    served.record(project, name, {"a": 1})
    assert get(served, project, collection=name).json["events"] == 1


def new_key(served: Served, project: ServedProject, *permitted: str, **options: Any) -> str:
    body = {"name": "k", "permitted": permitted, "options": options}
    reply = served.request("POST", f"/3.0/projects/{project.id}/keys", body, key=project.master_key)
    return str(reply.json["key"])


def test_a_key_needs_both_rights(served: Served, project: ServedProject) -> None:
    served.record(project, "c", {"a": 1})
    both = new_key(served, project, "queries", "schema")
    assert get(served, project, both).status == 200
    assert get(served, project, project.write_key).status == 403
    for permitted in ("queries", "schema", "saved_queries"):
        assert get(served, project, new_key(served, project, permitted)).status == 403
    for allow in (None, ["queries"], ["schema"]):
        token = embed_token(both, {} if allow is None else {"allow": allow})
        assert get(served, project, token).status == 403
    assert get(served, project, embed_token(both, {"allow": ["queries", "schema"]})).status == 200


def test_filters_of_keys_and_tokens_apply(served: Served, project: ServedProject) -> None:
    """Neither events nor names of properties outside them are told."""
    served.record(project, "c", {"who": "ann", "a": 1}, {"who": "bob", "a": 2, "secret": 3})
    ann = [{"property_name": "who", "operator": "eq", "property_value": "ann"}]
    key = new_key(served, project, "queries", "schema", queries={"filters": ann})
    token = embed_token(
        new_key(served, project, "queries", "schema"), {"allow": ["queries", "schema"], "filters": ann}
    )
    for given in (key, token):
        told = get(served, project, given).json
        assert told["events"] == 1
        assert "secret" not in [one["name"] for one in told["properties"]]
        assert get(served, project, given, property_names='["secret"]').status == 404


@pytest.fixture
def whole(tmp_path: Path) -> Iterator[Whole]:
    made = Whole(tmp_path / "data")
    yield made
    made.close()


def asked_of_the_engine(whole: Whole) -> int:
    metrics = whole.get("/metrics", key="").text
    (count,) = re.findall(r'^acumen_query_seconds_count{analysis="profile"} (\d+)\.0$', metrics, re.MULTILINE)
    return int(count)


def test_a_profile_is_kept_until_events_come_or_go(whole: Whole) -> None:
    project = whole.project

    def told() -> tuple[int, list[str]]:
        body = whole.told(project, "GET", "events/c/profile")
        return body["events"], [one["name"] for one in body["properties"] if "keen" not in one["name"]]

    whole.record(project, "c", [{"a": 1}])
    assert told() == told() == (1, ["a"])
    assert asked_of_the_engine(whole) == 1
    whole.record(project, "other", [{"a": 1}])
    assert told() == (1, ["a"])
    assert asked_of_the_engine(whole) == 1
    whole.record(project, "c", [{"a": 1, "b": 2}])
    assert told() == told() == (2, ["a", "b"])
    assert asked_of_the_engine(whole) == 2
    whole.flush()
    assert told() == (2, ["a", "b"])
    whole.told(project, "DELETE", "events/c/properties/b")
    assert told() == (2, ["a"])
