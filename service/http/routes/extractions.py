"""Extractions to files: ``/3.0/projects/P/extractions``, each job below it, and its file."""

from __future__ import annotations

import re
import time
from typing import Annotated

from fastapi import Query
from starlette.requests import Request
from starlette.responses import FileResponse, Response

from service.api_paths import PROJECTS, url_of
from service.auth.principal import Permission
from service.errors import Gone, NotFound, RangeNotSatisfiable
from service.exports.file_writer import is_sound
from service.exports.jobs import ExportService, download_name, media_type_of
from service.http.authorization import LINKED, needs
from service.http.models.extractions import ExtractionJob, ExtractionJobs
from service.http.models.shared import Json
from service.http.openapi.operation import STRING, DocumentedAnswer, Example, gone, in_query, ok
from service.http.parts import Parts
from service.http.request import empty_answer, json_answer, pairs_of, parameter, project_of, segment_of
from service.http.routing import OfAnyone, OfProject, RouteArea

PAGE_MAX = 100
_RANGE = re.compile(r"\s*bytes\s*=\s*(\d{0,18})\s*-\s*(\d{0,18})\s*", re.ASCII | re.IGNORECASE)
_PATH = f"{PROJECTS}/{{project_id}}/extractions"
_ONE = f"{_PATH}/{{job_id}}"
_RULE = needs(Permission.EXPORTS)
_JOB = {"job_id": "{job_id}"}
_KINDS = ("text/csv", "application/x-ndjson", "application/vnd.apache.parquet", "application/gzip")
_FILE: dict[str, Json] = {kind: {**STRING, "format": "binary"} for kind in _KINDS}
_ASKED = {"event_collection": "purchases", "delivery": "link", "content_type": "text/csv"}

area = RouteArea(
    "extractions",
    "Get events as a file: ask with `delivery` or `email`, see how far it is, fetch it by a link.",
    [
        ("POST", f"{PROJECTS}/{{project_id}}/events/purchases", {"price": 7}),
        ("POST", f"{PROJECTS}/{{project_id}}/queries/extraction", _ASKED),
    ],
)


def base_url(parts: Parts, request: Request) -> str:
    """The URL at which clients reach the server."""
    return parts.settings.public_url or str(request.base_url).rstrip("/")


def exports_of(parts: Parts) -> ExportService:
    return ExportService(parts.settings, parts.catalog, parts.keyring, parts.query_service, parts.clock)


@area.get(
    _PATH,
    _RULE,
    "The extractions to files, newest first",
    ok(ExtractionJobs),
    examples=(
        Example(query={"limit": "10"}, key="read", keep={"job_id": "extractions.0.id"}),
        Example(query={"limit": "0"}, key="read", status=400),
        Example(key="write", status=403),
    ),
)
async def list_extractions(
    call: OfProject,
    limit: Annotated[int, Query(ge=1, le=PAGE_MAX, description="How many.")] = PAGE_MAX,
    before: Annotated[str, Query(description="Only those asked for before the job with this id.")] = "",
) -> Response:
    """A key that sees part of the events gets only the extractions that it asked for."""
    parts, request, caller = call
    exports = exports_of(parts)
    jobs = await parts.in_thread(exports.page, caller, before or None, limit + 1)
    base = base_url(parts, request)
    following = None
    if len(jobs) > limit:
        jobs = jobs[:limit]
        query = f"limit={limit}&before={jobs[-1].id}"
        following = f"{base}{url_of(caller.project.id, 'extractions')}?{query}"
    described = [exports.described(caller, export, base) for export in jobs]
    return json_answer({"extractions": described, "next_page_url": following})


@area.get(
    _ONE,
    _RULE,
    "One extraction, how far it is, and the link to its file",
    ok(ExtractionJob),
    examples=(
        Example(
            _JOB,
            key="read",
            keep={"expires": "file_url?expires", "signature": "file_url?signature"},
            patient=True,
        ),
        Example({"job_id": "nothing"}, key="read", status=404),
    ),
)
async def show(call: OfProject) -> Response:
    parts, request, caller = call
    exports = exports_of(parts)
    export = await parts.in_thread(exports.find, caller, segment_of(request.scope, 5))
    return json_answer(exports.described(caller, export, base_url(parts, request)))


@area.get(
    f"{_ONE}/file",
    LINKED,
    "The file, by a signed link",
    {
        200: DocumentedAnswer("The file.", content=_FILE),
        206: DocumentedAnswer("The part of it that `Range` names.", content=_FILE),
    },
    parameters=(in_query("expires", STRING, "Of the link."), in_query("signature", STRING, "Of the link.")),
    errors=(400, 403, 404, 405, 410, 416, 500, 503),
    examples=(
        Example(_JOB, query={"expires": "{expires}", "signature": "{signature}"}, key=""),
        Example(_JOB, query={"expires": "1", "signature": "0"}, key="", status=403),
    ),
    open=True,
)
async def file(call: OfAnyone) -> Response:
    """The address is `file_url` of the job, as it is. `HEAD` and a `Range` of bytes are answered."""
    parts, request = call
    project_id, job_id = project_of(request.scope), segment_of(request.scope, 5)
    project = await parts.tenants.project(project_id)
    if project is None:
        raise NotFound
    exports, pairs = exports_of(parts), pairs_of(request.scope)
    expires, signature = parameter(pairs, "expires"), parameter(pairs, "signature")
    exports.links.check(project_id, job_id, expires, signature, time.time())
    export = await parts.in_thread(exports.file, project, job_id)
    path = parts.catalog.folder.exports / (export.file or "")
    try:
        status = await parts.in_thread(path.stat)
        sound = await parts.in_thread(is_sound, path, status)
    except FileNotFoundError:
        raise Gone("The extraction's file is gone.") from None
    if not sound:
        raise Gone("The extraction's file is damaged. Ask for the extraction again.")
    _check_range(request, status.st_size)
    headers = {"x-content-type-options": "nosniff", "cache-control": "private, no-store"}
    return FileResponse(
        path,
        headers=headers,
        media_type=media_type_of(export),
        filename=download_name(export),
        stat_result=status,
    )


@area.delete(
    _ONE,
    _RULE,
    "Cancel an extraction, or remove its file",
    gone("It is gone, and its link with it."),
    examples=(
        Example(_JOB, key="read", status=403),
        Example(_JOB, status=204),
        Example(_JOB, status=404),
    ),
)
async def remove(call: OfProject) -> Response:
    """For the key that asked for it, and the master key."""
    exports = exports_of(call.parts)
    await call.parts.in_thread(exports.remove, call.caller, segment_of(call.request.scope, 5))
    return empty_answer()


def _check_range(request: Request, size: int) -> None:
    """Remove a ``Range`` header that cannot be answered from the request, as HTTP allows.

    Raises RangeNotSatisfiable for a valid range beyond the file's end.
    """
    header = request.headers.get("range")
    if header is None:
        return
    match = _RANGE.fullmatch(header)
    first, last = match.groups() if match is not None else ("", "")
    start = int(first) if first else size - int(last or 0)
    usable = bool(first or last) and not (first and last and int(last) < start)
    if usable and start < size:
        return
    if usable and "if-range" not in request.headers:
        raise RangeNotSatisfiable(size)
    kept = [(name, value) for name, value in request.scope["headers"] if name != b"range"]
    request.scope["headers"] = kept
