"""What the routes of pipelines share: addresses, the pipeline of a path, instants of parameters."""

from __future__ import annotations

from query.language.fields import wrong
from service.api_paths import PROJECTS
from service.errors import NotFound
from service.http.parts import Parts
from service.http.request import segment_of
from service.http.routing import ProjectCall
from service.pipelines.inputs import PipelineReader
from storage.catalog.derived.pipeline_records import StoredPipeline
from storage.instants import parse_instant

PIPELINES = f"{PROJECTS}/{{project_id}}/pipelines"
ONE = f"{PIPELINES}/{{pipeline_name}}"
NAMED = {"pipeline_name": "revenue"}
APPLIED = (
    "POST",
    f"{PIPELINES}/apply",
    {"file": '[pipelines.revenue]\nowner = "data@shop.example"\nfrom = "purchases"\ninto = "revenue"\n'},
)
"""What examples need to have been asked before: a pipeline of the name in ``NAMED``."""


def found_pipeline(call: ProjectCall) -> StoredPipeline:
    """The pipeline that the path names. Blocks. Raises NotFound."""
    name = segment_of(call.request.scope, 5)
    found = call.parts.catalog.pipelines.find(call.caller.project.id, name)
    if found is None:
        raise NotFound.named("pipeline", name)
    return found


def reader_of(parts: Parts) -> PipelineReader:
    return parts.pipelines.reader


def instant_of(name: str, text: str | None) -> int | None:
    """In microseconds since 1970; None where nothing was given. Raises InvalidQuery."""
    if text is None:
        return None
    found = parse_instant(text)
    if found is None:
        raise wrong(name, "an instant, as 2026-01-31T12:00:00Z", text)
    return found
