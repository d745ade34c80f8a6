"""The MCP server of a project: ``POST /3.0/projects/P/mcp``, one message in each request."""

from __future__ import annotations

import base64
from dataclasses import replace
from typing import Any

from starlette.responses import Response

from query.json_encoding import Written, dumps
from query.language.suggestions import did_you_mean
from service.api_paths import PROJECTS
from service.auth.principal import Permission
from service.bodies.json_body import json_of
from service.errors import ApiError, Forbidden, InvalidJSON
from service.http.agents.api_calls import ApiAnswer, call_api
from service.http.agents.origins import check_origin
from service.http.agents.protocol import (
    REVISIONS,
    Code,
    Json,
    ProtocolFault,
    ProtocolMessage,
    agreed_revision,
    failure,
    id_of,
    read_message,
    server_info,
    success,
)
from service.http.agents.tools import ApiCall, Tool, look_pairs, offered, picture_format
from service.http.authorization import needs
from service.http.error_rendering import JSON, render
from service.http.openapi.operation import DocumentedAnswer, Example, Operation, ref
from service.http.request import decoded, json_answer, opened
from service.http.routing import OfProject, ProjectCall, RouteArea
from service.pictures.options import last_boundary, read_options

PATH = f"{PROJECTS}/{{project_id}}/mcp"
SCHEMA_URI = "acumen://schema"
_RULE = replace(
    needs(
        Permission.SCHEMA,
        Permission.QUERIES,
        Permission.SAVED_QUERIES,
        Permission.CACHED_QUERIES,
        Permission.QUERY_DEFINITION,
    ),
    bearer=True,
)
_INSTRUCTIONS = (
    "Acumen stores events in collections and answers questions about them. Look at list_collections and "
    "describe_collection before you ask; profile_collection shows frequent values. Timeframes are relative, "
    "such as this_14_days and previous_3_months, or an object of start and end. The tools are those that the "
    "key permits, and answers hold what it may see. A result that is an error says what to change."
)
_EVENTS = {"purchases": [{"price": 7, "user": {"id": "bob"}}, {"price": 30, "user": {"id": "ann"}}]}
_BODY: Json = {
    "type": "object",
    "required": ["jsonrpc", "method"],
    "properties": {
        "jsonrpc": {"const": "2.0"},
        "id": {"anyOf": [{"type": "string"}, {"type": "integer"}], "description": "Absent: a notification."},
        "method": {"type": "string"},
        "params": {"type": "object"},
    },
}
_ANSWER: Json = {
    "type": "object",
    "required": ["jsonrpc"],
    "properties": {
        "jsonrpc": {"const": "2.0"},
        "id": {"anyOf": [{"type": "string"}, {"type": "integer"}]},
        "result": {"type": "object"},
        "error": {"type": "object"},
    },
}
_REFUSAL: Json = {"anyOf": [_ANSWER, ref("Error")]}
"""What is wrong with a message is said in the protocol's form; the rest as everywhere."""
_COUNT = {"analysis_type": "count", "event_collection": "purchases"}

area = RouteArea(
    "agents",
    "Let programs that work with language models ask, by the Model Context Protocol.",
    [("POST", PATH.replace("/mcp", "/events"), _EVENTS)],
)


def _message(method: str, **params: Any) -> Json:
    return {"jsonrpc": "2.0", "id": 1, "method": method, "params": params}


@area.serve(
    PATH,
    _RULE,
    Operation(
        method="post",
        path=PATH,
        summary="Answer one message of the Model Context Protocol",
        answers={
            200: DocumentedAnswer("The answer: a result or an error of JSON-RPC.", schema=_ANSWER),
            202: DocumentedAnswer("The notification was taken."),
            400: DocumentedAnswer(
                "No message of the protocol, or a request that is not valid.", schema=_REFUSAL
            ),
            404: DocumentedAnswer(
                "No such method, in the newest revision; or no such project.", schema=_REFUSAL
            ),
        },
        body=_BODY,
        examples=(
            Example(body=_message("tools/list"), key="read"),
            Example(body=_message("tools/call", name="measure", arguments=_COUNT), key="read"),
            Example(body={"jsonrpc": "2.0", "method": "notifications/initialized"}, key="read", status=202),
            Example(body=_message("tools/list"), key="write", status=403),
        ),
        name="send_mcp_message",
    ),
    spends=False,
)
async def answer(call: OfProject) -> Response:
    """For clients of the protocol, in its revisions 2026-07-28, 2025-11-25 and 2025-06-18, over streamable
    HTTP without sessions. The tools are those that the key permits; each makes a call of this API with that
    key. The header `Authorization` holds the key, or `Bearer` and the key."""
    parts, request, caller = call
    check_origin(parts, request)
    if caller.embed is not None:
        raise Forbidden("Embed tokens are for pages, not for agents: use an access key here.")
    value: Any = None
    try:
        async with opened(parts.bodies, request, parts.settings.query_bytes_max) as body:
            value = await decoded(parts.bodies, body)
        message = read_message(value, request.headers)
        if message.id is None:
            return Response(status_code=202)
        return json_answer(success(message, await _result(call, message)))
    except InvalidJSON as error:
        return json_answer(failure(None, ProtocolFault(Code.NOT_JSON, error.message)), 400)
    except ProtocolFault as fault:
        return json_answer(failure(id_of(value), fault), fault.status)


async def _result(call: ProjectCall, message: ProtocolMessage) -> Json:
    """The result of a request. Raises ProtocolFault."""
    resources = _resources(call)
    capabilities: Json = {"tools": {}, **({"resources": {}} if resources else {})}
    match message.method:
        case "server/discover" if message.modern:
            return {
                "supportedVersions": [*REVISIONS],
                "capabilities": capabilities,
                "instructions": _INSTRUCTIONS,
            }
        case "initialize" if not message.modern:
            return {
                "protocolVersion": agreed_revision(message.params),
                "capabilities": capabilities,
                "serverInfo": server_info(),
                "instructions": _INSTRUCTIONS,
            }
        case "ping" if not message.modern:
            return {}
        case "tools/list":
            return {"tools": [tool.described for tool in offered(call.caller)]}
        case "tools/call":
            return await _called(call, message)
        case "resources/list" if resources:
            return {"resources": resources}
        case "resources/templates/list" if resources:
            return {"resourceTemplates": []}
        case "resources/read" if resources:
            return await _read(call, message)
    raise ProtocolFault(
        Code.NO_METHOD,
        f"This server has no method '{message.method[:100]}'.",
        # An older client takes a 404 for a session that has ended.
        status=404 if message.modern else 200,
    )


async def _called(call: ProjectCall, message: ProtocolMessage) -> Json:
    """What a tool answers. Raises ProtocolFault where the caller has no such tool."""
    name, arguments = message.params.get("name"), message.params.get("arguments") or {}
    tools = {tool.name: tool for tool in offered(call.caller)}
    if not isinstance(name, str) or name not in tools:
        shown = str(name)[:100]
        hint = did_you_mean(shown, list(tools))
        raise ProtocolFault(
            Code.BAD_PARAMETERS,
            f"Unknown tool '{shown}': with this key there is none of this name.{hint}",
            status=200,
        )
    if not isinstance(arguments, dict):
        raise ProtocolFault(Code.BAD_PARAMETERS, "'arguments' must be an object.", status=200)
    try:
        tools[name].check(arguments)
        return await _tool_result(call, tools[name], arguments)
    except ApiError as error:
        shown_error = render(error)
        return _error(json_of(shown_error.body), shown_error.status)


async def _tool_result(call: ProjectCall, tool: Tool, arguments: Json) -> Json:
    """Raises ApiError."""
    most = call.parts.settings.mcp_answer_bytes_max
    asked = tool.call(arguments)
    found = await call_api(call, asked, call.parts.settings.response_bytes_max if tool.draws else most)
    if found.status >= 400:
        retry = {"retry_after": found.headers["retry-after"]} if "retry-after" in found.headers else {}
        return _error({**json_of(bytes(found.body)), **retry}, found.status)
    kind = found.headers.get("content-type", "").partition(";")[0]
    content, length = bytes(found.body), found.length
    if tool.draws:
        content, kind = await _drawn(call, asked, arguments, found)
        length = len(content)
    if length > most:
        return _too_large(tool, length, most)
    if kind != JSON:
        picture = {"type": "image", "data": base64.b64encode(content).decode(), "mimeType": kind}
        return {"content": [picture], "isError": False}
    if content[:1] != b"{":
        content = b'{"%b":%b}' % (tool.label.encode(), content)
    text = {"type": "text", "text": content.decode()}
    return {"content": [text], "structuredContent": Written(content), "isError": False}


async def _drawn(call: ProjectCall, asked: ApiCall, arguments: Json, found: ApiAnswer) -> tuple[bytes, str]:
    """The answer to a question as a picture, and its media type. Raises ApiError."""
    is_png = picture_format(arguments) == "png"
    options = read_options(look_pairs(arguments))
    question = {"analysis_type": asked.path.rpartition("/")[2], **(asked.body or {})}
    body = b'{"query":%b,%b' % (dumps(question), bytes(found.body)[1:])
    options = replace(options, now_ms=last_boundary(body, call.parts.clock() // 1_000))
    picture = await call.parts.painter.picture(body, options, png=is_png)
    return picture, "image/png" if is_png else "image/svg+xml"


def _error(error: Json, status: int) -> Json:
    """A result that is an error of the API: its message, its code and its status."""
    told = {**error, "status": status}
    text = {"type": "text", "text": dumps(told).decode()}
    return {"content": [text], "structuredContent": told, "isError": True}


def _too_large(tool: Tool, length: int, most: int) -> Json:
    message = (
        f"The answer of '{tool.name}' has {length:,} bytes, more than the {most:,} that a tool answers "
        "(ACUMEN_MCP_ANSWER_BYTES_MAX). Nothing of it is shown. Ask for less: a shorter timeframe, a longer "
        "interval, fewer groups ('limit' with 'order_by'), fewer properties, or a smaller picture."
    )
    return _error({"message": message, "error_code": "QueryLimitError"}, 200)


def _resources(call: ProjectCall) -> list[Json]:
    if Permission.SCHEMA not in call.caller.permissions:
        return []
    return [
        {
            "uri": SCHEMA_URI,
            "name": "schema",
            "title": "Collections and their properties",
            "description": "All collections that the key sees, with the type of each property.",
            "mimeType": JSON,
        }
    ]


async def _read(call: ProjectCall, message: ProtocolMessage) -> Json:
    """The content of a resource. Raises ProtocolFault."""
    uri = message.params.get("uri")
    if uri != SCHEMA_URI:
        raise ProtocolFault(
            Code.BAD_PARAMETERS, f"There is no resource '{str(uri)[:100]}': only {SCHEMA_URI}.", status=200
        )
    most = call.parts.settings.mcp_answer_bytes_max
    found = await call_api(call, ApiCall("GET", "events"), most)
    if found.status >= 400:
        told = json_of(bytes(found.body))
        raise ProtocolFault(Code.INTERNAL, str(told["message"]), status=200, data=told)
    if found.length > most:
        raise ProtocolFault(
            Code.INTERNAL,
            f"The schema has {found.length:,} bytes, more than the {most:,} that are answered here "
            "(ACUMEN_MCP_ANSWER_BYTES_MAX): use the tools list_collections and describe_collection.",
            status=200,
        )
    text = bytes(found.body).decode()
    return {"contents": [{"uri": SCHEMA_URI, "mimeType": JSON, "text": text}]}
