"""Passwords that change, are forgotten, and the second factor."""

from __future__ import annotations

import re
from collections.abc import Iterator
from email.message import Message
from pathlib import Path
from typing import Any

import pyotp
import pytest

from service.people.accounts import ATTEMPTS_PER_ACCOUNT, MAILS_PER_ACCOUNT
from service.people.password_mail import LINK_US, make_password_link
from tests.service.people.browsers import PASSWORD, Browser, person
from tests.service.whole import Whole

NEW = "a better password"


@pytest.fixture
def ann(whole: Whole) -> Browser:
    return person(whole, "ann", owner=True)


@pytest.fixture
def mails(monkeypatch: pytest.MonkeyPatch) -> list[Message]:
    """What the seam to the mail server was given."""
    sent: list[Message] = []
    monkeypatch.setattr(
        "service.people.account_mail.send", lambda settings, mail, recipient: sent.append(mail)
    )
    return sent


@pytest.fixture
def mailing(tmp_path: Path) -> Iterator[Whole]:
    made = Whole(
        tmp_path / "data",
        smtp_host="mail.example",
        smtp_from="acumen@example.com",
        public_url="http://test",
    )
    yield made
    made.close()


class TestChanges:
    def test_a_new_password_ends_all_other_sessions(self, whole: Whole, ann: Browser) -> None:
        other = Browser(whole)
        other.log_in("ann@example.com")
        assert ann.send("PUT", "/account/password", {"old": PASSWORD, "new": NEW}).status_code == 204
        assert ann.send("GET", "/account").status_code == 200
        assert other.send("GET", "/account").status_code == 401
        assert Browser(whole).log_in("ann@example.com").status_code == 401
        assert Browser(whole).log_in("ann@example.com", NEW).status_code == 201

    def test_it_needs_the_old_one(self, whole: Whole, ann: Browser) -> None:
        """A session that somebody left open is no password; guesses are counted as log-ins are."""
        for _ in range(ATTEMPTS_PER_ACCOUNT):
            reply = ann.send("PUT", "/account/password", {"old": "wrong password", "new": NEW})
            assert reply.status_code == 401
        reply = ann.send("PUT", "/account/password", {"old": PASSWORD, "new": NEW})
        assert reply.status_code == 429

    @pytest.mark.parametrize("new", ["short", "x" * 1_025])
    def test_it_is_neither_short_nor_endless(self, ann: Browser, new: str) -> None:
        assert ann.send("PUT", "/account/password", {"old": PASSWORD, "new": new}).status_code == 400

    def test_any_text_can_be_one(self, whole: Whole, ann: Browser) -> None:
        text = "пароль ✓ \u0000 \U0001f511"
        assert ann.send("PUT", "/account/password", {"old": PASSWORD, "new": text}).status_code == 204
        assert Browser(whole).log_in("ann@example.com", text).status_code == 201


class TestLinks:
    def token(self, whole: Whole) -> str:
        [known] = whole.catalog.people.all()
        return make_password_link(whole.catalog, known, whole.parts.clock())

    def reset(self, whole: Whole, token: str, new: str = NEW) -> Any:
        return Browser(whole).send("POST", "/account/password/reset", {"token": token, "new": new})

    def test_one_sets_a_password_once_and_ends_all_sessions(self, whole: Whole, ann: Browser) -> None:
        token = self.token(whole)
        assert self.reset(whole, token).status_code == 204
        assert ann.send("GET", "/account").status_code == 401
        assert Browser(whole).log_in("ann@example.com", NEW).status_code == 201
        assert self.reset(whole, token).status_code == 410

    def test_one_expires_and_is_replaced_by_the_next(self, whole: Whole, ann: Browser) -> None:
        first = self.token(whole)
        second = self.token(whole)
        assert self.reset(whole, first).status_code == 410
        whole.now_us += LINK_US
        assert self.reset(whole, second).status_code == 410
        assert self.reset(whole, "A" * 43).text == self.reset(whole, second).text

    def test_a_bad_password_uses_nothing_up(self, whole: Whole, ann: Browser) -> None:
        token = self.token(whole)
        assert self.reset(whole, token, "short").status_code == 400
        assert self.reset(whole, token).status_code == 204

    def test_an_invitation_sets_no_password(self, whole: Whole, ann: Browser) -> None:
        from tests.service.people.browsers import invited

        assert self.reset(whole, invited(whole)).status_code == 410


class TestForgotten:
    def forget(self, whole: Whole, email: str, **headers: str) -> Any:
        reply = Browser(whole).send("POST", "/account/password/forgotten", {"email": email}, headers)
        whole.parts.accounts._mails.submit(int).result()
        return reply

    def test_a_link_is_mailed_to_who_is_there(self, mailing: Whole, mails: list[Any]) -> None:
        person(mailing, "ann", owner=True)
        known, unknown = (self.forget(mailing, f"{name}@example.com") for name in ("Ann", "nobody"))
        assert (known.status_code, known.content) == (unknown.status_code, unknown.content) == (202, b"")
        [mail] = mails
        assert mail["To"] == "ann@example.com" and mail["From"] == "acumen@example.com"
        found = re.search(r"^http://test/reset#(\S+)$", mail.get_content(), re.MULTILINE)
        assert found is not None
        body = {"token": found[1], "new": NEW}
        assert Browser(mailing).send("POST", "/account/password/reset", body).status_code == 204

    def test_the_link_is_for_the_public_address_whatever_the_request_says(
        self, mailing: Whole, mails: list[Any]
    ) -> None:
        person(mailing, "ann", owner=True)
        self.forget(mailing, "ann@example.com", host="evil.example")
        assert "evil.example" not in mails[0].as_string()

    def test_no_link_goes_around_the_provider_of_who_has_no_password(
        self, mailing: Whole, mails: list[Any]
    ) -> None:
        ann = person(mailing, "ann", owner=True)
        mailing.catalog.identities.link("https://login.example", "a-1", ann.id)
        assert self.forget(mailing, "ann@example.com").status_code == 202
        assert not mails

    def test_nobody_is_flooded(self, mailing: Whole, mails: list[Any]) -> None:
        person(mailing, "ann", owner=True)
        for email in ("ann@example.com", "nobody@example.com"):
            for _ in range(MAILS_PER_ACCOUNT):
                assert self.forget(mailing, email).status_code == 202
            assert self.forget(mailing, email).status_code == 429
        assert len(mails) == MAILS_PER_ACCOUNT

    def test_without_mail_it_answers_the_same(self, whole: Whole, ann: Browser, mails: list[Any]) -> None:
        assert self.forget(whole, "ann@example.com").status_code == 202
        assert mails == []


def mailed(whole: Whole, mails: list[Any]) -> list[tuple[str, str]]:
    """Address and subject of each mail, once all are on their way."""
    whole.parts.accounts._mails.submit(int).result()
    return [(mail["To"], mail["Subject"]) for mail in mails]


class TestNotices:
    """Who has an account hears of what somebody else may have done with it."""

    def change(self, ann: Browser, email: str) -> None:
        body = {"name": "Ann", "email": email, "password": PASSWORD}
        assert ann.send("PUT", "/account", body).status_code == 200

    def test_a_new_address_is_told_to_the_old_one(self, mailing: Whole, mails: list[Any]) -> None:
        ann = person(mailing, "ann", owner=True)
        self.change(ann, "ann@example.com")
        assert mailed(mailing, mails) == []
        self.change(ann, "eve@example.com")
        assert mailed(mailing, mails) == [("ann@example.com", "Your e-mail address was changed")]
        text = mails[0].get_content()
        assert "http://test" in text and "#" not in text and "eve@example.com" not in text

    def test_a_new_password_is_told(self, mailing: Whole, mails: list[Any]) -> None:
        ann = person(mailing, "ann", owner=True)
        assert ann.send("PUT", "/account/password", {"old": "wrong one", "new": NEW}).status_code == 401
        assert mailed(mailing, mails) == []
        assert ann.send("PUT", "/account/password", {"old": PASSWORD, "new": NEW}).status_code == 204
        told = ("ann@example.com", "Your password was changed")
        assert mailed(mailing, mails) == [told]
        [known] = mailing.catalog.people.all()
        token = make_password_link(mailing.catalog, known, mailing.parts.clock())
        Browser(mailing).send("POST", "/account/password/reset", {"token": token, "new": PASSWORD})
        assert mailed(mailing, mails) == [told, told]
        assert all(token not in mail.get_content() for mail in mails)

    def test_the_end_of_a_second_factor_is_told(self, mailing: Whole, mails: list[Any]) -> None:
        ann = person(mailing, "ann", owner=True)
        path, body = "/account/two-factor", {"password": PASSWORD}
        assert ann.send("DELETE", path, body).status_code == 204
        assert mailed(mailing, mails) == []
        secret = ann.send("POST", path, body).json()["secret"]
        ann.send("PUT", path, {"code": pyotp.TOTP(secret).at(mailing.now_us // 1_000_000)})
        assert ann.send("DELETE", path, body).status_code == 204
        assert mailed(mailing, mails) == [("ann@example.com", "Your second factor was turned off")]

    def test_a_stranger_is_not_flooded(self, mailing: Whole, mails: list[Any]) -> None:
        """Anybody may enter any address as their own, and change it again."""
        ann = person(mailing, "ann", owner=True)
        for _ in range(MAILS_PER_ACCOUNT + 2):
            self.change(ann, "stranger@example.com")
            self.change(ann, "ann@example.com")
        to_stranger = [to for to, _ in mailed(mailing, mails) if to == "stranger@example.com"]
        assert len(to_stranger) == MAILS_PER_ACCOUNT

    def test_without_mail_nothing_is_sent(self, whole: Whole, ann: Browser, mails: list[Any]) -> None:
        assert ann.send("PUT", "/account/password", {"old": PASSWORD, "new": NEW}).status_code == 204
        assert mailed(whole, mails) == []


class TestSecondFactor:
    def code(self, whole: Whole, secret: str, steps: int = 0) -> str:
        return pyotp.TOTP(secret).at(whole.now_us // 1_000_000 + 30 * steps)

    def begin(self, whole: Whole, ann: Browser) -> tuple[str, list[str]]:
        """The secret, and the recovery codes."""
        offer = ann.send("POST", "/account/two-factor", {"password": PASSWORD}).json()
        assert offer["uri"].startswith("otpauth://totp/Acumen:ann%40example.com?secret=")
        code = self.code(whole, offer["secret"])
        reply = ann.send("PUT", "/account/two-factor", {"code": code})
        assert reply.status_code == 200, reply.text
        return offer["secret"], reply.json()["recovery_codes"]

    def test_log_in_needs_a_code_then(self, whole: Whole, ann: Browser) -> None:
        secret, _ = self.begin(whole, ann)
        assert ann.send("GET", "/account").json()["person"]["two_factor"]
        browser = Browser(whole)
        reply = browser.log_in("ann@example.com")
        assert (reply.status_code, reply.json()["error_code"]) == (401, "code_required")
        assert not browser.cookie
        assert browser.log_in("ann@example.com", code=self.code(whole, secret, 1)).status_code == 201

    def test_a_wrong_password_is_told_nothing_of_it(self, whole: Whole, ann: Browser) -> None:
        self.begin(whole, ann)
        reply = Browser(whole).log_in("ann@example.com", "wrong password", code="000000")
        assert reply.json()["message"] == "The e-mail address or the password is wrong."

    def test_a_code_is_taken_once_and_near_its_time(self, whole: Whole, ann: Browser) -> None:
        secret, _ = self.begin(whole, ann)
        confirmed = self.code(whole, secret)
        assert Browser(whole).log_in("ann@example.com", code=confirmed).status_code == 401
        for steps, status in ((1, 201), (1, 401), (0, 401), (2, 401), (-2, 401)):
            code = self.code(whole, secret, steps)
            assert Browser(whole).log_in("ann@example.com", code=code).status_code == status, steps

    def test_codes_cannot_be_guessed(self, whole: Whole, ann: Browser) -> None:
        secret, _ = self.begin(whole, ann)
        for number in range(ATTEMPTS_PER_ACCOUNT):
            Browser(whole).log_in("ann@example.com", code=f"{number:06}")
        right = self.code(whole, secret, 1)
        assert Browser(whole).log_in("ann@example.com", code=right).status_code == 429

    def test_a_recovery_code_is_taken_once(self, whole: Whole, ann: Browser) -> None:
        _, codes = self.begin(whole, ann)
        assert len(set(codes)) == 10
        shown = f"{codes[0][:5]}-{codes[0][5:].upper()}"
        assert Browser(whole).log_in("ann@example.com", code=shown).status_code == 201
        assert Browser(whole).log_in("ann@example.com", code=codes[0]).status_code == 401
        assert Browser(whole).log_in("ann@example.com", code=codes[1]).status_code == 201

    def test_one_that_is_not_confirmed_does_not_count(self, whole: Whole, ann: Browser) -> None:
        early = ann.send("PUT", "/account/two-factor", {"code": "000000"})
        assert early.status_code == 401 and "Turn it on again" in early.json()["message"]
        ann.send("POST", "/account/two-factor", {"password": PASSWORD})
        wrong = ann.send("PUT", "/account/two-factor", {"code": "000000"})
        assert wrong.status_code == 401 and "six digits that the app shows now" in wrong.json()["message"]
        assert Browser(whole).log_in("ann@example.com").status_code == 201

    def test_a_session_alone_replaces_none(self, whole: Whole, ann: Browser) -> None:
        secret, _ = self.begin(whole, ann)
        reply = ann.send("POST", "/account/two-factor", {"password": PASSWORD})
        assert (reply.status_code, reply.json()["error_code"]) == (409, "SecondFactorError")
        reply = ann.send("PUT", "/account/two-factor", {"code": self.code(whole, secret, 1)})
        assert reply.status_code == 401

    @pytest.mark.parametrize(
        ("body", "status"),
        [(None, 400), ({}, 400), ({"password": ""}, 401), ({"password": "wrong password"}, 401)],
    )
    def test_the_beginning_needs_the_password(
        self, whole: Whole, ann: Browser, body: Any, status: int
    ) -> None:
        """Whoever borrows a session must not lock its person out with an app of their own."""
        reply = ann.send("POST", "/account/two-factor", body)
        assert reply.status_code == status and "secret" not in reply.json()
        [known] = whole.catalog.people.all()
        assert known.factor_offered is None

    def test_guesses_at_the_beginning_are_counted(self, ann: Browser) -> None:
        for _ in range(ATTEMPTS_PER_ACCOUNT):
            ann.send("POST", "/account/two-factor", {"password": "wrong password"})
        assert ann.send("POST", "/account/two-factor", {"password": PASSWORD}).status_code == 429

    def test_the_end_needs_the_password(self, whole: Whole, ann: Browser) -> None:
        self.begin(whole, ann)
        path = "/account/two-factor"
        assert ann.send("DELETE", path, {"password": "wrong password"}).status_code == 401
        assert ann.send("DELETE", path, {"password": PASSWORD}).status_code == 204
        assert Browser(whole).log_in("ann@example.com").status_code == 201

    def test_a_link_for_a_password_does_not_go_around_it(self, whole: Whole, ann: Browser) -> None:
        self.begin(whole, ann)
        [known] = whole.catalog.people.all()
        token = make_password_link(whole.catalog, known, whole.parts.clock())
        browser = Browser(whole)
        reply = browser.send("POST", "/account/password/reset", {"token": token, "new": NEW})
        assert reply.status_code == 204 and not browser.cookie
        assert browser.log_in("ann@example.com", NEW).json()["error_code"] == "code_required"

    def test_its_secret_is_sealed_at_rest(self, whole: Whole, ann: Browser) -> None:
        secret, codes = self.begin(whole, ann)
        stored = b"".join(
            path.read_bytes() for path in whole.folder.root.glob("catalog.sqlite*") if path.is_file()
        )
        assert secret.encode() not in stored and not any(code.encode() in stored for code in codes)
