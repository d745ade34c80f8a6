"""Alerts: definitions, states, and what their evaluations found."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated, Any, ClassVar, Literal

from pydantic import Field, SkipValidation

from query.language import parameter_table
from service.alerts.buckets import INTERVALS
from service.alerts.conditions import HISTORY, HISTORY_MAX, HISTORY_MIN, K
from service.alerts.definition import ANALYSES, SHARE, SHARES, WAIT_SECONDS_MAX
from service.http.models.shared import AnswerBody, Count, Json, Moment, RequestBody

_NUMBER: Json = {"type": "number"}
_CONDITION: Json = {
    "type": "object",
    "properties": {
        "above": {**_NUMBER, "description": "The value is above it."},
        "below": {**_NUMBER, "description": "The value is below it."},
        "change": {
            "type": "object",
            "properties": {
                "from": {"type": "string", "enum": ["previous", "same_weekday"]},
                "in": {"type": "string", "enum": ["percent", "absolute"]},
                "above": _NUMBER,
                "below": _NUMBER,
            },
            "description": "The change from the interval before, or from the one a week before, is above or "
            "below.",
        },
        "anomaly": {
            "type": "object",
            "properties": {
                "k": {**_NUMBER, "default": K},
                "history": {
                    "type": "integer",
                    "minimum": HISTORY_MIN,
                    "maximum": HISTORY_MAX,
                    "default": HISTORY,
                },
                "direction": {"type": "string", "enum": ["both", "above", "below"]},
            },
            "description": "The value is further than `k` deviations from the median of earlier ones.",
        },
        "no_data": {"type": "boolean", "enum": [True], "description": "There are no events."},
    },
}
_QUERY: Json = {
    "type": "object",
    "properties": {
        "analysis_type": {"type": "string", "enum": list(ANALYSES)},
        "event_collection": {"type": "string"},
        "target_property": {"type": "string"},
        "filters": {"type": "array", "items": {"$ref": "#/components/schemas/Filter"}},
    },
}
_WAIT: Json = {
    "type": "object",
    "properties": {
        "share": {"type": "number", "minimum": SHARES[0], "maximum": SHARES[1], "default": SHARE},
        "seconds": {"type": "integer", "minimum": 0, "maximum": WAIT_SECONDS_MAX},
    },
}
_NOTIFY: Json = {
    "items": {
        "type": "object",
        "properties": {"email": {"type": "string"}, "webhook": {"type": "string"}},
    }
}


class AlertDefinition(RequestBody):
    # Checked further by ``service.alerts.definition``.
    what: ClassVar[str] = "An alert"

    query: Annotated[Any, SkipValidation] = Field(
        None, description="The question, without any time of its own.", json_schema_extra=_QUERY
    )
    saved_query: str | None = Field(None, description="Or the name of a saved query, whose time is left out.")
    interval: Annotated[Any, SkipValidation] = Field(
        None,
        description="What is asked about: the last interval that has ended.",
        json_schema_extra={"type": "string", "enum": list(INTERVALS)},
    )
    timezone: Annotated[Any, SkipValidation] = Field(None, json_schema_extra=parameter_table.TIMEZONE)
    condition: Annotated[Any, SkipValidation] = Field(
        None, description="One kind of condition.", json_schema_extra=_CONDITION
    )
    wait: Annotated[Any, SkipValidation] = Field(
        None,
        description="How long is waited at most, until this share of the events is expected to have arrived.",
        json_schema_extra=_WAIT,
    )
    no_data: str | None = Field(
        None,
        description="What it means that there is no value: `notify`, a state of its own, or `ok`.",
        json_schema_extra={"enum": ["notify", "ok", None]},
    )
    notify: Annotated[list[Any] | None, SkipValidation] = Field(
        None, description="Who is told of a change of state.", json_schema_extra=_NOTIFY
    )
    remind_hours: int | None = Field(None, description="After how many hours it is told again.")
    access_key: str | None = Field(
        None, description="The public id of the access key under whose filters is asked; without, of none."
    )
    display_name: str | None = None
    is_active: bool | None = None


class SilenceSent(RequestBody):
    what: ClassVar[str] = "A silence"

    seconds: Annotated[int, Field(ge=1, le=366 * 86_400)] | None = Field(None, description="From now on.")
    until: str | None = Field(None, description="Or an instant of ISO 8601.")


class Alert(AnswerBody):
    name: str
    display_name: str | None
    query: Json | None = None
    saved_query: str | None = None
    interval: str
    timezone: str | int
    condition: Json
    wait: Json
    no_data: Literal["notify", "ok"]
    notify: list[Json] = Field([], description="Only for callers who may change it.")
    remind_hours: int | None
    access_key: str | None
    is_active: bool
    state: Literal["ok", "firing", "no_data", "error", "silenced"] | None = Field(
        description="null: not evaluated under the present filters of the caller's key."
    )
    state_since: Moment
    silenced_until: Moment
    evaluated_through: Moment = Field(description="The end of the interval that was evaluated last.")
    next_evaluation_date: Moment
    created_date: datetime
    last_modified_date: datetime
    url: str


class AlertEvaluation(AnswerBody):
    number: Count = Field(description="In order of making; `before` of a listing.")
    date: datetime
    timeframe: Json
    state: Literal["ok", "firing", "no_data", "error"]
    value: Any = Field(description="A number, or null.")
    reference: Json | None = Field(description="What it was compared with.")
    message: str | None
    complete: bool = Field(description="Whether all events were expected to be there.")
    notified: bool


class AlertHistory(AnswerBody):
    evaluations: list[AlertEvaluation] = Field(description="Newest first.")


class AlertTest(AnswerBody):
    emails: Count = Field(description="Mails that are sent.")
    webhooks: Count = Field(description="Webhooks that are sent to.")
    missing_webhooks: list[str] = Field(description="Those that are named, and gone.")
