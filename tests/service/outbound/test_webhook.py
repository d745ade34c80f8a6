"""Webhooks through the API, sent by the runner's task to a real server of this machine."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from service.outbound.webhook import PAUSES_SECONDS
from service.outbound.webhook_task import DEAD_DAYS, DELIVERED_DAYS, Deliverer
from service.settings import load
from storage.catalog.derived.records import DeliveryState
from tests.service.whole import Whole
from tests.support.web import WebServer, web_server

SECOND_US = 1_000_000
DAY_US = 86_400 * SECOND_US
NOW_US = 1_800_000_000 * SECOND_US


class Site:
    """An Acumen with the webhook ``chat`` at a server, and the task that sends."""

    def __init__(self, whole: Whole, web: WebServer) -> None:
        self.whole, self.web = whole, web
        self.deliverer = Deliverer(whole.tools, lambda host, port: ["127.0.0.1"])
        self.secret = self.put("chat", "/in/S3CRET?token=S3CRET")["secret"]

    def put(self, name: str, path: str, host: str = "hooks.test", **more: Any) -> Any:
        url = f"http://{host}:{self.web.port}{path}"
        return self.told("PUT", f"webhooks/{name}", {"url": url, **more})

    def told(self, method: str, path: str, body: Any = None, **query: Any) -> Any:
        return self.whole.told(self.whole.project, method, path, body, **query)

    def call(self, method: str, path: str, body: Any = None, **more: Any) -> Any:
        return self.whole.call(self.whole.project, method, path, body, **more)

    def test(self, name: str = "chat") -> str:
        return str(self.told("POST", f"webhooks/{name}/test")["id"])

    def run(self) -> bool:
        return self.deliverer.run_due(self.whole.now_us)

    def listed(self, name: str = "chat", **query: str) -> Any:
        return self.told("GET", f"webhooks/{name}/deliveries", **query)["deliveries"]


@pytest.fixture
def site(tmp_path: Path) -> Iterator[Site]:
    with web_server() as web:
        whole = Whole(
            tmp_path / "data",
            NOW_US,
            outbound_hosts="hooks.test:*,other.test:*",
            outbound_networks="127.0.0.1",
            outbound_http=True,
            outbound_read_seconds=0.3,
            outbound_seconds=2.0,
        )
        web.replies["/in/S3CRET"] = (204, {}, b"")
        yield Site(whole, web)
        whole.close()


def verifier() -> Any:
    """The function of the documentation."""
    text = (Path(__file__).parents[3] / "docs" / "webhooks.md").read_text()
    found = re.search(r"```python\n(.*?)```", text, re.DOTALL)
    assert found is not None
    names: dict[str, Any] = {}
    exec(found[1], names)
    return names


def test_what_is_sent_is_signed_as_the_document_says(site: Site, monkeypatch: pytest.MonkeyPatch) -> None:
    delivery = site.test()
    assert site.run()
    [asked] = site.web.asked
    assert (asked.method, asked.headers["idempotency-key"]) == ("POST", delivery)
    assert asked.headers["content-type"] == "application/json"
    assert json.loads(asked.body) == {
        "type": "test",
        "project_id": site.whole.project.id,
        "created_date": "2027-01-15T08:00:00.000Z",
        "data": {"webhook": "chat"},
    }
    names = verifier()
    monkeypatch.setattr(names["time"], "time", lambda: NOW_US / SECOND_US + 100)
    genuine, header = names["is_genuine"], asked.headers["acumen-signature"]
    assert genuine(site.secret, header, asked.body)
    assert not genuine(site.secret, header, asked.body + b" ")
    assert not genuine("whsec_other", header, asked.body)
    assert not genuine(site.secret, header.replace("t=18", "t=17"), asked.body)
    assert not genuine(site.secret, "", asked.body)
    monkeypatch.setattr(names["time"], "time", lambda: NOW_US / SECOND_US + 301)
    assert not genuine(site.secret, header, asked.body)
    [kept] = site.listed()
    assert (kept["state"], kept["status"], kept["attempts"]) == ("delivered", 204, 1)
    assert not site.run()


def test_it_is_sent_again_with_the_same_key_until_it_arrives(site: Site) -> None:
    delivery = site.test()
    for attempt, status in enumerate((500, 503, 429, 408), 1):
        site.web.replies["/in/S3CRET"] = (status, {}, b"")
        assert site.run()
        assert not site.run(), "not before the pause is over"
        [kept] = site.listed()
        assert (kept["state"], kept["status"], kept["attempts"]) == ("waiting", status, attempt)
        site.whole.now_us += PAUSES_SECONDS[attempt - 1] * SECOND_US
    site.web.replies["/in/S3CRET"] = (200, {}, b"x" * 100_000)
    assert site.run()
    assert site.listed()[0]["state"] == "delivered"
    assert {one.headers["idempotency-key"] for one in site.web.asked} == {delivery}
    signatures = {one.headers["acumen-signature"] for one in site.web.asked}
    assert len(signatures) == 5, "the time is of the attempt"


@pytest.mark.parametrize(
    ("retry_after", "seconds"),
    [
        ("120", 120),
        ("1", PAUSES_SECONDS[0]),
        ("999999999", 86_400),
        ("Fri, 15 Jan 2027 08:02:00 GMT", 120),
        ("soon", PAUSES_SECONDS[0]),
        ("-5", PAUSES_SECONDS[0]),
    ],
)
def test_retry_after_is_heeded(site: Site, retry_after: str, seconds: int) -> None:
    site.web.replies["/in/S3CRET"] = (429, {"retry-after": retry_after}, b"")
    site.test()
    site.run()
    site.whole.now_us = NOW_US + seconds * SECOND_US - 1
    assert not site.run()
    site.whole.now_us += 1
    assert site.run()
    assert len(site.web.asked) == 2


@pytest.mark.parametrize("status", [301, 307, 400, 401, 404, 410, 413])
def test_what_nobody_wants_is_given_up_at_once_and_can_be_replayed(site: Site, status: int) -> None:
    site.web.replies["/in/S3CRET"] = (status, {"location": "/elsewhere"}, b"S3CRET")
    delivery = site.test()
    site.run()
    [dead] = site.listed(state="dead")
    assert (dead["id"], dead["status"], dead["next_attempt_date"]) == (delivery, status, None)
    assert str(status) in dead["message"]
    assert "S3CRET" not in json.dumps(dead)
    assert {one.path.partition("?")[0] for one in site.web.asked} == {"/in/S3CRET"}
    site.web.replies["/in/S3CRET"] = (200, {}, b"")
    replayed = site.told("POST", f"webhooks/chat/deliveries/{delivery}/replay")
    assert (replayed["state"], replayed["attempts"]) == ("waiting", 0)
    assert site.told("POST", f"webhooks/chat/deliveries/{delivery}/replay")["state"] == "waiting"
    site.run()
    assert site.listed(state="dead") == []
    assert [one.headers["idempotency-key"] for one in site.web.asked] == [delivery, delivery]


def test_it_is_given_up_after_the_last_attempt(site: Site) -> None:
    site.web.replies["/in/S3CRET"] = (500, {}, b"")
    site.test()
    for pause in (*PAUSES_SECONDS, 0):
        assert site.run()
        site.whole.now_us += pause * SECOND_US
    [dead] = site.listed()
    assert (dead["state"], dead["attempts"]) == ("dead", len(PAUSES_SECONDS) + 1)
    assert dead["message"].startswith("Given up after 9 attempts.")


def test_who_does_not_answer_holds_up_no_other(site: Site) -> None:
    site.put("slow", "/slow", "other.test")
    site.put("closed", "/", "other.test")
    site.web.raw["/slow"] = lambda write: site.web.stopped.wait(10)
    site.web.raw["/"] = lambda write: None
    for name in ("slow", "closed", "chat"):
        site.test(name)
    assert site.run()
    assert site.listed("chat")[0]["state"] == "delivered"
    for name in ("slow", "closed"):
        [kept] = site.listed(name)
        assert (kept["state"], kept["status"]) == ("waiting", None)
        assert kept["message"].startswith(("http://other.test", "The connection to http://other.test"))


def test_one_webhook_gets_its_notices_in_their_order(site: Site) -> None:
    sent = [site.test() for _ in range(3)]
    while site.run():
        site.whole.now_us += 1
    assert [one.headers["idempotency-key"] for one in site.web.asked] == sent
    assert [one["id"] for one in site.listed(limit="2")] == sent[:0:-1]
    assert [one["id"] for one in site.listed(before=str(site.listed()[0]["number"]))] == sent[1::-1]


def test_a_delivery_that_was_begun_is_made_again_after_a_crash(site: Site) -> None:
    delivery = site.test()
    webhooks = site.whole.catalog.webhooks
    [(_, claimed)] = webhooks.claim(site.whole.now_us, site.whole.now_us + 12 * SECOND_US, 10)
    assert not site.run()
    site.whole.now_us += 12 * SECOND_US
    assert site.run()
    [asked] = site.web.asked
    assert asked.headers["idempotency-key"] == delivery
    # Who comes back late with what became of the first attempt changes nothing.
    webhooks.note(claimed, DeliveryState.DEAD, site.whole.now_us, 500, "late")
    assert site.listed()[0]["state"] == "delivered"


def test_what_the_policy_does_not_let_out_any_more_is_given_up(site: Site) -> None:
    settings = load(data=site.whole.settings.data)
    site.deliverer = Deliverer(site.whole.tools_with(settings), lambda host, port: ["127.0.0.1"])
    site.test()
    site.run()
    [dead] = site.listed()
    assert (dead["state"], dead["status"]) == ("dead", None)
    assert "ACUMEN_OUTBOUND_HTTP" in dead["message"]
    assert site.web.asked == []


def test_ended_deliveries_go_after_a_while(site: Site) -> None:
    site.test()
    site.run()
    site.web.replies["/in/S3CRET"] = (400, {}, b"")
    site.test()
    site.run()
    for days, left in ((DELIVERED_DAYS - 1, 2), (DELIVERED_DAYS + 1, 1), (DEAD_DAYS + 1, 0)):
        site.whole.now_us = NOW_US + days * DAY_US
        Deliverer(site.whole.tools).run_due(site.whole.now_us)
        assert len(site.listed()) == left


def test_urls_and_secrets_are_not_shown_again(site: Site, caplog: pytest.LogCaptureFixture) -> None:
    origin = f"http://hooks.test:{site.web.port}"
    [shown] = site.told("GET", "webhooks")
    assert (shown["name"], shown["origin"], shown.get("secret")) == ("chat", origin, None)
    again = site.put("chat", "/in/S3CRET")
    assert "secret" not in again
    assert site.put("chat", "/in/S3CRET", renew_secret=True)["secret"] != site.secret
    site.web.replies["/in/S3CRET"] = (500, {}, b"")
    site.test()
    site.run()
    assert "S3CRET" not in caplog.text + json.dumps([site.told("GET", "webhooks/chat"), site.listed()])
    stored = b"".join(path.read_bytes() for path in site.whole.folder.root.glob("catalog.sqlite*"))
    assert b"in/S3CRET" not in stored


@pytest.mark.parametrize(
    ("url", "status", "says"),
    [
        ("https://evil.test/", 403, "ACUMEN_OUTBOUND_HOSTS"),
        ("https://hooks.test.evil.test:1/", 403, "ACUMEN_OUTBOUND_HOSTS"),
        ("ftp://hooks.test/", 400, "https://"),
        ("hooks", 400, "https://"),
        ("https:///x", 400, "host"),
        ("https://ann:S3CRET@evil.test/S3CRET", 403, "evil.test"),
        ("", 400, "url"),
    ],
)
def test_a_url_that_is_not_let_out_is_not_kept(site: Site, url: str, status: int, says: str) -> None:
    reply = site.call("PUT", "webhooks/x", {"url": url})
    assert reply.status_code == status
    assert says in reply.json()["message"]
    assert "S3CRET" not in reply.text
    assert site.call("GET", "webhooks/x").status_code == 404


def test_a_webhook_that_is_deleted_gets_nothing_more(site: Site) -> None:
    site.test()
    site.told("DELETE", "webhooks/chat")
    assert not site.run()
    assert site.web.asked == []
    site.put("chat", "/in/S3CRET")
    assert site.listed() == []


def test_projects_do_not_see_each_others_webhooks(site: Site) -> None:
    delivery = site.test()
    other = site.whole.new_project()
    assert site.whole.told(other, "GET", "webhooks") == []
    for method, path in (
        ("GET", "webhooks/chat"),
        ("POST", "webhooks/chat/test"),
        ("GET", "webhooks/chat/deliveries"),
        ("POST", f"webhooks/chat/deliveries/{delivery}/replay"),
        ("DELETE", "webhooks/chat"),
    ):
        assert site.whole.call(other, method, path).status_code == 404
        for key in (site.whole.project.read_key, site.whole.project.write_key):
            assert site.call(method, path, key=key).status_code in (401, 403)
