"""The snippet of the documentation, and what a page records by itself."""

from __future__ import annotations

import json
import re
from typing import Any

from tests.clients.browser.conftest import ROOT, Launch, Recorded, Site
from tests.clients.browser.test_tracking import drained
from tests.support.server import Served, ServedProject

SNIPPET = re.search(
    r"```html snippet\n(.*?)```", (ROOT / "docs/clients/javascript.md").read_text(encoding="utf-8"), re.DOTALL
)

SPA = """<!doctype html><title>Start</title><link rel="icon" href="data:,">
<meta name="description" content="A shop of tea">
<script src="/dist/auto.js"></script>
<script>
  %s
  acumen.init(%s);
  acumen.set({ site: "tea" });
  function go(path, title) { history.pushState({}, "", path); document.title = title; }
</script>
<h1>Tea</h1>
<nav><a id="green" title="To green tea" data-event-key="nav-green" href="#"
  onclick="go('/green?size=2', 'Green'); return false"><b>Green   tea</b></a></nav>
<button class="buy now" type="button">Buy</button><button type="button" data-acumen-ignore>Secret</button>
<p>Plain text</p>
<form action="/pay?secret=1" method="post" onsubmit="return false">
  <input name="card" value="4111"><input name="password" type="password" value="hush"><button>Pay</button>
</form>
<div id="late"></div>"""


def options(served: Served, project: ServedProject, **more: Any) -> str:
    keys = {"projectId": project.id, "writeKey": project.write_key}
    return json.dumps({"url": served.url, **keys, "flushSeconds": 0.01, **more})


def visited(context: Any, site: Site, path: str, **options: Any) -> Any:
    page = context.new_page()
    page.goto(site.url + path, **options)
    return page


def test_the_snippet_keeps_calls_until_the_script_is_there(
    launch: Launch, site: Site, served: Served, recorded: Recorded
) -> None:
    assert SNIPPET is not None
    project = recorded.project
    text = (
        SNIPPET[1]
        .replace("https://stats.example/clients/", "/held/")
        .replace("https://stats.example", served.url)
        .replace("PROJECT_ID", project.id)
        .replace("WRITE_KEY", project.write_key)
    )
    early = "<script>acumen.set({via: 'snippet'}); acumen.track('seen', {n: 1}); made = Date.now();</script>"
    site.pages["/snippet.html"] = f"<!doctype html><link rel=icon href=data:,>{text}{early}"
    context = launch()
    waiting: list[Any] = []
    context.route("**/held/*.js", lambda route: waiting.append(route))
    page = visited(context, site, "/snippet.html", wait_until="commit")
    page.wait_for_function("window.made")
    page.wait_for_timeout(300)
    (route,) = waiting
    name = route.request.url.rpartition("/")[2]
    route.fulfill(path=str(ROOT / "clients/js/dist" / name), content_type="text/javascript")
    recorded.wait_for(1)
    page.evaluate("() => acumen.track('seen', {n: 2})")
    drained(page)
    first, second = recorded.wait_for(2)
    assert [(event["n"], event["via"]) for event in (first, second)] == [(1, "snippet"), (2, "snippet")]
    made = page.evaluate("new Date(made).toISOString()")
    assert abs(int(first["keen"]["timestamp"][20:23]) - int(made[20:23])) % 1000 < 200, "when it was called"


def test_a_single_page_app_records_by_itself(
    launch: Launch, site: Site, served: Served, recorded: Recorded
) -> None:
    site.pages["/app.html"] = SPA % ("", options(served, recorded.project))
    context = launch()
    page = visited(
        context, site, "/app.html?utm_source=mail&utm_campaign=may", referer="https://www.google.com/"
    )
    page.click("#green b")
    page.click("button.buy")
    page.click("text=Secret")
    page.click("p")
    page.click("text=Pay")
    page.go_back()
    views = recorded.wait_for(3, "pageviews")
    clicks = recorded.wait_for(3, "clicks")
    (form,) = recorded.wait_for(1, "form_submissions")
    drained(page)
    _check_views(site, views)
    assert len(recorded.events("pageviews")) == 3
    assert [click["element"].get("text") for click in recorded.events("clicks")] == [
        "Green tea",
        "Buy",
        "Pay",
    ]
    link = clicks[0]["element"]
    assert (link["id"], link["title"], link["event_key"]) == ("green", "To green tea", "nav-green")
    assert (link["node_name"], link["selector"]) == ("A", "a#green")
    assert clicks[1]["element"]["class"] == "buy now"
    assert form["form"] == {"action": site.url + "/pay", "method": "post", "fields": ["card", "password"]}
    everything = json.dumps([views, clicks, form])
    assert "4111" not in everything and "hush" not in everything


def _check_views(site: Site, views: list[dict[str, Any]]) -> None:
    first, second, third = views
    assert [view["url"]["info"]["path"] for view in views] == ["/app.html", "/green", "/app.html"]
    assert first["url"]["info"]["query_string"] == {"utm_source": "mail", "utm_campaign": "may"}
    assert (first["utm"], second["utm"]) == ({"source": "mail", "campaign": "may"}, {})
    assert first["referrer"]["from"] == {"medium": "SEARCH", "source": "Google"}
    assert second["referrer"]["full"] == first["url"]["full"]
    assert second["referrer"]["from"]["medium"] == "INTERNAL"
    assert first["page"]["description"] == "A shop of tea"
    assert second["page"]["title"] == "Green"
    assert {view["site"] for view in views} == {"tea"}
    assert {view["user"]["uuid"] for view in views} == {first["user"]["uuid"]}
    assert {view["session"]["id"] for view in views} == {first["session"]["id"]}
    assert first["user"]["is_new"] is True
    assert first["tech"]["browser"]["family"]
    assert first["tech"]["profile"]["window"]["width"] == 1280
    assert first["time"]["utc"]["year"] == first["time"]["local"]["year"]
    assert third["tracked_by"].startswith("acumen-client-")
    assert first["ip_address"] == "127.0.0.1"


def test_without_the_navigation_api(launch: Launch, site: Site, served: Served, recorded: Recorded) -> None:
    hidden = "Object.defineProperty(window, 'navigation', {value: undefined});"
    site.pages["/old.html"] = SPA % (hidden, options(served, recorded.project))
    page = visited(launch(), site, "/old.html")
    assert page.evaluate("window.navigation") is None
    page.click("#green b")
    page.evaluate("history.replaceState({}, '', '/green?size=2#part')")
    recorded.wait_for(2, "pageviews")
    page.evaluate("history.back()")
    views = recorded.wait_for(3, "pageviews")
    drained(page)
    assert [view["url"]["info"]["path"] for view in views] == ["/old.html", "/green", "/old.html"]


def test_web_vitals_are_told_when_the_page_goes(
    launch: Launch, site: Site, served: Served, recorded: Recorded
) -> None:
    site.pages["/vitals.html"] = SPA % ("", options(served, recorded.project))
    context = launch()
    page = visited(context, site, "/vitals.html")
    page.evaluate(
        "() => new Promise((go) => { const box = document.createElement('div'); box.style.height = '200px';"
        " setTimeout(() => { document.body.prepend(box); setTimeout(go, 200); }, 600); })"
    )
    page.click("button.buy")
    page.evaluate("() => new Promise((go) => requestAnimationFrame(() => setTimeout(go, 100)))")
    page.goto("about:blank")
    (event,) = recorded.wait_for(1, "web_vitals")
    vitals = event["vitals"]
    assert vitals["ttfb"] > 0
    assert vitals["fcp"] >= vitals["ttfb"]
    assert vitals["lcp"] >= vitals["fcp"]
    assert 0 < vitals["cls"] < 1
    assert 0 < vitals["inp"] < 10_000
    assert event["url"]["info"]["path"] == "/vitals.html"


def test_ids_are_kept_for_a_visitor_and_a_visit(
    launch: Launch, site: Site, served: Served, recorded: Recorded
) -> None:
    site.pages["/ids.html"] = SPA % ("", options(served, recorded.project))
    context = launch()
    page = visited(context, site, "/ids.html")
    recorded.wait_for(1, "pageviews")
    visited(context, site, "/ids.html")
    recorded.wait_for(2, "pageviews")
    # Half an hour later, as the browser remembers it.
    page.evaluate(
        "() => { const [id, start] = localStorage['acumen.session'].split(' ');"
        " localStorage['acumen.session'] = [id, start, Date.now() - 31 * 60_000].join(' '); }"
    )
    visited(context, site, "/ids.html")
    first, second, third = recorded.wait_for(3, "pageviews")
    assert first["user"]["uuid"] == second["user"]["uuid"] == third["user"]["uuid"]
    assert [view["user"]["is_new"] for view in (first, second, third)] == [True, False, False]
    assert first["session"]["id"] == second["session"]["id"] != third["session"]["id"]
    assert second["session"]["start"] == first["session"]["start"]


def test_no_ids_and_no_address_where_a_site_wants_none(
    launch: Launch, site: Site, served: Served, recorded: Recorded
) -> None:
    auto = {"ids": False, "ipAddress": False, "clicks": False}
    site.pages["/bare.html"] = SPA % ("", options(served, recorded.project, auto=auto))
    page = visited(launch(), site, "/bare.html")
    page.click("button.buy")
    (view,) = recorded.wait_for(1, "pageviews")
    drained(page)
    assert not {"user", "session", "ip_address"} & set(view)
    assert recorded.events("clicks") == []
    assert (
        page.evaluate("Object.keys(localStorage).filter((name) => /uuid|session|referrer/.test(name))") == []
    )


def test_nothing_is_recorded_or_remembered_of_a_visitor_who_opted_out(
    launch: Launch, site: Site, served: Served, recorded: Recorded
) -> None:
    site.pages["/out.html"] = SPA % ("", options(served, recorded.project, requireConsent=True))
    page = visited(launch(), site, "/out.html")
    page.click("#green b")
    page.click("button.buy")
    drained(page)
    assert page.evaluate("localStorage.length") == 0
    page.evaluate("acumen.optIn()")
    page.click("button.buy")
    (click,) = recorded.wait_for(1, "clicks")
    (view,) = recorded.wait_for(1, "pageviews")
    assert click["user"] == {**view["user"]}
    assert view["url"]["info"]["path"] == "/green", "the page on which he agreed"
