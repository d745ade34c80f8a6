"""The official JavaScript SDKs (`keen-tracking` 5.0.1, `keen-analysis` 3.7.0) from npm, unmodified, in Node.

keen-analysis in Node speaks TLS to port 443 whatever it is told, so Acumen is served with a certificate made
for the run, and a preload gives Node another default port. Each script runs all its operations once and
prints what became of each; the tests read that report.
"""

from __future__ import annotations

import json
import os
import subprocess
from collections.abc import Iterator
from datetime import datetime
from typing import Any

import pytest

from service.exports.jobs import PROCESSING_NO_MAIL
from tests.sdk import scenario
from tests.sdk.certificate import Certificate, make_certificate
from tests.sdk.conftest import NODE as HERE
from tests.sdk.conftest import Acumen, install_node_sdks
from tests.support.server import Served

Report = dict[str, Any]


@pytest.fixture(scope="module")
def node() -> str:
    return install_node_sdks()


@pytest.fixture(scope="module")
def certificate(tmp_path_factory: pytest.TempPathFactory) -> Certificate:
    return make_certificate(tmp_path_factory.mktemp("certificate"))


@pytest.fixture(scope="module")
def secure(certificate: Certificate) -> Iterator[Acumen]:
    """An Acumen of its own that speaks TLS."""
    settings = {
        "ACUMEN_TLS_CERT": str(certificate.certificate),
        "ACUMEN_TLS_KEY": str(certificate.key),
    }
    with Served(scheme="https", env=settings) as server:
        yield Acumen.of(server, server.project)


@pytest.fixture(scope="module")
def tracked(node: str, secure: Acumen, certificate: Certificate) -> Report:
    """What became of every operation of keen-tracking, over TLS."""
    events = {"purchases": scenario.PURCHASES, "visits": scenario.VISITS}
    job = {"client": _client(secure), "events": events}
    return _run(node, "track.cjs", job, secure, certificate)


@pytest.fixture(scope="module")
def asked(node: str, secure: Acumen, certificate: Certificate, tracked: Report) -> Report:
    """What became of every operation of keen-analysis, over what keen-tracking recorded."""
    questions = [[name, analysis, parameters] for name, analysis, parameters, _ in QUESTIONS]
    job = {
        "client": _client(secure),
        "timeframe": scenario.TIMEFRAME,
        "questions": questions,
        "steps": scenario.STEPS,
    }
    return _run(node, "analyse.cjs", job, secure, certificate)


def _client(acumen: Acumen) -> dict[str, Any]:
    """How an SDK is set up: as in Keen's own documentation, but for the host."""
    return {
        "projectId": acumen.project_id,
        "writeKey": acumen.write_key,
        "readKey": acumen.read_key,
        "masterKey": acumen.master_key,
        "host": "localhost",
    }


def _run(node: str, script: str, job: object, acumen: Acumen, certificate: Certificate | None) -> Report:
    """Run one script with its job on standard input; its report."""
    environment = {**os.environ, "ACUMEN_TEST_PORT": str(acumen.port), "TZ": "UTC"}
    if certificate is not None:
        environment["NODE_EXTRA_CA_CERTS"] = str(certificate.authority)
    done = subprocess.run(
        [node, "--require", str(HERE / "reroute.cjs"), str(HERE / script)],
        input=json.dumps(job),
        capture_output=True,
        text=True,
        env=environment,
        timeout=600,
    )
    assert done.returncode == 0, done.stderr
    report: Report = json.loads(done.stdout)
    return report


def _whole(parameters: dict[str, Any]) -> dict[str, Any]:
    return {"event_collection": "purchases", "timeframe": scenario.TIMEFRAME, **parameters}


# name, analysis, parameters, result: asked by the generic `client.query(analysis, parameters)`
QUESTIONS: list[tuple[str, str, dict[str, Any], Any]] = [
    *(
        (f"{analysis} {parameters.get('percentile', '')}".strip(), analysis, _whole(parameters), result)
        for analysis, parameters, result in scenario.SCALARS
    ),
    *(
        (f"filter {number} {condition['operator']}", "count", _whole({"filters": [condition]}), result)
        for number, (condition, result) in enumerate(scenario.FILTERS)
    ),
    ("group_by", "count", _whole({"group_by": "country"}), scenario.BY_COUNTRY),
    (
        "order_by and limit",
        "sum",
        _whole(
            {
                "target_property": "price",
                "group_by": ["country"],
                "order_by": [{"property_name": "result", "direction": "DESC"}],
                "limit": 2,
            }
        ),
        scenario.BY_COUNTRY_MOST_FIRST,
    ),
    ("interval", "count", _whole({"interval": "daily"}), scenario.DAILY_COUNTS),
    (
        "interval and group_by",
        "sum",
        _whole({"target_property": "price", "interval": "daily", "group_by": "country"}),
        scenario.DAILY_SUMS_BY_COUNTRY,
    ),
    ("multi_analysis", "multi_analysis", _whole({"analyses": scenario.ANALYSES}), scenario.MULTI),
    ("funnel", "funnel", {"steps": scenario.STEPS, "timeframe": scenario.TIMEFRAME}, scenario.FUNNEL),
    (
        "extraction",
        "extraction",
        _whole({"latest": 2, "property_names": ["user.id", "price"]}),
        [{"user": {"id": "cid"}, "price": 40}, {"user": {"id": "dora"}}],
    ),
    (
        "extraction by e-mail",
        "extraction",
        _whole({"email": "ann@example.com", "contentType": "application/json", "contentEncoding": "gzip"}),
        PROCESSING_NO_MAIL,
    ),
    ("standard_deviation", "standard_deviation", _whole({"target_property": "price"}), 125**0.5),
]

CREATED = {"answer": {"created": True}}


@pytest.mark.parametrize(
    "operation",
    [
        "recordEvent",
        "recordEventAsObject",
        "recordEventCallback",
        "recordEventUnique",
        "recordEventWithSlash",
        "recordEventWithIndex",
        "extendEvents",
    ],
)
def test_tracking_records_one_event(tracked: Report, operation: str) -> None:
    assert tracked[operation] == CREATED


def test_tracking_itself_drops_an_event_it_has_sent(tracked: Report) -> None:
    assert tracked["recordEventUniqueAgain"]["answer"]["created"] is False


def test_tracking_records_batches(tracked: Report) -> None:
    assert tracked["recordEvents"]["answer"] == {
        "purchases": [{"success": True}] * len(scenario.PURCHASES),
        "visits": [{"success": True}] * len(scenario.VISITS),
    }
    assert tracked["deferEvents"]["answer"] == {"js deferred": [{"success": True}] * 3}


def test_tracking_is_told_which_event_was_refused(tracked: Report) -> None:
    good, bad = tracked["recordEventsPartlyBad"]["answer"]["js verdicts"]
    assert good == {"success": True}
    assert (bad["success"], bad["error"]["name"]) == (False, "InvalidPropertyNameError")


def test_tracking_rejects_with_the_error_code(tracked: Report) -> None:
    assert tracked["recordEventBad"]["error"]["code"] == "InvalidPropertyNameError"
    assert tracked["recordEventWrongKey"]["error"]["code"] == "InvalidApiKeyError"


@pytest.mark.parametrize(("name", "result"), [(name, result) for name, _, _, result in QUESTIONS])
def test_analysis_answers(asked: Report, name: str, result: Any) -> None:
    assert "error" not in asked[name], asked[name]
    answer = asked[name]["answer"]["result"]
    assert answer == (pytest.approx(result) if isinstance(result, float) else result)


def test_analysis_funnel_names_the_actors_that_were_asked_for(asked: Report) -> None:
    first, second, third = asked["funnel"]["answer"]["actors"]
    assert (first, sorted(second), third) == (None, scenario.SECOND_STEP_ACTORS, None)


@pytest.mark.parametrize("operation", ["queryAsOneObject", "post", "getQuery"])
def test_analysis_other_ways_to_ask(asked: Report, operation: str) -> None:
    """Camel case in one object; a POST and a GET by URL."""
    assert asked[operation]["answer"]["result"] == 5


def test_analysis_saves_queries(asked: Report) -> None:
    """As its README does, in camel case."""
    made = asked["savePrices"]["answer"]
    assert (made["query_name"], made["metadata"]) == ("prices", {"display_name": "prices"})
    assert (made["query"]["analysis_type"], made["query"]["target_property"]) == ("sum", "price")
    assert asked["savedDefinition"]["answer"] == made
    names = [[row["query_name"] for row in asked[name]["answer"]] for name in ("savedList", "savedListAfter")]
    assert names == [["by-day", "funnel", "prices"], ["by-day", "prices"]]
    assert asked["saveBad"]["error"]["code"] == "InvalidParameterError"


def test_analysis_reads_results_of_saved_and_cached_queries(asked: Report) -> None:
    for name in ("savedResult", "savedResultByType"):
        assert asked[name]["answer"]["result"] == 100, asked[name]
        assert asked[name]["answer"]["query"]["analysis_type"] == "sum"
    cached = asked["cachedResult"]["answer"]
    assert cached["result"] == scenario.DAILY_COUNTS
    assert (cached["query"]["interval"], cached["run_information"]["stale"]) == ("daily", False)
    assert asked["funnelResult"]["answer"]["result"]["result"] == scenario.FUNNEL
    assert asked["missingResult"]["error"]["code"] == "ResourceNotFoundError"


def test_analysis_reads_datasets(asked: Report) -> None:
    """By a request's own words and by the older name of the analysis."""
    made = asked["datasetMake"]["answer"]
    assert (made["index_by"], made["query"]["interval"]) == (["country"], "daily")
    assert asked["datasetList"]["answer"]["count"] == 1
    assert asked["datasetDefinition"]["answer"]["display_name"] == "Prices"
    for name in ("datasetResult", "datasetResultByType"):
        assert "error" not in asked[name], asked[name]
        assert [row["value"] for row in asked[name]["answer"]["result"]] == [10, 30, 40]
    assert "error" not in asked["datasetDelete"]
    assert asked["datasetGone"]["error"]["code"] == "ResourceNotFoundError"


def test_deleting_events(asked: Report) -> None:
    """Strings arrive in JSON's quotes from this client."""
    assert "error" not in asked["passingDelete"]
    assert asked["passingLeft"]["answer"]["result"] == [2]
    assert "error" not in asked["passingDeleteAll"]
    assert asked["passingGone"]["error"]["code"] == "ResourceNotFoundError"


def test_analysis_query_objects(asked: Report) -> None:
    assert asked["queryObject"]["answer"]["result"] == 3
    assert [answer["result"] for answer in asked["runSeveral"]["answer"]] == [5, 100]


def test_analysis_metadata(asked: Report) -> None:
    answer = asked["metadata"]["answer"]
    assert answer["result"] == 5
    assert set(answer["execution_metadata"]) == {
        "events_scanned",
        "properties_per_event",
        "total_properties_scanned",
        "total_processing_time",
    }


def test_analysis_reads_schemas(asked: Report) -> None:
    by_name = {row["name"]: row["properties"] for row in asked["schemas"]["answer"]}
    assert by_name["purchases"] == scenario.SCHEMA
    assert "js/slash and space" in by_name
    assert asked["schema"]["answer"]["properties"] == scenario.SCHEMA
    assert asked["property"]["answer"]["property_name"] == "user.id"
    assert asked["property"]["answer"]["type"] == "string"


def test_analysis_discovers(asked: Report, secure: Acumen) -> None:
    project = asked["project"]["answer"]
    assert project["id"] == secure.project_id
    assert "purchases" in [row["name"] for row in project["events"]]
    assert [row["id"] for row in asked["projects"]["answer"]] == [secure.project_id]
    path = f"/3.0/projects/{secure.project_id}/queries/count"
    assert asked["queries"]["answer"]["count_url"] == path
    assert asked["version"]["answer"] == {"projects_resource_url": "/3.0/projects"}


@pytest.mark.parametrize(
    ("operation", "code"),
    [
        ("missingSchema", "ResourceNotFoundError"),
        ("badTimeframe", "TimeframeDefinitionError"),
        ("missingProperty", "MissingRequiredRequestFieldError"),
        ("wrongKey", "InvalidApiKeyError"),
    ],
)
def test_analysis_rejects_with_the_error_code(asked: Report, operation: str, code: str) -> None:
    assert asked[operation]["error"]["code"] == code


def test_tracking_over_plain_http_with_a_port(node: str, acumen: Acumen) -> None:
    """For a server without TLS: `protocol: "http"`, and the port in `nodeRequestConfig`."""
    client = {**_client(acumen), "host": "127.0.0.1", "protocol": "http"}
    client["nodeRequestConfig"] = {"port": acumen.port}
    report = _run(node, "track.cjs", {"client": client, "events": {"plain": [{"n": 1}]}}, acumen, None)
    assert report["recordEvent"] == CREATED
    assert report["recordEvents"]["answer"] == {"plain": [{"success": True}]}


def test_automatic_tracking_in_a_page_is_enriched(node: str, served: Served, acumen: Acumen) -> None:
    """A page view with all of its add-ons, by the SDK's build for browsers."""
    client = {**_client(acumen), "host": f"127.0.0.1:{acumen.port}", "protocol": "http"}
    report = _run(node, "page.cjs", {"client": client}, acumen, None)
    assert report == dict.fromkeys(("autoTracking", "autoTrackingWithoutAddress"), CREATED)
    path = f"/3.0/projects/{acumen.project_id}/queries/extraction"
    reply = served.request("POST", path, {"event_collection": "pageviews"}, key=acumen.read_key)
    events = reply.json["result"]
    assert sorted("ip_address" in event for event in events) == [False, True]
    for event in events:
        assert event["tech"]["browser"]["family"] == "Mobile Safari"
        assert event["tech"]["os"] == {"family": "iOS", "major": 17, "minor": 1, "patch": 2}
        assert event["tech"]["device"] == {"family": "iPhone", "type": "mobile phone"}
        assert event["tech"]["profile"]["screen"]["height"] == 844
        assert event["url"]["info"] == {
            "protocol": "https",
            "domain": "tea.example",
            "path": "/green",
            "query_string": {"utm_source": "mail"},
            "anchor": "price",
        }
        assert event["referrer"]["info"] == {"protocol": "https", "domain": "www.google.com", "path": "/"}
        sent = datetime.fromisoformat(event["keen"]["timestamp"])
        for clock in (event["time"]["utc"], event["time"]["local"]):
            assert (clock["year"], clock["month"], clock["day_of_week"]) == (
                sent.year,
                sent.month,
                sent.weekday(),
            )
            assert clock["timezone_offset"] == 0
        assert event.get("geo", {}) == {}, "an address of this machine has no place"
