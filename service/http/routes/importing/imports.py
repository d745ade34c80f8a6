"""Files to import: ``/3.0/projects/P/imports``, and each below it."""

from __future__ import annotations

import asyncio
import re
from contextlib import aclosing
from typing import Annotated

from fastapi import Query
from starlette.requests import Request
from starlette.responses import FileResponse, Response

from service.api_paths import PROJECTS, url_of
from service.bodies.reader import BodyEncodingUnknown
from service.errors import NotFound, ServiceUnavailable
from service.http.authorization import EDITS, WRITES
from service.http.models.imports import (
    ImportDescription,
    ImportList,
    ImportPreview,
    NewImportStart,
    ReadingOptions,
)
from service.http.openapi.operation import STRING, DocumentedAnswer, Example, gone, in_query, ok
from service.http.parts import Parts
from service.http.request import (
    audit_details,
    check_parameters,
    count_rate,
    empty_answer,
    json_answer,
    pairs_of,
    parameter,
    segment_of,
)
from service.http.routing import OfProject, ProjectCall, RouteArea
from service.imports.jobs import ImportService, check_options
from service.imports.uploads import PIECE_BYTES
from service.limits.rate_limiter import Rate

PAGE_MAX = 100
_PATH = f"{PROJECTS}/{{project_id}}/imports"
_ONE = f"{_PATH}/{{import_id}}"
_KEPT = {"import_id": "{import_id}"}
_ROWS = [{"price": 3, "when": "2026-01-05T10:00:00Z"}, {"price": 4, "when": "2026-01-06T10:00:00Z"}, "odd"]
_PLAIN = re.compile(r"[^A-Za-z0-9._-]+")

area = RouteArea(
    "imports",
    "Import a file: upload it, look into it, start, and see how far it is.",
)


def imports_of(parts: Parts) -> ImportService:
    return ImportService(parts.settings, parts.catalog)


@area.post(
    _PATH,
    WRITES,
    "Upload a file to import",
    {201: DocumentedAnswer("It is here, and nothing is stored of it yet.", ImportDescription)},
    body={"description": "The file as it is: CSV, TSV, NDJSON, JSON, Parquet or Arrow."},
    parameters=(in_query("name", STRING, "What the file is called."),),
    errors=(413,),
    examples=(
        Example(query={"name": "a.json"}, body=_ROWS, key="write", status=201, keep={"import_id": "id"}),
        Example(query={"name": "a.json"}, body=_ROWS, key="read", status=403),
    ),
)
async def upload(call: OfProject) -> Response:
    """The body is the file, not a form. It is kept for some days, until it is imported or deleted."""
    parts, request, caller = call
    pairs = pairs_of(request.scope)
    check_parameters(pairs, ("name", "api_key"), "an upload")
    if encoding := request.headers.get("content-encoding"):
        raise BodyEncodingUnknown(encoding)
    await _check_quotas(call)
    count_rate(parts.rates, request, caller, Rate.WRITES)
    imports = imports_of(parts)
    job, file = await parts.in_thread(imports.begin, caller, parameter(pairs, "name") or "")
    length = request.headers.get("content-length")
    try:
        pieces = parts.bodies.pieces(
            request.receive,
            length.encode("latin-1") if length else None,
            parts.settings.import_bytes,
            PIECE_BYTES,
        )
        async with aclosing(pieces):
            async for piece in pieces:
                await parts.in_thread(file.write, piece)
        job = await parts.in_thread(imports.finish, job, file)
    except BaseException:
        await asyncio.shield(parts.in_thread(imports.abandon, job, file))
        raise
    return json_answer(imports.described(job), 201)


@area.get(
    _PATH,
    EDITS,
    "The imports, newest first",
    ok(ImportList),
    examples=(
        Example(query={"limit": "10"}),
        Example(query={"limit": "0"}, status=400),
        Example(key="write", status=401),
    ),
)
async def list_imports(
    call: OfProject,
    limit: Annotated[int, Query(ge=1, le=PAGE_MAX, description="How many.")] = PAGE_MAX,
    before: Annotated[str, Query(description="Only those uploaded before the import with this id.")] = "",
) -> Response:
    parts, _, caller = call
    imports = imports_of(parts)
    jobs = await parts.in_thread(imports.page, caller.project, before or None, limit + 1)
    following = None
    if len(jobs) > limit:
        jobs = jobs[:limit]
        following = f"{url_of(caller.project.id, 'imports')}?limit={limit}&before={jobs[-1].id}"
    return json_answer({"imports": [imports.described(job) for job in jobs], "next_page_url": following})


@area.post(
    f"{_ONE}/preview",
    WRITES,
    "Look into an uploaded file",
    ok(ImportPreview),
    errors=(409,),
    examples=(
        Example(_KEPT, body={}, key="write"),
        Example(_KEPT, body={"timestamp": "when", "timezone": "Europe/Berlin"}, key="write"),
        Example(_KEPT, body={"timestamp": "when", "timezone": "Berlin"}, key="write", status=400),
        Example({"import_id": "nothing"}, body={}, key="write", status=404),
    ),
)
async def preview(call: OfProject, reading: ReadingOptions) -> Response:
    """What the file is, by these options: its columns with their types, what a column gives as the time, and
    the first events. Nothing is stored. Of a file that cannot be read to its end in time, it is what was
    read."""
    parts, request, caller = call
    reading.refuse_unknown("preview")
    given = reading.options()
    check_options(given)
    path = await parts.in_thread(imports_of(parts).file, caller, segment_of(request.scope, 5))
    return json_answer(await parts.previewer.preview(path, given, caller.key_id))


@area.post(
    f"{_ONE}/start",
    WRITES,
    "Start an import",
    ok(ImportDescription, "It waits, and runs in the background."),
    errors=(409,),
    audited=True,
    examples=(
        Example(_KEPT, body={"event_collection": "imported", "timestamp": "when", "types": {}}, key="write"),
        Example(_KEPT, body={"event_collection": "$"}, key="write", status=400),
        Example({"import_id": "nothing"}, body={"event_collection": "c"}, key="write", status=404),
    ),
)
async def start(call: OfProject, sent: NewImportStart) -> Response:
    """One that failed or was cancelled goes on where it was, if it is started with the same options."""
    parts, request, caller = call
    sent.refuse_unknown("import")
    await _check_quotas(call)
    imports = imports_of(parts)
    job = await parts.in_thread(
        imports.start,
        caller,
        segment_of(request.scope, 5),
        sent.event_collection,
        sent.options(),
        again=sent.again,
    )
    audit_details(request, file=job.file_name)
    return json_answer(imports.described(job))


@area.get(
    _ONE,
    WRITES,
    "One import, and how far it is",
    ok(ImportDescription),
    examples=(
        Example(_KEPT, key="write", keep={"refused": "refused_url"}, patient=True),
        Example({"import_id": "nothing"}, key="write", status=404),
    ),
)
async def show(call: OfProject) -> Response:
    imports = imports_of(call.parts)
    job = await call.parts.in_thread(imports.find, call.caller, segment_of(call.request.scope, 5))
    return json_answer(imports.described(job))


@area.get(
    f"{_ONE}/refused",
    WRITES,
    "The events that were refused, with reasons",
    {
        200: DocumentedAnswer(
            "One JSON object in each line: `event` as it is in the file, `error`, `number`, and `line`.",
            content={"application/x-ndjson": STRING},
        )
    },
    examples=(Example(_KEPT, key="write"), Example({"import_id": "nothing"}, key="write", status=404)),
)
async def refused(call: OfProject) -> Response:
    parts, request, caller = call
    job, path = await parts.in_thread(imports_of(parts).refused, caller, segment_of(request.scope, 5))
    try:
        status = await parts.in_thread(path.stat)
    except FileNotFoundError:
        raise NotFound("Resource not found: the file of refused events is gone.") from None
    _answer_whole(request)
    return FileResponse(
        path,
        headers={"x-content-type-options": "nosniff", "cache-control": "private, no-store"},
        media_type="application/x-ndjson",
        filename=f"{_PLAIN.sub('-', job.file_name).strip('-') or 'file'}.refused.ndjson",
        stat_result=status,
    )


@area.post(
    f"{_ONE}/cancel",
    WRITES,
    "Cancel an import",
    ok(ImportDescription, "If it waited or ran, it ends. What is stored stays."),
    audited=True,
    examples=(
        Example(_KEPT, key="write"),
        Example({"import_id": "nothing"}, key="write", status=404),
    ),
)
async def cancel(call: OfProject) -> Response:
    imports = imports_of(call.parts)
    job = await call.parts.in_thread(imports.cancel, call.caller, segment_of(call.request.scope, 5))
    audit_details(call.request, file=job.file_name)
    return json_answer(imports.described(job))


@area.delete(
    _ONE,
    WRITES,
    "Delete an import and its files",
    gone("It is gone. What is stored stays."),
    audited=True,
    examples=(Example(_KEPT, key="write", status=204), Example(_KEPT, key="write", status=404)),
)
async def remove(call: OfProject) -> Response:
    imports, named = imports_of(call.parts), segment_of(call.request.scope, 5)
    job = await call.parts.in_thread(imports.find, call.caller, named)
    audit_details(call.request, file=job.file_name)
    await call.parts.in_thread(imports.remove, call.caller, named)
    return empty_answer()


async def _check_quotas(call: ProjectCall) -> None:
    """Raises RateLimited, QuotaExceeded, and ServiceUnavailable where no events are taken at present."""
    parts, _, caller = call
    if parts.lifecycle.closed_because is not None:
        raise ServiceUnavailable(parts.lifecycle.closed_because)
    tally = parts.quotas.tally(caller.project.id, caller.counted_as)
    tally.limits = caller.options.quotas
    await parts.in_thread(parts.quotas.prepare, tally)
    parts.quotas.check_writes(tally)


def _answer_whole(request: Request) -> None:
    """Leave a ``Range`` aside, as HTTP allows: a part of the file is of no use."""
    request.scope["headers"] = [field for field in request.scope["headers"] if field[0] != b"range"]
