"""Whether a request with a session comes from a page of this server, and from no other."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from service.errors import CrossSite


def check_same_origin(
    origins: Sequence[str], sites: Sequence[str], is_own: Callable[[str], bool], *, reads: bool
) -> None:
    """Check what browsers say of the page that sent a request; programs say nothing.

    ``origins`` and ``sites`` are the values of ``Origin`` and ``Sec-Fetch-Site``; ``reads``: the request
    changes nothing, so that an address that a person has typed is allowed. Raises CrossSite.
    """
    allowed = {"same-origin", "none"} if reads else {"same-origin"}
    if not allowed.issuperset(sites):
        raise CrossSite("A page of another site sent this request, which only this server's own pages may.")
    for origin in origins:
        if not is_own(origin.lower()):
            raise CrossSite(
                f"A page of the origin '{origin[:200]}' sent this request, which only this server's own "
                "pages may: those at ACUMEN_PUBLIC_URL, if it is set."
            )
