"""``/openapi.json``: FastAPI's description of every route, completed with what FastAPI cannot derive."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

from fastapi.openapi.utils import get_openapi
from pydantic.json_schema import models_json_schema

from query.language import parameter_table
from service.http.models.shared import Error, Warning
from service.http.openapi.operation import PARAMETERS, PLACEHOLDER, Json
from service.http.openapi.recording import SCHEMAS as EVENT_SCHEMAS
from service.http.routing import RouteArea
from service.settings import Settings

TITLE = "Acumen"
VERSION = "3.0"
DESCRIPTION = """\
Send JSON events, and ask questions about them. This is Keen's API 3.0, so its SDKs work once they are given
this server's address.

Send a key in the header `Authorization` as it is, without `Bearer`, or in the parameter `api_key`; the header
takes precedence. Bodies are read as JSON whatever their content type. Every error has a `message` for people
and an `error_code` for programs. Times without a time zone are UTC.

The examples (`x-examples` in the document) are whole requests, with names in braces for what is yours. The
tests of this version sent each of them and got the answer it names.
"""
_TOKENS = (
    "Or an embed token, which was made offline from an access key and can less than it: it reads results of "
    "saved queries, datasets and dashboards, and only what it allows beside them. An expired one is a 401 "
    "`EmbedTokenExpiredError`, one of another origin a 403, one whose budget is used up a 429."
)
_KEYS: Json = {
    "header": {
        "type": "apiKey",
        "in": "header",
        "name": "Authorization",
        "description": f"A key. {_TOKENS} Or the word `session`, with the cookie of a person's session.",
    },
    "parameter": {
        "type": "apiKey",
        "in": "query",
        "name": "api_key",
        "description": f"A key, where no header has one. {_TOKENS}",
    },
}


def document(areas: Sequence[RouteArea], settings: Settings) -> Json:
    """The document, OpenAPI 3.1. Building it takes a fraction of a second."""
    routes = [
        operation.route(endpoint, area.tag, settings)
        for area in areas
        for operation, endpoint in area.described
    ]
    made: Json = get_openapi(
        title=TITLE,
        version=VERSION,
        description=DESCRIPTION,
        routes=routes,
        tags=[{"name": area.tag, "description": area.about} for area in areas],
        servers=[{"url": settings.public_url or "/"}],
    )
    made = _plain(made)
    for area in areas:
        for operation in area.operations:
            entry = made["paths"][operation.path][operation.method]
            del entry["responses"][PLACEHOLDER]
            _drop_titles(one["schema"] for one in entry.get("parameters", ()) if "schema" in one)
            entry["x-examples"] = operation.shown_examples()
    schemas = made["components"]["schemas"]
    schemas |= _schemas()
    _drop_titles(schemas.values())
    components = {"schemas": schemas, "parameters": PARAMETERS, "securitySchemes": _KEYS}
    return {**made, "components": components, "security": [{name: []} for name in _KEYS]}


def _schemas() -> Json:
    """The schemas that raw schemas refer to."""
    _, models = models_json_schema(
        [(Error, "serialization"), (Warning, "serialization")],
        ref_template="#/components/schemas/{model}",
    )
    return {**models["$defs"], **parameter_table.SCHEMAS, **EVENT_SCHEMAS}


def _plain(value: Any) -> Any:
    """The JSON value with whole numbers as integers: FastAPI turns bounds into floats."""
    if isinstance(value, float) and value.is_integer():
        return int(value)
    if isinstance(value, list):
        return [_plain(one) for one in value]
    return {name: _plain(one) for name, one in value.items()} if isinstance(value, dict) else value


def _drop_titles(schemas: Iterable[Json]) -> None:
    """Remove the titles that pydantic derives from the names of models and fields."""
    for schema in schemas:
        for one in (schema, *schema.get("properties", {}).values()):
            one.pop("title", None)
