"""The example shop: started as its README says, with either backend, against a served Acumen."""

from __future__ import annotations

import hmac
import http.client
import json
import os
import re
import shutil
import signal
import subprocess
import sys
import time
import tomllib
import xml.etree.ElementTree as ET
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest

from tests.support.browser import PATIENCE_SECONDS, Launch
from tests.support.server import Reply, Served, ServedProject, free_port

ROOT = Path(__file__).resolve().parents[2]
README = (ROOT / "examples/shop/README.md").read_text(encoding="utf-8")
PREPARE, IN_PYTHON, IN_NODE = re.findall(r"^```sh\n(.*?)^```", README, re.MULTILINE | re.DOTALL)
CUSTOMERS = ("ann", "bob", "cid")
SAVED = ("goods", "spending", "total")
Json = dict[str, Any]


@dataclass(frozen=True)
class Shop:
    """A copy of the example in a tree like the clone, prepared for the first project of a new server."""

    served: Served
    project: ServedProject
    folder: Path
    url: str

    def commands(self, block: str) -> list[str]:
        """A block of the README, after what a reader pastes: the commands that the first start printed."""
        exports = re.findall(r"^ +(export ACUMEN_(?:.*\\\n)*.*)$", self.served.output(), re.MULTILINE)
        assert len(exports) == 2
        return ["sh", "-eu", "-c", "\n".join([*exports, block])]

    @property
    def environment(self) -> dict[str, str]:
        """npm asks nobody outside for anything, and the shop has a port that is free."""
        own = {name: value for name, value in os.environ.items() if not name.startswith("ACUMEN_")}
        return {**own, "SHOP_URL": self.url, "npm_config_offline": "true", "npm_config_audit": "false"}

    def prepare(self) -> str:
        done = subprocess.run(
            self.commands(PREPARE), cwd=self.folder, env=self.environment, capture_output=True, text=True
        )
        assert done.returncode == 0, done.stderr
        return done.stdout

    @property
    def settings(self) -> Json:
        settings: Json = json.loads((self.folder / "shop.json").read_text())
        return settings

    def cookie(self, customer: str) -> str:
        """What either backend gives a customer who has logged in."""
        secret = bytes.fromhex(self.settings["cookie_secret"])
        return f"session={customer}.{hmac.digest(secret, customer.encode(), 'sha256').hex()}"

    def call(
        self, path: str, *, customer: str = "", form: str | None = None, cookie: str | None = None
    ) -> Reply:
        """A request to the backend; redirects are not followed."""
        connection = http.client.HTTPConnection(urlsplit(self.url).netloc, timeout=PATIENCE_SECONDS)
        headers = (
            {"Cookie": self.cookie(customer) if cookie is None else cookie} if customer or cookie else {}
        )
        connection.request("GET" if form is None else "POST", path, form, headers)
        answer = connection.getresponse()
        body = answer.read()
        connection.close()
        return Reply(answer.status, {name.lower(): value for name, value in answer.getheaders()}, body)

    def token(self, customer: str) -> str:
        return str(self.call("/token", customer=customer).json["token"])

    def saved(self, name: str, token: str, **headers: str) -> Reply:
        """A result of a saved query; ``name`` may end in a kind of picture."""
        name, _, kind = name.partition(".")
        path = f"/3.0/projects/{self.project.id}/queries/saved/{name}/result" + (kind and f".{kind}")
        return self.served.request("GET", path, key=token, headers=headers)

    def asked(self, customer: str, name: str) -> Any:
        """What the saved query gives of this customer, asked with the read key and a filter."""
        path = f"/3.0/projects/{self.project.id}/queries/saved/{name}"
        query = self.served.request("GET", path, key=self.project.master_key).json["query"]
        own = {"property_name": "customer.id", "operator": "eq", "property_value": customer}
        params = {name: value for name, value in query.items() if value is not None and name != "filters"}
        return self.served.ask(self.project, params.pop("analysis_type"), **params, filters=[own])


@pytest.fixture(scope="module")
def started() -> Iterator[Served]:
    """A server's first start."""
    with Served() as served:
        yield served


@pytest.fixture(scope="module")
def shop(started: Served, tmp_path_factory: pytest.TempPathFactory) -> Shop:
    clone = tmp_path_factory.mktemp("clone")
    folder = clone / "examples/shop"
    left_out = shutil.ignore_patterns("node_modules", "shop.json", "__pycache__")
    shutil.copytree(ROOT / "examples/shop", folder, ignore=left_out)
    (clone / "clients").symlink_to(ROOT / "clients")
    python = clone / ".venv/bin/python"
    python.parent.mkdir(parents=True)
    python.write_text(f'#!/bin/sh\nexec "{sys.executable}" "$@"\n')
    python.chmod(0o755)
    shop = Shop(started, started.project, folder, f"http://127.0.0.1:{free_port()}")
    shop.prepare()
    return shop


@contextmanager
def opened(shop: Shop, block: str) -> Iterator[Shop]:
    process = subprocess.Popen(
        shop.commands(block),
        cwd=shop.folder,
        env=shop.environment,
        stdout=subprocess.PIPE,
        text=True,
        process_group=0,
    )
    try:
        assert process.stdout is not None
        assert any(line == f"The shop is open at {shop.url}\n" for line in process.stdout), "it did not open"
        yield shop
    finally:
        os.killpg(process.pid, signal.SIGKILL)
        process.wait()
        process.stdout.close()  # type: ignore[union-attr]


@pytest.fixture(scope="module", params=["python", "node"])
def open_shop(shop: Shop, request: pytest.FixtureRequest) -> Iterator[Shop]:
    """The shop with one of its backends."""
    if request.param == "node" and shutil.which("node") is None:
        pytest.skip("Node is not installed")
    with opened(shop, IN_PYTHON if request.param == "python" else IN_NODE) as running:
        yield running


def test_it_needs_nothing_but_what_make_serve_installs(shop: Shop) -> None:
    """The client is taken from the clone; all else that it imports, the server needs as well."""
    assert "make setup" not in README
    for block, script in ((PREPARE, "prepare.py"), (IN_PYTHON, "backend.py")):
        assert "PYTHONPATH=../../clients/python/src " in block
        asking = block.replace(script, "-c 'import acumen_client; print(acumen_client.__file__)'")
        done = subprocess.run(
            shop.commands(asking), cwd=shop.folder, env=shop.environment, capture_output=True, text=True
        )
        used = (shop.folder / done.stdout.strip()).resolve()
        assert (used, done.returncode) == (ROOT / "clients/python/src/acumen_client/__init__.py", 0)
    needed = tomllib.loads((ROOT / "clients/python/pyproject.toml").read_text())["project"]
    own = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["dependencies"]
    names = {re.split("[<>=~!; ]", one)[0] for one in own}
    for one in (*needed["dependencies"], *needed["optional-dependencies"]["embed"]):
        assert re.split("[<>=~!; ]", one)[0] in names, one


def test_prepared_again_nothing_is_there_twice(shop: Shop) -> None:
    before = shop.settings
    count = shop.served.ask(shop.project, "count", event_collection="purchases")

    said = shop.prepare()

    assert said.startswith("0 orders recorded")
    assert shop.served.ask(shop.project, "count", event_collection="purchases") == count > 50
    kept = ("acumen", "project", "shop", "page_key", "embed_key")
    assert {name: shop.settings[name] for name in kept} == {name: before[name] for name in kept}
    assert (shop.folder / "shop.json").stat().st_mode & 0o077 == 0


def test_the_key_in_pages_can_record_and_nothing_else(shop: Shop) -> None:
    key, api = shop.settings["page_key"], f"/3.0/projects/{shop.project.id}"
    assert shop.served.request("POST", f"{api}/events/visits", {"n": 1}, key=key).status == 201
    for path in (
        "/queries/count?event_collection=purchases",
        "/queries/saved/total/result",
        "/events",
        "/keys",
    ):
        assert shop.served.request("GET", api + path, key=key).status in (401, 403), path


def test_customers_see_their_own_numbers_alone(open_shop: Shop) -> None:
    totals = []
    for customer in CUSTOMERS:
        token = open_shop.token(customer)
        for name in SAVED:
            told = open_shop.saved(name, token, Origin=open_shop.url)
            assert told.status == 200, told.body
            assert told.json["result"] == open_shop.asked(customer, name)
            assert "filters" not in told.json["query"]
        totals.append(open_shop.saved("total", token, Origin=open_shop.url).json["result"])
    everybody = open_shop.served.ask(
        open_shop.project,
        "sum",
        event_collection="purchases",
        target_property="price",
        timeframe="this_30_days",
    )
    assert min(totals) > 0 and sum(totals) == everybody


def test_a_token_is_good_for_nothing_else(open_shop: Shop) -> None:
    token, api = open_shop.token("ann"), f"/3.0/projects/{open_shop.project.id}"
    assert open_shop.saved("total", token, Origin="http://elsewhere.example").status == 403
    assert open_shop.saved("total", token).status == 403, "it does not say from where"
    here = {"Origin": open_shop.url}
    for path in (
        "/queries/count?event_collection=purchases",
        "/queries/extraction?event_collection=purchases",
    ):
        assert open_shop.served.request("GET", api + path, key=token, headers=here).status == 403
    assert open_shop.served.request("POST", f"{api}/events/visits", {"n": 1}, key=token).status == 403


def test_pictures_show_the_customers_own(open_shop: Shop) -> None:
    drawn = set()
    for customer in CUSTOMERS:
        token = open_shop.token(customer)
        answer = open_shop.saved("goods.svg", token, Referer=f"{open_shop.url}/account")
        assert answer.status == 200, answer.body
        texts = {
            "".join(one.itertext()) for one in ET.fromstring(answer.body).iter() if one.tag.endswith("text")
        }
        assert {group["product"] for group in open_shop.asked(customer, "goods")} <= texts
        drawn.add(answer.body)
        png = open_shop.saved("goods.png", token, Referer=f"{open_shop.url}/account")
        assert png.body.startswith(b"\x89PNG")
    assert len(drawn) == len(CUSTOMERS)


def test_who_is_not_logged_in_gets_no_token(open_shop: Shop) -> None:
    forged = open_shop.cookie("ann").replace("ann", "bob")
    for cookie in ("", forged, "session=ann", "session=ann.", "session=", "x"):
        assert open_shop.call("/token", cookie=cookie).status == 401, cookie
        asked = open_shop.call("/account", cookie=cookie)
        assert (asked.status, asked.headers["location"]) == (303, "/login")
    for form in ("customer=", "customer=%3Cb%3E", "", "customer=ann.x"):
        assert open_shop.call("/login", form=form).status == 400, form


def test_both_backends_serve_the_same(open_shop: Shop) -> None:
    """Cookie, pages, headers and what is not there."""
    entered = open_shop.call("/login", form="customer=ann")
    assert (entered.status, entered.headers["location"]) == (303, "/account")
    assert entered.headers["set-cookie"] == f"{open_shop.cookie('ann')}; Path=/; HttpOnly; SameSite=Strict"
    page = open_shop.call("/account", customer="ann")
    assert "{{" not in page.body.decode()
    for secret in ("embed_key", "cookie_secret"):
        assert open_shop.settings[secret] not in page.body.decode()
    for path, kind in (
        ("/", "text/html; charset=utf-8"),
        ("/shop.js", "text/javascript"),
        ("/icon.svg", "image/svg+xml"),
    ):
        answer = open_shop.call(path)
        assert (answer.status, answer.headers["content-type"]) == (200, kind)
        policy = answer.headers["content-security-policy"]
        assert policy.startswith("default-src 'none'; script-src 'self' http") and "unsafe" not in policy
    for path in (
        "/shop.json",
        "/../shop.json",
        "/..%2fshop.json",
        "/backend.py",
        "/index.html",
        "/nothing.js",
        "/toString",
    ):
        assert open_shop.call(path).status == 404, path


def watched(context: Any) -> tuple[Any, list[str]]:
    """A page, and what a developer would see in red."""
    errors: list[str] = []
    page = context.new_page()
    page.on("console", lambda said: errors.append(said.text) if said.type in ("error", "warning") else None)
    page.on("pageerror", lambda error: errors.append(str(error)))
    page.on("requestfailed", lambda request: None if is_recording(request) else errors.append(request.url))
    return page, errors


def is_recording(request: Any) -> bool:
    """Sent while a page is left, and nobody is told of its answer any more."""
    return "/events?" in str(request.url)


def events_of(shop: Shop, collection: str, count: int, **filters: Any) -> list[Json]:
    """Wait for so many events that have a page."""
    there = [{"property_name": "page.title", "operator": "exists", "property_value": True}]
    until = time.monotonic() + PATIENCE_SECONDS
    while True:
        found: list[Json] = shop.served.ask(
            shop.project, "extraction", event_collection=collection, filters=there
        )
        if len(found) >= count:
            return found
        assert time.monotonic() < until, f"{len(found)} of {count} events of {collection}"
        time.sleep(0.05)


def test_a_visit_in_a_browser(open_shop: Shop, launch: Launch) -> None:
    """Page views and a purchase are recorded; the account page draws in all three ways, the purchase too."""
    bought = len(events_of(open_shop, "purchases", 0))
    seen = len(events_of(open_shop, "pageviews", 0))
    page, errors = watched(launch())
    page.goto(f"{open_shop.url}/account")
    page.select_option("select", "bob")
    page.click("text=Log in >> nth=-1")
    page.wait_for_url("**/account")
    drawn(page)
    page.click("text=Shop")
    page.click("[data-product=Sencha]")
    newest = events_of(open_shop, "purchases", bought + 1)[0]
    assert (newest["product"], newest["price"], newest["customer"]) == ("Sencha", 12, {"id": "bob"})
    views = events_of(open_shop, "pageviews", seen + 3)[:3]
    assert [view["page"]["title"] for view in views] == ["Tea", "Your account", "Log in"]
    assert [view.get("customer") for view in views] == [{"id": "bob"}, {"id": "bob"}, None]
    page.click("text=Your account")
    drawn(page)
    total = open_shop.asked("bob", "total")
    frame = page.frame_locator("iframe")
    frame.locator("acumen-chart", has_text=f"{total}").wait_for()
    assert errors == []


def drawn(page: Any) -> None:
    """Wait until the component, the frame and the picture have all drawn."""
    page.locator("acumen-chart svg").first.wait_for()
    page.frame_locator("iframe").locator("acumen-chart svg").first.wait_for()
    until(page, "() => document.images[0].complete && document.images[0].naturalWidth === 460")


def until(page: Any, condition: str, value: Any = None) -> None:
    """Wait until a function of the page is true. Its policy forbids the `eval` of Playwright's own wait."""
    deadline = time.monotonic() + PATIENCE_SECONDS
    while not page.evaluate(condition, value):
        assert time.monotonic() < deadline, condition
        time.sleep(0.02)


def test_a_page_that_stays_open_takes_a_new_token(open_shop: Shop, launch: Launch) -> None:
    context = launch()
    page, errors = watched(context)
    context.add_cookies(
        [{"name": "session", "value": open_shop.cookie("ann").partition("=")[2], "url": open_shop.url}]
    )
    page.clock.install()
    page.goto(f"{open_shop.url}/account")
    drawn(page)
    before = page.locator("acumen-chart").get_attribute("token")
    with page.expect_response("**/token"):
        page.clock.fast_forward("54:01")
    until(page, "(old) => document.querySelector('acumen-chart').getAttribute('token') !== old", before)
    drawn(page)
    now = page.locator("acumen-chart").get_attribute("token")
    assert now in page.locator("iframe").get_attribute("src")
    assert now in page.locator("img").get_attribute("src")
    assert errors == []
