"""Saved queries: their definitions, and their results.

/3.0/projects/P/queries/saved[/NAME[/result]]
/3.0/projects/P/saved_queries[/NAME[/result]]      the same in the shapes of the API's first version
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from starlette.requests import Request
from starlette.responses import Response

from query.language.parameter_table import EXTRACTION
from query.language.parse import AS_OF
from service.api_paths import PROJECTS
from service.auth.principal import Permission
from service.errors import NotFound
from service.http.authorization import EDITS, needs
from service.http.models.saved_queries import (
    LegacyPut,
    LegacySavedQuery,
    PlainResult,
    SavedQuery,
    SavedQueryDefinition,
    SavedResult,
    ViewerResult,
)
from service.http.models.shared import Json
from service.http.openapi.operation import (
    SCRIPT,
    STRING,
    DocumentedAnswer,
    Example,
    Operation,
    gone,
    in_query,
    ok,
)
from service.http.request import (
    callback_of,
    check_parameters,
    count_rate,
    empty_answer,
    gone_of,
    json_answer,
    pairs_of,
    parameter,
    raw_path,
    script_answer,
    segment_of,
    warning_headers,
)
from service.http.routing import OfProject, ProjectCall, RouteArea
from service.limits.rate_limiter import Rate
from service.queries.query_service import QueryResponse
from service.saved_queries import definition as saved
from service.saved_queries.result_cache import RequestContext
from service.saved_queries.viewer_changes import PARAMETERS, read_changes
from storage.catalog.derived import records

SAVED = f"{PROJECTS}/{{project_id}}/queries/saved"
LEGACY = f"{PROJECTS}/{{project_id}}/saved_queries"
_ONE = f"{SAVED}/{{query_name}}"
_LEGACY_ONE = f"{LEGACY}/{{query_name}}"
_DEFINITIONS = needs(Permission.QUERY_DEFINITION)
_ALL_DEFINITIONS = needs(Permission.DEFINITIONS)
_RESULTS = needs(Permission.SAVED_QUERIES, Permission.CACHED_QUERIES)
_SUM: Json = {
    "analysis_type": "sum",
    "event_collection": "purchases",
    "target_property": "price",
    "timeframe": "this_14_days",
}
_REVENUE: Json = {"query": _SUM, "refresh_rate": 14_400, "metadata": {"display_name": "Revenue"}}
_COUNT: Json = {"query": {"analysis_type": "count", "event_collection": "purchases"}}
_NAMED = {"query_name": "revenue"}
_RENAMED = {**_REVENUE, "query_name": "revenue-14"}
_OLD = {"query_name": "orders"}

CHANGES = (
    in_query("timeframe", STRING, "Another timeframe: relative, or JSON of an absolute one."),
    in_query("timezone", STRING, "Another time zone."),
    in_query("interval", STRING, "Another interval."),
    in_query("filters", STRING, "JSON of a list of filters, which are added to those of the query."),
)

_AS_OF = in_query(
    "as_of",
    STRING,
    "The version that an `explain` named, or an instant: the result is computed of the events as they were "
    "then, with `now` as then. Not for embed tokens.",
)

area = RouteArea(
    "saved queries",
    "Save queries by name, and have their results computed in advance.",
    [("POST", f"{PROJECTS}/{{project_id}}/events/purchases", {"price": 7})],
)


@area.put(
    _ONE,
    EDITS,
    "Make or replace a saved query",
    {200: DocumentedAnswer("It was replaced.", SavedQuery), 201: DocumentedAnswer("It is new.", SavedQuery)},
    errors=(409,),
    examples=(
        Example(_NAMED, body=_REVENUE, status=201),
        Example(_NAMED, body=_RENAMED, summary="Rename"),
        Example(_NAMED, body=_REVENUE, status=201),
        Example(_NAMED, body=_RENAMED, status=409),
        Example(_NAMED, body={"query": _SUM, "refresh_rate": 60}, status=400),
        Example(_NAMED, body=_REVENUE, key="read", status=401),
    ),
)
async def put(call: OfProject, definition: SavedQueryDefinition) -> Response:
    """Replaces everything; what is left out is unset. What only the server writes is ignored."""
    shown, created = await _put(call, definition)
    return json_answer(saved.dumped(shown), 201 if created else 200)


def _result(
    path: str, summary: str, answer: DocumentedAnswer, example: Mapping[str, str], more: str = ""
) -> Operation:
    return Operation(
        method="get",
        path=f"{path}/result",
        summary=summary,
        answers={200: answer},
        description=more,
        parameters=("jsonp", *CHANGES, _AS_OF),
        errors=(504,),
        examples=(
            Example(example, key="read"),
            Example(example, query={"timeframe": "this_2_days"}, key="read", summary="Another timeframe"),
            Example(example, query={"timeframe": "sometimes"}, key="read", status=400),
            Example(example, query={"as_of": "yesterday"}, key="read", status=400),
            Example(example, key="write", status=403),
        ),
    )


@area.serve(
    f"{_ONE}/result",
    _RESULTS,
    _result(
        _ONE,
        "The result of a saved query",
        DocumentedAnswer("The definition and the result.", SavedResult | ViewerResult, content={SCRIPT: {}}),
        _NAMED,
        "A funnel's `result` holds `result`, `steps` and `actors`. `run_information.stale` says whether "
        "events that the result covers have come since it was computed. A key that may ask questions may "
        "change timeframe, time zone and interval, add filters, and say `as_of`; an embed token what it lets "
        "viewers change. Such a result is computed when it is asked for. An embed token is told "
        "`query_name`, `metadata` (`display_name`, `visualization`), of `query` what labels the result, "
        "`viewer`, which is what the token lets its viewers change, and `result`.",
    ),
    scripted=True,
)
async def result(call: OfProject) -> Response:
    callback = callback_of(pairs_of(call.request.scope))
    response = await result_of(call, plain=_is_legacy(call.request))
    headers = warning_headers(response.warnings)
    if callback is not None:
        return script_answer(callback, response.body, headers=headers)
    return json_answer(response.body, headers=headers)


async def result_of(call: ProjectCall, *others: str, plain: bool = False) -> QueryResponse:
    """The result of the saved query that the request names, changed as its parameters say.

    ``others``: parameters that the request may have beside those.
    """
    parts, request, caller = call
    pairs, query_service = pairs_of(request.scope), parts.query_service
    if query_service.strict:
        # Those that change the query are checked where they are read.
        unchanging = [pair for pair in pairs if pair[0].partition("[")[0] not in PARAMETERS]
        check_parameters(unchanging, (*PARAMETERS, AS_OF, *others), "the result of a saved query")
    changes = read_changes(pairs, query_service.limits, query_service.check_regex)
    changes = replace(changes, as_of=parameter(pairs, AS_OF) or "")
    return await parts.saved.result(
        caller, _name(request), request_context(call), plain=plain, changes=changes
    )


@area.get(
    _ONE,
    _DEFINITIONS,
    "The definition of a saved query",
    ok(SavedQuery, "The definition."),
    examples=(Example(_NAMED), Example({"query_name": "none"}, status=404)),
)
async def show(call: OfProject) -> Response:
    name = _name(call.request)
    call.caller.require_definition(name, True, False)
    query = await call.parts.in_thread(call.parts.catalog.saved_queries.find, call.caller.project.id, name)
    if query is None:
        raise NotFound.named("saved query", name)
    call.caller.require_definition(name, bool(query.refresh_rate))
    return json_answer(saved.dumped(await _shown(call, query)))


@area.get(
    SAVED,
    _ALL_DEFINITIONS,
    "All saved queries",
    ok(list[SavedQuery], "By name."),
    examples=(Example(), Example(key="read", status=401)),
)
async def list_all(call: OfProject) -> Response:
    queries = await call.parts.in_thread(call.parts.catalog.saved_queries.of_project, call.caller.project.id)
    return json_answer(saved.dumped([await _shown(call, query) for query in queries]))


@area.delete(
    _ONE,
    EDITS,
    "Delete a saved query",
    gone(),
    examples=(Example({"query_name": "revenue-14"}, status=204), Example(_NAMED, key="read", status=401)),
)
async def delete(call: OfProject) -> Response:
    name, catalog = _name(call.request), call.parts.catalog
    files = await call.parts.in_thread(catalog.saved_queries.remove, call.caller.project.id, name)
    if files is None:
        raise NotFound.named("saved query", name)
    await call.parts.in_thread(call.parts.saved.results.remove_files, files)
    return empty_answer()


@area.put(
    _LEGACY_ONE,
    EDITS,
    "Make or replace a saved query (old address)",
    {200: DocumentedAnswer("Replaced.", LegacyPut), 201: DocumentedAnswer("New.", LegacyPut)},
    errors=(409,),
    examples=(Example(_OLD, body=_COUNT, status=201),),
)
async def legacy_put(call: OfProject, definition: LegacySavedQuery) -> Response:
    shown, created = await _put(call, definition)
    answer = {"created": created, "updated": not created, "saved_query": shown}
    return json_answer(saved.dumped(answer), 201 if created else 200)


area.serve(
    f"{_LEGACY_ONE}/result",
    _RESULTS,
    _result(
        _LEGACY_ONE,
        "The result alone (old address)",
        DocumentedAnswer("The result.", PlainResult, content={SCRIPT: {}}),
        _OLD,
    ),
    scripted=True,
)(result)
area.get(
    _LEGACY_ONE,
    _DEFINITIONS,
    "A definition (old address)",
    ok(SavedQuery, "The definition; also with `saved_query_name`."),
    examples=(Example(_OLD),),
)(show)
area.get(
    LEGACY,
    _ALL_DEFINITIONS,
    "All saved queries (old address)",
    ok(list[SavedQuery], "By name."),
    examples=(Example(),),
)(list_all)
area.delete(
    _LEGACY_ONE,
    EDITS,
    "Delete a saved query (old address)",
    gone(),
    examples=(Example(_OLD, status=204),),
)(delete)


async def _put(call: ProjectCall, definition: SavedQueryDefinition) -> tuple[Json, bool]:
    """Store the definition. Returns it as shown to the caller, and whether it is new."""
    kept, created, warnings = await call.parts.in_thread(_store, call, definition)
    shown = await _shown(call, kept)
    return {**shown, "warnings": warnings} if warnings else shown, created


def _store(
    call: ProjectCall, definition: SavedQueryDefinition
) -> tuple[records.SavedQuery, bool, list[dict[str, Any]]]:
    """Store the definition. Returns it, whether it is new, and warnings about names without data. Blocks.

    Raises InvalidQuery, DuplicateSavedQuery.
    """
    parts, request, caller = call
    name, query_service = _name(request), parts.query_service
    warnings: list[dict[str, Any]] = []

    def judge(analysis: str, params: Mapping[str, Any]) -> None:
        question = query_service.judge(caller.project, analysis, params)
        warnings.extend(query_service.warnings(caller, analysis, params, question))

    read = saved.read(name, definition.sent(), judge, strict=query_service.strict)
    kept, created = parts.catalog.saved_queries.put(
        caller.project.id,
        name,
        read.name,
        query=read.query,
        metadata=read.metadata,
        refresh_rate=read.refresh_rate,
    )
    return kept, created, warnings


async def _shown(call: ProjectCall, query: records.SavedQuery) -> Json:
    definition = await call.parts.saved.described(call.caller, query, request_context(call))
    return saved.legacy(definition, query.project_id) if _is_legacy(call.request) else definition


def request_context(call: ProjectCall) -> RequestContext:
    """What a result needs of this request, which is counted once it is computed."""
    parts, request, caller = call

    def count(analysis: str) -> None:
        rate = Rate.EXTRACTIONS if analysis == EXTRACTION else Rate.QUERIES
        count_rate(parts.rates, request, caller, rate)

    return RequestContext(gone_of(request), count)


def _is_legacy(request: Request) -> bool:
    return raw_path(request.scope).split(b"/")[4] == b"saved_queries"


def _name(request: Request) -> str:
    return segment_of(request.scope, 5 if _is_legacy(request) else 6)
