"""The pages for people: one shell, whose script draws them all and asks the API."""

from __future__ import annotations

import re
from pathlib import PurePosixPath
from typing import Any

from starlette.requests import Request
from starlette.responses import Response

from service.client_files import SHELL, page_file
from service.errors import NotFound
from service.http.authorization import PUBLIC
from service.http.openapi.operation import STRING, DocumentedAnswer, Example
from service.http.pages.built import built_answer
from service.http.parts import Parts
from service.http.request import segment_of
from service.http.routing import OfAnyone, RouteArea

CSP = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data: blob:; "
    "connect-src 'self'; font-src 'self'; frame-ancestors 'none'; base-uri 'none'; form-action 'none'"
)
_MEDIA_TYPES = {
    ".js": "text/javascript; charset=utf-8",
    ".css": "text/css; charset=utf-8",
    ".svg": "image/svg+xml",
}
_OF_SHELL = {
    "content-security-policy": CSP,
    "referrer-policy": "no-referrer",
    "cross-origin-opener-policy": "same-origin",
    "cache-control": "no-cache",
    "vary": "Accept, Accept-Encoding",
}
_NAMED_BY_CONTENT = re.compile(r"-[0-9A-Z]{8}\.js", re.ASCII)
"""The end of the name of a part of the script, which the build names by its content."""
_YEAR = "public, max-age=31536000, immutable"
_PAGE: dict[str, Any] = {"errors": (404, 503), "open": True}
_ANSWERS = {200: DocumentedAnswer("The page.", content={"text/html": STRING})}

area = RouteArea("pages", "The pages that people see.")


async def shell(parts: Parts, request: Request) -> Response:
    """The same for every address of a page."""
    file = await parts.in_thread(page_file, SHELL)
    return built_answer(request, file, "text/html; charset=utf-8", _OF_SHELL)


@area.get("/login", PUBLIC, "The page to log in", _ANSWERS, examples=(Example(key=""),), **_PAGE)
async def login(call: OfAnyone) -> Response:
    return await shell(*call)


@area.get("/join", PUBLIC, "The page of an invitation", _ANSWERS, examples=(Example(key=""),), **_PAGE)
async def join(call: OfAnyone) -> Response:
    return await shell(*call)


@area.get("/reset", PUBLIC, "The page for a new password", _ANSWERS, examples=(Example(key=""),), **_PAGE)
async def reset(call: OfAnyone) -> Response:
    return await shell(*call)


@area.get(
    "/app/{page:path}",
    PUBLIC,
    "A page of a project, or of one's own",
    _ANSWERS,
    examples=(Example({"page": "account"}, key=""),),
    **_PAGE,
)
async def page(call: OfAnyone) -> Response:
    return await shell(*call)


@area.get(
    "/pages/{page_file}",
    PUBLIC,
    "A file of the pages",
    {
        200: DocumentedAnswer(
            "The file.", content=dict.fromkeys(("text/css", "text/javascript", "image/svg+xml"), STRING)
        ),
        304: DocumentedAnswer("It is the one that `If-None-Match` names."),
    },
    examples=(
        Example({"page_file": "app.css"}, key=""),
        Example({"page_file": "app.js"}, key=""),
        Example({"page_file": "icon.svg"}, key=""),
        Example({"page_file": "app.css"}, headers={"If-None-Match": "*"}, key="", status=304),
        Example({"page_file": "nothing"}, key="", status=404),
    ),
    **_PAGE,
)
async def file_of_pages(call: OfAnyone) -> Response:
    """With `v`, the first digits of its SHA-256, or where its name says its content, it is kept for a year;
    others are asked for anew."""
    request, name = call.request, segment_of(call.request.scope, 2)
    media_type = _MEDIA_TYPES.get(PurePosixPath(name).suffix)
    if media_type is None:
        raise NotFound(f"Resource not found: there is no file of the pages '{name[:60]}'.")
    file = await call.parts.in_thread(page_file, name)
    version = request.query_params.get("v", "")
    current = len(version) >= 8 and file.digest.startswith(version)
    current |= _NAMED_BY_CONTENT.search(name) is not None
    headers = {"cache-control": _YEAR if current else "no-cache"}
    return built_answer(request, file, media_type, headers)
