"""Everything that the write path does not answer: a FastAPI application around the parts of a worker."""

from __future__ import annotations

from typing import Any

from fastapi import FastAPI
from fastapi.exceptions import RequestValidationError
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response

from service import openapi
from service.errors import render
from service.parts import Parts
from service.routes import discovery, queries, schema, system
from service.wire import error_answer


def create_app(parts: Parts) -> FastAPI:
    """The application; ``service.edge.Edge`` goes around it, and the write path in front."""
    app = FastAPI(
        title=openapi.TITLE, version=openapi.VERSION, docs_url=None, redoc_url=None, redirect_slashes=False
    )
    for module in (system, discovery, schema, queries):
        app.include_router(module.router(parts))
    app.add_exception_handler(HTTPException, _render)
    app.add_exception_handler(RequestValidationError, _render)

    def document() -> dict[str, Any]:
        return openapi.document(parts.settings)

    app.openapi = document  # type: ignore[method-assign]
    return app


async def _render(_: Request, error: Exception) -> Response:
    return error_answer(render(error))
