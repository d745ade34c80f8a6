"""Alerts: definitions, states, what was found, silences and tests.

/3.0/projects/P/alerts[/NAME[/history | /silence | /test]]
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from starlette.responses import Response

from query.language.fields import wrong
from service.alerts import definition as definitions
from service.alerts.definition import Known
from service.alerts.telling import notice_of
from service.api_paths import PROJECTS
from service.auth.principal import Permission
from service.errors import Conflict, Forbidden, InvalidParameter, NotFound
from service.http.authorization import EDITS, needs
from service.http.models.alerting.alerts import Alert, AlertDefinition, AlertHistory, AlertTest, SilenceSent
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
from service.http.routing import OfProject, ProjectCall, RouteArea
from service.saved_queries.definition import moment_text
from service.saved_queries.results import FilterScope
from storage.catalog.derived import records
from storage.catalog.derived.notices import NEVER_US
from storage.catalog.derived.records import AlertState
from storage.instants import parse_instant

ALERTS = f"{PROJECTS}/{{project_id}}/alerts"
ALERTS_MAX = 500
"""Alerts of one project."""
SHOWN_MAX = 1_000
SILENCE_US_MAX = 366 * 86_400_000_000
_ONE = f"{ALERTS}/{{alert_name}}"
_READ = needs(Permission.QUERIES)
_SHOWN = 100
_NAMED = {"alert_name": "few-orders"}
_HOOK: Json = {"url": "https://hooks.example.com/services/T1"}
_SENT: Json = {
    "query": {"analysis_type": "count", "event_collection": "purchases"},
    "interval": "hourly",
    "condition": {"below": 10},
    "notify": [{"webhook": "chat"}],
    "remind_hours": 24,
}
_ANOMALY: Json = {**_SENT, "condition": {"anomaly": {"k": 5}}}
_CHANGE: Json = {**_SENT, "condition": {"change": {"from": "same_weekday", "below": -50}}}

area = RouteArea(
    "alerts",
    "Questions that are asked by themselves, and whom to tell of the answer.",
    [
        ("POST", f"{PROJECTS}/{{project_id}}/events/purchases", {"price": 7}),
        ("PUT", f"{PROJECTS}/{{project_id}}/webhooks/chat", _HOOK),
    ],
)


@area.put(
    _ONE,
    EDITS,
    "Make or replace an alert",
    {200: DocumentedAnswer("It was replaced.", Alert), 201: DocumentedAnswer("It is new.", Alert)},
    errors=(409,),
    examples=(
        Example(_NAMED, body=_SENT, status=201),
        Example(_NAMED, body=_ANOMALY, summary="An anomaly"),
        Example(_NAMED, body=_CHANGE, summary="A change since last week"),
        Example(_NAMED, body={**_SENT, "condition": {"above": 1, "no_data": True}}, status=400),
        Example(_NAMED, body={**_SENT, "notify": [{"email": "ann@example.com"}]}, status=403),
        Example(_NAMED, body=_SENT, key="read", status=401),
    ),
)
async def put(call: OfProject, sent: AlertDefinition) -> Response:
    """It replaces everything. Another definition begins anew, with the state `ok`; nobody is told of that."""
    shown, created = await call.parts.in_thread(_store, call, sent.sent())
    return json_answer(shown, 201 if created else 200)


def _store(call: ProjectCall, body: Mapping[str, Any]) -> tuple[Json, bool]:
    """Blocks. Raises InvalidQuery, InvalidParameter, Forbidden, Conflict."""
    parts, project = call.parts, call.caller.project
    text = definitions.read(_name(call), body, known_of(call))
    now_us = parts.clock()
    definition = definitions.Alert(json.loads(text))
    last = definition.clock(parts.query_service.preferences_of(project).week_start).last(now_us)
    due_us = now_us if definition.is_active else NEVER_US
    stored = parts.catalog.alerts.put(
        project.id, _name(call), text, through_us=last.start_us, due_us=due_us, most=ALERTS_MAX
    )
    if stored is None:
        raise Conflict(f"A project has {ALERTS_MAX} alerts at most: delete one first.")
    return definitions.described(stored[0], now_us), stored[1]


def known_of(call: ProjectCall) -> Known:
    """What a definition in the request may name. Blocks."""
    parts, project = call.parts, call.caller.project
    catalog = parts.catalog

    def saved_query(name: str) -> Mapping[str, Any] | None:
        found = catalog.saved_queries.find(project.id, name)
        if found is None:
            return None
        params: Mapping[str, Any] = json.loads(found.query)
        return params

    return Known(
        judge=lambda analysis, params: parts.query_service.judge(project, analysis, params),
        saved_query=saved_query,
        has_key=lambda public_id: catalog.access_keys.find_public(project.id, public_id) is not None,
        webhooks=frozenset(one.name for one in catalog.webhooks.of_project(project.id)),
        check_recipient=definitions.recipient_check(parts.settings),
    )


@area.get(
    ALERTS,
    _READ,
    "All alerts",
    ok(list[Alert], "By name."),
    examples=(Example(), Example(key="read"), Example(key="write", status=403)),
    spends=False,
    name="list_alerts",
)
async def list_all(call: OfProject) -> Response:
    """A key that sees part of the events, or may ask part of the questions, is shown the alerts that are
    asked under it, and no other."""
    return json_answer(await call.parts.in_thread(_listed, call))


def _listed(call: ProjectCall) -> list[Json]:
    _refuse_token(call)
    found = call.parts.catalog.alerts.of_project(call.caller.project.id)
    return [_described(call, one) for one in found if _sees(call, one)]


@area.get(
    _ONE,
    _READ,
    "An alert and its state",
    ok(Alert, "As of now."),
    examples=(Example(_NAMED, key="read"), Example({"alert_name": "none"}, key="read", status=404)),
    spends=False,
)
async def show(call: OfProject) -> Response:
    return json_answer(await call.parts.in_thread(lambda: _described(call, _found(call))))


@area.get(
    f"{_ONE}/history",
    _READ,
    "What the evaluations of an alert found",
    ok(AlertHistory, "The last 1,000 are kept."),
    parameters=(
        BEFORE_NUMBER,
        limit_in_query(_SHOWN, SHOWN_MAX),
    ),
    examples=(Example(_NAMED, key="read"), Example(_NAMED, {"limit": "0"}, key="read", status=400)),
    spends=False,
    name="alert_history",
)
async def history(call: OfProject) -> Response:
    """A key that sees part of the events is shown those that were asked under its present filters."""
    pairs = pairs_of(call.request.scope)
    check_parameters(pairs, ("before", "limit"), "the history of an alert")
    number, limit = number_before(pairs), limit_of(pairs, _SHOWN, SHOWN_MAX)

    def read() -> list[Json]:
        alert = _found(call)
        found = call.parts.catalog.alerts.history(
            alert, audience=_audience(call, alert), before=number, limit=limit
        )
        return [_evaluation(one, narrowed=call.caller.is_filtered) for one in found]

    return json_answer({"evaluations": await call.parts.in_thread(read)})


@area.post(
    f"{_ONE}/test",
    EDITS,
    "Tell everybody whom an alert tells, as a test",
    ok(AlertTest, "Who is told."),
    examples=(Example(_NAMED), Example({"alert_name": "none"}, status=404)),
    name="test_alert",
)
async def test(call: OfProject) -> Response:
    """The state that it has now, marked as a test."""
    return json_answer(await call.parts.in_thread(_test, call))


def _test(call: ProjectCall) -> Json:
    """Blocks. Raises NotFound."""
    alert, parts = _found(call), call.parts
    notice = notice_of(
        alert,
        alert.state,
        now_us=parts.clock(),
        public_url=parts.settings.public_url,
        message="This is a test.",
        kind="test",
    )
    missing = parts.catalog.alerts.tell(alert.project_id, notice)
    return {
        "emails": len(notice.emails),
        "webhooks": len(notice.webhooks) - len(missing),
        "missing_webhooks": missing,
    }


@area.put(
    f"{_ONE}/silence",
    EDITS,
    "Silence an alert for a while",
    {200: DocumentedAnswer("The alert as it is now.", Alert)},
    examples=(
        Example(_NAMED, body={"seconds": 3_600}),
        Example(_NAMED, body={"until": "2001-01-01T00:00:00Z"}, status=400),
        Example({"alert_name": "none"}, body={"seconds": 60}, status=404),
    ),
    name="silence_alert",
)
async def silence(call: OfProject, sent: SilenceSent) -> Response:
    """It is evaluated all the same. What is not well when it is over is told at the next evaluation."""
    sent.refuse_unknown("a silence")
    now_us = call.parts.clock()
    if (sent.seconds is None) == (sent.until is None):
        raise InvalidParameter("A silence has either 'seconds' or 'until'.")
    until_us = None if sent.until is None else parse_instant(sent.until)
    if sent.seconds is not None:
        until_us = now_us + sent.seconds * 1_000_000
    if until_us is None or not now_us < until_us <= now_us + SILENCE_US_MAX:
        raise wrong("until", "an instant of ISO 8601 within a year from now", sent.until)
    return json_answer(await call.parts.in_thread(_silence, call, until_us))


@area.delete(
    f"{_ONE}/silence",
    EDITS,
    "End the silence of an alert",
    gone(),
    examples=(Example(_NAMED, status=204), Example({"alert_name": "none"}, status=404)),
    name="end_alert_silence",
)
async def end_silence(call: OfProject) -> Response:
    await call.parts.in_thread(_silence, call, 0)
    return empty_answer()


def _silence(call: ProjectCall, until_us: int) -> Json:
    """Blocks. Raises NotFound."""
    name = _name(call)
    found = call.parts.catalog.alerts.silence(call.caller.project.id, name, until_us)
    if found is None:
        raise NotFound.named("alert", name)
    return definitions.described(found, call.parts.clock())


@area.delete(
    _ONE,
    EDITS,
    "Delete an alert",
    gone(),
    examples=(Example(_NAMED, status=204), Example(_NAMED, status=404)),
)
async def delete(call: OfProject) -> Response:
    """With its history."""
    name = _name(call)
    if not await call.parts.in_thread(call.parts.catalog.alerts.remove, call.caller.project.id, name):
        raise NotFound.named("alert", name)
    return empty_answer()


def _found(call: ProjectCall) -> records.StoredAlert:
    """Blocks. Raises NotFound, Forbidden."""
    name = _name(call)
    found = call.parts.catalog.alerts.find(call.caller.project.id, name)
    if found is None or not _sees(call, found):
        raise NotFound.named("alert", name)
    return found


def _sees(call: ProjectCall, alert: records.StoredAlert) -> bool:
    """Whether the caller may know of the alert. Blocks. Raises Forbidden."""
    _refuse_token(call)
    caller = call.caller
    return caller.sees_all_answers or Permission.EDITS in caller.permissions or _is_own(call, alert)


def _refuse_token(call: ProjectCall) -> None:
    if call.caller.embed is not None:
        raise Forbidden("Embed tokens are for pages: they cannot read alerts.")


def _is_own(call: ProjectCall, alert: records.StoredAlert) -> bool:
    """Whether the alert is asked under the caller's access key. Blocks."""
    public_id = definitions.Alert.stored(alert).access_key
    if public_id is None:
        return False
    key = call.parts.catalog.access_keys.find_public(alert.project_id, public_id)
    return key is not None and key.digest == call.caller.key_id


def _audience(call: ProjectCall, alert: records.StoredAlert) -> str | None:
    """Under which filters evaluations were made that the caller may see; None: under any. Blocks."""
    caller = call.caller
    if caller.sees_all_answers or Permission.EDITS in caller.permissions:
        return None
    saved = definitions.Alert.stored(alert).saved_query
    kind = Permission.QUERIES if saved is None else Permission.SAVED_QUERIES
    return FilterScope(caller.filters_for(kind)).digest


def _described(call: ProjectCall, alert: records.StoredAlert) -> Json:
    """Blocks."""
    audience, hides_state = _audience(call, alert), False
    if audience is not None:
        last = call.parts.catalog.alerts.history(alert, audience=audience, limit=1)
        hides_state = not last or last[0].end_us != alert.through_us
    return definitions.described(
        alert,
        call.parts.clock(),
        narrowed=call.caller.is_filtered,
        tells_whom=Permission.EDITS in call.caller.permissions,
        hides_state=hides_state,
    )


def _evaluation(found: records.AlertEvaluation, *, narrowed: bool) -> Json:
    # A message about an error may quote values of filters.
    hidden = narrowed and found.state is AlertState.ERROR
    return {
        "number": found.number,
        "date": moment_text(found.at_us),
        "timeframe": {"start": moment_text(found.start_us), "end": moment_text(found.end_us)},
        "state": found.state.value,
        "value": json.loads(found.value),
        "reference": json.loads(found.reference),
        "message": None if hidden else found.message,
        "complete": found.complete,
        "notified": found.told,
    }


def _name(call: ProjectCall) -> str:
    return segment_of(call.request.scope, 5)
