"""Scheduled reports: a dashboard, made again and again.

/3.0/projects/P/reports[/NAME[/history | /test]]
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from starlette.responses import Response

from service.alerts import report_definition as definitions
from service.api_paths import PROJECTS
from service.errors import Conflict, NotFound
from service.http.authorization import EDITS
from service.http.models.alerting.reports import Report, ReportDefinition, ReportHistory, ReportTest
from service.http.models.shared import Json
from service.http.openapi.operation import BEFORE_NUMBER, DocumentedAnswer, Example, gone, limit_in_query, ok
from service.http.request import (
    check_parameters,
    empty_answer,
    json_answer,
    limit_of,
    number_before,
    pairs_of,
    segment_of,
)
from service.http.routes.alerting.alerts import known_of
from service.http.routing import OfProject, ProjectCall, RouteArea
from storage.catalog.derived import records
from storage.catalog.derived.notices import NEVER_US

REPORTS = f"{PROJECTS}/{{project_id}}/reports"
REPORTS_MAX = 100
"""Reports of one project."""
SHOWN_MAX = 500
_ONE = f"{REPORTS}/{{report_name}}"
_SHOWN = 100
_NAMED = {"report_name": "monday"}
_HOOK: Json = {"url": "https://hooks.example.com/services/T1"}
_COUNT: Json = {"analysis_type": "count", "event_collection": "purchases", "timeframe": "this_7_days"}
_SENT: Json = {
    "dashboard": "sales",
    "schedule": {"every": "weekly", "at": "07:30", "timezone": "Europe/Berlin"},
    "notify": [{"webhook": "chat"}],
}

area = RouteArea(
    "reports",
    "Dashboards by mail with their charts as pictures, and by webhook as links, again and again.",
    [
        ("PUT", "/projects/{project_id}/dashboards/sales", {"widgets": [{"id": "a", "query": _COUNT}]}),
        ("PUT", f"{PROJECTS}/{{project_id}}/webhooks/chat", _HOOK),
    ],
)


@area.put(
    _ONE,
    EDITS,
    "Make or replace a report",
    {200: DocumentedAnswer("It was replaced.", Report), 201: DocumentedAnswer("It is new.", Report)},
    errors=(409,),
    examples=(
        Example(_NAMED, body=_SENT, status=201),
        Example(_NAMED, body={**_SENT, "schedule": {"every": "monthly"}}),
        Example(_NAMED, body={**_SENT, "schedule": {"every": "hourly"}}, status=400),
        Example(_NAMED, body={**_SENT, "dashboard": "none"}, status=400),
        Example(_NAMED, body={**_SENT, "notify": [{"email": "ann@example.com"}]}, status=403),
        Example(_NAMED, body=_SENT, key="read", status=401),
    ),
)
async def put(call: OfProject, sent: ReportDefinition) -> Response:
    """It replaces everything."""
    shown, created = await call.parts.in_thread(_store, call, sent.sent())
    return json_answer(shown, 201 if created else 200)


def _store(call: ProjectCall, body: Mapping[str, Any]) -> tuple[Json, bool]:
    """Blocks. Raises InvalidQuery, InvalidParameter, Forbidden, Conflict."""
    parts, project = call.parts, call.caller.project

    def has_dashboard(name: str) -> bool:
        return parts.catalog.dashboards.find(project.id, name) is not None

    text = definitions.read(_name(call), body, known_of(call), has_dashboard)
    definition = definitions.ScheduledReport(json.loads(text))
    week_start = parts.query_service.preferences_of(project).week_start
    due_us = definition.next_us(parts.clock(), week_start) if definition.is_active else NEVER_US
    stored = parts.catalog.reports.put(project.id, _name(call), text, due_us=due_us, most=REPORTS_MAX)
    if stored is None:
        raise Conflict(f"A project has {REPORTS_MAX} reports at most: delete one first.")
    return definitions.described(stored[0]), stored[1]


@area.get(
    REPORTS,
    EDITS,
    "All reports",
    ok(list[Report], "By name."),
    examples=(Example(), Example(key="read", status=401)),
    name="list_reports",
)
async def list_all(call: OfProject) -> Response:
    found = await call.parts.in_thread(call.parts.catalog.reports.of_project, call.caller.project.id)
    return json_answer([definitions.described(one) for one in found])


@area.get(
    _ONE,
    EDITS,
    "A report",
    ok(Report, "The definition."),
    examples=(Example(_NAMED), Example({"report_name": "none"}, status=404)),
)
async def show(call: OfProject) -> Response:
    return json_answer(definitions.described(await call.parts.in_thread(_found, call)))


@area.get(
    f"{_ONE}/history",
    EDITS,
    "The runs of a report",
    ok(ReportHistory, "The last 500 are kept."),
    parameters=(
        BEFORE_NUMBER,
        limit_in_query(_SHOWN, SHOWN_MAX),
    ),
    examples=(Example(_NAMED), Example(_NAMED, {"limit": "0"}, status=400)),
    name="report_history",
)
async def history(call: OfProject) -> Response:
    pairs = pairs_of(call.request.scope)
    check_parameters(pairs, ("before", "limit"), "the history of a report")
    number, limit = number_before(pairs), limit_of(pairs, _SHOWN, SHOWN_MAX)

    def read() -> list[Json]:
        found = call.parts.catalog.reports.runs(_found(call), before=number, limit=limit)
        return [definitions.run_described(one) for one in found]

    return json_answer({"runs": await call.parts.in_thread(read)})


@area.post(
    f"{_ONE}/test",
    EDITS,
    "Make a report now",
    ok(ReportTest, "Who gets it."),
    examples=(Example(_NAMED), Example({"report_name": "none"}, status=404)),
    name="test_report",
)
async def test(call: OfProject) -> Response:
    """In the background, for everybody who gets it, marked as a test."""
    return json_answer(await call.parts.in_thread(_test, call))


def _test(call: ProjectCall) -> Json:
    """Blocks. Raises NotFound."""
    report, parts = _found(call), call.parts
    definition, now_us = definitions.ScheduledReport.stored(report), parts.clock()
    notice = definitions.notice_of(report, now_us, parts.settings.public_url, is_test=True)
    missing = parts.catalog.reports.test(report, now_us, definition.emails, notice)
    return {
        "emails": len(definition.emails),
        "webhooks": len(notice.webhooks) - len(missing),
        "missing_webhooks": missing,
    }


@area.delete(
    _ONE,
    EDITS,
    "Delete a report",
    gone(),
    examples=(Example(_NAMED, status=204), Example(_NAMED, status=404)),
)
async def delete(call: OfProject) -> Response:
    """With its history, and what was not sent yet."""
    name = _name(call)
    if not await call.parts.in_thread(call.parts.catalog.reports.remove, call.caller.project.id, name):
        raise NotFound.named("report", name)
    return empty_answer()


def _found(call: ProjectCall) -> records.StoredReport:
    """Blocks. Raises NotFound."""
    found = call.parts.catalog.reports.find(call.caller.project.id, _name(call))
    if found is None:
        raise NotFound.named("report", _name(call))
    return found


def _name(call: ProjectCall) -> str:
    return segment_of(call.request.scope, 5)
