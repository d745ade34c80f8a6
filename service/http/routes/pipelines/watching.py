"""Watching pipelines: their runs, and all buckets of one, with those that were never derived.

/3.0/projects/P/runs, /3.0/projects/P/pipelines/NAME[/runs | /timeline]
"""

from __future__ import annotations

from starlette.responses import Response

from query.language.fields import wrong
from query.transforms.nodes import BucketSpan
from service.api_paths import PROJECTS
from service.http.authorization import EDITS
from service.http.models.pipelines.watching import PipelineRuns, PipelineTimeline
from service.http.models.shared import Json
from service.http.openapi.operation import BEFORE_NUMBER, STRING, Example, in_query, limit_in_query, ok
from service.http.request import (
    check_parameters,
    json_answer,
    limit_of,
    number_before,
    pairs_of,
    parameter,
)
from service.http.routes.pipelines.finding import APPLIED, NAMED, ONE, found_pipeline, instant_of, reader_of
from service.http.routing import OfProject, ProjectCall, RouteArea
from service.pipelines.planning import bucket_of, is_delivery, planned
from service.saved_queries.definition import moment_or_none, moment_text
from storage.catalog.derived.pipeline_records import BucketState, StoredPipeline
from storage.catalog.runs.records import QueuedRun, RunState
from storage.catalog.sources.records import RUNS_OF

SHOWN_MAX = 1_000
TIMELINE_MAX = 10_000
_SHOWN = 100
_NONE = {"pipeline_name": "none"}
_SECOND_US = 1_000_000
_OF_RUNS = (
    in_query(
        "state", STRING, f"Only these: {', '.join(f'`{one}`' for one in RunState)}; several with commas."
    ),
    BEFORE_NUMBER,
    limit_in_query(_SHOWN, SHOWN_MAX),
)

area = RouteArea(
    "runs",
    "The runs of pipelines, and what each bucket waits for.",
    [APPLIED],
)


@area.get(
    f"{PROJECTS}/{{project_id}}/runs",
    EDITS,
    "The runs of all pipelines",
    ok(PipelineRuns, "What waits, executes and has ended."),
    parameters=_OF_RUNS,
    examples=(
        Example(query={"limit": "10"}),
        Example(query={"state": "running"}, summary="What executes now"),
        Example(query={"state": "lost"}, status=400),
        Example(key="read", status=401),
    ),
    name="list_runs",
)
async def list_runs(call: OfProject) -> Response:
    """Runs that have ended are forgotten after some days."""
    return await _runs(call, named=False)


@area.get(
    f"{ONE}/runs",
    EDITS,
    "The runs of a pipeline",
    ok(PipelineRuns, "What waits, executes and has ended."),
    parameters=_OF_RUNS,
    examples=(
        Example(NAMED, {"limit": "10"}),
        Example(NAMED, {"state": "waiting,running"}, summary="What waits or executes"),
        Example(_NONE, status=404),
    ),
    name="pipeline_runs",
)
async def runs_of_one(call: OfProject) -> Response:
    """One run may derive neighbouring buckets too: the runs of these find nothing left to do."""
    return await _runs(call, named=True)


@area.get(
    f"{ONE}/timeline",
    EDITS,
    "All buckets of a pipeline",
    ok(PipelineTimeline, "With those that were never derived."),
    parameters=(
        in_query("since", STRING, "An instant: only buckets that end after it."),
        in_query("until", STRING, "An instant: only buckets that begin before it."),
        limit_in_query(_SHOWN, TIMELINE_MAX),
    ),
    examples=(
        Example(NAMED, {"since": "2026-01-01T00:00:00Z", "limit": "10"}),
        Example(NAMED, {"since": "yesterday"}, status=400),
        Example(_NONE, status=404),
    ),
    name="pipeline_timeline",
)
async def timeline(call: OfProject) -> Response:
    """As of now: a bucket whose events or definition have changed since it was derived is `stale`. `total`
    says to how many a change with the same `since` and `until` would give a state."""
    pairs = pairs_of(call.request.scope)
    check_parameters(pairs, ("since", "until", "limit"), "the timeline of a pipeline")
    since_us, until_us = (instant_of(name, parameter(pairs, name)) for name in ("since", "until"))
    limit = limit_of(pairs, _SHOWN, TIMELINE_MAX)

    def found() -> Json:
        shown = [
            (bucket, one)
            for bucket, one in _buckets(call, found_pipeline(call))
            if (since_us is None or bucket.end_us > since_us)
            and (until_us is None or bucket.start_us < until_us)
        ]
        return {"total": len(shown), "buckets": [one for _, one in shown[:limit]]}

    return json_answer(await call.parts.in_thread(found))


def _buckets(call: ProjectCall, stored: StoredPipeline) -> list[tuple[BucketSpan, Json]]:
    """Newest first. Blocks."""
    parts = call.parts
    reader = reader_of(parts)
    definition = reader.definition(stored)
    inputs = reader.inputs(stored.project_id, definition, parts.clock())
    buckets = parts.catalog.pipelines.buckets(stored.id)
    states = {BucketSpan(one.start_us, one.end_us): one.state for one in buckets}
    causes = {one.bucket: one.cause for one in planned(definition, inputs, buckets).due}
    running = {
        bucket_of(one.target)
        for one in parts.catalog.runs.listed(
            stored.project_id, pipeline=stored.name, states=[RunState.RUNNING], limit=SHOWN_MAX
        )
        if not is_delivery(one.target)
    }
    return [
        (
            bucket,
            {
                "start": moment_text(bucket.start_us),
                "end": moment_text(bucket.end_us),
                "state": _state(states.get(bucket), is_due=bucket in causes),
                "running": bucket in running,
                "cause": causes.get(bucket),
            },
        )
        for bucket in sorted({*states, *inputs.buckets}, key=lambda one: -one.start_us)
    ]


def _state(kept: BucketState | None, *, is_due: bool) -> BucketState:
    if kept is None or (kept is BucketState.FRESH and is_due):
        return BucketState.STALE
    return kept


async def _runs(call: ProjectCall, *, named: bool) -> Response:
    pairs = pairs_of(call.request.scope)
    check_parameters(pairs, ("state", "before", "limit"), "the runs of pipelines")
    states = _states(parameter(pairs, "state"))
    number, limit = number_before(pairs), limit_of(pairs, _SHOWN, SHOWN_MAX)

    def found() -> list[Json]:
        pipeline = found_pipeline(call).name if named else None
        listed = call.parts.catalog.runs.listed(
            call.caller.project.id,
            pipeline=pipeline,
            states=states,
            before=number,
            limit=limit,
            without=RUNS_OF,
        )
        now_us = call.parts.clock()
        return [_run(one, now_us) for one in listed]

    return json_answer({"runs": await call.parts.in_thread(found)})


def _states(text: str | None) -> list[RunState] | None:
    """Raises InvalidQuery."""
    if text is None:
        return None
    names = text.split(",")
    for name in names:
        if name not in tuple(RunState):
            raise wrong("state", f"one or several of {', '.join(RunState)}", name)
    return [RunState(name) for name in names]


def _run(run: QueuedRun, now_us: int) -> Json:
    bucket = bucket_of(run.target)
    seconds = None
    if run.started_us is not None and (run.state is RunState.RUNNING or run.ended_us is not None):
        end_us = now_us if run.ended_us is None else run.ended_us
        seconds = round(max(0, end_us - run.started_us) / _SECOND_US, 3)
    return {
        "number": run.number,
        "id": run.id,
        "pipeline": run.pipeline,
        "start": moment_text(bucket.start_us),
        "end": moment_text(bucket.end_us),
        "state": run.state,
        "delivers": is_delivery(run.target),
        "cause": run.cause,
        "attempts": run.attempts,
        "queued": moment_text(run.created_us),
        "began": moment_or_none(run.started_us),
        "ended": moment_or_none(run.ended_us),
        "seconds": seconds,
        "processor_seconds": round(run.cpu_us / _SECOND_US, 3),
        "problem": run.message,
    }
