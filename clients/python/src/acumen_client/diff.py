"""Which events moved an answer between two versions of the stored events."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from acumen_client._calls import Call, in_project
from acumen_client._transport import Answer
from acumen_client.query import Query, as_json


def comparison(
    question: Query,
    since: str | datetime,
    until: str | datetime | None = None,
    *,
    events: int | None = None,
) -> Call[dict[str, Any]]:
    """One question about two versions, which ``explain`` names, or instants; ``until`` is now by default.

    ``from`` and ``to`` have both answers, ``changes`` the events that came late, came later or were updated,
    by numbers and with the first ``events`` of them.
    """
    body = {**question.to_json(), "analysis_type": question.analysis, "from": as_json(since)}
    if until is not None:
        body["to"] = as_json(until)
    if events is not None:
        body["events"] = events

    def read(answer: Answer) -> dict[str, Any]:
        found: dict[str, Any] = answer.json()
        return found

    return Call(
        "POST", in_project("queries", "diff"), read, {"key": "read", "json": body, "repeatable": True}
    )
