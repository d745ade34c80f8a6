"""Definitions of scheduled reports: read from requests, and shown in answers."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import timedelta
from typing import Any
from urllib.parse import quote

from query.language.calendar import WeekStart, first_reach, wall_at
from query.language.fields import flag, missing, structured, text, wrong
from query.language.parameters import check_keys
from query.language.timeframe import parse_timezone
from service.alerts.buckets import Intervals
from service.alerts.definition import DISPLAY_NAME_MAX, Known, read_access_key, read_notify, told_by
from service.api_paths import url_of
from service.outbound.notices import body_of
from service.pictures.options import THEMES, language_tag
from service.saved_queries.definition import NAME_NEEDS, is_name, moment_or_none, moment_text
from storage.catalog.derived.records import ReportRun, StoredNotice, StoredReport

Json = dict[str, Any]
DEFINED = (
    "dashboard",
    "schedule",
    "notify",
    "access_key",
    "theme",
    "locale",
    "display_name",
    "is_active",
)
FIELDS = (*DEFINED, "name", "next_run_date", "created_date", "last_modified_date", "url")
"""Fields of a report. Those that only the server writes are ignored, so that a GET's body can be PUT."""
SCHEDULES = ("daily", "weekly", "monthly")
_AT = re.compile(r"([01][0-9]|2[0-3]):[0-5][0-9]", re.ASCII)
_SCHEDULE_NEEDS = 'an object such as {"every": "weekly", "at": "08:00", "timezone": "Europe/Berlin"}'


@dataclass(frozen=True, slots=True)
class ScheduledReport:
    """A definition as it is stored."""

    definition: Mapping[str, Any]

    @classmethod
    def stored(cls, report: StoredReport) -> ScheduledReport:
        return cls(json.loads(report.definition))

    @property
    def dashboard(self) -> str:
        return str(self.definition["dashboard"])

    @property
    def access_key(self) -> str | None:
        return self.definition.get("access_key")

    @property
    def is_active(self) -> bool:
        return bool(self.definition["is_active"])

    @property
    def emails(self) -> tuple[str, ...]:
        return told_by("email", self.definition)

    @property
    def webhooks(self) -> tuple[str, ...]:
        return told_by("webhook", self.definition)

    def next_us(self, now_us: int, week_start: WeekStart) -> int:
        """When the report is due next, after now: at a local time of the first day of its intervals."""
        schedule = self.definition["schedule"]
        zone = parse_timezone(schedule["timezone"])
        intervals = Intervals(schedule["every"], zone, week_start)
        hours, minutes = map(int, schedule["at"].split(":"))
        at = timedelta(hours=hours, minutes=minutes)
        last = intervals.last(now_us)
        for start_us in (last.end_us, intervals.following_end(last)):
            due_us = first_reach(wall_at(start_us, zone) + at, zone)
            if due_us > now_us:
                return due_us
        return first_reach(wall_at(intervals.after(start_us).end_us, zone) + at, zone)


def read(name: str, body: Mapping[str, Any], known: Known, has_dashboard: Callable[[str], bool]) -> str:
    """The definition in the body of a PUT, as it is stored. Raises InvalidQuery, Forbidden."""
    if not is_name(name):
        raise wrong("the name in the path", NAME_NEEDS, name)
    check_keys(body, FIELDS, "a report")
    dashboard = body.get("dashboard")
    if dashboard is None:
        raise missing("dashboard")
    if not isinstance(dashboard, str) or not has_dashboard(dashboard):
        raise wrong("dashboard", "the id of a dashboard of the project", dashboard)
    theme = THEMES[0] if body.get("theme") is None else body["theme"]
    if theme not in THEMES:
        raise wrong("theme", " or ".join(THEMES), theme)
    locale = "en-US" if body.get("locale") is None else body["locale"]
    if not isinstance(locale, str):
        raise wrong("locale", "a language tag", locale)
    definition: Json = {
        "dashboard": dashboard,
        "schedule": _schedule(body.get("schedule")),
        "notify": read_notify(body.get("notify"), known),
        "access_key": read_access_key(body.get("access_key"), known),
        "theme": theme,
        "locale": language_tag("locale", locale),
        "is_active": flag(body, "is_active", True),
    }
    if body.get("display_name") is not None:
        definition["display_name"] = text("display_name", body["display_name"], DISPLAY_NAME_MAX)
    return json.dumps(definition, separators=(",", ":"))


def described(report: StoredReport) -> Json:
    """The report as the API shows it."""
    definition = json.loads(report.definition)
    return {
        "name": report.name,
        **{name: definition.get(name) for name in DEFINED},
        "next_run_date": moment_text(report.due_us) if definition["is_active"] else None,
        "created_date": moment_text(report.created_us),
        "last_modified_date": moment_text(report.modified_us),
        "url": url_of(report.project_id, "reports", report.name),
    }


def run_described(run: ReportRun) -> Json:
    """A run as the API shows it."""
    return {
        "number": run.number,
        "scheduled_date": moment_text(run.scheduled_us),
        "is_test": run.is_test,
        "state": run.state.value,
        "attempts": run.attempts,
        "recipients_left": len(run.left),
        "pictures": run.pictures,
        "ended_date": moment_or_none(run.ended_us),
        "message": run.message,
    }


def _schedule(value: Any) -> Json:
    if value is None:
        raise missing("schedule")
    given = structured("schedule", value)
    if not isinstance(given, Mapping):
        raise wrong("schedule", _SCHEDULE_NEEDS, value)
    check_keys(given, ("every", "at", "timezone"), "a schedule")
    every = given.get("every")
    if every not in SCHEDULES:
        raise wrong("schedule.every", " or ".join(SCHEDULES), every)
    at = "08:00" if given.get("at") is None else given["at"]
    if not isinstance(at, str) or not _AT.fullmatch(at):
        raise wrong("schedule.at", "a time of day, such as '08:00'", at)
    parse_timezone(given.get("timezone"))
    return {"every": every, "at": at, "timezone": given.get("timezone") or "UTC"}


def notice_of(report: StoredReport, now_us: int, public_url: str, *, is_test: bool = False) -> StoredNotice:
    """What webhooks are told: where the dashboard is. It holds no numbers."""
    definition = ScheduledReport.stored(report)
    data = {
        "report": report.name,
        "display_name": definition.definition.get("display_name"),
        "dashboard": definition.dashboard,
        "url": dashboard_url(report, public_url),
    }
    kind = "report.test" if is_test else "report.ready"
    return StoredNotice(kind, definition.webhooks, body_of(kind, report.project_id, now_us, data))


def dashboard_url(report: StoredReport, public_url: str) -> str:
    """The page of the dashboard, which asks whoever opens it to log in."""
    name = quote(ScheduledReport.stored(report).dashboard, safe="")
    return f"{public_url}/app/{report.project_id}/dashboards/{name}"
