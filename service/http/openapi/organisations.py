"""The organisation API."""

from __future__ import annotations

from service.http.openapi.describe import (
    INTEGER,
    OBJECT,
    STRING,
    Answer,
    Area,
    Example,
    Json,
    Operation,
    in_path,
    listing,
    ok,
    record,
    ref,
)
from service.http.openapi.queries import ROUND, WEEK_START
from service.settings import Settings

_BASE = "/3.0/organizations/{organization_id}/projects"
_ONE = f"{_BASE}/{{own_project}}"
_PREFERENCES: Json = {
    **OBJECT,
    "description": "Any, of which `round` and `week_start` are what the project's questions are answered by.",
    "properties": {"round": ROUND, "week_start": WEEK_START},
}
_FIELDS = {
    "name": STRING,
    "users": listing(record({"email": STRING}, ("email",))),
    "preferences": _PREFERENCES,
}
_HELD = ("collections", "events", "bytes", "saved_queries", "cached_queries", "cached_datasets")
_COUNTS = dict.fromkeys(_HELD, INTEGER)
_SENT = dict.fromkeys(("today", "this_month"), OBJECT)
_KEYS = record({"writeKey": STRING, "readKey": STRING, "masterKey": STRING}, ("masterKey",))
_SCHEMAS = {
    "Usage": record(
        {
            **_COUNTS,
            "projects": listing(
                record({"id": STRING, "name": STRING, **_COUNTS, **_SENT}, ("id", "name", *_HELD))
            ),
        },
        (*_HELD, "projects"),
    ),
    "ProjectDefinition": record(_FIELDS),
    "OwnedProject": record(
        {"id": STRING, **_FIELDS, "apiKeys": _KEYS}, ("id", "name", "users", "apiKeys", "preferences")
    ),
}


def area(_: Settings) -> Area:
    mine = {"own_project": "{made_id}"}
    told = ok(ref("OwnedProject"), "The project, keys included.")
    changes = [
        Operation(
            method,
            _ONE,
            "Change a project's name, users or preferences",
            told,
            "What is not given stays; `users` replaces the whole list.",
            body=ref("ProjectDefinition"),
            errors=(409, 413, 415),
            examples=(Example(mine, body={"users": [{"email": "ann@example.com"}]}, key="organization"),),
        )
        for method in ("post", "put")
    ]
    operations = (
        Operation(
            "post",
            _BASE,
            "Make a project",
            told,
            body=ref("ProjectDefinition"),
            errors=(409, 413, 415),
            examples=(
                Example(body={"name": "Shop of {project_id}"}, key="organization", keep={"made_id": "id"}),
                Example(body={"name": "Shop of {project_id}"}, key="organization", status=409),
                Example(body={"name": "Other"}, key="master", status=401),
            ),
        ),
        Operation(
            "get",
            _BASE,
            "The organisation's projects",
            ok(listing(ref("OwnedProject")), "The projects, keys included."),
            examples=(Example(key="organization"),),
        ),
        Operation(
            "get",
            "/3.0/organizations/{organization_id}/usage",
            "What the organisation's projects hold",
            ok(
                ref("Usage"),
                "In all, and by project; events that stand in files, and their bytes.",
            ),
            examples=(Example(key="organization"), Example(key="read", status=401)),
        ),
        Operation("get", _ONE, "One project", told, examples=(Example(mine, key="organization"),)),
        *changes,
        Operation(
            "delete",
            _ONE,
            "Delete a project",
            {204: Answer("Its keys are dead; its data is purged some days later.")},
            examples=(
                Example(mine, key="organization", status=204),
                Example(mine, key="organization", status=404),
            ),
        ),
    )
    parameters = {
        "organization_id": in_path("organization_id", "The organisation's id."),
        "own_project": in_path("own_project", "The id of one of its projects."),
    }
    about = "Projects, for whoever holds the organisation's key. Organisations are made from the shell."
    return Area("organizations", about, operations, _SCHEMAS, parameters)
