"""Pages for frames in other sites: the chart of a saved query, or a dashboard, by an embed token.

A page loads one script, the charts of this server, and says as attributes what that is to draw. Which sites
may frame it is said by the token's origins, and else by those of its access key.
"""

from __future__ import annotations

import secrets
from html import escape

from starlette.responses import Response

from service.api_paths import PROJECTS
from service.auth.principal import Permission
from service.errors import InvalidParameter
from service.http.authorization import needs
from service.http.openapi.operation import STRING, DocumentedAnswer, Example, in_query
from service.http.request import check_parameters, pairs_of, parameter, request_key, segment_of
from service.http.routes.dashboards.documents import visible_dashboard
from service.http.routing import OfProject, ProjectCall, RouteArea
from service.pictures.options import language_tag, one_of
from service.saved_queries.result_cache import check_name

SCRIPT_PATH = "/clients/acumen-charts.js"
_SAVED = f"{PROJECTS}/{{project_id}}/queries/saved/{{query_name}}/embed"
_DASHBOARD = f"{PROJECTS}/{{project_id}}/dashboards/{{dashboard_id}}/embed"
_RESULTS = needs(Permission.SAVED_QUERIES, Permission.CACHED_QUERIES)
_BOARDS = needs(Permission.QUERIES, Permission.SAVED_QUERIES, Permission.CACHED_QUERIES)
_COUNT = {"query": {"analysis_type": "count", "event_collection": "purchases"}}
_TOKEN = {"api_key": "{embed_token}"}
_PAGE = {200: DocumentedAnswer("The page.", content={"text/html": STRING})}
_HTML = """<!doctype html>
<html lang="{language}"><head><meta charset="utf-8"><title>{title}</title>
<meta name="viewport" content="width=device-width, initial-scale=1">
<style nonce="{nonce}">html,body{{margin:0;height:100%}}{element}{{{size}}}
{element}::part(root){{border-radius:0}}</style>
<link rel="icon" href="/pages/icon.svg">
<script type="module" nonce="{nonce}" src="{script}"></script>
</head><body>
<{element} server="" project="{project}" token="{token}" {what}="{name}"{looks}></{element}>
</body></html>
"""

_CHART_SIZE = "display:block;height:100%"
_BOARD_SIZE = "display:grid;grid-template-columns:minmax(0,1fr);min-height:100vh"
"""A dashboard's ground fills a window that is larger than its tiles."""
_THEMES = ("auto", "light", "dark")
_LOOKS = (
    in_query("theme", {"type": "string", "enum": [*_THEMES]}, "`auto`, the default: as the viewer prefers."),
    in_query("locale", STRING, "How numbers and dates are written, such as `de`; `en` by default."),
)

area = RouteArea(
    "embed",
    "Pages with a chart or a dashboard, for frames in other sites, by an embed token.",
    [
        ("PUT", f"{PROJECTS}/{{project_id}}/queries/saved/orders", _COUNT),
        ("PUT", "/projects/{project_id}/dashboards/sales", {"widgets": [{"query": "orders"}]}),
    ],
)


def _only_tokens(call: ProjectCall) -> None:
    """Raises InvalidParameter for a key: whoever sees the page could read it there."""
    if call.caller.embed is None:
        raise InvalidParameter(
            "This page is for embed tokens: make one from an access key (docs/embedding.md)."
        )


@area.get(
    _SAVED,
    _RESULTS,
    "A page with the chart of a saved query",
    _PAGE,
    parameters=_LOOKS,
    before=_only_tokens,
    spends=False,
    framed="chart",
    examples=(
        Example({"query_name": "orders"}, query=_TOKEN, key=""),
        Example({"query_name": "orders"}, query={**_TOKEN, "theme": "dark", "locale": "de"}, key=""),
        Example({"query_name": "orders"}, key="read", status=400),
    ),
)
async def chart(call: OfProject) -> Response:
    """For the `src` of a frame. `Content-Security-Policy` lets the token's origins frame it, and no other. An
    error is a page too where `Accept` prefers `text/html`, as that of browsers does."""
    name = segment_of(call.request.scope, 6)
    check_name(call.caller, name)
    return _page(call, "acumen-chart", "saved-query", name, title=name)


@area.get(
    _DASHBOARD,
    _BOARDS,
    "A page with a dashboard",
    _PAGE,
    parameters=_LOOKS,
    before=_only_tokens,
    spends=False,
    framed="dashboard",
    examples=(
        Example({"dashboard_id": "sales"}, query=_TOKEN, key=""),
        Example({"dashboard_id": "none"}, query=_TOKEN, key="", status=404),
    ),
)
async def board(call: OfProject) -> Response:
    """As the page of a chart."""
    dashboard = await visible_dashboard(call, segment_of(call.request.scope, 5))
    return _page(call, "acumen-dashboard", "dashboard", dashboard.name, title=dashboard.name)


def _page(call: ProjectCall, element: str, what: str, name: str, *, title: str) -> Response:
    grant, nonce = call.caller.embed, secrets.token_urlsafe(16)
    assert grant is not None
    pairs = pairs_of(call.request.scope)
    check_parameters(pairs, ("theme", "locale"), "a page for frames")
    theme = one_of("theme", parameter(pairs, "theme") or "auto", _THEMES)
    locale = language_tag("locale", parameter(pairs, "locale") or "en")
    body = _HTML.format(
        title=escape(title),
        nonce=nonce,
        element=element,
        size=_CHART_SIZE if element == "acumen-chart" else _BOARD_SIZE,
        script=SCRIPT_PATH,
        project=escape(call.caller.project.id),
        token=escape(request_key(call.request) or ""),
        what=what,
        name=escape(name),
        language=locale,
        looks="" if theme == "auto" else f' theme="{theme}"',
    )
    headers = {
        "content-security-policy": _policy(nonce, grant.frame_ancestors),
        "x-content-type-options": "nosniff",
        # The page's own requests must name their origin, and its address, with the token, goes nowhere.
        "referrer-policy": "strict-origin",
    }
    return Response(body.encode("utf-8", "replace"), 200, headers, "text/html; charset=utf-8")


def _policy(nonce: str, ancestors: str) -> str:
    return (
        f"default-src 'none'; script-src 'nonce-{nonce}'; style-src 'nonce-{nonce}'; connect-src 'self'; "
        f"img-src 'self' data: blob:; font-src 'self' data:; base-uri 'none'; form-action 'none'; "
        f"frame-ancestors {ancestors}"
    )
