"""Saved queries: their definitions, and their results."""

from __future__ import annotations

from query.language.parameter_table import ANALYSIS_NAMES as ANALYSES
from service.http.openapi.describe import (
    BOOLEAN,
    INTEGER,
    OBJECT,
    PROJECT,
    SCRIPT,
    STRING,
    Answer,
    Area,
    Example,
    Json,
    Operation,
    in_path,
    listing,
    nullable,
    ok,
    record,
    ref,
)
from service.saved_queries.definition import REFRESH_SECONDS_MAX, REFRESH_SECONDS_MIN
from service.settings import Settings

SAVED = f"{PROJECT}/queries/saved"
LEGACY = f"{PROJECT}/saved_queries"

_DATE: Json = {"type": "string", "format": "date-time"}
_ANY: Json = {}
_RATE: Json = {
    "type": "integer",
    "minimum": 0,
    "maximum": REFRESH_SECONDS_MAX,
    "description": f"0: computed when asked for. Otherwise computed again every so many seconds, from "
    f"{REFRESH_SECONDS_MIN} to {REFRESH_SECONDS_MAX}, and served from the last time.",
}
_DEFINITION: Json = {
    "query_name": STRING,
    "refresh_rate": INTEGER,
    "query": record({"analysis_type": STRING}, ("analysis_type",)),
    "metadata": _ANY,
    "run_information": nullable(ref("RunInformation")),
    "created_date": _DATE,
    "last_modified_date": _DATE,
    "user_last_modified_date": _DATE,
    "urls": record({"cached_query_url": STRING, "cached_query_results_url": STRING}),
}
_SCHEMAS: Json = {
    "SavedQuery": record({**_DEFINITION, "warnings": listing(ref("Warning"))}, _DEFINITION),
    "SavedResult": record({**_DEFINITION, "result": _ANY}, (*_DEFINITION, "result")),
    "RunInformation": record(
        {
            "last_run_date": _DATE,
            "last_run_status": {"type": "string", "enum": ["success", "failed"]},
            "last_run_message": nullable(STRING),
            "duration_ms": {"type": "number"},
            "events_scanned": nullable(INTEGER),
            "data_through": nullable(_DATE),
            "stale": nullable(BOOLEAN),
            "next_run_date": nullable(_DATE),
        },
        ("last_run_date", "last_run_status", "stale"),
    ),
    "SavedQueryDefinition": record(
        {
            "query": {
                **OBJECT,
                "description": "The parameters of a question, and `analysis_type`.",
                "properties": {"analysis_type": {**STRING, "enum": list(ANALYSES)}},
                "required": ["analysis_type"],
            },
            "refresh_rate": _RATE,
            "metadata": {"description": "Any JSON; kept as it is."},
            "query_name": {
                **STRING,
                "pattern": "^[A-Za-z0-9_-]{1,256}$",
                "description": "Another name than the one in the path renames it.",
            },
        },
        ("query",),
    ),
    "LegacyPut": record(
        {"created": BOOLEAN, "updated": BOOLEAN, "saved_query": ref("SavedQuery")},
        ("created", "updated", "saved_query"),
    ),
}
_SUM: Json = {
    "analysis_type": "sum",
    "event_collection": "purchases",
    "target_property": "price",
    "timeframe": "this_14_days",
}
_REVENUE: Json = {"query": _SUM, "refresh_rate": 14_400, "metadata": {"display_name": "Revenue"}}
_NAMED = {"query_name": "revenue"}


def area(_: Settings) -> Area:
    given = (("POST", f"{PROJECT}/events/purchases", {"price": 7}),)
    return Area(
        "saved queries",
        "Keep questions by name, and have them answered beforehand.",
        (*_operations(SAVED), *_legacy()),
        schemas=_SCHEMAS,
        parameters={"query_name": in_path("query_name", "The saved query's name.", "^[A-Za-z0-9_-]+$")},
        given=given,
    )


def _operations(base: str) -> tuple[Operation, ...]:
    one = f"{base}/{{query_name}}"
    put = Operation(
        "put",
        one,
        "Make or replace a saved query",
        {200: Answer("It was replaced.", ref("SavedQuery")), 201: Answer("It is new.", ref("SavedQuery"))},
        "Replaces everything; what is left out is unset. What only the server writes is ignored.",
        body=ref("SavedQueryDefinition"),
        errors=(409, 413, 415),
        examples=(
            Example(_NAMED, body=_REVENUE, status=201),
            Example(_NAMED, body={**_REVENUE, "query_name": "revenue-14"}, summary="Rename"),
            Example(_NAMED, body=_REVENUE, status=201),
            Example(_NAMED, body={**_REVENUE, "query_name": "revenue-14"}, status=409),
            Example(_NAMED, body={"query": _SUM, "refresh_rate": 60}, status=400),
            Example(_NAMED, body=_REVENUE, key="read", status=401),
        ),
    )
    result = Operation(
        "get",
        f"{one}/result",
        "The result of a saved query",
        {200: Answer("The definition and the result.", ref("SavedResult"), {SCRIPT: {}})},
        "A funnel's `result` holds `result`, `steps` and `actors`. `run_information.stale` says whether "
        "events that the result covers have come since it was computed.",
        parameters=("jsonp",),
        errors=(504,),
        examples=(Example(_NAMED, key="read"), Example(_NAMED, key="write", status=403)),
    )
    shown = Operation(
        "get",
        one,
        "The definition of a saved query",
        ok(ref("SavedQuery"), "The definition."),
        examples=(Example(_NAMED), Example({"query_name": "none"}, status=404)),
    )
    deleted = Operation(
        "delete",
        one,
        "Delete a saved query",
        {204: Answer("It is gone.")},
        examples=(Example({"query_name": "revenue-14"}, status=204), Example(_NAMED, key="read", status=401)),
    )
    listed = Operation(
        "get",
        base,
        "All saved queries",
        ok(listing(ref("SavedQuery")), "By name."),
        examples=(Example(), Example(key="read", status=401)),
    )
    return put, result, shown, listed, deleted


def _legacy() -> tuple[Operation, ...]:
    """The addresses of the first version of the API."""
    one = f"{LEGACY}/{{query_name}}"
    shown = ok(ref("SavedQuery"), "The definition; also with `saved_query_name`.")
    named = {"query_name": "orders"}
    body: Json = {"query": {"analysis_type": "count", "event_collection": "purchases"}}
    answers = {200: Answer("Replaced.", ref("LegacyPut")), 201: Answer("New.", ref("LegacyPut"))}
    return (
        Operation(
            "put",
            one,
            "Make or replace a saved query (old address)",
            answers,
            body=ref("SavedQueryDefinition"),
            errors=(409, 413, 415),
            examples=(Example(named, body=body, status=201),),
        ),
        Operation(
            "get",
            f"{one}/result",
            "The result alone (old address)",
            {200: Answer("The result.", ref("Answer"), {SCRIPT: {}})},
            parameters=("jsonp",),
            errors=(504,),
            examples=(Example(named, key="read"),),
        ),
        Operation("get", one, "A definition (old address)", shown, examples=(Example(named),)),
        Operation(
            "get",
            LEGACY,
            "All saved queries (old address)",
            ok(listing(ref("SavedQuery")), "By name."),
            examples=(Example(),),
        ),
        Operation(
            "delete",
            one,
            "Delete a saved query (old address)",
            {204: Answer("It is gone.")},
            examples=(Example(named, status=204),),
        ),
    )
