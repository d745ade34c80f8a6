"""Pipelines: applying a file of them, how fresh they are, and the states of their buckets.

/3.0/projects/P/pipelines[/plan | /apply | /NAME[/buckets | /pause | /resume]]
"""

from __future__ import annotations

import json
import tempfile
from collections.abc import Sequence
from contextlib import closing
from pathlib import Path
from typing import TYPE_CHECKING, Any

from starlette.responses import Response

from query.language.fields import wrong
from query.transforms.fields import InvalidPipeline
from service.api_paths import url_of
from service.errors import InvalidParameter, NotFound, PipelineConflict
from service.http.authorization import EDITS
from service.http.models.pipelines.pipelines import (
    BucketsChange,
    BucketsChanged,
    PipelineBuckets,
    PipelineDetails,
    PipelineFiles,
    PipelineSteps,
    PipelineSummary,
    PlannedSteps,
)
from service.http.models.shared import Json
from service.http.openapi.operation import STRING, Example, in_query, limit_in_query, ok
from service.http.parts import Parts
from service.http.request import check_parameters, json_answer, limit_of, pairs_of, parameter
from service.http.routes.pipelines.finding import NAMED, ONE, PIPELINES, found_pipeline, instant_of, reader_of
from service.http.routing import OfProject, ProjectCall, RouteArea
from service.pipelines import applying
from service.pipelines.applying import Difference, NotApplied
from service.pipelines.changing import set_states
from service.pipelines.definition import FILE, PipelineDefinition, PipelineFolder, read_folder
from service.pipelines.expectations.reports import reports_of
from service.pipelines.freshness.overview import Estimate, Overview, estimated, stored_through
from service.pipelines.inputs import PipelineReader
from service.pipelines.outside.checking import check_plugins
from service.pipelines.references import FolderReferences
from service.pipelines.sinks.checking import check_targets
from service.pipelines.sinks.definition import PluginSink
from service.pipelines.sources.applying import check_sources
from service.pipelines.sources.definition import PluginRows
from service.saved_queries.definition import moment_or_none, moment_text
from storage.catalog.derived.pipeline_records import BucketState, DerivedBucket, StoredPipeline
from storage.catalog.runs.troubles import PipelineTrouble

if TYPE_CHECKING:
    from service.pipelines.execution import Deriver
    from service.pipelines.toolbox import Toolbox

SHOWN_MAX = 1_000
TROUBLES_MAX = 100
_SHOWN = 100
_TEXT = """[pipelines.revenue]
owner = "data@shop.example"
from = "purchases"
into = "revenue"
steps = [{ aggregate = { values = { total = { sum = "price" } } } }]
"""
_FILES = {"file": _TEXT, "revision": "4f2a9c1"}
_BROKEN = {"file": '[pipelines.revenue]\nowner = "data@shop.example"\nfrom = "purchases"\n'}

area = RouteArea("pipelines", "Derived collections: applied from a file, watched, derived again.")


@area.post(
    f"{PIPELINES}/plan",
    EDITS,
    "What applying a file of pipelines would change",
    ok(PlannedSteps, "The differences, what each takes on a day, and what would fail."),
    examples=(
        Example(body=_FILES),
        Example(body=_BROKEN, status=400),
        Example(body=_FILES, key="read", status=401),
    ),
    name="plan_pipelines",
)
async def plan(call: OfProject, sent: PipelineFiles) -> Response:
    """Changes nothing. Python operations are code of the server's operator: pipelines with some are applied
    from their folder by `acumen apply`."""
    return json_answer(await call.parts.in_thread(_with_folder, call, sent, _planned))


@area.post(
    f"{PIPELINES}/apply",
    EDITS,
    "Make the project's pipelines those of a file",
    ok(PipelineSteps, "What was changed."),
    errors=(409,),
    examples=(
        Example(body=_FILES),
        Example(body=_BROKEN, status=400),
        Example(body={"file": ""}, status=409, summary="A file that lacks a pipeline of the project"),
    ),
    name="apply_pipelines",
)
async def apply(call: OfProject, sent: PipelineFiles) -> Response:
    """Applying the same again changes nothing. A pipeline that the file lacks is removed with `remove` alone;
    what it derived stays."""
    return json_answer(await call.parts.in_thread(_with_folder, call, sent, _applied))


@area.get(
    PIPELINES,
    EDITS,
    "All pipelines",
    ok(list[PipelineSummary], "By name, with how fresh they are."),
    examples=(Example(), Example(key="read", status=401)),
    name="list_pipelines",
)
async def list_all(call: OfProject) -> Response:
    def found() -> list[Json]:
        return _summaries(call, call.parts.catalog.pipelines.of_project(call.caller.project.id))

    return json_answer(await call.parts.in_thread(found))


@area.get(
    ONE,
    EDITS,
    "A pipeline",
    ok(PipelineDetails, "Its state and its definition."),
    examples=(Example(NAMED), Example({"pipeline_name": "none"}, status=404)),
    name="pipeline",
)
async def show(call: OfProject) -> Response:
    return json_answer(await call.parts.in_thread(_details, call))


def _details(call: ProjectCall) -> Json:
    """Blocks. Raises NotFound."""
    stored, now_us = found_pipeline(call), call.parts.clock()
    source = call.parts.query_service.source
    definition = call.parts.pipelines.definition(stored)
    # Looked at before the inputs: what is in no file yet may be in one then, and never the other way.
    through_us = stored_through((source(stored.project_id, name) for name in definition.sources), now_us)
    [(_, overview)] = call.parts.pipelines.overviews(stored.project_id, [stored], now_us)
    until_us = overview.fresh_until_us
    document = json.loads(stored.definition)
    troubles = call.parts.catalog.troubles.listed(stored.id, TROUBLES_MAX)
    overdue = next((one for one in troubles if one.is_overdue and one.ended_us is None), None)
    return {
        **_summarised(stored, definition, overview, overdue),
        "troubles": [_trouble(one) for one in troubles],
        "definition": {key: document[key] for key in ("pipeline", "masks", "references")},
        "as_of": moment_text(now_us),
        "stored_through": moment_text(through_us),
        "fresh_until": moment_or_none(until_us),
    }


@area.get(
    f"{ONE}/buckets",
    EDITS,
    "The buckets of a pipeline",
    ok(PipelineBuckets, "Those that were derived, failed or were given a state, the newest first."),
    parameters=(
        in_query("state", STRING, "`fresh`, `stale`, `failed`, `frozen` or `skipped`: only these."),
        in_query("before", STRING, "An instant: only buckets that begin before it."),
        limit_in_query(_SHOWN, SHOWN_MAX),
    ),
    examples=(
        Example(NAMED, {"limit": "10"}),
        Example(NAMED, {"state": "failed"}, summary="What failed"),
        Example(NAMED, {"state": "lost"}, status=400),
    ),
    name="pipeline_buckets",
)
async def buckets(call: OfProject) -> Response:
    pairs = pairs_of(call.request.scope)
    check_parameters(pairs, ("state", "before", "limit"), "the buckets of a pipeline")
    state = parameter(pairs, "state")
    if state is not None and state not in tuple(BucketState):
        raise wrong("state", f"one of {', '.join(BucketState)}", state)
    before_us = instant_of("before", parameter(pairs, "before"))
    limit = limit_of(pairs, _SHOWN, SHOWN_MAX)

    def found() -> list[Json]:
        some = [
            one
            for one in reversed(call.parts.catalog.pipelines.buckets(found_pipeline(call).id))
            if (state is None or one.state == state) and (before_us is None or one.start_us < before_us)
        ]
        return [_bucket(one) for one in some[:limit]]

    return json_answer({"buckets": await call.parts.in_thread(found)})


@area.post(
    f"{ONE}/buckets",
    EDITS,
    "Derive buckets again, or freeze or skip them",
    ok(BucketsChanged, "How many were given the state."),
    examples=(
        Example(NAMED, body={"state": "stale", "since": "2026-01-01T00:00:00Z"}),
        Example(NAMED, body={"state": "fresh"}, status=400),
        Example({"pipeline_name": "none"}, body={"state": "stale"}, status=404),
    ),
    name="change_pipeline_buckets",
)
async def change(call: OfProject, sent: BucketsChange) -> Response:
    """`stale` also ends frozen and skipped. Without `since` and `until` it is all buckets."""
    sent.refuse_unknown("a change of buckets")
    since_us, until_us = instant_of("since", sent.since), instant_of("until", sent.until)

    def changed() -> int:
        stored, reader = found_pipeline(call), reader_of(call.parts)
        chosen = set_states(reader, stored, since_us, until_us, BucketState(sent.state), call.parts.clock())
        return len(chosen)

    return json_answer({"changed": await call.parts.in_thread(changed)})


@area.post(
    f"{ONE}/pause",
    EDITS,
    "Pause a pipeline",
    ok(PipelineSummary, "The pipeline, paused."),
    examples=(Example(NAMED), Example({"pipeline_name": "none"}, status=404)),
    name="pause_pipeline",
)
async def pause(call: OfProject) -> Response:
    """It begins no run until it is resumed; one that executes ends as it would. What is there stays readable,
    and what changes meanwhile is derived afterwards."""
    return json_answer(await call.parts.in_thread(_with_paused, call, True))


@area.post(
    f"{ONE}/resume",
    EDITS,
    "Resume a pipeline",
    ok(PipelineSummary, "The pipeline, which derives again what is stale."),
    examples=(Example(NAMED), Example({"pipeline_name": "none"}, status=404)),
    name="resume_pipeline",
)
async def resume(call: OfProject) -> Response:
    """Resuming one that is not paused changes nothing."""
    return json_answer(await call.parts.in_thread(_with_paused, call, False))


def _with_paused(call: ProjectCall, paused: bool) -> Json:
    """Blocks. Raises NotFound."""
    stored = found_pipeline(call)
    changed = call.parts.catalog.pipelines.set_paused(stored.project_id, stored.name, paused)
    if changed is None:
        raise NotFound.named("pipeline", stored.name)
    [summary] = _summaries(call, [changed])
    return summary


def _with_folder(call: ProjectCall, sent: PipelineFiles, act: Any) -> Json:
    """Blocks. Raises InvalidParameter, Conflict."""
    sent.refuse_unknown("a folder of pipelines")
    with tempfile.TemporaryDirectory(prefix="acumen-pipelines-") as name:
        folder = Path(name)
        (folder / FILE).write_text(sent.file, encoding="utf-8")
        for file, text in (sent.references or {}).items():
            if Path(file).name != file or Path(file).suffix not in (".csv", ".tsv"):
                raise InvalidParameter(f"'references': '{file[:100]}' is no name of a CSV or TSV file.")
            (folder / file).write_text(text, encoding="utf-8")
        reader = reader_of(call.parts)
        try:
            found = read_folder(folder, reader.around)
            _check_connected(found)
            check_targets(reader.catalog, call.caller.project.id, found.pipelines, call.parts.settings)
            check_sources(reader.catalog, call.caller.project.id, call.parts.settings, found.sources)
            of_sources = applying.source_differences(reader.catalog, call.caller.project.id, found)
            check_plugins(found)
        except InvalidPipeline as error:
            raise InvalidParameter(f"'file': {error}") from None
        for one in found.pipelines:
            if one.runs_python:
                raise InvalidParameter(
                    f"'file': pipelines.{one.name}: a Python operation is code of the server's operator: "
                    "apply its folder on the server, by 'acumen apply'."
                )
        return {
            "changes": act(call, sent, found),
            "sources": [{"action": step.verb, "name": step.name} for step in of_sources],
        }


def _check_connected(folder: PipelineFolder) -> None:
    """Plugins that open connections go where their settings say. Raises InvalidParameter."""
    places = [f"sources.{one.name}" for one in folder.sources if isinstance(one.reads, PluginRows)]
    places += [
        f"pipelines.{one.name}.sinks"
        for one in folder.pipelines
        if any(isinstance(sink, PluginSink) for sink in one.sinks)
    ]
    if places:
        raise InvalidParameter(
            f"'file': {places[0]}: a plugin that may open connections is the operator's to use: apply its "
            "folder on the server, by 'acumen apply'."
        )


def _planned(call: ProjectCall, _: PipelineFiles, folder: PipelineFolder) -> list[Json]:
    stored = {one.name: one for one in call.parts.catalog.pipelines.of_project(call.caller.project.id)}
    steps = applying.differences(folder, list(stored.values()))
    with closing(_toolbox(call.parts)) as tools:
        deriver = tools.deriver(folder.path, FolderReferences(folder.references))
        return [_planned_step(call, step, stored.get(step.name), deriver) for step in steps]


def _planned_step(call: ProjectCall, step: Difference, old: StoredPipeline | None, deriver: Deriver) -> Json:
    reader, catalog, now_us = reader_of(call.parts), call.parts.catalog, call.parts.clock()
    project_id, definition = call.caller.project.id, step.definition
    problem = day = None
    if definition is not None:
        inputs = reader.inputs(project_id, definition, now_us)
        buckets = [] if old is None else catalog.pipelines.buckets(old.id)
        day = _day(estimated(catalog, definition, inputs, old, buckets, now_us))
        if step.verb in (applying.Verb.CREATE, applying.Verb.CHANGE):
            from service.pipelines.simulation import fault_of

            problem = fault_of(project_id, definition, inputs.sources, deriver)
    return {**_step(call, reader, step), "problem": problem, "day": day}


def _day(cost: Estimate) -> Json:
    return {
        "buckets": cost.runs,
        "rows_read": cost.rows_read,
        "bytes_read": cost.bytes_read,
        "processor_seconds": cost.processor_seconds,
        "rows_written": cost.rows_written,
        "bytes_written": cost.bytes_written,
        "measured": cost.measured,
    }


def _toolbox(parts: Parts) -> Toolbox:
    # What derives takes memory in each worker: imported once somebody plans.
    from service.pipelines.toolbox import Toolbox

    return Toolbox(parts.settings, parts.catalog, parts.query_service.engine, reader_of(parts).verify)


def _applied(call: ProjectCall, sent: PipelineFiles, folder: PipelineFolder) -> list[Json]:
    reader = reader_of(call.parts)
    try:
        steps = applying.apply(
            call.parts.catalog,
            call.caller.project.id,
            folder,
            remove=bool(sent.remove),
            collections_max=call.parts.settings.collections_max,
            revision=sent.revision,
        )
    except NotApplied as error:
        raise PipelineConflict(str(error)) from None
    return [_step(call, reader, step) for step in steps]


def _step(call: ProjectCall, reader: PipelineReader, step: Difference) -> Json:
    count = events = 0
    if step.definition is not None and step.verb in (applying.Verb.CREATE, applying.Verb.CHANGE):
        inputs = reader.inputs(call.caller.project.id, step.definition, call.parts.clock())
        count, events = len(inputs.buckets), inputs.events
    sinks = [] if step.definition is None else [str(one) for one in step.definition.sinks]
    return {"action": step.verb, "name": step.name, "buckets": count, "events": events, "sinks": sinks}


def _summaries(call: ProjectCall, pipelines: Sequence[StoredPipeline]) -> list[Json]:
    """In the order of the pipelines. Blocks."""
    found = call.parts.pipelines.overviews(call.caller.project.id, pipelines, call.parts.clock())
    overdue = {one.pipeline_id: one for one in call.parts.catalog.troubles.open() if one.is_overdue}
    return [_summarised(*one, overview, overdue.get(one.stored.id)) for one, overview in found]


def _trouble(one: PipelineTrouble) -> Json:
    return {
        "kind": one.kind,
        "since": moment_text(one.since_us),
        "until": moment_or_none(one.ended_us),
        "told": moment_text(one.told_us),
        "bucket": moment_text(one.bucket_us),
        "why": one.why,
        "message": one.message,
    }


def _overdue(one: PipelineTrouble | None) -> Json | None:
    if one is None:
        return None
    return {
        key: value for key, value in _trouble(one).items() if key in ("since", "bucket", "why", "message")
    }


def _summarised(
    stored: StoredPipeline,
    definition: PipelineDefinition,
    overview: Overview,
    overdue: PipelineTrouble | None,
) -> Json:
    until, within_us = overview.derived_until_us, definition.fresh_within_us
    return {
        "name": stored.name,
        "owner": stored.owner,
        "from": list(definition.sources),
        "into": definition.output,
        "bucket": definition.unit,
        "sinks": [str(one) for one in definition.sinks],
        "version": stored.version,
        "revision": stored.revision,
        "health": overview.health,
        "paused": stored.paused,
        "buckets": {str(state): number for state, number in overview.buckets.items()},
        "due": overview.due,
        "rows": overview.rows,
        "quarantine": definition.quarantine,
        "set_aside": overview.quarantined,
        "processor_seconds": round(overview.seconds, 3),
        "derived_until": moment_or_none(until),
        "problem": overview.problem,
        "fresh_within_seconds": None if within_us is None else within_us // 1_000_000,
        "overdue": _overdue(overdue),
        "url": url_of(stored.project_id, "pipelines", stored.name),
    }


def _bucket(one: DerivedBucket) -> Json:
    return {
        "start": moment_text(one.start_us),
        "end": moment_text(one.end_us),
        "state": one.state,
        "rows_in": one.rows_in,
        "rows_out": one.rows_out,
        "processor_seconds": round(one.seconds, 3),
        "failures": one.attempts,
        "changed": moment_text(one.changed_us),
        "problem": one.problem,
        "set_aside": one.quarantined,
        "expectations": [report.described() for report in reports_of(one.report)],
    }
