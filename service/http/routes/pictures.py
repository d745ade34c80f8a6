"""Pictures of results, for what runs no scripts: e-mails, READMEs, chats.

/3.0/projects/P/queries/saved/NAME/result.svg
/3.0/projects/P/queries/saved/NAME/result.png
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

from starlette.responses import Response

from service.api_paths import PROJECTS
from service.auth.principal import Permission
from service.http.authorization import needs
from service.http.openapi.operation import STRING, DocumentedAnswer, Example, Json, Operation, in_query
from service.http.request import pairs_of, warning_headers
from service.http.routes.saved_queries import CHANGES, SAVED, result_of
from service.http.routing import OfProject, ProjectCall, RouteArea
from service.pictures.options import (
    PARAMETERS,
    SCALE_MAX,
    SIZE_MAX,
    SIZE_MIN,
    THEMES,
    TYPES,
    last_boundary,
    read_options,
)
from service.pictures.painter import tag_of

_RESULTS = needs(Permission.SAVED_QUERIES, Permission.CACHED_QUERIES)
SVG = "image/svg+xml"
PNG = "image/png"
KEPT_SECONDS = 60
"""How long clients may show a picture without asking again."""
_ORDERS = {"query_name": "orders"}
_DAILY: Json = {
    "query": {
        "analysis_type": "count",
        "event_collection": "purchases",
        "timeframe": "this_14_days",
        "interval": "daily",
    },
    "metadata": {"display_name": "Orders"},
}

area = RouteArea(
    "pictures",
    "Results as SVG and PNG, for e-mails, READMEs and chats: the same pictures as in a browser.",
    [
        ("POST", f"{PROJECTS}/{{project_id}}/events/purchases", {"price": 7}),
        ("PUT", f"{PROJECTS}/{{project_id}}/queries/saved/orders", _DAILY),
    ],
)


def _enum(words: Sequence[str]) -> Json:
    return {"type": "string", "enum": [*words]}


_SIZE: Json = {"type": "integer", "minimum": SIZE_MIN, "maximum": SIZE_MAX}
_LOOKS = (
    in_query("width", _SIZE, "Pixels; 640 by default."),
    in_query("height", _SIZE, "Pixels; 360 by default."),
    in_query("theme", _enum(THEMES), "Colours for light or dark surroundings."),
    in_query("title", STRING, "Empty: none. By default the `display_name` of the saved query."),
    in_query("type", _enum(TYPES), "By default what suits the result."),
    in_query("locale", STRING, "How numbers and dates are written, such as `de`; `en-US` by default."),
)
_SCALE: Json = {"type": "number", "minimum": 0.5, "maximum": SCALE_MAX}


def _picture(kind: str, media_type: str, *more: Json) -> Operation:
    return Operation(
        method="get",
        path=f"{SAVED}/{{query_name}}/result.{kind}",
        summary=f"A picture of a saved query's result, as {kind.upper()}",
        answers={
            200: DocumentedAnswer("The picture.", content={media_type: STRING}),
            304: DocumentedAnswer("The picture is the one that `If-None-Match` names."),
        },
        parameters=(*_LOOKS, *more, *CHANGES),
        errors=(504,),
        examples=(
            Example(_ORDERS, query={"width": "480", "height": "270", "title": "Orders"}, key="read"),
            Example(_ORDERS, query={"theme": "drak"}, key="read", status=400),
            Example({"query_name": "none"}, key="read", status=404),
        ),
    )


@area.serve(f"{SAVED}/{{query_name}}/result.svg", _RESULTS, _picture("svg", SVG))
async def svg(call: OfProject) -> Response:
    """The result as `GET …/result` gives it to the same key, drawn. The address may hold the key or an embed
    token as `api_key`. Text is set in Inter, and else in what the viewer has."""
    return await _drawn(call, SVG)


@area.serve(
    f"{SAVED}/{{query_name}}/result.png",
    _RESULTS,
    _picture(
        "png",
        PNG,
        in_query("scale", _SCALE, "Pixels of the file for each pixel of the size; 2 by default."),
    ),
)
async def png(call: OfProject) -> Response:
    """As the SVG, for what shows no SVG."""
    return await _drawn(call, PNG)


async def _drawn(call: ProjectCall, media_type: str) -> Response:
    options = read_options(pairs_of(call.request.scope))
    response = await result_of(call, *PARAMETERS)
    options = replace(options, now_ms=last_boundary(response.body, call.parts.clock() // 1_000))
    is_png = media_type == PNG
    tag = f'"{tag_of(response.body, options, png=is_png)}"'
    headers: dict[str, Any] = {
        "etag": tag,
        "cache-control": f"private, max-age={KEPT_SECONDS}",
        "content-security-policy": "default-src 'none'; style-src 'unsafe-inline'",
        "x-content-type-options": "nosniff",
        **(warning_headers(response.warnings) or {}),
    }
    if tag in [one.strip().removeprefix("W/") for one in _asked_tags(call).split(",")]:
        return Response(status_code=304, headers=headers)
    picture = await call.parts.painter.picture(response.body, options, png=is_png)
    return Response(picture, 200, headers, media_type)


def _asked_tags(call: ProjectCall) -> str:
    return call.request.headers.get("if-none-match", "")
