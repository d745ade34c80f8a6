"""The OpenAPI document describes the routes there are, all of them, and nothing else."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from starlette.routing import Match

from query.language.parameter_table import ANALYSES, taken_by
from service.http.app import AREAS, ROUTES, describe
from service.http.openapi.operation import ALWAYS, PARAMETERS, parameters_of
from service.http.write_api import find_target
from service.settings import load
from tests.support.server import Served, ServedProject

COMPARE = Path(__file__).resolve().parents[3] / "scripts/compare_openapi.py"
DOCUMENT = describe(load())
METHODS = ("get", "post", "put", "patch", "delete")
OPERATIONS = [(path, method) for path, item in DOCUMENT["paths"].items() for method in item]


def route_for(path: str, method: str) -> int | None:
    """The number of the route that answers a described operation; -1: the write path does."""
    filled = re.sub(r"\{\w+\}", "x", path)
    if method == "post" and find_target(filled.encode()) is not None:
        return -1
    scope = {"type": "http", "path": filled, "method": method.upper()}
    matches = (number for number, route in enumerate(ROUTES) if route.matches(scope)[0] is Match.FULL)
    return next(matches, None)


def test_every_described_operation_has_a_route_and_every_route_is_described() -> None:
    described = {(route_for(path, method), method) for path, method in OPERATIONS}
    missing = [(path, method) for path, method in OPERATIONS if route_for(path, method) is None]
    assert not missing, "described, and no route"
    there = {
        (number, method.lower())
        for number, route in enumerate(ROUTES)
        for method in route.methods or ()
        if method not in ("HEAD", "OPTIONS")
    }
    assert not [(ROUTES[number].path, method) for number, method in there - described if number is not None]


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
    lists: tuple[list[Any], ...] = (
        [area.tag for area in AREAS],
        [(operation.path, operation.method) for area in AREAS for operation in area.operations],
        [item["operationId"] for path in DOCUMENT["paths"].values() for item in path.values()],
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
    assert describe(load(public_url="https://acumen.example/"))["servers"] == [
        {"url": "https://acumen.example"}
    ]


@pytest.mark.parametrize("analysis", sorted(ANALYSES))
def test_questions_are_described_with_the_parameters_of_the_one_table(analysis: str) -> None:
    path = DOCUMENT["paths"][f"/3.0/projects/{{project_id}}/queries/{analysis}"]
    names = {parameter.name for parameter in taken_by(analysis)}
    by_get = {one["name"] for one in path["get"]["parameters"] if "name" in one}
    body = path["post"]["requestBody"]["content"]["application/json"]["schema"]
    assert by_get == body["properties"].keys() == names
    required = {parameter.name for parameter in taken_by(analysis) if parameter.required_in(analysis)}
    assert set(body["required"]) == required
    assert {one["name"] for one in path["get"]["parameters"] if one.get("required")} == required


def test_no_error_of_the_framework_is_described() -> None:
    """Ours are 400, in the one shape of an error."""
    text = json.dumps(DOCUMENT)
    assert '"422"' not in text and "ValidationError" not in text


def test_every_parameter_that_is_named_is_used() -> None:
    operations = [operation for area in AREAS for operation in area.operations]
    named = {name for one in operations for name in one.parameters if isinstance(name, str)}
    assert named.union(*(parameters_of(one.path) for one in operations)) == set(PARAMETERS)


def compared(old: Path, new: Path) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, str(COMPARE), str(old), str(new)]
    return subprocess.run(command, capture_output=True, text=True, check=False)


def test_what_a_later_document_lacks_is_listed(tmp_path: Path) -> None:
    old, new = tmp_path / "old.json", tmp_path / "new.json"
    old.write_text(json.dumps(DOCUMENT))
    assert compared(old, old).returncode == 0
    less = json.loads(old.read_text())
    keys = less["paths"]["/3.0/projects/{project_id}/keys"]
    del keys["post"]["responses"]["415"], keys["get"]["parameters"][0]
    del less["components"]["schemas"]["AccessKey"]["properties"]["permitted"]
    new.write_text(json.dumps(less))
    found = compared(old, new)
    assert found.returncode == 1
    for lost in ("answer 415", "parameter name in query", "property permitted"):
        assert f"/keys: {lost}" in found.stdout or f", {lost}" in found.stdout, found.stdout
    assert compared(new, old).returncode == 0
