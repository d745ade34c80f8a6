"""Every example of the OpenAPI document, sent as it stands: it is answered as documented."""

from __future__ import annotations

import json
import re
import time
from collections.abc import Iterator, Mapping
from typing import Any
from urllib.parse import parse_qs, quote, urlencode, urlsplit

import pyotp
import pytest
from jsonschema_rs import Draft202012Validator

from service.http.app import AREAS, describe
from service.http.routing import RouteArea
from service.settings import load
from tests.support.embed import embed_token
from tests.support.server import Reply, Served, ServedProject

Json = dict[str, Any]
AS_JSON = {"Content-Type": "application/json"}
PATIENCE_SECONDS = 10.0
DOCUMENT = describe(load())
KEYS = {
    "write": "write_key",
    "read": "read_key",
    "master": "master_key",
    "organization": "organization_key",
    "session": "session",
}
OF_PEOPLE = ("account", "joining", "people", "server")
"""The areas whose examples need people, who are made by a command."""
OWN_PASSWORD = "correct horse battery"


@pytest.fixture(scope="module")
def first(served: Served) -> ServedProject:
    return served.project


@pytest.mark.parametrize("area", AREAS, ids=lambda area: area.tag)
def test_every_example_is_answered_as_documented(
    served: Served, first: ServedProject, area: RouteArea
) -> None:
    project = served.new_project(area.tag)
    names = names_of(project, first) | {"embed_token": token_of(served, project)}
    if area.tag in OF_PEOPLE:
        names |= people_of(served, project)
    for method, path, body in area.given:
        reply = served.request(method, filled(path, names), filled(body, names), key=names["master_key"])
        assert reply.status < 300, (path, reply.body)
    for label, operation, example in examples_of(area):
        reply = sent(served, example, names)
        assert reply.status == example["status"], (label, example, reply.body[:500])
        check(label, operation, reply)
        for name, where in example.get("keep", {}).items():
            names[name] = str(found_at(reply.json, where))
        if "secret" in example.get("keep", {}):
            names["factor_code"] = pyotp.TOTP(names["secret"]).now()


def examples_of(area: RouteArea) -> Iterator[tuple[str, Json, Json]]:
    for one in area.operations:
        operation = DOCUMENT["paths"][one.path][one.method]
        for number, example in enumerate(operation["x-examples"], 1):
            yield f"{one.method} {one.path}, example {number}", operation, example


def names_of(project: ServedProject, first: ServedProject) -> dict[str, str]:
    """What examples may name in braces. New projects are the first one's organisation's."""
    return {
        "project_id": project.id,
        "write_key": project.write_key,
        "read_key": project.read_key,
        "master_key": project.master_key,
        "organization_id": first.organization_id,
        "organization_key": first.organization_key,
    }


def people_of(served: Served, project: ServedProject) -> dict[str, str]:
    """An owner with a session, a member, and links that nobody has used."""
    owner, member = (f"{name}-{project.id}@example.com" for name in ("owner", "member"))
    token = invited(served, project, owner, "--owner")
    body = {"token": token, "name": "Owner", "password": OWN_PASSWORD}
    reply = served.request("POST", "/account/join", body, headers=AS_JSON)
    assert reply.status == 201, reply.body
    found = {
        "owner_email": owner,
        "owner_password": OWN_PASSWORD,
        "owner_id": reply.json["person"]["id"],
        "session": reply.headers["set-cookie"].partition(";")[0],
    }
    body = {"token": invited(served, project, member), "name": "Member", "password": OWN_PASSWORD}
    found["member_id"] = served.request("POST", "/account/join", body, headers=AS_JSON).json["person"]["id"]
    anybody = served.request(
        "POST",
        f"/account/organisations/{served.project.organization_id}/invitations",
        {},
        key=found["session"],
    )
    found["invitation_token"] = anybody.json["link"].partition("#")[2]
    found["password_token"] = served.told("people", "link", member).stdout.strip().partition("#")[2]
    return found


def invited(served: Served, project: ServedProject, email: str, *options: str) -> str:
    """The token of an invitation that the shell prints."""
    told = served.told("people", "invite", email, "--project", project.id, *options)
    return told.stdout.strip().partition("#")[2]


def token_of(served: Served, project: ServedProject) -> str:
    """An embed token, which no request makes."""
    body = {"name": "k", "permitted": ["queries", "saved_queries", "cached_queries"]}
    key = served.request("POST", f"/3.0/projects/{project.id}/keys", body, key=project.master_key).json["key"]
    return embed_token(key)


def filled(value: Any, names: Mapping[str, str]) -> Any:
    """The value with all names in its texts replaced; braces around other words stay."""
    if isinstance(value, str):
        return re.sub(r"\{(\w+)\}", lambda found: names.get(found[1], found[0]), value)
    if isinstance(value, Mapping):
        return {filled(name, names): filled(one, names) for name, one in value.items()}
    if isinstance(value, list | tuple):
        return [filled(one, names) for one in value]
    return value


def sent(served: Served, example: Json, names: Mapping[str, str]) -> Reply:
    request = example["request"]
    path = quote(filled(request["path"], names), safe="/%")
    if "query" in request:
        path += "?" + urlencode(filled(request["query"], names))
    key = names[KEYS[request["key"]]] if request["key"] else None
    deadline = time.monotonic() + (PATIENCE_SECONDS if example.get("patient") else 0)
    while True:
        reply = served.request(
            request["method"],
            path,
            filled(request.get("body"), names),
            key=key,
            headers=AS_JSON | filled(request.get("headers", {}), names),
        )
        if time.monotonic() > deadline or (reply.status == example["status"] and has_kept(reply, example)):
            return reply
        time.sleep(0.1)


def check(label: str, operation: Json, reply: Reply) -> None:
    """The status, the kind of content and the body are as documented."""
    response = operation["responses"].get(str(reply.status))
    assert response is not None, f"{label}: {reply.status} is not documented"
    kind = reply.headers.get("content-type", "").partition(";")[0]
    if "content" not in response:
        assert not reply.body, label
        return
    assert kind in response["content"], (label, kind)
    if kind == "application/json":
        complain(label, response["content"][kind]["schema"], reply.json)


def complain(label: str, schema: Json, value: Any) -> None:
    """Fail with all that does not fit the schema."""
    validator = Draft202012Validator({**schema, "components": DOCUMENT["components"]})
    faults = [f"{fault.instance_path}: {fault.message}" for fault in validator.iter_errors(value)]
    assert not faults, (label, faults, json.dumps(value)[:500])


def has_kept(reply: Reply, example: Json) -> bool:
    return all(found_at(reply.json, where) is not None for where in example.get("keep", {}).values())


def found_at(value: Any, path: str) -> Any:
    """What stands there; after a ``?``, a parameter of the address that does."""
    path, _, name = path.partition("?")
    for part in path.split("."):
        value = value[int(part)] if isinstance(value, list) else value[part]
    return parse_qs(urlsplit(value).query)[name][0] if name and value is not None else value


@pytest.mark.parametrize("area", AREAS, ids=lambda area: area.tag)
def test_the_requests_of_examples_that_succeed_fit_the_documented_ones(area: RouteArea) -> None:
    for label, operation, example in examples_of(area):
        if example["status"] >= 400:
            continue
        request = example["request"]
        if "body" in request:
            complain(
                label, operation["requestBody"]["content"]["application/json"]["schema"], request["body"]
            )
        known = {parameter(one)["name"] for one in operation.get("parameters", ())} | {"api_key"}
        assert set(request.get("query", {})) <= known, label


def parameter(one: Json) -> Json:
    """A parameter's object, behind a reference or not."""
    if "$ref" not in one:
        return one
    found: Json = DOCUMENT["components"]["parameters"][one["$ref"].rpartition("/")[2]]
    return found


def test_each_operation_has_an_example_that_succeeds() -> None:
    """But for those that need what the tests' server has not: a provider to log in with."""
    for area in AREAS:
        for one in area.operations:
            if one.path != "/account/openid/begin":
                assert any(example.status < 400 for example in one.examples), (one.method, one.path)
