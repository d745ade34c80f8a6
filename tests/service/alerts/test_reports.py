"""Scheduled reports through the API, made by the runner's task, mailed to a real server of this machine."""

from __future__ import annotations

import json
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from email.message import EmailMessage
from pathlib import Path
from typing import Any

import pytest

from service.alerts.report_task import PAUSES_SECONDS, Reporter
from tests.service.alerts.telling_site import TellingSite
from tests.support.smtp import MailServer, mail_server
from tests.support.web import WebServer, web_server

NOW = datetime(2027, 1, 15, 12, 34, tzinfo=UTC)
"""A Friday."""
DAY = timedelta(days=1)
PNG_HEAD = b"\x89PNG\r\n\x1a\n"
BY_COUNTRY = {
    "analysis_type": "count",
    "event_collection": "orders",
    "group_by": "country",
    "timeframe": "previous_7_days",
}
WIDGETS = [
    {"id": "saved", "title": "Countries", "query": "countries", "type": "bar"},
    {"id": "own", "query": {**BY_COUNTRY, "group_by": None}},
    {"id": "text", "type": "text", "content": "# Hello"},
]


class Site(TellingSite):
    """An Acumen with a dashboard of a saved query and a question of its own, stepped by hand."""

    def __init__(self, data: Path, web: WebServer, mails: MailServer) -> None:
        super().__init__(data, us(NOW), web, mails)
        for country, number in (("de", 3), ("fr", 2), ("S3CRET", 1)):
            event = {"keen": {"timestamp": (NOW - DAY).isoformat()}, "country": country}
            self.whole.record(self.whole.project, "orders", [event] * number)
        self.told("PUT", "queries/saved/countries", {"query": BY_COUNTRY})
        self.board("PUT", {"title": "Sales", "widgets": WIDGETS})
        self.reporter = Reporter(self.whole.tools)

    def board(self, method: str, document: Any = None) -> None:
        project = self.whole.project
        address = f"/projects/{project.id}/dashboards/sales"
        reply = self.whole.send(method, address, document, {"authorization": project.master_key})
        assert reply.status_code < 300, reply.text

    def put(self, name: str = "r", **changes: Any) -> Any:
        return self.told("PUT", f"reports/{name}", {**BODY, **changes})

    def at(self, moment: datetime) -> None:
        """Everything that is due at this time."""
        self.whole.now_us = us(moment)
        while self.reporter.run_due(self.whole.now_us):
            pass
        while self.deliverer.run_due(self.whole.now_us):
            pass

    def runs(self, name: str = "r") -> list[Any]:
        found: list[Any] = self.told("GET", f"reports/{name}/history")["runs"]
        return found


BODY: dict[str, Any] = {
    "dashboard": "sales",
    "schedule": {"every": "daily", "at": "08:00", "timezone": "Europe/Berlin"},
    "notify": [{"email": "ann@example.com"}],
}


def us(moment: datetime) -> int:
    return int(moment.timestamp()) * 1_000_000


def pictures(mail: EmailMessage) -> list[bytes]:
    found = [part.get_payload(decode=True) for part in mail.walk() if part.get_content_type() == "image/png"]
    assert all(isinstance(one, bytes) and one.startswith(PNG_HEAD) for one in found)
    return found  # type: ignore[return-value]


@pytest.fixture
def site(tmp_path: Path) -> Iterator[Site]:
    with web_server() as web, mail_server() as mails:
        made = Site(tmp_path / "data", web, mails)
        yield made
        made.whole.close()


@pytest.mark.parametrize(
    ("schedule", "first", "second"),
    [
        ({"every": "daily"}, "2027-01-16T08:00:00", "2027-01-17T08:00:00"),
        ({"every": "daily", "at": "20:15"}, "2027-01-15T20:15:00", "2027-01-16T20:15:00"),
        (
            {"every": "daily", "at": "08:00", "timezone": "Europe/Berlin"},
            "2027-01-16T07:00:00",
            "2027-01-17T07:00:00",
        ),
        ({"every": "weekly"}, "2027-01-17T08:00:00", "2027-01-24T08:00:00"),
        ({"every": "monthly", "at": "00:00"}, "2027-02-01T00:00:00", "2027-03-01T00:00:00"),
    ],
)
def test_a_report_is_due_at_its_local_time(
    site: Site, schedule: dict[str, str], first: str, second: str
) -> None:
    site.put(schedule=schedule, notify=[])
    for expected in (first, second):
        shown = site.told("GET", "reports/r")["next_run_date"]
        assert shown == f"{expected}.000000+00:00"
        due = datetime.fromisoformat(shown)
        before = len(site.runs())
        site.at(due - timedelta(seconds=1))
        assert len(site.runs()) == before
        site.at(due)
        assert len(site.runs()) == before + 1


def test_a_report_is_mailed_with_its_charts_as_pictures(site: Site) -> None:
    site.put(notify=[{"email": "ann@example.com"}, {"email": "bob@example.com"}, {"webhook": "chat"}])
    site.at(NOW + DAY)
    assert [one.recipients for one in site.mails.taken] == [["ann@example.com"], ["bob@example.com"]]
    mail = site.mails.taken[0].mail
    assert mail["Subject"] == "Report r"
    assert len(pictures(mail)) == 2
    url = f"https://acumen.example.com/app/{site.whole.project.id}/dashboards/sales"
    for kind in ("plain", "html"):
        body = mail.get_body((kind,))
        assert body is not None
        assert url in body.get_content()
    [asked] = site.web.asked
    sent = json.loads(asked.body)
    assert (sent["type"], sent["data"]["url"]) == ("report.ready", url)
    [run] = site.runs()
    assert (run["state"], run["pictures"], run["recipients_left"], run["attempts"]) == ("sent", 2, 0, 1)
    site.at(NOW + 6 * DAY)
    assert len(site.runs()) == 2, "of those that were missed there is one"


def test_a_test_is_made_at_once(site: Site) -> None:
    site.put(notify=[{"email": "ann@example.com"}, {"webhook": "chat"}])
    told = site.told("POST", "reports/r/test")
    assert told == {"emails": 1, "webhooks": 1, "missing_webhooks": []}
    site.at(NOW)
    assert site.mails.taken[0].mail["Subject"] == "Test: Report r"
    assert json.loads(site.web.asked[0].body)["type"] == "report.test"
    assert site.runs()[0]["is_test"] is True


def test_whom_it_could_not_be_sent_to_gets_it_later_and_nobody_twice(site: Site) -> None:
    site.put(notify=[{"email": "ann@example.com"}, {"email": "bob@example.com"}])
    site.mails.answers["RCPT"] = "451 later"
    site.told("POST", "reports/r/test")
    site.at(NOW)
    [run] = site.runs()
    assert (run["state"], run["recipients_left"]) == ("waiting", 2)
    site.mails.answers.clear()
    moment = NOW + timedelta(seconds=PAUSES_SECONDS[0])
    site.at(moment)
    assert [one.recipients[0] for one in site.mails.taken] == ["ann@example.com", "bob@example.com"]
    assert site.runs()[0]["state"] == "sent"


def test_it_is_given_up_in_the_end(site: Site) -> None:
    site.put()
    site.mails.answers["RCPT"] = "451 later"
    site.told("POST", "reports/r/test")
    moment = NOW
    for pause in (*PAUSES_SECONDS, 0):
        site.at(moment)
        moment += timedelta(seconds=pause)
    [run] = [one for one in site.runs() if one["is_test"]]
    assert (run["state"], run["attempts"]) == ("failed", len(PAUSES_SECONDS) + 1)
    assert "recipient" in run["message"]


def test_tiles_that_cannot_be_drawn_are_said(site: Site) -> None:
    widgets = [
        {"id": "gone", "query": "gone"},
        {"id": "raw", "query": {"analysis_type": "extraction", "event_collection": "orders"}},
        {"id": "wrong", "query": {"analysis_type": "sum", "event_collection": "orders"}},
        *WIDGETS,
    ]
    site.board("PUT", {"widgets": widgets})
    site.put()
    site.at(NOW + DAY)
    mail = site.mails.taken[0].mail
    assert len(pictures(mail)) == 2
    text = mail.get_body(("plain",))
    assert text is not None
    said = text.get_content()
    assert "Chart 1: Its saved query is gone." in said
    assert "Chart 2: Events themselves are not sent in reports." in said
    assert "Chart 3: It cannot be answered or drawn (" in said


def test_a_report_shows_what_its_key_sees_and_no_more(site: Site) -> None:
    filters = [{"property_name": "country", "operator": "eq", "property_value": "de"}]
    options = {"queries": {"filters": filters}, "saved_queries": {"filters": filters}}
    permitted = ["queries", "saved_queries"]
    body = {"name": "de", "permitted": permitted, "options": options, "is_active": True}
    made = site.told("POST", "keys", body)
    site.put("german", access_key=made["public_id"])
    site.put("whole")
    site.at(NOW + DAY)
    mails = {str(one.mail["Subject"]): one for one in site.mails.taken}
    german, whole = (pictures(mails[f"Report {name}"].mail) for name in ("german", "whole"))
    assert german[0] != whole[0]
    assert german[1] != whole[1]
    asked = {"title": "Countries", "type": "bar"}
    for key, expected in ((made["key"], german[0]), (site.whole.project.read_key, whole[0])):
        drawn = site.call("GET", "queries/saved/countries/result.png", key=key, **asked)
        assert drawn.content == expected
    for taken in site.mails.taken:
        assert b"S3CRET" not in taken.data


def test_a_key_that_may_not_ask_shows_nothing(site: Site) -> None:
    body = {"name": "few", "permitted": ["schema"], "options": {}, "is_active": True}
    made = site.told("POST", "keys", body)
    site.put(access_key=made["public_id"])
    site.at(NOW + DAY)
    assert pictures(site.mails.taken[0].mail) == []
    site.told("POST", f"keys/{made['key']}/revoke")
    site.at(NOW + 2 * DAY)
    assert len(site.mails.taken) == 1
    assert (site.runs()[0]["state"], site.runs()[0]["message"]) == (
        "failed",
        "The access key is gone, or revoked.",
    )


def test_a_dashboard_that_is_gone_ends_the_run(site: Site) -> None:
    site.put()
    site.board("DELETE")
    site.at(NOW + DAY)
    assert site.runs()[0]["message"] == "The dashboard of the report is gone."
    assert site.mails.taken == []


def test_an_inactive_report_rests(site: Site) -> None:
    assert site.put(is_active=False)["next_run_date"] is None
    site.at(NOW + 3 * DAY)
    assert site.runs() == []
    shown = site.put(display_name="Sales", theme="dark", locale="de")
    assert site.told("PUT", "reports/r", shown) | {"last_modified_date": ""} == shown | {
        "last_modified_date": ""
    }
    assert [one["name"] for one in site.told("GET", "reports")] == ["r"]


@pytest.mark.parametrize(
    ("changes", "status", "names"),
    [
        ({"dashboard": "none"}, 400, "dashboard"),
        ({"dashboard": None}, 400, "dashboard"),
        ({"schedule": None}, 400, "schedule"),
        ({"schedule": "daily"}, 400, "schedule"),
        ({"schedule": {"every": "hourly"}}, 400, "schedule.every"),
        ({"schedule": {"every": ["daily"]}}, 400, "schedule.every"),
        ({"schedule": {"every": "daily", "at": "24:00"}}, 400, "schedule.at"),
        ({"schedule": {"every": "daily", "timezone": "Mars"}}, 400, "timezone"),
        ({"schedule": {"every": "daily", "day": 1}}, 400, "day"),
        ({"notify": [{"email": "eve@evil.test"}]}, 403, "email"),
        ({"notify": [{"webhook": "none"}]}, 400, "notify[0].webhook"),
        ({"access_key": "none"}, 400, "access_key"),
        ({"theme": "pink"}, 400, "theme"),
        ({"locale": "../x"}, 400, "locale"),
        ({"recipients": []}, 400, "recipients"),
    ],
)
def test_what_is_no_report_is_refused(site: Site, changes: Any, status: int, names: str) -> None:
    reply = site.call("PUT", "reports/x", {**BODY, **changes})
    assert reply.status_code == status, reply.text
    assert names in reply.json()["message"]
    assert site.call("GET", "reports/x").status_code == 404


def test_reports_are_for_those_who_may_edit_the_project(site: Site) -> None:
    site.put()
    other = site.whole.new_project()
    assert site.whole.told(other, "GET", "reports") == []
    for method, path in (
        ("GET", "reports"),
        ("GET", "reports/r"),
        ("GET", "reports/r/history"),
        ("POST", "reports/r/test"),
        ("DELETE", "reports/r"),
    ):
        for key in (site.whole.project.read_key, site.whole.project.write_key):
            assert site.call(method, path, key=key).status_code in (401, 403)
        if path != "reports":
            assert site.whole.call(other, method, path).status_code == 404
    assert site.whole.call(other, "PUT", "reports/r", BODY).status_code == 400
