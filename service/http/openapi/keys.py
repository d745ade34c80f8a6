"""Access keys."""

from __future__ import annotations

from service.auth.access_keys import NAME_LENGTH_MAX, OPERATIONS, PERMITTED, QUOTAS, SECTIONS
from service.http.openapi.describe import (
    BOOLEAN,
    INTEGER,
    OBJECT,
    PROJECT,
    STRING,
    Answer,
    Area,
    Example,
    Json,
    Operation,
    in_path,
    in_query,
    listing,
    mapping,
    nullable,
    ok,
    record,
    ref,
)
from service.limits.quotas import NAMES
from service.settings import Settings

_KEYS = f"{PROJECT}/keys"
_ONE = f"{_KEYS}/{{access_key}}"
_NAMES = nullable(listing(STRING))
_FILTERS = nullable(listing(OBJECT))
_OPTIONS: dict[str, Json] = {
    "saved_queries": record({"allowed": _NAMES, "blocked": _NAMES, "filters": _FILTERS}),
    "writes": record({"autofill": nullable(OBJECT)}),
    "datasets": record(
        {
            "operations": nullable(listing({"type": "string", "enum": list(OPERATIONS)})),
            "allowed": nullable(mapping(nullable(record({"index_by": OBJECT}, ("index_by",))))),
            "blocked": _NAMES,
        }
    ),
    "cached_queries": record({"allowed": _NAMES, "blocked": _NAMES}),
    "queries": record({"filters": _FILTERS, "extraction": nullable(BOOLEAN)}),
    QUOTAS: record(dict.fromkeys(NAMES, INTEGER)),
}
_FIELDS: Json = {
    "name": {"type": "string", "minLength": 1, "maxLength": NAME_LENGTH_MAX},
    "is_active": BOOLEAN,
    "permitted": listing({"type": "string", "enum": list(PERMITTED)}),
    "options": nullable(record({name: nullable(_OPTIONS[name]) for name in (*SECTIONS, QUOTAS)})),
}
_SCHEMAS = {
    "AccessKeyDefinition": record(_FIELDS, ("name", "permitted")),
    "AccessKey": record(
        {**_FIELDS, "key": nullable(STRING), "project_id": STRING},
        ("key", "name", "is_active", "permitted", "options", "project_id"),
    ),
}
_ABOUT = (
    "What a key is permitted to do, narrowed by its options: `writes.autofill` is written into every event "
    "that is sent with it, and wins; `queries.filters` and `saved_queries.filters` hold for all that is "
    "asked with it; `allowed` and `blocked` name saved queries, cached ones and datasets. A list that is "
    "left out leaves nothing out."
)
_SENT: Json = {
    "name": "Dashboard of one customer",
    "permitted": ["queries", "schema"],
    "options": {
        "queries": {"filters": [{"property_name": "customer.id", "operator": "eq", "property_value": "c1"}]}
    },
}


def area(_: Settings) -> Area:
    mine = {"access_key": "{made_key}"}
    told = ok(ref("AccessKey"), "The key.")
    operations = (
        Operation(
            "post",
            _KEYS,
            "Make an access key",
            {201: Answer("The key.", ref("AccessKey"))},
            _ABOUT,
            body=ref("AccessKeyDefinition"),
            errors=(413, 415),
            examples=(
                Example(body=_SENT, status=201, keep={"made_key": "key"}),
                Example(body={"name": "x", "permitted": ["all"]}, status=400),
                Example(body=_SENT, key="read", status=401),
            ),
        ),
        Operation(
            "get",
            _KEYS,
            "The project's access keys, oldest first",
            ok(listing(ref("AccessKey")), "The keys."),
            parameters=(
                in_query("name", STRING, "Only keys of this very name."),
                in_query(
                    "page", {**INTEGER, "minimum": 1, "maximum": 1_000_000, "default": 1}, "Which page."
                ),
                in_query("per_page", {**INTEGER, "minimum": 1, "maximum": 200}, "Keys on a page."),
            ),
            examples=(Example(query={"name": "Dashboard of one customer"}),),
        ),
        Operation("get", _ONE, "One access key", told, examples=(Example(mine),)),
        Operation(
            "post",
            _ONE,
            "Replace name, rights and options of an access key",
            told,
            body=ref("AccessKeyDefinition"),
            errors=(413, 415),
            examples=(Example(mine, body={**_SENT, "name": "Renamed"}),),
        ),
        Operation("post", f"{_ONE}/revoke", "Revoke an access key", told, examples=(Example(mine),)),
        Operation("post", f"{_ONE}/unrevoke", "Let a key live again", told, examples=(Example(mine),)),
        Operation(
            "delete",
            _ONE,
            "Delete an access key for ever",
            {204: Answer("It is gone.")},
            examples=(Example(mine, status=204), Example(mine, status=404)),
        ),
    )
    parameters = {"access_key": in_path("access_key", "The access key.")}
    return Area("keys", "Keys of your own making.", operations, _SCHEMAS, parameters)
