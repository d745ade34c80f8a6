"""The words in which an area of the API is described, and how they become OpenAPI.

An area is one module of this package with a function ``area(settings) -> Area``; ``README.md`` beside it
says how to add one. What all operations share (errors that any may end in, keys, parameters of the path)
stands here once and is added to each.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

Json = dict[str, Any]
Key = Literal["", "write", "read", "master", "organization"]

PROJECT = "/3.0/projects/{project_id}"
STRING: Json = {"type": "string"}
INTEGER: Json = {"type": "integer"}
BOOLEAN: Json = {"type": "boolean"}
OBJECT: Json = {"type": "object"}
SCRIPT = "text/javascript"

MEANINGS = {
    400: "Something in the request cannot be used; the message names it.",
    401: "The key is missing or wrong, or the master key is needed.",
    403: "The key may not do this.",
    404: "There is no such project, resource or route.",
    405: "The route does not take this method.",
    408: "The body did not come in time.",
    409: "What is there already is in the way.",
    410: "It was there, and is not any more.",
    413: "The body is too large.",
    415: "The content encoding is unknown.",
    416: "The file has none of the bytes that are asked for.",
    429: "Too many requests or running queries; see `Retry-After`.",
    500: "The server failed; it has logged why.",
    503: "Not now; see `Retry-After`.",
    504: "The query ran too long.",
}
ALWAYS = (400, 401, 403, 404, 405, 408, 429, 500, 503)
"""Errors in which every request that needs a key may end."""


@dataclass(frozen=True, slots=True)
class Example:
    """A request that a test sends to a server, in the order of the document, and what comes of it.

    Texts may hold ``{project_id}``, ``{write_key}``, ``{read_key}``, ``{master_key}``,
    ``{organization_id}``, ``{organization_key}`` and every name that an earlier example of the area kept.
    """

    path: Mapping[str, str] = field(default_factory=dict)
    """Of the parameters in the operation's path; what is not named here is one of the names above."""
    query: Mapping[str, str] = field(default_factory=dict)
    headers: Mapping[str, str] = field(default_factory=dict)
    body: Any = None
    """JSON; None is no body."""
    key: Key = "master"
    status: int = 200
    keep: Mapping[str, str] = field(default_factory=dict)
    """Name → dotted path in the answer: what later examples of the area call ``{name}``. After a ``?``, a
    parameter of the address that stands there."""
    patient: bool = False
    """Whether to ask again, for some seconds, until the status is the one above and what is to be kept is
    there (what is done meanwhile)."""
    summary: str = ""


@dataclass(frozen=True, slots=True)
class Answer:
    """What comes back with a 2xx or 3xx: JSON after ``schema`` (None: no body) or other kinds of content."""

    description: str
    schema: Json | None = None
    content: Mapping[str, Json] = field(default_factory=dict)
    """Further media types → their schemas."""
    headers: Mapping[str, str] = field(default_factory=dict)
    """Name → description."""


@dataclass(frozen=True, slots=True)
class Operation:
    """One method of one path. Parameters of the path are added by their names from ``parameters`` of any
    area; ``parameters`` here are names of such, or whole objects."""

    method: Literal["get", "post", "put", "patch", "delete"]
    path: str
    summary: str
    answers: Mapping[int, Answer]
    description: str = ""
    parameters: tuple[str | Json, ...] = ()
    body: Json | None = None
    body_required: bool = True
    errors: tuple[int, ...] = ()
    """Beyond those of ``ALWAYS``."""
    examples: tuple[Example, ...] = ()
    open: bool = False
    """Whether no key is needed; then only ``errors`` are told."""
    name: str = ""
    """The ``operationId``; by default made from the method and the path."""


@dataclass(frozen=True, slots=True)
class Area:
    """What one module describes. ``tag`` and the names of schemas and parameters are unique over all."""

    tag: str
    about: str
    operations: tuple[Operation, ...]
    schemas: Mapping[str, Json] = field(default_factory=dict)
    parameters: Mapping[str, Json] = field(default_factory=dict)
    given: tuple[tuple[str, str, Any], ...] = ()
    """Requests with the master key, before the examples: method, path, JSON body."""


# Schemas and parameters


def ref(name: str) -> Json:
    return {"$ref": f"#/components/schemas/{name}"}


def listing(schema: Json) -> Json:
    return {"type": "array", "items": schema}


def mapping(schema: Json) -> Json:
    """An object whose keys are not known beforehand."""
    return {"type": "object", "additionalProperties": schema}


def record(properties: Json, required: Iterable[str] = ()) -> Json:
    return {"type": "object", "properties": properties, "required": list(required)}


def nullable(schema: Json) -> Json:
    return {"anyOf": [schema, {"type": "null"}]}


def in_query(name: str, schema: Json, description: str) -> Json:
    return {"name": name, "in": "query", "schema": schema, "description": description}


def in_path(name: str, description: str, pattern: str | None = None) -> Json:
    schema = {**STRING, "minLength": 1, **({"pattern": pattern} if pattern else {})}
    return {"name": name, "in": "path", "required": True, "schema": schema, "description": description}


def in_header(name: str, schema: Json, description: str) -> Json:
    return {"name": name, "in": "header", "schema": schema, "description": description}


def ok(schema: Json, description: str = "Done.") -> dict[int, Answer]:
    return {200: Answer(description, schema)}


def parameters_of(path: str) -> list[str]:
    """The names in a path's braces."""
    return re.findall(r"\{(\w+)\}", path)


# OpenAPI


def item(operation: Operation, tag: str) -> Json:
    """The Operation Object."""
    named = [*parameters_of(operation.path), *operation.parameters]
    found: Json = {
        "tags": [tag],
        "summary": operation.summary,
        "operationId": operation.name or _name(operation),
    }
    if operation.description:
        found["description"] = operation.description
    if named:
        found["parameters"] = [_parameter(one) for one in named]
    if operation.body is not None:
        found["requestBody"] = _body(operation, operation.body)
    found["responses"] = _responses(operation)
    if operation.open:
        found["security"] = []
    if operation.examples:
        found["x-examples"] = [_example(operation, one) for one in operation.examples]
    return found


def _name(operation: Operation) -> str:
    """``get_3_0_projects_one``: the method and what of the path is no parameter; ``one`` for a parameter at
    its end."""
    words = operation.path.strip("/").split("/")
    plain = [re.sub(r"\W", "_", word) for word in words if word and word[0] != "{"]
    last = "_one" if words[-1].startswith("{") else ""
    return "_".join([operation.method, *(plain or ["root"])]) + last


def _parameter(one: str | Json) -> Json:
    return {"$ref": f"#/components/parameters/{one}"} if isinstance(one, str) else one


def _body(operation: Operation, schema: Json) -> Json:
    content: Json = {"schema": schema}
    shown = [one for one in operation.examples if one.body is not None and one.status < 400]
    if shown:
        content["examples"] = {
            f"example{number}": {"value": one.body, **({"summary": one.summary} if one.summary else {})}
            for number, one in enumerate(shown, 1)
        }
    return {"required": operation.body_required, "content": {"application/json": content}}


def _example(operation: Operation, one: Example) -> Json:
    """The request whole, so that a reader can send it with his own names in place of those in braces."""
    path = operation.path
    for name, value in one.path.items():
        path = path.replace("{" + name + "}", value)
    request: Json = {"method": operation.method.upper(), "path": path, "key": one.key}
    for part, sent in (("query", one.query), ("headers", one.headers)):
        if sent:
            request[part] = dict(sent)
    if one.body is not None:
        request["body"] = one.body
    found: Json = {"request": request, "status": one.status}
    if one.keep:
        found["keep"] = dict(one.keep)
    if one.patient:
        found["patient"] = True
    return {"summary": one.summary, **found} if one.summary else found


def _responses(operation: Operation) -> Json:
    found: Json = {str(status): _answer(answer) for status, answer in operation.answers.items()}
    for status in sorted({*(() if operation.open else ALWAYS), *operation.errors}):
        found.setdefault(str(status), error(status))
    return found


def _answer(answer: Answer) -> Json:
    kinds: Json = {"application/json": answer.schema} if answer.schema is not None else {}
    content = {name: {"schema": schema} for name, schema in (kinds | dict(answer.content)).items()}
    found: Json = {"description": answer.description}
    if content:
        found["content"] = content
    if answer.headers:
        found["headers"] = {
            name: {"description": text, "schema": STRING} for name, text in answer.headers.items()
        }
    return found


def error(status: int) -> Json:
    found: Json = {
        "description": MEANINGS[status],
        "content": {"application/json": {"schema": ref("Error")}},
    }
    if status in (429, 503):
        text = "Seconds after which it is worth trying again."
        found["headers"] = {"Retry-After": {"description": text, "schema": INTEGER}}
    return found
