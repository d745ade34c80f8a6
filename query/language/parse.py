"""Parses a query's parameters, from JSON or a query string, into ``nodes.ParsedQuery``.

Every query that is accepted can be planned. An invalid parameter raises ``InvalidQuery``, which names it;
no other error is raised. Unknown parameters are refused by ``query.language.parameters`` when a query is
received, and ignored here: definitions stored earlier may have them.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from query.errors import InvalidQuery, QueryLimitExceeded
from query.language.analyses.activity import parse_lifecycle, parse_stickiness
from query.language.analyses.funnel import parse_funnel
from query.language.analyses.metrics import METRICS, parse_analysis, parse_metric
from query.language.analyses.parsing import Parsing
from query.language.analyses.paths import parse_paths
from query.language.analyses.presets import with_preset
from query.language.analyses.retention import parse_retention
from query.language.analyses.sessions import parse_sessions
from query.language.cohorts.naming import FindCohort, NamedCohorts
from query.language.event_sessions.definition import with_sessions
from query.language.fields import (
    missing,
    structured,
    text,
    wrong,
)
from query.language.filters import CODE as FILTER_CODE
from query.language.filters import (
    Check,
    CheckRegex,
    RegexSizes,
    conservative_regex_check,
    is_geo,
)
from query.language.grouping import CODE as GROUP_CODE
from query.language.grouping import parse_limit, parse_order
from query.language.nodes import (
    Analysis,
    BehaviourQuery,
    ExtractionQuery,
    Group,
    Metric,
    MetricQuery,
    ParsedQuery,
    Query,
)
from query.language.parameter_table import (
    EXTRACTION,
    FUNNEL,
    LIFECYCLE,
    MULTI_ANALYSIS,
    PATHS,
    RETENTION,
    SERIES,
    SESSIONS,
    STICKINESS,
    value_of,
)
from query.language.preferences import KEEN, Preferences
from query.language.series.parse import parse_series
from query.limits import Limits

RESULT = "result"
AS_OF = "as_of"

_BEHAVIOUR: Mapping[str, Callable[[Parsing], BehaviourQuery]] = {
    FUNNEL: parse_funnel,
    PATHS: parse_paths,
    RETENTION: parse_retention,
    LIFECYCLE: parse_lifecycle,
    STICKINESS: parse_stickiness,
    SESSIONS: parse_sessions,
}
"""The parser of each question about behaviour."""


def parse(
    analysis_text: str,
    params: Mapping[str, Any],
    *,
    now_us: int,
    limits: Limits,
    check_regex: CheckRegex = conservative_regex_check,
    check: Check = lambda: None,
    preferences: Preferences = KEEN,
    version: str = "",
    find_cohort: FindCohort | None = None,
) -> ParsedQuery:
    """Parses ``params`` for the analysis named ``analysis_text``, with ``now_us`` as the current time.

    ``version`` is what ``as_of`` stands for, which is refused where it is empty.

    ``params`` maps names to JSON values; numbers, booleans and JSON may also be text, as in a query string.
    ``check_regex`` returns the error in a pattern, or None; ``check`` is called between the parts of a long
    query, and may raise. ``preferences`` apply where ``params`` do not override them. ``find_cohort`` finds
    saved cohorts; without it no cohort can be used. Raises InvalidQuery and its subclass QueryLimitExceeded;
    code ResourceNotFoundError for an analysis that does not exist.
    """
    if not isinstance(params, Mapping):
        raise InvalidQuery("A query must be a JSON object of parameters.")
    if not version and params.get(AS_OF) not in (None, ""):
        raise InvalidQuery(
            f"'{AS_OF}' cannot be stored, or stand beside a file: give it when you ask for an answer."
        )
    params = with_preset(analysis_text, params)
    cohorts = None if find_cohort is None else NamedCohorts(find_cohort, preferences)
    preferences = preferences.narrowed(params)
    sizes = RegexSizes(limits.regexes_size_max)
    parsing = with_sessions(Parsing(params, now_us, limits, check_regex, check, sizes, preferences, cohorts))
    query: Query
    if analysis_text == EXTRACTION:
        query = _extraction(parsing)
    elif analysis_text in _BEHAVIOUR:
        query = _BEHAVIOUR[analysis_text](parsing)
    elif analysis_text == MULTI_ANALYSIS:
        query = _multi_analysis(parsing)
    elif analysis_text == SERIES:
        query = parse_series(parsing)
    elif analysis_text in METRICS:
        query = _metric_query(parsing, METRICS[analysis_text])
    else:
        raise InvalidQuery("Resource not found", "ResourceNotFoundError")
    metadata, explain = value_of(params, "include_metadata"), value_of(params, "explain")
    max_age = value_of(params, "max_age")
    used = () if cohorts is None else cohorts.versions
    return ParsedQuery(query, metadata, max_age, preferences, explain, version, now_us, used)


def _metric_query(parsing: Parsing, analysis: Analysis) -> MetricQuery:
    collection = parsing.collection()
    metric = parse_metric(analysis, parsing.params, parsing)
    groups = parsing.groups(parsing.params.get("group_by"))
    if any(group.path == RESULT for group in groups):
        raise InvalidQuery(
            "'group_by' cannot name the property 'result': its rows would have that key twice. "
            "Use a multi_analysis with one analysis.",
            GROUP_CODE,
        )
    return _metrics_query(parsing, collection, (metric,), groups, (RESULT,), multi=False)


def _multi_analysis(parsing: Parsing) -> MetricQuery:
    collection = parsing.collection()
    groups = parsing.groups(parsing.params.get("group_by"))
    metrics = _labelled_metrics(parsing, groups)
    labels = [metric.label for metric in metrics if metric.label is not None]
    return _metrics_query(parsing, collection, metrics, groups, labels, multi=True)


def _metrics_query(
    parsing: Parsing,
    collection: str,
    metrics: tuple[Metric, ...],
    groups: tuple[Group, ...],
    labels: Sequence[str],
    *,
    multi: bool,
) -> MetricQuery:
    params = parsing.params
    filters = parsing.filters(params.get("filters"))
    if groups and any(map(is_geo, filters)):
        raise InvalidQuery("The operator 'within' cannot be used together with 'group_by'.", FILTER_CODE)
    span = parsing.span(params.get("timeframe"), params.get("timezone"))
    buckets = parsing.buckets(span)
    order = parse_order(params.get("order_by"), groups, labels)
    return MetricQuery(
        collection=collection,
        metrics=metrics,
        span=span,
        filters=filters,
        groups=groups,
        buckets=buckets,
        order=order,
        limit=parse_limit(params, order),
        zero_fill=value_of(params, "zero_fill"),
        multi=multi,
    )


def _labelled_metrics(parsing: Parsing, groups: Sequence[Group]) -> tuple[Metric, ...]:
    analyses = structured("analyses", parsing.params.get("analyses"))
    if analyses is None:
        raise missing("analyses")
    if not isinstance(analyses, Mapping) or not analyses:
        raise wrong("analyses", "an object of at least one label and its analysis", analyses)
    if len(analyses) > parsing.limits.analyses_max:
        raise QueryLimitExceeded(f"'analyses' may have at most {parsing.limits.analyses_max} entries.")
    paths = {group.path for group in groups}
    return tuple(_labelled_metric(parsing, label, entry, paths) for label, entry in analyses.items())


def _labelled_metric(parsing: Parsing, label: Any, entry: Any, paths: set[str]) -> Metric:
    label = text("analyses", label, parsing.limits.name_length_max)
    if label == RESULT or label in paths:
        raise wrong("analyses", "an object whose labels are not 'result' and no property of group_by", label)
    where = f"analyses.{label}"
    if not isinstance(entry, Mapping):
        raise wrong(where, "an object with analysis_type and target_property", entry)
    analysis = parse_analysis(entry, where)
    # Timeframe and filters belong to the whole query; ignoring them here would answer a different query.
    if entry.get("timeframe") is not None and parsing.params.get("timeframe") is None:
        raise missing("timeframe", because=f"{where}.timeframe")
    if entry.get("filters"):
        raise InvalidQuery(f"'{where}' cannot have filters of its own: they belong to the whole query.")
    return parse_metric(analysis, entry, parsing, label, f"{where}.")


def _extraction(parsing: Parsing) -> ExtractionQuery:
    params = parsing.params
    collection = parsing.collection()
    for name in ("email", "email_address"):
        if params.get(name):
            raise InvalidQuery(
                f"'{name}' cannot be used here: only an extraction asked for at '/queries/extraction' can "
                "be mailed."
            )
    return ExtractionQuery(
        collection=collection,
        span=parsing.span(params.get("timeframe"), params.get("timezone")),
        filters=parsing.filters(params.get("filters")),
        latest=_latest(params, parsing.limits),
        properties=_property_names(params.get("property_names"), parsing.limits),
    )


def _latest(params: Mapping[str, Any], limits: Limits) -> int | None:
    latest: int | None = value_of(params, "latest")
    if latest is not None and latest > limits.latest_max:
        raise QueryLimitExceeded(
            f"'latest' may be at most {limits.latest_max}. Use a shorter timeframe for each request."
        )
    return latest


def _property_names(value: Any, limits: Limits) -> tuple[str, ...] | None:
    names = structured("property_names", value)
    if names is None or names == []:
        return None
    if isinstance(names, str):
        names = [names]
    if not isinstance(names, list):
        raise wrong("property_names", "a property's name or a list of names", value)
    if len(names) > limits.property_names_max:
        raise QueryLimitExceeded(f"'property_names' may have at most {limits.property_names_max} entries.")
    return tuple(dict.fromkeys(text("property_names", name, limits.name_length_max) for name in names))
