"""The OpenAPI document describes the routes there are, all of them."""

from __future__ import annotations

from typing import Any

import pytest

from query.parse import ANALYSES
from service.openapi import document
from service.settings import load
from tests.support.server import Served, ServedProject

DOCUMENT = document(load())
OPERATIONS = [
    (path, method)
    for path, item in DOCUMENT["paths"].items()
    for method in item
    if method in ("get", "post", "put", "delete")
]


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
def test_every_operation_is_told_with_its_errors(path: str, method: str) -> None:
    operation = DOCUMENT["paths"][path][method]
    assert operation["summary"]
    for response in operation["responses"].values():
        assert response["description"]
    if operation.get("security") != []:
        assert {"400", "401", "403", "404", "429", "500", "503"} <= set(operation["responses"])


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


@pytest.mark.parametrize(("path", "method"), OPERATIONS)
def test_every_described_operation_is_there(
    served: Served, project: ServedProject, path: str, method: str
) -> None:
    """With no more than a key it is not a 404 or 405 of the route, whatever else it wants."""
    served.record(project, "c", {"p": 1})
    filled = path.format(project_id=project.id, event_collection="c", property_name="p")
    body: dict[str, Any] | None = {} if method == "post" else None
    reply = served.request(method.upper(), filled, body, key=project.master_key)
    assert reply.status in (200, 201, 400), reply.body


def test_the_public_url_is_the_server() -> None:
    assert document(load(public_url="https://acumen.example/"))["servers"] == [
        {"url": "https://acumen.example"}
    ]
