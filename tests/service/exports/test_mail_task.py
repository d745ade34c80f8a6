"""Extractions by e-mail: who may be written to, what is said, what is tried again."""

from __future__ import annotations

import re
import ssl
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest

from service.exports.jobs import PROCESSING_MAIL
from service.exports.mail_task import PAUSES_SECONDS, SUBJECT_GONE, SUBJECT_READY, Mailer
from storage.catalog.catalog import system_clock
from storage.catalog.derived.records import MailState, NewExport
from tests.sdk.certificate import make_certificate
from tests.service.export_bench import Bench
from tests.support.smtp import MailServer, mail_server

PUBLIC = "https://events.example.org"
ANN = "ann+x@Example.com"
DAY_US = 86_400_000_000


@pytest.fixture(scope="module")
def mails() -> Iterator[MailServer]:
    with mail_server() as server:
        yield server


@pytest.fixture(scope="module")
def shared(tmp_path_factory: pytest.TempPathFactory, mails: MailServer) -> Iterator[Bench]:
    made = Bench(
        tmp_path_factory.mktemp("mails") / "data",
        min_free_bytes=0,
        public_url=PUBLIC,
        smtp_host="127.0.0.1",
        smtp_port=mails.port,
        smtp_security="none",
        smtp_from="Acumen <acumen@example.org>",
        mail_domains="example.com, Example.NET",
    )
    made.record("c", {"n": 1}, {"n": 2})
    yield made
    made.close()


@pytest.fixture
def bench(shared: Bench, mails: MailServer) -> Iterator[Bench]:
    mails.taken.clear()
    mails.answers.clear()
    yield shared
    for job in shared.catalog.exports.of_project(shared.project.id):
        shared.call("DELETE", f"extractions/{job.id}")


def post(bench: Bench, at_us: int | None = None, **settings: Any) -> None:
    """Send all mails that are due."""
    tools = bench.new_tools()
    object.__setattr__(tools, "settings", bench.settings.model_copy(update=settings))
    mailer = Mailer(tools)
    while mailer.run_due(at_us or system_clock()):
        pass


def test_the_link_is_mailed_once_the_file_is_made(bench: Bench, mails: MailServer) -> None:
    asked = {"event_collection": "c", "email": ANN}
    reply = bench.call("POST", "queries/extraction", asked, key=bench.project.read_key).json()
    assert reply["result"] == PROCESSING_MAIL
    post(bench)
    assert mails.taken == []
    bench.work()
    for _ in range(2):
        post(bench)
    (taken,) = mails.taken
    assert taken.recipients == [ANN]
    mail = taken.mail
    assert (mail["Subject"], mail["To"], mail["From"]) == (SUBJECT_READY, ANN, "Acumen <acumen@example.org>")
    assert mail["Auto-Submitted"] == "auto-generated"
    text = mail.get_content()
    assert "2 events" in text
    assert "Collection: c" in text.splitlines()
    (link,) = re.findall(rf"{PUBLIC}(\S+signature=\S+)", text)
    assert bench.call("GET", link, key="").text.startswith("keen.created_at,")
    job = bench.shown(reply["job"])
    assert (job["email"], job["mail"]) == (ANN, {"state": "sent", "attempts": 1, "message": None})
    assert PUBLIC + link == job["file_url"]
    assert "email" not in bench.shown(reply["job"], other_key(bench))


def other_key(bench: Bench) -> str:
    body = {"name": "k", "is_active": True, "permitted": ["queries"], "options": {}}
    key: str = bench.call("POST", "keys", body).json()["key"]
    return key


@pytest.mark.parametrize(
    "email", ["ann@evil.com", "ann@sub.example.com", "ann@xexample.com", "ann@example.com.evil.com", "a@b"]
)
def test_only_domains_that_the_operator_names_get_mail(bench: Bench, email: str) -> None:
    asked = {"event_collection": "c", "email": email}
    reply = bench.call("POST", "queries/extraction", asked, key=bench.project.read_key)
    assert (reply.status_code, reply.json()["error_code"]) == (403, "ForbiddenError")
    assert "operator allows" in reply.json()["message"]
    assert bench.catalog.exports.of_project(bench.project.id) == []


def test_a_domain_that_is_named_no_more_gets_none(bench: Bench, mails: MailServer) -> None:
    job = bench.made(email=ANN)
    post(bench, mail_domains=("example.net",))
    assert mails.taken == []
    assert bench.shown(job)["mail"]["state"] == "failed"


def test_an_address_that_was_taken_once_and_is_none_gets_none(bench: Bench, mails: MailServer) -> None:
    """Nor does it keep the others from theirs."""
    asked = bench.kept(bench.ask(email=ANN))
    for number, hidden in enumerate(("a=40evil.com=2c", "a=0d=0ab")):
        new = NewExport(
            id=f"{number:032x}",
            project_id=bench.project.id,
            key_id=asked.key_id,
            audience=asked.audience,
            collection="c",
            question=asked.question,
            format=asked.format,
            gzip=False,
            email=f"=?utf-8?q?{hidden}?=@example.com",
        )
        bench.catalog.exports.create(new)
    bench.work()
    post(bench)
    assert [taken.recipients for taken in mails.taken] == [[ANN]]
    states = [job.mail_state for job in bench.catalog.exports.of_project(bench.project.id)]
    assert states == [MailState.FAILED, MailState.FAILED, MailState.SENT]


def test_a_job_that_fails_is_told_of_too(bench: Bench, mails: MailServer) -> None:
    job = bench.ask(email=ANN)
    export = bench.catalog.exports.claim("x", system_clock(), system_clock() + DAY_US)
    assert export is not None
    bench.catalog.exports.fail(export, "It was too much.", system_clock())
    post(bench)
    (taken,) = mails.taken
    assert taken.mail["Subject"] == SUBJECT_GONE
    assert "There is no file: It was too much." in taken.mail.get_content()
    assert bench.shown(job)["mail"]["state"] == "sent"


def test_a_name_that_may_be_an_address_is_not_repeated(bench: Bench, mails: MailServer) -> None:
    for name in ("evil.com", "https://x", "é", "a/b", "n" * 65):
        job = bench.made(email=ANN, event_collection=name)
        post(bench)
        text = mails.taken.pop().mail.get_content()
        assert name not in text.replace(job["file_url"], "").replace("example.com", "")
        assert "Collection" not in text


def test_a_server_that_does_not_answer_is_asked_again_and_again_and_given_up(
    bench: Bench, mails: MailServer
) -> None:
    job = bench.made(email=ANN)
    mails.answers["RCPT"] = "451 later"
    now_us = system_clock()
    for attempt in range(1, len(PAUSES_SECONDS) + 2):
        post(bench, now_us)
        told = bench.shown(job)["mail"]
        assert told["attempts"] == attempt
        post(bench, now_us)
        assert bench.shown(job)["mail"] == told, "it is left alone for a while"
        now_us += 2 * DAY_US
    assert told["state"] == "failed"
    assert told["message"].startswith("Given up after 8 attempts.")
    assert mails.taken == []


def test_a_mail_that_could_not_be_sent_is_sent_later(bench: Bench, mails: MailServer) -> None:
    job = bench.made(email=ANN)
    post(bench, smtp_port=1)
    told = bench.shown(job)["mail"]
    assert told == {"state": "waiting", "attempts": 1, "message": "The mail server could not be reached."}
    now_us = system_clock()
    for command, answer in (("EHLO", "421 busy"), ("MAIL", "550 not you"), (".", "452 full")):
        mails.answers[command] = answer
        now_us += DAY_US
        post(bench, now_us)
        assert bench.shown(job)["mail"]["state"] == "waiting", command
        mails.answers.clear()
    post(bench, now_us + DAY_US)
    told = bench.shown(job)["mail"]
    assert (told["state"], told["attempts"], told["message"]) == ("sent", 5, None)
    assert len(mails.taken) == 1


@pytest.mark.parametrize(("command", "says"), [("RCPT", "the recipient (550)"), (".", "the mail (550)")])
def test_what_is_refused_for_good_is_not_tried_again(
    bench: Bench, mails: MailServer, command: str, says: str
) -> None:
    job = bench.made(email=ANN)
    mails.answers[command] = "550 secret words"
    post(bench)
    told = bench.shown(job)["mail"]
    assert (told["state"], told["message"]) == ("failed", f"The mail server refused {says}.")


def test_a_crash_between_attempts_does_not_hurry_the_next(bench: Bench, mails: MailServer) -> None:
    bench.made(email=ANN)
    now_us = system_clock()
    assert bench.catalog.exports.claim_mail(now_us, now_us + 60_000_000) is not None
    post(bench, now_us)
    assert mails.taken == []
    post(bench, now_us + 61_000_000)
    assert len(mails.taken) == 1


@pytest.mark.parametrize("kind", ["tls", "starttls"])
def test_mail_goes_by_tls_with_user_and_password(
    bench: Bench, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, kind: str
) -> None:
    made = make_certificate(tmp_path)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(made.certificate, made.key)
    with ExitStack() as stack:
        given: dict[str, Any] = {kind: context}
        server = stack.enter_context(mail_server(users={"u": "p"}, **given))
        how: dict[str, Any] = {
            "smtp_port": server.port,
            "smtp_security": kind,
            "smtp_user": "u",
            "smtp_password": "p",
        }
        job = bench.made(email=ANN)
        post(bench, **how)
        assert "certificate" in bench.shown(job)["mail"]["message"], "one that nobody vouches for"
        monkeypatch.setenv("SSL_CERT_FILE", str(made.authority))
        post(bench, system_clock() + DAY_US, **{**how, "smtp_password": "wrong"})
        assert "user name or password" in bench.shown(job)["mail"]["message"]
        post(bench, system_clock() + 2 * DAY_US, **how)
        (taken,) = server.taken
        assert (taken.secure, taken.user) == (True, "u")


def test_no_mail_goes_in_the_clear_where_tls_is_wanted(bench: Bench, mails: MailServer) -> None:
    job = bench.made(email=ANN)
    post(bench, smtp_security="starttls")
    assert mails.taken == []
    assert "STARTTLS" in bench.shown(job)["mail"]["message"]
