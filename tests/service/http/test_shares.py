"""Shares of dashboards: a link that shows one dashboard, as it is now, until it is revoked."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from service.auth.shared_boards import SHARES_MAX
from service.auth.shown_tiles import ShownTiles, tile_ids
from storage.catalog.people.records import Role
from tests.service.http.test_embedding import BOARD, COUNT, SECRET, SHOP, Site, Walk
from tests.service.people.browsers import person
from tests.support.embed import embed_token, narrowed
from tests.support.scale import examples
from tests.support.server import Reply, Served

SHARES = "/projects/P/dashboards/sales/shares"
RESULT = "queries/saved/{}/result"
TILE = "/projects/P/dashboards/sales/tiles/{}/result"
WIDGETS = [*BOARD["widgets"][:2], {"id": "c", "type": "text", "settings": {"content": "Words"}}]  # type: ignore[index]
DE = [{"property_name": "country", "operator": "eq", "property_value": "de"}]


@pytest.fixture(scope="module")
def one(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    site = Site(tmp_path_factory.mktemp("shares") / "data")
    yield site
    site.whole.close()


@pytest.fixture
def site(one: Site) -> Site:
    """A site whose dashboard "sales" is as it was made, without shares."""
    one.call("DELETE", "/projects/P/dashboards/sales")
    put_board(one, WIDGETS)
    return one


def put_board(site: Site, widgets: Any, **more: Any) -> None:
    document = {"title": "Sales", "notes": SECRET, **more, "widgets": widgets}
    site.told("PUT", "/projects/P/dashboards/sales", document)


def share(site: Site, **more: Any) -> dict[str, Any]:
    made: dict[str, Any] = site.told("POST", SHARES, {"name": "Partners", **more})
    return made


def status(site: Site, token: str, path: str, **more: Any) -> int:
    return site.call("GET", path, key=token, **more).status_code


def get_page(site: Site, link: str, **headers: str) -> httpx.Response:
    assert link.startswith("http://test/")
    return site.whole.send(
        "GET", link.removeprefix("http://test"), headers={"accept": "text/html", **headers}
    )


class TestWhatATokenOpens:
    def test_it_opens_what_the_dashboard_shows_and_nothing_else(self, site: Site) -> None:
        """Of all operations there are."""
        made = share(site)
        token, project = made["token"], site.project
        secrets = [SECRET, site.key, project.master_key, project.write_key, project.read_key]
        opened = set()
        for method, path, operation in Walk(site).operations():
            body: Any = {"a": 1} if method in ("POST", "PUT") else None
            if method == "POST" and "/queries/" in path:
                body = {"event_collection": "buys", "target_property": "n", "percentile": 50}
            reply = site.call(method, path, body, key=token)
            label = (method, path, reply.status_code, reply.text[:300])
            assert reply.status_code != 500, label
            assert not [one for one in secrets if one in reply.text or one in str(reply.headers)], label
            if operation.get("security") != [] and project.id in path and reply.status_code < 400:
                opened.add((method, path.partition(project.id)[2]))
        saved = {"/queries/saved/count/result", "/saved_queries/count/result", "/queries/saved/count/embed"}
        saved |= {"/queries/saved/count/result.svg", "/queries/saved/count/result.png"}
        boards = {f"/dashboards/{rest}" for rest in ("metadata", "sales", "sales/metadata", "sales/embed")}
        assert opened == {("GET", one) for one in saved | boards | {"/dashboards/sales/tiles/b/result"}}

    def test_no_other_name_is_opened(self, site: Site) -> None:
        token = share(site)["token"]
        for name in ("kept", "funnel", "raw", "none"):
            assert status(site, token, RESULT.format(name)) == 403, name
        assert status(site, token, "datasets/by-customer/results", index_by="c1") == 403
        assert status(site, token, "queries/count", event_collection="buys") == 403
        assert status(site, token, "queries/saved/count") in (401, 403)
        assert status(site, token, "events") == 403
        assert status(site, token, "/projects/P/dashboards/other") == 404
        assert status(site, token, "/projects/P/dashboards/other/tiles/b/result") == 404
        listed = site.told("GET", "/projects/P/dashboards/metadata", key=token)
        assert [one["id"] for one in listed] == ["sales"]

    def test_it_follows_the_dashboard(self, site: Site) -> None:
        token = share(site)["token"]
        assert [status(site, token, RESULT.format(name)) for name in ("count", "kept")] == [200, 403]
        put_board(site, [{"id": "k", "query": "kept"}])
        assert [status(site, token, RESULT.format(name)) for name in ("count", "kept")] == [403, 200]
        put_board(site, [])
        assert [status(site, token, RESULT.format(name)) for name in ("count", "kept")] == [403, 403]
        assert status(site, token, TILE.format("b")) == 404

    def test_widgets_without_an_answer_open_nothing(self, site: Site) -> None:
        kinds = ("text", "image", "date-picker", "filter")
        put_board(site, [{"type": kind, "query": "count"} for kind in kinds])
        assert status(site, share(site)["token"], RESULT.format("count")) == 403

    def test_a_tile_with_raw_events_is_shown_and_no_other_raw_event(self, site: Site) -> None:
        put_board(site, [{"query": "raw"}], controls="timeframe")
        token = share(site)["token"]
        assert len(site.told("GET", RESULT.format("raw"), key=token)["result"]) == 10
        assert status(site, token, RESULT.format("raw"), timeframe="this_2_days") == 200
        assert status(site, token, "queries/extraction", event_collection="buys") == 403

    def test_a_holder_may_narrow_it_and_not_widen_it(self, site: Site) -> None:
        token = share(site)["token"]
        less = narrowed(token, {"filters": DE})
        assert site.told("GET", RESULT.format("count"), key=less)["result"] == 4
        assert status(site, narrowed(token, {"saved_queries": ["kept"]}), RESULT.format("kept")) == 403
        assert status(site, narrowed(token, {"dashboards": []}), "/projects/P/dashboards/sales") == 404

    def test_nobody_else_makes_tokens_of_a_share(self, site: Site) -> None:
        made = share(site)
        for key in (made["id"], made["token"].split(".")[1], ""):
            forged = embed_token(key)
            parts = forged.split(".")
            parts[1] = made["token"].split(".")[1]
            assert status(site, ".".join(parts), RESULT.format("count")) == 401


class TestTilesWithAQuestionOfTheirOwn:
    def test_the_result_is_shown_and_the_question_is_not(self, site: Site) -> None:
        token = share(site)["token"]
        document = site.told("GET", "/projects/P/dashboards/sales", key=token)
        assert [(one["query"], one.get("tile")) for one in document["widgets"]] == [
            ("count", None),
            (None, "b"),
            (None, None),
        ]
        told = site.told("GET", TILE.format("b"), key=token)
        assert told["result"] == 10
        assert SECRET not in json.dumps([document, told])
        assert set(told["query"]) == {"analysis_type", "interval", "group_by", "timeframe", "timezone"}

    def test_filters_of_the_share_hold(self, site: Site) -> None:
        assert site.told("GET", TILE.format("b"), key=share(site, filters=DE)["token"])["result"] == 4

    def test_a_viewer_changes_it_as_the_others(self, site: Site) -> None:
        token = share(site, viewer={"timeframe": True})["token"]
        assert site.told("GET", TILE.format("b"), key=token, timeframe="previous_2_days")["result"] == 0
        assert status(site, token, TILE.format("b"), interval="daily") == 403

    def test_what_cannot_be_answered_is_refused_without_quoting_it(self, site: Site) -> None:
        put_board(site, [{"id": "b", "query": {"analysis_type": "count", "event_collection": 7, SECRET: 1}}])
        reply = site.call("GET", TILE.format("b"), key=share(site)["token"])
        assert (reply.status_code, SECRET in reply.text) == (400, False)

    def test_other_embed_tokens_are_refused(self, site: Site) -> None:
        reply = site.call("GET", TILE.format("b"), key=embed_token(site.key))
        assert reply.status_code == 403
        assert "share the dashboard" in reply.json()["message"]

    def test_keys_that_may_ask_get_it_too(self, site: Site) -> None:
        assert site.told("GET", TILE.format("b"), key=site.project.read_key)["result"] == 10
        assert status(site, site.project.write_key, TILE.format("b")) == 403

    def test_ids_are_told_apart(self) -> None:
        widgets = [{"id": "1"}, {"id": "1"}, {}, {"id": ".."}, {"id": 7}, {"id": "2"}]
        assert tile_ids(widgets) == ["1", "1-", "2-", "3", "4", "2"]

    @given(st.lists(st.one_of(st.none(), st.sampled_from(["", "0", "1", "1-", "..", "x"])), max_size=6))
    @settings(max_examples=examples(100), suppress_health_check=list(HealthCheck))
    def test_every_tile_has_an_id_of_its_own(self, ids: list[str | None]) -> None:
        widgets = [{"id": one, "query": {"n": at}} for at, one in enumerate(ids)]
        assert [one["n"] for one in ShownTiles.of({"widgets": widgets}).questions.values()] == [
            *range(len(ids))
        ]


class TestWhatAViewerMayChange:
    def test_it_is_what_the_controls_of_the_dashboard_say(self, site: Site) -> None:
        token = share(site)["token"]
        assert status(site, token, RESULT.format("count"), timeframe="this_2_days") == 403
        put_board(site, WIDGETS, layout={"controls": {"timeframe": True, "filters": ["country"]}})
        assert status(site, token, RESULT.format("count"), timeframe="this_2_days") == 200
        assert status(site, token, RESULT.format("count"), interval="daily") == 403
        told = site.told("GET", RESULT.format("count"), key=token, filters=DE)
        assert told["viewer"] == {"timeframe": True, "interval": False, "filters": ["country"]}
        assert told["result"] == 4

    def test_a_share_may_say_otherwise(self, site: Site) -> None:
        put_board(site, WIDGETS, controls="timeframe interval")
        token = share(site, viewer={"interval": True})["token"]
        assert status(site, token, RESULT.format("count"), interval="daily") == 200
        assert status(site, token, RESULT.format("count"), timeframe="this_2_days") == 403
        shown = site.told("GET", "/projects/P/dashboards/sales", key=token)
        assert shown["layout"]["controls"] == {"timeframe": False, "interval": True, "filters": []}

    @pytest.mark.parametrize(
        ("document", "wanted"),
        [
            ({}, (False, False, [])),
            ({"controls": "timeframe filter:a filter:b.c"}, (True, False, ["a", "b.c"])),
            ({"layout": {"controls": {"interval": True, "filters": ["a", 1]}}}, (False, True, ["a"])),
            ({"layout": {"controls": {}}, "controls": "timeframe"}, (False, False, [])),
            ({"layout": {"controls": None}, "controls": "timeframe"}, (True, False, [])),
            ({"layout": 1, "controls": {"timeframe": "yes"}}, (False, False, [])),
            (
                {
                    "widgets": [
                        {"type": "date-picker"},
                        {"type": "filter", "settings": {"targetProperty": "a"}},
                    ]
                },
                (True, False, ["a"]),
            ),
            ({"controls": None, "widgets": [{"type": "date-picker"}]}, (False, False, [])),
        ],
    )
    def test_controls_are_read_as_the_charts_read_them(self, document: Any, wanted: Any) -> None:
        said = ShownTiles.of(document).controls
        assert (said.timeframe, said.interval, sorted(said.filters)) == wanted


class TestMakingAndRevoking:
    @pytest.mark.parametrize("version", ["", "/3.0"])
    def test_a_share_is_made_listed_and_revoked(self, site: Site, version: str) -> None:
        address = f"/projects/{site.project.id}/dashboards/sales/shares"
        headers = {"authorization": site.project.master_key}

        def ask(method: str, rest: str = "", body: Any = None) -> httpx.Response:
            return site.whole.send(method, f"{version}{address}{rest}", body, headers)

        assert ask("GET").json() == []
        made = ask("POST", body={"name": "A & B", "viewer": {"timeframe": True}, "filters": DE}).json()
        assert made["viewer"] == {"timeframe": True}
        assert made["filters"] == DE
        assert made["made_by"] == "master key"
        assert made["link"].endswith(f"/dashboards/sales/embed?api_key={made['token']}")
        assert re.fullmatch(r'<iframe src="[^"<>]+" title="sales" [^<>]*></iframe>', made["iframe"])
        assert ask("GET").json() == [made]
        assert ask("DELETE", f"/{made['id']}").status_code == 204
        assert ask("DELETE", f"/{made['id']}").status_code == 404
        assert ask("GET").json() == []

    def test_a_revoked_share_is_refused_and_the_others_stay(self, site: Site) -> None:
        first, second = share(site), share(site)
        assert first["token"] != second["token"]
        site.told("DELETE", f"{SHARES}/{first['id']}")
        assert site.refused(first["token"]) == (401, "InvalidApiKeyError")
        assert status(site, second["token"], RESULT.format("count")) == 200
        page = get_page(site, first["link"])
        assert (page.status_code, "no longer available" in page.text) == (401, True)

    def test_a_dashboard_takes_its_shares_with_it(self, site: Site) -> None:
        token = share(site)["token"]
        site.told("DELETE", "/projects/P/dashboards/sales")
        assert status(site, token, RESULT.format("count")) == 401
        put_board(site, WIDGETS)
        assert status(site, token, RESULT.format("count")) == 401
        assert site.told("GET", SHARES) == []

    def test_it_ends_when_it_says(self, site: Site) -> None:
        ends = site.whole.now_us // 1_000_000 + 60
        made = share(site, expires_at=ends)
        assert made["expires_at"] == ends
        assert status(site, made["token"], RESULT.format("count")) == 200
        site.whole.now_us += 61_000_000
        try:
            assert site.refused(made["token"]) == (401, "EmbedTokenExpiredError")
        finally:
            site.whole.now_us -= 61_000_000

    def test_the_day_of_its_last_use_is_known(self, site: Site) -> None:
        made = share(site)
        assert made["last_used_on"] is None
        status(site, made["token"], RESULT.format("count"))
        [listed] = site.told("GET", SHARES)
        assert re.fullmatch(r"\d{4}-\d\d-\d\d", listed["last_used_on"])

    @pytest.mark.parametrize(
        ("sent", "named"),
        [
            ({}, "name"),
            ({"name": ""}, "name"),
            ({"name": "x", "origin": []}, "origins"),
            ({"name": "x", "origins": ["shop"]}, "origins"),
            ({"name": "x", "origins": []}, "origins"),
            ({"name": "x", "expires_at": 1}, "expires_at"),
            ({"name": "x", "expires_at": "2030-01-01"}, "expires_at"),
            ({"name": "x", "viewer": {"timeframes": True}}, "timeframe"),
            ({"name": "x", "viewer": {"filters": "country"}}, "viewer.filters"),
            ({"name": "x", "filters": [{"property_name": "a", "operator": "is", "property_value": 1}]}, "is"),
            ({"name": "x", "filters": {}}, "filters"),
            ({"name": "x", "filters": [{**DE[0], "property_value": "v" * 70_000}]}, "bytes"),
            ([], "object"),
        ],
    )
    def test_what_is_wrong_is_named(self, site: Site, sent: Any, named: str) -> None:
        reply = site.call("POST", SHARES, sent)
        assert (reply.status_code, named in reply.json()["message"]) == (400, True), reply.text

    def test_a_dashboard_has_so_many_and_no_more(self, site: Site) -> None:
        for _ in range(SHARES_MAX):
            share(site)
        reply = site.call("POST", SHARES, {"name": "x"})
        assert (reply.status_code, "revoke one" in reply.json()["message"]) == (400, True)

    def test_a_share_of_another_project_is_no_share(self, site: Site) -> None:
        other, made = site.whole.new_project(), share(site)
        path = f"/3.0/projects/{other.id}/dashboards/sales"
        headers = {"authorization": other.master_key}
        assert site.whole.send("PUT", path.removeprefix("/3.0"), BOARD, headers).status_code == 201
        assert site.whole.send("GET", f"{path}/shares", headers=headers).json() == []
        assert site.whole.send("DELETE", f"{path}/shares/{made['id']}", headers=headers).status_code == 404
        asked = {"authorization": made["token"]}
        assert site.whole.send("GET", path.removeprefix("/3.0"), headers=asked).status_code == 401
        page = f"{path}/embed?api_key={made['token']}"
        assert site.whole.send("GET", page).status_code == 401
        assert status(site, made["token"], RESULT.format("count")) == 200

    def test_editors_share_and_viewers_do_not(self, site: Site) -> None:
        address = f"/projects/{site.project.id}/dashboards/sales/shares"
        cal, ben = person(site.whole, "cal", Role.EDITOR), person(site.whole, "ben", Role.VIEWER)
        made = cal.send("POST", address, {"name": "Cal's"}).json()
        assert made["made_by"] == "cal@example.com"
        refused = [("GET", "", None), ("POST", "", {"name": "x"}), ("DELETE", f"/{made['id']}", None)]
        for method, rest, body in refused:
            assert ben.send(method, address + rest, body).status_code == 403, method
        for key in (site.project.read_key, site.key, made["token"]):
            for method, rest, body in refused:
                reply = site.call(method, address + rest, body, key=key)
                assert reply.status_code in (401, 403), (method, reply.text)

    def test_the_audit_log_tells_of_it_without_secrets(self, site: Site) -> None:
        made = share(site)
        site.told("DELETE", f"{SHARES}/{made['id']}")
        entries = site.whole.catalog.audit.page(site.project.organisation_id, limit=2)
        assert [one.action for one in entries] == ["Revoke a share", "Share a dashboard"]
        assert [dict(one.details)["name"] for one in entries] == ["Partners", "Partners"]
        assert made["token"].split(".")[1] not in repr(entries)


class TestPages:
    def test_the_link_shows_the_dashboard_to_anybody(self, site: Site) -> None:
        reply = get_page(site, share(site)["link"])
        assert reply.status_code == 200
        assert "<acumen-dashboard" in reply.text
        assert "frame-ancestors *" in reply.headers["content-security-policy"]

    def test_origins_say_which_pages_may_frame_it(self, site: Site) -> None:
        made = share(site, origins=[SHOP["origin"]])
        elsewhere = {"referer": "https://news.example/a", "sec-fetch-dest": "document"}
        opened = get_page(site, made["link"], **elsewhere)
        assert opened.status_code == 200
        assert f"frame-ancestors {SHOP['origin']}" in opened.headers["content-security-policy"]
        framed = get_page(site, made["link"], **{**elsewhere, "sec-fetch-dest": "iframe"})
        assert (framed.status_code, "may not be shown" in framed.text) == (403, True)
        shop = {"referer": "https://shop.example/a", "sec-fetch-dest": "iframe"}
        assert get_page(site, made["link"], **shop).status_code == 200
        # Another page's script is refused whatever it says of itself.
        assert site.refused(made["token"], headers={"origin": "https://news.example"})[0] == 403


class TestManyWorkers:
    def test_every_worker_knows_at_once(self) -> None:
        with Served(workers=2) as served:
            project = served.project
            base, key = f"/projects/{project.id}/dashboards/d", project.master_key

            def manage(method: str, path: str, body: Any = None) -> Reply:
                reply = served.request(method, path, body, key=key)
                assert reply.status < 300, reply.body
                return reply

            served.record(project, "buys", {"n": 1})
            for name in ("a", "b"):
                manage("PUT", f"/3.0/projects/{project.id}/queries/saved/{name}", {"query": COUNT})
            manage("PUT", base, {"widgets": [{"query": "a"}]})
            for _ in range(3):
                made = manage("POST", f"{base}/shares", {"name": "x"}).json

                def statuses(token: str = made["token"]) -> set[tuple[int, ...]]:
                    """Of many connections, which go to either worker."""
                    paths = [f"/3.0/projects/{project.id}/queries/saved/{name}/result" for name in "ab"]
                    return {
                        tuple(served.request("GET", path, key=token).status for path in paths)
                        for _ in range(12)
                    }

                assert statuses() == {(200, 403)}
                manage("PUT", base, {"widgets": [{"query": "b"}]})
                assert statuses() == {(403, 200)}
                manage("PUT", base, {"widgets": [{"query": "a"}]})
                assert statuses() == {(200, 403)}
                manage("DELETE", f"{base}/shares/{made['id']}")
                assert statuses() == {(401, 401)}


def test_conditions_are_kept_over_a_restart(tmp_path: Path) -> None:
    site = Site(tmp_path / "data")
    made = share(site, filters=DE)
    site.whole.close()
    again = Site.__new__(Site)
    again.whole = type(site.whole)(tmp_path / "data")
    again.project = site.project
    try:
        assert again.told("GET", RESULT.format("count"), key=made["token"])["result"] == 4
        assert again.told("GET", SHARES)[0]["token"] == made["token"]
    finally:
        again.whole.close()
