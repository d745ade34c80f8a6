"""Extractions that become files."""

from __future__ import annotations

from service.http.openapi.describe import (
    INTEGER,
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
    nullable,
    ok,
    record,
    ref,
)
from service.settings import Settings

_PATH = f"{PROJECT}/extractions"
_ONE = f"{_PATH}/{{job_id}}"
_MOMENT = nullable({**STRING, "format": "date-time"})
_STATE = {**STRING, "enum": ["queued", "running", "done", "failed", "expired"]}
_MAIL = record(
    {
        "state": nullable({**STRING, "enum": ["waiting", "sent", "failed"]}),
        "attempts": INTEGER,
        "message": nullable(STRING),
    }
)
_SCHEMAS: dict[str, Json] = {
    "ExtractionJob": record(
        {
            "id": STRING,
            "url": {**STRING, "description": "Where the job is."},
            "state": _STATE,
            "message": {**nullable(STRING), "description": "Why it failed, or why its file is gone."},
            "event_collection": STRING,
            "content_type": STRING,
            "content_encoding": nullable({**STRING, "enum": ["gzip"]}),
            "created_date": _MOMENT,
            "started_date": _MOMENT,
            "finished_date": _MOMENT,
            "expires_date": {**_MOMENT, "description": "When the file goes, and its link ends."},
            "progress": record({"events": INTEGER, "of": nullable(INTEGER)}, ("events", "of")),
            "bytes": nullable(INTEGER),
            "file_url": {
                **nullable(STRING),
                "description": "Once it is done: the file, for whoever has this address, without a key.",
            },
            "email": {**STRING, "description": "Told to the key that asked, and to the master key."},
            "mail": _MAIL,
        },
        ("id", "url", "state", "event_collection", "content_type", "progress", "file_url"),
    ),
    "ExtractionJobs": record(
        {"extractions": listing(ref("ExtractionJob")), "next_page_url": nullable(STRING)},
        ("extractions", "next_page_url"),
    ),
}
_FILE = {**STRING, "format": "binary"}
_KINDS = (
    "text/csv",
    "application/x-ndjson",
    "application/vnd.apache.parquet",
    "application/gzip",
)


def area(_: Settings) -> Area:
    asked = {"event_collection": "purchases", "delivery": "link", "content_type": "text/csv"}
    return Area(
        "extractions",
        "Get events as a file: ask with `delivery` or `email`, see how far it is, fetch it by a link.",
        (_list(), _show(), _file(), _remove()),
        _SCHEMAS,
        {"job_id": in_path("job_id", "The job's id, as the answer to the extraction has it.")},
        given=(
            ("POST", f"{PROJECT}/events/purchases", {"price": 7}),
            ("POST", f"{PROJECT}/queries/extraction", asked),
        ),
    )


def _list() -> Operation:
    return Operation(
        "get",
        _PATH,
        "The extractions to files, newest first",
        ok(ref("ExtractionJobs")),
        "Of a key that sees part of the events: those that it asked for.",
        parameters=(
            in_query("limit", {**INTEGER, "minimum": 1, "maximum": 100, "default": 100}, "How many."),
            in_query("before", STRING, "Only those asked for before the job with this id."),
        ),
        examples=(
            Example(query={"limit": "10"}, key="read", keep={"job_id": "extractions.0.id"}),
            Example(query={"limit": "0"}, key="read", status=400),
            Example(key="write", status=403),
        ),
    )


def _show() -> Operation:
    return Operation(
        "get",
        _ONE,
        "One extraction, how far it is, and the link to its file",
        ok(ref("ExtractionJob")),
        examples=(
            Example(
                {"job_id": "{job_id}"},
                key="read",
                keep={"expires": "file_url?expires", "signature": "file_url?signature"},
                patient=True,
            ),
            Example({"job_id": "nothing"}, key="read", status=404),
        ),
    )


def _file() -> Operation:
    return Operation(
        "get",
        f"{_ONE}/file",
        "The file, by a signed link",
        {
            200: Answer("The file.", content=dict.fromkeys(_KINDS, _FILE)),
            206: Answer("The part of it that `Range` names.", content=dict.fromkeys(_KINDS, _FILE)),
        },
        "The address is `file_url` of the job, as it is. `HEAD` and a `Range` of bytes are answered.",
        parameters=(
            in_query("expires", STRING, "Of the link."),
            in_query("signature", STRING, "Of the link."),
        ),
        errors=(400, 403, 404, 405, 410, 416, 500, 503),
        examples=(
            Example(
                {"job_id": "{job_id}"}, query={"expires": "{expires}", "signature": "{signature}"}, key=""
            ),
            Example({"job_id": "{job_id}"}, query={"expires": "1", "signature": "0"}, key="", status=403),
        ),
        open=True,
    )


def _remove() -> Operation:
    return Operation(
        "delete",
        _ONE,
        "Cancel an extraction, or remove its file",
        {204: Answer("It is gone, and its link with it.")},
        "For the key that asked for it, and the master key.",
        examples=(
            Example({"job_id": "{job_id}"}, key="read", status=403),
            Example({"job_id": "{job_id}"}, status=204),
            Example({"job_id": "{job_id}"}, status=404),
        ),
    )
