"""Lists what one OpenAPI document describes and another does not; exits with 1 if there is anything.

    python scripts/compare_openapi.py OLD.json NEW.json

Compared are routes, methods, parameters, examples, request bodies, statuses of answers, their media types and
headers, and of schemas properties, values and bounds, at any depth and whatever the components are called:
references are followed.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

Json = dict[str, Any]
BOUNDS = {"pattern", "format", "minimum", "maximum", "minLength", "maxLength"}


def described(document: Json) -> Iterator[str]:
    """One line for each thing that the document describes."""
    for path, item in document["paths"].items():
        for method, operation in item.items():
            where = f"{method.upper()} {path}"
            yield where
            for fact in _of_operation(document, operation):
                yield f"{where}: {fact}"


def _of_operation(document: Json, operation: Json) -> Iterator[str]:
    for given in operation.get("parameters", ()):
        parameter = resolved(document, given)
        yield f"parameter {parameter['name'].lower()} in {parameter['in']}"
    for example in operation.get("x-examples", ()):
        yield f"example {json.dumps(example, sort_keys=True)}"
    for media_type, content in operation.get("requestBody", {}).get("content", {}).items():
        yield f"body as {media_type}"
        for name in properties(document, content.get("schema", {})):
            yield f"body as {media_type}, {name}"
    for status, answer in operation["responses"].items():
        yield f"answer {status}"
        for header in answer.get("headers", ()):
            yield f"answer {status}, header {header.lower()}"
        for media_type, content in answer.get("content", {}).items():
            yield f"answer {status} as {media_type}"
            for name in properties(document, content.get("schema", {})):
                yield f"answer {status} as {media_type}, {name}"


def properties(document: Json, schema: Any, prefix: str = "", seen: tuple[str, ...] = ()) -> Iterator[str]:
    """``property a.b[].c`` for each property of a schema, and ``required property …`` for those that are."""
    if not isinstance(schema, Mapping):
        return
    if "$ref" in schema:
        if schema["$ref"] not in seen:
            yield from properties(document, resolved(document, schema), prefix, (*seen, schema["$ref"]))
        return
    for value in [*schema.get("enum", ()), *([schema["const"]] if "const" in schema else ())]:
        yield f"value {json.dumps(value)} of {prefix}"
    for keyword in sorted(BOUNDS & schema.keys()):
        yield f"{keyword} of {prefix}: {json.dumps(schema[keyword])}"
    required = schema.get("required", ())
    for name, one in schema.get("properties", {}).items():
        yield f"property {prefix}{name}"
        if name in required:
            yield f"required property {prefix}{name}"
        yield from properties(document, one, f"{prefix}{name}.", seen)
    yield from properties(document, schema.get("items"), f"{prefix}[].", seen)
    yield from properties(document, schema.get("additionalProperties"), f"{prefix}*.", seen)
    for kind in ("anyOf", "oneOf", "allOf"):
        for one in schema.get(kind, ()):
            yield from properties(document, one, prefix, seen)


def resolved(document: Json, given: Any) -> Json:
    while "$ref" in given:
        target: Any = document
        for part in given["$ref"].removeprefix("#/").split("/"):
            target = target[part]
        given = target
    found: Json = given
    return found


def main(old: str, new: str) -> int:
    before, after = (dict.fromkeys(described(json.loads(Path(name).read_text()))) for name in (old, new))
    lost = [line for line in before if line not in after]
    print("\n".join(lost) or f"Nothing is lost: {len(before)} facts before, {len(after)} now.")
    return 1 if lost else 0


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
