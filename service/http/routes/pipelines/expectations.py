"""What the expectations of a pipeline found, and which rows pass although they broke one.

/3.0/projects/P/pipelines/NAME/expectations
"""

from __future__ import annotations

from collections.abc import Sequence

from starlette.responses import Response

from service.errors import InvalidParameter
from service.http.authorization import EDITS
from service.http.models.pipelines.expectations import AcceptedRows, PipelineExpectations
from service.http.models.shared import Json
from service.http.openapi.operation import STRING, Example, in_query, ok
from service.http.request import check_parameters, json_answer, pairs_of, parameter
from service.http.routes.pipelines.finding import NAMED, ONE, PIPELINES, found_pipeline, instant_of, reader_of
from service.http.routing import OfProject, ProjectCall, RouteArea
from service.pipelines.expectations.accepting import NotAccepted, change_accepted
from service.pipelines.expectations.reports import Findings, findings_of, rules_of
from storage.catalog.derived.pipeline_records import DerivedBucket, StoredPipeline

_TEXT = """[pipelines.revenue]
owner = "data@shop.example"
from = "purchases"
into = "revenue"
[[pipelines.revenue.steps]]
expect = "a price"
required = ["price"]
severity = "quarantine"
"""
_DIGEST = "d41d8cd98f00b204e9800998ecf8427e"
_PATH = f"{ONE}/expectations"

area = RouteArea(
    "expectations",
    "What the expectations of pipelines found.",
    [("POST", f"{PIPELINES}/apply", {"file": _TEXT})],
)


@area.get(
    _PATH,
    EDITS,
    "What the expectations of a pipeline found",
    ok(PipelineExpectations, "In the buckets as they are now."),
    parameters=(
        in_query("since", STRING, "An instant: only buckets that end after it."),
        in_query("until", STRING, "An instant: only buckets that begin before it."),
    ),
    examples=(
        Example(NAMED),
        Example(NAMED, {"since": "yesterday"}, status=400),
        Example({"pipeline_name": "none"}, status=404),
    ),
    name="pipeline_expectations",
)
async def show(call: OfProject) -> Response:
    """The rows that were set aside are events of the collection `quarantine`: questions, SQL and extractions
    read them."""
    pairs = pairs_of(call.request.scope)
    check_parameters(pairs, ("since", "until"), "the expectations of a pipeline")
    since_us, until_us = (instant_of(name, parameter(pairs, name)) for name in ("since", "until"))

    def found() -> Json:
        stored = found_pipeline(call)
        buckets = [
            one
            for one in call.parts.catalog.pipelines.buckets(stored.id)
            if (since_us is None or one.end_us > since_us) and (until_us is None or one.start_us < until_us)
        ]
        return _shown(call, stored, buckets)

    return json_answer(await call.parts.in_thread(found))


@area.post(
    _PATH,
    EDITS,
    "Accept rows that were set aside",
    ok(PipelineExpectations, "As it was before the buckets are derived again."),
    examples=(
        Example(NAMED, body={"accept": [_DIGEST]}),
        Example(NAMED, body={"withdraw": ["0" * 32]}, status=400),
        Example(NAMED, body={"accept": ["all"]}, status=400),
    ),
    name="accept_rows",
)
async def accept(call: OfProject, sent: AcceptedRows) -> Response:
    """Rows with these values pass all expectations of the pipeline from now on. Buckets that have rows set
    aside are derived again."""
    sent.refuse_unknown("accepted rows")

    def changed() -> Json:
        stored = found_pipeline(call)
        definition = reader_of(call.parts).definition(stored)
        try:
            change_accepted(call.parts.catalog, stored, definition, sent.accept or [], sent.withdraw or [])
        except NotAccepted as error:
            raise InvalidParameter(str(error)) from None
        return _shown(call, stored, call.parts.catalog.pipelines.buckets(stored.id))

    return json_answer(await call.parts.in_thread(changed))


def _shown(call: ProjectCall, stored: StoredPipeline, buckets: Sequence[DerivedBucket]) -> Json:
    return {
        "quarantine": reader_of(call.parts).definition(stored).quarantine,
        "set_aside": sum(one.quarantined for one in buckets),
        "expectations": [_finding(one) for one in findings_of(one.report for one in buckets)],
        "accepted": call.parts.catalog.pipelines.accepted(stored.id),
    }


def _finding(one: Findings) -> Json:
    return {
        "name": one.total.name,
        "severity": one.total.severity,
        "buckets": one.buckets,
        "broken_buckets": one.broken_buckets,
        "rows": one.total.rows,
        "faulty": one.total.faulty,
        "rules": rules_of(one.total),
    }
