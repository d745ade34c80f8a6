"""What an access key would see before it is made: answered as the key itself would be.

The caller of such a key is made by the code that makes it for a stored key, and goes through the same rules,
filters and options. Only what is counted is counted for who asks.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Annotated, Any

from fastapi import Query
from starlette.responses import Response

from query.language.parameter_table import ANALYSES, EXTRACTION
from query.language.parameters import analysis_meant
from query.language.suggestions import meant
from service.api_paths import PROJECTS
from service.auth.access_keys import checked, new_access_key
from service.auth.principal import Caller, Permission, caller_by_access_key
from service.bodies.json_body import json_of
from service.errors import Forbidden, InvalidParameter
from service.exports.request import wants_file
from service.http.authorization import MASTER
from service.http.models.administration import KeyPreview, KeyRights, RightsAndQuestion
from service.http.models.shared import Json
from service.http.openapi.operation import Example, ok
from service.http.request import count_rate, gone_of, json_answer
from service.http.routes import queries, schema
from service.http.routing import OfProject, ProjectCall, RouteArea
from service.limits.rate_limiter import Rate
from service.queries.query_service import written
from service.saved_queries.result_cache import check_right
from storage.catalog.derived.records import SavedQuery
from storage.catalog.stored.records import Collection

PATH = f"{PROJECTS}/{{project_id}}/key-preview"
PAGE = 10
PAGE_MAX = 50
NEWEST = 3
NAMES_MAX = 200
_NAME = "Preview"
_EU: Json = {
    "permitted": ["queries", "schema"],
    "options": {
        "queries": {"filters": [{"property_name": "region", "operator": "eq", "property_value": "eu"}]}
    },
}
_COUNT: Json = {"analysis_type": "count", "event_collection": "orders"}

area = RouteArea(
    "key previews",
    "What an access key would see, before it is made.",
    [("POST", f"{PROJECTS}/{{project_id}}/events/orders", {"region": name}) for name in ("eu", "us")],
)


@area.post(
    PATH,
    MASTER,
    "What an access key would see",
    ok(KeyPreview, "What it would see; nothing is made."),
    audited=False,
    errors=(504,),
    examples=(
        Example(body=_EU),
        Example(body={"permitted": ["all"]}, status=400),
        Example(body=_EU, key="read", status=401),
    ),
)
async def preview(
    call: OfProject,
    rights: KeyRights,
    after: Annotated[str, Query(description="Only collections whose names follow this one.")] = "",
    limit: Annotated[int, Query(ge=1, le=PAGE_MAX, description="Collections of one answer.")] = PAGE,
) -> Response:
    """Of the project's collections, by name: the properties and events that a key with these rights would
    see, and the newest of them; and the names of saved queries and datasets whose results it could read."""
    parts, caller = call.parts, call.caller
    count_rate(parts.rates, call.request, caller, Rate.QUERIES)
    seen_by = _as_key(call, rights)
    listed = await parts.in_thread(parts.catalog.collections.of_project, caller.project.id)
    following = sorted((one for one in listed if one.name > after), key=lambda one: one.name)
    page = following[:limit]
    shown = {
        "collections": [await _seen(seen_by, one) for one in page],
        "next": page[-1].name if len(following) > limit else None,
        "readable": await _readable(seen_by),
    }
    return json_answer(await parts.in_thread(written, shown, parts.query_service.limits))


@area.post(
    f"{PATH}/answer",
    MASTER,
    "The answer that an access key would get to a question",
    ok(dict[str, Any], "The answer, as the analysis has it."),
    audited=False,
    errors=(504,),
    examples=(
        Example(body={**_EU, "question": _COUNT}),
        Example(body={"permitted": ["schema"], "question": _COUNT}, status=403),
        Example(body={**_EU, "question": {"analysis_type": "counting"}}, status=400),
    ),
)
async def answer(call: OfProject, given: RightsAndQuestion) -> Response:
    """Errors are those that the key would be answered, too."""
    parts = call.parts
    count_rate(parts.rates, call.request, call.caller, Rate.QUERIES)
    question = dict(given.question)
    analysis = question.pop("analysis_type", None)
    if analysis not in ANALYSES:
        near = meant(analysis_meant(analysis)) if isinstance(analysis, str) else ""
        raise InvalidParameter(f"'question.analysis_type' must name an analysis.{near}")
    if wants_file(question):
        raise InvalidParameter("'question' asks for a file, which a preview does not make.")
    seen_by = _as_key(call, given, "question")
    queries.rule_of(analysis).check(seen_by.caller)
    queries.check_extraction(seen_by.caller, analysis)
    return queries.answer_of(await queries.respond(seen_by, analysis, lambda: question))


def _as_key(call: ProjectCall, rights: KeyRights, *others: str) -> ProjectCall:
    """The call as that of an access key with these rights. Raises InvalidParameter."""
    parts, project = call.parts, call.caller.project
    definition = {name: value for name, value in rights.sent().items() if name not in others}
    made = checked({"name": _NAME, **definition}, parts.query_service.check_regex)
    _, record = new_access_key(parts.keyring, project.id, made, parts.clock())
    key = caller_by_access_key(project, record)
    # Quotas and limits are those of who asks: the key has spent nothing.
    options = replace(key.options, quotas=call.caller.options.quotas)
    counted = replace(key, options=options, key_id=call.caller.key_id, counted_as=call.caller.counted_as)
    return call._replace(caller=counted)


async def _seen(call: ProjectCall, collection: Collection) -> Json:
    """A collection as the caller sees it."""
    properties = None
    if _admits(call.caller, Permission.SCHEMA):
        shown = await schema.shown(call, [collection])
        properties = schema.properties_of(shown[0].schema) if shown else None
    events = await _asked(call, "count", {"event_collection": collection.name})
    newest = None
    if events is not None:
        latest = {"event_collection": collection.name, "latest": NEWEST}
        newest = await _asked(call, EXTRACTION, latest)
    return {
        "name": collection.name,
        "visible": properties is not None or bool(events),
        "properties": properties,
        "events": events,
        "newest": newest,
    }


def _admits(caller: Caller, permission: Permission) -> bool:
    return permission in caller.permissions


async def _asked(call: ProjectCall, analysis: str, params: Mapping[str, Any]) -> Any:
    """The result of a question, None where the caller may not ask it."""
    parts, request, caller = call
    try:
        queries.rule_of(analysis).check(caller)
        queries.check_extraction(caller, analysis)
    except Forbidden:
        return None
    response = await parts.query_service.ask(caller, analysis, lambda: params, gone_of(request))
    return json_of(response.body)["result"]


async def _readable(call: ProjectCall) -> Json:
    """The names of what the caller could read the results of."""
    parts, caller = call.parts, call.caller
    project_id = caller.project.id
    saved = await parts.in_thread(parts.catalog.saved_queries.of_project, project_id)
    datasets = await parts.in_thread(parts.catalog.datasets.of_project, project_id)
    names = [one.name for one in saved if _reads_saved(caller, one)]
    of_datasets = [one.name for one in datasets if _reads_dataset(caller, one.name)]
    return {
        "saved_queries": names[:NAMES_MAX],
        "datasets": of_datasets[:NAMES_MAX],
        "more": max(len(names), len(of_datasets)) > NAMES_MAX,
    }


def _reads_saved(caller: Caller, query: SavedQuery) -> bool:
    try:
        check_right(caller, query)
    except Forbidden:
        return False
    return True


def _reads_dataset(caller: Caller, name: str) -> bool:
    if not _admits(caller, Permission.DATASETS):
        return False
    try:
        caller.require_dataset(name, "read")
    except Forbidden:
        return False
    return True
