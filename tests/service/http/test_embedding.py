"""Embed tokens over HTTP: what they open, what they show, and how they end."""

from __future__ import annotations

import json
import re
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any, ClassVar

import httpx
import pytest

from service.auth.embed_conditions import TokenUse
from service.errors import ApiError, RateLimited, ServiceUnavailable
from service.http.app import describe
from service.http.browser_pages import error_page
from service.http.error_rendering import render
from service.settings import load
from storage.catalog.keyring import public_id
from storage.catalog.tenants.access_keys import seal_context
from storage.catalog.tenants.records import AccessKey
from tests.service.auth.test_embed_tokens import VECTORS
from tests.service.whole import Whole
from tests.support.embed import chained, embed_token, narrowed
from tests.support.server import Served, ServedProject

SHOP = {"origin": "https://shop.example"}
SECRET = "topsecret"
"""Stands in the values of filters, in metadata and in inline queries: no token may be told it."""
EVERY = ["queries", "saved_queries", "cached_queries", "datasets", "schema"]
C1 = {"filters": [{"property_name": "customer.id", "operator": "eq", "property_value": "c1"}]}
HIDING = [{"property_name": "customer.id", "operator": "ne", "property_value": SECRET}]
COUNT = {"analysis_type": "count", "event_collection": "buys", "timeframe": "this_14_days"}
STEP = {"event_collection": "buys", "actor_property": "customer.id", "filters": HIDING, "with_actors": True}
INLINE = {"analysis_type": "count", "event_collection": "buys", "filters": HIDING}
BOARD = {
    "version": 2,
    "title": "Sales",
    "notes": SECRET,
    "widgets": [
        {"id": "a", "type": "visualization", "query": "count", "position": {"x": 0}, "note": SECRET},
        {"id": "b", "type": "visualization", "query": INLINE, "settings": {"widgetSettings": {"title": "B"}}},
        {"id": "c", "type": "filter", "query": None, "settings": {"targetProperty": SECRET, "name": "C"}},
    ],
}


class Site:
    """A project with something of everything, and an access key for embedding."""

    def __init__(self, data: Path) -> None:
        self.whole = whole = Whole(data, dataset_refresh_seconds=3_600.0)
        self.project = whole.project
        whole.record(
            self.project,
            "buys",
            [
                {"n": n, "customer": {"id": f"c{n % 2}"}, "country": "de" if n < 4 else "fr"}
                for n in range(10)
            ],
        )
        self.put("count", {**COUNT, "filters": HIDING})
        self.put("kept", {**COUNT, "filters": HIDING}, refresh_rate=14_400)
        self.put("funnel", {"analysis_type": "funnel", "steps": [STEP, {**STEP, "optional": True}]})
        self.put("raw", {"analysis_type": "extraction", "event_collection": "buys"})
        dataset = {**COUNT, "interval": "daily", "filters": HIDING}
        body = {"query": dataset, "index_by": "customer.id", "display_name": "By customer"}
        self.told("PUT", "datasets/by-customer", body)
        for name, metadata in (("sales", {"title": "Sales", "by": SECRET}), ("other", {"title": "Other"})):
            header = {"x-keen-blob-metadata": json.dumps(metadata)}
            assert (
                self.call("PUT", f"/projects/P/dashboards/{name}", BOARD, headers=header).status_code == 201
            )
        self.key = self.new_key(EVERY)
        whole.refresh()

    def put(self, name: str, query: Any, **more: Any) -> None:
        body = {"query": query, "metadata": {"display_name": name.title(), "why": SECRET}, **more}
        self.told("PUT", f"queries/saved/{name}", body)

    def new_key(self, permitted: list[str], **options: Any) -> str:
        body = {"name": "Embedding", "permitted": permitted, "options": options}
        return str(self.told("POST", "keys", body)["key"])

    def call(self, method: str, path: str, body: Any = None, **more: Any) -> httpx.Response:
        """A path that begins with a slash is not below the project; P in it is the project."""
        if path.startswith("/"):
            path = "../../.." + path.replace("/P/", f"/{self.project.id}/")
        return self.whole.call(self.project, method, path, body, **more)

    def told(self, method: str, path: str, body: Any = None, **more: Any) -> Any:
        reply = self.call(method, path, body, **more)
        assert reply.status_code in (200, 201, 204), (method, path, reply.text)
        return reply.json() if reply.content else None

    def refused(self, token: str, path: str = "queries/saved/count/result", **more: Any) -> tuple[int, str]:
        reply = self.call("GET", path, key=token, **more)
        assert reply.status_code >= 400, reply.text
        # A page must be able to read why.
        assert reply.headers["access-control-allow-origin"] == "*"
        return reply.status_code, str(reply.json()["error_code"])


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    site = Site(tmp_path_factory.mktemp("embedding") / "data")
    yield site
    site.whole.close()


# Which tokens are good


@pytest.fixture(scope="module")
def vectored(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    """A site whose project has the access keys of the vectors."""
    site = Site(tmp_path_factory.mktemp("vectors") / "data")
    catalog, project_id = site.whole.catalog, site.project.id
    for key in VECTORS["access_keys"].values():
        digest = catalog.keyring.digest(project_id, key)
        sealed = catalog.keyring.seal(key, seal_context(project_id, digest))
        made = AccessKey(project_id, digest, sealed, "k", True, tuple(EVERY), {}, 0, public_id(key))
        catalog.access_keys.create(made)
    yield site
    site.whole.close()


@pytest.mark.parametrize("vector", VECTORS["tokens"], ids=lambda one: one["name"])
def test_tokens_of_the_sdks_are_taken(vectored: Site, vector: Any) -> None:
    status, code = vectored.refused(vector["token"], "queries/saved/none/result", headers=SHOP)
    allowed = json.loads(vector["parts"][0]["conditions"]).get("saved_queries")
    assert (status, code) == ((404, "ResourceNotFoundError") if allowed is None else (403, "ForbiddenError"))


@pytest.mark.parametrize("vector", VECTORS["refused"], ids=lambda one: one["name"])
def test_tokens_that_are_none_are_refused_without_a_reason(vectored: Site, vector: Any) -> None:
    reply = vectored.call("GET", "queries/saved/count/result", key=vector["token"])
    nothing = vectored.call("GET", "queries/saved/count/result", key="ae1.x")
    assert (reply.status_code, reply.json()) == (nothing.status_code, nothing.json())
    assert (reply.status_code, reply.json()["error_code"]) == (401, "InvalidApiKeyError")


@pytest.mark.parametrize("vector", VECTORS["expired"], ids=lambda one: one["name"])
def test_expired_tokens_are_told_so(vectored: Site, vector: Any) -> None:
    assert vectored.refused(vector["token"]) == (401, "EmbedTokenExpiredError")


def test_a_token_opens_its_own_project_alone(site: Site) -> None:
    other = site.whole.new_project()
    token = embed_token(site.key)
    assert site.call("GET", "queries/saved/count/result", key=token).status_code == 200
    reply = site.whole.call(other, "GET", "queries/saved/count/result", key=token)
    assert (reply.status_code, reply.json()["error_code"]) == (401, "InvalidApiKeyError")


def test_only_access_keys_make_tokens(site: Site) -> None:
    for key in (site.project.master_key, site.project.read_key, site.project.write_key, "x"):
        assert site.refused(embed_token(key)) == (401, "InvalidApiKeyError")


def test_a_token_dies_with_its_key_and_lives_again(site: Site) -> None:
    key = site.new_key(EVERY)
    token = narrowed(embed_token(key), {"queries": 10**6})
    for path, alive in (("revoke", False), ("unrevoke", True)):
        assert site.call("GET", "queries/saved/count/result", key=token).status_code == 200
        site.told("POST", f"keys/{key}/revoke")
        assert site.refused(token) == (401, "InvalidApiKeyError")
        if alive:
            continue
        site.told("POST", f"keys/{key}/unrevoke")
        assert path == "revoke"
    site.told("DELETE", f"keys/{key}")
    assert site.refused(token) == (401, "InvalidApiKeyError")


def test_a_key_that_is_changed_changes_its_tokens(site: Site) -> None:
    key = site.new_key(EVERY)
    token = embed_token(key, {"allow": ["queries"]})
    ask = {"event_collection": "buys"}
    assert site.told("GET", "queries/count", key=token, **ask) == {"result": 10}
    body = {"name": "k", "permitted": EVERY, "options": {"queries": C1}}
    site.told("POST", f"keys/{key}", body)
    assert site.told("GET", "queries/count", key=token, **ask) == {"result": 5}
    site.told("POST", f"keys/{key}", {"name": "k", "permitted": ["saved_queries"]})
    assert site.refused(token, "queries/count", **ask) == (403, "ForbiddenError")


def test_a_token_in_the_address_is_as_good(site: Site) -> None:
    reply = site.whole.get(
        f"/3.0/projects/{site.project.id}/queries/saved/count/result?api_key={embed_token(site.key)}", key=""
    )
    assert reply.status_code == 200


# What tokens open


def test_an_expiry_is_looked_at_for_each_request(site: Site) -> None:
    now = site.whole.now_us
    token = embed_token(site.key, {"expires_at": now // 1_000_000 + 60})
    assert site.call("GET", "queries/saved/count/result", key=token).status_code == 200
    try:
        site.whole.now_us += 60_000_000
        assert site.refused(token) == (401, "EmbedTokenExpiredError")
    finally:
        site.whole.now_us = now


def test_an_origin_is_looked_at_before_the_question_is(site: Site) -> None:
    token = embed_token(site.key, {"origins": ["https://shop.example"]})
    for headers in (SHOP, {"referer": "https://shop.example/a"}, {"origin": "http://test"}):
        assert site.call("GET", "queries/saved/count/result", key=token, headers=headers).status_code == 200
    for headers in ({}, {"origin": "null"}, {"origin": "https://evil.example"}, {"referer": "data:,"}):
        for path in ("queries/saved/count/result", "queries/saved/none/result", "queries/count"):
            assert site.refused(token, path, headers=headers) == (403, "OriginNotAllowedError")
    with_default = embed_token(site.new_key(EVERY, embed={"origins": ["https://shop.example"]}))
    assert site.refused(with_default) == (403, "OriginNotAllowedError")
    assert site.call("GET", "queries/saved/count/result", key=with_default, headers=SHOP).status_code == 200


def test_origins_of_a_key_are_checked_and_shown(site: Site) -> None:
    embed: Any = {"origins": ["https://shop.example"]}
    body: dict[str, Any] = {"name": "k", "permitted": EVERY, "options": {"embed": embed}}
    assert site.told("POST", "keys", body)["options"]["embed"] == embed
    wrongs: list[Any] = ["https://a", ["*"], ["https://a/b"], [1], {}]
    for wrong in wrongs:
        body["options"] = {"embed": {"origins": wrong}}
        reply = site.call("POST", "keys", body)
        assert reply.status_code == 400
        assert "options.embed.origins" in reply.json()["message"]
    body["options"] = {"embed": {"origin": []}}
    assert "origins" in site.call("POST", "keys", body).json()["message"]


def test_a_budget_counts_answers_and_nothing_else(site: Site) -> None:
    token = embed_token(site.key, {"queries": 3})
    tighter = narrowed(token, {"queries": 1})
    for path in ("queries/saved/none/result", "queries/count", "datasets/by-customer/results"):
        assert site.call("GET", path, key=token).status_code >= 400
    assert site.call("GET", "queries/saved/count/embed", key=token).status_code == 200
    assert site.call("GET", "queries/saved/kept/result", key=tighter).status_code == 200
    assert site.refused(tighter) == (429, "RateLimitExceededError")
    # What is narrowed counts against what it was made of.
    for path in ("queries/saved/kept/result", "datasets/by-customer/results?index_by=c1"):
        path, _, query = path.partition("?")
        pairs = dict([query.split("=")]) if query else {}
        assert site.call("GET", path, key=token, **pairs).status_code == 200
    assert site.refused(token) == (429, "RateLimitExceededError")
    assert site.refused(narrowed(token, {"queries": 100})) == (429, "RateLimitExceededError")
    assert site.refused(narrowed(token)) == (429, "RateLimitExceededError")


def test_names_are_those_of_all_links_and_the_key(site: Site) -> None:
    key = site.new_key(EVERY, saved_queries={"allowed": ["count", "funnel"]}, datasets={"blocked": ["x"]})
    token = chained(key, {"saved_queries": ["count", "kept"]}, {"datasets": []})
    assert site.call("GET", "queries/saved/count/result", key=token).status_code == 200
    assert site.call("GET", "queries/saved/kept/result", key=token).status_code == 200
    assert site.refused(token, "queries/saved/funnel/result") == (403, "ForbiddenError")
    assert site.refused(token, "datasets/by-customer/results", index_by="c1") == (403, "ForbiddenError")
    none = narrowed(token, {"saved_queries": ["funnel"]})
    for name in ("count", "kept", "funnel"):
        assert site.refused(none, f"queries/saved/{name}/result") == (403, "ForbiddenError")


def test_naming_results_closes_the_kinds_that_are_not_named(site: Site) -> None:
    """A token for one chart shows no dashboards and datasets, whatever its key may see."""
    board = "/projects/P/dashboards/sales"
    chart = embed_token(site.key, {"saved_queries": ["count"]})
    assert site.call("GET", "queries/saved/count/result", key=chart).status_code == 200
    assert site.refused(chart, "datasets/by-customer/results", index_by="c1") == (403, "ForbiddenError")
    assert site.refused(chart, board)[0] == 404
    dataset = embed_token(site.key, {"datasets": ["by-customer"]})
    assert site.call("GET", "datasets/by-customer/results", key=dataset, index_by="c1").status_code == 200
    assert site.refused(dataset, "queries/saved/count/result") == (403, "ForbiddenError")
    assert site.refused(dataset, board)[0] == 404
    boards = embed_token(site.key, {"dashboards": ["sales"]})
    assert site.call("GET", board, key=boards).status_code == 200
    assert site.call("GET", "queries/saved/count/result", key=boards).status_code == 200
    assert site.refused(boards, "datasets/by-customer/results", index_by="c1") == (403, "ForbiddenError")
    nothing: list[dict[str, Any]] = [{}, {"datasets": []}, {"dashboards": []}]
    for conditions in nothing:
        token = embed_token(site.key, conditions)
        assert site.call("GET", "queries/saved/count/result", key=token).status_code == 200
    both = narrowed(embed_token(site.key), {"datasets": []})
    assert site.call("GET", board, key=both).status_code == 200


ASKED = {
    TokenUse.QUERIES: ("GET", "queries/count", {"event_collection": "buys"}),
    TokenUse.EXTRACTIONS: ("GET", "queries/extraction", {"event_collection": "buys"}),
    TokenUse.SCHEMA: ("GET", "events/buys", {}),
    TokenUse.EXPORTS: ("GET", "queries/extraction", {"event_collection": "buys", "delivery": "link"}),
}


@pytest.mark.parametrize("use", ASKED)
def test_what_is_not_allowed_is_refused(site: Site, use: TokenUse) -> None:
    method, path, query = ASKED[use]
    others = [one.value for one in TokenUse if one is not use]
    assert site.call(method, path, key=embed_token(site.key, {"allow": [use]}), **query).status_code == 200
    refused: list[Any] = [{}, {"allow": []}, {"allow": others}]
    for conditions in refused:
        assert site.refused(embed_token(site.key, conditions), path, **query) == (403, "ForbiddenError")
    weak = embed_token(site.new_key(["saved_queries"]), {"allow": list(TokenUse)})
    assert site.refused(weak, path, **query) == (403, "ForbiddenError")
    strict = embed_token(site.new_key(EVERY, queries={"extraction": False}), {"allow": list(TokenUse)})
    if use in (TokenUse.EXTRACTIONS, TokenUse.EXPORTS):
        assert site.refused(strict, path, **query) == (403, "ForbiddenError")


def test_a_saved_extraction_is_raw_events(site: Site) -> None:
    assert site.refused(embed_token(site.key), "queries/saved/raw/result") == (403, "ForbiddenError")
    token = embed_token(site.key, {"allow": ["extractions"], **C1})
    assert len(site.told("GET", "queries/saved/raw/result", key=token)["result"]) == 5


def test_a_token_sees_the_files_that_it_asked_for_and_no_others(site: Site) -> None:
    asked = {"event_collection": "buys", "delivery": "link"}
    token, other = (embed_token(site.key, {"allow": ["exports"], "queries": n}) for n in (50, 51))
    mine = site.told("POST", "queries/extraction", asked, key=token)["job"]["id"]
    theirs = site.told("POST", "queries/extraction", asked)["job"]["id"]
    assert [one["id"] for one in site.told("GET", "extractions", key=token)["extractions"]] == [mine]
    assert site.told("GET", "extractions", key=other)["extractions"] == []
    for job, key in ((theirs, token), (mine, other)):
        assert site.refused(key, f"extractions/{job}") == (404, "ResourceNotFoundError")
        assert site.call("DELETE", f"extractions/{job}", key=key).status_code == 404
    mailed = {"event_collection": "buys", "email": "a@example.com"}
    assert site.call("POST", "queries/extraction", mailed, key=token).status_code == 403
    assert site.call("DELETE", f"extractions/{mine}", key=token).status_code == 204


def test_a_file_goes_with_the_token_that_asked_for_it(site: Site) -> None:
    now = site.whole.now_us
    soon = int(time.time()) + 3_600
    token = embed_token(site.key, {"allow": ["exports"], "expires_at": soon})
    asked = {"event_collection": "buys", "delivery": "link", "content_type": "application/json"}
    job = site.told("POST", "queries/extraction", asked, key=token)["job"]["id"]
    site.whole.export()
    link = site.told("GET", f"extractions/{job}", key=token)["file_url"]
    address, _, query = link.partition(f"{site.project.id}/")[2].partition("?")
    pairs = dict(pair.split("=") for pair in query.split("&"))
    assert len(site.call("GET", address, **pairs).text.splitlines()) == 10
    try:
        site.whole.now_us = soon * 1_000_000
        assert site.call("GET", address, **pairs).status_code == 410
    finally:
        site.whole.now_us = now


# What tokens are shown


def test_a_result_has_what_is_drawn_and_nothing_else(site: Site) -> None:
    token = embed_token(site.key, C1)
    query = {"analysis_type": "count", "interval": None, "group_by": None, "timezone": None}
    assert site.told("GET", "queries/saved/kept/result", key=token) == {
        "viewer": {"timeframe": False, "interval": False, "filters": []},
        "query_name": "kept",
        "query": {**query, "timeframe": "this_14_days"},
        "metadata": {"display_name": "Kept"},
        "result": 5,
    }
    assert site.told("GET", "saved_queries/count/result", key=token) == {"result": 5}
    funnel = site.told("GET", "queries/saved/funnel/result", key=token)["result"]
    labels = {"event_collection": "buys", "inverted": False, "timeframe": None, "timezone": None}
    steps = [{**labels, "optional": optional} for optional in (False, True)]
    assert funnel == {"result": [1, 1], "steps": steps, "actors": None}
    dataset = site.told("GET", "datasets/by-customer/results", key=token, index_by="c1")["metadata"]
    assert dataset["dataset"] == {
        "dataset_name": "by-customer",
        "display_name": "By customer",
        "query": {**query, "timeframe": "this_14_days", "interval": "daily", "group_by": []},
    }


def test_a_missing_collection_is_not_named(site: Site) -> None:
    site.put("missing", {**COUNT, "event_collection": "hidden-name"})
    for key, warned in ((site.key, True), (embed_token(site.key), False)):
        reply = site.call("GET", "queries/saved/missing/result", key=key)
        assert ("hidden-name" in reply.headers.get("warning", "")) is warned
        assert "hidden-name" not in reply.text or warned


def test_statements_are_not_explained_to_a_token(site: Site) -> None:
    asked = {"event_collection": "buys", "explain": True}
    token = embed_token(site.key, {"allow": ["queries", "schema"]})
    assert "explain" in site.told("POST", "queries/count", asked, key=site.key)
    assert site.call("POST", "queries/count", asked, key=token).status_code == 403


def test_a_dashboard_is_what_is_drawn_of_it(site: Site) -> None:
    token = embed_token(site.key, {"dashboards": ["sales"]})
    assert site.told("GET", "/projects/P/dashboards/sales", key=token) == {
        "version": 2,
        "title": "Sales",
        "widgets": [
            {"id": "a", "type": "visualization", "query": "count", "position": {"x": 0}},
            {
                "id": "b",
                "type": "visualization",
                "query": None,
                "settings": {"widgetSettings": {"title": "B"}},
            },
            {"id": "c", "type": "filter", "query": None, "settings": {"name": "C"}},
        ],
    }
    listed = site.told("GET", "/projects/P/dashboards/metadata", key=token)
    assert [(one["id"], one["title"], one["publicAccessKey"]) for one in listed] == [("sales", "Sales", None)]
    assert set(listed[0]) == set(site.told("GET", "/projects/P/dashboards/sales/metadata")) - {"by"}
    assert site.refused(token, "/projects/P/dashboards/other")[0] == 404
    assert site.refused(narrowed(token, {"dashboards": ["other"]}), "/projects/P/dashboards/sales")[0] == 404


def test_a_token_reads_no_dashboard_that_its_key_does_not(site: Site) -> None:
    for options in ({"queries": C1}, {"saved_queries": {"allowed": ["count"]}}):
        key = site.new_key(EVERY, **options)
        token = embed_token(key, {"dashboards": ["sales", "shared"]})
        assert site.refused(token, "/projects/P/dashboards/sales")[0] == 404
        metadata = {"isPublic": True, "publicAccessKey": key}
        header = {"x-keen-blob-metadata": json.dumps(metadata)}
        site.call("PUT", "/projects/P/dashboards/shared", BOARD, headers=header)
        assert site.call("GET", "/projects/P/dashboards/shared", key=token).status_code == 200
        text = site.call("GET", "/projects/P/dashboards/metadata", key=token).text
        assert key not in text
        assert [one["id"] for one in json.loads(text)] == ["shared"]


def test_filters_that_a_holder_adds_are_not_stored(site: Site) -> None:
    """Whoever holds a token can make as many as it likes."""
    catalog = site.whole.catalog
    query = catalog.saved_queries.find(site.project.id, "kept")
    assert query is not None
    before = len(catalog.saved_queries.runs(query.id))
    token = embed_token(site.key)
    for country, count in (("de", 4), ("fr", 6), ("it", 0)):
        added = [{"property_name": "country", "operator": "eq", "property_value": country}]
        for _ in range(2):
            told = site.told("GET", "queries/saved/kept/result", key=narrowed(token, {"filters": added}))
            assert told["result"] == count
    assert len(catalog.saved_queries.runs(query.id)) == before
    site.told("GET", "queries/saved/kept/result", key=embed_token(site.key, {"filters": added}))
    assert len(catalog.saved_queries.runs(query.id)) == before + 1


# No route forgets


class Walk:
    """Every documented operation, with what is there in place of the names in its path."""

    NAMES: ClassVar = {
        "query_name": "count",
        "dataset_name": "by-customer",
        "dashboard_id": "sales",
        "cohort_name": "testers",
        "pipeline_name": "revenue",
        "source_name": "orders",
        "webhook_name": "chat",
        "alert_name": "few",
        "report_name": "sales",
        "delivery_id": "d",
        "actor_id": "a1",
        "event_collection": "buys",
        "property_name": "n",
        "organization_id": "o",
        "own_project": "p",
        "page_file": "docs.css",
        "page": "p",
        "client_file": "tracker.js",
        "session_id": "current",
        "invitation_id": "i",
        "share_id": "s",
        "import_id": "i",
        "erasure_id": "1",
        "tile_id": "b",
        "person_id": "x",
    }

    def __init__(self, site: Site) -> None:
        asked = {"event_collection": "buys", "delivery": "link"}
        job = site.told("POST", "queries/extraction", asked)["job"]["id"]
        self.names = {**self.NAMES, "project_id": site.project.id, "access_key": site.key, "job_id": job}

    def operations(self) -> Iterator[tuple[str, str, Any]]:
        for path, item in describe(load())["paths"].items():
            for method, operation in item.items():
                filled = re.sub(r"\{(\w+)\}", lambda found: self.names[found[1]], path)
                yield method.upper(), filled, operation


QUERY = {
    "event_collection": "buys",
    "index_by": "c1",
    "target_property": "n",
    "percentile": "50",
    "analyses": '{"a":{"analysis_type":"count"}}',
    "steps": json.dumps([STEP | {"filters": []}]),
}


@pytest.mark.parametrize("allow", [[], list(TokenUse)], ids=["of results", "of all"])
def test_no_route_shows_a_token_more_than_it_may_see(site: Site, allow: list[TokenUse]) -> None:
    """And what changes something is refused, or is the token's own."""
    token = embed_token(site.key, {**C1, "allow": allow, "viewer": {"timeframe": True}})
    project = site.project
    secrets = [SECRET, site.key, project.master_key, project.write_key, project.read_key]
    opened = set()
    for method, path, operation in Walk(site).operations():
        body: Any = {"a": 1} if method in ("POST", "PUT") else None
        if method == "POST" and "/queries/" in path:
            body = {name: value for name, value in QUERY.items() if name != "index_by"}
        reply = site.call(method, path, body, key=token, **(QUERY if method == "GET" else {}))
        label = (method, path, reply.status_code, reply.text[:300])
        assert reply.status_code != 500, label
        if "datasets" not in path:
            assert not [one for one in secrets if one in reply.text or one in str(reply.headers)], label
        if operation.get("security") != [] and project.id in path and reply.status_code not in (401, 403):
            opened.add((method, path.partition(project.id)[2]))
    assert {method for method, _ in opened} <= {"GET", "POST", "DELETE"}
    changing = {one for one in opened if one[0] != "GET" and "/queries/" not in one[1]}
    assert {path.rpartition("/")[0] for _, path in changing} <= {"/extractions"}
    if not allow:
        results = {"/queries/saved/count/result", "/saved_queries/count/result", "/queries/saved/count/embed"}
        boards = {"/dashboards/metadata", "/dashboards/sales", "/dashboards/sales/metadata"}
        results |= {"/queries/saved/count/result.svg", "/queries/saved/count/result.png"}
        wanted = results | boards | {"/datasets/by-customer/results", "/dashboards/sales/embed"}
        assert opened == {("GET", path) for path in wanted}


# What a viewer may change

VIEWER = {"viewer": {"timeframe": True, "interval": True, "filters": ["country"]}}
COUNTRY = json.dumps([{"property_name": "country", "operator": "eq", "property_value": "de"}])


def test_a_viewer_changes_what_the_token_says(site: Site) -> None:
    path, token = "queries/saved/kept/result", embed_token(site.key, {**VIEWER, **C1})
    before = site.told("GET", path, key=token)
    told = site.told("GET", path, key=token, timeframe="this_2_days", timezone="Europe/Warsaw")
    assert told["query"]["timeframe"] == "this_2_days"
    assert told["query"]["timezone"] == "Europe/Warsaw"
    assert told["result"] == 5
    told = site.told("GET", path, key=token, interval="daily", timeframe="this_2_days", filters=COUNTRY)
    assert told["query"]["interval"] == "daily"
    assert [one["value"] for one in told["result"]][-1] == 2
    bracketed = {
        "filters[0][property_name]": "country",
        "filters[0][operator]": "in",
        "filters[0][property_value][0]": "fr",
    }
    assert site.told("GET", path, key=token, **bracketed)["result"] == 3
    absolute = json.dumps({"start": "2001-01-01", "end": "2001-01-02"})
    assert site.told("GET", path, key=token, timeframe=absolute)["result"] == 0
    assert site.told("GET", path, key=token) == before


@pytest.mark.parametrize(
    ("conditions", "sent"),
    [
        ({}, {"timeframe": "today"}),
        ({"viewer": {}}, {"timeframe": "today"}),
        ({"viewer": {"timeframe": True}}, {"interval": "daily"}),
        ({"viewer": {"timeframe": True}}, {"as_of": "2026-01-01T00:00:00Z"}),
        ({"viewer": {"interval": True}}, {"timezone": "UTC"}),
        ({"viewer": {"timeframe": True}}, {"filters": COUNTRY}),
        ({"viewer": {"filters": ["customer.id"]}}, {"filters": COUNTRY}),
        ({"viewer": {"filters": ["country", "customer"]}}, {"filters": COUNTRY.replace("country", "n")}),
        (
            {"viewer": {"filters": ["country"]}},
            {
                "filters": json.dumps(
                    [{"operator": "or", "operands": json.loads(COUNTRY.replace("country", "n"))}]
                )
            },
        ),
    ],
)
def test_a_viewer_changes_nothing_else(site: Site, conditions: Any, sent: dict[str, str]) -> None:
    token = embed_token(site.key, conditions)
    assert site.refused(token, "queries/saved/kept/result", **sent) == (403, "ForbiddenError")
    allowed = narrowed(embed_token(site.key, VIEWER), conditions if conditions else {"viewer": {}})
    assert site.refused(allowed, "queries/saved/kept/result", **sent)[0] in (403,)


def test_a_result_says_what_its_viewer_may_change(site: Site) -> None:
    """For each token its own, though one kept answer serves them all."""
    path, nothing = "queries/saved/kept/result", {"timeframe": False, "interval": False, "filters": []}
    all_ = {"timeframe": True, "interval": True, "filters": ["country", "plan"]}
    less = {"timeframe": True, "filters": ["plan", "n"]}
    wide = embed_token(site.key, {"viewer": all_})
    saved_only = embed_token(site.new_key(["saved_queries", "cached_queries"]), VIEWER)
    for token, viewer in (
        (wide, all_),
        (embed_token(site.key), nothing),
        (narrowed(wide, {"viewer": less}), {"timeframe": True, "interval": False, "filters": ["plan"]}),
        # whose key may ask no questions
        (saved_only, nothing),
    ):
        assert site.told("GET", path, key=token)["viewer"] == viewer
    assert site.told("GET", path, key=wide, timeframe="today")["viewer"] == all_
    assert "viewer" not in site.told("GET", path, key=site.project.read_key)


def test_what_a_viewer_gets_wrong_is_said_without_what_is_hidden(site: Site) -> None:
    token = embed_token(site.key, VIEWER)
    for sent, code in (
        ({"timeframe": "sometimes"}, "TimeframeDefinitionError"),
        ({"timezone": "Mars"}, "InvalidTimezoneError"),
        ({"interval": "often"}, "InvalidIntervalError"),
        ({"interval": "minutely", "timeframe": "this_50_years"}, "QueryLimitError"),
        ({"filters": "[{"}, "InvalidJSONError"),
        ({"filters": '[{"property_name": "country"}]'}, "InvalidFilterError"),
        ({"timeframes": "today"}, "InvalidParameterError"),
    ):
        for name in ("kept", "count"):
            reply = site.call("GET", f"queries/saved/{name}/result", key=token, **sent)
            assert (reply.status_code, reply.json()["error_code"]) == (400, code), reply.text
            assert SECRET not in reply.text
    assert site.refused(token, "queries/saved/funnel/result", interval="daily")[0] == 400
    told = site.told("GET", "queries/saved/funnel/result", key=token, filters=COUNTRY, timeframe="today")
    assert told["result"]["result"] == [2, 2]
    assert {step["timeframe"] for step in told["result"]["steps"]} == {"today"}


def test_a_key_changes_what_it_could_ask(site: Site) -> None:
    """Under its filters for questions, even where those for saved queries let it see more."""
    path = "queries/saved/kept/result"
    assert site.told("GET", path, key=site.project.read_key, filters=COUNTRY)["result"] == 4
    filtered = site.new_key(EVERY, queries=C1)
    assert site.told("GET", path, key=filtered)["result"] == 10
    assert site.told("GET", path, key=filtered, filters=COUNTRY)["result"] == 2
    saved_only = site.new_key(["saved_queries", "cached_queries"])
    assert site.refused(saved_only, path, filters=COUNTRY) == (403, "ForbiddenError")
    token = embed_token(saved_only, VIEWER)
    assert site.told("GET", path, key=token)["result"] == 10
    assert site.refused(token, path, filters=COUNTRY) == (403, "ForbiddenError")
    strict = site.new_key(EVERY, queries={"extraction": False})
    assert site.refused(strict, "queries/saved/raw/result", timeframe="today") == (403, "ForbiddenError")


def test_a_changed_result_is_never_old(site: Site) -> None:
    site.put("fresh", {**COUNT, "event_collection": "fresh"}, refresh_rate=14_400)
    token = embed_token(site.key, VIEWER)
    for count in (1, 2, 3):
        site.whole.record(site.project, "fresh", [{"country": "de"}, {"country": "fr"}])
        for _ in range(2):
            told = site.told("GET", "queries/saved/fresh/result", key=token, filters=COUNTRY)
            assert told["result"] == count


# The pages


def test_a_page_for_frames_is_for_the_tokens_origins_alone(site: Site) -> None:
    origins = {"origins": ["https://shop.example", "null", "https://b.example"]}
    token = chained(site.key, origins, {"origins": ["https://shop.example", "null"]})
    framed = {"referer": "https://shop.example/"}
    for path, tag in (
        ("queries/saved/count/embed", 'acumen-chart server="" project="{}" token="{}" saved-query="count"'),
        ("dashboards/sales/embed", 'acumen-dashboard server="" project="{}" token="{}" dashboard="sales"'),
    ):
        page = site.call("GET", path, key=token, headers=framed)
        assert page.headers["content-type"] == "text/html; charset=utf-8"
        assert f"<{tag.format(site.project.id, token)}>" in page.text
        policy = dict(
            part.strip().partition(" ")[::2] for part in page.headers["content-security-policy"].split(";")
        )
        nonce = policy["script-src"]
        assert re.fullmatch(r"'nonce-[\w-]{22}'", nonce)
        assert policy["style-src"] == nonce
        assert policy["default-src"] == policy["base-uri"] == policy["form-action"] == "'none'"
        assert policy["connect-src"] == "'self'"
        assert policy["frame-ancestors"] == "https://shop.example"
        (script,) = re.findall(r"<script.*?</script>", page.text)
        assert script == (
            f'<script type="module" nonce="{nonce[7:-1]}" src="/clients/acumen-charts.js"></script>'
        )
        assert (
            nonce not in site.call("GET", path, key=token, headers=framed).headers["content-security-policy"]
        )
        assert page.headers["cache-control"] == "no-store"
        assert page.headers["referrer-policy"] == "strict-origin"
        assert site.refused(token, path)[0] == 403
        # The page's own requests come from this server's origin.
        own = {"referer": "http://test/"}
        result = site.call("GET", "queries/saved/count/result", key=token, headers=own)
        assert result.status_code == 200
    page = site.call("GET", "queries/saved/count/embed", key=embed_token(site.key))
    assert page.headers["content-security-policy"].endswith("frame-ancestors 'none'")


def test_a_page_is_drawn_in_the_theme_and_locale_of_its_address(site: Site) -> None:
    token = embed_token(site.key)
    for path in ("queries/saved/count/embed", "dashboards/sales/embed"):
        usual = site.call("GET", path, key=token).text
        assert '<html lang="en">' in usual and "theme=" not in usual
        page = site.call("GET", path, key=token, theme="dark", locale="de-CH").text
        assert '<html lang="de-CH">' in page and ' theme="dark">' in page
        for wrong in ({"theme": "pink"}, {"locale": '"><b>'}, {"them": "dark"}):
            reply = site.call("GET", path, key=token, **wrong)
            assert reply.status_code == 400 and next(iter(wrong)) in reply.json()["message"]


def test_a_page_is_for_tokens_and_for_what_they_may_read(site: Site) -> None:
    for path in ("queries/saved/count/embed", "dashboards/sales/embed"):
        for key in (site.key, site.project.read_key, site.project.master_key):
            reply = site.call("GET", path, key=key)
            assert reply.status_code == 400
            assert key not in reply.text
    token = embed_token(site.key, {"saved_queries": ["kept"], "dashboards": []})
    assert site.refused(token, "queries/saved/count/embed") == (403, "ForbiddenError")
    assert site.refused(token, "dashboards/sales/embed") == (404, "ResourceNotFoundError")


BROWSER = "text/html,application/xhtml+xml,application/xml;q=0.9,image/avif,*/*;q=0.8"
PAGES = {"queries/saved/count/embed": "chart", "dashboards/sales/embed": "dashboard"}


def errors_of_pages(site: Site) -> dict[str, tuple[str, dict[str, str], tuple[int, str], str]]:
    """Token, further headers, status and code, and what a viewer is told, by what is wrong with the token."""
    revoked = site.new_key(EVERY)
    site.told("POST", f"keys/{revoked}/revoke")
    invalid = ((401, "InvalidApiKeyError"), "is no longer available")
    shop = embed_token(site.key, {"origins": ["https://shop.example"]})
    no_right = embed_token(site.new_key(["datasets"]))
    return {
        "expired": (
            embed_token(site.key, {**C1, "expires_at": 1}),
            {},
            (401, "EmbedTokenExpiredError"),
            "has expired",
        ),
        "revoked": (embed_token(revoked, C1), {}, *invalid),
        "forged": (embed_token("a key of nobody", C1), {}, *invalid),
        "none": ("", {}, *invalid),
        "of another origin": (
            shop,
            {"referer": "https://evil.example/"},
            (403, "OriginNotAllowedError"),
            "may not be shown on this page",
        ),
        "without the right": (no_right, {}, (403, "ForbiddenError"), "cannot be shown"),
    }


@pytest.mark.parametrize("path", PAGES)
def test_an_error_in_a_frame_is_a_page_that_a_viewer_understands(site: Site, path: str) -> None:
    secrets = [site.key, site.project.id, SECRET, "customer.id", "Embedding", "shop.example", "evil.example"]
    for wrong, (token, headers, (status, code), words) in errors_of_pages(site).items():
        page = site.call("GET", path, key=token or "ae1.x", headers={"accept": BROWSER, **headers})
        assert (page.status_code, page.headers["content-type"]) == (status, "text/html; charset=utf-8"), wrong
        assert f"{PAGES[path]} {words}" in page.text, wrong
        assert code in page.text and page.headers["x-request-id"] in page.text
        names = [*secrets, *re.split("/", path)[-2:-1]]
        assert not [one for one in (*names, token) if one and one in page.text], wrong
        assert "<script" not in page.text and "color-scheme:light dark" in page.text
        policy = page.headers["content-security-policy"]
        (nonce,) = re.findall(r"<style nonce=\"([\w-]{22})\">", page.text)
        # It says nothing of anybody, so that it may be framed anywhere: else the viewer would see nothing.
        assert policy == (
            f"default-src 'none'; style-src 'nonce-{nonce}'; base-uri 'none'; form-action 'none'"
        )
        assert "x-frame-options" not in page.headers and page.headers["cache-control"] == "no-store"
        for accept in ("*/*", "application/json", "application/json, text/html", "text/html;q=0, */*"):
            reply = site.call("GET", path, key=token or "ae1.x", headers={"accept": accept, **headers})
            assert (reply.status_code, reply.json()["error_code"]) == (status, code), (wrong, accept)
    dark = site.call("GET", path, key="ae1.x", headers={"accept": BROWSER}, theme="dark")
    assert "color-scheme:dark" in dark.text


def test_other_errors_of_pages_are_pages_too_and_those_of_other_routes_are_not(site: Site) -> None:
    token, browser = embed_token(site.key), {"accept": BROWSER}
    missing = site.call("GET", "dashboards/none/embed", key=token, headers=browser)
    assert missing.status_code == 404 and "This dashboard was not found." in missing.text
    assert "none/" not in missing.text
    wrong = site.call("GET", "queries/saved/count/embed", key=token, headers=browser, theme="<b>")
    assert (
        wrong.status_code == 400 and "This chart cannot be shown." in wrong.text and "<b>" not in wrong.text
    )
    result = site.call("GET", "queries/saved/count/result", key="ae1.x", headers=browser)
    assert result.json()["error_code"] == "InvalidApiKeyError"


@pytest.mark.parametrize("error", [ServiceUnavailable(), RateLimited("No more.", 7), ApiError()])
def test_what_passes_is_said_to_pass(error: ApiError) -> None:
    rendered = render(error)
    page = error_page(rendered, "chart", None)
    assert page.status_code == rendered.status
    assert page.headers.get("retry-after") == rendered.headers.get("retry-after")
    assert b"cannot be shown right now" in page.body and error.code.encode() in page.body


# What a token is told


def told(site: Site, token: str, path: str, method: str = "GET", body: Any = None, **query: Any) -> str:
    reply = site.call(method, path, body, key=token, **query)
    assert reply.status_code in (401, 403), (path, reply.text)
    return str(reply.json()["message"])


def test_a_token_is_told_what_its_maker_would_have_to_say(site: Site) -> None:
    plain, every = embed_token(site.key), {"allow": list(TokenUse)}
    for use, (method, path, query) in ASKED.items():
        others = [one for one in TokenUse if one is not use]
        said = told(site, embed_token(site.key, {"allow": others}), path, method, **query)
        assert f"'{use}'" in said and "'allow'" in said, said
    assert "'tail' in 'allow'" in told(site, plain, "events/buys/tail")
    assert "'extractions' in 'allow'" in told(site, plain, "queries/saved/raw/result")
    one = embed_token(site.key, {"saved_queries": ["kept"]})
    assert "'saved_queries'" in told(site, one, "queries/saved/count/result")
    assert "'datasets'" in told(site, one, "datasets/by-customer/results", index_by="c1")
    assert "'viewer'" in told(site, plain, "queries/saved/count/result", timeframe="today")
    weak = embed_token(site.new_key(["saved_queries"]), every)
    asked = {"event_collection": "buys"}
    assert "its access key lacks the permission 'queries'" in told(site, weak, "queries/count", **asked)
    strict = embed_token(site.new_key(EVERY, queries={"extraction": False}), every)
    assert "options of its access key exclude" in told(site, strict, "queries/extraction", **asked)
    assert "options of its access key exclude" in told(site, strict, "events/buys/tail")


def test_no_error_of_a_token_speaks_of_it_as_a_key(site: Site) -> None:
    """On no route, whatever its access key may do: what a token is told names the token, or a key to use."""
    tokens = [
        embed_token(site.new_key(permitted), conditions)
        for permitted in (EVERY, ["datasets"], ["saved_queries", "cached_queries"])
        for conditions in ({}, {"allow": list(TokenUse)}, {"saved_queries": ["kept"]})
    ]
    tokens += [embed_token("a key of nobody"), embed_token(site.key, {"expires_at": 1})]
    operations = list(Walk(site).operations())
    for token in tokens:
        for method, path, operation in operations:
            body: Any = {"a": 1} if method in ("POST", "PUT") else None
            reply = site.call(method, path, body, key=token, **(QUERY if method == "GET" else {}))
            if operation.get("security") == [] or reply.status_code not in (401, 403):
                continue
            said = reply.json()["message"]
            assert "This key" not in said and "this key" not in said, (method, path, said)
            is_organisation = "/organizations/" in path or path.startswith("/3.0/organizations")
            assert "embed token" in said.lower() or is_organisation, (method, path, said)


def test_a_name_is_no_markup(site: Site) -> None:
    name = '"><script>alert(1)<'
    assert site.call("PUT", f"/projects/P/dashboards/{name}", BOARD).status_code == 201
    page = site.call("GET", f"dashboards/{name}/embed", key=embed_token(site.key)).text
    assert page.count("<script") == 1
    assert 'dashboard="&quot;&gt;&lt;script&gt;alert(1)&lt;"' in page


# On a real server of two workers


@pytest.fixture(scope="module")
def two(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    with Served(workers=2) as server:
        yield server


def access_key(server: Served, project: ServedProject) -> str:
    body = {"name": "k", "permitted": EVERY}
    made = server.request("POST", f"/3.0/projects/{project.id}/keys", body, key=project.master_key)
    return str(made.json["key"])


def test_a_budget_holds_over_workers_and_restarts_and_a_revoked_key_ends_its_tokens(two: Served) -> None:
    project = two.project
    two.record(project, "buys", {"n": 1})
    path = f"/3.0/projects/{project.id}/queries/saved/count/result"
    put = two.request("PUT", path.removesuffix("/result"), {"query": COUNT}, key=project.master_key)
    assert put.status == 201
    key = access_key(two, project)
    token, free = embed_token(key, {"queries": 20}), embed_token(key)
    statuses = [two.request("GET", path, key=token).status for _ in range(15)]
    two.restart()
    statuses += [two.request("GET", path, key=token).status for _ in range(15)]
    assert statuses == [200] * 20 + [429] * 10
    assert two.request("GET", path, key=free).status == 200
    two.request("POST", f"/3.0/projects/{project.id}/keys/{key}/revoke", key=project.master_key)
    revoked = time.monotonic()
    while two.request("GET", path, key=free).status == 200:
        assert time.monotonic() - revoked < 30
    # By now each worker has looked: no other connection is answered either.
    time.sleep(max(0.0, 0.9 - (time.monotonic() - revoked)))
    assert {two.request("GET", path, key=free).json["error_code"] for _ in range(20)} == {
        "InvalidApiKeyError"
    }
