"""Log-in and sessions: who gets in, how long, and what is refused."""

from __future__ import annotations

import json
import time
from http.cookies import SimpleCookie
from pathlib import Path
from typing import Any

import pytest

from service.people.accounts import ATTEMPTS_PER_ACCOUNT
from service.people.passwords import hashed, is_right
from storage.catalog.catalog import Catalog
from storage.catalog.people.records import Role
from tests.service.people.browsers import PAGE, PASSWORD, Browser, person
from tests.service.whole import Whole

DAY_US = 86_400_000_000


def error_of(reply: Any) -> tuple[int, str]:
    return reply.status_code, reply.json()["error_code"]


class TestLogIn:
    def test_who_has_the_password_gets_a_session(self, whole: Whole) -> None:
        ann = person(whole, "ann", owner=True)
        assert ann.send("DELETE", "/account/sessions/current").status_code == 204
        assert error_of(ann.send("GET", "/account")) == (401, "NotLoggedInError")
        reply = ann.log_in(" Ann@Example.com ")
        assert reply.status_code == 201
        account = ann.send("GET", "/account").json()
        assert account == reply.json()
        assert account["person"] == {
            "id": ann.id,
            "email": "ann@example.com",
            "name": "Ann",
            "two_factor": False,
            "password": True,
        }
        project = whole.project
        assert account["organisations"] == [
            {"id": project.organisation_id, "name": "First organisation", "owner": True}
        ]
        [own] = account["projects"]
        assert own["permissions"] == sorted(own["permissions"]) and "master" in own["permissions"]
        assert own | {"permissions": []} == {
            "id": project.id,
            "name": project.name,
            "role": "owner",
            "organisation_id": project.organisation_id,
            "permissions": [],
        }

    def test_the_cookie_is_for_no_script_and_no_other_site(self, whole: Whole) -> None:
        ann = person(whole, "ann", owner=True)
        ann.log_in("ann@example.com")
        [cookie] = SimpleCookie(ann.set_cookie).values()
        assert cookie["httponly"] and cookie["samesite"].lower() == "strict" and cookie["path"] == "/"
        assert not cookie["secure"] and not cookie["domain"]
        assert cookie["max-age"] == str(30 * 86_400)

    def test_the_cookie_is_secure_where_the_address_is(self, tmp_path: Path) -> None:
        whole = Whole(tmp_path / "data", public_url="https://acumen.example")
        try:
            ann = first_person(whole)
            ann.log_in("ann@example.com")
            [cookie] = SimpleCookie(ann.set_cookie).values()
            assert cookie.key == "__Host-acumen_session"
            assert cookie["secure"] and cookie["path"] == "/" and not cookie["domain"]
            assert ann.send("GET", "/account").status_code == 200
            # Another host of the domain can set the plain name, and nothing over it is believed.
            plain = {"cookie": f"acumen_session={ann.cookie}"}
            assert ann.send("GET", "/account", headers=plain).status_code == 401
            assert ann.send("DELETE", "/account/sessions/current").status_code == 204
            [cookie] = SimpleCookie(ann.set_cookie).values()
            assert cookie.key == "__Host-acumen_session" and cookie["max-age"] == "0" and cookie["secure"]
        finally:
            whole.close()

    @pytest.mark.parametrize("email", ["ann@example.com", "nobody@example.com", "", "ann"])
    def test_a_wrong_password_and_an_unknown_address_are_told_the_same(
        self, whole: Whole, email: str
    ) -> None:
        person(whole, "ann", owner=True)
        reply = Browser(whole).log_in(email, "wrong password")
        assert reply.status_code == 401 and "set-cookie" not in reply.headers
        assert reply.json() == {
            "message": "The e-mail address or the password is wrong.",
            "error_code": "WrongLoginError",
        }

    def test_an_unknown_address_costs_as_much_work(self, whole: Whole) -> None:
        """The same hash is computed: whoever measures learns nothing. Only a gross difference fails here."""
        person(whole, "ann", owner=True)
        took: dict[str, list[float]] = {"ann@example.com": [], "nobody@example.com": []}
        Browser(whole).log_in("warm@example.com", "wrong password")
        for _ in range(3):
            for email, found in took.items():
                began = time.process_time()
                Browser(whole).log_in(email, "wrong password")
                found.append(time.process_time() - began)
        # The least of each: other threads of the process may have worked meanwhile.
        assert min(took["nobody@example.com"]) > min(took["ann@example.com"]) / 3

    def test_what_is_no_log_in_is_told_so(self, whole: Whole) -> None:
        for body in ({}, {"email": "a@b"}, {"email": "a@b", "password": PASSWORD, "key": "k"}, {"key": "k"}):
            assert Browser(whole).send("POST", "/account/sessions", body).status_code == 400, body
        assert Browser(whole).log_in("a@b", "x" * 2_000).status_code == 400

    def test_a_hash_of_other_parameters_is_renewed(self, whole: Whole) -> None:
        from argon2 import PasswordHasher

        ann = person(whole, "ann", owner=True)
        old = PasswordHasher(time_cost=1, memory_cost=64, parallelism=1).hash(PASSWORD)
        whole.catalog.people.set_password(ann.id, old)
        assert ann.log_in("ann@example.com").status_code == 201
        [known] = whole.catalog.people.all()
        assert known.password != old and is_right(known.password, PASSWORD)
        assert ann.log_in("ann@example.com").status_code == 201

    def test_only_hashes_and_digests_are_stored(self, whole: Whole) -> None:
        ann = person(whole, "ann", owner=True)
        stored = b"".join(
            path.read_bytes() for path in whole.folder.root.glob("catalog.sqlite*") if path.is_file()
        )
        assert ann.id.encode() in stored
        assert PASSWORD.encode() not in stored and ann.cookie.encode() not in stored

    def test_equal_passwords_have_unequal_hashes(self) -> None:
        one, other = hashed(PASSWORD), hashed(PASSWORD)
        assert one != other and is_right(one, PASSWORD) and is_right(other, PASSWORD)
        assert one.startswith("$argon2id$") and not is_right(one, PASSWORD + "x") and not is_right("", "")


def first_person(whole: Whole) -> Browser:
    """The browser of the first person of a server with a public address."""
    from tests.service.people.browsers import invited

    browser = Browser(whole, {"origin": "https://acumen.example"})
    assert browser.join(invited(whole, is_owner=True), "ann").status_code == 201
    return browser


class TestBruteForce:
    def test_attempts_at_one_account_are_bounded_whoever_makes_them(self, whole: Whole) -> None:
        person(whole, "ann", owner=True)
        for _ in range(ATTEMPTS_PER_ACCOUNT):
            assert Browser(whole).log_in("ann@example.com", "wrong password").status_code == 401
        reply = Browser(whole).log_in("ann@example.com")
        assert reply.status_code == 429 and 0 < int(reply.headers["retry-after"]) <= 900
        assert Browser(whole).log_in("nobody@example.com", "wrong password").status_code == 401
        whole.now_us += 900_000_000
        assert Browser(whole).log_in("ann@example.com").status_code == 201

    def test_an_unknown_account_is_bounded_as_a_known_one(self, whole: Whole) -> None:
        for _ in range(ATTEMPTS_PER_ACCOUNT):
            assert Browser(whole).log_in("x@example.com", "wrong password").status_code == 401
        assert Browser(whole).log_in("x@example.com", "wrong password").status_code == 429

    def test_who_gets_in_uses_nothing_up(self, whole: Whole) -> None:
        ann = person(whole, "ann", owner=True)
        for _ in range(ATTEMPTS_PER_ACCOUNT + 2):
            assert ann.log_in("ann@example.com").status_code == 201

    def test_attempts_of_one_address_are_bounded_over_all_accounts(self, tmp_path: Path) -> None:
        whole = Whole(tmp_path / "data", login_failures_per_address=3)
        try:
            person(whole, "ann", owner=True)
            for number in range(3):
                assert Browser(whole).log_in(f"{number}@example.com", "wrong one").status_code == 401
            assert Browser(whole).log_in("ann@example.com").status_code == 429
            body = {"project_id": whole.project.id, "key": "guess"}
            assert Browser(whole).send("POST", "/account/sessions", body).status_code == 429
        finally:
            whole.close()


class TestSessions:
    def test_it_asks_as_a_key_does(self, whole: Whole) -> None:
        ann = person(whole, "ann", owner=True)
        whole.record(whole.project, "purchases", [{"price": 1}])
        reply = ann.ask(whole.project, "queries/count?event_collection=purchases&timeframe=this_1_days")
        assert (reply.status_code, reply.json()) == (200, {"result": 1})

    def test_it_needs_the_cookie_and_the_header(self, whole: Whole) -> None:
        ann = person(whole, "ann", owner=True)
        path = f"/3.0/projects/{whole.project.id}"
        cookie = {"cookie": f"acumen_session={ann.cookie}"}
        assert whole.send("GET", path, headers=cookie).status_code == 401
        assert whole.send("GET", f"{path}?api_key=session", headers=cookie).status_code == 401
        assert whole.send("GET", path, headers={"authorization": "session"}).status_code == 401
        assert whole.send("GET", path, headers={**cookie, "authorization": ann.cookie}).status_code == 401
        assert whole.send("GET", path, headers={**cookie, "authorization": "session"}).status_code == 200

    def test_it_writes_no_events_on_the_fast_path(self, whole: Whole) -> None:
        ann = person(whole, "ann", owner=True)
        assert ann.send("POST", f"/3.0/projects/{whole.project.id}/events/x", {"a": 1}).status_code == 401

    @pytest.mark.parametrize("token", ["x", "A" * 43, "A" * 43 + "=", "é" * 43, "session", "", "a; b"])
    def test_a_made_up_one_is_none(self, whole: Whole, token: str) -> None:
        browser = person(whole, "ann", owner=True)
        browser.cookie = "none"
        headers = {"cookie": f"acumen_session={token}".encode("latin-1").decode("latin-1")}
        sent = {name: text for name, text in headers.items() if text.isascii()}
        assert error_of(browser.send("GET", "/account", headers=sent)) == (401, "NotLoggedInError")

    def test_of_two_cookies_neither_counts(self, whole: Whole) -> None:
        """A page of a sibling domain may have planted one of them."""
        ann, eve = person(whole, "ann", owner=True), person(whole, "eve", owner=True)
        both = {"cookie": f"acumen_session={eve.cookie}; acumen_session={ann.cookie}"}
        assert ann.send("GET", "/account", headers=both).status_code == 401

    def test_log_in_takes_no_token_that_was_there_before(self, whole: Whole) -> None:
        """Whoever planted a cookie does not know the one that counts."""
        ann = person(whole, "ann", owner=True)
        for planted in ("A" * 43, ann.cookie):
            browser = Browser(whole)
            browser.cookie = planted
            assert browser.log_in("ann@example.com").status_code == 201
            assert browser.cookie != planted
            former = Browser(whole)
            former.cookie = planted
            assert former.send("GET", "/account").status_code == 401

    def test_it_expires(self, whole: Whole) -> None:
        ann = person(whole, "ann", owner=True)
        whole.now_us += 30 * DAY_US - 1
        assert ann.send("GET", "/account").status_code == 200
        whole.now_us += 1
        assert ann.send("GET", "/account").status_code == 401
        assert ann.ask(whole.project, "events").status_code == 401

    def test_one_sees_and_ends_ones_own_alone(self, whole: Whole) -> None:
        ann, ben = person(whole, "ann", owner=True), person(whole, "ben")
        elsewhere = Browser(whole)
        elsewhere.log_in("ann@example.com")
        [first, second] = ann.send("GET", "/account/sessions").json()
        assert (first["current"], second["current"]) == (False, True)
        assert first["id"] != second["id"] and first["device"]
        assert error_of(ben.send("DELETE", f"/account/sessions/{first['id']}"))[0] == 404
        assert ann.send("DELETE", f"/account/sessions/{first['id']}").status_code == 204
        assert elsewhere.ask(whole.project, "events").status_code == 401
        assert ann.ask(whole.project, "events").status_code == 200

    def test_one_that_another_process_ends_is_refused_at_once(self, whole: Whole) -> None:
        ann = person(whole, "ann", owner=True)
        assert ann.send("GET", "/account").status_code == 200
        other = Catalog.open(whole.folder.root, secret=whole.settings.secret_key)
        other.sessions.end_all(ann.id)
        other.close()
        assert ann.send("GET", "/account").status_code == 401

    def test_log_out_removes_the_cookie(self, whole: Whole) -> None:
        ann = person(whole, "ann", owner=True)
        ann.send("DELETE", "/account/sessions/current")
        assert SimpleCookie(ann.set_cookie)["acumen_session"]["max-age"] == "0" and ann.cookie == ""


class TestPages:
    """The cookie goes with whatever any page makes a browser send: only pages of this server are believed."""

    CHANGES = (
        ("PUT", "/account/password", {"old": PASSWORD, "new": "eve's own password"}),
        ("DELETE", "/account/sessions/current", None),
        ("POST", "/account/sessions", {"email": "ann@example.com", "password": PASSWORD}),
        ("POST", "/account/join/check", {"token": "x"}),
    )

    @pytest.mark.parametrize(
        "page",
        [
            {"sec-fetch-site": "cross-site"},
            {"sec-fetch-site": "same-site"},
            {"sec-fetch-site": "none"},
            {"origin": "https://evil.example"},
            {"origin": "http://test.evil.example"},
            {"origin": "http://test:8000"},
            {"origin": "null"},
            {"origin": "no-origin"},
            {"origin": "", "sec-fetch-site": "Same-Origin, cross-site"},
            {"sec-fetch-site": "same-origin", "origin": "https://evil.example"},
        ],
    )
    def test_a_page_of_another_site_changes_nothing(self, whole: Whole, page: dict[str, str]) -> None:
        ann = person(whole, "ann", owner=True)
        ann.headers = page
        for method, path, body in self.CHANGES:
            assert error_of(ann.send(method, path, body)) == (403, "CrossSiteError"), path
        path = f"/3.0/projects/{whole.project.id}/queries/saved/q"
        assert error_of(ann.send("DELETE", path)) == (403, "CrossSiteError")
        ann.headers = dict(PAGE)
        assert ann.send("GET", "/account").status_code == 200

    @pytest.mark.parametrize(
        "kind", ["application/x-www-form-urlencoded", "text/plain", "multipart/form-data; boundary=x", ""]
    )
    def test_what_a_form_can_send_changes_nothing(self, whole: Whole, kind: str) -> None:
        """Even where a browser says nothing of the page."""
        ann = person(whole, "ann", owner=True)
        ann.headers = {}
        for method, path, body in self.CHANGES:
            reply = ann.send(method, path, body, {"content-type": kind, "authorization": ""})
            assert error_of(reply) == (403, "CrossSiteError"), path
        assert ann.send("GET", "/account").status_code == 200

    def test_reading_needs_no_page_but_no_other_site_either(self, whole: Whole) -> None:
        ann = person(whole, "ann", owner=True)
        plain = {"authorization": "", "content-type": "", "origin": ""}
        for site, status in (("none", 200), ("same-origin", 200), ("", 200), ("same-site", 403)):
            reply = ann.send("GET", "/account", headers={**plain, "sec-fetch-site": site})
            assert reply.status_code == status, site
        assert ann.send("GET", "/account", headers={"origin": "https://evil.example"}).status_code == 403

    def test_no_other_origin_may_read_an_answer(self, whole: Whole) -> None:
        """With cookies a browser shows no answer that allows all origins or no credentials."""
        ann = person(whole, "ann", owner=True)
        for reply in (
            ann.send("GET", "/account"),
            ann.ask(whole.project, "events"),
            ann.send("OPTIONS", "/account", headers={"origin": "https://evil.example"}),
        ):
            assert reply.headers["access-control-allow-origin"] == "*"
            assert "access-control-allow-credentials" not in reply.headers
        assert ann.send("GET", "/account").headers["cache-control"] == "no-store"

    def test_the_public_address_is_the_only_origin(self, tmp_path: Path) -> None:
        whole = Whole(tmp_path / "data", public_url="https://acumen.example")
        try:
            browser = first_person(whole)
            assert browser.send("GET", "/account").status_code == 200
            assert browser.send("GET", "/account", headers={"origin": "http://test"}).status_code == 403
        finally:
            whole.close()


class TestSessionsOfKeys:
    def begin(self, whole: Whole, key: str, project_id: str | None = None) -> Browser:
        browser = Browser(whole)
        body = {"project_id": project_id or whole.project.id, "key": key}
        browser.send("POST", "/account/sessions", body)
        return browser

    def test_it_may_do_what_its_key_may(self, whole: Whole) -> None:
        reader = self.begin(whole, whole.project.read_key)
        account = reader.send("GET", "/account").json()
        assert account["person"] is None and account["organisations"] == []
        assert [(one["id"], one["role"]) for one in account["projects"]] == [(whole.project.id, "key")]
        assert reader.ask(whole.project, "events").status_code == 200
        assert reader.ask(whole.project, "keys").status_code == 401
        assert self.begin(whole, whole.project.master_key).ask(whole.project, "keys").status_code == 200

    def test_it_sees_through_the_filters_of_its_key(self, whole: Whole) -> None:
        whole.record(whole.project, "purchases", [{"customer": "a"}, {"customer": "b"}])
        only = {"property_name": "customer", "operator": "eq", "property_value": "a"}
        key = whole.told(
            whole.project,
            "POST",
            "keys",
            {"name": "a", "permitted": ["queries"], "options": {"queries": {"filters": [only]}}},
        )["key"]
        browser = self.begin(whole, key)
        count = "queries/count?event_collection=purchases&timeframe=this_1_days"
        assert browser.ask(whole.project, count).json() == {"result": 1}
        whole.told(whole.project, "POST", f"keys/{key}/revoke")
        assert error_of(browser.ask(whole.project, count)) == (401, "NotLoggedInError")
        assert browser.send("GET", "/account").status_code == 401

    def test_it_is_of_its_project_alone(self, whole: Whole) -> None:
        other = whole.new_project()
        browser = self.begin(whole, whole.project.master_key)
        assert browser.ask(other, "events").status_code == 404

    def test_it_is_no_person(self, whole: Whole) -> None:
        browser = self.begin(whole, whole.project.master_key)
        organisation = f"/account/organisations/{whole.project.organisation_id}"
        assert browser.send("GET", f"{organisation}/people").status_code == 404
        assert browser.send("POST", "/account/two-factor", {"password": PASSWORD}).status_code == 403
        body = {"old": PASSWORD, "new": PASSWORD}
        assert browser.send("PUT", "/account/password", body).status_code == 403
        [own] = browser.send("GET", "/account/sessions").json()
        assert own["current"]
        assert browser.send("DELETE", "/account/sessions/none").status_code == 404
        assert browser.send("DELETE", f"/account/sessions/{own['id']}").status_code == 204
        assert browser.send("GET", "/account").status_code == 401

    def test_a_wrong_key_and_an_unknown_project_are_told_the_same(self, whole: Whole) -> None:
        for project_id, key in ((whole.project.id, "wrong"), ("0" * 24, whole.project.read_key)):
            body = {"project_id": project_id, "key": key}
            reply = Browser(whole).send("POST", "/account/sessions", body)
            assert reply.json()["message"] == "The project or the key is wrong."

    def test_the_key_is_sealed_at_rest(self, whole: Whole) -> None:
        key = whole.told(
            whole.project, "POST", "keys", {"name": "k", "permitted": ["queries"], "options": {}}
        )["key"]
        self.begin(whole, key)
        stored = b"".join(
            path.read_bytes() for path in whole.folder.root.glob("catalog.sqlite*") if path.is_file()
        )
        assert key.encode() not in stored


class TestLongAnswers:
    def test_a_role_is_looked_at_again_for_exports(self, whole: Whole) -> None:
        """A file that a person asked for goes with their role."""
        person(whole, "ann", owner=True)
        ben = person(whole, "ben", Role.VIEWER)
        whole.record(whole.project, "purchases", [{"price": 1}])
        body = {"event_collection": "purchases", "timeframe": "this_1_days", "delivery": "link"}
        path = f"/3.0/projects/{whole.project.id}/queries/extraction"
        job = ben.send("POST", path, body)
        assert job.status_code in (200, 202), job.text
        whole.flush()
        whole.export()
        path = f"/3.0/projects/{whole.project.id}/extractions/{job.json()['job']['id']}"
        shown = ben.send("GET", path).json()
        assert shown["state"] == "done", json.dumps(shown)
        address = shown["file_url"].removeprefix("http://test")
        assert whole.send("GET", address).status_code == 200
        whole.catalog.people.leave(whole.project.organisation_id, ben.id)
        assert whole.send("GET", address).status_code == 410
