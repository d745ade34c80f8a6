"""What several areas refer to: the shape of an error, parameters of paths, how a body is packed."""

from __future__ import annotations

from query.plan.data_warnings import WarningCode
from service.http.openapi.describe import STRING, Area, in_header, in_path, in_query, record
from service.settings import Settings

_FUNCTION = r"^[A-Za-z_$][A-Za-z0-9_$]*(\.[A-Za-z_$][A-Za-z0-9_$]*|\[[0-9]{1,9}\])*$"


def area(_: Settings) -> Area:
    return Area(
        "shared",
        "",
        (),
        schemas={
            "Error": record({"message": STRING, "error_code": STRING}, ("message", "error_code")),
            "Warning": {
                **record(
                    {
                        "code": {"type": "string", "enum": [code.value for code in WarningCode]},
                        "parameter": {**STRING, "description": "Which parameter it is about."},
                        "message": STRING,
                        "did_you_mean": {
                            "type": ["string", "null"],
                            "description": "The nearest name that the key can see.",
                        },
                    },
                    ("code", "parameter", "message", "did_you_mean"),
                ),
                "description": "What leaves a question without data; told to keys that may read the schema.",
            },
        },
        parameters={
            "project_id": in_path("project_id", "The project's id.", "^[A-Za-z0-9]+$"),
            "event_collection": in_path(
                "event_collection", "The collection's name; slashes may be raw or `%2F`."
            ),
            "property_name": in_path("property_name", "A dotted path: `user.id`."),
            "jsonp": in_query(
                "jsonp", {**STRING, "pattern": _FUNCTION}, "Answer a script that calls this function."
            ),
            "content_encoding": in_header(
                "Content-Encoding",
                {"type": "string", "enum": ["gzip", "deflate", "zstd"]},
                "How the body is packed.",
            ),
            "idempotency_key": in_header(
                "Idempotency-Key",
                {"type": "string", "minLength": 1, "maxLength": 255},
                "Names this request: sent again with the same body, it is stored once.",
            ),
        },
    )
