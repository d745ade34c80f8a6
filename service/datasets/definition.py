"""Definitions of cached datasets: read from a request, stored in one normal form, shown in Keen's shape."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import tzinfo
from typing import Any

from query.errors import InvalidQuery
from query.language import parameters, timeframe
from query.language.event_sessions.finding import refuse_sessions
from query.language.fields import encodable, missing, structured, text, within, wrong
from query.language.filters import CheckRegex
from query.language.nodes import ActorIdentity, Buckets, MetricQuery, Span
from query.language.parameter_table import ANALYSES, BEHAVIOURS, EXTRACTION, MULTI_ANALYSIS, SERIES
from query.language.parse import parse
from query.language.preferences import KEEN, Preferences
from query.limits import Limits
from service.errors import InvalidParameter
from storage.catalog.derived.records import Dataset, DatasetStatus
from storage.catalog.tenants.records import Project
from storage.instants import format_instant

INDEX_MAX = 3
"""Maximum number of properties that a dataset may be indexed by."""
FIELDS = (
    "query",
    "index_by",
    "display_name",
    "dataset_name",
    "project_id",
    "organization_id",
    "last_scheduled_date",
    "latest_subtimeframe_available",
    "milliseconds_behind",
    "status",
    "status_message",
    "warnings",
)
"""Fields of a definition. Those that only the server writes are ignored, so that a GET's body can be PUT."""
NAME_LENGTH_MAX = 256
SHOWN_QUERY = ("analysis_type", "interval", "group_by", "timeframe", "timezone")
"""Parameters of the query that an embed token sees."""
_NAME = re.compile(r"[A-Za-z0-9_-]+", re.ASCII)
_KINDS = ANALYSES - BEHAVIOURS - {EXTRACTION, SERIES}
_OPTIONAL = ("order_by", "limit", "zero_fill", "round", "week_start")
"""Stored only where they are given."""


@dataclass(frozen=True, slots=True)
class DatasetDefinition:
    """A dataset's definition.

    ``query`` is in its normal form, as the API shows it but without the project. ``preferred``: preferences
    for parameters that it does not set.
    """

    display_name: str
    index_by: tuple[str, ...]
    query: Mapping[str, Any]
    preferred: Preferences = KEEN

    @property
    def collection(self) -> str:
        name: str = self.query["event_collection"]
        return name

    @property
    def zone(self) -> tzinfo:
        """The time zone in which the dataset's buckets begin."""
        return timeframe.bucket_zone(self.query["timeframe"], self.query["timezone"])

    @property
    def preferences(self) -> Preferences:
        """The preferences by which its answers are computed."""
        return self.preferred.narrowed(self.query)

    def span(self, now_us: int) -> Span:
        """The dataset's timeframe as of now."""
        return self.resolved(self.query["timeframe"], now_us)

    def resolved(self, frame: Any, now_us: int) -> Span:
        """The span of a timeframe in the dataset's time zone and weeks. Raises InvalidQuery."""
        return timeframe.resolve(frame, self.query["timezone"], now_us, self.preferences.week_start)

    def question(
        self, now_us: int, limits: Limits, check_regex: CheckRegex, span: Span | None = None
    ) -> MetricQuery:
        """The query with its buckets, over the whole timeframe or over ``span``. Raises InvalidQuery."""
        parsed = parse(
            self.query["analysis_type"],
            {**self.query, "identity": ActorIdentity.AS_SENT},
            now_us=now_us,
            limits=limits,
            check_regex=check_regex,
            preferences=self.preferred,
        )
        assert isinstance(parsed.query, MetricQuery)
        refuse_sessions(parsed.query, "a cached dataset, whose intervals are computed one after the other")
        if span is None:
            return parsed.query
        return replace(parsed.query, span=span, buckets=self.buckets(span, limits))

    def buckets(self, span: Span, limits: Limits) -> Buckets:
        """Raises InvalidQuery."""
        week_start = self.preferences.week_start
        return timeframe.buckets(span, self.query["interval"], self.zone, limits.intervals_max, week_start)

    def written(self) -> str:
        kept = {"display_name": self.display_name, "index_by": self.index_by, "query": self.query}
        return json.dumps(kept, ensure_ascii=True)


def check_name(name: str) -> None:
    """Raises InvalidParameter."""
    if not _NAME.fullmatch(name) or len(name) > NAME_LENGTH_MAX:
        raise InvalidParameter(
            f"A dataset's name must be 1 to {NAME_LENGTH_MAX} letters, digits, '-' and '_'."
        )


def stored(dataset: Dataset, preferred: Preferences = KEEN) -> DatasetDefinition:
    """The definition read from its stored form."""
    kept = json.loads(dataset.definition)
    return DatasetDefinition(kept["display_name"], tuple(kept["index_by"]), kept["query"], preferred)


def read(
    name: str,
    body: Any,
    now_us: int,
    limits: Limits,
    check_regex: CheckRegex,
    *,
    strict: bool = True,
    preferred: Preferences = KEEN,
) -> DatasetDefinition:
    """The definition in a request's body. ``strict``: unknown fields are refused.

    Raises InvalidParameter and InvalidQuery, which name the field.
    """
    if not isinstance(body, Mapping):
        raise InvalidParameter("The body must be a JSON object with 'query' and 'index_by'.")
    if strict:
        parameters.check_keys(body, FIELDS, "a dataset")
    query = body.get("query")
    if query is None:
        raise missing("query")
    if not isinstance(query, Mapping):
        raise wrong("query", "an object of an analysis's parameters", query)
    index_by = _index_by(body.get("index_by"), limits)
    sent_name = body.get("display_name")
    display_name = name if sent_name is None or sent_name == "" else text("display_name", sent_name, 1_000)
    normalised = _normalised(query)
    if strict:
        parameters.check(normalised["analysis_type"], query, beside=("project_id",))
    definition = DatasetDefinition(display_name, index_by, normalised, preferred)
    with within("query"):
        definition.question(now_us, limits, check_regex)
    return definition


def described(
    project: Project, dataset: Dataset, now_us: int, *, with_filters: bool = True
) -> dict[str, Any]:
    """The dataset as the API shows it; without the filters for callers who see only part of the events."""
    definition = stored(dataset)
    query = dict(definition.query) if with_filters else {**definition.query, "filters": []}
    since_us = dataset.created_us if dataset.through_us is None else dataset.through_us
    return {
        "project_id": project.id,
        "organization_id": project.organisation_id,
        "dataset_name": dataset.name,
        "display_name": definition.display_name,
        "query": {"project_id": project.id, **query},
        "index_by": list(definition.index_by),
        "last_scheduled_date": _shown(dataset.scheduled_us),
        "latest_subtimeframe_available": _shown(dataset.end_us),
        "milliseconds_behind": max(0, now_us - since_us) // 1_000,
        "status": dataset.status.value,
        **_message(dataset, with_filters),
    }


def described_for_viewer(dataset: Dataset) -> dict[str, Any]:
    """What an embed token sees of the dataset: what is needed to draw and to label its results."""
    definition = stored(dataset)
    return {
        "dataset_name": dataset.name,
        "display_name": definition.display_name,
        "query": {name: definition.query.get(name) for name in SHOWN_QUERY},
    }


def _shown(us: int | None) -> str:
    """The instant as text, in whole milliseconds; 1970 for None."""
    return format_instant((us or 0) // 1_000 * 1_000)


def _message(dataset: Dataset, shown: bool) -> dict[str, str]:
    failed = dataset.status in (DatasetStatus.FAILED, DatasetStatus.WARN)
    return {"status_message": dataset.message} if failed and shown and dataset.message else {}


def _index_by(value: Any, limits: Limits) -> tuple[str, ...]:
    value = structured("index_by", value)
    if value is None or value in ("", []):
        raise missing("index_by")
    listed = value if isinstance(value, list) else [value]
    paths = tuple(text("index_by", path, limits.name_length_max) for path in listed)
    if len(paths) > INDEX_MAX or len(set(paths)) < len(paths):
        raise wrong("index_by", f"a property or a list of up to {INDEX_MAX} different ones", value)
    return paths


def _normalised(query: Mapping[str, Any]) -> dict[str, Any]:
    """The parameters of the analysis in their normal form. Most errors are left to ``parse``."""
    kind = query.get("analysis_type")
    if kind is None or kind == "":
        raise missing("query.analysis_type")
    if kind == SERIES:
        raise InvalidQuery(
            "A dataset cannot be of series, which may be of several collections and of other times than the "
            "dataset's. Save the query with a 'refresh_rate' instead."
        )
    if not isinstance(kind, str) or kind not in _KINDS:
        raise wrong("query.analysis_type", f"one of {', '.join(sorted(_KINDS))}", kind)
    if query.get("identity") not in (None, "", ActorIdentity.AS_SENT):
        raise InvalidQuery(
            "'query.identity' must be 'as_sent' in a dataset, whose intervals are computed once: ids that "
            "are linked later would change them. Save the query with a 'refresh_rate' instead."
        )
    for name in ("timeframe", "interval"):
        if query.get(name) in (None, ""):
            raise missing(f"query.{name}")
    normal: dict[str, Any] = {"analysis_type": kind, "event_collection": query.get("event_collection")}
    if kind == MULTI_ANALYSIS:
        normal["analyses"] = _analyses(structured("analyses", query.get("analyses")))
    elif kind != "count":
        normal["target_property"] = query.get("target_property")
    if kind == "percentile":
        normal["percentile"] = query.get("percentile")
    group_by = structured("group_by", query.get("group_by"))
    normal |= {
        "filters": structured("filters", query.get("filters")) or [],
        "timeframe": structured("timeframe", query["timeframe"]),
        "timezone": _given(query, "timezone"),
        "interval": structured("interval", query["interval"]),
        "group_by": [] if group_by is None else group_by if isinstance(group_by, list) else [group_by],
    }
    optional = {name: structured(name, _given(query, name)) for name in _OPTIONAL}
    normal |= {name: value for name, value in optional.items() if value is not None}
    _check_text(normal)
    return normal


def _analyses(given: Any) -> Any:
    if not isinstance(given, Mapping):
        return given
    return {
        label: {"analysis_type": None, "target_property": None, "percentile": None, **entry}
        if isinstance(entry, Mapping)
        else entry
        for label, entry in given.items()
    }


def _given(query: Mapping[str, Any], name: str) -> Any:
    value = query.get(name)
    return None if value == "" else value


def _check_text(value: Any) -> None:
    """Raises InvalidQuery for text without a UTF-8 form, since a definition must be shown again."""
    level = [value]
    while level:
        next_level: list[Any] = []
        for one in level:
            if isinstance(one, str) and not encodable(one):
                raise InvalidQuery("'query' contains a string that is not valid Unicode.")
            if isinstance(one, Mapping):
                next_level += [*one.keys(), *one.values()]
            elif isinstance(one, list):
                next_level += one
        level = next_level
