"""The OpenAPI document: every route of the API, its parameters, answers, errors and examples.

Written by hand, since ``service.http.write_api`` answers the most used routes before the application, and the
others read the query string and the body themselves, in the several forms that Keen's clients send. One
module describes one area; ``tests/service/http/test_openapi.py`` holds that all routes are described, and
sends the examples.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable

from service.http.openapi import (
    collecting,
    dashboards,
    datasets,
    discovery,
    erasure,
    extractions,
    keys,
    organisations,
    queries,
    saved_queries,
    schema,
    shared,
    system,
)
from service.http.openapi.describe import Area, Json, item
from service.settings import Settings

TITLE = "Acumen"
VERSION = "3.0"

DESCRIPTION = """\
Send JSON events, ask questions about them. The API is Keen's 3.0, so its SDKs work with the host changed.

A key goes into the header `Authorization` as it is, without `Bearer`, or into the parameter `api_key`; the
header wins. Bodies are read as JSON whatever their content type. Every error has a `message` for people and
an `error_code` for programs; unknown parameters are ignored. Text without a time zone is UTC.

`x-examples` are whole requests, with names in braces for what is yours; each was sent, and answered so, by
the tests of this version.
"""

AREAS: tuple[Callable[[Settings], Area], ...] = (
    shared.area,
    collecting.area,
    queries.area,
    extractions.area,
    saved_queries.area,
    datasets.area,
    dashboards.area,
    schema.area,
    discovery.area,
    keys.area,
    erasure.area,
    organisations.area,
    system.area,
)
"""In the order of the document, which is that in which its examples are sent."""


def areas(settings: Settings) -> list[Area]:
    return [describe(settings) for describe in AREAS]


def document(settings: Settings) -> Json:
    """The document, version 3.1."""
    every = areas(settings)
    return {
        "openapi": "3.1.0",
        "info": {"title": TITLE, "version": VERSION, "description": DESCRIPTION},
        "servers": [{"url": settings.public_url or "/"}],
        "tags": [{"name": area.tag, "description": area.about} for area in every if area.operations],
        "paths": _paths(every),
        "components": {
            "schemas": {name: one for area in every for name, one in area.schemas.items()},
            "parameters": {name: one for area in every for name, one in area.parameters.items()},
            "securitySchemes": {
                "header": {"type": "apiKey", "in": "header", "name": "Authorization"},
                "parameter": {"type": "apiKey", "in": "query", "name": "api_key"},
            },
        },
        "security": [{"header": []}, {"parameter": []}],
    }


def _paths(every: Iterable[Area]) -> Json:
    paths: Json = {}
    for area in every:
        for operation in area.operations:
            paths.setdefault(operation.path, {})[operation.method] = item(operation, area.tag)
    return paths
