"""What there is: versions, projects, time zones, usage."""

from __future__ import annotations

from service.http.openapi.describe import (
    INTEGER,
    OBJECT,
    PROJECT,
    STRING,
    Area,
    Example,
    Json,
    Operation,
    listing,
    ok,
    record,
    ref,
)
from service.settings import Settings

_HELD = ("collections", "events", "bytes", "saved_queries", "cached_datasets")
_SCHEMAS = {
    "Project": record(
        {
            "id": STRING,
            "name": STRING,
            "api_key": STRING,
            "url": STRING,
            "events_url": STRING,
            "queries_url": STRING,
            "events": listing(record({"name": STRING, "url": STRING})),
            "saved_queries": listing(OBJECT),
        },
        ("id", "name", "url", "events"),
    ),
    "OwnUsage": record(
        {
            "cached_queries": record(
                {"limited": {"type": "boolean"}, "current_usage": INTEGER}, ("limited", "current_usage")
            ),
            **dict.fromkeys(_HELD, INTEGER),
            **dict.fromkeys(("today", "this_month", "quotas"), OBJECT),
            "keys": listing(OBJECT),
        },
        ("cached_queries", *_HELD),
    ),
    "Timezone": record(
        {"name": STRING, "number_of_seconds_to_offset_time": INTEGER, "utc_offset": STRING}, ("name",)
    ),
}


def area(_: Settings) -> Area:
    versions = record({"is_public": {"type": "boolean"}, "url": STRING, "version": STRING})
    operations = (
        _get("/3.0/projects", "The projects of a master key", listing(ref("Project"))),
        _get(PROJECT, "One project and its collections", ref("Project")),
        _get(
            f"{PROJECT}/organization-usage",
            "What the project holds",
            ref("OwnUsage"),
        ),
        _open("/", "The versions of the API", listing(versions)),
        _open("/3.0", "Where the projects are", record({"projects_resource_url": STRING})),
        _open("/timezones", "Time zones and their offsets now", listing(ref("Timezone"))),
    )
    return Area("discover", "Find your way.", operations, _SCHEMAS)


def _get(path: str, summary: str, schema: Json) -> Operation:
    refused = Example(key="write", status=401 if path.endswith(("projects", "usage")) else 403)
    return Operation("get", path, summary, ok(schema, f"{summary}."), examples=(Example(), refused))


def _open(path: str, summary: str, schema: Json) -> Operation:
    return Operation(
        "get", path, summary, ok(schema, f"{summary}."), errors=(503,), open=True, examples=(Example(key=""),)
    )
