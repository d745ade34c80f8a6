"""Sources: how far they are, reading one now, and pausing.

/3.0/projects/P/sources[/NAME[/run | /pause | /resume]]
"""

from __future__ import annotations

import json

from starlette.responses import Response

from service.api_paths import PROJECTS, url_of
from service.errors import NotFound
from service.http.authorization import EDITS
from service.http.models.pipelines.sources import SourceDetails, SourceSummary
from service.http.models.shared import Json
from service.http.openapi.operation import Example, ok
from service.http.request import json_answer, segment_of
from service.http.routing import OfProject, ProjectCall, RouteArea
from service.pipelines.sources.overview import SourceOverview, overview_of_source, read_now
from service.saved_queries.definition import moment_or_none
from storage.catalog.sources.records import SourceFile, StoredSource

FILES_SHOWN = 100
_SOURCES = f"{PROJECTS}/{{project_id}}/sources"
_ONE = f"{_SOURCES}/{{source_name}}"
_NAMED = {"source_name": "orders"}
_NONE = {"source_name": "none"}
_APPLIED = """[sources.orders]
owner = "data@shop.example"
files = "orders/*.csv"
into = "orders"
"""

area = RouteArea(
    "sources",
    "What events are read from, beside what clients send.",
    [("POST", f"{PROJECTS}/{{project_id}}/pipelines/apply", {"file": _APPLIED})],
)


@area.get(
    _SOURCES,
    EDITS,
    "All sources",
    ok(list[SourceSummary], "By name, with how far they are."),
    examples=(Example(), Example(key="read", status=401)),
    name="list_sources",
)
async def list_all(call: OfProject) -> Response:
    def found() -> list[Json]:
        catalog = call.parts.catalog
        return [
            _summary(one, overview_of_source(catalog, one))
            for one in catalog.sources.of_project(call.caller.project.id)
        ]

    return json_answer(await call.parts.in_thread(found))


@area.get(
    _ONE,
    EDITS,
    "A source",
    ok(SourceDetails, "Its state, its definition and its files."),
    examples=(Example(_NAMED), Example(_NONE, status=404)),
    name="source",
)
async def show(call: OfProject) -> Response:
    return json_answer(await call.parts.in_thread(_details, call))


@area.post(
    f"{_ONE}/run",
    EDITS,
    "Read a source now",
    ok(SourceSummary, "The source, of which a run is queued."),
    examples=(Example(_NAMED), Example(_NONE, status=404)),
    name="run_source",
)
async def run(call: OfProject) -> Response:
    """Files that were not read for their content are looked into again."""

    def asked() -> Json:
        stored = _found(call)
        read_now(call.parts.catalog, stored)
        return _summary(stored, overview_of_source(call.parts.catalog, stored))

    return json_answer(await call.parts.in_thread(asked))


@area.post(
    f"{_ONE}/pause",
    EDITS,
    "Pause a source",
    ok(SourceSummary, "The source, paused."),
    examples=(Example(_NAMED), Example(_NONE, status=404)),
    name="pause_source",
)
async def pause(call: OfProject) -> Response:
    """It is not read until it is resumed; a run that executes ends as it would."""
    return json_answer(await call.parts.in_thread(_with_paused, call, True))


@area.post(
    f"{_ONE}/resume",
    EDITS,
    "Resume a source",
    ok(SourceSummary, "The source, which goes on where it was."),
    examples=(Example(_NAMED), Example(_NONE, status=404)),
    name="resume_source",
)
async def resume(call: OfProject) -> Response:
    """Resuming one that is not paused changes nothing."""
    return json_answer(await call.parts.in_thread(_with_paused, call, False))


def _with_paused(call: ProjectCall, paused: bool) -> Json:
    """Blocks. Raises NotFound."""
    name = segment_of(call.request.scope, 5)
    changed = call.parts.catalog.sources.set_paused(call.caller.project.id, name, paused)
    if changed is None:
        raise NotFound.named("source", name)
    return _summary(changed, overview_of_source(call.parts.catalog, changed))


def _found(call: ProjectCall) -> StoredSource:
    """Blocks. Raises NotFound."""
    name = segment_of(call.request.scope, 5)
    found = call.parts.catalog.sources.find(call.caller.project.id, name)
    if found is None:
        raise NotFound.named("source", name)
    return found


def _details(call: ProjectCall) -> Json:
    """Blocks. Raises NotFound."""
    stored = _found(call)
    overview = overview_of_source(call.parts.catalog, stored)
    return {
        **_summary(stored, overview),
        "definition": json.loads(stored.definition),
        "newest_files": [_file(one) for one in overview.newest_files[:FILES_SHOWN]],
    }


def _summary(stored: StoredSource, overview: SourceOverview) -> Json:
    definition = overview.definition
    return {
        "name": stored.name,
        "owner": stored.owner,
        "reads": str(definition.reads),
        "into": definition.collection,
        "every_seconds": definition.every_us / 1_000_000,
        "version": stored.version,
        "revision": stored.revision,
        "health": overview.health,
        "paused": stored.paused,
        "problem": overview.problem,
        "events": stored.events,
        "refused": stored.refused,
        "looked": moment_or_none(stored.looked_us),
        "stored": moment_or_none(stored.stored_us),
        "files": {str(state): number for state, number in overview.files.items()},
        "url": url_of(stored.project_id, "sources", stored.name),
    }


def _file(one: SourceFile) -> Json:
    return {
        "path": one.path,
        "state": one.state,
        "events": one.events,
        "refused": one.refused,
        "changed": moment_or_none(one.changed_us),
        "problem": one.problem,
    }
