"""The page of an error in a frame, which runs no script and loads nothing.

It says no word of a request's own and no name of anything, so any site may frame it: where a token is
not to be trusted there are no origins to go by, and a frame that a browser refuses would show nothing.
"""

from __future__ import annotations

import secrets
from html import escape

import orjson
from starlette.requests import Request
from starlette.responses import Response

from service.bodies.accepted import weights_of
from service.errors import ApiError, EmbedTokenExpired, InvalidKey, NotFound, OriginNotAllowed, RateLimited
from service.http.error_rendering import Rendered
from service.telemetry.json_logging import REQUEST_ID

_LATER = "Try again in a moment."
_OWNER = "If you need it, tell the owner of this site."
_BY_CODE = {
    EmbedTokenExpired.code: ("The link to this {what} has expired.", "Load the page again to get a new one."),
    InvalidKey.code: ("This {what} is no longer available.", _OWNER),
    OriginNotAllowed.code: ("This {what} may not be shown on this page.", _OWNER),
    NotFound.code: ("This {what} was not found.", _OWNER),
}
_BUSY = ("This {what} cannot be shown right now.", _LATER)
_OTHER = ("This {what} cannot be shown.", _OWNER)
_SCHEMES = {"light": "light", "dark": "dark"}
_ERROR = """<!doctype html>
<html lang="en"><head><meta charset="utf-8"><title>{said}</title>
<meta name="viewport" content="width=device-width, initial-scale=1">
<style nonce="{nonce}">:root{{color-scheme:{scheme}}}
body{{margin:0;min-height:100vh;display:grid;place-content:center;text-align:center;color:CanvasText;
background:Canvas;font:15px/1.5 system-ui,sans-serif}}main{{padding:1em;overflow-wrap:anywhere}}
p{{margin:.2em 0}}small{{font-size:11px;opacity:.75}}</style>
</head><body><main role="alert"><p><strong>{said}</strong></p><p>{advice}</p>
<p><small>For the owner of this site: <code>{code}</code>, request {request_id}</small></p></main>
</body></html>
"""


def prefers_page(accept: str) -> bool:
    """Whether a client with this ``Accept`` is a browser that shows a page: it names HTML before JSON."""
    weights = weights_of(accept)
    return weights.get("text/html", 0.0) > weights.get("application/json", 0.0)


def error_page(error: Rendered, what: str, theme: str | None) -> Response:
    """The page of an error, with its status and headers. ``what`` is missing: a chart, a dashboard."""
    code, nonce = str(orjson.loads(error.body)["error_code"]), secrets.token_urlsafe(16)
    is_busy = error.status == RateLimited.status or error.status >= ApiError.status
    said, advice = _BY_CODE.get(code, _BUSY if is_busy else _OTHER)
    body = _ERROR.format(
        said=said.format(what=what),
        advice=advice,
        code=escape(code),
        request_id=escape(REQUEST_ID.get()),
        nonce=nonce,
        scheme=_SCHEMES.get(theme or "", "light dark"),
    )
    headers = {
        **{name: value for name, value in error.headers.items() if name != "content-type"},
        "content-security-policy": (
            f"default-src 'none'; style-src 'nonce-{nonce}'; base-uri 'none'; form-action 'none'"
        ),
        "x-content-type-options": "nosniff",
        "referrer-policy": "no-referrer",
        "vary": "Accept",
    }
    return Response(body, error.status, headers, "text/html; charset=utf-8")


def answer_for_frame(error: Rendered, what: str, request: Request) -> Response | None:
    """The page, where the client would show one; None where it is to have the error as JSON."""
    if not prefers_page(",".join(request.headers.getlist("accept"))):
        return None
    return error_page(error, what, request.query_params.get("theme"))
