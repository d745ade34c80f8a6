"""Documentation of recording events, which ``service.http.write_api`` serves before all routes."""

from __future__ import annotations

from query.language.parameter_table import listing, record
from service.api_paths import PROJECTS
from service.http.openapi.operation import BOOLEAN, STRING, DocumentedAnswer, Example, Json, Operation, ref
from service.http.routing import RouteArea
from service.ingest.enrich.definitions import ADDONS_MAX
from service.ingest.identities import ID_LENGTH_MAX
from service.settings import Settings

PROJECT = f"{PROJECTS}/{{project_id}}"
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
            "input": record({needed: _PATH, **others}, needed),
            "output": _PATH,
        },
        "name",
        "input",
        "output",
    )


_ID: Json = {
    "anyOf": [{**STRING, "minLength": 1, "maxLength": ID_LENGTH_MAX}, {"type": "number"}],
}


def _statement(name: str) -> Json:
    return {**record({"user_id": _ID, name: _ID}, "user_id", name), "additionalProperties": True}


SCHEMAS: dict[str, Json] = {
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
        "description": "When the event arrives, fills in properties derived from one of its own.",
        "oneOf": [
            _addon("ip_to_geo", "ip", remove_ip_property=BOOLEAN),
            _addon("ua_parser", "ua_string"),
            _addon("url_parser", "url"),
            _addon("referrer_parser", "referrer_url", page_url=_PATH),
            _addon("date_time_parser", "date_time"),
        ],
    },
    "Statement": {
        "description": "That two ids are one actor: a link or an alias.",
        "oneOf": [_statement("anonymous_id"), _statement("alias")],
    },
    "Created": record({"created": {"const": True}}, "created"),
    "Verdict": record(
        {"success": BOOLEAN, "error": record({"name": STRING, "description": STRING})}, "success"
    ),
}


_VERDICTS: Json = {"type": "object", "additionalProperties": listing(ref("Verdict"))}
_PACKED = ("content_encoding", "idempotency_key")
_PURCHASES = {"event_collection": "purchases"}
_OPENED = {"event": "open", "email": "ann@example.com", "timestamp": 1_767_225_600, "sg_event_id": "e1"}


def _about_one(settings: Settings) -> str:
    return (
        "201 says that the event is durable. An unknown collection is created. "
        f"At most {settings.event_bytes_max} bytes; the body may be compressed."
    )


def _about_many(settings: Settings) -> str:
    return (
        "Collection → events. The answer has a verdict for each event, in the same order; 200 also where "
        f"some were refused. At most {settings.bulk_bytes_max} bytes and {settings.bulk_events_max} events."
    )


area = RouteArea("record", "Send events.")
area.describe(
    Operation(
        method="post",
        path=f"{EVENTS}/{{event_collection}}",
        summary="Record one event",
        answers={201: DocumentedAnswer("The event is stored.", schema=ref("Created"))},
        description=_about_one,
        parameters=_PACKED,
        body=ref("Event"),
        errors=(409,),
        examples=(
            Example(_PURCHASES, body=_PURCHASE, key="write", status=201),
            Example(
                {"event_collection": "visits"},
                body=_VISIT,
                key="write",
                status=201,
                summary="With add-ons, which the server runs",
            ),
            Example(
                _PURCHASES, body={"$price": 1}, key="write", status=400, summary="A name that is refused"
            ),
            Example(
                _PURCHASES, body={"price": 1}, key="read", status=403, summary="A key that may not write"
            ),
        ),
    ),
    Operation(
        method="post",
        path=EVENTS,
        summary="Record many events",
        answers={200: DocumentedAnswer("A verdict for each event.", schema=_VERDICTS)},
        description=_about_many,
        parameters=_PACKED,
        body={"type": "object", "additionalProperties": listing(ref("Event"))},
        errors=(409,),
        examples=(
            Example(body=_BATCH, key="write"),
            Example(body={"purchases": [{"price": 5}, {"a.b": 1}]}, key="write", summary="One is refused"),
        ),
    ),
    Operation(
        method="post",
        path=f"{PROJECT}/identities",
        summary="Say that two ids are one actor",
        answers={
            200: DocumentedAnswer("Of a list: a verdict for each statement.", schema=_VERDICTS),
            201: DocumentedAnswer("Of one: it is stored.", schema=ref("Created")),
        },
        description="An anonymous id and the user that it belongs to, or an `alias` of a user; one "
        "statement, or a list. Each is an event of the collection `acumen.identities`, where it may be sent "
        "as any event too, and may have further properties.",
        parameters=_PACKED,
        body={"anyOf": [ref("Statement"), {**listing(ref("Statement")), "minItems": 1}]},
        errors=(409,),
        examples=(
            Example(body={"anonymous_id": "a7", "user_id": "eve"}, key="write", status=201),
            Example(body=[{"alias": "eve@shop.example", "user_id": "eve"}], key="write"),
            Example(body={"anonymous_id": "a7"}, key="write", status=400),
        ),
    ),
    Operation(
        method="post",
        path=f"{PROJECT}/partners/sendgrid/versions/v3",
        summary="Record SendGrid's events",
        answers={200: DocumentedAnswer("A verdict for each event.", schema=_VERDICTS)},
        description="For SendGrid's event webhook, with a write key as `api_key`. Events go to the "
        "collection `sendgrid`; `timestamp` is their time, and `sg_event_id` makes a repeated delivery "
        "count once.",
        parameters=_PACKED,
        body=listing({"type": "object"}),
        errors=(409,),
        examples=(
            Example(body=[_OPENED, {**_OPENED, "event": "click", "sg_event_id": "e2"}], key="write"),
            Example(body={"event": "open"}, key="write", status=400),
        ),
    ),
)
