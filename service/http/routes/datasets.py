"""Cached datasets: ``/3.0/projects/P/datasets``, one of them, and its results."""

from __future__ import annotations

import asyncio
import contextlib
import re
import shutil
from collections.abc import Callable
from dataclasses import replace
from typing import Any, TypeVar
from urllib.parse import quote

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Router

from query.answers import precomputed
from query.engine.memory_budget import computed
from query.json_encoding import dumps
from query.language.nodes import Analysis, Group, Metric, MetricQuery, Span
from query.language.nodes import Request as Question
from query.language.parameters import check as check_query
from query.language.preferences import Preferences
from service.api_paths import PROJECTS, url_of
from service.auth.principal import Caller, Permission
from service.datasets import definition as datasets
from service.datasets.request import HoldsText, IndexValues, index_values, part_of
from service.datasets.results import KEPT_BYTES_MAX, Kept, State, States, holds_text, stored_result
from service.errors import InvalidParameter
from service.http.authorization import Routes, needs
from service.http.parts import Parts
from service.http.request import (
    check_parameters,
    empty_answer,
    gone_of,
    json_answer,
    pairs_of,
    parameter,
    read_json,
    warning_headers,
)
from service.queries.project_preferences import ProjectPreferences
from storage.catalog.derived.records import Dataset

PAGE_DEFAULT = 10
PAGE_MAX = 100
_ATTEMPTS = 3
_QUESTIONS_MAX = 200
"""Each may have some thousand buckets."""
_RESULT_PARAMETERS = ("index_by", "timeframe", "dataset_name", "name")
"""The last two are sent by keen-analysis."""
_DIGITS = re.compile(r"\d{1,9}", re.ASCII)

T = TypeVar("T")


def router(parts: Parts) -> Router:
    routes = Routes(parts.tenants)
    served = _Datasets(parts)
    path = f"{PROJECTS}/{{project_id}}/datasets"
    read, change = needs(Permission.DATASETS), needs(Permission.MASTER)
    routes.project(path, served.listed, read)
    routes.project(f"{path}/{{name}}", served.shown, read)
    routes.project(f"{path}/{{name}}", served.create, change, ("PUT",))
    routes.project(f"{path}/{{name}}", served.delete, change, ("DELETE",))
    routes.project(f"{path}/{{name}}/results", served.results, read)
    return routes.router


class _Datasets:
    def __init__(self, parts: Parts) -> None:
        self._parts = parts
        self._catalog = parts.catalog
        self._states = States(parts.catalog, ProjectPreferences(parts.catalog, parts.settings.preferences))
        self._kept = Kept(min(KEPT_BYTES_MAX, parts.settings.caches_memory_bytes // 4))
        self._questions: dict[tuple[int, Span, Preferences], MetricQuery] = {}

    async def listed(self, request: Request, caller: Caller) -> Response:
        caller.require_dataset(None, "list")
        pairs = pairs_of(request.scope)
        limit = _limit(parameter(pairs, "limit"))
        after = parameter(pairs, "after_name") or ""
        every = await self._in_thread(self._catalog.datasets.of_project, caller.project.id)
        mine = [dataset for dataset in every if caller.options.datasets.names.admit(dataset.name)]
        later = [dataset for dataset in mine if dataset.name > after]
        found = later[:limit]
        following = None
        if len(later) > limit:
            base = self._parts.settings.public_url or str(request.base_url).rstrip("/")
            query = f"limit={limit}&after_name={quote(found[-1].name, safe='')}"
            following = f"{base}{url_of(caller.project.id, 'datasets')}?{query}"
        now_us = self._parts.clock()
        described = [_described(caller, dataset, now_us) for dataset in found]
        return _answer({"datasets": described, "next_page_url": following, "count": len(mine)})

    async def shown(self, request: Request, caller: Caller) -> Response:
        name = request.path_params["name"]
        caller.require_dataset(name, "retrieve")
        state = await self._state(caller, name)
        return _answer(_described(caller, state.dataset, self._parts.clock()))

    async def create(self, request: Request, caller: Caller) -> Response:
        name = request.path_params["name"]
        body = await self._body(request)
        datasets.check_name(name)
        asking = self._parts.asking

        def make() -> tuple[Dataset, list[dict[str, Any]]]:
            definition = datasets.read(
                name,
                body,
                self._parts.clock(),
                asking.limits,
                asking.check_regex,
                strict=asking.strict,
                preferred=asking.preferences_of(caller.project),
            )
            warnings = self._warnings(caller, body["query"], definition)
            return self._catalog.datasets.create(caller.project.id, name, definition.written()), warnings

        made, warnings = await self._in_thread(make)
        told = _described(caller, made, self._parts.clock())
        return _answer({**told, "warnings": warnings} if warnings else told, 201)

    def _warnings(
        self, caller: Caller, sent: dict[str, Any], definition: datasets.Definition
    ) -> list[dict[str, Any]]:
        """What leaves a new dataset without data."""
        asking = self._parts.asking
        query = definition.question(self._parts.clock(), asking.limits, asking.check_regex)
        found = asking.warnings(caller, definition.query["analysis_type"], sent, Question(query))
        groups = tuple(Group(path) for path in definition.index_by)
        indexed = Question(MetricQuery(query.collection, (Metric(Analysis.COUNT),), groups=groups))
        about_index = (
            {**one, "parameter": "index_by"}
            for one in asking.warnings(caller, "count", {}, indexed)
            if one["parameter"] == "group_by"
        )
        return [*found, *about_index]

    async def delete(self, request: Request, caller: Caller) -> Response:
        name = request.path_params["name"]

        def remove() -> None:
            dataset_id = self._catalog.datasets.delete(caller.project.id, name)
            # What can not be removed now, or is being written, is removed by the refresher.
            with contextlib.suppress(OSError):
                shutil.rmtree(self._catalog.folder.dataset(dataset_id))

        await self._in_thread(remove)
        return empty_answer()

    async def results(self, request: Request, caller: Caller) -> Response:
        name = request.path_params["name"]
        caller.require_dataset(name, "read")
        state = await self._state(caller, name)
        pairs = pairs_of(request.scope)
        if self._parts.asking.strict:
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
        told = {
            "dataset": _described(caller, state.dataset, now_us),
            "request": {"index_by": values.echo, "timeframe": asked},
        }
        return json_answer(b'{"result":' + result + b',"metadata":' + dumps(told) + b"}", headers=headers)

    async def _holds_text(self, request: Request, caller: Caller, state: State) -> HoldsText:
        """Of the events that the caller sees: others must not change what its words mean."""
        if not caller.filters_for(Permission.DATASETS):
            return state.holds_text
        collection, gone = state.definition.collection, gone_of(request)
        lanes = await self._parts.asking.held(caller, collection, gone, Permission.DATASETS)
        return lambda path: holds_text(path, lanes or ())

    async def _question(self, state: State, span: Span, now_us: int) -> MetricQuery:
        """The dataset's query over a part of its timeframe. A definition never changes, so it is kept."""
        key = (state.dataset.id, span, state.definition.preferences)
        known = self._questions.get(key)
        if known is None:
            asking = self._parts.asking
            known = await self._in_thread(
                state.definition.question, now_us, asking.limits, asking.check_regex, span
            )
            if len(self._questions) >= _QUESTIONS_MAX:
                self._questions.clear()
            self._questions[key] = known
        return known

    async def _stored(
        self, caller: Caller, name: str, state: State, query: MetricQuery, values: IndexValues
    ) -> bytes | None:
        """What was computed beforehand; None where that does not answer this question."""
        assert query.buckets is not None
        key = precomputed.key_of(state.definition.index_by, values.values)
        edges = query.buckets.edges
        for _ in range(_ATTEMPTS):
            if not state.usable:
                return None
            of = (state.dataset.id, state.dataset.run, state.moment, state.definition.preferences)
            version = (*of, key, edges[0], edges[-1])
            result = self._kept.get(version)
            if result is not None:
                return result
            try:
                result = await self._in_thread(lambda known: self._read(known, query, key), state)
            except FileNotFoundError:
                # A later run has replaced them.
                state = await self._in_thread(self._states.load, caller.project.id, name)
                continue
            if result is not None:
                self._kept.put(version, result)
            return result
        return None

    def _read(self, state: State, query: MetricQuery, key: bytes) -> bytes | None:
        """Raises FileNotFoundError, QueryLimitExceeded, QueryOverloaded."""
        folder = self._catalog.folder
        # Not on a thread that may wait: others need it for events.
        reservation = self._parts.asking.budget.open(wait_seconds=0.0)
        return computed(
            reservation,
            lambda: stored_result(
                state,
                query,
                key,
                lambda file: folder.dataset_file(file.dataset_id, file.id),
                self._parts.asking.limits,
                reservation,
            ),
        )

    async def _computed(
        self,
        request: Request,
        caller: Caller,
        definition: datasets.Definition,
        query: MetricQuery,
        values: IndexValues,
    ) -> tuple[bytes, dict[str, str] | None]:
        """Asked of the events themselves, as this caller sees them; and headers to send."""

        filters = (*query.filters, *values.filters(definition.index_by))
        question = Question(replace(query, filters=filters))
        kind = definition.query["analysis_type"]
        told = await self._parts.asking.ask_prepared(
            caller, kind, question, Permission.DATASETS, gone_of(request)
        )
        return told.body[len(b'{"result":') : -1], warning_headers(told.warnings)

    async def _state(self, caller: Caller, name: str) -> State:
        """Raises UnknownDataset."""
        known = self._states.surely(caller.project.id, name)
        if known is not None:
            return known
        return await self._in_thread(self._states.current, caller.project.id, name)

    async def _body(self, request: Request) -> Any:
        return await read_json(self._parts.bodies, request, self._parts.settings.query_bytes_max)

    async def _in_thread(self, work: Callable[..., T], *arguments: Any) -> T:
        loop = asyncio.get_running_loop()
        return await loop.run_in_executor(self._parts.catalog_executor, work, *arguments)


def _described(caller: Caller, dataset: Dataset, now_us: int) -> dict[str, Any]:
    return datasets.described(caller.project, dataset, now_us, with_filters=not caller.is_filtered)


def _answer(value: Any, status: int = 200) -> Response:
    """Definitions may hold integers of any size."""
    return json_answer(dumps(value), status)


def _limit(given: str | None) -> int:
    if given is None:
        return PAGE_DEFAULT
    limit = int(given) if _DIGITS.fullmatch(given) else 0
    if not 1 <= limit <= PAGE_MAX:
        raise InvalidParameter(f"'limit' must be a number from 1 to {PAGE_MAX}.")
    return limit
