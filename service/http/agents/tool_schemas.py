"""Schemas of the tools' arguments, from the table of parameters."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator
from typing import Any

from query.language.nodes import Analysis
from query.language.parameter_table import SCHEMAS, Parameter, taken_by
from service.http.openapi.questions import body_of

Json = dict[str, Any]

OF_FILES = frozenset({"email", "email_address", "delivery", "content_type", "content_encoding"})
"""Parameters of extractions to files, which tools do not make."""
METRICS = tuple(analysis.value for analysis in Analysis)
_COMPONENT = "#/components/schemas/"
_DEFINITION = "#/$defs/"


def of_analysis(analysis: str) -> Json:
    """The arguments of one analysis."""
    body = body_of(analysis)
    properties = {name: schema for name, schema in body["properties"].items() if name not in OF_FILES}
    return closed(properties, body["required"])


def of_metrics() -> Json:
    """The arguments of all metrics: their parameters together, and which of them it is."""
    properties: Json = {
        "analysis_type": {"type": "string", "enum": [*METRICS], "description": "What is computed."}
    }
    taken: dict[str, Parameter] = {one.name: one for metric in METRICS for one in taken_by(metric)}
    for name, one in taken.items():
        schema = one.documented
        takers = [metric for metric in METRICS if metric in one.analyses]
        if len(takers) < len(METRICS):
            few = len(takers) <= len(METRICS) // 2
            others = [metric for metric in METRICS if metric not in takers]
            said = f"Of {', '.join(takers)} only." if few else f"Not of {', '.join(others)}."
            schema = {**schema, "description": f"{schema['description']} {said}"}
        properties[name] = schema
    needed = set.intersection(*(_required(metric) for metric in METRICS))
    return closed(properties, ["analysis_type", *(name for name in taken if name in needed)])


def _required(metric: str) -> set[str]:
    return {one.name for one in taken_by(metric) if one.required_in(metric)}


def closed(properties: Json, required: Iterable[str] = ()) -> Json:
    """The schema of an object with these properties and no others, with the definitions that it refers to."""
    text = json.dumps({"type": "object", "properties": properties}).replace(_COMPONENT, _DEFINITION)
    schema: Json = json.loads(text)
    needed = [*required]
    if needed:
        schema["required"] = needed
    schema["additionalProperties"] = False
    definitions = json.loads(json.dumps(dict(SCHEMAS)).replace(_COMPONENT, _DEFINITION))
    found: Json = {}
    waiting = list(_referred(schema))
    while waiting:
        name = waiting.pop()
        if name not in found:
            found[name] = definitions[name]
            waiting += _referred(definitions[name])
    if found:
        schema["$defs"] = {name: found[name] for name in SCHEMAS if name in found}
    return schema


def _referred(schema: Any) -> Iterator[str]:
    """The names of the definitions that a schema refers to."""
    if isinstance(schema, dict):
        for key, value in schema.items():
            if key == "$ref":
                yield value.removeprefix(_DEFINITION)
            else:
                yield from _referred(value)
    elif isinstance(schema, list):
        for value in schema:
            yield from _referred(value)
