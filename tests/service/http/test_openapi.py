"""The OpenAPI document describes the routes there are, all of them, and nothing else."""

from __future__ import annotations

import asyncio
import re
from pathlib import Path
from typing import Any

import pytest
from starlette.routing import Match, Route

from query.language.parse import ANALYSES
from service.http import openapi
from service.http.app import create_app, routes_of
from service.http.openapi.describe import ALWAYS, parameters_of
from service.http.write_api import find_target
from service.process.worker import composed
from service.settings import load
from storage.catalog.catalog import Catalog
from tests.support.server import Served, ServedProject

DOCUMENT = openapi.document(load())
METHODS = ("get", "post", "put", "patch", "delete")
OPERATIONS = [(path, method) for path, item in DOCUMENT["paths"].items() for method in item]


@pytest.fixture(scope="module")
def routes(tmp_path_factory: pytest.TempPathFactory) -> list[Route]:
    """Of the application behind the write path, in the order in which they are tried."""
    data = tmp_path_factory.mktemp("openapi")
    Catalog.prepare(data).close()
    return asyncio.run(_routes(data))


async def _routes(data: Path) -> list[Route]:
    async with composed(load(data=data), 0) as (_, parts):
        return routes_of(create_app(parts))


def route_for(routes: list[Route], path: str, method: str) -> int | None:
    """The number of the route that answers a described operation; -1: the write path does."""
    filled = re.sub(r"\{\w+\}", "x", path)
    if method == "post" and find_target(filled.encode()) is not None:
        return -1
    scope = {"type": "http", "path": filled, "method": method.upper()}
    matches = (number for number, route in enumerate(routes) if route.matches(scope)[0] is Match.FULL)
    return next(matches, None)


def test_every_described_operation_has_a_route_and_every_route_is_described(routes: list[Route]) -> None:
    described = {(route_for(routes, path, method), method) for path, method in OPERATIONS}
    missing = [(path, method) for path, method in OPERATIONS if route_for(routes, path, method) is None]
    assert not missing, "described, and no route"
    there = {
        (number, method.lower())
        for number, route in enumerate(routes)
        for method in route.methods or ()
        if method not in ("HEAD", "OPTIONS")
    }
    undescribed = [
        (routes[number].path, method) for number, method in there - described if number is not None
    ]
    assert not undescribed, "routes that service/http/openapi/ does not describe: see its README.md"


def test_it_is_served(served: Served) -> None:
    reply = served.request("GET", "/openapi.json")
    assert reply.json["openapi"].startswith("3.1")
    assert set(reply.json["paths"]) == set(DOCUMENT["paths"])


def test_every_analysis_and_both_write_routes_are_described() -> None:
    project = "/3.0/projects/{project_id}"
    described = set(OPERATIONS)
    for analysis in ANALYSES:
        assert {
            (f"{project}/queries/{analysis}", "get"),
            (f"{project}/queries/{analysis}", "post"),
        } <= described
    assert (f"{project}/events", "post") in described
    assert (f"{project}/events/{{event_collection}}", "post") in described


@pytest.mark.parametrize(("path", "method"), OPERATIONS)
def test_every_operation_is_told_with_its_errors_and_examples(path: str, method: str) -> None:
    assert method in METHODS
    operation = DOCUMENT["paths"][path][method]
    assert operation["summary"]
    assert operation["x-examples"], "an example that a test can send"
    for response in operation["responses"].values():
        assert response["description"]
    if operation.get("security") != []:
        assert {str(status) for status in ALWAYS} <= set(operation["responses"])


def test_no_two_areas_describe_the_same() -> None:
    every = openapi.areas(load())
    lists: tuple[list[Any], ...] = (
        [area.tag for area in every],
        [(operation.path, operation.method) for area in every for operation in area.operations],
        [item["operationId"] for path in DOCUMENT["paths"].values() for item in path.values()],
        [name for area in every for name in area.schemas],
        [name for area in every for name in area.parameters],
    )
    for named in lists:
        assert len(named) == len(set(named)), sorted(one for one in named if named.count(one) > 1)


def test_paths_name_their_parameters() -> None:
    for path, item in DOCUMENT["paths"].items():
        for operation in item.values():
            referred = {
                one["$ref"].rpartition("/")[2] for one in operation.get("parameters", ()) if "$ref" in one
            }
            assert set(parameters_of(path)) <= referred


def test_every_reference_leads_somewhere() -> None:
    def walk(value: Any) -> None:
        if isinstance(value, dict):
            if isinstance(value.get("$ref"), str):
                _, kind, group, name = value["$ref"].split("/")
                assert name in DOCUMENT[kind][group], value
            for one in value.values():
                walk(one)
        elif isinstance(value, list):
            for one in value:
                walk(one)

    walk(DOCUMENT)


def test_a_method_that_no_route_has_is_told_so(served: Served, project: ServedProject) -> None:
    """With the methods that there are, for each path that is described."""
    for path, item in DOCUMENT["paths"].items():
        filled = re.sub(r"\{\w+\}", "x", path.replace("{project_id}", project.id))
        reply = served.request("PATCH", filled, key=project.master_key)
        assert reply.status == 405, (path, reply.body)
        allowed = {one.strip().lower() for one in reply.headers["allow"].split(",")}
        assert set(item) <= allowed, (path, allowed)


def test_the_public_url_is_the_server() -> None:
    assert openapi.document(load(public_url="https://acumen.example/"))["servers"] == [
        {"url": "https://acumen.example"}
    ]
