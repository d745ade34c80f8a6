"""Events of pages in a real browser: each is stored once, whatever happens to page, network and server."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import pytest

from tests.clients.browser.conftest import Launch, Recorded, Site
from tests.clients.faulty_proxy import (
    GARBAGE,
    LOST_ANSWER,
    LOST_REQUEST,
    UNAVAILABLE,
    Fault,
    FaultyProxy,
    too_many,
)
from tests.support.server import Served, ServedProject

PAGE = """<!doctype html><title>Shop</title><link rel="icon" href="data:,">
<script src="/dist/tracker.js"></script>
<script>
  drops = [];
  acumen.init(Object.assign(%s, {onDrop: (drop) => drops.push(drop.reason)}));
</script>"""


class Shop:
    """A page that tracks through a proxy which the test may let fail."""

    def __init__(self, site: Site, proxy: FaultyProxy, project: ServedProject) -> None:
        self.site, self.proxy, self.project = site, proxy, project
        self.path = f"/{project.id}.html"
        self.set_up()

    def set_up(self, **options: Any) -> None:
        self.site.pages[self.path] = PAGE % json.dumps(self.options(**options))

    def options(self, **options: Any) -> dict[str, Any]:
        keys = {"projectId": self.project.id, "writeKey": self.project.write_key}
        return {"url": self.proxy.url, **keys, "flushSeconds": 0.01, **options}

    @property
    def url(self) -> str:
        return self.site.url + self.path

    def visit(self, context: Any, url: str = "") -> Any:
        page = context.new_page()
        page.goto(url or self.url)
        return page


@pytest.fixture
def shop(site: Site, served: Served, project: ServedProject) -> Iterator[Shop]:
    with FaultyProxy(served.url) as proxy:
        yield Shop(site, proxy, project)


def track(page: Any, *numbers: int) -> None:
    page.evaluate("(numbers) => numbers.forEach((n) => acumen.track('seen', {n}))", list(numbers))


def drained(page: Any) -> None:
    """Wait until the page has nothing left to send."""
    page.evaluate(
        "async () => { while (!(await acumen.flush())) await new Promise((go) => setTimeout(go, 20)); }"
    )


def kept(page: Any, project: ServedProject) -> int:
    """How many events the browser's database holds."""
    count: int = page.evaluate(
        """(name) => new Promise((resolve) => {
             const opening = indexedDB.open(name, 1);
             opening.onsuccess = () => {
               const count = opening.result.transaction("e").objectStore("e").count();
               count.onsuccess = () => resolve(count.result);
             };
           })""",
        f"acumen.{project.id}",
    )
    return count


def await_kept(page: Any, project: ServedProject, number: int) -> None:
    while kept(page, project) != number:
        page.wait_for_timeout(10)


def test_events_are_sent_without_a_preflight(launch: Launch, shop: Shop, recorded: Recorded) -> None:
    page = shop.visit(launch())
    track(page, 1, 2)
    drained(page)
    assert recorded.numbers() == [1, 2]
    assert [method for _, method, _ in shop.proxy.requests] == ["POST"]


def test_events_of_a_browser_without_network_are_sent_later(
    launch: Launch, shop: Shop, recorded: Recorded
) -> None:
    context = launch()
    page = shop.visit(context)
    context.set_offline(True)
    track(page, 1, 2, 3)
    await_kept(page, shop.project, 3)
    context.set_offline(False)
    recorded.wait_for(3)
    drained(page)
    assert recorded.numbers() == [1, 2, 3]
    assert kept(page, shop.project) == 0


def test_events_outlive_a_reload(launch: Launch, shop: Shop, recorded: Recorded) -> None:
    page = shop.visit(launch())
    shop.proxy.down = True
    track(page, 1, 2)
    await_kept(page, shop.project, 2)
    page.reload()
    track(page, 3)
    shop.proxy.down = False
    recorded.wait_for(3)
    drained(page)
    assert recorded.numbers() == [1, 2, 3]


def test_events_outlive_their_tab_and_the_browser(launch: Launch, shop: Shop, recorded: Recorded) -> None:
    context = launch()
    page = shop.visit(context)
    shop.proxy.down = True
    track(page, 1, 2)
    await_kept(page, shop.project, 2)
    other = context.new_page()
    page.close()
    other.close()
    context.close()
    shop.proxy.down = False
    page = shop.visit(launch())
    recorded.wait_for(2)
    drained(page)
    assert recorded.numbers() == [1, 2]


def test_an_answer_that_a_reload_cut_off_stores_nothing_twice(
    launch: Launch, shop: Shop, recorded: Recorded
) -> None:
    page = shop.visit(launch())
    shop.proxy.faults = [LOST_ANSWER]
    track(page, 1, 2)
    recorded.wait_for(2)
    page.reload()
    drained(page)
    assert kept(page, shop.project) == 0
    assert recorded.numbers() == [1, 2]


@pytest.mark.parametrize("secure", [True, False], ids=["locks", "leases"])
def test_tabs_share_one_queue(launch: Launch, shop: Shop, recorded: Recorded, secure: bool) -> None:
    """With the locks of a secure page, and without."""
    url = (shop.site.url if secure else shop.site.insecure_url) + shop.path
    context = launch()
    tabs = [shop.visit(context, url) for _ in range(3)]
    assert tabs[0].evaluate("'locks' in navigator") is secure
    shop.proxy.down = True
    for number in range(30):
        track(tabs[number % 3], number)
    await_kept(tabs[0], shop.project, 30)
    tabs[2].close()
    shop.proxy.down = False
    recorded.wait_for(30)
    for tab in tabs[:2]:
        drained(tab)
    assert recorded.numbers() == list(range(30))
    if secure:
        # The tab that closes sends its own events as it goes, and may do so after the network is back.
        sent = [event["n"] for body in shop.proxy.accepted for event in json.loads(body)["seen"]]
        stayed = [number for number in range(30) if number % 3 != 2]
        assert sorted(n for n in sent if n in stayed) == stayed, "no two tabs sent the same"


def test_an_entry_that_is_no_event_leaves_the_queue(launch: Launch, shop: Shop, recorded: Recorded) -> None:
    """A version that did not check put it there; it stops neither this page nor any other."""
    page = shop.visit(launch())
    shop.proxy.down = True
    track(page, 1)
    await_kept(page, shop.project, 1)
    page.evaluate(
        """(name) => new Promise((resolve) => {
             const opening = indexedDB.open(name, 1);
             opening.onsuccess = () => {
               const adding = opening.result.transaction("e", "readwrite").objectStore("e")
                 .add({ e: '{"n": 2}', t: Date.now() });
               adding.onsuccess = () => resolve();
             };
           })""",
        f"acumen.{shop.project.id}",
    )
    page.reload()
    page.evaluate("acumen.track(undefined, {}), acumen.track('', {})")
    track(page, 3)
    shop.proxy.down = False
    drained(page)
    assert recorded.numbers() == [1, 3]
    # The page before the reload may have dropped the entry already.
    assert page.evaluate("drops") in (["refused"] * 2, ["refused"] * 3)
    assert kept(page, shop.project) == 0


@pytest.mark.parametrize("leaving", ["navigates", "closes"])
def test_events_are_sent_when_a_page_goes(
    launch: Launch, shop: Shop, recorded: Recorded, leaving: str
) -> None:
    """They have not been sent before: the queue would have waited a minute."""
    shop.set_up(flushSeconds=60)
    context = launch()
    page = shop.visit(context)
    track(page, 1, 2)
    if leaving == "navigates":
        page.goto("about:blank")
    else:
        other = context.new_page()
        page.close(run_before_unload=True)
        other.bring_to_front()
    recorded.wait_for(2)
    page = shop.visit(context)
    drained(page)
    assert recorded.numbers() == [1, 2]


def test_more_than_outlives_a_page_is_sent_by_the_next(
    launch: Launch, shop: Shop, recorded: Recorded
) -> None:
    """64 KiB is what a browser sends for a page that is gone; the rest waits in its database."""
    shop.set_up(flushSeconds=60)
    context = launch()
    page = shop.visit(context)
    page.evaluate("() => { for (let n = 0; n < 60; n++) acumen.track('seen', {n, text: 'x'.repeat(5000)}); }")
    await_kept(page, shop.project, 60)
    page.goto("about:blank")
    page = shop.visit(context)
    recorded.wait_for(60)
    drained(page)
    assert recorded.numbers() == list(range(60))


@pytest.mark.parametrize(
    "faults",
    [[LOST_REQUEST], [LOST_ANSWER], [GARBAGE], [UNAVAILABLE], [too_many(1)], [Fault(status=503, headers={})]],
    ids=["request lost", "answer lost", "garbage", "503", "429", "503 bare"],
)
def test_each_event_is_stored_once_whatever_fails(
    launch: Launch, shop: Shop, recorded: Recorded, faults: list[Fault]
) -> None:
    page = shop.visit(launch())
    shop.proxy.faults = list(faults)
    track(page, 1, 2, 3)
    drained(page)
    assert recorded.numbers() == [1, 2, 3]
    if faults[0].status == 429:
        (first, _, _), (second, _, _) = shop.proxy.requests[:2]
        assert second - first >= 1


def test_a_server_that_is_stopped_and_started_again(launch: Launch, site: Site) -> None:
    with Served() as served, FaultyProxy(served.url) as proxy:
        shop = Shop(site, proxy, served.project)
        shop.set_up(url=served.url)
        page = shop.visit(launch())
        track(page, 1)
        recorded = Recorded(served, served.project)
        recorded.wait_for(1)
        served.kill_all()
        track(page, 2, 3)
        await_kept(page, served.project, 2)
        served.start()
        recorded.wait_for(3)
        drained(page)
        assert recorded.numbers() == [1, 2, 3]


def test_one_bad_event_sinks_no_batch(launch: Launch, shop: Shop, recorded: Recorded) -> None:
    page = shop.visit(launch())
    page.evaluate("() => acumen.track('seen', {n: 2, 'a.b': 1})")
    track(page, 1, 3)
    drained(page)
    assert recorded.numbers() == [1, 3]
    assert page.evaluate("drops") == ["refused"]


def test_events_that_are_too_old_are_told_not_sent(
    launch: Launch, shop: Shop, recorded: Recorded, served: Served
) -> None:
    """Their tokens may be forgotten by the server, so that they might be stored twice."""
    with FaultyProxy(served.url) as unreachable:
        # The page sends once more as it goes, so that its proxy must stay down.
        unreachable.down = True
        shop.set_up(url=unreachable.url)
        page = shop.visit(launch())
        track(page, 1)
        await_kept(page, shop.project, 1)
        shop.set_up(eventAgeMaxDays=0)
        page.reload()
        drained(page)
        assert page.evaluate("drops") == ["expired"]
        assert kept(page, shop.project) == 0
        assert recorded.numbers() == []


def test_a_full_queue_tells_what_it_does_not_take(launch: Launch, shop: Shop, recorded: Recorded) -> None:
    shop.set_up(queueEventsMax=3)
    page = shop.visit(launch())
    shop.proxy.down = True
    track(page, 1, 2, 3, 4)
    await_kept(page, shop.project, 3)
    page.reload()
    track(page, 5)
    page.wait_for_function("drops.length == 1")
    shop.proxy.down = False
    drained(page)
    assert recorded.numbers() == [1, 2, 3]
    assert page.evaluate("drops") == ["queue_full"]


def test_a_sandboxed_frame_has_no_database_and_records(
    launch: Launch, shop: Shop, recorded: Recorded
) -> None:
    shop.site.pages["/frame.html"] = f"<iframe sandbox='allow-scripts' src='{shop.path}'></iframe>"
    page = shop.visit(launch(), shop.site.url + "/frame.html")
    frame = page.frame(url=shop.url)
    frame.wait_for_function("window.acumen && acumen.version")
    assert frame.evaluate("origin") == "null"
    shop.proxy.faults = [LOST_ANSWER]
    track(frame, 1, 2)
    drained(frame)
    assert recorded.numbers() == [1, 2]


# Consent


def test_do_not_track_of_the_browser(launch: Launch, shop: Shop, recorded: Recorded) -> None:
    """As a visitor sets it; nothing is recorded, and nothing is put into the browser."""
    page = shop.visit(launch(preferences='{"enable_do_not_track": true}'))
    assert page.evaluate("navigator.doNotTrack") == "1"
    track(page, 1)
    drained(page)
    assert page.evaluate("[acumen.optedOut, localStorage.length]") == [True, 0]
    page.evaluate("acumen.optIn()")
    page.reload()
    track(page, 2)
    drained(page)
    assert recorded.numbers() == [2]


def test_do_not_track_may_be_left_to_the_site(launch: Launch, shop: Shop, recorded: Recorded) -> None:
    shop.set_up(respectPrivacySignals=False)
    page = shop.visit(launch(preferences='{"enable_do_not_track": true}'))
    track(page, 1)
    drained(page)
    assert recorded.numbers() == [1]


def test_global_privacy_control(launch: Launch, shop: Shop, recorded: Recorded) -> None:
    """Chromium has no setting for it: the page is told as extensions tell it."""
    context = launch()
    context.add_init_script("Object.defineProperty(navigator, 'globalPrivacyControl', {value: true})")
    page = shop.visit(context)
    track(page, 1)
    drained(page)
    assert recorded.numbers() == []


def test_a_visitor_who_opts_out_is_forgotten(launch: Launch, shop: Shop, recorded: Recorded) -> None:
    """In all tabs, also what waits there, and for later visits."""
    context = launch()
    page, other = shop.visit(context), shop.visit(context)
    shop.proxy.down = True
    track(page, 1)
    track(other, 2)
    await_kept(page, shop.project, 2)
    page.evaluate("acumen.optOut()")
    await_kept(page, shop.project, 0)
    for tab in (page, other):  # what is on its way meets no network either
        drained(tab)
    shop.proxy.down = False
    track(other, 3)
    for tab in (page, other):
        drained(tab)
    page.reload()
    track(page, 4)
    drained(page)
    assert page.evaluate("acumen.optedOut") is True
    assert recorded.numbers() == []
    page.evaluate("acumen.optIn()")
    track(page, 5)
    drained(page)
    assert recorded.numbers() == [5]


def test_consent_may_be_needed_first(launch: Launch, shop: Shop, recorded: Recorded) -> None:
    shop.set_up(requireConsent=True)
    page = shop.visit(launch())
    track(page, 1)
    page.evaluate("acumen.optIn()")
    track(page, 2)
    drained(page)
    assert recorded.numbers() == [2]


def test_what_is_recorded_right_after_consent_is_sent(launch: Launch, shop: Shop, recorded: Recorded) -> None:
    """Leave may come at any moment while what was there before is forgotten."""
    shop.set_up(requireConsent=True)
    page = shop.visit(launch())
    page.evaluate(
        """async () => {
          const sleep = (milliseconds) => new Promise((go) => setTimeout(go, milliseconds));
          for (let n = 0; n < 60; n++) {
            acumen.optOut();
            void acumen.flush();
            const until = performance.now() + (n % 12) / 3;
            while (performance.now() < until) await sleep(0);
            acumen.optIn();
            acumen.track("seen", {n});
            while (!(await acumen.flush())) await sleep(20);
          }
        }"""
    )
    assert recorded.numbers() == list(range(60))
