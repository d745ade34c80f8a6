"""The page at ``/docs``: the OpenAPI document for people. It loads nothing from other servers."""

from __future__ import annotations

from functools import cache
from pathlib import Path

from starlette.responses import Response

CSP = (
    "default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'; img-src 'self'; "
    "frame-ancestors 'none'; base-uri 'none'; form-action 'none'"
)
FILES = {
    "docs.css": "text/css; charset=utf-8",
    "docs.js": "text/javascript; charset=utf-8",
    "icon.svg": "image/svg+xml",
}
"""The files that the page loads, and their media types."""
_FOLDER = Path(__file__).parent / "static"


def page_file(name: str) -> Response:
    """The page or one of its files."""
    headers = {
        "content-security-policy": CSP,
        "x-content-type-options": "nosniff",
        "referrer-policy": "no-referrer",
        "cache-control": "no-cache",
    }
    return Response(_read(name), 200, headers, FILES.get(name, "text/html; charset=utf-8"))


@cache
def _read(name: str) -> bytes:
    """The file's bytes. Raises FileNotFoundError for a name that is no part of the page."""
    return (_FOLDER / name).read_bytes()
