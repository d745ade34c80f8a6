"""Recording events: one, many, in a URL."""

from __future__ import annotations

from service.http.openapi.describe import (
    BOOLEAN,
    PROJECT,
    STRING,
    Answer,
    Area,
    Example,
    Json,
    Operation,
    listing,
    mapping,
    ok,
    record,
    ref,
)
from service.ingest.enrich.definitions import ADDONS_MAX
from service.settings import Settings

EVENTS = f"{PROJECT}/events"
_PURCHASE = {"price": 12.5, "user": {"id": "ann"}, "keen": {"timestamp": "2026-03-01T12:00:00Z"}}
_BATCH = {
    "purchases": [{"price": 7, "user": {"id": "bob"}}, {"price": 30, "user": {"id": "ann"}}],
    "signups": [{"plan": "free", "user": {"id": "ann"}}],
}
_VISIT = {
    "ip_address": "${keen.ip}",
    "user_agent": "${keen.user_agent}",
    "url": "https://shop.example/tea?utm_source=mail",
    "keen": {
        "addons": [
            {
                "name": "keen:ip_to_geo",
                "input": {"ip": "ip_address", "remove_ip_property": True},
                "output": "geo",
            },
            {"name": "keen:ua_parser", "input": {"ua_string": "user_agent"}, "output": "tech"},
            {"name": "keen:url_parser", "input": {"url": "url"}, "output": "page"},
        ]
    },
}
_PATH = {**STRING, "minLength": 1, "description": "The path of a property: `page.url`."}


def _addon(name: str, needed: str, **others: Json) -> Json:
    return record(
        {
            "name": {"const": f"keen:{name}"},
            "input": record({needed: _PATH, **others}, (needed,)),
            "output": _PATH,
        },
        ("name", "input", "output"),
    )


_SCHEMAS: dict[str, Json] = {
    "Event": {
        "type": "object",
        "description": "Any JSON object. `keen.timestamp` may say when it happened.",
        "properties": {
            "keen": record(
                {
                    "timestamp": {**STRING, "format": "date-time"},
                    "uniqueness_token": {**STRING, "minLength": 1, "maxLength": 64},
                    "addons": {**listing(ref("Addon")), "maxItems": ADDONS_MAX},
                }
            )
        },
        "additionalProperties": True,
    },
    "Addon": {
        "description": "Fills in, when the event comes, what one of its properties tells.",
        "oneOf": [
            _addon("ip_to_geo", "ip", remove_ip_property=BOOLEAN),
            _addon("ua_parser", "ua_string"),
            _addon("url_parser", "url"),
            _addon("referrer_parser", "referrer_url", page_url=_PATH),
            _addon("date_time_parser", "date_time"),
        ],
    },
    "Created": record({"created": {"const": True}}, ("created",)),
    "Verdict": record(
        {"success": BOOLEAN, "error": record({"name": STRING, "description": STRING})}, ("success",)
    ),
}


def area(settings: Settings) -> Area:
    return Area("record", "Send events.", (_one(settings), _many(settings), _sendgrid()), _SCHEMAS)


def _one(settings: Settings) -> Operation:
    purchases = {"event_collection": "purchases"}
    return Operation(
        "post",
        f"{EVENTS}/{{event_collection}}",
        "Record one event",
        {201: Answer("The event is stored.", ref("Created"))},
        description="201 says that the event is durable. An unknown collection is created. "
        f"At most {settings.event_bytes_max} bytes; the body may be compressed.",
        parameters=("content_encoding", "idempotency_key"),
        body=ref("Event"),
        errors=(409, 413, 415),
        examples=(
            Example(purchases, body=_PURCHASE, key="write", status=201),
            Example(
                {"event_collection": "visits"},
                body=_VISIT,
                key="write",
                status=201,
                summary="With add-ons, which the server runs",
            ),
            Example(purchases, body={"$price": 1}, key="write", status=400, summary="A name that is refused"),
            Example(purchases, body={"price": 1}, key="read", status=403, summary="A key that may not write"),
        ),
    )


def _many(settings: Settings) -> Operation:
    return Operation(
        "post",
        EVENTS,
        "Record many events",
        ok(mapping(listing(ref("Verdict"))), "A verdict for each event."),
        description="Collection → events. The answer has a verdict for each event, in the same order; "
        f"200 also where some were refused. At most {settings.bulk_bytes_max} bytes and "
        f"{settings.bulk_events_max} events.",
        parameters=("content_encoding", "idempotency_key"),
        body=mapping(listing(ref("Event"))),
        errors=(409, 413, 415),
        examples=(
            Example(body=_BATCH, key="write"),
            Example(body={"purchases": [{"price": 5}, {"a.b": 1}]}, key="write", summary="One is refused"),
        ),
    )


def _sendgrid() -> Operation:
    opened = {"event": "open", "email": "ann@example.com", "timestamp": 1_767_225_600, "sg_event_id": "e1"}
    return Operation(
        "post",
        f"{PROJECT}/partners/sendgrid/versions/v3",
        "Record SendGrid's events",
        ok(mapping(listing(ref("Verdict"))), "A verdict for each event."),
        description="For SendGrid's event webhook, with a write key as `api_key`. Events go to the "
        "collection `sendgrid`; `timestamp` is their time, and `sg_event_id` makes a repeated delivery "
        "count once.",
        parameters=("content_encoding", "idempotency_key"),
        body=listing({"type": "object"}),
        errors=(409, 413, 415),
        examples=(
            Example(body=[opened, {**opened, "event": "click", "sg_event_id": "e2"}], key="write"),
            Example(body={"event": "open"}, key="write", status=400),
        ),
    )
