"""Warnings beside an answer: what leaves a question without data, told to who may read the schema."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any
from urllib.parse import urlencode

import pytest

from tests.support.server import Reply, Served, ServedProject

EVENTS: list[dict[str, Any]] = [
    {"price": 12.5, "text_price": "12.50", "user": {"id": "ann"}, "plan": "pro", "tags": ["a"], "vip": True},
    {"price": 7, "text_price": "7", "user": {"id": "bob"}, "plan": "free"},
]


@pytest.fixture(scope="module")
def shop(served: Served) -> ServedProject:
    project = served.new_project("Warnings")
    served.record(project, "purchases", *EVENTS)
    served.record(project, "signups", {"plan": "pro"})
    return project


Ask = Callable[..., Reply]

OF_UTC = {"start": "2026-03-27", "end": "2026-03-31T00:00:00"}
OF_BERLIN = {"start": "2026-03-27T00:00:00+01:00", "end": "2026-03-31T00:00:00+02:00"}
THE_SAME = {"start": "2026-03-26T23:00:00Z", "end": "2026-03-30T22:00:00Z"}


@pytest.fixture(scope="module")
def ask(served: Served, shop: ServedProject) -> Ask:
    def asked(analysis: str, key: str = "", **params: Any) -> Reply:
        path = f"/3.0/projects/{shop.id}/queries/{analysis}"
        if analysis != "funnel":
            params = {"event_collection": "purchases", **params}
        reply = served.request("POST", path, params, key=key or shop.read_key)
        assert reply.status == 200, reply.body
        return reply

    return asked


def told(reply: Reply) -> list[tuple[str, str, str | None]]:
    return [(one["code"], one["parameter"], one["did_you_mean"]) for one in reply.json.get("warnings", [])]


def condition(name: str, operator: str, value: Any) -> dict[str, Any]:
    return {"property_name": name, "operator": operator, "property_value": value}


STEP = {"event_collection": "purchases", "actor_property": "user.id"}

UNKNOWN: list[tuple[str, dict[str, Any], tuple[str, str, str | None]]] = [
    ("count", {"event_collection": "purchase"}, ("UnknownCollection", "event_collection", "purchases")),
    ("count", {"event_collection": "zzz"}, ("UnknownCollection", "event_collection", None)),
    ("sum", {"target_property": "prise"}, ("UnknownProperty", "target_property", "price")),
    ("sum", {"target_property": "Price"}, ("UnknownProperty", "target_property", "price")),
    ("count_unique", {"target_property": "usr.id"}, ("UnknownProperty", "target_property", "user.id")),
    ("select_unique", {"target_property": "user"}, ("PropertyIsObject", "target_property", "user.id")),
    ("count", {"group_by": "usr.id"}, ("UnknownProperty", "group_by", "user.id")),
    ("count", {"group_by": ["plan", "user"]}, ("PropertyIsObject", "group_by", "user.id")),
    (
        "count",
        {"filters": [condition("plam", "ne", "pro")]},
        ("UnknownProperty", "filters[0].property_name", "plan"),
    ),
    (
        "count",
        {"filters": [{"operator": "or", "operands": [condition("plam", "eq", "pro")]}]},
        ("UnknownProperty", "filters[0].operands[0].property_name", "plan"),
    ),
    ("extraction", {"property_names": ["price", "pirce"]}, ("UnknownProperty", "property_names", "price")),
    (
        "multi_analysis",
        {"analyses": {"n": {"analysis_type": "sum", "target_property": "prise"}}},
        ("UnknownProperty", "analyses.n.target_property", "price"),
    ),
    (
        "funnel",
        {"steps": [STEP, {**STEP, "actor_property": "usr.id"}]},
        ("UnknownProperty", "steps[1].actor_property", "user.id"),
    ),
    (
        "funnel",
        {"steps": [STEP, {**STEP, "event_collection": "signup"}]},
        ("UnknownCollection", "steps[1].event_collection", "signups"),
    ),
    (
        "funnel",
        {"steps": [{**STEP, "filters": [condition("plam", "eq", "pro")]}]},
        ("UnknownProperty", "steps[0].filters[0].property_name", "plan"),
    ),
    *(
        (analysis, {"target_property": "text_price"}, ("NoNumbers", "target_property", None))
        for analysis in ("sum", "average", "minimum", "maximum", "median", "standard_deviation")
    ),
    (
        "percentile",
        {"target_property": "text_price", "percentile": 9},
        ("NoNumbers", "target_property", None),
    ),
    ("sum", {"target_property": "keen.timestamp"}, ("NoNumbers", "target_property", None)),
    (
        "count",
        {"group_by": {"property_name": "text_price", "buckets": {"size": 5}}},
        ("NoNumbers", "group_by", None),
    ),
    *(
        ("count", {"filters": [condition(*made)]}, (code, "filters[0].property_value", None))
        for made, code in (
            (("price", "gt", "6"), "FilterNeverMatches"),
            (("price", "eq", "7"), "FilterNeverMatches"),
            (("price", "in", ["7", "8"]), "FilterNeverMatches"),
            (("price", "contains", "7"), "FilterNeverMatches"),
            (("price", "regex", "7"), "FilterNeverMatches"),
            (("text_price", "lt", 6), "FilterNeverMatches"),
            (("vip", "eq", "true"), "FilterNeverMatches"),
            (("user", "eq", "ann"), "FilterNeverMatches"),
            (("keen.timestamp", "gt", "yesterday"), "FilterNeverMatches"),
            (("price", "ne", "7"), "FilterAlwaysMatches"),
            (("price", "not_contains", "7"), "FilterAlwaysMatches"),
        )
    ),
    ("count", {"latest": 5}, ("ParameterWithoutEffect", "latest", None)),
    ("extraction", {"group_by": "plan"}, ("ParameterWithoutEffect", "group_by", None)),
]


@pytest.mark.parametrize(("analysis", "params", "warning"), UNKNOWN)
def test_what_leaves_a_question_without_data_is_said_beside_its_answer(
    ask: Ask, analysis: str, params: dict[str, Any], warning: tuple[str, str, str | None]
) -> None:
    reply = ask(analysis, **params)
    assert told(reply) == [warning]
    assert "result" in reply.json
    (one,) = reply.json["warnings"]
    assert set(one) == {"code", "parameter", "message", "did_you_mean"}
    if warning[2] is not None:
        assert f"'{warning[2]}'" in one["message"]


@pytest.mark.parametrize(
    ("analysis", "params", "parameter", "instead"),
    [
        ("count", {"timeframe": OF_UTC}, "timezone", OF_BERLIN["start"]),
        ("count", {"timeframe": {**OF_UTC, "start": OF_BERLIN["start"]}}, "timezone", OF_BERLIN["end"]),
        ("count", {"timeframe": json.dumps(OF_UTC), "interval": "daily"}, "timezone", OF_BERLIN["start"]),
        ("count", {"timeframe": THE_SAME, "interval": "daily"}, "timezone", OF_BERLIN["start"]),
        (
            "stickiness",
            {"timeframe": THE_SAME, "actor_property": "user.id"},
            "timezone",
            OF_BERLIN["start"],
        ),
        ("funnel", {"steps": [STEP, {**STEP, "timeframe": OF_UTC}]}, "steps[1].timezone", OF_BERLIN["start"]),
    ],
)
def test_a_zone_that_does_not_shift_a_timeframe_is_said_with_what_would(
    ask: Ask, analysis: str, params: dict[str, Any], parameter: str, instead: str
) -> None:
    reply = ask(analysis, **params, timezone="Europe/Berlin")
    assert told(reply) == [("ParameterWithoutEffect", parameter, None)]
    assert f"For Europe/Berlin send '{instead}'." in reply.json["warnings"][0]["message"]


@pytest.mark.parametrize(
    ("params", "timezone"),
    [
        ({"timeframe": OF_BERLIN, "interval": "daily"}, "Europe/Berlin"),
        ({"timeframe": THE_SAME}, "Europe/Berlin"),
        ({"timeframe": "this_7_days", "interval": "daily"}, "Europe/Berlin"),
        ({"timeframe": OF_UTC, "interval": "daily"}, "UTC"),
        # SDKs send the browser's offset with every question.
        ({"timeframe": OF_UTC, "interval": "daily"}, 3600),
        ({"timeframe": OF_UTC, "interval": "daily"}, "3600"),
    ],
)
def test_a_zone_that_means_what_the_timeframe_says_is_nothing_to_warn_of(
    ask: Ask, params: dict[str, Any], timezone: Any
) -> None:
    assert told(ask("count", **params, timezone=timezone)) == []


@pytest.mark.parametrize(
    ("analysis", "params"),
    [
        ("count", {}),
        ("sum", {"target_property": "price"}),
        ("count_unique", {"target_property": "tags"}),
        ("count", {"group_by": ["plan", "user.id"], "filters": [condition("price", "gt", 6)]}),
        ("count", {"filters": [condition("user", "exists", True), condition("plan", "eq", None)]}),
        ("count", {"filters": [condition("price", "in", ["a", 7]), condition("plan", "ne", "pro")]}),
        ("count", {"filters": [condition("keen.timestamp", "gt", "2020-01-01"), condition("tags", "eq", 5)]}),
        ("extraction", {"property_names": ["user", "keen.id"]}),
        ("select_unique", {"target_property": "keen.id"}),
        ("funnel", {"steps": [STEP]}),
        ("count", {"target_property": "zzz", "percentile": 5, "latest": None}),
    ],
)
def test_it_is_absent_where_there_is_nothing_to_say(ask: Ask, analysis: str, params: dict[str, Any]) -> None:
    assert "warnings" not in ask(analysis, **params).json


def test_answers_by_get_and_by_script_have_it_too(served: Served, shop: ServedProject) -> None:
    query = {"event_collection": "purchases", "target_property": "prise", "api_key": shop.read_key}
    path = f"/3.0/projects/{shop.id}/queries/sum?{urlencode(query)}"
    assert told(served.request("GET", path)) == [("UnknownProperty", "target_property", "price")]
    assert b'"warnings"' in served.request("GET", f"{path}&jsonp=f").body


def test_an_older_answer_has_its_warnings(ask: Ask) -> None:
    asked = {"target_property": "prise", "max_age": 60, "timeframe": "this_2_years"}
    first, second = ask("sum", **asked), ask("sum", **asked)
    assert "age" in second.headers or served_twice(first, second)
    assert told(first) == told(second) == [("UnknownProperty", "target_property", "price")]


def served_twice(first: Reply, second: Reply) -> bool:
    """By two workers, each of which keeps answers of its own."""
    return first.headers["x-request-id"][:8] != second.headers["x-request-id"][:8]


def test_a_name_is_known_once_an_event_has_it_and_no_more_once_none_has(served: Served) -> None:
    project = served.new_project("Comes and goes")
    served.record(project, "c", {"a": 1})
    path = f"/3.0/projects/{project.id}/queries/sum"
    question = {"event_collection": "c", "target_property": "amount"}

    def codes() -> list[str]:
        found = served.request("POST", path, question, key=project.read_key).json
        return [one["code"] for one in found.get("warnings", [])]

    assert codes() == ["UnknownProperty"]
    served.record(project, "c", {"amount": 1})
    assert codes() == []
    gone = f"/3.0/projects/{project.id}/events/c/properties/amount"
    assert served.request("DELETE", gone, key=project.master_key).status == 204
    assert codes() == ["UnknownProperty"]


def test_events_whose_time_stands_in_a_property_are_told_where_it_belongs(served: Served) -> None:
    project = served.new_project("Undated")
    served.record(project, "undated", {"timestamp": "2020-01-01T00:00:00Z"}, {"timestamp": "2020-01-02"})
    dated = {"timestamp": "2020-01-01T00:00:00Z", "keen": {"timestamp": "2020-01-01T00:00:00Z"}}
    served.record(project, "dated", dated)
    served.record(project, "plain", {"a": 1, "nested": {"time": 5}})
    path = f"/3.0/projects/{project.id}/queries/count"

    def codes(collection: str, **params: Any) -> list[tuple[str, str, str | None]]:
        question = {"event_collection": collection, **params}
        return told(served.request("POST", path, question, key=project.read_key))

    hint = ("TimestampIsProperty", "timeframe", "keen.timestamp")
    assert codes("undated", timeframe="this_1_days") == [hint]
    assert codes("undated", timeframe={"start": "2020-01-01", "end": "2021-01-01"}) == [hint]
    assert codes("undated") == []
    for other in ("dated", "plain"):
        assert codes(other, timeframe="this_10_years") == []


# Keys


def key_of(served: Served, project: ServedProject, permitted: list[str], *filters: Any) -> str:
    body = {
        "name": "n",
        "is_active": True,
        "permitted": permitted,
        "options": {"queries": {"filters": list(filters)}} if filters else {},
    }
    reply = served.request("POST", f"/3.0/projects/{project.id}/keys", body, key=project.master_key)
    assert reply.status == 201, reply.body
    return str(reply.json["key"])


def test_a_key_that_may_not_read_the_schema_gets_none(served: Served, shop: ServedProject, ask: Ask) -> None:
    key = key_of(served, shop, ["queries"])
    for analysis, params, _ in UNKNOWN[:3]:
        assert "warnings" not in ask(analysis, key, **params).json
    assert "warnings" not in ask("count", key, latest=5).json


@pytest.fixture(scope="module")
def tenants(served: Served) -> tuple[ServedProject, str]:
    """Two tenants' events in one project, and a key that sees one's."""
    project = served.new_project("Tenants")
    served.record(project, "c", {"t": 1, "price": 5, "n": "x"}, {"t": 2, "secret_price": 7, "n": 4})
    served.record(project, "theirs", {"t": 2})
    served.record(project, "mine", {"t": 1})
    return project, key_of(served, project, ["queries", "schema"], condition("t", "eq", 1))


@pytest.mark.parametrize(
    ("analysis", "params", "warnings"),
    [
        ("sum", {"target_property": "secret_price"}, [("UnknownProperty", "target_property")]),
        ("sum", {"target_property": "secret_pric"}, [("UnknownProperty", "target_property")]),
        ("sum", {"target_property": "pricee"}, [("UnknownProperty", "target_property")]),
        ("sum", {"target_property": "price"}, []),
        ("sum", {"target_property": "n"}, [("NoNumbers", "target_property")]),
        (
            "count",
            {"filters": [condition("n", "gt", 3)]},
            [("FilterNeverMatches", "filters[0].property_value")],
        ),
        ("count", {"event_collection": "theirs"}, [("UnknownCollection", "event_collection")]),
        ("count", {"event_collection": "their"}, [("UnknownCollection", "event_collection")]),
        ("count", {"event_collection": "mines"}, [("UnknownCollection", "event_collection")]),
    ],
)
def test_a_filtered_key_learns_nothing_from_outside_its_filter(
    served: Served,
    tenants: tuple[ServedProject, str],
    analysis: str,
    params: dict[str, Any],
    warnings: list[tuple[str, str]],
) -> None:
    project, key = tenants
    path = f"/3.0/projects/{project.id}/queries/{analysis}"
    found = served.request("POST", path, {"event_collection": "c", **params}, key=key)
    assert [(code, parameter) for code, parameter, _ in told(found)] == warnings
    asked = str(params)
    for hidden in ("secret_price", "theirs"):
        assert hidden in asked or hidden not in found.body.decode()
    meant = {one["did_you_mean"] for one in found.json.get("warnings", [])}
    assert meant <= {None, "price", "mine"}


def test_what_a_filtered_key_sees_later_is_no_more_warned_of(served: Served) -> None:
    project = served.new_project("Later")
    served.record(project, "c", {"t": 1}, {"t": 2, "price": 7})
    key = key_of(served, project, ["queries", "schema"], condition("t", "eq", 1))
    path = f"/3.0/projects/{project.id}/queries/sum"
    question = {"event_collection": "c", "target_property": "price"}
    assert "warnings" in served.request("POST", path, question, key=key).json
    served.record(project, "c", {"t": 1, "price": 7})
    assert served.request("POST", path, question, key=key).json == {"result": 7}
    served.record(project, "c", {"t": 1, "other": 7})
    assert served.request("POST", path, question, key=key).json == {"result": 7}


# Definitions


def test_a_saved_query_that_is_put_says_what_leaves_it_without_data(
    served: Served, shop: ServedProject
) -> None:
    path = f"/3.0/projects/{shop.id}/queries/saved/misspelt"
    query = {"analysis_type": "sum", "event_collection": "purchases", "target_property": "prise"}
    reply = served.request("PUT", path, {"query": query}, key=shop.master_key)
    assert (reply.status, told(reply)) == (201, [("UnknownProperty", "target_property", "price")])
    good = {"query": {**query, "target_property": "price"}}
    assert "warnings" not in served.request("PUT", path, good, key=shop.master_key).json
    got = served.request("GET", path, key=shop.master_key).json
    assert served.request("PUT", path, got, key=shop.master_key).status == 200


@pytest.mark.parametrize(
    ("path", "body", "named"),
    [
        ("queries/saved/n", {"quer": {}}, "query"),
        ("queries/saved/n", {"refreshRate": 0, "query": {}}, "refresh_rate"),
        ("queries/saved/n", {"metdata": {}, "query": {}}, "metadata"),
        (
            "queries/saved/n",
            {"query": {"analysis_type": "count", "event_collection": "c", "filter": []}},
            "filters",
        ),
        ("datasets/n", {"quer": {}}, "query"),
        ("datasets/n", {"indexby": "a", "query": {}}, "index_by"),
        (
            "datasets/n",
            {
                "index_by": "a",
                "query": {
                    "analysis_type": "count",
                    "event_collection": "c",
                    "timeframe": "this_2_days",
                    "interval": "daily",
                    "groupby": "a",
                },
            },
            "group_by",
        ),
    ],
)
def test_a_misspelt_field_of_a_definition_is_refused(
    served: Served, shop: ServedProject, path: str, body: dict[str, Any], named: str
) -> None:
    reply = served.request("PUT", f"/3.0/projects/{shop.id}/{path}", body, key=shop.master_key)
    assert reply.status == 400, reply.body
    assert f"Did you mean '{named}'?" in reply.json["message"]


@pytest.mark.parametrize(
    ("body", "named"),
    [
        ({"option": {"queries": {"filters": []}}}, "options"),
        ({"options": {"queries": {"filters": [{**condition("a", "eq", 1), "x": 1}]}}}, "'x'"),
    ],
)
def test_a_misspelt_restriction_makes_no_key(
    served: Served, shop: ServedProject, body: dict[str, Any], named: str
) -> None:
    sent = {"name": "n", "is_active": True, "permitted": ["queries"], **body}
    reply = served.request("POST", f"/3.0/projects/{shop.id}/keys", sent, key=shop.master_key)
    assert (reply.status, named in reply.json["message"]) == (400, True), reply.body


def test_a_dataset_that_is_put_says_what_leaves_it_without_data(served: Served, shop: ServedProject) -> None:
    body = {
        "index_by": "usr.id",
        "query": {
            "analysis_type": "sum",
            "event_collection": "purchases",
            "target_property": "prise",
            "timeframe": "this_2_days",
            "interval": "daily",
        },
    }
    reply = served.request("PUT", f"/3.0/projects/{shop.id}/datasets/misspelt", body, key=shop.master_key)
    assert reply.status == 201, reply.body
    assert told(reply) == [
        ("UnknownProperty", "target_property", "price"),
        ("UnknownProperty", "index_by", "user.id"),
    ]


def test_results_of_definitions_take_no_parameters_of_questions(served: Served, shop: ServedProject) -> None:
    base = f"/3.0/projects/{shop.id}"
    query = {"analysis_type": "count", "event_collection": "purchases"}
    daily = {**query, "timeframe": "this_2_days", "interval": "daily"}
    saved, dataset = f"{base}/queries/saved/plain", f"{base}/datasets/plain"
    assert served.request("PUT", saved, {"query": query}, key=shop.master_key).status == 201
    body = {"index_by": "plan", "query": daily}
    assert served.request("PUT", dataset, body, key=shop.master_key).status == 201
    misspelt = ("time_frame=today", "limit=5")
    of_dataset = (*misspelt, "timeframe[start]=2024-01-01")
    for path, wrongs in ((f"{saved}/result?", misspelt), (f"{dataset}/results?index_by=pro&", of_dataset)):
        assert served.request("GET", f"{path}_=1&api_key={shop.read_key}").status == 200
        for wrong in wrongs:
            reply = served.request("GET", f"{path}{wrong}", key=shop.read_key)
            assert (reply.status, wrong.partition("=")[0] in reply.json["message"]) == (400, True)
