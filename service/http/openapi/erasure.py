"""Taking events away."""

from __future__ import annotations

from service.http.openapi.describe import (
    BOOLEAN,
    INTEGER,
    OBJECT,
    PROJECT,
    STRING,
    Answer,
    Area,
    Example,
    Operation,
    in_query,
    listing,
    nullable,
    ok,
    record,
    ref,
)
from service.settings import Settings

_EVENTS = f"{PROJECT}/events/{{event_collection}}"
_BOB = '[{"property_name":"user.id","operator":"eq","property_value":"bob"}]'

_PLAN = {"property_name": "plan", "property_value": "free"}
_SCHEMAS = {
    "EventUpdate": record(
        {
            "property_updates": listing(
                record(
                    {"property_name": STRING, "property_value": {}, "upsert_property": BOOLEAN},
                    ("property_name", "property_value"),
                )
            ),
            "filters": listing(OBJECT),
            "timeframe": {},
            "timezone": {},
        },
        ("property_updates",),
    )
}


def area(_: Settings) -> Area:
    where = {"event_collection": "logins"}
    gone = {204: Answer("Done: no question sees them any more. The bytes go from the disk after the grace.")}
    events = Operation(
        "delete",
        _EVENTS,
        "Delete events, or a whole collection",
        gone,
        "All events that were acknowledged before and match `filters` and `timeframe`. Without either, the "
        "whole collection; then no other parameter may stand there. The body is ignored.",
        parameters=(
            in_query("filters", STRING, "A list of filters, as JSON."),
            in_query("timeframe", STRING, "A relative one, plain or quoted, or an absolute one as JSON."),
            in_query("timezone", STRING, "Of a relative timeframe: a name, or seconds east of UTC."),
        ),
        errors=(504,),
        examples=(
            Example(where, {"filters": _BOB, "timeframe": '"this_7_days"'}, status=204),
            Example(where, {"filter": _BOB}, status=400, summary="A slip of the pen deletes nothing"),
            Example(where, key="read", status=401),
        ),
    )
    one = Operation(
        "delete",
        f"{_EVENTS}/properties/{{property_name}}",
        "Delete a property, with all that is nested in it, from every event",
        gone,
        errors=(504,),
        examples=(
            Example(where | {"property_name": "user.mail"}, status=204),
            Example(where | {"property_name": "keen.id"}, status=403),
        ),
    )
    update = Operation(
        "put",
        _EVENTS,
        "Change properties of events",
        ok(record({"updated_events": INTEGER}, ("updated_events",)), "How many were changed."),
        "In all events that were acknowledged before and match. Without `upsert_property` only events that "
        "have the property are changed.",
        body=ref("EventUpdate"),
        errors=(413, 415, 504),
        examples=(
            Example(where, body={"property_updates": [{**_PLAN, "upsert_property": True}]}),
            Example(where, body={"property_updates": [{"property_name": "plan"}]}, status=400),
        ),
    )
    given = [
        ("POST", f"{PROJECT}/events/logins", {"user": {"id": name, "mail": f"{name}@example.com"}})
        for name in ("ann", "bob")
    ]
    operations = (update, events, one, *_retention(where))
    return Area("erase", "Take events away, or change them.", operations, _SCHEMAS, given=tuple(given))


def _retention(where: dict[str, str]) -> tuple[Operation, ...]:
    days = record({"days": nullable(INTEGER)}, ("days",))
    kept = f"{PROJECT}/retention/{{event_collection}}"
    return (
        Operation(
            "put",
            kept,
            "Keep a collection's events for some days only",
            ok(days, "From now on."),
            "What is older goes day by day, in UTC, by `keen.timestamp`; what is too old already goes now.",
            body=record({"days": {**INTEGER, "minimum": 1, "maximum": 36_500}}, ("days",)),
            errors=(413, 415),
            examples=(Example(where, body={"days": 400}), Example(where, body={"days": 0}, status=400)),
        ),
        Operation("get", kept, "For how many days events are kept", ok(days), examples=(Example(where),)),
        Operation(
            "delete",
            kept,
            "Keep a collection's events for ever",
            {204: Answer("From now on.")},
            examples=(Example(where, status=204),),
        ),
    )
