"""Everything that the write path does not answer: a Starlette application around the parts of a worker."""

from __future__ import annotations

from collections.abc import Iterable

from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import BaseRoute, Match, Route

from query.language.parameters import analysis_meant
from query.language.suggestions import did_you_mean, meant
from service.errors import MethodNotAllowed, NotFound
from service.http.authorization import script_callback
from service.http.error_rendering import render
from service.http.parts import Parts
from service.http.request import error_answer, raw_path
from service.http.routes import (
    dashboards,
    datasets,
    discovery,
    erasure,
    extractions,
    keys,
    organisations,
    queries,
    retention,
    saved_queries,
    schema,
    system,
)
from service.http.write_api import find_target

MODULES = (
    queries,
    system,
    discovery,
    schema,
    saved_queries,
    datasets,
    dashboards,
    keys,
    erasure,
    extractions,
    organisations,
    retention,
)
"""Of routes, in the order in which they are tried: what is asked most comes first."""


def create_app(parts: Parts) -> Starlette:
    """The application; ``RequestMiddleware`` goes around it, and the write path stands in front."""
    routes = [route for module in MODULES for route in module.router(parts).routes]

    async def tell(request: Request, error: Exception) -> Response:
        if isinstance(error, HTTPException) and (
            error.status_code == MethodNotAllowed.status or find_target(raw_path(request.scope)) is not None
        ):
            error = MethodNotAllowed(_methods(routes, request))
        elif isinstance(error, HTTPException) and error.status_code == NotFound.status:
            error = NotFound(_no_route(raw_path(request.scope)))
        return error_answer(render(error), script_callback(request))

    app = Starlette(routes=routes, exception_handlers={HTTPException: tell})
    app.router.redirect_slashes = False
    return app


def _no_route(path: bytes) -> str:
    """What is wrong with the path, as far as can be said."""
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


def routes_of(app: Starlette) -> list[Route]:
    """In the order in which they are tried."""
    return [route for route in app.routes if isinstance(route, Route)]


def _methods(routes: Iterable[BaseRoute], request: Request) -> str:
    """Those of all routes of this path: each route alone knows only its own."""
    matching = (route for route in routes if route.matches(request.scope)[0] is not Match.NONE)
    found = {method for route in matching if isinstance(route, Route) for method in route.methods or ()}
    if find_target(raw_path(request.scope)) is not None:
        # The write path's, which came before.
        found.add("POST")
    return ", ".join(sorted(found | {"OPTIONS"}))
