"""Webhooks, and what is sent to them."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated, ClassVar, Literal

from pydantic import Field

from service.http.models.shared import ABSENT, AnswerBody, Count, Moment, RequestBody


class WebhookSent(RequestBody):
    what: ClassVar[str] = "A webhook"

    url: Annotated[str, Field(min_length=1, max_length=2_048)] = Field(
        description="Where it is sent, by POST: `https://`, and a host that the server's operator allows; or "
        "`plugin:NAME?setting=value`, an alert channel of a plugin."
    )
    renew_secret: bool | None = Field(None, description="Whether it gets a new secret.")


class Webhook(AnswerBody):
    name: str
    origin: str | None = Field(
        description="Scheme, host and port of its URL, of which no more is shown; null where the server's "
        "secret is not the one it was made under."
    )
    secret: str = Field(ABSENT, description="That signs what is sent; shown when it is made.")
    created_date: datetime
    last_modified_date: datetime
    url: str = Field(description="Where it is managed.")


class WebhookDelivery(AnswerBody):
    id: str = Field(description="Its `Idempotency-Key`, the same at every attempt.")
    number: Count = Field(description="In order of making; `before` of a listing.")
    type: str
    state: Literal["waiting", "delivered", "dead"]
    attempts: Count
    created_date: datetime
    next_attempt_date: Moment
    ended_date: Moment
    status: int | None = Field(description="Of the last answer.")
    message: str | None = Field(description="Why the last attempt failed.")


class WebhookDeliveries(AnswerBody):
    deliveries: list[WebhookDelivery] = Field(description="Newest first.")
