"""Dashboards, kept for Keen's dashboard creator."""

from __future__ import annotations

from service.auth.principal import KEY_LENGTH_MAX
from service.http.openapi.describe import (
    BOOLEAN,
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
    nullable,
    ok,
    record,
    ref,
)
from service.http.routes.dashboards import DASHBOARDS
from service.queries.dashboards import DOCUMENT_BYTES_MAX, METADATA_BYTES_MAX
from service.settings import Settings

_ONE = f"{DASHBOARDS}/{{dashboard_id}}"
_SALES = {"dashboard_id": "sales"}
_COUNT: Json = {**INTEGER, "minimum": 0}
_FIELDS: Json = {
    "id": STRING,
    "title": nullable(STRING),
    "widgets": _COUNT,
    "queries": _COUNT,
    "tags": listing(STRING),
    "lastModificationDate": nullable(_COUNT),
    "isPublic": BOOLEAN,
    "publicAccessKey": nullable(STRING),
}
_SCHEMAS = {
    "DashboardMetadata": {**record(_FIELDS, _FIELDS), "additionalProperties": True},
    "DashboardMetadataSent": {
        "type": "object",
        "properties": {
            name: nullable(_FIELDS[name]) for name in _FIELDS if name not in ("id", "publicAccessKey")
        }
        | {"publicAccessKey": nullable({"type": "string", "maxLength": KEY_LENGTH_MAX})},
    },
}
_ABOUT = (
    "Keys that see all answers of a project see all its dashboards. A key with filters or lists of names "
    "sees those alone whose metadata has `isPublic` and the key as `publicAccessKey`; others are a 404 to it."
)


def area(_: Settings) -> Area:
    listed = Operation(
        "get",
        f"{DASHBOARDS}/metadata",
        "What is said of each dashboard, by their ids",
        ok(listing(ref("DashboardMetadata")), "The metadata."),
        _ABOUT,
        examples=(Example(key="read"),),
        name="list_dashboards",
    )
    operations = (_put(), _get(), *_metadata(), listed, _delete())
    parameters = {"dashboard_id": in_path("dashboard_id", "The dashboard's id.")}
    return Area("dashboards", "Dashboards of Keen's dashboard creator.", operations, _SCHEMAS, parameters)


def _put() -> Operation:
    document = {"version": "1", "widgets": [{"id": "w1", "type": "chart", "query": "daily-sales"}]}
    said = {"X-Keen-Blob-Metadata": '{"title": "Sales"}'}
    header: Json = {
        "name": "X-Keen-Blob-Metadata",
        "in": "header",
        "description": f"Its metadata as JSON, up to {METADATA_BYTES_MAX:,} bytes. Without it, what was said "
        "of the dashboard stands.",
        "schema": STRING,
    }
    return Operation(
        "put",
        _ONE,
        "Store or replace a dashboard",
        {200: Answer("It was there.", OBJECT), 201: Answer("It is new.", OBJECT)},
        f"The body is any JSON object of up to {DOCUMENT_BYTES_MAX:,} bytes.",
        parameters=(header,),
        body=OBJECT,
        errors=(413, 415),
        examples=(
            Example(_SALES, headers=said, body=document, status=201),
            Example(_SALES, body=document),
            Example(_SALES, body=document, key="read", status=401),
            Example(_SALES, body=["no object"], status=400),
        ),
    )


def _get() -> Operation:
    told = ok(OBJECT, "As it was stored.")
    return Operation("get", _ONE, "One dashboard", told, examples=(Example(_SALES, key="read"),))


def _metadata() -> tuple[Operation, Operation]:
    path = f"{_ONE}/metadata"
    said = {"title": "Sales", "tags": ["shop"], "isPublic": False}
    return (
        Operation(
            "put",
            path,
            "Replace what is said of a dashboard",
            ok(ref("DashboardMetadata"), "The metadata as it is now."),
            body=ref("DashboardMetadataSent"),
            errors=(413, 415),
            examples=(Example(_SALES, body=said), Example(_SALES, body={"tags": "shop"}, status=400)),
        ),
        Operation(
            "get",
            path,
            "What is said of a dashboard",
            ok(ref("DashboardMetadata"), "The metadata."),
            examples=(Example(_SALES, key="read"),),
        ),
    )


def _delete() -> Operation:
    return Operation(
        "delete",
        _ONE,
        "Delete a dashboard for ever",
        {204: Answer("It is gone.")},
        examples=(Example(_SALES, status=204), Example(_SALES, status=404)),
    )
