"""The project's Parquet files: counts by collection, the files of one, and code that reads them."""

from __future__ import annotations

from typing import Annotated, Literal

from fastapi import Query
from starlette.responses import Response

from service.api_paths import PROJECTS
from service.errors import NotFound
from service.http.authorization import MASTER
from service.http.models.administration import ReaderCode, StoredCollection, StoredFiles
from service.http.models.shared import ROW_ID_MAX, Json
from service.http.openapi.operation import Example, ok
from service.http.request import json_answer
from service.http.routing import OfProject, ProjectCall, RouteArea
from service.reader_code import READERS, CollectionListing, ReadFile, quoted
from service.saved_queries.definition import moment_or_none, moment_text
from storage.catalog.errors import UnknownCollection
from storage.catalog.stored.inventory import Holding
from storage.catalog.stored.records import Collection, FileRow
from storage.files.partials import partials_bytes

_PATH = f"{PROJECTS}/{{project_id}}/files"
PAGE_MAX = 1_000
CODE_FILES_MAX = 10_000
NO_FILE = (
    "There is no Parquet file yet: events go to files within minutes. Until then the API alone has them."
)
_Collection = Annotated[str, Query(min_length=1, description="The collection.")]
_VISITS = {"event_collection": "visits"}
_NOTES = (
    "The paths are below the server's data folder: run this there.",
    "Events of the last minutes may not be in files yet; the API has them.",
    "Files are replaced as the collection changes: if one is missing, make this code again.",
    "Integers beyond 2^53 and longer numbers are in columns of their own: 'acumen files' joins them.",
)

area = RouteArea(
    "files",
    "The project's files.",
    [("POST", f"{PROJECTS}/{{project_id}}/events/visits", {"page": "/"})],
)


@area.get(
    _PATH,
    MASTER,
    "What each collection holds in files",
    ok(list[StoredCollection], "The collections, by name."),
    examples=(Example(), Example(key="read", status=401)),
)
async def holdings(call: OfProject) -> Response:
    """Events that are in no file yet are not counted."""
    return json_answer(await call.parts.in_thread(_holdings, call))


def _holdings(call: ProjectCall) -> list[Json]:
    catalog, project_id = call.parts.catalog, call.caller.project.id
    return [
        _holding(one) | {"partials_bytes": partials_bytes(catalog.folder.partials, project_id, one.id)}
        for one in catalog.inventory.holdings(project_id)
    ]


@area.get(
    f"{_PATH}/list",
    MASTER,
    "The files of a collection, oldest first",
    ok(StoredFiles, "The files."),
    examples=(
        Example(query=_VISITS),
        Example(query={"event_collection": "none"}, status=404),
        Example(status=400),
    ),
)
async def list_files(
    call: OfProject,
    event_collection: _Collection,
    after: Annotated[int, Query(ge=0, le=ROW_ID_MAX, description="Only files with ids above this.")] = 0,
    limit: Annotated[int, Query(ge=1, le=PAGE_MAX, description="Files of one answer.")] = 100,
) -> Response:
    collection = await _collection(call, event_collection)
    inventory = call.parts.catalog.inventory
    found = await call.parts.in_thread(lambda: inventory.files(collection.id, after=after, limit=limit + 1))
    page = found[:limit]
    following = page[-1].id if len(found) > limit else None
    return json_answer({"files": [_file(one) for one in page], "next": following})


@area.get(
    f"{_PATH}/code",
    MASTER,
    "Code that reads a collection's files",
    ok(ReaderCode, "The code, with paths below the data folder."),
    examples=(
        Example(query={**_VISITS, "reader": "sql"}),
        Example(query={**_VISITS, "reader": "excel"}, status=400),
    ),
)
async def code(
    call: OfProject,
    event_collection: _Collection,
    reader: Annotated[
        Literal["sql", "polars", "pandas", "spark"], Query(description="Which program is to read them.")
    ] = "sql",
) -> Response:
    collection = await _collection(call, event_collection)
    text = await call.parts.in_thread(_code, call, collection, reader)
    return json_answer({"reader": READERS[reader][0], "code": text})


def _code(call: ProjectCall, collection: Collection, reader: str) -> str:
    live = call.parts.catalog.inventory.files(collection.id, limit=CODE_FILES_MAX + 1)
    sound = [file for file in live if file.damaged is None]
    read = [ReadFile(file.path, file.rows, file.columns, file.marked) for file in sound[:CODE_FILES_MAX]]
    notes = list(_NOTES)
    if len(live) > CODE_FILES_MAX:
        notes.append(f"The first {CODE_FILES_MAX:,} files alone: 'acumen files' lists all.")
    if len(sound) < len(live):
        notes.append(f"{len(live) - len(sound):,} damaged files are left out.")
    if not read:
        return NO_FILE
    events = sum(file.rows for file in read)
    about = f"Collection {quoted(collection.name)}: {events:,} events in {len(read):,} Parquet files."
    return READERS[reader][1](
        CollectionListing(collection.name, collection.schema, read, (), (about, *notes))
    )


async def _collection(call: ProjectCall, name: str) -> Collection:
    """Raises NotFound."""
    collections, project_id = call.parts.catalog.collections, call.caller.project.id
    try:
        return await call.parts.in_thread(collections.get, project_id, name)
    except UnknownCollection:
        raise NotFound.named("collection", name) from None


def _holding(one: Holding) -> Json:
    return {
        "event_collection": one.name,
        "files": one.files,
        "events": one.events,
        "bytes": one.bytes,
        "first": moment_or_none(one.first_us),
        "last": moment_or_none(one.last_us),
        "written_at": moment_or_none(one.written_us),
        "damaged": one.damaged,
        "superseded_files": one.superseded_files,
        "superseded_bytes": one.superseded_bytes,
    }


def _file(one: FileRow) -> Json:
    return {
        "id": one.id,
        "path": one.path,
        "events": one.rows,
        "bytes": one.bytes,
        "first": moment_text(one.min_us),
        "last": moment_text(one.max_us),
        "written_at": moment_text(one.created_us),
        "damaged": one.damaged,
    }
