"""Log-in with OpenID Connect: the way to the provider, and back."""

from __future__ import annotations

from urllib.parse import urlencode

from starlette.responses import RedirectResponse, Response

from service.errors import NotFound
from service.http.authorization import PUBLIC, VISITOR, cookie_name, is_secure
from service.http.models import accounts as models
from service.http.openapi.operation import STRING, DocumentedAnswer, Example, in_query, ok
from service.http.request import Pairs, cookie_of, json_answer, pairs_of
from service.http.routes.accounts.cookies import visit_of, with_session
from service.http.routes.accounts.own import OPEN
from service.http.routing import OfAnyone, RouteArea

_COOKIE = "acumen_openid"
_SECONDS = 600
_PAGE = "/login"

area = RouteArea("openid", "Log in with OpenID Connect, where the server has a provider.")


@area.get(
    "/account/openid",
    PUBLIC,
    "Whether people log in with OpenID Connect",
    ok(models.OpenIdOffer, "What to show for it, if there is something."),
    examples=(Example(key=""),),
    open=True,
    errors=(500, 503),
)
async def offer(call: OfAnyone) -> Response:
    settings = call.parts.settings
    return json_answer({"label": settings.openid_label if settings.openid_issuer else None})


@area.post(
    "/account/openid/begin",
    VISITOR,
    "Begin to log in with OpenID Connect",
    ok(models.OpenIdSent, "The address at the provider; a cookie binds this browser to it for ten minutes."),
    examples=(
        Example(body={"next": "/app/account"}, key="", status=404),
        Example(body={"next": 1}, key="", status=400),
    ),
    open=True,
    errors=(*OPEN["errors"], 404, 410),
)
async def begin(call: OfAnyone, given: models.OpenIdBegin) -> Response:
    """A page goes to this address itself, since what it sends has to be its own and not another site's."""
    given.refuse_unknown("a log-in")
    parts, request = call
    if parts.openid is None:
        raise NotFound("Resource not found: this server has no log-in with OpenID Connect.")
    visit = await visit_of(parts, request)
    sent = await parts.openid.begin(visit, next=given.next, invitation=given.invitation)
    answer = json_answer({"location": sent.location})
    # The provider's page leads back here, so the browser has to send this one from another site.
    answer.set_cookie(
        cookie_name(parts, request, _COOKIE),
        sent.cookie,
        max_age=_SECONDS,
        secure=is_secure(parts, request),
        httponly=True,
        samesite="lax",
    )
    return answer


@area.get(
    "/account/openid/return",
    PUBLIC,
    "Come back from the provider",
    {303: DocumentedAnswer("The page to log in, with a session, or with what went wrong.")},
    parameters=tuple(
        in_query(name, STRING, "Of the provider.") for name in ("state", "code", "error", "iss")
    ),
    examples=(Example(query={"state": "x", "code": "x"}, key="", status=303),),
    open=True,
    errors=(400, 500, 503),
)
async def come_back(call: OfAnyone) -> Response:
    """A browser sends no cookie of a session here, and this answer must not be the page itself: it shows one
    that asks by itself, as the same site."""
    parts, request = call
    if parts.openid is None or request.method == "HEAD":
        return _to({})
    # Imported by now, and only where there is a provider.
    from service.people.openid import NotLetIn, Returned

    pairs = pairs_of(request.scope)
    returned = Returned(
        _one(pairs, "state") or "", _one(pairs, "code") or "", _one(pairs, "error") or "", _one(pairs, "iss")
    )
    visit = await visit_of(parts, request)
    try:
        entered = await parts.openid.finish(
            visit, cookie_of(request.scope, cookie_name(parts, request, _COOKIE)), returned
        )
    except NotLetIn as error:
        answer = _to({"openid": str(error.fault)})
    else:
        shown = {"openid": "entered"} | ({} if entered.next is None else {"next": entered.next})
        answer = with_session(_to(shown), parts, request, entered.begun)
    answer.delete_cookie(
        cookie_name(parts, request, _COOKIE), secure=is_secure(parts, request), httponly=True, samesite="lax"
    )
    return answer


def _to(shown: dict[str, str]) -> Response:
    headers = {"referrer-policy": "no-referrer"}
    return RedirectResponse(f"{_PAGE}?{urlencode(shown)}" if shown else _PAGE, 303, headers)


def _one(pairs: Pairs, name: str) -> str | None:
    """The value of a parameter that is there once; None for another."""
    found = [value for known, value in pairs if known == name]
    return found[0] if len(found) == 1 else None
