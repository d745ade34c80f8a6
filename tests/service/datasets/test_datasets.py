"""Cached datasets over HTTP: making, listing and removing them, and asking for what they hold."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator
from typing import Any
from urllib.parse import quote, urlsplit

import pytest
from keen import scoped_keys

from tests.support.server import TAKES_SCOPED_KEYS, Reply, Served, ServedProject

QUERY = {
    "analysis_type": "count",
    "event_collection": "purchases",
    "timeframe": "this_10_days",
    "interval": "daily",
    "timezone": "US/Pacific",
}
EVENTS = [
    {"customer": {"id": "x"}, "item": "tea", "price": 2, "n": 7},
    {"customer": {"id": "x"}, "item": "cake", "price": 3, "n": 8},
    {"customer": {"id": "y"}, "item": "tea", "price": 4.5},
    {"item": "tea", "price": 5},
]


@pytest.fixture(scope="module")
def quick() -> Iterator[Served]:
    """A server that refreshes its datasets every second."""
    with Served(env={"ACUMEN_DATASET_REFRESH_SECONDS": "1"}) as server:
        yield server


@pytest.fixture
def shop(quick: Served) -> ServedProject:
    project = quick.new_project(preferences=TAKES_SCOPED_KEYS)
    quick.record(project, "purchases", *EVENTS)
    return project


class Datasets:
    """The calls of one project."""

    def __init__(self, server: Served, project: ServedProject) -> None:
        self.server = server
        self.project = project
        self.base = f"/3.0/projects/{project.id}/datasets"

    def put(self, name: str, index_by: Any = "customer.id", key: str | None = None, **query: Any) -> Reply:
        body = {"query": {**QUERY, **query}, "index_by": index_by, "display_name": f"The {name}"}
        return self.send("PUT", name, body, key=key)

    def send(self, method: str, name: str, body: Any = None, key: str | None = None) -> Reply:
        return self.server.request(method, f"{self.base}/{name}", body, key=key or self.project.master_key)

    def ready(self, name: str, **query: Any) -> None:
        """Make one, and wait until it is computed."""
        made = self.put(name, **query)
        assert made.status == 201, made.body
        self.await_status(name, "OK")

    def await_status(self, name: str, status: str, seconds: float = 120.0) -> Any:
        deadline = time.monotonic() + seconds
        while (found := self.send("GET", name).json)["status"] != status:
            assert time.monotonic() < deadline, found
            time.sleep(0.05)
        return found

    def await_run(self, name: str, since: float) -> None:
        """Until it was computed later than then, by the monotonic clock."""
        while self.send("GET", name).json["milliseconds_behind"] >= (time.monotonic() - since) * 1_000:
            assert time.monotonic() < since + 120
            time.sleep(0.05)

    def results(self, name: str, key: str | None = None, **params: str) -> Reply:
        query = "&".join(f"{name}={quote(value)}" for name, value in params.items())
        path = f"{self.base}/{name}/results?{query}"
        return self.server.request("GET", path, key=key or self.project.read_key)

    def today(self, name: str, **params: str) -> Any:
        """The value of the last interval; in two days of Pacific time, so that midnight does no harm."""
        reply = self.results(name, **{"timeframe": "this_2_days", **params})
        assert reply.status == 200, reply.body
        values = [row["value"] for row in reply.json["result"]]
        return values[1] or values[0] if not isinstance(values[1], list) else max(values, key=_weight)


def _weight(rows: list[dict[str, Any]]) -> Any:
    return sum(row["result"] for row in rows)


@pytest.fixture
def calls(quick: Served, shop: ServedProject) -> Datasets:
    return Datasets(quick, shop)


def test_a_definition_is_told_in_its_one_form(calls: Datasets) -> None:
    made = calls.put("by-customer", group_by="item", filters=[])
    assert made.status == 201, made.body
    definition = made.json
    assert list(definition) == [
        "project_id",
        "organization_id",
        "dataset_name",
        "display_name",
        "query",
        "index_by",
        "last_scheduled_date",
        "latest_subtimeframe_available",
        "milliseconds_behind",
        "status",
    ]
    assert definition["query"] == {
        "project_id": calls.project.id,
        "analysis_type": "count",
        "event_collection": "purchases",
        "filters": [],
        "timeframe": "this_10_days",
        "timezone": "US/Pacific",
        "interval": "daily",
        "group_by": ["item"],
    }
    assert definition["index_by"] == ["customer.id"]
    assert definition["display_name"] == "The by-customer"
    assert definition["last_scheduled_date"] == "1970-01-01T00:00:00.000Z"
    assert definition["status"] == "Created"
    ready = calls.await_status("by-customer", "OK")
    assert ready["last_scheduled_date"] > "2020"
    assert ready["latest_subtimeframe_available"].endswith(":00:00.000Z")
    assert "error_code" not in ready


def test_a_result_has_every_interval_and_every_group(calls: Datasets) -> None:
    calls.ready("grouped", group_by=["item"])
    reply = calls.results("grouped", index_by="x", timeframe="this_2_days")
    assert reply.status == 200, reply.body
    rows = reply.json["result"]
    assert [set(row) for row in rows] == [{"value", "timeframe"}] * 2
    assert [row["value"] for row in rows][-1] in (
        [{"item": "cake", "result": 1}, {"item": "tea", "result": 1}],
        [{"item": "cake", "result": 0}, {"item": "tea", "result": 0}],
    )
    assert rows[0]["timeframe"]["end"] == rows[1]["timeframe"]["start"]
    metadata = reply.json["metadata"]
    assert metadata["request"] == {"index_by": "x", "timeframe": "this_2_days"}
    assert metadata["dataset"]["dataset_name"] == "grouped"
    assert len(calls.results("grouped", index_by="x").json["result"]) == 10


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        ("x", 2),
        ('"x"', 2),
        ('{"customer.id":"x"}', 2),
        ('["x"]', 2),
        ("y", 1),
        ("nobody", 0),
        ("null", 0),
        ("[null]", 1),
        ('{"customer.id":null}', 1),
        ("[5]", 0),
    ],
)
def test_an_index_value_may_be_given_in_each_of_its_forms(
    shared: Datasets, given: str, expected: int
) -> None:
    assert shared.today("by-customer", index_by=given) == expected


@pytest.mark.parametrize(("given", "expected"), [("7", 1), ("7.0", 1), ('"7"', 0), ("[7]", 1), ("seven", 0)])
def test_a_number_as_text_is_that_number_where_no_event_has_a_text(
    shared: Datasets, given: str, expected: int
) -> None:
    assert shared.today("by-number", index_by=given) == expected


@pytest.mark.parametrize(
    "timeframe",
    ["this_2_days", '"this_2_days"', "previous_1_day", '{"start":"%s","end":"%s"}', ""],
)
def test_a_timeframe_may_be_given_in_each_of_its_forms(shared: Datasets, timeframe: str) -> None:
    whole = shared.results("by-customer", index_by="x").json["result"]
    if "%" in timeframe:
        timeframe %= (whole[3]["timeframe"]["start"], whole[6]["timeframe"]["end"])
    reply = shared.results("by-customer", index_by="x", timeframe=timeframe)
    assert reply.status == 200, reply.body
    rows = reply.json["result"]
    first = whole.index(rows[0])
    assert rows == whole[first : first + len(rows)]
    asked = json.loads(timeframe) if timeframe.startswith(("{", '"')) else timeframe or "this_10_days"
    assert reply.json["metadata"]["request"]["timeframe"] == asked


def test_an_object_names_all_properties_of_the_index(shared: Datasets) -> None:
    both = '{"customer.id":"x","item":"tea"}'
    assert shared.today("by-two", index_by=both) == {"total": 2, "most": 2}
    assert shared.today("by-two", index_by='["x","cake"]') == {"total": 3, "most": 3}
    for wrong in ("x", '{"customer.id":"x"}', '["x"]', '{"customer.id":"x","item":["tea"]}', '{"a":1,"b":2}'):
        reply = shared.results("by-two", index_by=wrong)
        assert (reply.status, reply.json["error_code"]) == (400, "InvalidParameterError"), wrong
        assert "index_by" in reply.json["message"]


@pytest.mark.parametrize(
    ("params", "code"),
    [
        ({}, "MissingRequiredRequestFieldError"),
        ({"index_by": "[1"}, "InvalidJSONError"),
        ({"index_by": "[NaN]"}, "InvalidJSONError"),
        ({"index_by": "[[1]]"}, "InvalidParameterError"),
        ({"index_by": '["\\ud800"]'}, "InvalidParameterError"),
        ({"index_by": "x", "timeframe": "this_11_days"}, "TimeframeDefinitionError"),
        ({"index_by": "x", "timeframe": "whenever"}, "TimeframeDefinitionError"),
        ({"index_by": "x", "timeframe": "[1]"}, "TimeframeDefinitionError"),
        (
            {"index_by": "x", "timeframe": '{"start":"2001-01-01","end":"2001-02-01"}'},
            "TimeframeDefinitionError",
        ),
    ],
)
def test_a_request_that_can_not_be_answered_says_why(
    shared: Datasets, params: dict[str, str], code: str
) -> None:
    reply = shared.results("by-customer", **params)
    assert (reply.status, reply.json["error_code"]) == (400, code), reply.body


def test_what_is_misspelt_within_the_timeframe_is_named(shared: Datasets) -> None:
    start = shared.results("by-customer", index_by="x").json["result"][3]["timeframe"]["start"]
    timeframe = json.dumps({"start": start, "ends": start})

    reply = shared.results("by-customer", index_by="x", timeframe=timeframe)

    assert (reply.status, reply.json["error_code"]) == (400, "TimeframeDefinitionError"), reply.body
    assert "Did you mean 'end'?" in reply.json["message"]


def test_a_parameter_with_two_values_is_refused(shared: Datasets) -> None:
    path = f"{shared.base}/by-customer/results?index_by=x&index_by="
    told = [shared.server.request("GET", path + value, key=shared.project.read_key) for value in ("y", "x")]

    assert [reply.status for reply in told] == [400, 200]
    assert "multiple values for index_by" in told[0].json["message"]


def test_the_part_that_runs_on_may_be_asked_beyond_its_end(shared: Datasets) -> None:
    """A month or a week that began within the dataset's timeframe ends after it."""
    reply = shared.results("by-customer", index_by="x", timeframe="this_week")
    assert reply.status == 200, reply.body
    assert sum(row["value"] for row in reply.json["result"]) == 2


@pytest.fixture(scope="module")
def shared(quick: Served) -> Datasets:
    """Datasets that are only read."""
    project = quick.new_project(preferences=TAKES_SCOPED_KEYS)
    quick.record(project, "purchases", *EVENTS)
    calls = Datasets(quick, project)
    calls.ready("by-customer")
    calls.ready("by-number", index_by="n")
    analyses = {
        "total": {"analysis_type": "sum", "target_property": "price"},
        "most": {"analysis_type": "maximum", "target_property": "price"},
    }
    calls.ready("by-two", index_by=["customer.id", "item"], analysis_type="multi_analysis", analyses=analyses)
    return calls


@pytest.mark.parametrize(
    ("change", "names"),
    [
        ({"analysis_type": "funnel"}, "analysis_type"),
        ({"analysis_type": "extraction"}, "analysis_type"),
        ({"analysis_type": None}, "analysis_type"),
        ({"analysis_type": ["count"]}, "analysis_type"),
        ({"interval": None}, "interval"),
        ({"interval": "sometimes"}, "interval"),
        ({"timeframe": None}, "timeframe"),
        ({"timeframe": "later"}, "timeframe"),
        ({"timeframe": {"start": "2020-01-01"}}, "timeframe"),
        ({"timeframe": "this_100_years", "interval": "hourly"}, "interval"),
        ({"timezone": "Mars/Base"}, "timezone"),
        ({"event_collection": None}, "'query.event_collection'"),
        ({"analysis_type": "sum"}, "'query.target_property'"),
        ({"analysis_type": "percentile", "target_property": "a", "percentile": 101}, "percentile"),
        ({"analysis_type": "multi_analysis"}, "'query.analyses'"),
        ({"analysis_type": "multi_analysis", "analyses": {"a": 1}}, "analyses"),
        ({"filters": [{"property_name": "a", "operator": "is"}]}, "operator"),
        ({"filters": "{"}, "filters"),
        ({"group_by": [{"property_name": "a", "buckets": 1}]}, "group_by"),
        ({"group_by": ["\ud800"]}, "query"),
        ({"index_by": None}, "index_by"),
        ({"index_by": []}, "index_by"),
        ({"index_by": ["a", "b", "c", "d"]}, "index_by"),
        ({"index_by": ["a", "a"]}, "index_by"),
        ({"index_by": [{"property_name": "a"}]}, "index_by"),
    ],
)
def test_a_definition_that_can_not_be_computed_is_refused(
    served: Served, project: ServedProject, change: dict[str, Any], names: str
) -> None:
    calls = Datasets(served, project)
    reply = calls.put("bad", **change)
    assert reply.status == 400, reply.body
    assert names in reply.json["message"]
    assert calls.send("GET", "bad").status == 404


@pytest.mark.parametrize("body", [b"", b"[]", b"{", {}, {"query": []}, {"query": {**QUERY}}])
def test_a_body_that_is_no_definition_is_refused(served: Served, project: ServedProject, body: Any) -> None:
    assert Datasets(served, project).send("PUT", "bad", body).status == 400


@pytest.mark.parametrize("name", ["a.b", "a%20b", "%C3%A9", "a" * 257])
def test_a_name_of_other_characters_is_refused(served: Served, project: ServedProject, name: str) -> None:
    reply = Datasets(served, project).put(name)
    assert (reply.status, reply.json["error_code"]) == (400, "InvalidParameterError")


def test_a_dataset_is_made_once_and_gone_after_its_removal(calls: Datasets) -> None:
    calls.ready("once")
    again = calls.put("once")
    assert (again.status, again.json["error_code"]) == (409, "DuplicateNameError")
    assert calls.put("once", key=calls.project.read_key).status == 401
    assert calls.send("DELETE", "once", key=calls.project.read_key).status == 401
    removed = calls.send("DELETE", "once")
    assert (removed.status, removed.body) == (204, b"")
    for reply in (
        calls.send("GET", "once"),
        calls.send("DELETE", "once"),
        calls.results("once", index_by="x"),
    ):
        assert (reply.status, reply.json["error_code"]) == (404, "ResourceNotFoundError")
    assert calls.put("once", interval="hourly").status == 201
    assert calls.await_status("once", "OK")["query"]["interval"] == "hourly"


def test_pages_follow_one_another_by_name(served: Served, project: ServedProject) -> None:
    calls = Datasets(served, project)
    for name in ("c", "A", "b", "d"):
        assert calls.put(name).status == 201
    first = served.request("GET", f"{calls.base}?limit=3", key=project.read_key).json
    assert [one["dataset_name"] for one in first["datasets"]] == ["A", "b", "c"]
    assert first["count"] == 4
    following = urlsplit(first["next_page_url"])
    assert f"{following.scheme}://{following.netloc}" == served.url
    last = served.request("GET", f"{following.path}?{following.query}", key=project.read_key).json
    assert [one["dataset_name"] for one in last["datasets"]] == ["d"]
    assert (last["count"], last["next_page_url"]) == (4, None)
    for limit in ("0", "101", "x", "-1"):
        assert served.request("GET", f"{calls.base}?limit={limit}", key=project.read_key).status == 400


def test_late_events_are_in_after_a_refresh(quick: Served, calls: Datasets) -> None:
    calls.ready("late")
    assert calls.today("late", index_by="x") == 2
    quick.record(calls.project, "purchases", *EVENTS[:2])
    deadline = time.monotonic() + 120
    while calls.today("late", index_by="x") != 4:
        assert time.monotonic() < deadline
        time.sleep(0.1)


def test_a_dataset_of_a_collection_that_is_not_there_yet_is_empty(calls: Datasets) -> None:
    calls.ready("early", event_collection="later")
    assert calls.today("early", index_by="x") == 0
    calls.server.record(calls.project, "later", EVENTS[0])
    deadline = time.monotonic() + 120
    while calls.today("early", index_by="x") != 1:
        assert time.monotonic() < deadline
        time.sleep(0.1)


def test_a_dataset_is_answered_before_it_is_computed_and_computed_whoever_dies() -> None:
    with Served() as server:
        project = server.project
        server.record(project, "purchases", *EVENTS)
        calls = Datasets(server, project)
        assert calls.put("new").status == 201
        server.kill("runner")
        assert calls.today("new", index_by="x") == 2
        calls.await_status("new", "OK", 30)
        server.restart()
        assert calls.send("GET", "new").json["status"] == "OK"
        assert calls.today("new", index_by="x") == 2


def key_for(calls: Datasets, **options: Any) -> str:
    """An access key for datasets alone."""
    body = {"name": "k", "permitted": ["datasets"], "options": {"datasets": options}}
    path = f"/3.0/projects/{calls.project.id}/keys"
    made = calls.server.request("POST", path, body, key=calls.project.master_key)
    assert made.status == 201, made.body
    key: str = made.json["key"]
    return key


def test_a_key_gets_the_datasets_and_values_that_its_options_allow(shared: Datasets) -> None:
    key = key_for(shared, allowed={"by-customer": {"index_by": {"customer.id": ["x"]}}})
    assert shared.results("by-customer", key, index_by="x").status == 200
    for given in ("y", '["y"]', "null"):
        assert shared.results("by-customer", key, index_by=given).status == 403
    assert shared.results("by-number", key, index_by="7").status == 403
    assert shared.send("GET", "by-number", key=key).status == 403
    assert shared.results("nothing", key, index_by="7").status == 403
    listed = shared.server.request("GET", shared.base, key=key).json
    assert [one["dataset_name"] for one in listed["datasets"]] == ["by-customer"]
    assert (listed["count"], listed["next_page_url"]) == (1, None)
    assert shared.send("DELETE", "by-customer", key=key).status == 401


@pytest.mark.parametrize("allowed", ["read", "list", "retrieve"])
def test_a_key_does_the_operations_that_its_options_allow(shared: Datasets, allowed: str) -> None:
    key = key_for(shared, operations=[allowed])
    done = {
        "read": shared.results("by-customer", key, index_by="x"),
        "list": shared.server.request("GET", shared.base, key=key),
        "retrieve": shared.send("GET", "by-customer", key=key),
    }
    assert {name for name, reply in done.items() if reply.status == 200} == {allowed}
    assert {reply.status for name, reply in done.items() if name != allowed} == {403}


def test_a_key_with_filters_is_answered_from_what_it_may_see(shared: Datasets) -> None:
    """Never from what was computed of all events, and it is not shown what the dataset filters by."""
    seen = [{"property_name": "item", "operator": "eq", "property_value": "cake"}]
    key = scoped_keys.encrypt(shared.project.master_key, {"allowed_operations": ["read"], "filters": seen})
    text = key.decode() if isinstance(key, bytes) else key
    assert shared.today("by-customer", index_by="x") == 2
    assert shared.today("by-customer", index_by="x", key=text) == 1
    assert shared.today("by-customer", index_by="y", key=text) == 0


SEEN: list[list[dict[str, Any]]] = [
    [{"property_name": "item", "operator": "eq", "property_value": "tea"}],
    [{"property_name": "customer.id", "operator": "ne", "property_value": "x"}],
]


def _is_seen(number: int, event: dict[str, Any]) -> bool:
    return event.get("customer") != {"id": "x"} if number else bool(event["item"] == "tea")


@pytest.mark.parametrize("number", range(len(SEEN)))
def test_what_a_filtered_key_gets_is_what_was_computed_of_events_filtered_beforehand(
    calls: Datasets, number: int
) -> None:
    seen = [event for event in EVENTS if _is_seen(number, event)]
    calls.server.record(calls.project, "seen", *seen)
    calls.ready("all", group_by="item")
    calls.ready("some", event_collection="seen", group_by="item")
    options = {"allowed_operations": ["read"], "filters": SEEN[number]}
    key = scoped_keys.encrypt(calls.project.master_key, options)
    text = key.decode() if isinstance(key, bytes) else key
    for given in ('["x"]', '["y"]', "[null]"):
        under_key = calls.results("all", text, index_by=given, timeframe="this_2_days")
        beforehand = calls.results("some", index_by=given, timeframe="this_2_days")
        assert under_key.json["result"] == beforehand.json["result"]
        assert under_key.json["metadata"]["dataset"]["query"]["filters"] == []


def test_what_is_deleted_is_in_no_result_from_then_on(served: Served, project: ServedProject) -> None:
    """With an hour between runs: the answers are right at once, and what was computed before them goes."""
    served.record(project, "purchases", *EVENTS)
    calls = Datasets(served, project)
    calls.ready("left", group_by="item")
    events = f"/3.0/projects/{project.id}/events/purchases"
    cake = [{"property_name": "item", "operator": "eq", "property_value": "cake"}]
    path = f"{events}?filters={quote(json.dumps(cake))}"
    assert served.request("DELETE", path, key=project.master_key).status == 204
    assert calls.today("left", index_by="x") == [{"item": "tea", "result": 1}]
    since = time.monotonic()
    assert served.request("DELETE", f"{events}/properties/item", key=project.master_key).status == 204
    assert calls.today("left", index_by="x") == [{"item": None, "result": 1}]
    calls.await_run("left", since)
    assert calls.today("left", index_by="x") == [{"item": None, "result": 1}]
    assert served.request("DELETE", events, key=project.master_key).status == 204
    assert calls.today("left", index_by="x") == []
