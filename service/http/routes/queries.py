"""Queries: ``GET``, ``POST`` and ``HEAD`` ``/3.0/projects/P/queries/<analysis>``, and the list of them."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import partial
from typing import Any

from starlette.responses import Response

from query.json_encoding import dumps
from query.language.parameter_table import ANALYSES, EXTRACTION
from query.language.query_string import from_query_string
from service.api_paths import PROJECTS, url_of
from service.auth.principal import Caller, Permission
from service.bodies.json_body import json_of
from service.exports.request import wants_file
from service.http.authorization import Rule, needs, needs_both
from service.http.openapi.operation import DocumentedAnswer, Endpoint, Example, Operation, ok
from service.http.openapi.questions import DIFF_REQUEST, DIFF_RESULT, operations_of
from service.http.request import (
    Pairs,
    callback_of,
    count_rate,
    gone_of,
    json_answer,
    opened,
    pairs_of,
    script_answer,
    warning_headers,
)
from service.http.routes.extractions import base_url, exports_of
from service.http.routing import OfProject, ProjectCall, RouteArea
from service.limits.rate_limiter import Rate
from service.queries.query_service import QueryResponse

QUERIES = f"{PROJECTS}/{{project_id}}/queries"
_MOST_ASKED = ("count", "sum", "count_unique", "funnel", "average", "extraction", "maximum", "minimum")
"""Their routes are tried first."""
_BARE_NAMES = frozenset({"minimum", "percentile", "average", "median", "maximum", "sum"})
"""Keen's list of queries names these without ``_url``."""
_EVENTS = {
    "purchases": [{"price": 7, "user": {"id": "bob"}}, {"price": 30, "user": {"id": "ann"}}],
    "signups": [{"user": {"id": "ann"}}],
}
_RULE = needs(Permission.QUERIES)
_EXTRACTION_RULE = needs(Permission.EXTRACTIONS, Permission.EXPORTS)
"""Whether events or a file are asked for is known once the parameters are read."""

area = RouteArea("ask", "Ask questions.", [("POST", f"{PROJECTS}/{{project_id}}/events", _EVENTS)])


def _query_service(analysis: str) -> Endpoint:
    """The handler of an analysis.

    It has no parameters for FastAPI to check: ``query`` parses and checks the query, on a thread.
    """
    rate = Rate.EXTRACTIONS if analysis == EXTRACTION else Rate.QUERIES

    async def ask(call: OfProject) -> Response:
        parts, request, caller = call
        check_extraction(caller, analysis)
        count_rate(parts.rates, request, caller, rate)
        if request.method == "POST":
            return await _answer_post(call, analysis)
        pairs = pairs_of(request.scope)
        callback = callback_of(pairs)
        response = await respond(call, analysis, _reader_of(pairs))
        return answer_of(response, callback)

    return ask


def rule_of(analysis: str) -> Rule:
    """The rule of an analysis' route."""
    return _EXTRACTION_RULE if analysis == EXTRACTION else _RULE


def check_extraction(caller: Caller, analysis: str) -> None:
    """Raises Forbidden for an extraction that the options of the key exclude."""
    if analysis == EXTRACTION and not caller.options.extraction:
        raise caller.excluded("extraction")


for _analysis in dict.fromkeys((*_MOST_ASKED, *sorted(ANALYSES))):
    _path = f"{QUERIES}/{_analysis}"
    area.serve(_path, rule_of(_analysis), *operations_of(_analysis, _path), scripted=True)(
        _query_service(_analysis)
    )


@area.get(
    QUERIES,
    _RULE,
    "The analyses and their addresses",
    ok(dict[str, str], "Their addresses."),
    spends=False,
    examples=(Example(key="read"),),
)
async def list_queries(call: OfProject) -> Response:
    names = ((name, name if name in _BARE_NAMES else f"{name}_url") for name in sorted(ANALYSES))
    return json_answer({key: url_of(call.caller.project.id, "queries", name) for name, key in names})


@area.serve(
    f"{QUERIES}/diff",
    needs_both(Permission.QUERIES, Permission.SCHEMA),
    Operation(
        method="post",
        path=f"{QUERIES}/diff",
        summary="Which events moved an answer",
        answers={200: DocumentedAnswer("Both answers, and what changed.", schema=DIFF_RESULT)},
        body=DIFF_REQUEST,
        errors=(504,),
        examples=(
            Example(
                body={"analysis_type": "count", "event_collection": "purchases", "from": "{version}"},
                summary="Since a version that an explained answer named",
            ),
            Example(
                body={"analysis_type": "count", "event_collection": "purchases"},
                status=400,
                summary="Without 'from'",
            ),
            Example(
                body={"analysis_type": "count", "event_collection": "purchases", "from": "v0.0"},
                status=400,
                summary="A version that was never named",
            ),
        ),
        name="diff",
    ),
)
async def diff(call: OfProject) -> Response:
    """One question about two versions, `from` and `to` (now by default): both answers, and for each
    collection how many events came late, came with a time after `from`, were updated or erased, with the
    first of them. Relative timeframes are those of `from`. For keys with the permission `schema` and
    without filters."""
    parts, request, caller = call
    count_rate(parts.rates, request, caller, Rate.QUERIES)
    async with opened(parts.bodies, request, parts.settings.query_bytes_max) as body:
        values_max = parts.bodies.limits.values_max
        read = partial(json_of, body, values_max)
        response = await parts.query_service.diff(caller, read, gone_of(request))
    return answer_of(response)


async def respond(call: ProjectCall, analysis: str, read: Callable[[], Any]) -> QueryResponse:
    """The answer to a question, or to the request for a file, of which ``read`` returns the parameters."""
    parts, request, caller = call
    if analysis != EXTRACTION:
        return await parts.query_service.ask(caller, analysis, read, gone_of(request))
    params = await parts.in_thread(read)
    if not wants_file(params):
        caller.require(Permission.EXTRACTIONS)
        return await parts.query_service.ask(caller, analysis, lambda: params, gone_of(request))
    caller.require(Permission.EXPORTS)
    base = base_url(parts, request)
    return QueryResponse(dumps(await parts.in_thread(exports_of(parts).request, caller, params, base)))


async def _answer_post(call: ProjectCall, analysis: str) -> Response:
    parts = call.parts
    async with opened(parts.bodies, call.request, parts.settings.query_bytes_max) as body:
        values_max = parts.bodies.limits.values_max
        response = await respond(call, analysis, lambda: json_of(body, values_max))
    return answer_of(response, None)


def _reader_of(pairs: Pairs) -> Callable[[], Mapping[str, Any]]:
    return lambda: from_query_string(pairs)


def answer_of(response: QueryResponse, callback: str | None = None) -> Response:
    headers = warning_headers(response.warnings)
    if response.age is not None:
        headers = {**(headers or {}), "age": str(response.age)}
    if callback is not None:
        answer = script_answer(callback, response.body, headers=headers)
    else:
        answer = json_answer(response.body, headers=headers)
    return answer
