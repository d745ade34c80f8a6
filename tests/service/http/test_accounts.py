"""Accounts on a real server of two workers: what one of them does counts on the other."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest

from service.people.accounts import ATTEMPTS_PER_ACCOUNT
from tests.support.server import SESSION_COOKIE, Reply, Served

PASSWORD = "correct horse battery"
AS_JSON = {"Content-Type": "application/json"}
TIMES = 24
"""Requests on connections of their own, of which each worker gets some."""


@pytest.fixture(scope="module")
def two() -> Iterator[Served]:
    with Served(workers=2) as server:
        yield server


def posted(served: Served, path: str, body: Any) -> Reply:
    return served.request("POST", path, body, headers=AS_JSON)


def joined(served: Served, name: str, *options: str) -> str:
    """The cookie of a new person."""
    told = served.told("people", "invite", f"{name}@example.com", *options).stdout
    body = {"token": told.strip().partition("#")[2], "name": name, "password": PASSWORD}
    reply = posted(served, "/account/join", body)
    assert reply.status == 201, reply.body
    cookie = reply.headers["set-cookie"].partition(";")[0]
    assert cookie.startswith(SESSION_COOKIE)
    return cookie


def statuses(served: Served, path: str, cookie: str) -> set[int]:
    return {served.request("GET", path, key=cookie).status for _ in range(TIMES)}


def test_a_session_counts_on_every_worker_and_ends_on_every_worker_at_once(two: Served) -> None:
    cookie = joined(two, "ann", "--owner")
    path = f"/3.0/projects/{two.project.id}/events"
    assert statuses(two, path, cookie) == {200}
    assert two.request("DELETE", "/account/sessions/current", key=cookie).status == 204
    assert statuses(two, path, cookie) == {401}


def test_a_role_that_changes_counts_on_every_worker_at_once(two: Served) -> None:
    owner, cookie = joined(two, "owner", "--owner"), joined(two, "ben", "--role", "viewer")
    path = f"/3.0/projects/{two.project.id}/queries/saved"
    person = two.request("GET", "/account", key=cookie).json["person"]["id"]
    place = f"/account/organisations/{two.project.organization_id}/people/{person}"
    assert statuses(two, path, cookie) == {200}
    for roles, found in (({}, {404}), ({two.project.id: "editor"}, {200}), ({}, {404})):
        assert two.request("PUT", place, {"roles": roles, "owner": False}, key=owner).status == 204
        assert statuses(two, path, cookie) == found


def test_attempts_are_counted_over_all_workers(two: Served) -> None:
    body = {"email": "nobody@example.com", "password": "wrong password"}
    found = [posted(two, "/account/sessions", body).status for _ in range(ATTEMPTS_PER_ACCOUNT + 5)]
    assert found == [401] * ATTEMPTS_PER_ACCOUNT + [429] * 5


def test_a_new_password_ends_sessions_on_every_worker_at_once(two: Served) -> None:
    cookie = joined(two, "cal", "--role", "viewer")
    reply = posted(two, "/account/sessions", {"email": "cal@example.com", "password": PASSWORD})
    other = reply.headers["set-cookie"].partition(";")[0]
    assert statuses(two, "/account", other) == {200}
    change = {"old": PASSWORD, "new": "a better password"}
    assert two.request("PUT", "/account/password", change, key=cookie).status == 204
    assert statuses(two, "/account", cookie) == {200}
    assert statuses(two, "/account", other) == {401}


def test_the_log_tells_no_token(two: Served) -> None:
    cookie = joined(two, "dan", "--role", "viewer")
    assert two.request("GET", "/account", key=cookie).status == 200
    assert cookie.partition("=")[2] not in two.log.read_text()
