"""What is recorded: collections and their properties; and, at the same address, an event in a URL."""

from __future__ import annotations

from service.http.openapi.collecting import EVENTS
from service.http.openapi.describe import (
    BOOLEAN,
    SCRIPT,
    STRING,
    Answer,
    Area,
    Example,
    Operation,
    in_query,
    listing,
    mapping,
    ok,
    record,
    ref,
)
from service.settings import Settings

_PURCHASES = {"event_collection": "purchases"}
_DATA = "eyJwcmljZSI6IDN9"
_SCHEMAS = {
    "Collection": record({"name": STRING, "url": STRING, "properties": mapping(STRING)}, ("name", "url")),
    "Property": record(
        {"property_name": STRING, "url": STRING, "type": STRING}, ("property_name", "url", "type")
    ),
}


def area(_: Settings) -> Area:
    given = (("POST", f"{EVENTS}/purchases", {"price": 1, "user": {"id": "ann"}}),)
    return Area(
        "schema", "See what is recorded.", (_all(), _inspect_or_beacon(), _property()), _SCHEMAS, given=given
    )


def _all() -> Operation:
    return Operation(
        "get",
        EVENTS,
        "All collections and their properties",
        ok(listing(ref("Collection")), "The collections."),
        parameters=(in_query("include_schema", BOOLEAN, "Whether to list properties (default true)."),),
        examples=(Example(key="read"), Example(query={"include_schema": "false"}, key="read")),
    )


def _inspect_or_beacon() -> Operation:
    found = Answer(
        "The collection; for a beacon a GIF or a script.",
        ref("Collection"),
        {"image/gif": {}, SCRIPT: {}},
    )
    beacon = {"data": _DATA, "api_key": "{write_key}"}
    return Operation(
        "get",
        f"{EVENTS}/{{event_collection}}",
        "The properties of a collection; with `data`, record one event",
        {200: found, 302: Answer("The beacon's event is stored; go on to `redirect`.")},
        description="With `data`, an event as base64 of its JSON, this records it from an image tag, a "
        "link (`redirect`) or a script (`jsonp`), and needs a key that may write.",
        parameters=(
            in_query("data", STRING, "An event: base64 of its JSON, standard or URL-safe."),
            in_query("redirect", STRING, "With `data`: an absolute http(s) URL to go on to."),
            "jsonp",
        ),
        errors=(413,),
        examples=(
            Example(_PURCHASES, key="read"),
            Example({"event_collection": "nothing"}, key="read", status=404),
            Example(_PURCHASES, beacon, key="", summary="A pixel"),
            Example(_PURCHASES, beacon | {"redirect": "https://example.com/"}, key="", status=302),
            Example(_PURCHASES, beacon | {"jsonp": "stored"}, key=""),
        ),
    )


def _property() -> Operation:
    where = _PURCHASES | {"property_name": "user.id"}
    return Operation(
        "get",
        f"{EVENTS}/{{event_collection}}/properties/{{property_name}}",
        "The type of one property",
        ok(ref("Property"), "Its name and type."),
        examples=(Example(where, key="read"),),
    )
