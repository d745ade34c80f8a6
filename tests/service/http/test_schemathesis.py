"""Requests made up from the OpenAPI document: none breaks the server, and every error has the API's shape."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from typing import Any

import pytest
import requests
import schemathesis
from hypothesis import HealthCheck, Phase, given, settings
from schemathesis import GenerationMode
from schemathesis.config import GenerationConfig, ProjectConfig, ProjectsConfig, SchemathesisConfig
from schemathesis.core.result import Ok

from query.language.parameter_table import ANALYSIS_NAMES
from service.http.app import AREAS
from tests.service.http.test_openapi_examples import (
    DOCUMENT,
    complain,
    examples_of,
    filled,
    found_at,
    names_of,
    people_of,
    sent,
)
from tests.support.scale import examples
from tests.support.server import SESSION_COOKIE, Served, ServedProject

Json = dict[str, Any]

EXAMPLES = 4
QUESTION_EXAMPLES = 2
"""Of each operation and mode at scale 1; fewer of the analyses, which are many and much alike."""


@pytest.fixture(scope="module")
def asked(served: Served) -> ServedProject:
    """A project that holds what the document's examples ask about."""
    return served.new_project("Schemathesis")


@pytest.fixture(scope="module")
def names(served: Served, asked: ServedProject) -> dict[str, str]:
    """What the examples make is made, so that requests find it; and what they name."""
    found = names_of(asked, served.project) | people_of(served, asked)
    for area in AREAS:
        for method, path, body in area.given:
            served.request(method, filled(path, found), filled(body, found), key=asked.master_key)
        for label, _, example in examples_of(area):
            if label.startswith(("put", "post")) and example["status"] < 300:
                answer = sent(served, example, found)
                if answer.status < 300:
                    kept = example.get("keep", {})
                    found |= {name: str(found_at(answer.json, where)) for name, where in kept.items()}
    return found


@pytest.fixture(scope="module")
def document(served: Served, asked: ServedProject, names: dict[str, str]) -> Json:
    """``/openapi.json``, its project narrowed to the one that there is, and other names in paths to those
    of the examples: ``test_bad_everywhere`` has odd ones."""
    found: Json = served.request("GET", "/openapi.json").json
    parameters = found["components"]["parameters"]
    # A tail has no end: tests/service/http/test_live_tail.py asks for it.
    found["paths"] = {path: item for path, item in found["paths"].items() if not path.endswith("/tail")}
    for path, item in found["paths"].items():
        pattern = re.compile(re.sub(r"\\\{(\w+)\\\}", r"(?P<\1>[^/]+)", re.escape(path)))
        for operation in item.values():
            for example in operation["x-examples"]:
                taken = pattern.fullmatch(filled(example["request"]["path"], names))
                for name, value in (taken.groupdict() if taken else {}).items():
                    # What an answer is to give first has no value here.
                    if "{" not in value:
                        parameters[name].setdefault("known", set()).add(value)
    # The output of a pipeline, which clients may not change.
    parameters["event_collection"]["known"].add("revenue")
    for one in parameters.values():
        known = sorted(one.pop("known", ()))
        if known:
            one["schema"] = {"type": "string", "enum": known}
    parameters["project_id"]["schema"] = {"type": "string", "enum": [asked.id]}
    narrow(found)
    return found


NAMES = {
    "event_collection": ["purchases", "signups"],
    "target_property": ["price", "user.id"],
    "property_name": ["price", "user.id", "keen.timestamp"],
    "actor_property": ["user.id"],
}


def narrow(value: Any) -> None:
    """Let requests name what there is, so that they get further than a look for it."""
    if isinstance(value, dict):
        for name, one in (
            value.get("properties", {}).items() if isinstance(value.get("properties"), dict) else ()
        ):
            if name in NAMES and isinstance(one, dict) and one.get("type") == "string":
                value["properties"][name] = {"type": "string", "enum": NAMES[name]}
        if value.get("in") == "query" and value.get("name") in NAMES:
            value["schema"] = {"type": "string", "enum": NAMES[value["name"]]}
        for one in value.values():
            narrow(one)
    elif isinstance(value, list):
        for one in value:
            narrow(one)


@pytest.fixture(scope="module")
def session() -> Iterator[requests.Session]:
    with requests.Session() as made:
        made.trust_env = False
        yield made


@pytest.mark.parametrize("mode", [GenerationMode.POSITIVE, GenerationMode.NEGATIVE], ids=["good", "bad"])
def test_nothing_that_the_document_describes_breaks_the_server(
    served: Served,
    asked: ServedProject,
    names: dict[str, str],
    document: Json,
    session: requests.Session,
    mode: GenerationMode,
) -> None:
    generation = GenerationConfig(modes=[mode], with_security_parameters=False)
    config = SchemathesisConfig(projects=ProjectsConfig(default=ProjectConfig(generation=generation)))
    schema = schemathesis.openapi.from_dict(document, config=config)
    tried = 0
    operations = []
    for found in schema.get_all_operations():
        assert isinstance(found, Ok), found
        operations.append(found.ok())
    # What is deleted is asked for no more.
    for operation in sorted(operations, key=lambda one: one.method == "delete"):
        if mode is GenerationMode.NEGATIVE and not (operation.body or operation.query or operation.headers):
            continue
        key = names["session"] if operation.path.startswith("/account") else asked.master_key
        tried += try_out(operation, mode, served.url, key, session)
    assert tried > 20


def try_out(operation: Any, mode: GenerationMode, url: str, key: str, session: requests.Session) -> int:
    """Some requests of one operation; how many were sent."""
    sent = 0
    is_session = key.startswith(SESSION_COOKIE)
    headers = {"Authorization": "session", "Cookie": key} if is_session else {"Authorization": key}

    @settings(
        max_examples=examples(QUESTION_EXAMPLES if operation.label.endswith(ANALYSIS_NAMES) else EXAMPLES),
        deadline=None,
        database=None,
        phases=[Phase.generate],
        suppress_health_check=list(HealthCheck),
    )
    @given(case=operation.as_strategy(generation_mode=mode))
    def run(case: schemathesis.Case[Any]) -> None:
        nonlocal sent
        answer = case.call(base_url=url, session=session, headers=headers, allow_redirects=False, timeout=60)
        sent += 1
        check(operation.label, answer.status_code, answer.content, answer.headers)

    run()
    return sent


ERROR = {"$ref": "#/components/schemas/Error"}


def check(label: str, status: int, body: bytes, headers: Any) -> None:
    """No failure of the server; a documented status, an answer of the documented shape, and nothing but
    ``{"message", "error_code"}`` in an error, unless the document says otherwise."""
    assert status < 500, (label, body)
    assert headers["access-control-allow-origin"] == ["*"], (label, headers)
    method, _, path = label.partition(" ")
    response = DOCUMENT["paths"][path][method.lower()]["responses"].get(str(status))
    assert response is not None, f"{label}: {status} is not documented"
    if status < 400:
        kind = headers.get("content-type", [""])[0].partition(";")[0]
        if kind == "application/json":
            complain(label, response["content"][kind]["schema"], json.loads(body))
        return
    if headers["content-type"][0].startswith("text/javascript"):
        body = body[body.index(b"(") + 1 : body.rindex(b")")]
    error = json.loads(body)
    schema = response["content"]["application/json"]["schema"]
    if schema != ERROR:
        complain(label, schema, error)
        return
    assert error.keys() == {"message", "error_code"}, (label, body)
    assert all(isinstance(text, str) and text for text in error.values()), (label, body)
