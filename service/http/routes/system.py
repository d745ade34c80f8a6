"""For operators: is it alive, should it be sent requests, what has it done, what can it be asked."""

from __future__ import annotations

import asyncio
from typing import Any

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Router

from service.errors import DAMAGED, Unavailable
from service.http import openapi
from service.http.authorization import Routes
from service.http.parts import Parts
from service.http.request import json_answer


def router(parts: Parts) -> Router:
    routes = Routes(parts.tenants)

    async def health(_: Request) -> Response:
        return json_answer({"status": "ok"})

    async def ready(_: Request) -> Response:
        if parts.lifecycle.stopping:
            raise Unavailable("The server is stopping.")
        loop = asyncio.get_running_loop()
        await loop.run_in_executor(parts.catalog_executor, parts.catalog.versions)
        state: dict[str, Any] = {"status": "ready"}
        if parts.lifecycle.damaged_logs:
            # Still ready: events are taken, and sending them nowhere would help nobody.
            state |= {"damaged_logs": parts.lifecycle.damaged_logs, "message": DAMAGED}
        if parts.lifecycle.closed_because:
            # Still ready: questions are answered, and another worker has the same disk.
            state |= {"events": "refused", "reason": parts.lifecycle.closed_because.partition(" Nothing ")[0]}
        return json_answer(state)

    async def metrics(_: Request) -> Response:
        return Response(parts.metrics.text(), media_type="text/plain; version=0.0.4; charset=utf-8")

    async def described(_: Request) -> Response:
        return json_answer(openapi.document(parts.settings))

    routes.public("/openapi.json", described)
    for path, handler in (("/health", health), ("/ready", ready), ("/metrics", metrics)):
        routes.public(path, handler)
    return routes.router
