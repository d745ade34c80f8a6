"""Browsers of people, for tests: each with its own cookie, and with what a page of the server sends."""

from __future__ import annotations

from collections.abc import Mapping
from http.cookies import SimpleCookie
from typing import Any

import httpx

from service.people.links import make_invitation
from storage.catalog.people.records import Role
from storage.catalog.tenants.records import Project
from tests.service.whole import Whole

PASSWORD = "correct horse battery"
PAGE = {"sec-fetch-site": "same-origin", "origin": "http://test"}
"""What a browser says of a page of the server itself."""


class Browser:
    """``cookie`` is the token of its session; empty without one."""

    def __init__(self, whole: Whole, headers: Mapping[str, str] = PAGE) -> None:
        self.whole = whole
        self.headers = dict(headers)
        self.cookie_name = "acumen_session"
        self.cookie = ""
        self.set_cookie = ""
        """As the last answer set it."""

    def send(
        self, method: str, address: str, body: Any = None, headers: Mapping[str, str] | None = None
    ) -> httpx.Response:
        """A request as the scripts of the pages send it."""
        given = {"authorization": "session", "content-type": "application/json", **self.headers}
        if self.cookie:
            given["cookie"] = f"{self.cookie_name}={self.cookie}"
        given |= headers or {}
        reply = self.whole.send(method, address, body, {name: text for name, text in given.items() if text})
        self.set_cookie = reply.headers.get("set-cookie", "")
        if self.set_cookie:
            self.cookie_name, set_to = next(iter(SimpleCookie(self.set_cookie).items()))
            self.cookie = set_to.value
        return reply

    def ask(self, project: Project, path: str, **more: Any) -> httpx.Response:
        return self.send("GET", f"/3.0/projects/{project.id}/{path}", **more)

    def log_in(self, email: str, password: str = PASSWORD, **more: Any) -> httpx.Response:
        return self.send("POST", "/account/sessions", {"email": email, "password": password, **more})

    def join(self, token: str, name: str) -> httpx.Response:
        body = {"token": token, "email": f"{name}@example.com", "name": name.title(), "password": PASSWORD}
        return self.send("POST", "/account/join", body)

    @property
    def id(self) -> str:
        """The id of the person who is logged in."""
        found: str = self.send("GET", "/account").json()["person"]["id"]
        return found


def invited(whole: Whole, **given: Any) -> str:
    """The token of an invitation from the shell to the first project's organisation."""
    _, token = make_invitation(whole.catalog, whole.project.organisation_id, whole.parts.clock(), **given)
    return token


def person(whole: Whole, name: str, role: Role | None = None, *, owner: bool = False) -> Browser:
    """The browser of a new person, who is logged in: an owner, or with a role in the first project."""
    roles = {} if role is None else {whole.project.id: role}
    browser = Browser(whole)
    reply = browser.join(invited(whole, roles=roles, is_owner=owner), name)
    assert reply.status_code == 201, reply.text
    return browser
