"""What is told of an alert: the body for webhooks, subject and text of mails. No text of a client's but names
of letters, digits, ``_`` and ``-`` stands in a mail, and no value of a filter in either."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from service.alerts.buckets import Interval
from service.alerts.conditions import shown
from service.alerts.definition import Alert
from service.api_paths import url_of
from service.outbound.notices import body_of
from service.saved_queries.definition import moment_text
from storage.catalog.derived.records import AlertState, StoredAlert, StoredNotice

_SUBJECTS = {
    AlertState.FIRING: "is firing",
    AlertState.OK: "is over",
    AlertState.NO_DATA: "has no data",
    AlertState.ERROR: "cannot be evaluated",
}
_NOT_TOLD = "The question cannot be answered. Its history in Acumen says why."


def notice_of(
    alert: StoredAlert,
    state: AlertState,
    *,
    now_us: int,
    public_url: str,
    message: str,
    bucket: Interval | None = None,
    value: Any = None,
    reference: Mapping[str, Any] | None = None,
    complete: bool = True,
    kind: str = "",
) -> StoredNotice:
    """``kind``: ``reminder`` and ``test`` are told as such; else it is a change of state."""
    definition = Alert.stored(alert)
    # A message about an error may quote values of filters.
    message = _NOT_TOLD if state is AlertState.ERROR else message
    timeframe = None
    if bucket is not None:
        timeframe = {"start": moment_text(bucket.start_us), "end": moment_text(bucket.end_us)}
    url = public_url + url_of(alert.project_id, "alerts", alert.name)
    data = {
        "alert": alert.name,
        "display_name": definition.definition.get("display_name"),
        "state": state.value,
        "previous_state": alert.told_state.value,
        "value": value,
        "reference": reference,
        "condition": definition.condition,
        "timeframe": timeframe,
        "complete": complete,
        "message": message,
        "url": url,
    }
    named = f"alert.{kind or state.value}"
    lead = {"test": "Test: ", "reminder": "Still: "}.get(kind, "")
    lines = [message]
    if timeframe is not None:
        lines += ["", f"Interval: {timeframe['start']} to {timeframe['end']}"]
    if value is not None:
        lines += [f"Value: {shown(value)}"]
    if not complete:
        lines += ["Not all events of the interval may have arrived."]
    lines += ["", url]
    return StoredNotice(
        named,
        definition.webhooks,
        body_of(named, alert.project_id, now_us, data),
        definition.emails,
        f"{lead}Alert {alert.name} {_SUBJECTS[state]}",
        "\n".join(lines) + "\n",
    )
