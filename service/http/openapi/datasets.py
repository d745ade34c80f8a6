"""Cached datasets: answers for every value of some properties, computed beforehand."""

from __future__ import annotations

from service.http.openapi.describe import (
    INTEGER,
    OBJECT,
    PROJECT,
    STRING,
    Answer,
    Area,
    Example,
    Operation,
    in_path,
    in_query,
    listing,
    nullable,
    ok,
    record,
    ref,
)
from service.settings import Settings

_QUERY = {
    "analysis_type": "count",
    "event_collection": "purchases",
    "timeframe": "this_500_days",
    "timezone": "US/Pacific",
    "interval": "daily",
    "group_by": "item",
}
_STATUS = {"type": "string", "enum": ["Created", "Bootstrapping", "OK", "BootstrappingFailed", "Warn"]}
_PROPERTIES = {"anyOf": [STRING, listing(STRING)]}
_SCHEMAS = {
    "NewDataset": record(
        {
            "query": {
                **OBJECT,
                "description": "Any analysis but `funnel` and `extraction`, with `analysis_type`, "
                "`timeframe` and `interval`; otherwise as for `/queries`.",
            },
            "index_by": {**_PROPERTIES, "description": "One to three properties."},
            "display_name": STRING,
        },
        ("query", "index_by"),
    ),
    "Dataset": record(
        {
            "warnings": listing(ref("Warning")),
            "project_id": STRING,
            "organization_id": STRING,
            "dataset_name": STRING,
            "display_name": STRING,
            "query": OBJECT,
            "index_by": listing(STRING),
            "last_scheduled_date": STRING,
            "latest_subtimeframe_available": {
                **STRING,
                "description": "The end of the timeframe that was computed; 1970 before the first run.",
            },
            "milliseconds_behind": {
                **INTEGER,
                "description": "How long ago the results were computed: later events may be missing.",
            },
            "status": _STATUS,
            "status_message": {**STRING, "description": "Why the last run failed, where it did."},
        },
        ("project_id", "dataset_name", "query", "index_by", "status"),
    ),
    "Datasets": record(
        {"datasets": listing(ref("Dataset")), "next_page_url": nullable(STRING), "count": INTEGER},
        ("datasets", "next_page_url", "count"),
    ),
    "DatasetResult": record(
        {
            "result": listing(
                record({"timeframe": record({"start": STRING, "end": STRING}), "value": {}}, ("timeframe",))
            ),
            "metadata": record({"dataset": ref("Dataset"), "request": OBJECT}, ("dataset", "request")),
        },
        ("result", "metadata"),
    ),
}
_RESULTS = """\
Rows as of the last run, by the dataset's interval. What was not computed beforehand is asked of the events
themselves: before the first run, after an erasure, for a key with filters, and where the timeframe cuts an
interval of the dataset in two."""


def area(_: Settings) -> Area:
    path = f"{PROJECT}/datasets"
    return Area(
        "datasets",
        "Have answers ready for every value of a property.",
        (
            _create(f"{path}/{{dataset_name}}"),
            _list(path),
            Operation(
                "get",
                f"{path}/{{dataset_name}}",
                "One dataset and how far it is computed",
                ok(ref("Dataset")),
                examples=(Example({"dataset_name": "by-customer"}, key="read"),),
            ),
            _results(f"{path}/{{dataset_name}}/results"),
            Operation(
                "delete",
                f"{path}/{{dataset_name}}",
                "Remove a dataset and its results",
                {204: Answer("It is gone.")},
                examples=(
                    Example({"dataset_name": "by-customer"}, key="read", status=401),
                    Example({"dataset_name": "by-customer"}, status=204),
                    Example({"dataset_name": "by-customer"}, status=404),
                ),
            ),
        ),
        _SCHEMAS,
        {"dataset_name": in_path("dataset_name", "The dataset's name: letters, digits, `-` and `_`.")},
        given=(
            ("POST", f"{PROJECT}/events/purchases", {"item": "tea", "price": 4.5, "customer": {"id": "c1"}}),
        ),
    )


def _create(path: str) -> Operation:
    body = {"query": _QUERY, "index_by": "customer.id", "display_name": "Purchases"}
    bad = {"query": {**_QUERY, "interval": "sometimes"}, "index_by": "customer.id"}
    return Operation(
        "put",
        path,
        "Make a dataset",
        {201: Answer("It is made, and computed soon.", ref("Dataset"))},
        "A dataset is never changed: delete it first, then make another.",
        body=ref("NewDataset"),
        errors=(409, 413, 415),
        examples=(
            Example({"dataset_name": "by-customer"}, body=body, status=201),
            Example({"dataset_name": "by-customer"}, body=body, status=409),
            Example({"dataset_name": "other"}, body=bad, status=400),
            Example({"dataset_name": "other"}, body=body, key="read", status=401),
        ),
    )


def _list(path: str) -> Operation:
    return Operation(
        "get",
        path,
        "The datasets, by name",
        ok(ref("Datasets")),
        parameters=(
            in_query("limit", {"type": "integer", "minimum": 1, "maximum": 100, "default": 10}, "How many."),
            in_query("after_name", STRING, "Only those after this name."),
        ),
        examples=(
            Example(query={"limit": "1"}, key="read"),
            Example(query={"limit": "0"}, key="read", status=400),
            Example(key="write", status=403),
        ),
    )


def _results(path: str) -> Operation:
    index_by = (
        "A value of the property: text as it is or in quotes, or a JSON object or list with a value for each."
    )
    return Operation(
        "get",
        path,
        "What was computed for one value",
        ok(ref("DatasetResult")),
        _RESULTS,
        parameters=(
            {**in_query("index_by", STRING, index_by), "required": True},
            in_query("timeframe", STRING, "A part of the dataset's own; without it, all of that."),
        ),
        errors=(504,),
        examples=(
            Example({"dataset_name": "by-customer"}, query={"index_by": "c1", "timeframe": "this_2_days"}),
            Example(
                {"dataset_name": "by-customer"},
                query={"index_by": '{"customer.id":"c1"}', "timeframe": '"previous_7_days"'},
                key="read",
            ),
            Example(
                {"dataset_name": "by-customer"},
                query={"index_by": "c1", "timeframe": "this_3_years"},
                status=400,
            ),
            Example({"dataset_name": "by-customer"}, query={"index_by": "c1"}, key="write", status=403),
            Example({"dataset_name": "nothing"}, query={"index_by": "c1"}, status=404),
        ),
    )
