"""Alerts, webhooks and reports: ``client.alerts``, ``client.webhooks`` and ``client.reports``."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any

from acumen_client._calls import MASTER, READ, AsyncPart, Call, Part, awaited, blocking, in_project, nothing
from acumen_client._transport import Answer
from acumen_client.query import Query, as_json, filters_as_json, parameters_as_json

Json = dict[str, Any]
_OF_TIME = ("timeframe", "interval", "timezone")


@dataclass(frozen=True, slots=True)
class Alert:
    """A question with a condition, and whom it tells."""

    name: str
    state: str | None
    """``ok``, ``firing``, ``no_data``, ``error`` or ``silenced``; None: not evaluated under the key's present
    filters."""
    display_name: str | None
    interval: str
    condition: Json
    notify: tuple[Json, ...]
    is_active: bool
    raw: Json = field(default_factory=dict, repr=False)

    @classmethod
    def read(cls, sent: Json) -> Alert:
        return cls(
            sent["name"],
            sent["state"],
            sent.get("display_name"),
            sent["interval"],
            sent["condition"],
            tuple(sent.get("notify", ())),
            sent["is_active"],
            sent,
        )


@dataclass(frozen=True, slots=True)
class Webhook:
    """Where notices are sent. ``secret`` is there when it is new."""

    name: str
    origin: str | None
    secret: str | None = field(repr=False)
    raw: Json = field(default_factory=dict, repr=False)

    @classmethod
    def read(cls, sent: Json) -> Webhook:
        return cls(sent["name"], sent["origin"], sent.get("secret"), sent)


def _alert(answer: Answer) -> Alert:
    return Alert.read(answer.json())


def _webhook(answer: Answer) -> Webhook:
    return Webhook.read(answer.json())


def _alert_list() -> Call[list[Alert]]:
    """All alerts that the key may see, by name."""
    path = in_project("alerts")
    return Call("GET", path, lambda answer: [Alert.read(one) for one in answer.json()], READ)


def _alert_get(name: str) -> Call[Alert]:
    """One alert, with its state."""
    return Call("GET", in_project("alerts", name), _alert, READ)


def _alert_put(
    name: str,
    query: Query | Mapping[str, Any] | str,
    condition: Mapping[str, Any],
    *,
    interval: str = "hourly",
    **more: Any,
) -> Call[Alert]:
    """Make or replace an alert of a question without a timeframe, or of the saved query of a name.

    ``condition`` is ``{"above": 100}``, ``{"change": {...}}``, ``{"anomaly": {}}`` or ``{"no_data": True}``;
    ``more`` holds ``timezone``, ``notify``, ``wait``, ``remind_hours``, ``access_key`` and the like.
    """
    body: Json = {"interval": interval, "condition": as_json(condition), **as_json(more)}
    if isinstance(query, str):
        body["saved_query"] = query
    else:
        body["query"] = _question(query)
    return Call("PUT", in_project("alerts", name), _alert, {**MASTER, "json": body})


def _question(query: Query | Mapping[str, Any]) -> Json:
    if isinstance(query, Query):
        return {name: one for name, one in query.to_definition().items() if name not in _OF_TIME}
    written = parameters_as_json(query)
    if "filters" in query:
        written["filters"] = filters_as_json(query["filters"])
    return written


def _alert_history(name: str, *, before: int | None = None, limit: int = 100) -> Call[list[Json]]:
    """What its evaluations found, newest first."""
    params = {"limit": limit, **({} if before is None else {"before": before})}
    path = in_project("alerts", name, "history")
    return Call("GET", path, lambda answer: answer.json()["evaluations"], {**READ, "params": params})


def _alert_silence(name: str, until: datetime | timedelta) -> Call[Alert]:
    """Tell nobody until then, or for so long."""
    if isinstance(until, timedelta):
        body: Json = {"seconds": int(until.total_seconds())}
    else:
        body = {"until": until.isoformat()}
    return Call("PUT", in_project("alerts", name, "silence"), _alert, {**MASTER, "json": body})


def _alert_end_silence(name: str) -> Call[None]:
    """Tell again."""
    return Call("DELETE", in_project("alerts", name, "silence"), nothing, MASTER)


def _alert_test(name: str) -> Call[Json]:
    """Tell everybody the present state, as a test."""
    return Call("POST", in_project("alerts", name, "test"), Answer.json, MASTER)


def _alert_delete(name: str) -> Call[None]:
    """Delete an alert with its history."""
    return Call("DELETE", in_project("alerts", name), nothing, MASTER)


class Alerts(Part):
    """``client.alerts``."""

    list = blocking(_alert_list)
    get = blocking(_alert_get)
    put = blocking(_alert_put)
    history = blocking(_alert_history)
    silence = blocking(_alert_silence)
    end_silence = blocking(_alert_end_silence)
    test = blocking(_alert_test)
    delete = blocking(_alert_delete)


class AsyncAlerts(AsyncPart):
    """``client.alerts``."""

    list = awaited(_alert_list)
    get = awaited(_alert_get)
    put = awaited(_alert_put)
    history = awaited(_alert_history)
    silence = awaited(_alert_silence)
    end_silence = awaited(_alert_end_silence)
    test = awaited(_alert_test)
    delete = awaited(_alert_delete)


def _webhook_list() -> Call[list[Webhook]]:
    """All webhooks of the project, by name."""
    path = in_project("webhooks")
    return Call("GET", path, lambda answer: [Webhook.read(one) for one in answer.json()], MASTER)


def _webhook_put(name: str, url: str, *, renew_secret: bool = False) -> Call[Webhook]:
    """Make or replace a webhook. ``secret`` is in the answer where it is new, and never again."""
    body = {"url": url, **({"renew_secret": True} if renew_secret else {})}
    return Call("PUT", in_project("webhooks", name), _webhook, {**MASTER, "json": body})


def _webhook_get(name: str) -> Call[Webhook]:
    """One webhook, without its URL and secret."""
    return Call("GET", in_project("webhooks", name), _webhook, MASTER)


def _webhook_test(name: str) -> Call[Json]:
    """Send a test; it is found among the deliveries."""
    return Call("POST", in_project("webhooks", name, "test"), Answer.json, MASTER)


def _webhook_deliveries(
    name: str, *, state: str | None = None, before: int | None = None, limit: int = 100
) -> Call[list[Json]]:
    """What was sent, newest first; ``state`` is ``waiting``, ``delivered`` or ``dead``."""
    given = {"limit": limit, "state": state, "before": before}
    params = {key: value for key, value in given.items() if value is not None}
    path = in_project("webhooks", name, "deliveries")
    return Call("GET", path, lambda answer: answer.json()["deliveries"], {**MASTER, "params": params})


def _webhook_replay(name: str, delivery_id: str) -> Call[Json]:
    """Send something again, under the same idempotency key."""
    path = in_project("webhooks", name, "deliveries", delivery_id, "replay")
    return Call("POST", path, Answer.json, MASTER)


def _webhook_delete(name: str) -> Call[None]:
    """Delete a webhook, and what waits for it."""
    return Call("DELETE", in_project("webhooks", name), nothing, MASTER)


class Webhooks(Part):
    """``client.webhooks``."""

    list = blocking(_webhook_list)
    get = blocking(_webhook_get)
    put = blocking(_webhook_put)
    test = blocking(_webhook_test)
    deliveries = blocking(_webhook_deliveries)
    replay = blocking(_webhook_replay)
    delete = blocking(_webhook_delete)


class AsyncWebhooks(AsyncPart):
    """``client.webhooks``."""

    list = awaited(_webhook_list)
    get = awaited(_webhook_get)
    put = awaited(_webhook_put)
    test = awaited(_webhook_test)
    deliveries = awaited(_webhook_deliveries)
    replay = awaited(_webhook_replay)
    delete = awaited(_webhook_delete)


@dataclass(frozen=True, slots=True)
class Report:
    """A dashboard that is sent again and again."""

    name: str
    dashboard: str
    schedule: Json
    notify: tuple[Json, ...]
    is_active: bool
    raw: Json = field(default_factory=dict, repr=False)

    @classmethod
    def read(cls, sent: Json) -> Report:
        notify = tuple(sent["notify"])
        return cls(sent["name"], sent["dashboard"], sent["schedule"], notify, sent["is_active"], sent)


def _report(answer: Answer) -> Report:
    return Report.read(answer.json())


def _report_list() -> Call[list[Report]]:
    """All reports of the project, by name."""
    path = in_project("reports")
    return Call("GET", path, lambda answer: [Report.read(one) for one in answer.json()], MASTER)


def _report_get(name: str) -> Call[Report]:
    """One report."""
    return Call("GET", in_project("reports", name), _report, MASTER)


def _report_put(
    name: str, dashboard: str, *, every: str, at: str = "08:00", timezone: str | None = None, **more: Any
) -> Call[Report]:
    """Make or replace a report; ``every`` is ``daily``, ``weekly`` or ``monthly``, and ``more`` holds
    ``notify``, ``access_key``, ``theme``, ``locale``, ``display_name`` and ``is_active``."""
    schedule = {"every": every, "at": at, **({} if timezone is None else {"timezone": timezone})}
    body = {"dashboard": dashboard, "schedule": schedule, **as_json(more)}
    return Call("PUT", in_project("reports", name), _report, {**MASTER, "json": body})


def _report_history(name: str, *, before: int | None = None, limit: int = 100) -> Call[list[Json]]:
    """The runs, newest first."""
    params = {"limit": limit, **({} if before is None else {"before": before})}
    path = in_project("reports", name, "history")
    return Call("GET", path, lambda answer: answer.json()["runs"], {**MASTER, "params": params})


def _report_test(name: str) -> Call[Json]:
    """Make it now, as a test."""
    return Call("POST", in_project("reports", name, "test"), Answer.json, MASTER)


def _report_delete(name: str) -> Call[None]:
    """Delete a report with its history."""
    return Call("DELETE", in_project("reports", name), nothing, MASTER)


class Reports(Part):
    """``client.reports``."""

    list = blocking(_report_list)
    get = blocking(_report_get)
    put = blocking(_report_put)
    history = blocking(_report_history)
    test = blocking(_report_test)
    delete = blocking(_report_delete)


class AsyncReports(AsyncPart):
    """``client.reports``."""

    list = awaited(_report_list)
    get = awaited(_report_get)
    put = awaited(_report_put)
    history = awaited(_report_history)
    test = awaited(_report_test)
    delete = awaited(_report_delete)
