"""Schema inspection and discovery, and names that try to be paths."""

from __future__ import annotations

from urllib.parse import quote

import pytest

from tests.support.server import Served, ServedProject

EVENT = {
    "price": 4.5,
    "count": 3,
    "long": 12345678901234567890123,
    "big": 9007199254740993,
    "name": "tea",
    "sold": True,
    "tags": ["a", "b"],
    "user": {"id": "u1", "address": {"city": "Bern"}},
    "nothing": None,
    "keen": {"location": {"coordinates": [7.4, 46.9]}},
}
TYPES = {
    "keen.timestamp": "datetime",
    "keen.created_at": "datetime",
    "keen.id": "string",
    "keen.location.coordinates": "geo",
    "price": "num",
    "count": "num",
    "long": "num",
    "big": "num",
    "name": "string",
    "sold": "bool",
    "tags": "list",
    "nothing": "null",
    "user.id": "string",
    "user.address.city": "string",
}


def test_the_listing_has_every_property_with_its_type(served: Served, project: ServedProject) -> None:
    served.record(project, "purchases", EVENT)
    url = f"/3.0/projects/{project.id}/events/purchases"
    listed = served.request("GET", f"/3.0/projects/{project.id}/events", key=project.read_key)
    assert listed.json == [{"name": "purchases", "url": url, "properties": TYPES}]
    assert served.request("GET", url, key=project.read_key).json == listed.json[0]


@pytest.mark.parametrize(
    ("flag", "included"), [("true", True), ("false", False), ("", True), ("maybe", True)]
)
def test_properties_can_be_left_out(
    served: Served, project: ServedProject, flag: str, included: bool
) -> None:
    served.record(project, "c", {"a": 1})
    path = f"/3.0/projects/{project.id}/events?include_schema={flag}"
    assert ("properties" in served.request("GET", path, key=project.read_key).json[0]) is included


def test_a_project_without_events_lists_no_collections(served: Served, project: ServedProject) -> None:
    assert served.request("GET", f"/3.0/projects/{project.id}/events", key=project.read_key).json == []


def test_the_first_kind_of_a_mixed_property_is_told(served: Served, project: ServedProject) -> None:
    served.record(project, "c", {"p": "12"})
    served.record(project, "c", {"p": 12})
    reply = served.request("GET", f"/3.0/projects/{project.id}/events/c/properties/p", key=project.read_key)
    assert reply.json["type"] == "string"


def test_one_property(served: Served, project: ServedProject) -> None:
    served.record(project, "c", EVENT)
    base = f"/3.0/projects/{project.id}/events/c/properties"
    reply = served.request("GET", f"{base}/user.address.city", key=project.read_key)
    assert reply.json == {
        "property_name": "user.address.city",
        "url": f"{base}/user.address.city",
        "type": "string",
    }
    for unknown in ("user", "nope"):
        assert served.request("GET", f"{base}/{unknown}", key=project.read_key).status == 404


NAMES = [
    "signed up",
    "User posts.new",
    "a/b",
    "a/b/c",
    "a/profile",
    "../../etc/passwd",
    "..",
    ".",
    "%2F",
    "100%",
    "a?b",
    "a&b=c",
    "a+b",
    "a#b",
    "properties",
    "purchases",
    "Purchases",
    "con",
    "a\\b",
    "'; DROP TABLE events; --",
    '"quoted"',
    "x" * 64,
]


@pytest.mark.parametrize("name", NAMES)
def test_any_name_that_is_taken_is_found_again(served: Served, project: ServedProject, name: str) -> None:
    """Percent-encoded in the path and as it is in a body; nothing leaves the data folder."""
    path = f"/3.0/projects/{project.id}/events/{quote(name, safe='')}"
    assert served.request("POST", path, {"a": 1}, key=project.write_key).status == 201
    reply = served.request("GET", path, key=project.read_key)
    assert reply.json["name"] == name
    assert reply.json["url"] == path
    assert served.request("GET", f"{path}/properties/a", key=project.read_key).json["type"] == "num"
    assert served.ask(project, "count", event_collection=name) == 1
    root = served.data.resolve()
    assert {path.name for path in root.parent.iterdir()} <= {"data", "log"}


@pytest.mark.parametrize("name", ["a/b", "a/b/c"])
def test_slashes_in_a_name_may_be_raw(served: Served, project: ServedProject, name: str) -> None:
    path = f"/3.0/projects/{project.id}/events/{name}"
    assert served.request("POST", path, {"a": 1}, key=project.write_key).status == 201
    assert served.request("GET", path, key=project.read_key).json["name"] == name
    assert served.request("GET", f"{path}/properties/a", key=project.read_key).json["property_name"] == "a"


def test_discovery_leads_from_the_root_to_the_queries(served: Served, project: ServedProject) -> None:
    served.record(project, "purchases", {"a": 1})
    versions = served.request("GET", "/").json
    (public,) = [version for version in versions if version["is_public"]]
    assert public["url"] == "/3.0"
    assert served.request("GET", public["documentation_url"]).headers["content-type"].startswith("text/html")
    listing = served.request(
        "GET", served.request("GET", "/3.0").json["projects_resource_url"], key=project.master_key
    )
    (found,) = listing.json
    assert found == served.request("GET", f"/3.0/projects/{project.id}", key=project.master_key).json
    assert found["id"] == project.id
    assert found["url"] == f"/3.0/projects/{project.id}"
    assert found["events"] == [{"name": "purchases", "url": f"/3.0/projects/{project.id}/events/purchases"}]
    assert found["saved_queries"] == []
    queries = served.request("GET", found["queries_url"], key=project.read_key).json
    for name in ("minimum", "percentile", "average", "median", "maximum", "sum"):
        assert queries[name] == f"{found['queries_url']}/{name}"
    for name in ("count", "count_unique", "select_unique", "extraction", "funnel"):
        assert queries[f"{name}_url"] == f"{found['queries_url']}/{name}"


def test_time_zones_need_no_key(served: Served) -> None:
    zones = {zone["name"]: zone for zone in served.request("GET", "/timezones").json}
    assert zones["UTC"] == {"name": "UTC", "number_of_seconds_to_offset_time": 0, "utc_offset": "+00:00"}
    assert zones["Asia/Kolkata"]["utc_offset"] == "+05:30"
    assert zones["America/St_Johns"]["number_of_seconds_to_offset_time"] in (-12600, -9000)
    assert "US/Pacific" in zones


def test_usage_names_no_limit_and_counts_what_the_project_holds(
    served: Served, project: ServedProject
) -> None:
    path = f"/3.0/projects/{project.id}/organization-usage?api_key={project.master_key}"
    held = {"collections": 0, "events": 0, "bytes": 0, "saved_queries": 0, "cached_datasets": 0}
    cached = {"limited": False, "current_usage": 0}
    assert served.request("GET", path).json == {"cached_queries": cached, **held}
    for name, rate in (("kept", 0), ("refreshed", 14_400)):
        body = {"query": {"analysis_type": "count", "event_collection": "c"}, "refresh_rate": rate}
        saved = f"/3.0/projects/{project.id}/queries/saved/{name}"
        assert served.request("PUT", saved, body, key=project.master_key).status == 201
    cached["current_usage"] = 1
    assert served.request("GET", path).json == {"cached_queries": cached, **held, "saved_queries": 2}
