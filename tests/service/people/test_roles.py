"""Roles: what each may do in a project, and that nobody gets more than they were given."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator, Callable
from typing import Any

import pytest

from service.auth.principal import Permission
from service.people.accounts import ATTEMPTS_PER_ACCOUNT
from storage.catalog.catalog import Catalog
from storage.catalog.people.records import Role
from tests.service.people.browsers import Browser, invited, person
from tests.service.whole import Whole

SAVED: dict[str, Any] = {
    "query": {"analysis_type": "count", "event_collection": "purchases"},
    "refresh_rate": 0,
}
DASHBOARD: dict[str, Any] = {"title": "Sales", "rows": []}
READS = (
    "events",
    "queries/count?event_collection=purchases&timeframe=this_1_days",
    "queries/extraction?event_collection=purchases&timeframe=this_1_days",
    "queries/saved",
    "queries/saved/q",
    "queries/saved/q/result",
    "datasets",
    "extractions",
)
EDITS = (
    ("PUT", "queries/saved/q", SAVED),
    ("DELETE", "queries/saved/q", None),
)
OWNS = (
    ("GET", "keys", None),
    ("POST", "keys", {"name": "k", "permitted": ["queries"]}),
    ("DELETE", "events/purchases", None),
    ("PUT", "events/purchases/retention", {"days": 30}),
    ("GET", "organization-usage", None),
)


def statuses(browser: Browser, whole: Whole, requests: Any) -> dict[str, int]:
    base = f"/3.0/projects/{whole.project.id}"
    return {
        f"{method} {path}": browser.send(method, f"{base}/{path}", body).status_code
        for method, path, body in requests
    }


@pytest.fixture
def owner(whole: Whole) -> Browser:
    whole.record(whole.project, "purchases", [{"price": 1}])
    whole.told(whole.project, "PUT", "queries/saved/q", SAVED)
    return person(whole, "ann", owner=True)


class TestRightsThatEndWhileABodyComes:
    """Who was admitted, and sends the end of the body once they are removed, has changed nothing."""

    CALLS = (
        ("POST", "/account/organisations/{org}/invitations", {"owner": True}),
        ("POST", "/3.0/organizations/{org}/projects", {"name": "Late"}),
        ("POST", "/3.0/projects/{project}/keys", {"name": "late", "permitted": ["queries"]}),
        ("POST", "/3.0/projects/{project}/own-keys/renew", {"kinds": ["read"]}),
        ("PUT", "/3.0/projects/{project}/queries/saved/late", SAVED),
        ("PUT", "/projects/{project}/dashboards/late", DASHBOARD),
        ("POST", "/3.0/projects/{project}/imports", {"price": 1}),
    )

    @pytest.fixture(autouse=True)
    def _all_bodies_are_slow(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr("service.http.routing.SLOW_SECONDS", 0.0)

    def send(self, browser: Browser, call: tuple[str, str, Any], between: Callable[[], object]) -> Any:
        method, path, body = call
        whole, text = browser.whole, json.dumps(body).encode()
        address = path.format(org=whole.project.organisation_id, project=whole.project.id)

        async def parts() -> AsyncIterator[bytes]:
            yield text[:1]
            between()
            yield text[1:]

        return browser.send(method, address, parts())

    @pytest.mark.parametrize("call", CALLS, ids=[path for _, path, _ in CALLS])
    def test_of_who_is_removed(self, whole: Whole, owner: Browser, call: tuple[str, str, Any]) -> None:
        ben = person(whole, "ben", owner=True)
        removed, organisation = ben.id, whole.project.organisation_id
        reply = self.send(ben, call, lambda: whole.catalog.people.leave(organisation, removed))
        assert (reply.status_code, reply.json()["error_code"]) == (401, "NotLoggedInError")
        assert not whole.catalog.invitations.of_organisation(organisation)
        assert [one.name for one in whole.catalog.projects.of_organisation(organisation)] == [
            whole.project.name
        ]
        assert not whole.told(whole.project, "GET", "keys")
        assert [one["query_name"] for one in whole.told(whole.project, "GET", "queries/saved")] == ["q"]
        assert not whole.told(whole.project, "GET", "imports")["imports"]

    @pytest.mark.parametrize("call", CALLS[2:5], ids=[path for _, path, _ in CALLS[2:5]])
    def test_of_who_may_only_look_by_now(
        self, whole: Whole, owner: Browser, call: tuple[str, str, Any]
    ) -> None:
        ben = person(whole, "ben", Role.OWNER)
        given, changed = {whole.project.id: Role.VIEWER}, ben.id
        place = whole.catalog.people.place
        organisation = whole.project.organisation_id
        reply = self.send(ben, call, lambda: place(organisation, changed, is_owner=False, given=given))
        assert reply.status_code == 403, reply.text

    def test_who_keeps_them_is_answered(self, whole: Whole, owner: Browser) -> None:
        for call in self.CALLS:
            assert self.send(owner, call, lambda: None).status_code in (200, 201), call


class TestWhatEachMayDo:
    def test_a_viewer_reads(self, whole: Whole, owner: Browser) -> None:
        ben = person(whole, "ben", Role.VIEWER)
        for path in READS:
            reply = ben.ask(whole.project, path)
            assert reply.status_code == 200, (path, reply.text)
        assert [one["query_name"] for one in ben.ask(whole.project, "queries/saved").json()] == ["q"]

    def test_a_viewer_changes_nothing(self, whole: Whole, owner: Browser) -> None:
        ben = person(whole, "ben", Role.VIEWER)
        assert set(statuses(ben, whole, [*EDITS, *OWNS]).values()) == {403}
        reply = ben.send("DELETE", f"/3.0/projects/{whole.project.id}/queries/saved/q")
        assert reply.json()["message"] == "Your role in this project, viewer, does not allow that."

    def test_an_editor_changes_definitions_and_nothing_else(self, whole: Whole, owner: Browser) -> None:
        cal = person(whole, "cal", Role.EDITOR)
        assert all(cal.ask(whole.project, path).status_code == 200 for path in READS)
        assert set(statuses(cal, whole, OWNS).values()) == {403}
        assert set(statuses(cal, whole, EDITS).values()) <= {200, 201, 204}
        path = f"/projects/{whole.project.id}/dashboards/d1"
        assert cal.send("PUT", path, DASHBOARD).status_code in (200, 201)
        assert owner.send("GET", path).status_code == 200
        assert cal.send("DELETE", path).status_code == 204

    @pytest.mark.parametrize("how", ["organisation", "project"])
    def test_an_owner_does_what_the_master_key_may(self, whole: Whole, owner: Browser, how: str) -> None:
        browser = owner if how == "organisation" else person(whole, "dan", Role.OWNER)
        assert max(statuses(browser, whole, OWNS[:2]).values()) < 300
        [own] = browser.send("GET", "/account").json()["projects"]
        assert set(own["permissions"]) == {str(one) for one in Permission}

    def test_keys_may_what_they_could_before(self, whole: Whole, owner: Browser) -> None:
        """Listing and changing definitions stay the master key's alone."""
        project = whole.project
        for key in (project.read_key, project.write_key):
            for method, path, body in (*EDITS, ("GET", "queries/saved", None)):
                reply = whole.call(project, method, path, body, key=key)
                assert (reply.status_code, reply.json()["error_code"]) == (401, "AdminOnlyEndpointError")


class TestOtherProjects:
    def test_one_without_a_role_is_as_unknown_as_one_that_is_not_there(
        self, whole: Whole, owner: Browser
    ) -> None:
        other = whole.new_project()
        ben = person(whole, "ben", Role.VIEWER)
        for method, path, body in (*EDITS, *OWNS, *(("GET", path, None) for path in READS)):
            there, absent = (
                ben.send(method, f"/3.0/projects/{project_id}/{path}", body)
                for project_id in (other.id, "0" * 24)
            )
            assert there.status_code == absent.status_code == 404, path
            assert there.text.replace(other.id, "0" * 24) == absent.text
        assert other.id not in ben.send("GET", "/account").text

    def test_an_owner_of_another_organisation_has_nothing_here(self, whole: Whole, owner: Browser) -> None:
        elsewhere = whole.catalog.organisations.create("Elsewhere").id
        there = whole.catalog.projects.create("There", organisation_id=elsewhere)
        ben = person(whole, "ben", Role.VIEWER)
        for path in ("people", "invitations", "audit"):
            address = f"/account/organisations/{elsewhere}/{path}"
            assert owner.send("GET", address).status_code == 404
            unknown = owner.send("GET", address.replace(elsewhere, "0" * 24))
            assert unknown.text.replace("0" * 24, elsewhere) == owner.send("GET", address).text
        body = {"roles": {there.id: "viewer"}}
        path = f"/account/organisations/{whole.project.organisation_id}"
        assert owner.send("POST", f"{path}/invitations", body).status_code == 400
        place = {"roles": {there.id: "owner"}, "owner": False}
        assert owner.send("PUT", f"{path}/people/{ben.id}", place).status_code == 400

    def test_a_deleted_project_is_gone_for_people_too(self, whole: Whole, owner: Browser) -> None:
        whole.catalog.projects.delete(whole.project.id)
        while whole.parts.tenants.known(whole.project.id) is not None:
            whole.parts.tenants.find("none")
        assert owner.ask(whole.project, "events").status_code == 404
        assert owner.send("GET", "/account").json()["projects"] == []


class TestEscalation:
    @pytest.mark.parametrize("role", [Role.VIEWER, Role.EDITOR, Role.OWNER, None])
    def test_only_owners_of_the_organisation_manage_its_people(
        self, whole: Whole, owner: Browser, role: Role | None
    ) -> None:
        """An owner of a project owns that project alone."""
        ben = person(whole, "ben", role)
        path = f"/account/organisations/{whole.project.organisation_id}"
        mine = {"roles": {whole.project.id: "owner"}, "owner": True}
        for method, rest, body in (
            ("POST", "invitations", {"owner": True}),
            ("GET", "invitations", None),
            ("DELETE", "invitations/x", None),
            ("GET", "people", None),
            ("PUT", f"people/{ben.id}", mine),
            ("DELETE", f"people/{owner.id}", None),
            ("GET", "audit", None),
        ):
            assert ben.send(method, f"{path}/{rest}", body).status_code == 403, (method, rest)
        standing = whole.catalog.people.standing(ben.id)
        assert standing is not None and standing.organisations == {whole.project.organisation_id: False}

    def test_a_role_that_changes_counts_at_once(self, whole: Whole, owner: Browser) -> None:
        ben = person(whole, "ben", Role.VIEWER)
        base = f"/account/organisations/{whole.project.organisation_id}/people/{ben.id}"
        edit = f"/3.0/projects/{whole.project.id}/queries/saved/q"
        assert ben.send("PUT", edit, SAVED).status_code == 403
        body = {"roles": {whole.project.id: "editor"}, "owner": False}
        assert owner.send("PUT", base, body).status_code == 204
        assert ben.send("PUT", edit, SAVED).status_code == 200
        assert owner.send("PUT", base, {"roles": {}, "owner": False}).status_code == 204
        assert ben.ask(whole.project, "events").status_code == 404
        assert owner.send("DELETE", base).status_code == 204
        assert ben.ask(whole.project, "events").status_code == 401

    def test_a_role_that_another_process_takes_is_refused_at_once(self, whole: Whole, owner: Browser) -> None:
        ben = person(whole, "ben", Role.EDITOR)
        assert ben.ask(whole.project, "events").status_code == 200
        other = Catalog.open(whole.folder.root, secret=whole.settings.secret_key)
        other.people.place(whole.project.organisation_id, ben.id, is_owner=False, given={})
        other.close()
        assert ben.ask(whole.project, "events").status_code == 404

    def test_the_last_owner_can_neither_leave_nor_step_down(self, whole: Whole, owner: Browser) -> None:
        base = f"/account/organisations/{whole.project.organisation_id}/people"
        for method, body in (("PUT", {"roles": {}, "owner": False}), ("DELETE", None)):
            reply = owner.send(method, f"{base}/{owner.id}", body)
            assert (reply.status_code, reply.json()["error_code"]) == (409, "LastOwnerError")
        ben = person(whole, "ben", Role.VIEWER)
        assert owner.send("PUT", f"{base}/{ben.id}", {"roles": {}, "owner": True}).status_code == 204
        assert owner.send("DELETE", f"{base}/{owner.id}").status_code == 204
        assert owner.send("GET", "/account").status_code == 401
        assert ben.send("GET", "/account").json()["organisations"][0]["owner"]


class TestInvitations:
    def invite(self, by: Browser, whole: Whole, /, **body: Any) -> tuple[str, str]:
        """The id and the token of an invitation."""
        path = f"/account/organisations/{whole.project.organisation_id}/invitations"
        made = by.send("POST", path, body)
        assert made.status_code == 201, made.text
        address, _, token = made.json()["link"].partition("#")
        assert address == "http://test/join"
        return made.json()["id"], token

    def test_one_gives_what_it_says_to_whoever_has_the_link(self, whole: Whole, owner: Browser) -> None:
        _, token = self.invite(owner, whole, roles={whole.project.id: "editor"})
        offer = Browser(whole).send("POST", "/account/join/check", {"token": token}).json()
        assert offer["organisation"]["name"] == "First organisation" and offer["email"] is None
        assert [(one["id"], one["role"]) for one in offer["projects"]] == [(whole.project.id, "editor")]
        ben = Browser(whole)
        reply = ben.join(token, "ben")
        assert reply.status_code == 201 and ben.cookie
        assert [one["role"] for one in reply.json()["projects"]] == ["editor"]

    def test_one_is_for_once(self, whole: Whole, owner: Browser) -> None:
        _, token = self.invite(owner, whole, owner=True)
        assert Browser(whole).join(token, "ben").status_code == 201
        for reply in (
            Browser(whole).join(token, "eve"),
            Browser(whole).send("POST", "/account/join/check", {"token": token}),
            owner.send("POST", "/account/join", {"token": token}),
        ):
            assert (reply.status_code, reply.json()["error_code"]) == (410, "ResourceGoneError")

    def test_one_that_is_withdrawn_or_has_expired_is_told_as_one_that_never_was(
        self, whole: Whole, owner: Browser
    ) -> None:
        made, withdrawn = self.invite(owner, whole)
        base = f"/account/organisations/{whole.project.organisation_id}/invitations"
        assert [one["id"] for one in owner.send("GET", base).json()] == [made]
        assert owner.send("DELETE", f"{base}/{made}").status_code == 204
        assert owner.send("DELETE", f"{base}/{made}").status_code == 404
        _, expired = self.invite(owner, whole)
        whole.now_us += 7 * 86_400_000_000
        texts = {Browser(whole).join(token, "eve").text for token in (withdrawn, expired, "A" * 43, "x", "")}
        assert len(texts) == 1

    def test_one_with_an_address_makes_nobody_else(self, whole: Whole, owner: Browser) -> None:
        _, token = self.invite(owner, whole, email="Ben@Example.com")
        assert Browser(whole).join(token, "eve").status_code == 400
        body = {"token": token, "name": "Ben", "password": "correct horse battery"}
        ben = Browser(whole)
        assert ben.send("POST", "/account/join", body).status_code == 201
        assert ben.send("GET", "/account").json()["person"]["email"] == "ben@example.com"

    def test_nobody_takes_over_an_account_by_its_address(self, whole: Whole, owner: Browser) -> None:
        _, token = self.invite(owner, whole)
        eve = Browser(whole)
        reply = eve.join(token, "ann")
        assert reply.status_code == 409 and not eve.cookie
        assert Browser(whole).log_in("ann@example.com").status_code == 201

    def test_nobody_tries_out_addresses_with_one(self, whole: Whole, owner: Browser) -> None:
        token = invited(whole)
        statuses = [Browser(whole).join(token, "ann").status_code for _ in range(ATTEMPTS_PER_ACCOUNT + 1)]
        assert statuses == [409] * ATTEMPTS_PER_ACCOUNT + [429]
        assert Browser(whole).join(invited(whole), "ben").status_code == 201, "others are not held up"

    def test_who_is_logged_in_accepts_it_for_themselves(self, whole: Whole, owner: Browser) -> None:
        ben = person(whole, "ben", Role.VIEWER)
        other = whole.new_project()
        token = invited(whole, roles={other.id: Role.EDITOR})
        before = ben.cookie
        reply = ben.send("POST", "/account/join", {"token": token})
        assert reply.status_code == 200 and ben.cookie == before
        assert {one["id"]: one["role"] for one in reply.json()["projects"]} == {
            whole.project.id: "viewer",
            other.id: "editor",
        }

    @pytest.mark.parametrize(
        "fault", [{"name": ""}, {"name": None}, {"password": "short"}, {"password": None}, {"email": "ben"}]
    )
    def test_what_is_missing_or_wrong_uses_nothing_up(
        self, whole: Whole, owner: Browser, fault: dict[str, Any]
    ) -> None:
        token = invited(whole)
        body = {"token": token, "email": "ben@example.com", "name": "B", "password": "correct horse battery"}
        sent = {name: value for name, value in {**body, **fault}.items() if value is not None}
        assert Browser(whole).send("POST", "/account/join", sent).status_code == 400
        assert Browser(whole).send("POST", "/account/join", body).status_code == 201

    def test_who_owns_no_more_has_invited_nobody(self, whole: Whole, owner: Browser) -> None:
        ben = person(whole, "ben", owner=True)
        _, token = self.invite(ben, whole, owner=True)
        path = f"/account/organisations/{whole.project.organisation_id}/people/{ben.id}"
        assert owner.send("DELETE", path).status_code == 204
        assert Browser(whole).join(token, "eve").status_code == 410

    def test_links_are_made_for_the_public_address(self, tmp_path: Any) -> None:
        whole = Whole(tmp_path / "data", public_url="https://acumen.example/at")
        try:
            browser = Browser(whole, {})
            browser.join(invited(whole, is_owner=True), "ann")
            path = f"/account/organisations/{whole.project.organisation_id}/invitations"
            link = browser.send("POST", path, {}, {"host": "evil.example"}).json()["link"]
            assert link.startswith("https://acumen.example/at/join#")
        finally:
            whole.close()

    def test_people_are_listed_for_owners(self, whole: Whole, owner: Browser) -> None:
        person(whole, "ben", Role.EDITOR)
        path = f"/account/organisations/{whole.project.organisation_id}/people"
        listed = owner.send("GET", path).json()
        assert [(one["email"], one["owner"], one["roles"]) for one in listed] == [
            ("ann@example.com", True, {}),
            ("ben@example.com", False, {whole.project.id: "editor"}),
        ]
        assert not any("password" in one or "factor" in one for one in listed)
