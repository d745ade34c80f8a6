"""Taking events away."""

from __future__ import annotations

from service.openapi.describe import PROJECT, STRING, Answer, Area, Example, Operation, in_query
from service.settings import Settings

_EVENTS = f"{PROJECT}/events/{{event_collection}}"
_BOB = '[{"property_name":"user.id","operator":"eq","property_value":"bob"}]'


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
    given = [
        ("POST", f"{PROJECT}/events/logins", {"user": {"id": name, "mail": f"{name}@example.com"}})
        for name in ("ann", "bob")
    ]
    return Area("erase", "Take events away.", (events, one), given=tuple(given))
