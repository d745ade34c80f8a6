"""The FastAPI application, which answers all routes except the write routes."""

from __future__ import annotations

from typing import Any

from fastapi import FastAPI
from starlette.exceptions import HTTPException
from starlette.middleware.exceptions import ExceptionMiddleware
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Match
from starlette.types import ASGIApp

from query.language.parameters import analysis_meant
from query.language.suggestions import did_you_mean, meant
from service.errors import MethodNotAllowed, NotFound
from service.http.error_rendering import render
from service.http.openapi import recording
from service.http.openapi.document import document
from service.http.parts import Parts
from service.http.request import error_answer, raw_path
from service.http.routes import (
    dashboards,
    datasets,
    discovery,
    embedding,
    erasure,
    extractions,
    keys,
    live_tail,
    organisations,
    pictures,
    queries,
    retention,
    saved_queries,
    schema,
    system,
)
from service.http.routing import RuledRoute, script_callback
from service.http.write_api import find_target
from service.settings import Settings

SERVED = (
    queries.area,
    system.area,
    discovery.area,
    live_tail.area,
    schema.area,
    saved_queries.area,
    datasets.area,
    dashboards.area,
    embedding.area,
    pictures.area,
    keys.area,
    erasure.area,
    extractions.area,
    organisations.area,
    retention.area,
)
"""In the order in which they are tried, the most used first."""
ROUTES: list[RuledRoute] = [route for area in SERVED for route in area.routes]
AREAS = (
    recording.area,
    queries.area,
    extractions.area,
    live_tail.area,
    saved_queries.area,
    datasets.area,
    dashboards.area,
    embedding.area,
    pictures.area,
    schema.area,
    discovery.area,
    keys.area,
    erasure.area,
    retention.area,
    organisations.area,
    system.area,
)
"""In the order of the OpenAPI document, in which its examples are also sent."""


class Application(FastAPI):
    """The application, with the parts of the worker that its routes use."""

    parts: Parts
    datasets: datasets.DatasetReader
    described: system.Description

    def build_middleware_stack(self) -> ASGIApp:
        """Leave out FastAPI's layers for telemetry, body limits and form files, which no route here needs.

        ``RequestMiddleware`` answers unexpected exceptions.
        """
        return ExceptionMiddleware(self.router, handlers=self.exception_handlers)


def create_app(parts: Parts) -> FastAPI:
    """The application, to be wrapped in ``RequestMiddleware`` and placed behind the write routes."""
    app = Application(
        openapi_url=None,
        redirect_slashes=False,
        exception_handlers={HTTPException: _routing_error},
        # FastAPI's telemetry would go to whatever exporter a library or the environment has set up.
        telemetry={"tracing": False, "metrics": False, "logs": False, "auto_configure": False},
    )
    # One flat list: a router that is included in another searches its routes twice.
    app.router.routes.extend(ROUTES)
    app.parts = parts
    app.datasets = datasets.DatasetReader(parts)
    app.described = system.Description(lambda: describe(parts.settings))
    return app


def describe(settings: Settings) -> dict[str, Any]:
    """The OpenAPI document of all routes."""
    return document(AREAS, settings)


async def _routing_error(request: Request, error: Exception) -> Response:
    """The error for a path without a route, or whose routes do not take the method."""
    if isinstance(error, HTTPException) and (
        error.status_code == MethodNotAllowed.status or find_target(raw_path(request.scope)) is not None
    ):
        error = MethodNotAllowed(_methods(request))
    elif isinstance(error, HTTPException) and error.status_code == NotFound.status:
        error = NotFound(_no_route(raw_path(request.scope)))
    return error_answer(render(error), script_callback(request))


def _no_route(path: bytes) -> str:
    """An error message for an unknown path, with a likely cause if one is recognised."""
    parts = path.decode("latin-1").split("/")
    shown = path[:100].decode("latin-1").encode("ascii", "replace").decode()
    text = f"Resource not found: nothing has the path '{shown}'."
    if path.startswith(b"//"):
        return f"{text} It begins with two slashes: does the base address end in one?"
    if path.endswith(b"/"):
        return f"{text} Leave out the slash at the end."
    if len(parts) == 6 and parts[4] == "queries":
        text = f"Resource not found: no analysis is called '{parts[5][:60]}'."
        return text + meant(analysis_meant(parts[5]))
    if parts[1] == "projects" and len(parts) > 3:
        return f"{text} Every path begins with the version: /3.0{shown}."
    kinds = ("projects", "events", "queries", "keys", "datasets", "extractions")
    return text + did_you_mean(parts[min(4, len(parts) - 1)], kinds)


def _methods(request: Request) -> str:
    """The methods of all routes of this path, as ``Allow`` lists them: each route knows only its own."""
    matching = (route for route in ROUTES if route.matches(request.scope)[0] is not Match.NONE)
    methods = {method for route in matching for method in route.methods or ()}
    if find_target(raw_path(request.scope)) is not None:
        # Served by the write routes, which are not in ``ROUTES``.
        methods.add("POST")
    return ", ".join(sorted(methods | {"OPTIONS"}))
