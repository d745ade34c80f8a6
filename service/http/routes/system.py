"""Routes for operators: liveness, readiness, metrics and the API's documentation."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from starlette.responses import Response

from query.json_encoding import dumps
from service.client_files import client_script
from service.errors import DAMAGED, NotFound, ServiceUnavailable
from service.http.authorization import PUBLIC
from service.http.models.discovery import Status
from service.http.openapi.operation import STRING, DocumentedAnswer, Example, ok
from service.http.openapi.page import FILES, page_file
from service.http.pages.built import built_answer
from service.http.parts import Parts
from service.http.request import json_answer, segment_of
from service.http.routing import OfAnyone, RouteArea

_OPEN: dict[str, Any] = {"errors": (503,), "open": True, "examples": (Example(key=""),)}

_SCRIPT = "text/javascript; charset=utf-8"
_OF_SCRIPTS = {
    "cache-control": "public, max-age=3600, stale-while-revalidate=86400",
    "cross-origin-resource-policy": "cross-origin",
}

area = RouteArea("operate", "For operators of the server.")


class Description:
    """The OpenAPI document, built at its first request since that takes a fraction of a second."""

    def __init__(self, make: Callable[[], dict[str, Any]]) -> None:
        self._make = make
        self._made: bytes | None = None

    async def of(self, parts: Parts) -> bytes:
        if self._made is None:
            self._made = await parts.in_thread(lambda: dumps(self._make()))
        return self._made


@area.get("/health", PUBLIC, "Is the process alive?", ok(Status, "It is."), **_OPEN)
async def health(_: OfAnyone) -> Response:
    return json_answer({"status": "ok"})


@area.get(
    "/ready",
    PUBLIC,
    "Is the server ready for requests? 503 while it stops",
    ok(Status, "It is ready."),
    **_OPEN,
)
async def ready(call: OfAnyone) -> Response:
    parts = call.parts
    if parts.lifecycle.stopping:
        raise ServiceUnavailable("The server is stopping.")
    await parts.in_thread(parts.catalog.versions)
    state: dict[str, Any] = {"status": "ready"}
    if parts.lifecycle.damaged_logs:
        # Still ready: events are accepted, and refusing all requests would not help.
        state |= {"damaged_logs": parts.lifecycle.damaged_logs, "message": DAMAGED}
    if parts.lifecycle.closed_because:
        # Still ready: queries are answered, and another worker has the same disk.
        state |= {"events": "refused", "reason": parts.lifecycle.closed_because.partition(" Nothing ")[0]}
    return json_answer(state)


@area.get(
    "/metrics",
    PUBLIC,
    "Counters in Prometheus' text format",
    {200: DocumentedAnswer("The metrics.", content={"text/plain": STRING})},
    **_OPEN,
)
async def metrics(call: OfAnyone) -> Response:
    return Response(call.parts.metrics.text(), media_type="text/plain; version=0.0.4; charset=utf-8")


@area.get("/openapi.json", PUBLIC, "This document", ok(dict[str, Any], "An OpenAPI document."), **_OPEN)
async def openapi(call: OfAnyone) -> Response:
    described: Description = call.request.app.described
    return json_answer(await described.of(call.parts))


@area.get(
    "/docs",
    PUBLIC,
    "This document as a page for people",
    {200: DocumentedAnswer("The page.", content={"text/html": STRING})},
    **_OPEN,
)
async def docs(_: OfAnyone) -> Response:
    return page_file("docs.html")


@area.get(
    "/docs/{page_file}",
    PUBLIC,
    "A file of the documentation page",
    {
        200: DocumentedAnswer(
            "The file.", content=dict.fromkeys(("text/css", "text/javascript", "image/svg+xml"), STRING)
        )
    },
    errors=(404, 503),
    open=True,
    examples=(
        Example({"page_file": "docs.css"}, key=""),
        Example({"page_file": "docs.js"}, key=""),
        Example({"page_file": "icon.svg"}, key=""),
        Example({"page_file": "nothing"}, key="", status=404),
    ),
)
async def docs_file(call: OfAnyone) -> Response:
    name = segment_of(call.request.scope, 2)
    if name not in FILES:
        raise NotFound
    return page_file(name)


@area.get(
    "/clients/{client_file}",
    PUBLIC,
    "A file of the JavaScript clients, for pages",
    {
        200: DocumentedAnswer("The script.", content={"text/javascript": STRING}),
        304: DocumentedAnswer("It is the one that `If-None-Match` names."),
    },
    errors=(404, 503),
    open=True,
    examples=(
        Example({"client_file": "tracker.js"}, key=""),
        Example({"client_file": "tracker.js"}, headers={"If-None-Match": "*"}, key="", status=304),
        Example({"client_file": "nothing.js"}, key="", status=404),
    ),
)
async def clients_file(call: OfAnyone) -> Response:
    """`acumen-charts.js`, `acumen-actors.js`, `acumen-text.js`, `draw.js`, `tracker.js`, `auto.js`,
    `index.js` or `embed.js`, for any site."""
    request = call.request
    script = await call.parts.in_thread(client_script, segment_of(request.scope, 2))
    return built_answer(request, script, _SCRIPT, _OF_SCRIPTS)
