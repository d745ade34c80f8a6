"""Log-in with OpenID Connect in a browser, with a certified provider on another site."""

from __future__ import annotations

import json
import os
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Self

import pytest

from tests.clients.pages.conftest import Visiting, Visitor
from tests.clients.pages.test_people import first_link, invited, joined, visit
from tests.plugins_required import REQUIRE_ALL
from tests.support.axe import serious
from tests.support.npm import are_installed, installed_packages
from tests.support.server import Served, ServedProject, free_port

SCRIPT = Path(__file__).parent / "openid" / "provider.mjs"
LABEL = "Log in with Example"
CLIENT = {"client_id": "acumen", "client_secret": "a secret of the client's"}
PEOPLE = {
    "a-1": {"name": "Ann", "email": "ann@example.com", "email_verified": True},
    "b-1": {"name": "Ben", "email": "ben@example.com", "email_verified": True},
    "c-1": {"name": "Cal", "email": "cal@example.com", "email_verified": False},
}


class Provider:
    """A process of the provider. Its site is localhost, while that of Acumen is 127.0.0.1."""

    def __init__(self, node: str) -> None:
        self.port = free_port()
        self.issuer = f"http://localhost:{self.port}"
        self._node = node
        self._process: subprocess.Popen[str] | None = None

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()

    def start(self, redirect_uri: str) -> None:
        told = json.dumps({**CLIENT, "redirect_uri": redirect_uri, "people": PEOPLE})
        self._process = subprocess.Popen(
            [self._node, str(SCRIPT), str(self.port)],
            env={**os.environ, "OPENID": told},
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            text=True,
        )
        assert self._process.stdout is not None
        assert self._process.stdout.readline() == "ready\n"

    def stop(self) -> None:
        if self._process is not None:
            self._process.kill()
            self._process.communicate()
            self._process = None


class Knowing(Served):
    """An Acumen of two workers that knows the provider; each person has a role in its first project."""

    def __init__(self, provider: Provider) -> None:
        settings = {
            "ISSUER": provider.issuer,
            "LABEL": LABEL,
            "CLIENT_ID": CLIENT["client_id"],
            "CLIENT_SECRET": CLIENT["client_secret"],
        }
        super().__init__(workers=2, env={f"ACUMEN_OPENID_{name}": value for name, value in settings.items()})
        self._env["ACUMEN_PUBLIC_URL"] = self.url
        self.provider = provider
        self.return_uri = f"{self.url}/account/openid/return"


@pytest.fixture(scope="module")
def node() -> str:
    """Node, with the provider: installed where every test must run, or once by hand with `npm ci`."""
    if not (REQUIRE_ALL or are_installed(SCRIPT.parent)):
        pytest.skip(f"oidc-provider is not installed: npm ci in {SCRIPT.parent}")
    return installed_packages(SCRIPT.parent)


@pytest.fixture
def served(node: str) -> Iterator[Served]:
    with Provider(node) as provider, Knowing(provider) as own:
        provider.start(own.return_uri)
        yield own


@pytest.fixture
def project(served: Served) -> ServedProject:
    return served.project


@pytest.fixture
def known(served: Served) -> Knowing:
    """With an owner, and with Ann, who has a password."""
    assert isinstance(served, Knowing)
    joined(served, first_link(served), "owner")
    joined(served, invited(served, "ann", "--role", "editor"), "ann")
    return served


@pytest.fixture
def stranger(visiting: Visiting, known: Knowing) -> Iterator[Visitor]:
    """Somebody with a browser that also goes to the provider."""
    made = visiting()
    # The provider's pages have a font from elsewhere.
    made.page.context.route(
        lambda url: not url.startswith((known.url, known.provider.issuer)),
        lambda route: route.fulfill(status=200, content_type="text/css", body=""),
    )
    yield made
    made.addresses[:] = [one for one in made.addresses if one.startswith(known.url)]


def to_provider(page: Any) -> None:
    page.get_by_role("button", name=LABEL).click()
    page.get_by_placeholder("Enter any login").wait_for()


def log_in_there(page: Any, subject: str) -> None:
    page.get_by_placeholder("Enter any login").fill(subject)
    page.get_by_placeholder("and password").fill("any")
    page.get_by_role("button", name="Sign-in").click()
    page.get_by_role("button", name="Continue").click()


def test_the_button_leads_to_the_provider_and_back_to_the_page(stranger: Visitor, known: Knowing) -> None:
    page = stranger.open("data")
    to_provider(page)
    assert page.url.startswith(known.provider.issuer)
    log_in_there(page, "a-1")
    page.get_by_role("heading", name="Data").wait_for()
    assert page.url == f"{known.url}/app/{known.project.id}/data"
    page.reload()
    page.get_by_role("heading", name="Data").wait_for()
    visit(stranger, "/app/account").get_by_text("You have none: you log in elsewhere").wait_for()
    assert page.get_by_text("ann@example.com").count() == 1
    page.get_by_role("button", name="Log out").click()
    # The provider still knows who it is.
    page.get_by_role("button", name=LABEL).click()
    page.get_by_role("heading", name=known.project.name).wait_for()
    assert {one["name"]: one["value"] for one in page.context.cookies(known.url)}.keys() == {"acumen_session"}


@pytest.mark.parametrize(
    ("subject", "said"),
    [("b-1", "Nobody with your e-mail address is known here"), ("c-1", "that is verified")],
)
def test_who_is_not_let_in_is_told_why(stranger: Visitor, subject: str, said: str) -> None:
    page = visit(stranger, "/login")
    to_provider(page)
    log_in_there(page, subject)
    page.get_by_role("alert").filter(has_text=said).wait_for()
    page.get_by_role("button", name=LABEL).wait_for()


def test_who_cancels_there_is_back_where_they_began(stranger: Visitor) -> None:
    page = visit(stranger, "/login")
    to_provider(page)
    page.get_by_role("link", name="Cancel").click()
    page.get_by_role("alert").filter(has_text="You did not log in there").wait_for()


def test_an_invitation_is_accepted_with_it(stranger: Visitor, known: Knowing) -> None:
    page = stranger.page
    page.goto(invited(known, "ben", "--role", "viewer"))
    to_provider(page)
    log_in_there(page, "b-1")
    page.get_by_role("heading", name=known.project.name).wait_for()
    assert page.url == f"{known.url}/app/{known.project.id}"
    visit(stranger, "/app/account").get_by_text("ben@example.com").wait_for()


def test_the_provider_may_be_down_and_come_back_with_other_keys(stranger: Visitor, known: Knowing) -> None:
    page = visit(stranger, "/login")
    known.provider.stop()
    page.get_by_role("button", name=LABEL).click()
    page.get_by_role("alert").filter(has_text="does not answer as it should").wait_for()
    stranger.forget("status of 503")
    for _ in range(2):
        known.provider.start(known.return_uri)
        visit(stranger, "/login")
        to_provider(page)
        log_in_there(page, "a-1")
        page.get_by_role("heading", name=known.project.name).wait_for()
        page.get_by_role("button", name="Log out").click()
        page.get_by_role("button", name=LABEL).wait_for()
        known.provider.stop()


def test_the_address_of_the_way_back_is_of_no_use_again(
    stranger: Visitor, known: Knowing, visiting: Visiting
) -> None:
    page = visit(stranger, "/login")
    to_provider(page)
    log_in_there(page, "a-1")
    page.get_by_role("heading", name=known.project.name).wait_for()
    [way_back] = [one for one in stranger.addresses if "/account/openid/return?" in one]
    other = visiting()
    for browser in (stranger, other):
        browser.page.goto(way_back)
        browser.page.get_by_role("alert").filter(has_text="was used already").wait_for()
    assert other.page.context.cookies(known.url) == []


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_axe_finds_nothing_serious_in_its_pages(visiting: Visiting, known: Knowing, scheme: str) -> None:
    visitor = visiting(color_scheme=scheme, viewport={"width": 390, "height": 844})
    for path in ("/login", "/login?openid=unknown", invited(known, "ben").removeprefix(known.url)):
        page = visit(visitor, path)
        page.get_by_role("button", name=LABEL).wait_for()
        assert serious(page) == []
        assert page.evaluate("document.documentElement.scrollWidth") == 390
