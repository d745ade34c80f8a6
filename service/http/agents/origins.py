"""Which web pages may send messages to the MCP server.

The protocol demands this check against DNS rebinding: a page of another site whose name is made to lead to
this machine. Such a page has its own name in ``Origin`` and in ``Host``, so that the two prove nothing.
"""

from __future__ import annotations

import ipaddress
from urllib.parse import urlsplit

from starlette.requests import Request

from service.auth.origins import origin_of
from service.errors import Forbidden
from service.http.parts import Parts


def check_origin(parts: Parts, request: Request) -> None:
    """Raises Forbidden where a page sent the request that is not of this server, this machine or allowed."""
    for origin in request.headers.getlist("origin"):
        if not _is_allowed(origin, parts, request):
            raise Forbidden(
                f"Pages of the origin '{origin[:200]}' may not use this MCP server. It takes those of "
                "ACUMEN_PUBLIC_URL, of this machine, and of ACUMEN_MCP_ORIGINS; programs send no origin."
            )


def _is_allowed(origin: str, parts: Parts, request: Request) -> bool:
    read = origin_of(origin)
    if read is None:
        return False
    settings = parts.settings
    if read in settings.mcp_origins or (settings.public_url and read == origin_of(settings.public_url)):
        return True
    host = urlsplit(read).hostname or ""
    if host == "localhost":
        return True
    try:
        address = ipaddress.ip_address(host)
    except ValueError:
        return False
    # No name leads there, so that nobody can make one lead elsewhere.
    return address.is_loopback or read == origin_of(
        f"{urlsplit(read).scheme}://{request.headers.get('host')}"
    )
