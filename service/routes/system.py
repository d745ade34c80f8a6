"""For operators: is it alive, should it be sent requests, what has it done."""

from __future__ import annotations

import asyncio
from typing import Any

from fastapi import APIRouter
from starlette.requests import Request
from starlette.responses import Response

from service.errors import DAMAGED, Unavailable
from service.parts import Parts
from service.rules import Routes
from service.wire import json_answer


def router(parts: Parts) -> APIRouter:
    routes = Routes(parts.tenants)

    async def health(_: Request) -> Response:
        return json_answer({"status": "ok"})

    async def ready(_: Request) -> Response:
        if parts.lifecycle.stopping:
            raise Unavailable("The server is stopping.")
        loop = asyncio.get_running_loop()
        await loop.run_in_executor(parts.catalog_executor, parts.catalog.version)
        state: dict[str, Any] = {"status": "ready"}
        if parts.lifecycle.damaged_logs:
            # Still ready: events are taken, and sending them nowhere would help nobody.
            state |= {"damaged_logs": parts.lifecycle.damaged_logs, "message": DAMAGED}
        return json_answer(state)

    async def metrics(_: Request) -> Response:
        return Response(parts.metrics.text(), media_type="text/plain; version=0.0.4; charset=utf-8")

    for path, handler in (("/health", health), ("/ready", ready), ("/metrics", metrics)):
        routes.public(path, handler)
    return routes.router
