"""A built file as an answer: in the encoding that the client takes, or 304 where it has it already."""

from __future__ import annotations

from collections.abc import Mapping

from starlette.requests import Request
from starlette.responses import Response

from service.bodies.accepted import takes_gzip
from service.client_files import ClientScript


def built_answer(
    request: Request, file: ClientScript, media_type: str, headers: Mapping[str, str]
) -> Response:
    """The file with its tag; ``headers`` are those of its own."""
    accepted, known = (
        ", ".join(request.headers.getlist(name)) for name in ("accept-encoding", "if-none-match")
    )
    zipped = takes_gzip(accepted)
    tag = f'"{file.digest[:32]}{"-gzip" if zipped else ""}"'
    all_headers = {"x-content-type-options": "nosniff", "vary": "Accept-Encoding", **headers, "etag": tag}
    if _has(known, tag):
        return Response(status_code=304, headers=all_headers)
    if zipped:
        all_headers["content-encoding"] = "gzip"
    return Response(file.gzipped if zipped else file.plain, 200, all_headers, media_type)


def _has(if_none_match: str, tag: str) -> bool:
    """Whether the field names the tag; a tag is compared weakly here, so ``W/`` does not matter."""
    named = {one.strip().removeprefix("W/") for one in if_none_match.split(",")}
    return "*" in named or tag in named
