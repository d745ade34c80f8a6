"""Cached datasets: ``/3.0/projects/P/datasets``, one of them, and its results."""

from __future__ import annotations

import contextlib
import shutil
from dataclasses import replace
from typing import Annotated, Any
from urllib.parse import quote

from fastapi import Query
from starlette.requests import Request
from starlette.responses import Response

from query.answers import precomputed
from query.engine.memory_budget import computed
from query.json_encoding import dumps
from query.language.nodes import Analysis, Group, Metric, MetricQuery, ParsedQuery, Span
from query.language.parameters import check as check_query
from query.language.preferences import Preferences
from service.api_paths import PROJECTS, url_of
from service.auth.principal import Caller, Permission
from service.datasets import definition as datasets
from service.datasets.request import HoldsText, IndexValues, index_values, part_of
from service.datasets.results import KEPT_BYTES_MAX, State, States, holds_text, stored_result
from service.http.authorization import EDITS, needs
from service.http.models.datasets import Dataset as DatasetModel
from service.http.models.datasets import DatasetResult, Datasets, NewDataset
from service.http.openapi.operation import STRING, DocumentedAnswer, Example, gone, in_query, ok
from service.http.parts import Parts
from service.http.request import (
    check_parameters,
    empty_answer,
    gone_of,
    json_answer,
    pairs_of,
    parameter,
    warning_headers,
)
from service.http.routing import OfProject, ProjectCall, RouteArea
from service.queries.byte_bounded_cache import ByteBoundedCache
from service.queries.project_preferences import ProjectPreferences
from storage.catalog.derived.records import Dataset

PAGE_DEFAULT = 10
PAGE_MAX = 100
_ATTEMPTS = 3
_QUESTIONS_MAX = 200
"""Queries kept in memory; each may have some thousand buckets."""
_RESULT_PARAMETERS = ("index_by", "timeframe", "dataset_name", "name")
"""The last two are sent by keen-analysis."""

DATASETS = f"{PROJECTS}/{{project_id}}/datasets"
_ONE = f"{DATASETS}/{{dataset_name}}"
_READ = needs(Permission.DATASETS)
_QUERY = {
    "analysis_type": "count",
    "event_collection": "purchases",
    "timeframe": "this_500_days",
    "timezone": "US/Pacific",
    "interval": "daily",
    "group_by": "item",
}
_BODY = {"query": _QUERY, "index_by": "customer.id", "display_name": "Purchases"}
_BAD = {"query": {**_QUERY, "interval": "sometimes"}, "index_by": "customer.id"}
_NAMED = {"dataset_name": "by-customer"}
_OTHER = {"dataset_name": "other"}

area = RouteArea(
    "datasets",
    "Have answers computed in advance for every value of a property.",
    [
        (
            "POST",
            f"{PROJECTS}/{{project_id}}/events/purchases",
            {"item": "tea", "price": 4.5, "customer": {"id": "c1"}},
        )
    ],
)


@area.put(
    _ONE,
    EDITS,
    "Make a dataset",
    {201: DocumentedAnswer("It was created; its results are computed soon.", DatasetModel)},
    errors=(409,),
    examples=(
        Example(_NAMED, body=_BODY, status=201),
        Example(_NAMED, body=_BODY, status=409),
        Example(_OTHER, body=_BAD, status=400),
        Example(_OTHER, body=_BODY, key="read", status=401),
    ),
)
async def create(call: OfProject, definition: NewDataset) -> Response:
    """A dataset is never changed: delete it first, then make another."""
    parts, _, caller = call
    name, query_service = _name(call), parts.query_service
    datasets.check_name(name)

    def make() -> tuple[Dataset, list[dict[str, Any]]]:
        body = definition.sent()
        read = datasets.read(
            name,
            body,
            parts.clock(),
            query_service.limits,
            query_service.check_regex,
            strict=query_service.strict,
            preferred=query_service.preferences_of(caller.project),
        )
        warnings = _warnings(call, body["query"], read)
        return parts.catalog.datasets.create(caller.project.id, name, read.written()), warnings

    made, warnings = await parts.in_thread(make)
    shown = _described(caller, made, parts.clock())
    return _answer({**shown, "warnings": warnings} if warnings else shown, 201)


def _may_list(call: ProjectCall) -> None:
    """Raises Forbidden."""
    call.caller.require_dataset(None, "list")


@area.get(
    DATASETS,
    _READ,
    "The datasets, by name",
    ok(Datasets),
    before=_may_list,
    examples=(
        Example(query={"limit": "1"}, key="read"),
        Example(query={"limit": "0"}, key="read", status=400),
        Example(key="write", status=403),
    ),
)
async def list_datasets(
    call: OfProject,
    limit: Annotated[int, Query(ge=1, le=PAGE_MAX, description="How many.")] = PAGE_DEFAULT,
    after_name: Annotated[str, Query(description="Only those after this name.")] = "",
) -> Response:
    parts, request, caller = call
    all_datasets = await parts.in_thread(parts.catalog.datasets.of_project, caller.project.id)
    visible = [dataset for dataset in all_datasets if caller.options.datasets.names.admit(dataset.name)]
    later = [dataset for dataset in visible if dataset.name > after_name]
    page = later[:limit]
    following = None
    if len(later) > limit:
        base = parts.settings.public_url or str(request.base_url).rstrip("/")
        query = f"limit={limit}&after_name={quote(page[-1].name, safe='')}"
        following = f"{base}{url_of(caller.project.id, 'datasets')}?{query}"
    now_us = parts.clock()
    described = [_described(caller, dataset, now_us) for dataset in page]
    return _answer({"datasets": described, "next_page_url": following, "count": len(visible)})


@area.get(
    _ONE,
    _READ,
    "One dataset and how far it is computed",
    ok(DatasetModel),
    examples=(Example(_NAMED, key="read"),),
)
async def show(call: OfProject) -> Response:
    name = _name(call)
    call.caller.require_dataset(name, "retrieve")
    state = await _reader(call).state(call.caller, name)
    return _answer(_described(call.caller, state.dataset, call.parts.clock()))


@area.get(
    f"{_ONE}/results",
    _READ,
    "What was computed for one value",
    ok(DatasetResult),
    parameters=(
        in_query(
            "index_by",
            STRING,
            "A value of the property: text as it is or in quotes, or a JSON object or list with a value for "
            "each.",
            required=True,
        ),
        in_query("timeframe", STRING, "A part of the dataset's own; without it, all of that."),
    ),
    errors=(504,),
    examples=(
        Example(_NAMED, query={"index_by": "c1", "timeframe": "this_2_days"}),
        Example(
            _NAMED,
            query={"index_by": '{"customer.id":"c1"}', "timeframe": '"previous_7_days"'},
            key="read",
        ),
        Example(_NAMED, query={"index_by": "c1", "timeframe": "this_3_years"}, status=400),
        Example(_NAMED, query={"index_by": "c1"}, key="write", status=403),
        Example({"dataset_name": "nothing"}, query={"index_by": "c1"}, status=404),
    ),
)
async def results(call: OfProject) -> Response:
    """Rows as of the last run, by the dataset's interval. What was not computed beforehand is asked of the
    events themselves: before the first run, after an erasure, for a key with filters, and where the timeframe
    cuts an interval of the dataset in two."""
    return await _reader(call).results(call.request, call.caller, _name(call))


@area.delete(
    _ONE,
    EDITS,
    "Remove a dataset and its results",
    gone(),
    examples=(
        Example(_NAMED, key="read", status=401),
        Example(_NAMED, status=204),
        Example(_NAMED, status=404),
    ),
)
async def delete(call: OfProject) -> Response:
    catalog = call.parts.catalog

    def remove() -> None:
        dataset_id = catalog.datasets.delete(call.caller.project.id, _name(call))
        # The refresher removes what cannot be removed now or is still being written.
        with contextlib.suppress(OSError):
            shutil.rmtree(catalog.folder.dataset(dataset_id))

    await call.parts.in_thread(remove)
    return empty_answer()


def _name(call: ProjectCall) -> str:
    name: str = call.request.path_params["dataset_name"]
    return name


def _reader(call: ProjectCall) -> DatasetReader:
    reader: DatasetReader = call.request.app.datasets
    return reader


def _warnings(
    call: ProjectCall, sent: dict[str, Any], definition: datasets.DatasetDefinition
) -> list[dict[str, Any]]:
    """Warnings about names that leave a new dataset without data."""
    query_service = call.parts.query_service
    query = definition.question(call.parts.clock(), query_service.limits, query_service.check_regex)
    warnings = query_service.warnings(
        call.caller, definition.query["analysis_type"], sent, ParsedQuery(query)
    )
    groups = tuple(Group(path) for path in definition.index_by)
    indexed = ParsedQuery(MetricQuery(query.collection, (Metric(Analysis.COUNT),), groups=groups))
    about_index = (
        {**one, "parameter": "index_by"}
        for one in query_service.warnings(call.caller, "count", {}, indexed)
        if one["parameter"] == "group_by"
    )
    return [*warnings, *about_index]


class DatasetReader:
    """Results of datasets, with the worker's in-memory caches."""

    def __init__(self, parts: Parts) -> None:
        self._parts = parts
        self._catalog = parts.catalog
        self._states = States(parts.catalog, ProjectPreferences(parts.catalog, parts.settings.preferences))
        kept_max = min(KEPT_BYTES_MAX, parts.settings.caches_memory_bytes // 4)
        self._kept: ByteBoundedCache[object, bytes] = ByteBoundedCache(kept_max)
        self._questions: dict[tuple[int, Span, Preferences], MetricQuery] = {}

    async def results(self, request: Request, caller: Caller, name: str) -> Response:
        caller.require_dataset(name, "read")
        state = await self.state(caller, name)
        pairs = pairs_of(request.scope)
        if self._parts.query_service.strict:
            check_parameters(pairs, _RESULT_PARAMETERS, "the results of a dataset")
            check_query("count", {"timeframe": parameter(pairs, "timeframe")})
        definition = state.definition
        reads = await self._holds_text(request, caller, state)
        values = index_values(parameter(pairs, "index_by"), definition.index_by, reads)
        by_path = dict(zip(definition.index_by, values.values, strict=True))
        caller.require_dataset(name, "read", by_path)
        now_us = self._parts.clock()
        span, asked = part_of(definition, parameter(pairs, "timeframe"), now_us)
        query = await self._question(state, span, now_us)
        result = None
        if not caller.filters_for(Permission.DATASETS):
            result = await self._stored(caller, name, state, query, values)
        headers = None
        if result is None:
            result, headers = await self._computed(request, caller, definition, query, values)
        metadata = {
            "dataset": _described(caller, state.dataset, now_us),
            "request": {"index_by": values.echo, "timeframe": asked},
        }
        body = b'{"result":' + result + b',"metadata":' + dumps(metadata) + b"}"
        # A warning names collections.
        return json_answer(body, headers=headers if caller.embed is None else None)

    async def _holds_text(self, request: Request, caller: Caller, state: State) -> HoldsText:
        """A function: whether a property has texts among the events that the caller sees.

        Events out of its sight must not change how an unquoted value is read.
        """
        if not caller.filters_for(Permission.DATASETS):
            return state.holds_text
        collection, gone = state.definition.collection, gone_of(request)
        lanes = await self._parts.query_service.held(caller, collection, gone, Permission.DATASETS)
        return lambda path: holds_text(path, lanes or ())

    async def _question(self, state: State, span: Span, now_us: int) -> MetricQuery:
        """The dataset's query over a part of its timeframe; cached, since a definition never changes."""
        key = (state.dataset.id, span, state.definition.preferences)
        query = self._questions.get(key)
        if query is None:
            query_service = self._parts.query_service
            query = await self._parts.in_thread(
                state.definition.question, now_us, query_service.limits, query_service.check_regex, span
            )
            if len(self._questions) >= _QUESTIONS_MAX:
                self._questions.clear()
            self._questions[key] = query
        return query

    async def _stored(
        self, caller: Caller, name: str, state: State, query: MetricQuery, values: IndexValues
    ) -> bytes | None:
        """The result computed beforehand; None where that does not answer this request."""
        assert query.buckets is not None
        key = precomputed.key_of(state.definition.index_by, values.values)
        edges = query.buckets.edges
        for _ in range(_ATTEMPTS):
            if not state.usable:
                return None
            identity = (state.dataset.id, state.dataset.run, state.moment, state.definition.preferences)
            version = (*identity, key, edges[0], edges[-1])
            result = self._kept.get(version)
            if result is not None:
                return result
            try:
                result = await self._parts.in_thread(lambda known: self._read(known, query, key), state)
            except FileNotFoundError:
                # A later run has replaced the files.
                state = await self._parts.in_thread(self._states.load, caller.project.id, name)
                continue
            if result is not None:
                self._kept.put(version, result, len(result))
            return result
        return None

    def _read(self, state: State, query: MetricQuery, key: bytes) -> bytes | None:
        """The result, read from the dataset's files.

        Raises FileNotFoundError, QueryLimitExceeded, QueryOverloaded.
        """
        folder = self._catalog.folder
        # No waiting for memory here: other requests need this thread for events.
        reservation = self._parts.query_service.budget.open(wait_seconds=0.0)
        return computed(
            reservation,
            lambda: stored_result(
                state,
                query,
                key,
                lambda file: folder.dataset_file(file.dataset_id, file.id),
                self._parts.query_service.limits,
                reservation,
            ),
        )

    async def _computed(
        self,
        request: Request,
        caller: Caller,
        definition: datasets.DatasetDefinition,
        query: MetricQuery,
        values: IndexValues,
    ) -> tuple[bytes, dict[str, str] | None]:
        """The result computed from the events that the caller sees, and headers to send."""
        filters = (*query.filters, *values.filters(definition.index_by))
        question = ParsedQuery(replace(query, filters=filters))
        kind = definition.query["analysis_type"]
        response = await self._parts.query_service.ask_prepared(
            caller, kind, question, Permission.DATASETS, gone_of(request)
        )
        return response.body[len(b'{"result":') : -1], warning_headers(response.warnings)

    async def state(self, caller: Caller, name: str) -> State:
        """The dataset's present state. Raises UnknownDataset."""
        state = self._states.surely(caller.project.id, name)
        if state is not None:
            return state
        return await self._parts.in_thread(self._states.current, caller.project.id, name)


def _described(caller: Caller, dataset: Dataset, now_us: int) -> dict[str, Any]:
    if caller.embed is not None:
        return datasets.described_for_viewer(dataset)
    return datasets.described(caller.project, dataset, now_us, with_filters=not caller.is_filtered)


def _answer(value: Any, status: int = 200) -> Response:
    """A JSON answer: ``dumps``, since definitions may hold integers of any size."""
    return json_answer(dumps(value), status)
