"""Alerts through the API, evaluated and told by the runner's tasks, against real servers of this machine."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from service.alerts.alert_task import AlertWatch
from service.alerts.notice_mail_task import NoticeMailer
from tests.service.alerts.telling_site import TellingSite
from tests.support.smtp import MailServer, mail_server
from tests.support.web import WebServer, web_server

NOW = datetime(2027, 1, 15, 12, 34, tzinfo=UTC)
HOUR = timedelta(hours=1)
COUNT = {"analysis_type": "count", "event_collection": "orders"}


class Site(TellingSite):
    """An Acumen with a webhook and a mail server, stepped by hand."""

    def __init__(self, data: Path, web: WebServer, mails: MailServer) -> None:
        super().__init__(data, us(NOW), web, mails)
        self.watch = AlertWatch(self.whole.tools)
        self.mailer = NoticeMailer(self.whole.tools)

    def put(self, name: str = "a", **changes: Any) -> Any:
        definition = {
            "query": COUNT,
            "interval": "hourly",
            "condition": {"above": 2},
            "notify": [{"webhook": "chat"}],
            "wait": {"seconds": 0},
            **changes,
        }
        kept = {key: value for key, value in definition.items() if value is not None}
        return self.told("PUT", f"alerts/{name}", kept)

    def record(self, at: datetime, number: int = 1, **properties: Any) -> None:
        event = {"keen": {"timestamp": at.isoformat()}, **properties}
        self.whole.record(self.whole.project, "orders", [event] * number)

    def at(self, moment: datetime) -> None:
        """Everything that is due at this time."""
        self.whole.now_us = us(moment)
        while self.watch.run_due(self.whole.now_us):
            pass
        while self.deliverer.run_due(self.whole.now_us):
            pass
        while self.mailer.run_due(self.whole.now_us):
            pass

    def state(self, name: str = "a") -> str:
        return str(self.told("GET", f"alerts/{name}")["state"])

    def history(self, name: str = "a", **more: Any) -> list[Any]:
        found: list[Any] = self.told("GET", f"alerts/{name}/history", **more)["evaluations"]
        return found

    @property
    def sent(self) -> list[Any]:
        return [json.loads(one.body) for one in self.web.asked]

    @property
    def kinds(self) -> list[str]:
        return [one["type"] for one in self.sent]


def us(moment: datetime) -> int:
    return int(moment.timestamp()) * 1_000_000


@pytest.fixture
def site(tmp_path: Path) -> Iterator[Site]:
    with web_server() as web, mail_server() as mails:
        made = Site(tmp_path / "data", web, mails)
        yield made
        made.whole.close()


def test_a_change_of_state_is_told_once_and_its_end_too(site: Site) -> None:
    site.record(NOW - HOUR, 3)
    assert site.put()["state"] == "ok"
    site.at(NOW)
    assert site.state() == "firing"
    [sent] = site.sent
    assert sent["type"] == "alert.firing"
    assert sent["data"] == {
        "alert": "a",
        "display_name": None,
        "state": "firing",
        "previous_state": "ok",
        "value": 3,
        "reference": None,
        "condition": {"above": 2},
        "timeframe": {"start": "2027-01-15T11:00:00.000000+00:00", "end": "2027-01-15T12:00:00.000000+00:00"},
        "complete": True,
        "message": "The value is 3, above 2.",
        "url": f"https://acumen.example.com/3.0/projects/{site.whole.project.id}/alerts/a",
    }
    site.record(NOW, 4)
    site.at(NOW + HOUR)
    assert site.kinds == ["alert.firing"]
    site.at(NOW + 2 * HOUR)
    assert site.kinds == ["alert.firing", "alert.ok"]
    found = site.history()
    assert [(one["value"], one["state"], one["notified"]) for one in found] == [
        (0, "ok", True),
        (4, "firing", False),
        (3, "firing", True),
    ]
    assert site.history(limit="1", before=str(found[0]["number"])) == found[1:2]


def test_an_alert_that_was_always_well_tells_nobody(site: Site) -> None:
    site.put()
    for hours in range(3):
        site.at(NOW + hours * HOUR)
    assert site.state() == "ok"
    assert site.sent == []
    assert len(site.history()) == 3


def test_each_interval_is_evaluated_once(site: Site) -> None:
    site.put()
    for minutes in range(5):
        site.at(NOW + timedelta(minutes=minutes))
    assert len(site.history()) == 1
    # After a while without a server the last interval alone.
    site.at(NOW + 10 * HOUR)
    assert [one["timeframe"]["end"][11:16] for one in site.history()] == ["22:00", "12:00"]


def test_mails_are_sent_to_whom_the_operator_allows(site: Site) -> None:
    site.record(NOW - HOUR, 3)
    site.put(notify=[{"email": "ann@example.com"}, {"webhook": "chat"}], display_name="http://evil.test")
    site.at(NOW)
    [taken] = site.mails.taken
    assert taken.recipients == ["ann@example.com"]
    assert taken.mail["Subject"] == "Alert a is firing"
    text = taken.mail.get_content()
    assert "The value is 3, above 2." in text
    assert "evil" not in taken.data.decode()
    assert len(site.sent) == 1
    for email, status in (("eve@evil.test", 403), ("ann@example.com\r\nbcc: x@example.com", 400), (5, 400)):
        reply = site.call("PUT", "alerts/b", {**BODY, "notify": [{"email": email}]})
        assert reply.status_code == status, reply.text


BODY = {"query": COUNT, "interval": "hourly", "condition": {"above": 2}}


def test_a_mail_that_cannot_be_sent_is_tried_again(site: Site) -> None:
    site.record(NOW - HOUR, 3)
    site.put(notify=[{"email": "ann@example.com"}])
    site.mails.answers["RCPT"] = "451 later"
    site.at(NOW)
    assert site.mails.taken == []
    site.mails.answers.clear()
    site.at(NOW + timedelta(minutes=1))
    assert len(site.mails.taken) == 1


def test_reminders(site: Site) -> None:
    site.record(NOW - HOUR, 3)
    site.put(remind_hours=2)
    for hours in range(5):
        site.record(NOW + hours * HOUR, 3)
        site.at(NOW + hours * HOUR)
    assert site.kinds == ["alert.firing", "alert.reminder", "alert.reminder"]


def test_a_silence_holds_notices_back_until_it_is_over(site: Site) -> None:
    site.record(NOW - HOUR, 3)
    site.put()
    silenced = site.told("PUT", "alerts/a/silence", {"seconds": 5_400})
    assert silenced["silenced_until"] == "2027-01-15T14:04:00.000000+00:00"
    site.at(NOW)
    assert site.state() == "silenced"
    site.record(NOW, 3)
    site.at(NOW + HOUR)
    assert site.sent == []
    site.record(NOW + HOUR, 3)
    site.at(NOW + 2 * HOUR)
    assert (site.state(), site.kinds) == ("firing", ["alert.firing"])
    site.told("PUT", "alerts/a/silence", {"until": "2027-02-01T00:00:00Z"})
    assert site.state() == "silenced"
    site.told("DELETE", "alerts/a/silence")
    assert site.state() == "firing"
    for wrong in ({}, {"seconds": 0}, {"seconds": 60, "until": "2027-02-01T00:00:00Z"}, {"until": "soon"}):
        assert site.call("PUT", "alerts/a/silence", wrong).status_code == 400


def test_what_was_well_again_within_a_silence_is_never_told(site: Site) -> None:
    site.record(NOW - HOUR, 3)
    site.put()
    site.told("PUT", "alerts/a/silence", {"seconds": 5_000})
    for hours in range(4):
        site.at(NOW + hours * HOUR)
    assert site.sent == []


def test_no_data(site: Site) -> None:
    average = {"analysis_type": "average", "event_collection": "orders", "target_property": "price"}
    site.record(NOW - 5 * HOUR, price=1)
    site.put("a", query=average)
    site.put("b", query=average, no_data="ok")
    site.put("c", condition={"no_data": True})
    site.at(NOW)
    assert [site.state(name) for name in "abc"] == ["no_data", "ok", "no_data"]
    assert site.kinds == ["alert.no_data", "alert.no_data"]


def test_changes_and_anomalies_are_judged_by_earlier_intervals(site: Site) -> None:
    for weeks in range(1, 6):
        site.record(NOW - HOUR - timedelta(days=7 * weeks), 2 + weeks % 2)
    site.record(NOW - HOUR, 9)
    site.record(NOW - 2 * HOUR, 8)
    site.put("before", condition={"change": {"above": 20}})
    site.put("week", condition={"change": {"from": "same_weekday", "above": 20}})
    site.put("odd", condition={"anomaly": {"history": 5}})
    site.at(NOW)
    assert [site.state(name) for name in ("before", "week", "odd")] == ["ok", "firing", "firing"]
    assert site.history("before")[0]["reference"] == {"value": 8, "change": 12.5}
    assert site.history("week")[0]["reference"] == {"value": 3, "change": 200}
    assert site.history("odd")[0]["reference"]["median"] == 3


def test_a_saved_query_is_asked_about_the_interval(site: Site) -> None:
    saved = {**COUNT, "timeframe": "this_3_years", "interval": "daily", "filters": []}
    site.told("PUT", "queries/saved/orders", {"query": saved})
    site.record(NOW - HOUR, 3)
    site.put(query=None, saved_query="orders")
    site.at(NOW)
    assert (site.state(), site.history()[0]["value"]) == ("firing", 3)
    site.told("DELETE", "queries/saved/orders")
    site.at(NOW + HOUR)
    assert site.state() == "error"
    assert site.sent[-1]["type"] == "alert.error"
    assert "Its history" in site.sent[-1]["data"]["message"]
    assert "gone" in site.history()[0]["message"]


def floored(length: timedelta) -> datetime:
    """The beginning of the interval that the system's clock is in: events arrive by that clock."""
    seconds = int(length.total_seconds())
    return datetime.fromtimestamp(int(time.time()) // seconds * seconds, UTC)


def test_late_events_are_waited_for_until_they_are_there(site: Site) -> None:
    """The events of the four intervals before came up to 25 minutes after the beginning of theirs."""
    five = timedelta(minutes=5)
    base = floored(five)
    for number in range(1, 5):
        site.record(base - number * five + timedelta(minutes=1), 2)
    site.whole.now_us = us(base + five)
    site.put(interval="every_5_minutes", condition={"above": 2}, wait={"share": 0.9, "seconds": 7_200})
    site.at(base + five + timedelta(seconds=6))
    assert site.history() == []
    site.record(base + timedelta(minutes=1), 3)
    site.at(base + timedelta(minutes=26))
    first = site.history()[-1]
    assert (first["value"], first["state"], first["complete"]) == (3, "firing", True)
    assert first["timeframe"]["start"] == base.isoformat(timespec="microseconds")


def test_it_is_not_waited_longer_than_is_said(site: Site) -> None:
    base = floored(HOUR)
    for hours in range(2, 10):
        site.record(base - hours * HOUR + timedelta(minutes=1), 2)
    site.whole.now_us = us(base)
    site.put(condition={"below": 4}, wait={"seconds": 1_800})
    site.at(base + timedelta(minutes=20))
    assert site.history() == []
    site.at(base + timedelta(minutes=31))
    [found] = site.history()
    assert (found["state"], found["complete"]) == ("firing", False)
    assert site.sent[0]["data"]["complete"] is False


def test_every_interval_has_its_turn_though_others_have_ended_meanwhile(site: Site) -> None:
    five = timedelta(minutes=5)
    site.put(interval="every_5_minutes")
    site.at(NOW)
    first = NOW.replace(minute=30)
    for number in range(6):
        site.record(first + number * five, number)
        site.at(first + (number + 1) * five + timedelta(minutes=3))
    assert [one["value"] for one in site.history()] == [5, 4, 3, 2, 1, 0, 0]


def test_another_definition_begins_anew(site: Site) -> None:
    site.record(NOW - HOUR, 3)
    site.put()
    site.at(NOW)
    assert site.put()["state"] == "firing", "the same definition changes nothing"
    assert site.put(condition={"above": 5})["state"] == "ok"
    site.at(NOW)
    assert site.state() == "ok"
    assert site.kinds == ["alert.firing"]
    site.put(is_active=False)
    site.at(NOW + 5 * HOUR)
    assert len(site.history()) == 2
    assert site.told("GET", "alerts/a")["next_evaluation_date"] is None


def test_a_get_can_be_put(site: Site) -> None:
    site.put(remind_hours=5, display_name="Orders", timezone="Europe/Berlin")
    shown = site.told("GET", "alerts/a")
    assert site.told("PUT", "alerts/a", shown) == shown
    assert [one["name"] for one in site.told("GET", "alerts")] == ["a"]


def test_a_test_is_told_to_all(site: Site) -> None:
    site.put(notify=[{"email": "ann@example.com"}, {"webhook": "chat"}])
    told = site.told("POST", "alerts/a/test")
    assert told == {"emails": 1, "webhooks": 1, "missing_webhooks": []}
    site.at(NOW)
    assert site.kinds == ["alert.test"]
    assert site.mails.taken[0].mail["Subject"] == "Test: Alert a is over"
    site.told("DELETE", "webhooks/chat")
    assert site.told("POST", "alerts/a/test")["missing_webhooks"] == ["chat"]


def test_a_webhook_that_is_gone_keeps_no_state_from_changing(site: Site) -> None:
    site.record(NOW - HOUR, 3)
    site.put()
    site.told("DELETE", "webhooks/chat")
    site.at(NOW)
    assert site.state() == "firing"


@pytest.mark.parametrize(
    ("changes", "names"),
    [
        ({"query": None}, "query"),
        ({"saved_query": "x"}, "query"),
        ({"query": None, "saved_query": "none"}, "saved_query"),
        ({"query": {**COUNT, "timeframe": "this_1_days"}}, "query.timeframe"),
        ({"query": {**COUNT, "group_by": "x"}}, "query.group_by"),
        ({"query": {**COUNT, "analysis_type": "extraction"}}, "query.analysis_type"),
        ({"query": {"analysis_type": "count"}}, "event_collection"),
        ({"query": {**COUNT, "colour": 1}}, "colour"),
        ({"interval": "yearly"}, "interval"),
        ({"interval": None}, "interval"),
        ({"interval": ["hourly"]}, "interval"),
        ({"condition": None}, "condition"),
        ({"timezone": "Mars"}, "timezone"),
        ({"wait": {"share": 2}}, "wait.share"),
        ({"wait": {"seconds": -1}}, "wait.seconds"),
        ({"wait": {"seconds": 10**9}}, "wait.seconds"),
        ({"wait": []}, "wait"),
        ({"no_data": "what"}, "no_data"),
        ({"notify": [{"webhook": "none"}]}, "notify[0].webhook"),
        ({"notify": [{"webhook": ["chat"]}]}, "notify[0].webhook"),
        ({"notify": [{}]}, "notify[0]"),
        ({"notify": [{"webhook": "chat"}] * 11}, "notify"),
        ({"remind_hours": 0}, "remind_hours"),
        ({"access_key": "none"}, "access_key"),
        ({"display_name": 5}, "display_name"),
        ({"intervall": "hourly"}, "intervall"),
    ],
)
def test_what_is_no_alert_is_refused(site: Site, changes: dict[str, Any], names: str) -> None:
    body = {key: value for key, value in {**BODY, **changes}.items() if value is not None}
    reply = site.call("PUT", "alerts/x", body)
    assert reply.status_code == 400, reply.text
    assert names in reply.json()["message"]
    assert site.call("GET", "alerts/x").status_code == 404


# What a key may see


def key_of(site: Site, country: str, **more: Any) -> tuple[str, str]:
    """An access key that sees the orders of one country, and its public id."""
    filters = [{"property_name": "country", "operator": "eq", "property_value": country}]
    options = {"queries": {"filters": filters}, "saved_queries": {"filters": filters}}
    permitted = ["queries", "saved_queries"]
    body = {"name": country, "permitted": permitted, "options": options, "is_active": True, **more}
    made = site.told("POST", "keys", body)
    return made["key"], made["public_id"]


def test_an_alert_is_asked_under_the_filters_of_its_key(site: Site) -> None:
    site.record(NOW - HOUR, 3, country="de")
    site.record(NOW - HOUR, 40, country="fr")
    german, german_id = key_of(site, "de")
    french, french_id = key_of(site, "fr")
    site.told("PUT", "queries/saved/orders", {"query": {**COUNT, "timeframe": "this_1_days"}})
    site.put("mine", access_key=german_id)
    site.put("saved", access_key=german_id, query=None, saved_query="orders")
    site.put("other", access_key=french_id)
    site.put("whole")
    site.at(NOW)
    values = {one["data"]["alert"]: one["data"]["value"] for one in site.sent}
    assert values == {"mine": 3, "saved": 3, "other": 40, "whole": 43}
    shown = site.told("GET", "alerts", key=german)
    assert [one["name"] for one in shown] == ["mine", "saved"]
    assert all("notify" not in one and one["state"] == "firing" for one in shown)
    assert [one["value"] for one in site.history("mine", key=german)] == [3]
    for name in ("other", "whole", "none"):
        for path in (f"alerts/{name}", f"alerts/{name}/history"):
            reply = site.call("GET", path, key=german)
            assert reply.status_code == 404
    assert [one["name"] for one in site.told("GET", "alerts", key=french)] == ["other"]
    for method, path in (
        ("PUT", "alerts/mine"),
        ("DELETE", "alerts/mine"),
        ("POST", "alerts/mine/test"),
        ("PUT", "alerts/mine/silence"),
        ("DELETE", "alerts/mine/silence"),
    ):
        assert site.call(method, path, BODY if method == "PUT" else None, key=german).status_code == 401


def test_what_was_found_under_wider_filters_is_not_shown_under_narrower_ones(site: Site) -> None:
    site.record(NOW - HOUR, 3, country="de")
    key, public_id = key_of(site, "de")
    site.put(access_key=public_id)
    site.at(NOW)
    narrower = [{"property_name": "country", "operator": "eq", "property_value": "at"}]
    options = {"queries": {"filters": narrower}, "saved_queries": {"filters": narrower}}
    body = {"name": "k", "permitted": ["queries", "saved_queries"], "options": options, "is_active": True}
    site.told("POST", f"keys/{key}", body)
    assert site.history(key=key) == []
    assert site.told("GET", "alerts/a", key=key)["state"] is None
    site.at(NOW + HOUR)
    assert [one["value"] for one in site.history(key=key)] == [0]
    assert site.told("GET", "alerts/a", key=key)["state"] == "ok"


def test_an_alert_of_a_revoked_key_tells_no_value(site: Site) -> None:
    site.record(NOW - HOUR, 3, country="de")
    key, public_id = key_of(site, "de")
    site.put(access_key=public_id)
    site.told("POST", f"keys/{key}/revoke")
    site.at(NOW)
    [sent] = site.sent
    assert (sent["type"], sent["data"]["value"]) == ("alert.error", None)


def test_values_of_filters_are_told_to_nobody_who_may_not_see_them(site: Site) -> None:
    key, public_id = key_of(site, "de")
    hidden = {"property_name": "customer", "operator": "eq", "property_value": "S3CRET"}
    site.put(query={**COUNT, "filters": [hidden]}, access_key=public_id, display_name="S3CRET")
    site.at(NOW)
    for path in ("alerts", "alerts/a", "alerts/a/history"):
        assert "S3CRET" not in site.call("GET", path, key=key).text
    assert "S3CRET" in site.call("GET", "alerts/a").text


def test_projects_do_not_see_each_others_alerts(site: Site) -> None:
    site.put()
    other = site.whole.new_project()
    assert site.whole.told(other, "GET", "alerts") == []
    for method, path in (("GET", "alerts/a"), ("GET", "alerts/a/history"), ("DELETE", "alerts/a")):
        assert site.whole.call(other, method, path).status_code == 404
    reply = site.whole.call(other, "PUT", "alerts/a", {**BODY, "notify": [{"webhook": "chat"}]})
    assert reply.status_code == 400
    key, public_id = key_of(site, "de")
    assert site.whole.call(other, "PUT", "alerts/a", {**BODY, "access_key": public_id}).status_code == 400
    assert key
