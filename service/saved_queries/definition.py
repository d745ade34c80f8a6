"""Definitions of saved queries: read from requests, and shown in answers."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

from query.errors import InvalidQuery
from query.language.fields import is_deeper, missing, whole, within, wrong
from query.language.normal_form import analysis_of, normalised, without_filters
from query.language.parameter_table import EXTRACTION, FUNNEL
from query.language.parameters import check_keys
from service.api_paths import url_of
from service.auth.embed_conditions import Viewer
from storage.catalog.derived.records import SavedQuery, SavedRun

Json = dict[str, Any]
Judge = Callable[[str, Mapping[str, Any]], object]
"""Parses the parameters of an analysis. Raises InvalidQuery."""

FIELDS = (
    "query",
    "query_name",
    "refresh_rate",
    "metadata",
    "run_information",
    "created_date",
    "last_modified_date",
    "user_last_modified_date",
    "urls",
    "result",
    "warnings",
    "saved_query_name",
)
"""Fields of a definition. Those that only the server writes are ignored, so that a GET's body can be PUT."""
NAME_LENGTH_MAX = 256
NAME_NEEDS = f"1 to {NAME_LENGTH_MAX} of the characters A-Z, a-z, 0-9, _ and -"
REFRESH_SECONDS_MIN = 14_400
REFRESH_SECONDS_MAX = 172_800
DEFINITION_BYTES_MAX = 1_000_000
DEPTH_MAX = 200
RETRY_SECONDS = 60
RETRY_SECONDS_MAX = 3_600
SHOWN_METADATA = ("display_name", "visualization")
"""Fields of the metadata that a client needs to display a result."""
SHOWN_QUERY = ("analysis_type", "interval", "group_by", "timeframe", "timezone")
"""Parameters of the query that an embed token sees."""
KEPT_BESIDE = ("compare", "completeness", "summary", "erased_since")
"""Fields of an answer that are kept beside its ``result``."""
_SHOWN_STEP = ("event_collection", "optional", "inverted", "timeframe", "timezone")

_NAME = re.compile(rf"[A-Za-z0-9_-]{{1,{NAME_LENGTH_MAX}}}", re.ASCII)
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_SECOND_US = 1_000_000


@dataclass(frozen=True, slots=True)
class SentDefinition:
    """A definition to be stored; ``query`` and ``metadata`` are JSON."""

    name: str
    query: str
    metadata: str
    refresh_rate: int


def is_name(name: str) -> bool:
    return _NAME.fullmatch(name) is not None


def read(name: str, body: Any, judge: Judge, *, strict: bool = True) -> SentDefinition:
    """The definition in the body of a PUT to ``name``. Raises InvalidQuery, naming the field.

    ``strict``: unknown fields are refused.

    Fields that only the server writes (dates, ``urls``, ``run_information``) are ignored, as are null
    parameters.
    """
    if not isinstance(body, Mapping):
        raise InvalidQuery("A saved query must be a JSON object with 'query'.")
    if strict:
        check_keys(body, FIELDS, "a saved query")
    new_name = body.get("query_name")
    new_name = name if new_name is None else new_name
    for field, value in (("the name in the path", name), ("query_name", new_name)):
        if not isinstance(value, str) or not is_name(value):
            raise wrong(field, NAME_NEEDS, value)
    query = body.get("query")
    if query is None:
        raise missing("query")
    if not isinstance(query, Mapping):
        raise wrong("query", "an object of parameters", query)
    analysis = analysis_of(query)
    _check_depth("query", query)
    with within("query"):
        judge(analysis, query)
    rate = _refresh_rate(body.get("refresh_rate"), analysis)
    metadata = body.get("metadata")
    _check_depth("metadata", metadata)
    return SentDefinition(
        new_name, _json_text("query", normalised(query)), _json_text("metadata", metadata), rate
    )


def described(
    query: SavedQuery, run: SavedRun | None = None, stale: bool | None = None, *, narrowed: bool = False
) -> Json:
    """The definition as the API shows it.

    ``narrowed`` is for a key that sees part of the events: neither the values in the query's filters nor free
    text are shown to it. ``run`` must be one under that key's filters, or None.
    """
    definition, metadata = json.loads(query.query), json.loads(query.metadata)
    if narrowed:
        definition = without_filters(definition)
        metadata = _shown_metadata(metadata)
    modified = moment_text(query.modified_us)
    url = url_of(query.project_id, "queries", "saved", query.name)
    return {
        "query_name": query.name,
        "refresh_rate": query.refresh_rate,
        "query": definition,
        "metadata": metadata,
        "run_information": None if run is None else _run_information(query, run, stale, narrowed=narrowed),
        "created_date": moment_text(query.created_us),
        "last_modified_date": modified,
        "user_last_modified_date": modified,
        "urls": {"cached_query_url": url, "cached_query_results_url": f"{url}/result"},
    }


def described_for_viewer(query: SavedQuery) -> Json:
    """What an embed token sees of the definition: what is needed to draw and to label the result."""
    definition, metadata = json.loads(query.query), json.loads(query.metadata)
    return {
        "query_name": query.name,
        "query": {name: definition.get(name) for name in SHOWN_QUERY},
        "metadata": _shown_metadata(metadata),
    }


def with_viewer(answer: bytes, viewer: Viewer) -> bytes:
    """The answer to an embed token with what its viewers may change: kept answers serve many tokens."""
    told = {
        "timeframe": viewer.timeframe,
        "interval": viewer.interval,
        "filters": sorted(viewer.filters),
    }
    return b"".join((b'{"viewer":', dumped(told), b",", answer[1:]))


def _shown_metadata(metadata: Any) -> Json | None:
    shown = metadata if isinstance(metadata, dict) else {}
    return {name: shown[name] for name in SHOWN_METADATA if name in shown} or None


def legacy(definition: Json, project_id: str) -> Json:
    """The definition with the field names of the API's first version added."""
    name = definition["query_name"]
    url = url_of(project_id, "saved_queries", name)
    urls = {**definition["urls"], "saved_query_url": url, "saved_query_results_url": f"{url}/result"}
    return {**definition, "saved_query_name": name, "urls": urls}


def with_result(definition: Json, result: bytes) -> bytes:
    """The definition as JSON, with ``result``, which is JSON already, as its last field."""
    return b"".join((dumped(definition)[:-1], b',"result":', result, b"}"))


def dumped(value: Any) -> bytes:
    """ASCII JSON of any parsed JSON, including integers of any size and lone surrogates."""
    return json.dumps(value, separators=(",", ":"), allow_nan=False).encode()


def next_run_us(query: SavedQuery, run: SavedRun) -> int:
    """When the next run is due: a failed run is repeated earlier than a successful one."""
    seconds = query.refresh_rate
    if run.failures:
        seconds = min(seconds, RETRY_SECONDS_MAX, RETRY_SECONDS << min(run.failures - 1, 10))
    return run.run_us + seconds * _SECOND_US


def analysis_type(query: SavedQuery) -> str:
    return str(json.loads(query.query)["analysis_type"])


_NAMING_ACTORS = ("dropped", "actor")
"""The parts of a funnel's answer that name actors, in addition to ``actors``."""


def funnel_for_viewer(result: Json) -> Json:
    """A funnel's result as an embed token sees it: no actors, and of each step what labels it."""
    steps = [{name: step[name] for name in _SHOWN_STEP if name in step} for step in result["steps"]]
    shown = {name: value for name, value in result.items() if name not in _NAMING_ACTORS}
    return {**shown, "steps": steps, "actors": None}


def is_funnel(analysis: str) -> bool:
    """Whether it is a funnel, whose saved ``result`` holds the top-level fields of an ad-hoc answer."""
    return analysis == FUNNEL


def moment_text(us: int) -> str:
    return (_EPOCH + timedelta(microseconds=us)).isoformat(timespec="microseconds")


def moment_or_none(us: int | None) -> str | None:
    return None if us is None else moment_text(us)


def _run_information(query: SavedQuery, run: SavedRun, stale: bool | None, *, narrowed: bool) -> Json:
    result = run.result
    return {
        "last_run_date": moment_text(run.run_us),
        "last_run_status": "success" if run.failure is None else "failed",
        # The message may quote values of the query's filters.
        "last_run_message": None if narrowed else run.failure,
        "duration_ms": round(run.duration_us / 1_000, 3),
        "events_scanned": None if result is None else result.events,
        "data_through": None if result is None else moment_text(result.asked_us),
        "stale": None if result is None else stale,
        "next_run_date": moment_text(next_run_us(query, run)) if query.refresh_rate else None,
    }


def _refresh_rate(value: Any, analysis: str) -> int:
    if value is None:
        return 0
    rate = whole("refresh_rate", value, 0)
    if rate and not REFRESH_SECONDS_MIN <= rate <= REFRESH_SECONDS_MAX:
        needs = f"0 or a number of seconds from {REFRESH_SECONDS_MIN} to {REFRESH_SECONDS_MAX}"
        raise wrong("refresh_rate", needs, value)
    if rate and analysis == EXTRACTION:
        raise wrong("refresh_rate", "0 for an extraction, whose result is never kept", value)
    return rate


def _check_depth(name: str, value: Any) -> None:
    if is_deeper(value, DEPTH_MAX):
        raise InvalidQuery(f"'{name}' is nested more than {DEPTH_MAX} levels deep.")


def _json_text(name: str, value: Any) -> str:
    try:
        text = dumped(value)
    except ValueError:
        raise InvalidQuery(f"'{name}' holds a number that is too large.") from None
    if len(text) > DEFINITION_BYTES_MAX:
        raise InvalidQuery(
            f"'{name}' has {len(text):,} bytes as JSON, more than {DEFINITION_BYTES_MAX:,}.",
            "QueryLimitError",
        )
    return text.decode()
