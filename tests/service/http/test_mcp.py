"""The MCP server over HTTP: its messages, the tools of each kind of key, and what they reveal."""

from __future__ import annotations

import base64
import json
from collections.abc import Iterator
from typing import Any

import httpx
import pytest

from acumen_client import embed_token
from service.http.agents.protocol import LEGACY, MODERN, REVISIONS
from tests.service.whole import Whole

OF_READ = {
    *("list_collections", "describe_collection", "profile_collection", "measure", "multi_analysis", "series"),
    *(
        "funnel",
        "retention",
        "lifecycle",
        "stickiness",
        "paths",
        "sessions",
        "extract_events",
        "saved_query_result",
        "saved_query_chart",
        "chart",
        "list_cohorts",
        "cohort_actors",
    ),
}
OF_MASTER = {*OF_READ, "sql", "list_saved_queries", "describe_saved_query"}
EVENTS = [{"price": n, "who": f"u{n % 3}", "shop": "ab"[n % 2]} for n in range(10)]
HIDDEN = [{"price": 31_337, "who": "zoe", "shop": "c", "secret_margin": 77}]
FILTERS = [{"property_name": "shop", "operator": "eq", "property_value": "a"}]
META = {
    "io.modelcontextprotocol/protocolVersion": MODERN,
    "io.modelcontextprotocol/clientCapabilities": {},
}


class Agent:
    """A client of the protocol with one key."""

    def __init__(self, whole: Whole, key: str) -> None:
        self.whole, self.key = whole, key

    def post(self, body: Any, headers: dict[str, str] | None = None) -> httpx.Response:
        return self.whole.call(self.whole.project, "POST", "mcp", body, key=self.key, headers=headers)

    def send(self, method: str, **params: Any) -> Any:
        reply = self.post({"jsonrpc": "2.0", "id": 7, "method": method, "params": params})
        assert reply.json()["id"] == 7, reply.text
        return reply.json()

    def tools(self) -> list[str]:
        return [tool["name"] for tool in self.send("tools/list")["result"]["tools"]]

    def result(self, name: str, **arguments: Any) -> Any:
        found = self.send("tools/call", name=name, arguments=arguments)
        assert "result" in found, found
        return found["result"]

    def told(self, name: str, **arguments: Any) -> Any:
        result = self.result(name, **arguments)
        assert result["isError"] is False, result
        (text,) = result["content"]
        assert json.loads(text["text"]) == result["structuredContent"]
        return result["structuredContent"]

    def error(self, name: str, **arguments: Any) -> str:
        result = self.result(name, **arguments)
        assert result["isError"] is True, result
        return str(result["structuredContent"]["message"])


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Whole]:
    made = Whole(
        tmp_path_factory.mktemp("mcp") / "data",
        mcp_answer_bytes_max=60_000,
        mcp_origins="https://agents.example.com",
    )
    made.record(made.project, "buys", EVENTS + HIDDEN)
    made.record(made.project, "salaries", [{"amount": 5}])
    query = {"analysis_type": "count", "event_collection": "buys", "group_by": "shop"}
    for name in ("by-shop", "other"):
        made.told(
            made.project,
            "PUT",
            f"queries/saved/{name}",
            {"query": query, "metadata": {}},
        )
    yield made
    made.close()


@pytest.fixture
def master(whole: Whole) -> Agent:
    return Agent(whole, whole.project.master_key)


@pytest.fixture
def reader(whole: Whole) -> Agent:
    return Agent(whole, whole.project.read_key)


def with_access(whole: Whole, permitted: list[str], **options: Any) -> Agent:
    body = {"name": "agent", "permitted": permitted, "options": options, "is_active": True}
    return Agent(whole, whole.told(whole.project, "POST", "keys", body)["key"])


def modern(method: str, **params: Any) -> tuple[dict[str, Any], dict[str, str]]:
    body = {"jsonrpc": "2.0", "id": "m", "method": method, "params": {**params, "_meta": META}}
    return body, {"mcp-protocol-version": MODERN, "mcp-method": method}


# Messages


@pytest.mark.parametrize("asked", [*LEGACY, "2024-11-05", "2099-01-01", None])
def test_an_older_client_agrees_on_a_revision(reader: Agent, asked: str | None) -> None:
    result = reader.send("initialize", protocolVersion=asked, capabilities={}, clientInfo={})["result"]
    assert result["protocolVersion"] == (asked if asked in LEGACY else LEGACY[0])
    assert result["capabilities"] == {"tools": {}, "resources": {}}
    assert result["serverInfo"]["name"] == "acumen"
    assert reader.send("ping")["result"] == {}
    reply = reader.post({"jsonrpc": "2.0", "method": "notifications/initialized"})
    assert (reply.status_code, reply.content) == (202, b"")


def test_a_newer_client_says_the_revision_in_each_request(reader: Agent) -> None:
    reply = reader.post(*modern("server/discover"))
    result = reply.json()["result"]
    assert result["supportedVersions"] == list(REVISIONS)
    assert result["resultType"] == "complete"
    assert result["cacheScope"] == "private"
    assert result["_meta"]["io.modelcontextprotocol/serverInfo"]["name"] == "acumen"
    body, headers = modern("tools/call", name="measure", arguments={"analysis_type": "count"})
    wrong = reader.post(body, headers)
    assert (wrong.status_code, wrong.json()["error"]["code"], wrong.json()["id"]) == (400, -32020, "m")
    named = "=?base64?" + base64.b64encode(b"measure").decode() + "?="
    for name in ("measure", named):
        assert reader.post(body, {**headers, "mcp-name": name}).json()["result"]["resultType"] == "complete"


def test_headers_that_say_otherwise_are_refused(reader: Agent) -> None:
    body, headers = modern("tools/list")
    for changed in ({"mcp-protocol-version": "2025-11-25"}, {"mcp-method": "tools/call"}):
        reply = reader.post(body, {**headers, **changed})
        assert (reply.status_code, reply.json()["error"]["code"]) == (400, -32020)
    assert reader.post(body).json()["error"]["code"] == -32020
    body["params"]["_meta"] = {**META, "io.modelcontextprotocol/protocolVersion": "1900-01-01"}
    reply = reader.post(body, {**headers, "mcp-protocol-version": "1900-01-01"})
    assert reply.status_code == 400
    assert reply.json()["error"]["code"] == -32022
    assert reply.json()["error"]["data"] == {"supported": list(REVISIONS), "requested": "1900-01-01"}
    plain = {"jsonrpc": "2.0", "id": 1, "method": "tools/list"}
    assert reader.post(plain, {"mcp-protocol-version": "1900-01-01"}).status_code == 400
    assert reader.post(plain, {"mcp-protocol-version": LEGACY[0]}).status_code == 200
    body["params"]["_meta"] = {"io.modelcontextprotocol/protocolVersion": MODERN}
    assert reader.post(body, headers).json()["error"]["code"] == -32602


def test_an_unknown_method_is_an_error(reader: Agent) -> None:
    assert reader.send("prompts/list")["error"]["code"] == -32601
    reply = reader.post(*modern("ping"))
    assert (reply.status_code, reply.json()["error"]["code"]) == (404, -32601)


@pytest.mark.parametrize(
    ("body", "code"),
    [
        (b"{", -32700),
        ([], -32600),
        ([{"jsonrpc": "2.0", "id": 1, "method": "ping"}], -32600),
        (3, -32600),
        ({"id": 1, "method": "ping"}, -32600),
        ({"jsonrpc": "2.0", "id": None, "method": "ping"}, -32600),
        ({"jsonrpc": "2.0", "id": True, "method": "ping"}, -32600),
        ({"jsonrpc": "2.0", "id": 1 << 70, "method": "ping"}, -32600),
        ({"jsonrpc": "2.0", "id": 1, "method": 3}, -32600),
        ({"jsonrpc": "2.0", "id": 1, "method": "ping", "params": []}, -32602),
    ],
)
def test_what_is_no_message_is_refused(reader: Agent, body: Any, code: int) -> None:
    reply = reader.post(body)
    assert (reply.status_code, reply.json()["error"]["code"]) == (400, code)


def test_a_body_that_is_too_long_is_refused(reader: Agent) -> None:
    limit = reader.whole.settings.query_bytes_max
    assert reader.post(b" " * (limit + 1)).status_code == 413


def test_other_methods_of_http_are_not_allowed(reader: Agent) -> None:
    for method in ("GET", "DELETE"):
        reply = reader.whole.call(reader.whole.project, method, "mcp", key=reader.key)
        assert reply.status_code == 405
        assert "POST" in reply.headers["allow"]


def test_pages_of_other_sites_are_refused(reader: Agent) -> None:
    body = {"jsonrpc": "2.0", "id": 1, "method": "ping"}
    for origin in ("http://localhost:6274", "http://127.0.0.1:9", "https://agents.example.com"):
        assert reader.post(body, {"origin": origin}).status_code == 200
    # A name that leads to this machine, as it is in DNS rebinding.
    reply = reader.post(body, {"origin": "http://evil.example", "host": "evil.example"})
    assert reply.status_code == 403
    assert "evil.example" in reply.json()["message"]
    assert reader.post(body, {"origin": "null"}).status_code == 403
    own = {"origin": "http://192.0.2.7:8000", "host": "192.0.2.7:8000"}
    assert reader.post(body, own).status_code == 200


# Tools of each key


def test_the_tools_are_what_the_key_may_do(whole: Whole, master: Agent, reader: Agent) -> None:
    assert set(master.tools()) == OF_MASTER
    assert set(reader.tools()) == OF_READ
    assert set(with_access(whole, ["schema"]).tools()) == {"list_collections", "describe_collection"}
    assert set(with_access(whole, ["cached_queries"]).tools()) == {"saved_query_result", "saved_query_chart"}
    assert with_access(whole, ["query_definition"]).tools() == ["describe_saved_query"]
    asking = set(with_access(whole, ["queries"], queries={"sql": True}).tools())
    assert {"sql", "measure", "funnel", "extract_events"} <= asking
    assert not asking & {"list_collections", "profile_collection", "saved_query_result"}
    numbers = set(with_access(whole, ["queries"], queries={"extraction": False}).tools())
    assert asking - numbers == {"sql", "extract_events"}


def test_a_key_that_may_ask_nothing_is_refused(whole: Whole) -> None:
    for key in (whole.project.write_key, with_access(whole, ["writes", "datasets"]).key):
        reply = Agent(whole, key).post({"jsonrpc": "2.0", "id": 1, "method": "tools/list"})
        assert reply.status_code == 403
        assert "lacks the permission" in reply.json()["message"]
    assert Agent(whole, "0" * 64).post({}).status_code == 401


def test_embed_tokens_are_refused(whole: Whole) -> None:
    token = embed_token(with_access(whole, ["queries", "schema"]).key, allow=["queries", "schema"])
    reply = Agent(whole, token).post({"jsonrpc": "2.0", "id": 1, "method": "tools/list"})
    assert reply.status_code == 403
    assert "use an access key" in reply.json()["message"]


def test_the_key_may_have_a_scheme(whole: Whole) -> None:
    for scheme in ("Bearer", "bearer"):
        agent = Agent(whole, f"{scheme} {whole.project.read_key}")
        assert agent.told("measure", analysis_type="count", event_collection="buys") == {"result": 11}
    path = f"/3.0/projects/{whole.project.id}/mcp?api_key={whole.project.read_key}"
    body = {"jsonrpc": "2.0", "id": 1, "method": "tools/call"}
    reply = whole.send("POST", path, body | {"params": {"name": "list_collections"}})
    assert reply.json()["result"]["structuredContent"]["collections"]


def test_a_tool_that_is_not_offered_cannot_be_called(whole: Whole, reader: Agent) -> None:
    found = reader.send("tools/call", name="sql", arguments={"sql": "SELECT 1"})
    assert found["error"]["code"] == -32602
    assert reader.send("tools/call", name="mesure")["error"]["message"].count("measure") == 1
    schema_only = with_access(whole, ["schema"])
    assert "error" in schema_only.send("tools/call", name="measure", arguments={})
    unseen = with_access(whole, ["queries"])
    assert "error" in unseen.send("resources/read", uri="acumen://schema")
    assert unseen.send("initialize")["result"]["capabilities"] == {"tools": {}}


def test_every_schema_is_whole(master: Agent) -> None:
    for tool in master.send("tools/list")["result"]["tools"]:
        schema = tool["inputSchema"]
        text = json.dumps(schema)
        assert schema["type"] == "object"
        assert schema["additionalProperties"] is False
        assert tool["description"]
        assert "#/components" not in text
        for part in text.split('"$ref": "#/$defs/')[1:]:
            assert part.partition('"')[0] in schema["$defs"]


# Answers


def test_the_schema_is_told(reader: Agent) -> None:
    names = {one["name"] for one in reader.told("list_collections")["collections"]}
    assert names == {"buys", "salaries"}
    assert reader.told("describe_collection", event_collection="buys")["properties"]["price"] == "num"
    profile = reader.told("profile_collection", event_collection="buys", property_names=["shop"], top=1)
    assert profile["events"] == 11
    listed = reader.send("resources/list")["result"]["resources"]
    assert [one["uri"] for one in listed] == ["acumen://schema"]
    (content,) = reader.send("resources/read", uri="acumen://schema")["result"]["contents"]
    assert {one["name"] for one in json.loads(content["text"])} == names
    assert reader.send("resources/read", uri="acumen://other")["error"]["code"] == -32602


def test_cohorts_are_listed_and_every_question_takes_them(whole: Whole, reader: Agent) -> None:
    listed = {"actor_property": "who", "actors": ["u1", "u2", "nobody"]}
    often = {"actor_property": "who", "all": [{"event_collection": "buys", "at_least": 4}]}
    for name, definition in (("listed", listed), ("often", often)):
        whole.told(whole.project, "PUT", f"cohorts/{name}", definition)
    cohorts = {one["name"]: one for one in reader.told("list_cohorts")["cohorts"]}
    assert {name: one["kind"] for name, one in cohorts.items()} == {"listed": "static", "often": "behaviour"}
    found = reader.told("cohort_actors", cohort_name="often", limit=1)
    assert found == {"result": 1, "actors": ["u0"], "truncated": False}
    question = {"analysis_type": "count", "event_collection": "buys"}
    one_of_them = [{"operator": "in_cohort", "property_value": "listed"}]
    assert reader.told("measure", **question, filters=one_of_them) == {"result": 6}
    rows = reader.told("measure", **question, group_by=[{"cohort": "often"}])["result"]
    assert {row["often"]: row["result"] for row in rows} == {True: 4, False: 7}
    asked = {"event_collection": "buys", "actor_property": "who", "timeframe": "this_1_days"}
    assert reader.told("stickiness", **asked, filters=one_of_them)["result"]
    assert "none" in reader.error("cohort_actors", cohort_name="none")


def test_every_analysis_is_answered(master: Agent) -> None:
    where = {"event_collection": "buys"}
    assert master.told("measure", analysis_type="sum", target_property="price", **where) == {"result": 31_382}
    by_shop = master.told("measure", analysis_type="count", group_by="shop", **where)["result"]
    assert {row["shop"]: row["result"] for row in by_shop} == {"a": 5, "b": 5, "c": 1}
    several = {
        "n": {"analysis_type": "count"},
        "most": {"analysis_type": "maximum", "target_property": "price"},
    }
    assert master.told("multi_analysis", analyses=several, **where)["result"] == {"n": 11, "most": 31_337}
    one = {"buys": {"event_collection": "buys", "analysis_type": "count"}}
    told = master.told("series", series=one, formulas={"double": "buys * 2"})
    assert told["result"] == {"buys": 11, "double": 22}
    step = {"event_collection": "buys", "actor_property": "who"}
    assert master.told("funnel", steps=[step, step])["result"] == [4, 4]
    actors = {"actor_property": "who", "timeframe": "this_2_days"}
    assert master.told("sessions", **where, **actors)["result"]
    event = {"event_collection": "buys"}
    asked = {"starting_event": event, "returning_event": event, "interval": "daily"}
    assert master.told("retention", **asked, **actors)["result"]
    assert master.told("lifecycle", interval="daily", **where, **actors)["result"]
    assert master.told("stickiness", **where, **actors)["result"]
    assert master.told("paths", **where, **actors)["result"]["paths"] == 4
    assert len(master.told("extract_events", latest=3, **where)["result"]) == 3
    rows = master.told("sql", sql="SELECT count(*) AS n FROM buys WHERE price > ?", parameters=[4])
    assert rows["result"] == [{"n": 6}]


def test_saved_queries_are_told(master: Agent, reader: Agent) -> None:
    names = {one["query_name"] for one in master.told("list_saved_queries")["saved_queries"]}
    assert names == {"by-shop", "other"}
    assert master.told("describe_saved_query", query_name="by-shop")["query"]["group_by"] == ["shop"]
    assert len(reader.told("saved_query_result", query_name="by-shop")["result"]) == 3
    narrowed = reader.told("saved_query_result", query_name="by-shop", filters=FILTERS)
    assert len(narrowed["result"]) == 1


def test_charts_are_pictures(reader: Agent) -> None:
    for tool, asked in (
        ("saved_query_chart", {"query_name": "by-shop"}),
        (
            "chart",
            {"analysis_type": "count", "parameters": {"event_collection": "buys", "group_by": "shop"}},
        ),
    ):
        (png,) = reader.result(tool, width=300, height=200, **asked)["content"]
        assert (png["type"], png["mimeType"]) == ("image", "image/png")
        assert base64.b64decode(png["data"]).startswith(b"\x89PNG")
        (svg,) = reader.result(tool, format="svg", title="Of shops", **asked)["content"]
        assert svg["mimeType"] == "image/svg+xml"
        assert b"Of shops" in base64.b64decode(svg["data"])
    assert "format" in reader.error("chart", analysis_type="count", parameters={}, format="gif")
    assert "'theme'" in reader.error("saved_query_chart", query_name="by-shop", theme="drak")
    assert "event_collection" in reader.error("chart", analysis_type="count", parameters={})


def test_errors_say_what_would_help(reader: Agent) -> None:
    missing = reader.result("measure", analysis_type="sum", event_collection="buys")
    assert missing["isError"] is True
    assert "target_property" in missing["structuredContent"]["message"]
    assert missing["structuredContent"]["status"] == 400
    assert json.loads(missing["content"][0]["text"]) == missing["structuredContent"]
    assert "group_by" in reader.error("measure", analysis_type="count", event_collection="buys", groupby="a")
    assert "percentile" in reader.error(
        "measure", analysis_type="count", event_collection="buys", percentile=3
    )
    assert "median" in reader.error("measure", analysis_type="medain", event_collection="buys")
    assert "timeframe" in reader.error(
        "measure", analysis_type="count", event_collection="buys", timeframe="soon"
    )
    assert "steps" in reader.error("funnel")
    assert "none" in reader.error("describe_collection", event_collection="none")
    assert "event_collection" in reader.error("describe_collection", event_collection=3)
    assert "email" in reader.error("extract_events", event_collection="buys", email="a@example.com")
    found = reader.send("tools/call", name="measure", arguments=[1])
    assert found["error"]["code"] == -32602


def test_an_answer_that_is_too_large_is_no_answer(whole: Whole, reader: Agent) -> None:
    whole.record(whole.project, "wide", [{"text": "x" * 500, "n": n} for n in range(200)])
    found = reader.result("extract_events", event_collection="wide")
    assert found["isError"] is True
    assert "60,000" in found["structuredContent"]["message"]
    assert "x" * 100 not in json.dumps(found)
    assert reader.told("extract_events", event_collection="wide", latest=2)["result"]


# Isolation


def test_a_filtered_key_sees_its_own_events_alone(whole: Whole) -> None:
    agent = with_access(
        whole,
        ["schema", "queries", "saved_queries", "query_definition"],
        queries={"filters": FILTERS, "sql": True},
        saved_queries={"filters": FILTERS, "blocked": ["other"]},
    )
    seen: list[Any] = [agent.send("tools/list"), agent.send("resources/read", uri="acumen://schema")]
    where = {"event_collection": "buys"}
    assert agent.told("measure", analysis_type="count", **where) == {"result": 5}
    assert agent.told("sql", sql="SELECT count(*) AS n FROM buys")["result"] == [{"n": 5}]
    step = {"event_collection": "buys", "actor_property": "who"}
    assert agent.told("funnel", steps=[step])["result"] == [3]
    assert [one["name"] for one in agent.told("list_collections")["collections"]] == ["buys"]
    assert agent.told("saved_query_result", query_name="by-shop")["result"] == [{"shop": "a", "result": 5}]
    assert agent.error("saved_query_result", query_name="other")
    assert agent.error("describe_collection", event_collection="salaries")
    assert agent.error("sql", sql="SELECT amount FROM salaries")
    for tool, arguments in (
        ("list_collections", {}),
        ("describe_collection", where),
        ("profile_collection", where),
        ("extract_events", where),
        ("measure", {"analysis_type": "select_unique", "target_property": "who", **where}),
        ("measure", {"analysis_type": "count", "group_by": "shop", **where}),
        ("sql", {"sql": "SELECT * FROM buys"}),
        ("saved_query_result", {"query_name": "by-shop"}),
        ("describe_saved_query", {"query_name": "by-shop"}),
        ("chart", {"analysis_type": "count", "parameters": {"group_by": "shop", **where}, "format": "svg"}),
    ):
        result = agent.result(tool, **arguments)
        assert result["isError"] is False, (tool, result)
        seen += [base64.b64decode(one["data"]).decode() for one in result["content"] if "data" in one]
        seen.append(result)
    text = json.dumps(seen)
    for hidden in ("secret_margin", "zoe", "31337", "salaries"):
        assert hidden not in text


def test_a_revoked_key_ends(whole: Whole) -> None:
    agent = with_access(whole, ["schema"])
    assert agent.tools()
    whole.told(whole.project, "POST", f"keys/{agent.key}/revoke")
    while (reply := agent.post({"jsonrpc": "2.0", "id": 1, "method": "tools/list"})).status_code == 200:
        pass
    assert reply.status_code == 401
