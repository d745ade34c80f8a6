"""The cookie of a session, and where a request for one comes from."""

from __future__ import annotations

from starlette.requests import Request
from starlette.responses import Response

from service.http.authorization import is_secure, session_cookie, session_of
from service.http.client_address import client_ip_finder
from service.http.parts import Parts
from service.http.request import empty_answer
from service.people.accounts import Begun, Visit


async def visit_of(parts: Parts, request: Request) -> Visit:
    address = client_ip_finder(parts.settings.trusted_proxies)(request.scope)
    return Visit(address, request.headers.get("user-agent", ""), await session_of(parts, request))


def with_session(answer: Response, parts: Parts, request: Request, begun: Begun) -> Response:
    """The answer, with the cookie of the session: for no script to read, nor for other sites to send."""
    answer.set_cookie(
        session_cookie(parts, request),
        begun.token,
        max_age=max(1, (begun.session.expires_us - begun.session.created_us) // 1_000_000),
        secure=is_secure(parts, request),
        httponly=True,
        samesite="strict",
    )
    return answer


def ended(parts: Parts, request: Request) -> Response:
    """A 204 that removes the cookie."""
    answer = empty_answer()
    answer.delete_cookie(
        session_cookie(parts, request), secure=is_secure(parts, request), httponly=True, samesite="strict"
    )
    return answer
