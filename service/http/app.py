"""The FastAPI application, which answers all routes except the write routes."""

from __future__ import annotations

from typing import Any

from fastapi import FastAPI
from starlette.requests import Request
from starlette.routing import Match
from starlette.types import ASGIApp, Receive, Scope, Send

from query.language.parameters import analysis_meant
from query.language.suggestions import did_you_mean, meant
from service.errors import MethodNotAllowed, NotFound
from service.http.agents import mcp
from service.http.error_rendering import render
from service.http.openapi import recording
from service.http.openapi.document import document
from service.http.pages import shell
from service.http.parts import Parts
from service.http.request import error_answer, raw_path
from service.http.routes import (
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
    sql,
    system,
)
from service.http.routes.accounts import joining, openid, organisation_people, own
from service.http.routes.administration import (
    erasures,
    identities,
    key_previews,
    own_keys,
    project_facts,
    server_state,
    stored_files,
    usage,
)
from service.http.routes.alerting import alerts, reports, webhooks
from service.http.routes.cohorts import definitions
from service.http.routes.dashboards import documents, shares, tiles
from service.http.routes.importing import imports
from service.http.routes.pipelines import expectations, lineage, pipelines, sources, watching
from service.http.routing import RuledRoute, script_callback
from service.http.write_api import find_target
from service.settings import Settings

SERVED = (
    queries.area,
    sql.area,
    system.area,
    discovery.area,
    live_tail.area,
    schema.area,
    saved_queries.area,
    definitions.area,
    datasets.area,
    documents.area,
    tiles.area,
    shares.area,
    embedding.area,
    pictures.area,
    mcp.area,
    keys.area,
    erasure.area,
    identities.area,
    extractions.area,
    imports.area,
    pipelines.area,
    watching.area,
    expectations.area,
    sources.area,
    lineage.area,
    webhooks.area,
    alerts.area,
    reports.area,
    organisations.area,
    retention.area,
    key_previews.area,
    own_keys.area,
    erasures.area,
    stored_files.area,
    usage.area,
    server_state.area,
    project_facts.area,
    own.area,
    joining.area,
    openid.area,
    organisation_people.area,
    shell.area,
)
"""In the order in which they are tried, the most used first."""
ROUTES: list[RuledRoute] = [route for area in SERVED for route in area.routes]
AREAS = (
    recording.area,
    imports.area,
    queries.area,
    sql.area,
    extractions.area,
    live_tail.area,
    saved_queries.area,
    definitions.area,
    datasets.area,
    documents.area,
    tiles.area,
    shares.area,
    embedding.area,
    pictures.area,
    pipelines.area,
    watching.area,
    expectations.area,
    sources.area,
    lineage.area,
    webhooks.area,
    alerts.area,
    reports.area,
    mcp.area,
    schema.area,
    discovery.area,
    keys.area,
    erasure.area,
    identities.area,
    retention.area,
    key_previews.area,
    own_keys.area,
    erasures.area,
    stored_files.area,
    usage.area,
    server_state.area,
    project_facts.area,
    organisations.area,
    own.area,
    joining.area,
    openid.area,
    organisation_people.area,
    system.area,
    shell.area,
)
"""In the order of the OpenAPI document, in which its examples are also sent."""


class Application(FastAPI):
    """The application, with the parts of the worker that its routes use."""

    parts: Parts
    datasets: datasets.DatasetReader
    described: system.Description

    def build_middleware_stack(self) -> ASGIApp:
        """Leave out FastAPI's layers for telemetry, body limits, form files and exceptions.

        No route here needs them: each renders its own errors, ``_no_route`` where there is no route, and
        ``RequestMiddleware`` answers unexpected exceptions.
        """
        return self.router


def create_app(parts: Parts) -> FastAPI:
    """The application, to be wrapped in ``RequestMiddleware`` and placed behind the write routes."""
    app = Application(
        openapi_url=None,
        redirect_slashes=False,
        # FastAPI's telemetry would go to whatever exporter a library or the environment has set up.
        telemetry={"tracing": False, "metrics": False, "logs": False, "auto_configure": False},
    )
    # One flat list: a router that is included in another searches its routes twice.
    app.router.routes.extend(ROUTES)
    app.router.default = _no_route
    app.parts = parts
    app.datasets = datasets.DatasetReader(parts)
    app.described = system.Description(lambda: describe(parts.settings))
    return app


def describe(settings: Settings) -> dict[str, Any]:
    """The OpenAPI document of all routes."""
    return document(AREAS, settings)


async def _no_route(scope: Scope, receive: Receive, send: Send) -> None:
    """Answer where no route has the path, or none of those that have it takes the method."""
    request, path = Request(scope, receive, send), raw_path(scope)
    methods = _methods(scope)
    error = (
        MethodNotAllowed(", ".join(sorted(methods | {"OPTIONS"}))) if methods else NotFound(_not_found(path))
    )
    await error_answer(render(error), script_callback(request))(scope, receive, send)


def _methods(scope: Scope) -> set[str]:
    """The methods of all routes of this path: each route knows only its own."""
    matching = (route for route in ROUTES if route.matches(scope)[0] is not Match.NONE)
    methods = {method for route in matching for method in route.methods or ()}
    # The write routes, which are not in ``ROUTES``, take a POST alone.
    return methods | ({"POST"} if find_target(raw_path(scope)) is not None else set())


def _not_found(path: bytes) -> str:
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
    kinds = ("projects", "events", "queries", "keys", "datasets", "extractions", "imports")
    return text + did_you_mean(parts[min(4, len(parts) - 1)], kinds)
