"""The JavaScript client in Node, against a served Acumen: recording, asking, managing, embed tokens."""

from __future__ import annotations

import json
import time
from pathlib import Path
from typing import Any

import pytest

from tests.clients.embed_filters import CASES, taken_by_server
from tests.clients.embed_opening import opened
from tests.clients.js.conftest import Run
from tests.sdk import scenario
from tests.support.server import Served, ServedProject

Report = dict[str, Any]
VECTORS = Path(__file__).resolve().parents[1] / "embed_vectors.json"


def client_of(served: Served, project: ServedProject) -> dict[str, Any]:
    return {
        "url": served.url,
        "projectId": project.id,
        "writeKey": project.write_key,
        "readKey": project.read_key,
        "masterKey": project.master_key,
    }


@pytest.fixture(scope="module")
def shop(served: Served) -> ServedProject:
    """A project with the purchases and visits of the SDK's scenario."""
    project = served.new_project("Shop")
    served.record(project, "purchases", *scenario.PURCHASES)
    served.record(project, "visits", *scenario.VISITS)
    return project


SERIES = {
    "series": {"orders": {"event_collection": "purchases", "analysis_type": "count"}},
    "formulas": {"twice": "orders * 2"},
    "compare": "previous_year",
}
RETENTION = {
    "starting_event": {"event_collection": "purchases"},
    "actor_property": "user.id",
    "group_by": "country",
}


def calls() -> list[list[Any]]:
    timeframe = {"timeframe": scenario.TIMEFRAME}
    methods = {
        "count_unique": "countUnique",
        "standard_deviation": "standardDeviation",
        "select_unique": "selectUnique",
    }
    found: list[list[Any]] = []
    for analysis, parameters, _ in scenario.SCALARS:
        name = f"{analysis} {parameters.get('percentile', '')}".strip()
        found.append([name, methods.get(analysis, analysis), "purchases", {**timeframe, **parameters}])
    for number, (condition, _) in enumerate(scenario.FILTERS):
        found.append([f"filter {number}", "count", "purchases", {**timeframe, "filters": [condition]}])
    daily = {**timeframe, "interval": "daily"}
    found += [
        ["by country", "count", "purchases", {**timeframe, "group_by": "country"}],
        ["daily", "count", "purchases", daily],
        [
            "daily by country",
            "sum",
            "purchases",
            {**daily, "target_property": "price", "group_by": "country"},
        ],
        ["multi", "multiAnalysis", "purchases", {**timeframe, "analyses": scenario.ANALYSES}],
        ["funnel", "funnel", scenario.STEPS, timeframe],
        ["series", "series", {**timeframe, **SERIES}],
        [
            "paths",
            "paths",
            "purchases",
            {**timeframe, "actor_property": "user.id", "by": "country"},
        ],
        [
            "sessions",
            "sessions",
            [{"event_collection": "purchases"}],
            {**timeframe, "actor_property": "user.id", "measures": ["sessions", "events"]},
        ],
        [
            "lifecycle",
            "lifecycle",
            "purchases",
            {**timeframe, "actor_property": "user.id", "interval": "every_3_days"},
        ],
        ["stickiness", "stickiness", "purchases", {**timeframe, "actor_property": "user.id"}],
        ["retention", "retention", {**timeframe, "interval": "every_3_days", **RETENTION}],
        ["extraction", "extraction", "purchases", {"latest": 1, "property_names": ["user.id", "price"]}],
        ["by name", "query", "count", {"event_collection": "purchases", **timeframe}],
        ["warned", "sum", "purchases", {"target_property": "prise"}],
        ["misspelt", "count", "purchases", {"filter": []}],
        ["no timeframe", "count", "purchases", {"interval": "daily"}],
    ]
    return found


@pytest.fixture(scope="module")
def asked(run: Run, served: Served, shop: ServedProject) -> Report:
    report: Report = run("asking.mjs", {"client": client_of(served, shop), "calls": calls()})
    return report


EXPECTED = [
    *((f"{analysis} {p.get('percentile', '')}".strip(), result) for analysis, p, result in scenario.SCALARS),
    *((f"filter {number}", result) for number, (_, result) in enumerate(scenario.FILTERS)),
    ("by country", scenario.BY_COUNTRY),
    ("daily", scenario.DAILY_COUNTS),
    ("daily by country", scenario.DAILY_SUMS_BY_COUNTRY),
    ("multi", scenario.MULTI),
    ("funnel", scenario.FUNNEL),
    ("series", {"orders": 5, "twice": 10}),
    ("by name", 5),
    ("sessions", {"sessions": 5, "events": 5}),
]


@pytest.mark.parametrize(
    ("name", "result"), EXPECTED, ids=lambda value: value if isinstance(value, str) else ""
)
def test_questions_are_answered(asked: Report, name: str, result: Any) -> None:
    assert "error" not in asked[name], asked[name]
    answer = asked[name]["answer"]["result"]
    assert answer == (pytest.approx(result) if isinstance(result, float) else result)


def test_series_are_compared(asked: Report) -> None:
    compared = asked["series"]["answer"]["compare"]
    assert (compared["value"], compared["change"]) == ({"orders": 0, "twice": 0}, {"orders": 5, "twice": 10})


def test_an_answer_has_warnings_request_id_and_completeness(asked: Report) -> None:
    answer = asked["warned"]["answer"]
    assert answer["warnings"][0]["code"] == "UnknownProperty"
    assert answer["warnings"][0]["did_you_mean"] == "price"
    assert (answer["complete"], answer["result"]) == (True, 0)
    assert len(answer["requestId"]) == 20
    assert asked["funnel"]["answer"]["actors"] is not None
    assert len(asked["extraction"]["answer"]["result"]) == 1
    (states,) = asked["lifecycle"]["answer"]["result"]
    assert states["value"]["new"] == max(
        row["value"]["mau"] for row in asked["stickiness"]["answer"]["result"]
    )
    retention = asked["retention"]["answer"]
    assert [one["sizes"][0] for one in retention["summary"]] == [one["size"] for one in retention["result"]]


@pytest.mark.parametrize(
    ("name", "status", "code"),
    [("misspelt", 400, "InvalidParameterError"), ("no timeframe", 400, "MissingRequiredRequestFieldError")],
)
def test_errors_have_the_servers_code(asked: Report, name: str, status: int, code: str) -> None:
    error = asked[name]["error"]
    assert (error["name"], error["status"]) == ("ApiError", status)
    assert error["code"].endswith("Error") and error["requestId"] and error["message"]
    if name == "misspelt":
        assert error["code"] == code


def test_a_timezone_of_the_client_holds_where_none_is_named(
    run: Run, served: Served, project: ServedProject
) -> None:
    client = {**client_of(served, project), "timezone": "Asia/Tokyo"}
    daily = {"timeframe": "this_day", "interval": "daily"}
    asked = [
        ["own", "count", "nights", daily],
        ["named", "count", "nights", {**daily, "timezone": "UTC"}],
    ]
    report = run("asking.mjs", {"client": client, "calls": asked})
    starts = {name: report[name]["answer"]["result"][0]["timeframe"]["start"] for name in ("own", "named")}
    assert {name: start[11:16] for name, start in starts.items()} == {"own": "15:00", "named": "00:00"}


def test_recording_with_an_outcome(run: Run, served: Served, project: ServedProject) -> None:
    report = run("recording.mjs", {"client": client_of(served, project)})
    assert [report[name] for name in ("one", "token", "again")] == [{"answer": None}] * 3
    assert report["bad"]["error"]["code"] == "InvalidPropertyNameError"
    many = report["many"]["answer"]
    assert (many["stored"], len(many["refused"]), many["duplicates"]) == (3, 1, 0)
    refused = many["refused"][0]
    assert (refused["collection"], refused["index"], refused["event"]["a.b"]) == ("made", 1, 2)
    assert refused["name"] == "InvalidPropertyNameError"
    assert report["large"]["answer"]["stored"] == 25_000
    assert report["wrongKey"]["error"]["code"] == "InvalidApiKeyError"
    assert report["noKey"]["error"]["name"] == "ConfigurationError"
    assert report["nobody"]["error"]["name"] == "ConnectionError"
    assert report["aborted"]["error"]["message"] == "enough"
    assert served.ask(project, "count", event_collection="made") == 4
    assert served.ask(project, "count", event_collection="a/b c") == 1
    (first,) = served.ask(
        project,
        "extraction",
        event_collection="made",
        filters=[{"property_name": "price", "operator": "eq", "property_value": 7}],
    )
    assert first["keen"]["timestamp"] == "2026-01-02T03:04:05.000Z"


@pytest.fixture(scope="module")
def managed(run: Run, served: Served) -> Report:
    created = json.loads(served.told("orgs", "create", "Clients").stdout)
    project = served.new_project("Managed")
    served.record(project, "purchases", *scenario.PURCHASES)
    served.record(project, "visits", *scenario.VISITS)
    client = {
        **client_of(served, project),
        "organizationId": created["id"],
        "organizationKey": created.get("key") or created["organization_key"],
    }
    report: Report = run("managing.mjs", {"client": client, "timeframe": scenario.TIMEFRAME})
    return report


def test_managing_saved_queries(managed: Report) -> None:
    made = managed["savePut"]["answer"]
    assert made["metadata"] == {"display_name": "Revenue"}
    assert managed["saveGet"]["answer"]["query"] == made["query"]
    assert [one["query_name"] for one in managed["saveList"]["answer"]] == ["revenue"]
    result = managed["saveResult"]["answer"]
    assert (result["result"], result["query"]["analysis_type"]) == (100, "sum")
    assert managed["saveDelete"] == {"answer": None}
    assert managed["saveGone"]["error"]["code"] == "ResourceNotFoundError"


def test_managing_datasets(managed: Report) -> None:
    assert managed["datasetMake"]["answer"]["index_by"] == ["country"]
    assert [one["dataset_name"] for one in managed["datasetList"]["answer"]] == ["by-country"]
    assert managed["datasetGet"]["answer"]["display_name"] == "By country"
    assert "error" not in managed["datasetResults"], managed["datasetResults"]
    assert managed["datasetResults"]["answer"]["result"][0]["timeframe"]
    assert managed["datasetDelete"] == {"answer": None}


def test_managing_dashboards(managed: Report) -> None:
    assert managed["dashboardGet"]["answer"] == {"widgets": [{"id": "w"}]}
    assert managed["dashboardTitle"]["answer"]["title"] == "Umsätze – 日本"
    assert managed["dashboardRename"]["answer"]["title"] == "Sales"
    assert [one["id"] for one in managed["dashboardList"]["answer"]] == ["sales"]
    assert managed["dashboardDelete"] == {"answer": None}


def test_managing_keys(managed: Report) -> None:
    assert [key["name"] for key in managed["keyList"]["answer"]] == ["Shop"]
    assert managed["keyUpdate"]["answer"]["permitted"] == ["queries", "schema"]
    assert managed["keyRevoke"]["answer"]["is_active"] is False
    assert managed["keyUnrevoke"]["answer"]["is_active"] is True
    assert managed["keyGet"]["answer"]["name"] == "Shop 2"
    assert managed["keyDelete"] == {"answer": None}


def test_managing_collections(managed: Report) -> None:
    assert managed["schema"]["answer"]["properties"] == scenario.SCHEMA
    assert {one["name"] for one in managed["schemas"]["answer"]} == {"purchases", "visits"}
    assert managed["property"]["answer"]["type"] == "string"
    assert [one["name"] for one in managed["profile"]["answer"]["properties"]] == ["price"]
    assert managed["project"]["answer"]["name"] == "Managed"
    assert "collections" in managed["usage"]["answer"]
    assert (managed["retention"]["answer"], managed["noRetention"]["answer"]) == (400, None)
    assert managed["update"]["answer"]["updated_events"] >= 1
    for name in ("deleteProperty", "deleteSome", "deleteAll"):
        assert managed[name] == {"answer": None}, name
    assert 0 < managed["left"]["answer"]["result"] < len(scenario.VISITS)
    assert managed["deleteNothing"]["error"]["name"] == "ConfigurationError"


def test_managing_identities(managed: Report) -> None:
    actor = managed["actor"]["answer"]
    assert (actor["id"], sorted(actor["ids"])) == ("zoe", ["a-1", "zoe"])
    assert [one["conflict"] for one in actor["links"]] == [False]
    assert managed["actors"]["answer"]["count"] == 1
    events = managed["actorEvents"]["answer"]["events"]
    assert {name: len(listed) for name, listed in events.items()} == {"views": 1, "acumen.identities": 1}
    assert managed["actorSplit"] == {"answer": None}
    assert managed["actorErased"]["answer"]["deleted_events"] == {"views": 1}


def test_managing_projects(managed: Report) -> None:
    made = managed["projectMake"]["answer"]
    assert [one["id"] for one in managed["projectList"]["answer"]] == [made["id"]]
    assert managed["projectUpdate"]["answer"]["name"] == "Other branch"
    assert managed["projectGet"]["answer"]["apiKeys"] == made["apiKeys"]
    assert managed["projectUsage"]["answer"]["projects"][0]["id"] == made["id"]
    assert managed["projectDelete"] == {"answer": None}


def test_embed_tokens_are_those_of_the_vectors(run: Run) -> None:
    vectors = json.loads(VECTORS.read_text(encoding="utf-8"))
    report = run("embed.mjs", {"tokens": vectors["tokens"]})
    for made, vector in zip(report["made"], vectors["tokens"], strict=True):
        assert made == {"token": vector["token"], "key_id": vector["key_id"]}, vector["name"]


WRONG: list[tuple[dict[str, Any], str]] = [
    ({"savedQueries": "revenue"}, "savedQueries must be a list"),
    ({"dashboards": [1]}, "dashboards must be a list of texts"),
    ({"filters": {"property_name": "a"}}, "filters must be a list"),
    ({"allow": ["query"]}, "allow may hold"),
    ({"viewer": {"timeframes": True}}, "a viewer's changes may hold"),
    ({"viewer": {"timeframe": "yes"}}, "'timeframe' of viewer must be true or false"),
    ({"viewer": {"filters": "country"}}, "filters of viewer must be a list"),
    ({"origins": ["https://shop.example/"]}, "is no origin"),
    ({"queries": 1.5}, "how many answers"),
    ({"queries": 0}, "1 or more"),
    ({"expiresIn": 0}, "more than 0"),
    ({"filters": [{"property_name": "a", "operator": "equals", "property_value": 1}]}, "operator is one of"),
    ({"filters": [{"property_name": "a", "operator": "in", "property_value": "x"}]}, "cannot compare"),
    ({"filters": [{"property_name": "a", "operator": "gt", "property_value": None}]}, "cannot compare"),
    ({"filters": [{"property_name": "a", "operator": "eq", "property_value": {}}]}, "cannot compare"),
    ({"filters": [{"property_name": "a", "operator": "eq"}]}, "cannot compare with undefined"),
    ({"filters": [{"property": "a", "operator": "eq", "property_value": 1}]}, "needs a property_name"),
    ({"filters": [{"operator": "or", "operands": []}]}, "needs operands"),
    ({"filters": [{"operator": "or", "operands": [{"property_name": "a"}]}]}, "operator is one of"),
    ({"filters": [None]}, "operator is one of"),
]


def test_what_no_server_understands_is_refused_as_it_is_made(run: Run) -> None:
    """A server would refuse the token as a whole, and could not say why."""
    report = run("embed.mjs", {"tokens": [], "wrong": [conditions for conditions, _ in WRONG]})
    for said, (conditions, message) in zip(report["refused"], WRONG, strict=True):
        assert message in said["error"]["message"], (conditions, said)


def test_filters_are_refused_that_a_server_would_refuse(run: Run) -> None:
    report = run("embed.mjs", {"tokens": [], "wrong": [{"filters": filters} for filters in CASES]})
    for filters, said in zip(CASES, report["refused"], strict=True):
        assert ("answer" in said) == taken_by_server(filters), (filters, said)


def test_a_condition_without_a_value_is_refused(run: Run) -> None:
    """A variable that is not set must not make a token that shows everything."""
    report = run("embed.mjs", {"tokens": []})
    for name, said in report["undefined"].items():
        assert f"{name} is undefined" in said["error"]["message"]


def test_embed_tokens_end_in_an_hour_unless_told(run: Run) -> None:
    report = run("embed.mjs", {"tokens": []})
    (own,) = opened("key", report["own"])
    assert own["saved_queries"] == ["revenue"]
    assert abs(own["expires_at"] - time.time() - 60) < 60
    (hour,) = opened("key", report["hour"])
    assert list(hour) == ["expires_at"] and abs(hour["expires_at"] - time.time() - 3600) < 60
    assert opened("key", report["narrowed"]) == [own, {"queries": 3}]
    assert report["own"] != report["own2"], "a nonce came twice"
    for name in ("misspelt", "tooOften", "noToken"):
        assert report[name]["error"]["name"] == "AcumenError"
