"""Routes are FastAPI's: what is asked before it looks at a request, and what it makes of one."""

from __future__ import annotations

import inspect
import json
import re
from typing import Any

import pytest
from pydantic import ValidationError

from query.language.parameter_table import ANALYSES
from service.http.app import ROUTES
from service.http.models.dashboards import DashboardMetadataSent
from service.http.models.erasure import EventUpdate
from service.http.models.faults import fault_of
from service.http.models.keys import AccessKeyDefinition
from service.http.models.organisations import ProjectDefinition
from service.http.models.shared import RequestBody
from service.http.openapi.page import CSP
from tests.support.server import Served, ServedProject

FORBIDDEN = re.compile(r"https?:|//[a-z]|@import|url\(|\bon[a-z]+=|style=|innerHTML|eval\(", re.IGNORECASE)
"""What would ask another server, or needs a weaker policy than the page's."""


def test_no_handler_waits_for_a_thread() -> None:
    """FastAPI runs those that are no coroutines in a pool of threads."""
    assert [route.path for route in ROUTES if not inspect.iscoroutinefunction(route.endpoint)] == []


def test_questions_are_answered_without_a_check_of_types() -> None:
    paths = {f"/3.0/projects/{{project_id}}/queries/{analysis}" for analysis in ANALYSES}
    questions = [route for route in ROUTES if route.path in paths]
    assert len(questions) == len(ANALYSES)
    assert all(route.is_direct for route in questions)


@pytest.mark.parametrize(
    ("model", "body", "message"),
    [
        (EventUpdate, [], "must be a JSON object: property_updates, filters"),
        (EventUpdate, {}, "missing a required field. Field: 'property_updates'"),
        (
            EventUpdate,
            {"property_update": []},
            "'property_update' is not known. Did you mean 'property_updates'?",
        ),
        (EventUpdate, {"property_updates": {}}, "'property_updates' must be a list."),
        (EventUpdate, {"property_updates": []}, "'property_updates' must be a list of at least 1 entries"),
        (EventUpdate, {"property_updates": [5]}, "'property_updates[0]' must be an object."),
        (
            EventUpdate,
            {"property_updates": [{"property_name": "", "property_value": 1}]},
            "'property_updates[0].property_name' must be a string of at least 1 characters",
        ),
        (AccessKeyDefinition, {"name": 7, "permitted": []}, "'name' must be a string. You specified: 7."),
        (AccessKeyDefinition, {"name": "n", "permitted": "all"}, "'permitted' must be a list."),
        (AccessKeyDefinition, {"name": "n", "permitted": [], "is_active": 1}, "'is_active' must be true or"),
        (AccessKeyDefinition, {"name": "n" * 300, "permitted": []}, "a string of at most 256 characters"),
        (AccessKeyDefinition, {"name": "n", "permitted": [], "\ud800": 1}, "is not Unicode"),
    ],
)
def test_a_fault_names_its_field_and_what_it_needs(model: type[RequestBody], body: Any, message: str) -> None:
    with pytest.raises(ValidationError) as raised:
        model.model_validate(body)
    faults = [{**fault, "loc": ("body", *fault["loc"])} for fault in raised.value.errors()]
    assert message in str(fault_of(faults, model))


@pytest.mark.parametrize(
    ("model", "field", "value"),
    [
        (AccessKeyDefinition, "permitted", [1] * 10_000),
        (EventUpdate, "property_updates", [1] * 10_000),
        (ProjectDefinition, "users", [1] * 10_000),
        (DashboardMetadataSent, "tags", [1] * 10_000),
    ],
)
def test_a_long_list_of_wrong_values_is_one_fault(
    model: type[RequestBody], field: str, value: list[int]
) -> None:
    with pytest.raises(ValidationError) as raised:
        model.model_validate({"name": "n", "permitted": [], field: value})
    assert raised.value.error_count() == 1


def test_integers_of_any_size_come_through_the_checks(served: Served, project: ServedProject) -> None:
    served.record(project, "c", {"a": 1})
    body = {"property_updates": [{"property_name": "a", "property_value": 10**40}]}
    path = f"/3.0/projects/{project.id}/events/c"
    reply = served.request("PUT", path, body, key=project.master_key)
    assert (reply.status, reply.json) == (200, {"updated_events": 1})
    told = served.request(
        "POST",
        f"/3.0/projects/{project.id}/queries/extraction",
        {"event_collection": "c"},
        key=project.read_key,
    )
    assert json.loads(told.body)["result"][0]["a"] == 10**40


@pytest.mark.parametrize("content_type", [None, "text/plain", "application/x-www-form-urlencoded", "x/y"])
def test_a_checked_body_is_json_whatever_its_type_is_called(
    served: Served, project: ServedProject, content_type: str | None
) -> None:
    headers = {} if content_type is None else {"Content-Type": content_type}
    path = f"/3.0/projects/{project.id}/keys"
    body = {"name": "k", "permitted": ["queries"]}
    reply = served.request("POST", path, body, key=project.master_key, headers=headers)
    assert reply.status == 201, reply.body


def test_of_a_checked_parameter_the_last_that_says_something_counts(
    served: Served, project: ServedProject
) -> None:
    path = f"/3.0/projects/{project.id}/keys"
    for query, status in (
        ("?per_page=5&per_page=", 200),
        ("?&per_page=5", 200),
        ("?per_page=500", 400),
        ("?per_page=five", 400),
        ("?per_page=" + "9" * 5_000, 400),
    ):
        reply = served.request("GET", path + query, key=project.master_key)
        assert reply.status == status, (query[:40], reply.body)


@pytest.mark.parametrize("path", ["/docs", "/docs/docs.css", "/docs/docs.js", "/docs/icon.svg"])
def test_the_documentation_asks_no_other_server(served: Served, path: str) -> None:
    reply = served.request("GET", path)
    assert (reply.status, reply.headers["content-security-policy"]) == (200, CSP)
    # The namespace of SVG is a name; nothing is loaded from it.
    text = reply.body.decode().replace('xmlns="http://www.w3.org/2000/svg"', "")
    assert not FORBIDDEN.search(text), FORBIDDEN.search(text)
    for address in re.findall(r'(?:href|src)="([^"]*)"', text):
        where = address if address.startswith("#") else f"/{address}"
        assert where.startswith("#") or served.request("GET", where).status == 200, address
    assert served.request("HEAD", path).status == 200


def test_the_policy_of_the_documentation_is_strict() -> None:
    assert "default-src 'none'" in CSP
    assert "unsafe" not in CSP and "*" not in CSP and "data:" not in CSP


def test_there_is_no_other_documentation(served: Served) -> None:
    """FastAPI's own pages would ask other servers."""
    for path in ("/redoc", "/docs/oauth2-redirect", "/docs/..%2Fpage.py", "/docs/page.py"):
        assert served.request("GET", path).status == 404
