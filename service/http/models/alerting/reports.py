"""Scheduled reports: definitions, and their runs."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated, Any, ClassVar, Literal

from pydantic import Field, SkipValidation

from query.language import parameter_table
from service.alerts.report_definition import SCHEDULES
from service.http.models.shared import AnswerBody, Count, Json, Moment, RequestBody
from service.pictures.options import THEMES

_SCHEDULE: Json = {
    "type": "object",
    "properties": {
        "every": {"type": "string", "enum": list(SCHEDULES)},
        "at": {"type": "string", "default": "08:00", "description": "The local time of day."},
        "timezone": parameter_table.TIMEZONE,
    },
}
_NOTIFY: Json = {
    "items": {
        "type": "object",
        "properties": {"email": {"type": "string"}, "webhook": {"type": "string"}},
    }
}


class ReportDefinition(RequestBody):
    # Checked further by ``service.alerts.report_definition``.
    what: ClassVar[str] = "A report"

    dashboard: str | None = Field(None, description="The id of the dashboard.")
    schedule: Annotated[Any, SkipValidation] = Field(
        None,
        description="Daily, on the first day of each week, or of each month.",
        json_schema_extra=_SCHEDULE,
    )
    notify: Annotated[list[Any] | None, SkipValidation] = Field(
        None,
        description="Who gets it: by mail with its charts as pictures, by webhook with a link.",
        json_schema_extra=_NOTIFY,
    )
    access_key: str | None = Field(
        None, description="The public id of the access key under whose rights and filters it is made."
    )
    theme: str | None = Field(None, json_schema_extra={"enum": [*THEMES, None]})
    locale: str | None = Field(None, description="How numbers and dates are written; `en-US` by default.")
    display_name: str | None = None
    is_active: bool | None = None


class Report(AnswerBody):
    name: str
    display_name: str | None
    dashboard: str
    schedule: Json
    notify: list[Json]
    access_key: str | None
    theme: str
    locale: str
    is_active: bool
    next_run_date: Moment
    created_date: datetime
    last_modified_date: datetime
    url: str


class ReportRun(AnswerBody):
    number: Count = Field(description="In order of making; `before` of a listing.")
    scheduled_date: datetime
    is_test: bool
    state: Literal["waiting", "sent", "failed"]
    attempts: Count
    recipients_left: Count = Field(description="Addresses to which it was not sent yet.")
    pictures: Count = Field(description="Charts that were drawn.")
    ended_date: Moment
    message: str | None = Field(description="What went wrong last.")


class ReportHistory(AnswerBody):
    runs: list[ReportRun] = Field(description="Newest first.")


class ReportTest(AnswerBody):
    emails: Count = Field(description="Mails that are sent.")
    webhooks: Count = Field(description="Webhooks that are sent to.")
    missing_webhooks: list[str] = Field(description="Those that are named, and gone.")
