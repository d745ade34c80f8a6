"""What a route declares for the OpenAPI document: parameters, answers, errors and executed examples.

An ``Operation`` is one method of one path. The types of a handler's body and parameters come from its
signature, as FastAPI reads it; the rest is declared here. What all operations share (errors
that any may end in, parameters of paths) is written once and added to each.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

from fastapi import Response
from fastapi.routing import APIRoute

from service.settings import Settings

Json = dict[str, Any]
Key = Literal["", "write", "read", "master", "organization", "session"]
"""``session``: the session of an owner of the organisation, in a cookie."""
Method = Literal["get", "post", "put", "delete"]
Endpoint = Callable[..., Any]

STRING: Json = {"type": "string"}
INTEGER: Json = {"type": "integer"}
BOOLEAN: Json = {"type": "boolean"}
JSON = "application/json"
SCRIPT = "text/javascript"
_FUNCTION = r"^[A-Za-z_$][A-Za-z0-9_$]*(\.[A-Za-z_$][A-Za-z0-9_$]*|\[[0-9]{1,9}\])*$"

MEANINGS = {
    400: "Something in the request cannot be used; the message names it.",
    401: "The key is missing or wrong, or the master key is needed.",
    403: "The key lacks the permission.",
    404: "There is no such project, resource or route.",
    405: "The route does not have this method.",
    408: "The body did not arrive in time.",
    409: "It conflicts with something that exists already.",
    410: "It existed, but no longer does.",
    412: "It was changed since it was read.",
    413: "The body is too large.",
    415: "The content encoding is unknown.",
    416: "The requested range lies outside the file.",
    429: "Too many requests or running queries; see `Retry-After`.",
    500: "The server failed; it has logged why.",
    503: "Temporarily unavailable; see `Retry-After`.",
    504: "The query ran too long.",
}
PLACEHOLDER = "default"
ALWAYS = (400, 401, 403, 404, 405, 408, 429, 500, 503)
"""Errors that any request that needs a key may get."""
OF_BODIES = (413, 415)
"""Further errors of routes that read a body."""


@dataclass(frozen=True, slots=True)
class Example:
    """A request that a test sends to a server, in the order of the document, and the expected answer.

    Texts may hold ``{project_id}``, ``{write_key}``, ``{read_key}``, ``{master_key}``, ``{organization_id}``,
    ``{organization_key}``, ``{owner_id}`` and ``{session_id}`` of the session, ``{invitation_token}``, and
    any name that an earlier example of the area kept.
    """

    path: Mapping[str, str] = field(default_factory=dict)
    """Values of the parameters in the operation's path; missing ones are filled from the names above."""
    query: Mapping[str, str] = field(default_factory=dict)
    headers: Mapping[str, str] = field(default_factory=dict)
    body: Any = None
    """JSON; None for no body."""
    key: Key = "master"
    status: int = 200
    keep: Mapping[str, str] = field(default_factory=dict)
    """Name → dotted path in the answer whose value later examples of the area use as ``{name}``. A ``?`` and
    a parameter's name after the path select that parameter of the URL found there."""
    patient: bool = False
    """Whether to repeat the request, for some seconds, until the status matches and the values to keep are
    there: some work is done in the background."""
    summary: str = ""


@dataclass(frozen=True, slots=True)
class DocumentedAnswer:
    """An answer with a 2xx or 3xx: JSON described by a model or a schema, other content, or nothing."""

    description: str
    model: Any = None
    """A type that pydantic knows."""
    schema: Json | None = None
    content: Mapping[str, Json] = field(default_factory=dict)
    """Further media types → their schemas."""

    def described(self) -> Json:
        """The entry for FastAPI's ``responses``."""
        entry: Json = {"description": self.description}
        if self.model is not None:
            entry["model"] = self.model
        kinds = ({} if self.schema is None else {JSON: self.schema}) | dict(self.content)
        if kinds:
            entry["content"] = {name: {"schema": schema} for name, schema in kinds.items()}
        return entry


@dataclass(frozen=True, slots=True, kw_only=True)
class Operation:
    """One method of one path, as the document describes it."""

    method: Method
    path: str
    summary: str
    answers: Mapping[int, DocumentedAnswer]
    description: str | Callable[[Settings], str] = ""
    """By default the handler's docstring."""
    parameters: tuple[str | Json, ...] = ()
    """Names in ``PARAMETERS``, or whole parameter objects. The path's parameters are added."""
    body: Json | None = None
    """The schema of a body that the handler reads itself; other bodies come from its signature."""
    errors: tuple[int, ...] = ()
    """Errors beyond ``ALWAYS``, and beyond ``OF_BODIES`` where there is a body."""
    examples: tuple[Example, ...] = ()
    open: bool = False
    """Whether no key is needed; then only ``errors`` are listed."""
    name: str = ""
    """The ``operationId``; by default derived from the method and the path."""

    def route(self, endpoint: Endpoint, tag: str, settings: Settings) -> APIRoute:
        """A route for FastAPI to describe; it never serves a request."""
        about = self.description
        status, first = next(iter(self.answers.items()))
        made = APIRoute(
            self.path,
            endpoint,
            methods=[self.method],
            tags=[tag],
            summary=self.summary,
            description=about(settings) if callable(about) else about or None,
            operation_id=self.name or _name(self.method, self.path),
            status_code=status,
            response_description=first.description,
            response_class=Response,
            response_model=None,
            responses={
                # Without it FastAPI describes an error of its own, in which no route of ours ends.
                PLACEHOLDER: {"description": ""},
                **{number: answer.described() for number, answer in self.answers.items()},
            },
        )
        made.openapi_extra = self._extra(takes_body=self.body is not None or made.body_field is not None)
        return made

    def _extra(self, *, takes_body: bool) -> Json:
        """The parts that are merged into FastAPI's description."""
        names = [*parameters_of(self.path), *self.parameters]
        entry: Json = {"parameters": [_parameter(one) for one in names]} if names else {}
        if takes_body:
            entry["requestBody"] = self._body()
        always = () if self.open else ALWAYS
        errors = {*always, *(OF_BODIES if takes_body else ()), *self.errors} - self.answers.keys()
        entry["responses"] = {str(status): error(status) for status in sorted(errors)}
        if self.open:
            entry["security"] = []
        return entry

    def _body(self) -> Json:
        shown = [one for one in self.examples if one.body is not None and one.status < 400]
        content: Json = {} if self.body is None else {"schema": self.body}
        if shown:
            content["examples"] = {
                f"example{number}": {"value": one.body, **({"summary": one.summary} if one.summary else {})}
                for number, one in enumerate(shown, 1)
            }
        return {"required": True, "content": {JSON: content}}

    def shown_examples(self) -> list[Json]:
        """The whole example requests, which a reader can send after filling in the names in braces."""
        return [_shown(self, one) for one in self.examples]


def in_query(name: str, schema: Json, description: str, *, required: bool = False) -> Json:
    described = {"name": name, "in": "query", "schema": schema, "description": description}
    return {**described, "required": True} if required else described


def limit_in_query(usual: int, most: int) -> Json:
    """The parameter that ``service.http.request.limit_of`` reads."""
    schema = {"type": "integer", "minimum": 1, "maximum": most, "default": usual}
    return in_query("limit", schema, "How many are shown.")


def in_path(name: str, description: str, pattern: str | None = None) -> Json:
    schema = {**STRING, "minLength": 1, **({"pattern": pattern} if pattern else {})}
    return {"name": name, "in": "path", "required": True, "schema": schema, "description": description}


def in_header(name: str, schema: Json, description: str) -> Json:
    return {"name": name, "in": "header", "schema": schema, "description": description}


BEFORE_NUMBER = in_query("before", {"type": "integer"}, "Only those with numbers below it.")
"""The parameter that ``service.http.request.number_before`` reads."""


def _named(*parameters: Json) -> dict[str, Json]:
    return {parameter["name"].lower().replace("-", "_"): parameter for parameter in parameters}


PARAMETERS = _named(
    in_path("project_id", "The project's id.", "^[A-Za-z0-9]+$"),
    in_path("event_collection", "The collection's name; slashes may be raw or `%2F`."),
    in_path("property_name", "A dotted path: `user.id`."),
    in_path("query_name", "The saved query's name.", "^[A-Za-z0-9_-]+$"),
    in_path("pipeline_name", "The pipeline's name.", "^[A-Za-z0-9_-]+$"),
    in_path("source_name", "The source's name.", "^[A-Za-z0-9_-]+$"),
    in_path("webhook_name", "The webhook's name.", "^[A-Za-z0-9_-]+$"),
    in_path("alert_name", "The alert's name.", "^[A-Za-z0-9_-]+$"),
    in_path("report_name", "The report's name.", "^[A-Za-z0-9_-]+$"),
    in_path("delivery_id", "The id of a delivery."),
    in_path("cohort_name", "The cohort's name.", "^[A-Za-z0-9_-]+$"),
    in_path("dataset_name", "The dataset's name: letters, digits, `-` and `_`."),
    in_path("dashboard_id", "The dashboard's id."),
    in_path("share_id", "The share's id, as the answer that made it has it."),
    in_path("tile_id", "The tile's id; of a tile without one its number, from 0."),
    in_path("job_id", "The job's id, as the answer to the extraction has it."),
    in_path("import_id", "The import's id, as the answer to the upload has it."),
    in_path("access_key", "The access key."),
    in_path("actor_id", "Any id of the actor."),
    in_path("organization_id", "The organisation's id."),
    in_path("own_project", "The id of one of its projects."),
    in_path("erasure_id", "The number of the deletion or change."),
    in_path("session_id", "The session's id, or `current`."),
    in_path("invitation_id", "The invitation's id."),
    in_path("person_id", "The person's id."),
    in_path("page", "What is behind `/app/`: a project, and which of its pages."),
    in_path("page_file", "The file's name."),
    in_path("client_file", "The file's name."),
    in_query("jsonp", {**STRING, "pattern": _FUNCTION}, "Answer a script that calls this function."),
    in_header(
        "Content-Encoding", {**STRING, "enum": ["gzip", "deflate", "zstd"]}, "How the body is compressed."
    ),
    in_header(
        "Idempotency-Key",
        {**STRING, "minLength": 1, "maxLength": 255},
        "Names this request: sent again with the same body, it is stored once.",
    ),
)
"""The parameters that operations refer to by name; every name in a path's braces must be here."""


def ref(name: str) -> Json:
    return {"$ref": f"#/components/schemas/{name}"}


def ok(model: Any, description: str = "Done.") -> dict[int, DocumentedAnswer]:
    return {200: DocumentedAnswer(description, model)}


def gone(description: str = "It is gone.") -> dict[int, DocumentedAnswer]:
    return {204: DocumentedAnswer(description)}


def parameters_of(path: str) -> list[str]:
    """The names in a path's braces."""
    return re.findall(r"\{(\w+)\}", path)


def error(status: int) -> Json:
    """An error's entry of ``responses``."""
    entry: Json = {"description": MEANINGS[status], "content": {JSON: {"schema": ref("Error")}}}
    if status in (429, 503):
        text = "Seconds after which it is worth trying again."
        entry["headers"] = {"Retry-After": {"description": text, "schema": INTEGER}}
    return entry


def _parameter(one: str | Json) -> Json:
    return {"$ref": f"#/components/parameters/{one}"} if isinstance(one, str) else one


def _name(method: str, path: str) -> str:
    """An id such as ``get_3_0_projects_one``: the method and the fixed parts of the path, then ``one`` where
    the path ends in a parameter."""
    words = path.strip("/").split("/")
    plain = [re.sub(r"\W", "_", word) for word in words if word and word[0] != "{"]
    last = "_one" if words[-1].startswith("{") else ""
    return "_".join([method, *(plain or ["root"])]) + last


def _shown(operation: Operation, one: Example) -> Json:
    path = operation.path
    for name, value in one.path.items():
        path = path.replace("{" + name + "}", value)
    request: Json = {"method": operation.method.upper(), "path": path, "key": one.key}
    for part, sent in (("query", one.query), ("headers", one.headers)):
        if sent:
            request[part] = dict(sent)
    if one.body is not None:
        request["body"] = one.body
    example: Json = {"request": request, "status": one.status}
    if one.keep:
        example["keep"] = dict(one.keep)
    if one.patient:
        example["patient"] = True
    return {"summary": one.summary, **example} if one.summary else example
