"""Log-in with OpenID Connect: who is let in as whom, and what is refused of a provider that lies."""

from __future__ import annotations

import re
import subprocess
import sys
from collections.abc import Callable, Iterator
from http.cookies import SimpleCookie
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit

import httpx
import pytest
from joserfc import jwk

from service.people.links import make_first_link
from service.people.openid_provider import BODY_BYTES_MAX, _small
from service.settings import BadSettings, load
from storage.catalog.people.records import Role
from tests.service.people.browsers import PAGE, PASSWORD, Browser, invited, person
from tests.service.people.provider import (
    CLIENT_ID,
    METADATA,
    SECRET,
    Provider,
    unsigned,
    with_critical_header,
    with_other_key,
    with_secret,
)
from tests.service.whole import Whole

CROSS_SITE = {"sec-fetch-site": "cross-site", "origin": "", "authorization": "", "content-type": ""}
"""What a browser says of a page that another site led to."""
ANN = {"sub": "a-1", "email": "ann@example.com", "email_verified": True, "name": "Ann"}
DAY_US = 86_400_000_000


@pytest.fixture
def provider() -> Iterator[Provider]:
    with Provider(dict(ANN)) as made:
        yield made


Opening = Callable[..., Whole]


@pytest.fixture
def opening(tmp_path: Path, provider: Provider) -> Iterator[Opening]:
    """Makes Acumens that know the provider, one after the other, on the same data."""
    made: list[Whole] = []

    def make(**given: Any) -> Whole:
        how = {
            "openid_issuer": provider.issuer,
            "openid_client_id": CLIENT_ID,
            "openid_client_secret": SECRET,
            "public_url": "http://test",
            "login_failures_per_address": 1_000,
        }
        while made:
            made.pop().close()
        made.append(Whole(tmp_path / "data", **{**how, **given}))
        return made[-1]

    yield make
    for one in made:
        one.close()


@pytest.fixture
def whole(opening: Opening) -> Whole:
    """An Acumen with its owner."""
    made = opening()
    person(made, "owner", owner=True)
    return made


@pytest.fixture(scope="module")
def lied_to(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Whole, Provider]]:
    """An Acumen that lets nobody in, for many tests, and its provider."""
    with Provider() as provider:
        made = Whole(
            tmp_path_factory.mktemp("lied to") / "data",
            openid_issuer=provider.issuer,
            openid_client_id=CLIENT_ID,
            openid_client_secret=SECRET,
            public_url="http://test",
            login_failures_per_address=1_000,
        )
        person(made, "ann", owner=True)
        yield made, provider
        made.close()


class Visitor:
    """A browser on its way to the provider and back, with the cookie that it keeps meanwhile."""

    def __init__(self, whole: Whole, provider: Provider) -> None:
        self.browser = Browser(whole)
        self.provider = provider
        self.kept = ""
        self.cookies: SimpleCookie = SimpleCookie()

    def begin(self, **given: Any) -> httpx.Response:
        whole = self.browser.whole
        cookie = f"acumen_session={self.browser.cookie}" if self.browser.cookie else ""
        headers = {**PAGE, "content-type": "application/json", "cookie": cookie}
        reply = whole.send("POST", "/account/openid/begin", given, {k: v for k, v in headers.items() if v})
        if reply.status_code == 200:
            [morsel] = SimpleCookie(reply.headers["set-cookie"]).values()
            self.kept = f"{morsel.key}={morsel.value}"
        return reply

    def come_back(self, query: str, kept: str | None = None) -> dict[str, str]:
        """What the page is told that is shown then; the session is the browser's."""
        sent = {**CROSS_SITE, "cookie": self.kept if kept is None else kept}
        headers = {name: text for name, text in sent.items() if text}
        reply = self.browser.whole.send("GET", f"/account/openid/return?{query}", headers=headers)
        assert reply.status_code == 303, reply.text
        assert reply.headers["cache-control"] == "no-store"
        self.cookies = SimpleCookie()
        for cookie in reply.headers.get_list("set-cookie"):
            self.cookies.load(cookie)
        if "acumen_session" in self.cookies:
            self.browser.cookie = self.cookies["acumen_session"].value
        address = urlsplit(reply.headers["location"])
        assert (address.scheme, address.netloc, address.path) == ("", "", "/login")
        return {name: value for name, [value] in parse_qs(address.query).items()}

    def log_in(
        self, *, invitation: str | None = None, next: str | None = None, **claims: Any
    ) -> dict[str, str]:
        given = {"invitation": invitation, "next": next}
        reply = self.begin(**{name: value for name, value in given.items() if value is not None})
        assert reply.status_code == 200, reply.text
        return self.come_back(self.provider.log_in(reply.json()["location"], **claims))

    @property
    def account(self) -> Any:
        return self.browser.send("GET", "/account").json()


@pytest.fixture
def visitor(whole: Whole, provider: Provider) -> Visitor:
    return Visitor(whole, provider)


def actions(whole: Whole) -> list[str]:
    return [one.action for one in whole.catalog.audit.page(whole.project.organisation_id)]


class TestWhoIsLetIn:
    def test_who_has_an_account_by_their_verified_address(self, whole: Whole, visitor: Visitor) -> None:
        ann = person(whole, "ann", Role.EDITOR)
        assert visitor.log_in(next="/app/account", email="Ann@Example.com") == {
            "openid": "entered",
            "next": "/app/account",
        }
        assert visitor.account["person"]["email"] == "ann@example.com"
        assert [one["role"] for one in visitor.account["projects"]] == ["editor"]
        assert actions(whole)[:2] == ["Log in", "Link with OpenID Connect"]
        # Whoever joined with this address need not have had it.
        assert ann.send("GET", "/account").status_code == 401
        assert Browser(whole).log_in("ann@example.com").status_code == 401
        assert not visitor.account["person"]["password"]

    def test_afterwards_the_provider_s_own_name_decides(self, whole: Whole, visitor: Visitor) -> None:
        person(whole, "ann", Role.VIEWER)
        person(whole, "ben", Role.EDITOR)
        visitor.log_in()
        first = visitor.account["person"]["id"]
        assert visitor.log_in(email="ben@example.com")["openid"] == "entered"
        assert visitor.account["person"]["id"] == first
        assert visitor.log_in(email=None)["openid"] == "entered"
        assert visitor.account["person"]["id"] == first

    def test_an_address_that_went_to_somebody_else_gives_them_nothing(
        self, whole: Whole, visitor: Visitor
    ) -> None:
        person(whole, "ann", Role.VIEWER)
        visitor.log_in()
        assert visitor.log_in(sub="a-2") == {"openid": "taken"}
        # It is noted by a thread, for which the answer does not wait.
        while actions(whole)[0] != "Log-in refused: another account of the provider":
            pass

    @pytest.mark.parametrize("verified", [False, None, "false", 1, "yes"])
    def test_nobody_by_an_address_that_is_not_verified(
        self, whole: Whole, visitor: Visitor, verified: Any
    ) -> None:
        ann = person(whole, "ann", Role.VIEWER)
        assert visitor.log_in(email_verified=verified) == {"openid": "unverified"}
        assert "acumen_session" not in visitor.cookies
        assert ann.send("GET", "/account").status_code == 200

    @pytest.mark.parametrize("email", [None, "", "ann", 5, ["ann@example.com"], "a\nb@example.com"])
    def test_nobody_without_an_address(self, visitor: Visitor, email: Any) -> None:
        assert visitor.log_in(email=email) == {"openid": "unverified"}

    def test_nobody_unknown(self, visitor: Visitor) -> None:
        assert visitor.log_in() == {"openid": "unknown"}

    def test_nobody_of_another_domain(self, opening: Opening, provider: Provider) -> None:
        whole = opening(openid_domains="example.com, example.org", openid_admit_unknown=True)
        person(whole, "owner", owner=True)
        visitor = Visitor(whole, provider)
        assert visitor.log_in(email="ann@example.net") == {"openid": "domain"}
        assert visitor.log_in(email="ann@notexample.com") == {"openid": "domain"}
        assert visitor.log_in(email="ann@example.com@example.net") == {"openid": "domain"}
        assert visitor.log_in(email="ann@example.org") == {"openid": "entered"}
        assert visitor.log_in(email="ann@example.net") == {"openid": "domain"}

    def test_the_unknown_where_that_is_set_up(self, opening: Opening, provider: Provider) -> None:
        whole = opening(openid_admit_unknown=True, openid_role="editor")
        assert Visitor(whole, provider).log_in() == {"openid": "unknown"}, "the first one would own nothing"
        person(whole, "owner", owner=True)
        visitor = Visitor(whole, provider)
        assert visitor.log_in(name="  ") == {"openid": "entered"}
        assert visitor.account["person"]["name"] == "ann"
        assert [one["role"] for one in visitor.account["projects"]] == ["editor"]
        assert actions(whole)[:2] == ["Log in", "Come in by OpenID Connect"]

    def test_the_unknown_have_no_role_unless_one_is_set(self, opening: Opening, provider: Provider) -> None:
        whole = opening(openid_admit_unknown=True)
        person(whole, "owner", owner=True)
        visitor = Visitor(whole, provider)
        visitor.log_in()
        assert visitor.account["projects"] == [] and len(visitor.account["organisations"]) == 1

    def test_nobody_where_the_organisation_of_the_unknown_is_not_there(
        self, opening: Opening, provider: Provider
    ) -> None:
        whole = opening(openid_admit_unknown=True, openid_organisation="none")
        person(whole, "owner", owner=True)
        assert Visitor(whole, provider).log_in() == {"openid": "unknown"}

    @pytest.mark.parametrize("admits", [False, True])
    def test_who_was_removed_comes_back_by_invitation_alone(
        self, opening: Opening, provider: Provider, admits: bool
    ) -> None:
        whole = opening(openid_admit_unknown=admits)
        person(whole, "owner", owner=True)
        person(whole, "ann", Role.VIEWER)
        visitor = Visitor(whole, provider)
        visitor.log_in()
        whole.catalog.people.remove(visitor.account["person"]["id"])
        assert visitor.browser.send("GET", "/account").status_code == 401
        assert visitor.log_in() == {"openid": "removed"}
        token = invited(whole, email="ann@example.com", roles={whole.project.id: Role.EDITOR})
        assert visitor.log_in(invitation=token)["openid"] == "entered"
        assert [one["role"] for one in visitor.account["projects"]] == ["editor"]
        assert visitor.log_in()["openid"] == "entered"

    def test_a_session_ends_as_others_do(self, whole: Whole, visitor: Visitor) -> None:
        person(whole, "ann", Role.VIEWER)
        visitor.log_in()
        former = visitor.browser.cookie
        visitor.log_in()
        assert visitor.browser.cookie != former
        [only] = visitor.browser.send("GET", "/account/sessions").json()
        assert only["current"], "the one from before has ended"
        assert visitor.browser.send("DELETE", "/account/sessions/current").status_code == 204
        assert visitor.browser.send("GET", "/account").status_code == 401

    def test_the_first_one_is_told_to_who_had_a_password(
        self, opening: Opening, provider: Provider, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        mails: list[Any] = []
        monkeypatch.setattr(
            "service.people.account_mail.send", lambda settings, mail, recipient: mails.append(mail)
        )
        whole = opening(smtp_host="mail.example", smtp_from="acumen@example.com")
        person(whole, "ann", Role.VIEWER)
        for _ in range(2):
            assert Visitor(whole, provider).log_in()["openid"] == "entered"
        whole.parts.accounts._mails.submit(int).result()
        told = [(mail["To"], mail["Subject"]) for mail in mails]
        assert told == [("ann@example.com", "Your account logs in elsewhere now")]

    def test_who_has_no_password_sets_one_with_a_link_alone(self, whole: Whole, visitor: Visitor) -> None:
        person(whole, "ann", Role.VIEWER)
        visitor.log_in()
        send = visitor.browser.send
        for old in ("", "correct horse battery"):
            reply = send("PUT", "/account/password", {"old": old, "new": "another good password"})
            assert reply.status_code == 401
        assert send("POST", "/account/two-factor", {"password": PASSWORD}).status_code == 409

    def test_no_letter_of_another_alphabet_becomes_one_of_ascii(self) -> None:
        assert _small("K\u212a\u00c9@\u212a.com") == "k\u212a\u00e9@\u212a.com"


class TestInvitations:
    def test_somebody_new_joins_without_a_password(self, whole: Whole, visitor: Visitor) -> None:
        token = invited(whole, roles={whole.project.id: Role.VIEWER})
        told = visitor.log_in(invitation=token)
        assert told == {"openid": "entered", "next": f"/app/{whole.project.id}"}
        assert visitor.account["person"] | {"id": ""} == {
            "id": "",
            "email": "ann@example.com",
            "name": "Ann",
            "two_factor": False,
            "password": False,
        }
        assert actions(whole)[:2] == ["Log in", "Join"]
        assert visitor.begin(invitation=token).status_code == 410

    def test_the_first_person_owns_the_organisation(self, opening: Opening, provider: Provider) -> None:
        whole = opening()
        link = make_first_link(whole.catalog)
        assert link is not None
        visitor = Visitor(whole, provider)
        visitor.log_in(invitation=link.partition("#")[2])
        assert [one["role"] for one in visitor.account["projects"]] == ["owner"]

    def test_one_for_an_address_is_for_nobody_else(self, whole: Whole, visitor: Visitor) -> None:
        token = invited(whole, email="ben@example.com", roles={whole.project.id: Role.VIEWER})
        assert visitor.log_in(invitation=token) == {"openid": "invitation"}
        assert visitor.begin(invitation=token).status_code == 200, "it is not used up"

    def test_who_is_here_already_gets_more(self, whole: Whole, visitor: Visitor) -> None:
        person(whole, "ann", Role.VIEWER)
        token = invited(whole, roles={whole.project.id: Role.EDITOR})
        assert visitor.log_in(invitation=token)["openid"] == "entered"
        assert [one["role"] for one in visitor.account["projects"]] == ["editor"]

    def test_one_that_was_withdrawn_meanwhile_lets_nobody_in(self, whole: Whole, visitor: Visitor) -> None:
        token = invited(whole, roles={whole.project.id: Role.VIEWER})
        location = visitor.begin(invitation=token).json()["location"]
        [open_one] = whole.catalog.invitations.of_organisation(whole.project.organisation_id)
        whole.catalog.invitations.withdraw(whole.project.organisation_id, open_one.id)
        assert visitor.come_back(visitor.provider.log_in(location)) == {"openid": "invitation"}


LIES: dict[str, dict[str, Any]] = {
    "a wrong nonce": {"change": lambda claims: {**claims, "nonce": "x"}},
    "no nonce": {"change": lambda claims: {k: v for k, v in claims.items() if k != "nonce"}},
    "another issuer": {"change": lambda claims: {**claims, "iss": "https://other.example"}},
    "another audience": {"change": lambda claims: {**claims, "aud": "other"}},
    "another audience, and us as the client": {
        "change": lambda claims: {**claims, "aud": ["other"], "azp": CLIENT_ID}
    },
    "two audiences, and no client": {"change": lambda claims: {**claims, "aud": [CLIENT_ID, "other"]}},
    "another client": {"change": lambda claims: {**claims, "azp": "other"}},
    "no audience": {"change": lambda claims: {**claims, "aud": []}},
    "an expired token": {"change": lambda claims: {**claims, "exp": claims["exp"] - 600}},
    "a token without an end": {"change": lambda claims: {k: v for k, v in claims.items() if k != "exp"}},
    "a token of the future": {"change": lambda claims: {**claims, "iat": claims["iat"] + 600}},
    "no subject": {"change": lambda claims: {k: v for k, v in claims.items() if k != "sub"}},
    "an empty subject": {"change": lambda claims: {**claims, "sub": ""}},
    "a subject that is no text": {"change": lambda claims: {**claims, "sub": 7}},
    "a subject that is too long": {"change": lambda claims: {**claims, "sub": "x" * 5_000}},
    "an unsigned token": {"signed": unsigned},
    "a token signed with the client's secret": {"signed": with_secret},
    "a token signed with another key of this name": {"signed": with_other_key},
    "an unknown key": {"header": {"kid": "unknown"}},
    "a critical header that nobody knows": {"signed": with_critical_header},
    "no token": {"signed": lambda *_: None},
    "nothing like a token": {"signed": lambda *_: "x.y.z"},
}


class TestAProviderThatLies:
    @pytest.mark.parametrize("lie", LIES)
    def test_lets_nobody_in(self, lied_to: tuple[Whole, Provider], lie: str) -> None:
        whole, provider = lied_to
        provider.claims, provider.change, provider.signed, provider.header = dict(ANN), None, None, {}
        for name, value in LIES[lie].items():
            setattr(provider, name, value)
        visitor = Visitor(whole, provider)
        assert visitor.log_in() == {"openid": "unproven"}
        assert "acumen_session" not in visitor.cookies

    def test_about_the_person_lets_nobody_in(
        self, whole: Whole, provider: Provider, visitor: Visitor
    ) -> None:
        provider.in_userinfo = True
        location = visitor.begin().json()["location"]
        query = provider.log_in(location)
        provider.claims = {**ANN, "sub": "another"}
        assert visitor.come_back(query) == {"openid": "unproven"}

    @pytest.mark.parametrize("issuer", ["https://other.example", ""])
    def test_an_answer_of_another_issuer_is_refused(
        self, whole: Whole, provider: Provider, visitor: Visitor, issuer: str
    ) -> None:
        query = provider.log_in(visitor.begin().json()["location"])
        assert visitor.come_back(f"{query}&iss={issuer}") == {"openid": "unproven"}

    def test_one_that_names_itself_in_answers_always_does(
        self, whole: Whole, provider: Provider, visitor: Visitor
    ) -> None:
        provider.metadata = {"authorization_response_iss_parameter_supported": True}
        person(whole, "ann", Role.VIEWER)
        query = provider.log_in(visitor.begin().json()["location"])
        assert visitor.come_back(query) == {"openid": "unproven"}
        query = provider.log_in(visitor.begin().json()["location"])
        assert visitor.come_back(f"{query}&iss={provider.issuer}") == {"openid": "entered"}


class TestAProviderThatIsHonest:
    @pytest.mark.parametrize(
        "given",
        [
            {"change": lambda claims: {**claims, "aud": [CLIENT_ID, "other"], "azp": CLIENT_ID}},
            {"change": lambda claims: {**claims, "exp": claims["exp"] - 90}},
            {"change": lambda claims: {**claims, "iat": claims["iat"] + 90}},
            {"header": {"kid": None}},
            {"header": {"hint": "nobody knows this"}},
            {"in_userinfo": True},
            {"claims": {**ANN, "email_verified": "true"}},
            {"keys": [jwk.ECKey.generate_key("P-256", {"kid": "curve"})]},
        ],
    )
    def test_may_do_as_it_likes(
        self, whole: Whole, provider: Provider, visitor: Visitor, given: dict[str, Any]
    ) -> None:
        person(whole, "ann", Role.VIEWER)
        for name, value in given.items():
            setattr(provider, name, value)
        assert visitor.log_in() == {"openid": "entered"}

    @pytest.mark.parametrize("kid", ["second", "first"])
    def test_may_change_its_keys(self, whole: Whole, provider: Provider, visitor: Visitor, kid: str) -> None:
        person(whole, "ann", Role.VIEWER)
        assert visitor.log_in()["openid"] == "entered"
        provider.keys = [jwk.RSAKey.generate_key(2048, {"kid": kid})]
        assert visitor.log_in()["openid"] == "entered"

    def test_may_have_keys_that_nobody_knows(
        self, whole: Whole, provider: Provider, visitor: Visitor
    ) -> None:
        person(whole, "ann", Role.VIEWER)
        good = provider.keys[0].as_dict(private=False)
        provider.published = [
            {"kty": "EC", "crv": "unknown", "x": "AA", "y": "AA", "kid": "a"},
            {"kty": "AKP", "alg": "ML-DSA-44", "kid": "b"},
            {"kty": "RSA", "kid": "c"},
            {"kty": "RSA", "n": 5, "e": None, "kid": "d"},
            {"kty": "oct", "k": "AAAA", "kid": "first"},
            "x",
            good,
        ]
        assert visitor.log_in()["openid"] == "entered"

    def test_is_asked_for_its_metadata_and_keys_once(
        self, whole: Whole, provider: Provider, visitor: Visitor
    ) -> None:
        person(whole, "ann", Role.VIEWER)
        for _ in range(3):
            visitor.log_in()
        assert [provider.requests.count(path) for path in (METADATA, "/jwks", "/token")] == [1, 1, 3]


BROKEN = {
    "an error": (500, b"{}"),
    "no JSON": (200, b"<html>"),
    "no object": (200, b"[1]"),
    "a deep list": (200, b"[" * 100_000),
    "more than is read": (200, b'{"x": "' + b"x" * BODY_BYTES_MAX + b'"}'),
    "a redirect": (302, b""),
}


class TestAProviderThatFails:
    def test_at_the_beginning_is_a_503(self, whole: Whole, provider: Provider, visitor: Visitor) -> None:
        for how in BROKEN:
            provider.answers[METADATA] = BROKEN[how]
            reply = visitor.begin()
            assert reply.status_code == 503 and "Single sign-on" in reply.json()["message"], how
        del provider.answers[METADATA]
        assert visitor.begin().status_code == 200, "as soon as it answers again"

    @pytest.mark.parametrize("path", ["/token", "/jwks", "/userinfo"])
    def test_later_is_told_on_the_page(
        self, whole: Whole, provider: Provider, visitor: Visitor, path: str
    ) -> None:
        person(whole, "ann", Role.VIEWER)
        provider.in_userinfo = True
        for at, how in enumerate(BROKEN):
            # Keys that are known are not asked for.
            provider.keys = [jwk.RSAKey.generate_key(2048, {"kid": f"key {at}"})]
            provider.answers[path] = BROKEN[how]
            assert visitor.log_in() == {"openid": "provider"}, how
            del provider.answers[path]
            assert visitor.log_in() == {"openid": "entered"}, how

    def test_by_being_down_breaks_nothing(self, whole: Whole, provider: Provider, visitor: Visitor) -> None:
        location = visitor.begin().json()["location"]
        query = provider.log_in(location)
        provider.stop()
        assert visitor.come_back(query) == {"openid": "provider"}
        assert Visitor(whole, provider).begin().status_code == 200, "its metadata is still known"
        assert Browser(whole).log_in("owner@example.com").status_code == 201

    @pytest.mark.parametrize(
        ("name", "address"),
        [
            ("authorization_endpoint", None),
            ("authorization_endpoint", "//other.example"),
            ("token_endpoint", "http://other.example/x"),
            ("jwks_uri", "file:///etc/passwd"),
            ("userinfo_endpoint", 5),
        ],
    )
    def test_by_naming_an_address_that_is_not_safe(
        self, whole: Whole, provider: Provider, visitor: Visitor, name: str, address: Any
    ) -> None:
        provider.in_userinfo, provider.metadata = True, {name: address}
        reply = visitor.begin()
        if name == "authorization_endpoint":
            assert reply.status_code == 503
        else:
            assert visitor.come_back(provider.log_in(reply.json()["location"])) == {"openid": "provider"}

    def test_by_naming_an_address_of_a_private_network(
        self, whole: Whole, provider: Provider, visitor: Visitor, caplog: pytest.LogCaptureFixture
    ) -> None:
        """The issuer is named by its setting, and nothing else that it names is."""
        provider.metadata = {"token_endpoint": "https://10.0.0.1/token"}
        reply = visitor.begin()
        assert visitor.come_back(provider.log_in(reply.json()["location"])) == {"openid": "provider"}
        told = [str(getattr(record, "fields", "")) + record.getMessage() for record in caplog.records]
        assert any("ACUMEN_OUTBOUND_NETWORKS" in one for one in told), told

    def test_by_calling_itself_otherwise(self, whole: Whole, provider: Provider, visitor: Visitor) -> None:
        provider.metadata = {"issuer": f"{provider.issuer}/"}
        assert visitor.begin().status_code == 503

    def test_by_a_wrong_secret(self, opening: Opening, provider: Provider, tmp_path: Path) -> None:
        secret = tmp_path / "secret"
        secret.write_text("another\n")
        whole = opening(openid_client_secret="", openid_client_secret_file=secret)
        person(whole, "ann", Role.VIEWER)
        visitor = Visitor(whole, provider)
        assert visitor.log_in() == {"openid": "provider"}
        secret.write_text(f"{SECRET}\n")
        assert visitor.log_in() == {"openid": "entered"}, "the file is read anew"
        secret.unlink()
        assert visitor.log_in() == {"openid": "provider"}


class TestTheWayBack:
    def test_who_cancels_is_told_so(self, visitor: Visitor, provider: Provider) -> None:
        query = provider.log_in(visitor.begin().json()["location"])
        state = query.partition("&")[0]
        assert visitor.come_back(f"{state}&error=access_denied") == {"openid": "cancelled"}
        state = provider.log_in(visitor.begin().json()["location"]).partition("&")[0]
        assert visitor.come_back(f"{state}&error=server_error") == {"openid": "provider"}
        state = provider.log_in(visitor.begin().json()["location"]).partition("&")[0]
        assert visitor.come_back(state) == {"openid": "provider"}

    def test_is_for_the_browser_that_began(self, whole: Whole, visitor: Visitor, provider: Provider) -> None:
        person(whole, "ann", Role.VIEWER)
        query = provider.log_in(visitor.begin().json()["location"])
        other = Visitor(whole, provider)
        assert other.come_back(query) == {"openid": "expired"}
        other.begin()
        assert other.come_back(query) == {"openid": "expired"}
        assert "acumen_session" not in other.cookies
        assert visitor.come_back(query) == {"openid": "entered"}

    def test_is_taken_once(self, whole: Whole, visitor: Visitor, provider: Provider) -> None:
        person(whole, "ann", Role.VIEWER)
        provider.codes_are_for_once = False
        query = provider.log_in(visitor.begin().json()["location"])
        assert visitor.come_back(query) == {"openid": "entered"}
        assert visitor.cookies["acumen_openid"]["max-age"] == "0"
        # Even with the cookie that was to be forgotten.
        assert visitor.come_back(query) == {"openid": "expired"}

    def test_is_closed_after_ten_minutes(self, whole: Whole, visitor: Visitor, provider: Provider) -> None:
        query = provider.log_in(visitor.begin().json()["location"])
        whole.now_us += 601_000_000
        assert visitor.come_back(query) == {"openid": "expired"}

    @pytest.mark.parametrize(
        "query", ["", "state=", "state=x&code=y", "state=\ud800", "state=a&state=b", "%ff=1"]
    )
    def test_with_nothing_of_ours_leads_to_the_page(self, visitor: Visitor, query: str) -> None:
        for kept in (
            "",
            "acumen_openid=",
            "acumen_openid=AAAA",
            f"acumen_openid={'A' * 200}",
            "acumen_openid=é",
        ):
            shown = query.encode("utf-8", "replace").decode()
            if query == "%ff=1":
                continue
            assert visitor.come_back(shown, kept.encode("ascii", "ignore").decode()) == {"openid": "expired"}

    def test_is_finished_by_any_worker(self, opening: Opening, provider: Provider) -> None:
        first = opening()
        person(first, "owner", owner=True)
        person(first, "ann", Role.VIEWER)
        one = Visitor(first, provider)
        query = provider.log_in(one.begin().json()["location"])
        kept = one.kept
        second = Visitor(opening(), provider)
        assert second.come_back(query, kept) == {"openid": "entered"}

    def test_a_head_request_uses_nothing_up(self, whole: Whole, visitor: Visitor, provider: Provider) -> None:
        person(whole, "ann", Role.VIEWER)
        query = provider.log_in(visitor.begin().json()["location"])
        reply = whole.send("HEAD", f"/account/openid/return?{query}", headers={"cookie": visitor.kept})
        assert reply.status_code == 303 and "set-cookie" not in reply.headers
        assert visitor.come_back(query) == {"openid": "entered"}

    def test_failures_are_counted_by_address(self, opening: Opening, provider: Provider) -> None:
        whole = opening(login_failures_per_address=3)
        person(whole, "owner", owner=True)
        visitor = Visitor(whole, provider)
        assert [visitor.log_in()["openid"] for _ in range(4)] == ["unknown"] * 3 + ["busy"]


class TestTheBeginning:
    @pytest.mark.parametrize(
        "next",
        [
            "https://evil.example",
            "//evil.example",
            "/\\evil.example",
            "/login",
            "app/",
            "",
            "/app",
            "/app/" + "x" * 2_000,
        ],
    )
    def test_leads_to_pages_alone_afterwards(self, visitor: Visitor, next: str) -> None:
        reply = visitor.begin(next=next)
        assert reply.status_code == 400 and "'next'" in reply.json()["message"]

    def test_the_longest_address_fits_into_a_cookie(self, whole: Whole, visitor: Visitor) -> None:
        person(whole, "ann", Role.VIEWER)
        visitor.browser.cookie = person(whole, "ben", Role.VIEWER).cookie
        next = "/app/" + "x" * 1_995
        token = invited(whole, roles={})
        location = visitor.begin(next=next, invitation=token).json()["location"]
        assert len(visitor.kept) < 4_000
        assert visitor.come_back(visitor.provider.log_in(location)) == {"openid": "entered", "next": next}

    def test_is_refused_to_pages_of_other_sites(self, whole: Whole) -> None:
        for headers in (
            {"sec-fetch-site": "cross-site"},
            {"origin": "http://evil.example"},
            {"content-type": "text/plain"},
        ):
            sent = {**PAGE, "content-type": "application/json", **headers}
            assert whole.send("POST", "/account/openid/begin", {}, sent).status_code == 403

    def test_its_cookie_comes_back_from_another_site_and_no_script_reads_it(self, opening: Opening) -> None:
        for url, name, secure in (
            ("http://test", "acumen_openid", ""),
            ("https://test", "__Host-acumen_openid", True),
        ):
            whole = opening(public_url=url)
            headers = {"origin": url, "content-type": "application/json"}
            reply = whole.send("POST", "/account/openid/begin", {}, headers)
            [cookie] = SimpleCookie(reply.headers["set-cookie"]).values()
            assert cookie.key == name and cookie["secure"] == secure and cookie["httponly"]
            assert cookie["samesite"].lower() == "lax" and cookie["path"] == "/" and not cookie["domain"]
            assert cookie["max-age"] == "600"

    def test_says_nothing_of_itself_in_the_log(
        self, whole: Whole, visitor: Visitor, provider: Provider, caplog: pytest.LogCaptureFixture
    ) -> None:
        provider.change = lambda claims: {**claims, "nonce": "x"}
        query = provider.log_in(visitor.begin().json()["location"])
        assert visitor.come_back(query) == {"openid": "unproven"}
        assert "nonce" in caplog.text
        for secret in (SECRET, query.partition("code=")[2] + '"', visitor.kept, "ann@example.com"):
            assert secret not in caplog.text


class TestWithoutAProvider:
    def test_there_is_no_such_log_in(self, tmp_path: Path) -> None:
        whole = Whole(tmp_path / "data")
        assert whole.send("GET", "/account/openid").json() == {"label": None}
        headers = {"content-type": "application/json"}
        assert whole.send("POST", "/account/openid/begin", {}, headers).status_code == 404
        assert whole.send("GET", "/account/openid/return?state=x").headers["location"] == "/login"
        whole.close()

    def test_with_one_the_page_is_told_what_the_button_says(self, opening: Opening) -> None:
        whole = opening(openid_label="Log in with Example")
        assert whole.send("GET", "/account/openid").json() == {"label": "Log in with Example"}


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ({"openid_issuer": "http://provider.example"}, "https://"),
        ({"openid_issuer": "https://provider.example/?x=1"}, "https://"),
        ({"openid_issuer": "https://"}, "https://"),
        ({"openid_issuer": "https://[x"}, "OPENID_ISSUER"),
        ({"openid_issuer": "https://provider.example", "public_url": "https://x"}, "openid_client_id"),
        ({"openid_issuer": "https://provider.example", "openid_client_id": "x"}, "public_url"),
        ({"openid_client_secret": "x", "openid_client_secret_file": "y"}, "exclude"),
        ({"openid_role": "owner"}, "viewer or editor"),
        ({"openid_label": "x" * 61}, "60"),
        ({"openid_label": "a\nb"}, "line"),
    ],
)
def test_settings_that_cannot_be_meant_are_refused(given: dict[str, Any], said: str) -> None:
    with pytest.raises(BadSettings, match=re.escape(said)):
        load(**given)


def test_what_it_takes_is_imported_where_there_is_a_provider_alone() -> None:
    told = "import sys, service.process.worker; print({'joserfc', 'httpx', 'segno'} & set(sys.modules))"
    done = subprocess.run([sys.executable, "-P", "-c", told], capture_output=True, text=True, check=True)
    assert done.stdout == "set()\n"
