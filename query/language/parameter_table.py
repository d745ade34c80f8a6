"""The single table of query parameters: name, JSON schema, description, and the analyses that take each.

It is the source of the names and types that parsing uses, the hints for misspelt names, the schema of the
query routes and the tables of docs/queries.md, which ``python -m query.language.parameter_table`` prints. A
new parameter is one entry of ``TABLE`` and is read in ``query.language.parse``.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

from query.language.analyses.behaviour_nodes import Counting, EqualTimes, FunnelAttribution, FunnelOrder
from query.language.analyses.presets import COUNTING, Preset
from query.language.analyses.retention_nodes import Cohort, FirstIn, PeriodType, ReturnOn
from query.language.analyses.sequence_nodes import Attribution, Cut, PathCounting
from query.language.calendar import Unit, WeekStart
from query.language.fields import flag, whole, wrong
from query.language.nodes import ActorIdentity, Analysis, Operator, SessionProperty
from query.language.preferences import DECIMALS_MAX, UNROUNDED

Json = dict[str, Any]

EXTRACTION = "extraction"
FUNNEL = "funnel"
RETENTION = "retention"
LIFECYCLE = "lifecycle"
STICKINESS = "stickiness"
MULTI_ANALYSIS = "multi_analysis"
SERIES = "series"
PATHS = "paths"
SESSIONS = "sessions"
SESSION = "session"
"""The parameter that says what the sessions are whose properties filters and groups name."""
ANALYSIS_NAMES = (
    *(analysis.value for analysis in Analysis),
    EXTRACTION,
    FUNNEL,
    RETENTION,
    LIFECYCLE,
    STICKINESS,
    MULTI_ANALYSIS,
    SERIES,
    SESSIONS,
    PATHS,
)
"""In the order of the documentation."""
ANALYSES = frozenset(ANALYSIS_NAMES)
BEHAVIOURS = frozenset({FUNNEL, RETENTION, LIFECYCLE, STICKINESS, SESSIONS, PATHS})
"""The analyses of what actors do."""
METRICS = frozenset(analysis.value for analysis in Analysis)
"""The analyses that a multi-analysis may contain."""
ARRANGED = METRICS | {MULTI_ANALYSIS, SERIES, SESSIONS}
"""The analyses whose answers have groups and intervals."""
TARGETED = METRICS - {Analysis.COUNT.value}
"""The analyses that need a target property."""

MAX_AGE_SECONDS_MAX = 129_600
"""The greatest value of the parameter ``max_age``."""


class Spelling(StrEnum):
    """How a value is written in a query string."""

    WORD = "word"
    """Plain text, taken as it is."""
    EITHER = "either"
    """Plain text, or JSON where it begins like a list, an object or a quoted string."""
    JSON = "json"
    """Always JSON."""


@dataclass(frozen=True, slots=True)
class Parameter:
    """One parameter of queries.

    ``schema`` is JSON Schema, with names of ``SCHEMAS`` as OpenAPI component references. ``repeated``: it may
    appear several times in a query string, or as ``name[]``, and is then a list.
    """

    name: str
    schema: Json
    description: str
    analyses: frozenset[str] = ANALYSES
    spelling: Spelling = Spelling.WORD
    repeated: bool = False
    required: bool = False
    optional_in: frozenset[str] = frozenset()
    """The analyses that take it and do not require it."""
    default: Any = None
    """The value used where it is absent, null or empty."""
    ours: bool = False
    """Keen had none of this name, so that analyses that do not take it refuse it."""
    funnels_with_order: bool = False
    """Funnels take it beside an ``order`` only; otherwise it has no effect on them, as in Keen."""

    def required_in(self, analysis: str) -> bool:
        return self.required and analysis not in self.optional_in

    @property
    def documented(self) -> Json:
        """The schema with the description and the default."""
        default = {} if self.default is None else {"default": self.default}
        return {**self.schema, **default, "description": self.description}


def ref(name: str) -> Json:
    return {"$ref": f"#/components/schemas/{name}"}


def listing(schema: Json) -> Json:
    return {"type": "array", "items": schema}


def record(properties: Json, *required: str) -> Json:
    return {"type": "object", "properties": properties, "required": list(required)}


def _one_or_list(*schemas: Json) -> Json:
    return {"anyOf": [*schemas, listing({"anyOf": list(schemas)} if len(schemas) > 1 else schemas[0])]}


_UNITS = f"({'|'.join(unit.value for unit in Unit)})"
_TEXT: Json = {"type": "string"}
_NAME: Json = {"type": "string", "minLength": 1}
_NUMBER: Json = {"type": "number"}
_BOOLEAN: Json = {"type": "boolean"}
_COUNT: Json = {"type": "integer", "minimum": 1}
_RELATIVE: Json = {
    "type": "string",
    "pattern": f"^(today|yesterday|(this|previous|last)_([1-9][0-9]{{0,8}}_{_UNITS}s?|{_UNITS}))$",
}
_INTERVAL: Json = {
    "type": "string",
    "pattern": f"^((minute|hour|week|month|year)ly|daily|every_[1-9][0-9]{{0,8}}_{_UNITS}s?)$",
}
TIMEZONE: Json = {"anyOf": [_TEXT, {"type": "integer"}]}
WEEK_START: Json = {"type": "string", "enum": [day.value for day in WeekStart]}
ACTOR: Json = {**_NAME}
"""A path. A list of one is accepted too, as Keen's answers had it."""
ROUND: Json = {"anyOf": [{"type": "integer", "minimum": 0, "maximum": DECIMALS_MAX}, {"const": UNROUNDED}]}

LENGTH_PATTERN = "^[1-9][0-9]{0,8}_(minute|hour|day|week)s?$"
LENGTH: Json = {"type": "string", "pattern": LENGTH_PATTERN}
"""A length of time, as ``7_days``."""
SPAN = record({"start": _TEXT, "end": _TEXT})
BUCKETS = record({"size": {"type": "number", "exclusiveMinimum": 0}}, "size")
RANGE = record({"from": _NUMBER, "to": _NUMBER, "label": _TEXT})
SESSION_PROPERTY: Json = {"type": "string", "enum": [one.value for one in SessionProperty]}
CONDITION = record(
    {
        "property_name": {**_NAME, "description": "May be left out with a cohort, which has a property."},
        "session": {
            **SESSION_PROPERTY,
            "description": "In place of `property_name`: a property of the event's session.",
        },
        "operator": {"type": "string", "enum": [operator.value for operator in Operator]},
        "property_value": {
            "description": "Any JSON; with `within` a `Circle`, with `in_cohort` and `not_in_cohort` "
            "the name of a cohort or its definition."
        },
        "cohort": {**_NAME, "description": "With `in_group`: as in `group_by`."},
        "alias": {**_NAME, "description": "With `in_group`: as in `group_by`."},
        "buckets": {**BUCKETS, "description": "With `in_group`: as in `group_by`."},
        "ranges": {**listing(RANGE), "description": "With `in_group`: as in `group_by`."},
    },
    "operator",
)
EITHER_OF = record({"operator": {"const": "or"}, "operands": listing(ref("Filter"))}, "operator", "operands")
CIRCLE = record(
    {
        "coordinates": {
            **listing(_NUMBER),
            "minItems": 2,
            "maxItems": 2,
            "description": "Longitude, latitude.",
        },
        "max_distance_miles": _NUMBER,
    },
    "coordinates",
    "max_distance_miles",
)
GROUP = record(
    {
        "property_name": _NAME,
        "session": {
            **SESSION_PROPERTY,
            "description": "In place of `property_name`: a property of the event's session.",
        },
        "buckets": BUCKETS,
        "ranges": listing(RANGE),
        "cohort": {**_NAME, "description": "The name of a cohort: groups of those in it and those outside."},
        "alias": {
            **_NAME,
            "description": "What the answer calls the group by a cohort; its name.",
        },
    }
)
ORDER = record(
    {"property_name": _NAME, "direction": {"type": "string", "enum": ["ASC", "DESC"], "default": "ASC"}},
    "property_name",
)
MEMBER = record(
    {
        "analysis_type": {"type": "string", "enum": [analysis.value for analysis in Analysis]},
        "target_property": _NAME,
        "percentile": _NUMBER,
        "round": ROUND,
    },
    "analysis_type",
)
STEP = record(
    {
        "event_collection": {**_NAME, "description": "Whose events."},
        "actor_property": {**ACTOR, "description": "What identifies an actor, as a dotted path."},
        "timeframe": ref("Timeframe"),
        "timezone": TIMEZONE,
        "week_start": WEEK_START,
        "filters": listing(ref("Filter")),
        "inverted": {
            **_BOOLEAN,
            "description": "Keeps the actors that did not do it; not on the first step.",
        },
        "optional": {**_BOOLEAN, "description": "Counted, but no actor drops out; not on the first step."},
        "with_actors": {**_BOOLEAN, "description": "The answer names this step's actors."},
        "with_dropped": {
            **_BOOLEAN,
            "description": "The answer names the actors of the step before that did not do this one; needs "
            "an `order`.",
        },
        "min_gap": {**LENGTH, "description": "The least time after the step before; needs an `order`."},
        "max_gap": {**LENGTH, "description": "The longest time after the step before; needs an `order`."},
    },
    "event_collection",
)
ONE_SERIES = record(
    {
        "event_collection": _NAME,
        "analysis_type": {
            "type": "string",
            "enum": [analysis.value for analysis in Analysis if analysis is not Analysis.SELECT_UNIQUE],
        },
        "target_property": _NAME,
        "percentile": _NUMBER,
        "filters": listing(ref("Filter")),
        "group_by": {
            **_one_or_list(_TEXT, ref("Group")),
            "description": "What this collection calls the properties of the question's `group_by`.",
        },
        "round": ROUND,
    },
    "event_collection",
    "analysis_type",
)
COMPLETENESS = record(
    {
        "intervals": {
            **_COUNT,
            "default": 28,
            "description": "By how many intervals before each one it is judged.",
        }
    }
)
TOP = record(
    {
        "limit": {**_COUNT, "description": "How many groups."},
        "by": {**_NAME, "description": "By the values of which series or formula; by default the first."},
        "other": {
            "anyOf": [_BOOLEAN, _TEXT],
            "default": False,
            "description": "Whether a row is of all other groups, or what it is called.",
        },
    },
    "limit",
)
_EVENT: Json = {
    "event_collection": {**_NAME, "description": "Whose events."},
    "actor_property": {**ACTOR, "description": "What identifies an actor, as a dotted path."},
    "filters": {**listing(ref("Filter")), "description": "Beside those of the whole question."},
}
EVENT = record(_EVENT, "event_collection")
EVENTS = record(
    {
        **_EVENT,
        "name": {**_NAME, "description": "In paths: what its events are called, in place of the collection."},
        "by": {**_NAME, "description": "In paths: the property by whose value they are called instead."},
    },
    "event_collection",
)
SESSION_RECORD = record(
    {
        "events": {
            **listing(ref("Event")),
            "description": "The events that sessions are made of; if absent, all of the collections that the "
            "question reads.",
        },
        "actor_property": {
            **ACTOR,
            "description": "What identifies an actor; else as in the question.",
        },
        "gap": {
            **LENGTH,
            "default": "30_minutes",
            "description": "A session ends where the actor's next event comes more than this later.",
        },
        "longest": {**LENGTH, "description": "The longest time from a session's first event to its last."},
        "cut": {
            "type": "string",
            "enum": [cut.value for cut in Cut],
            "description": "`daily`: a session ends at midnight too.",
        },
        "timezone": {
            "anyOf": TIMEZONE["anyOf"],
            "description": "Of midnight; if absent, as in the question.",
        },
        "page_property": {
            **_NAME,
            "description": "The property whose values at the first and last event are `entry` and `exit`.",
        },
    }
)
EXCLUSION = record(
    {
        "event_collection": {**_NAME, "description": "Whose events."},
        "actor_property": {**ACTOR, "description": "What identifies an actor, as a dotted path."},
        "timeframe": ref("Timeframe"),
        "timezone": TIMEZONE,
        "filters": listing(ref("Filter")),
        "after_step": {**_COUNT, "description": "The number of a step, from 1, which is the default."},
        "before_step": {**_COUNT, "description": "The number of a step; by default of the last one."},
    },
    "event_collection",
)
TIMES = record(
    {
        "percentiles": {**listing(_NUMBER), "description": "By default 25, 50, 75, 90, 95."},
        "histogram": {**listing(_NUMBER), "description": "The edges, in seconds."},
    }
)
RENAME = record({"match": _NAME, "as": _NAME}, "match", "as")
SCHEMAS: Mapping[str, Json] = {
    "Timeframe": {"anyOf": [_RELATIVE, SPAN]},
    "Filter": {"anyOf": [CONDITION, EITHER_OF]},
    "Circle": CIRCLE,
    "Group": GROUP,
    "Order": ORDER,
    "Analysis": MEMBER,
    "Step": STEP,
    "Series": ONE_SERIES,
    "Top": TOP,
    "Completeness": COMPLETENESS,
    "Event": EVENT,
    "Events": EVENTS,
    "Rename": RENAME,
    "Exclusion": EXCLUSION,
    "Session": SESSION_RECORD,
}
"""The schemas of objects within parameters, by the names that references use."""

_OF_EXTRACTIONS = frozenset({EXTRACTION})
_OF_SERIES = frozenset({SERIES})
_OF_UNIQUES = frozenset({Analysis.COUNT_UNIQUE.value, Analysis.SELECT_UNIQUE.value, MULTI_ANALYSIS, SERIES})
_LABELS = _one_or_list(_NAME)
_OF_FUNNELS = frozenset({FUNNEL})
_COUNTINGS: tuple[type[StrEnum], ...] = (Counting, PathCounting, Preset)
_ATTRIBUTIONS = (FunnelAttribution, Attribution)
_OF_SESSIONS = frozenset({SESSIONS})
_OF_PATHS = frozenset({PATHS})
DEPTH_MIN = 2
PERCENTILE_MEASURE = "duration_p(100|[1-9]?[0-9](?:[.][0-9]{1,2})?)"
"""A measure of sessions: this percentile of their durations."""
DEFAULT_GAP = "30_minutes"
_OF_RETENTION = frozenset({RETENTION})
_OF_LIFECYCLE = frozenset({LIFECYCLE})
_OF_STICKINESS = frozenset({STICKINESS})
_OF_EVENTS = _OF_SESSIONS | _OF_PATHS | _OF_LIFECYCLE | _OF_STICKINESS
MONTH_DAYS = (28, 30)
"""How many days a month may have in stickiness."""
TABLE = (
    Parameter(
        "event_collection",
        _NAME,
        "The collection to query.",
        ANALYSES - {FUNNEL, RETENTION, SERIES},
        required=True,
        optional_in=_OF_EVENTS,
    ),
    Parameter(
        "target_property",
        _NAME,
        "The property to analyse, as a dotted path: `user.id`.",
        TARGETED,
        required=True,
    ),
    Parameter(
        "percentile",
        {"type": "number", "exclusiveMinimum": 0, "maximum": 100},
        "Which percentile, by nearest rank; at most two decimals.",
        frozenset({Analysis.PERCENTILE.value}),
        required=True,
    ),
    Parameter(
        "analyses",
        {"type": "object", "additionalProperties": ref("Analysis"), "minProperties": 1},
        "Label → analysis; the labels are keys of the answer.",
        frozenset({MULTI_ANALYSIS}),
        Spelling.JSON,
        required=True,
    ),
    Parameter(
        "steps",
        {**listing(ref("Step")), "minItems": 1, "maxItems": 20},
        "The steps. Each counts the actors of the steps before it that did this too; `order` "
        "says whether in time as well.",
        frozenset({FUNNEL}),
        Spelling.JSON,
        required=True,
    ),
    Parameter(
        "series",
        {"type": "object", "additionalProperties": ref("Series"), "minProperties": 1},
        "Name → question; the names are keys of the answer.",
        _OF_SERIES,
        Spelling.JSON,
        required=True,
        ours=True,
    ),
    Parameter(
        "formulas",
        {"type": "object", "additionalProperties": _NAME},
        "Name → formula of series and other formulas: `revenue / visitors`.",
        _OF_SERIES,
        Spelling.JSON,
        ours=True,
    ),
    Parameter(
        "compare",
        {"anyOf": [{"enum": ["previous_period", "previous_year", "same_weekdays"]}, ref("Timeframe")]},
        "What each value is compared with: the period before, the same dates a year before, the same "
        "weekdays before, or a timeframe.",
        _OF_SERIES,
        Spelling.EITHER,
        ours=True,
    ),
    Parameter(
        "cumulative",
        _LABELS,
        "Series and formulas that are also computed from the timeframe's start to each interval's end.",
        _OF_SERIES,
        Spelling.EITHER,
        repeated=True,
        ours=True,
    ),
    Parameter(
        "rolling",
        {"type": "object", "additionalProperties": _COUNT},
        "Series or formula → number of intervals over which it is also computed, ending with each interval.",
        _OF_SERIES,
        Spelling.JSON,
        ours=True,
    ),
    Parameter(
        "share",
        _LABELS,
        "Series and formulas of which each value is also told in per cent of the total.",
        _OF_SERIES,
        Spelling.EITHER,
        repeated=True,
        ours=True,
    ),
    Parameter(
        "top",
        ref("Top"),
        "Only the first groups of the whole timeframe, by a series or formula; `other` adds a row of all "
        "others.",
        _OF_SERIES,
        Spelling.JSON,
        ours=True,
    ),
    Parameter(
        "fill",
        {"enum": [0, None, "null", "previous"]},
        "What stands where a series has no data: `0`, `null`, or the `previous` interval's value; if absent, "
        "what its analysis answers of no events.",
        _OF_SERIES,
        ours=True,
    ),
    Parameter(
        "completeness",
        {"anyOf": [_BOOLEAN, ref("Completeness")]},
        "Whether to add how much of the newest intervals has arrived, by how late the events of earlier ones "
        "were.",
        _OF_SERIES,
        Spelling.EITHER,
        ours=True,
    ),
    Parameter(
        "show",
        _LABELS,
        "The series, formulas and what is computed of them that the answer has; if absent, all.",
        _OF_SERIES,
        Spelling.EITHER,
        repeated=True,
        ours=True,
    ),
    Parameter(
        "order",
        {"type": "string", "enum": [order.value for order in FunnelOrder]},
        "Whether the steps follow each other in time: `any`: they need not; `ordered`: each is later than "
        "the one before; `strict`: and no event of another step lies between.",
        _OF_FUNNELS,
        default=FunnelOrder.ANY.value,
        ours=True,
    ),
    Parameter(
        "window",
        LENGTH,
        "With an `order`: the longest time from the first step to the last one, as `30_minutes`, `36_hours` "
        "or `7_days`; a day has 24 hours. Of paths: the longest time from the event at one end.",
        _OF_FUNNELS | frozenset({PATHS}),
        ours=True,
    ),
    Parameter(
        "equal_times",
        {"type": "string", "enum": [times.value for times in EqualTimes]},
        "With an `order`: whether events of one time follow each other: `in_order`: as the steps do; "
        "`apart`: they do not.",
        _OF_FUNNELS,
        default=EqualTimes.IN_ORDER.value,
        ours=True,
    ),
    Parameter(
        "exclusions",
        listing(ref("Exclusion")),
        "With an `order`: events of which none may lie between two steps.",
        _OF_FUNNELS,
        Spelling.JSON,
        ours=True,
    ),
    Parameter(
        "hold",
        _TEXT,
        "With an `order`: a property that has the same value in all steps of an actor.",
        _OF_FUNNELS,
        ours=True,
    ),
    Parameter(
        "attribution",
        {
            "anyOf": [
                {"type": "string", "enum": [one.value for kind in _ATTRIBUTIONS for one in kind]},
                _COUNT,
            ]
        },
        "With `group_by`: which event says the group: of a funnel's steps the `first`, the `last` that was "
        "reached, or a number from 1, by default the first; of a session `entry` or `exit`, by default the "
        "entry.",
        _OF_FUNNELS | _OF_SESSIONS,
        Spelling.EITHER,
        ours=True,
    ),
    Parameter(
        COUNTING,
        {"type": "string", "enum": list(dict.fromkeys(one.value for kind in _COUNTINGS for one in kind))},
        "What a number counts: `actors`; `sessions`; of a funnel with an `order` `conversions`, of which an "
        "actor may have several, one after the other; of paths `occurrences` of the event that `from` or "
        "`to` names. Of funnels, retention and sessions it may also name a service whose defaults to count "
        "by; by default `actors`.",
        _OF_FUNNELS | _OF_PATHS | _OF_RETENTION | _OF_SESSIONS,
        ours=True,
    ),
    Parameter(
        "session_gap",
        LENGTH,
        "With counting `sessions`: the time without an event of the funnel after which another session "
        f"begins; if absent, `{DEFAULT_GAP}`.",
        _OF_FUNNELS,
        ours=True,
    ),
    Parameter(
        "times",
        {"anyOf": [_BOOLEAN, TIMES]},
        "With an `order`: whether to add how long the steps took: percentiles and a histogram.",
        _OF_FUNNELS,
        Spelling.EITHER,
        ours=True,
    ),
    Parameter(
        "explain_actor",
        {"anyOf": [_TEXT, _NUMBER, _BOOLEAN]},
        "With an `order`: an actor whose events to list: which of them counted, and why no other step did.",
        _OF_FUNNELS,
        Spelling.EITHER,
        ours=True,
    ),
    Parameter(
        "actor_property",
        ACTOR,
        "What identifies an actor, as a dotted path: `user.id`; if absent, the project's preference.",
        BEHAVIOURS,
        Spelling.EITHER,
        ours=True,
    ),
    Parameter(
        "identity",
        {"type": "string", "enum": [one.value for one in ActorIdentity]},
        "Whether ids that are linked are one actor (`merged`) or as many as there are ids (`as_sent`). "
        "Default: `merged`; where values are counted or listed, for the project's actor property only.",
        BEHAVIOURS | _OF_UNIQUES,
        ours=True,
    ),
    Parameter(
        "events",
        {**listing(ref("Events")), "minItems": 1},
        "In place of `event_collection`: the events of several collections.",
        _OF_EVENTS,
        Spelling.JSON,
        ours=True,
    ),
    Parameter(
        "gap",
        {"type": "string", "pattern": LENGTH_PATTERN},
        "A session, or a path, ends where the actor's next event comes more than this later. Default: "
        f"`{DEFAULT_GAP}` for sessions, and for paths of sessions.",
        _OF_SESSIONS | _OF_PATHS,
        ours=True,
    ),
    Parameter(
        "cut",
        {"type": "string", "enum": [cut.value for cut in Cut]},
        "`daily`: a session ends at midnight too; needs a timeframe with a start and an end.",
        _OF_SESSIONS,
        ours=True,
    ),
    Parameter(
        "longest",
        {"type": "string", "pattern": LENGTH_PATTERN},
        "The longest time from a session's first event to its last; what comes later begins another one.",
        _OF_SESSIONS,
        ours=True,
    ),
    Parameter(
        "measures",
        _one_or_list(_TEXT),
        "What is said of sessions: `sessions`, `actors`, `events`, `events_per_session`, `bounces`, "
        "`bounce_rate`, `duration_average`, `duration_median`, `duration_p90` and other percentiles, "
        "`unfinished`, `entries`, `exits`; if absent, all but percentiles.",
        _OF_SESSIONS,
        Spelling.EITHER,
        repeated=True,
        ours=True,
    ),
    Parameter(
        "page_property",
        _NAME,
        "The property whose values at the first and at the last event are a session's entry and exit.",
        _OF_SESSIONS,
        ours=True,
    ),
    Parameter(
        "pages",
        _COUNT,
        "How many entries and exits are named; the others are counted together.",
        _OF_SESSIONS,
        default=10,
        ours=True,
    ),
    Parameter(
        SESSION,
        ref("Session"),
        "What the sessions are whose properties `filters` and `group_by` name as `session`.",
        ANALYSES,
        Spelling.JSON,
        ours=True,
    ),
    Parameter(
        "starting_event",
        ref("Event"),
        "What begins an actor's time.",
        _OF_RETENTION,
        Spelling.JSON,
        required=True,
        ours=True,
    ),
    Parameter(
        "returning_event",
        ref("Event"),
        "What shows that an actor is still there; if absent, the starting event.",
        _OF_RETENTION,
        Spelling.JSON,
        ours=True,
    ),
    Parameter(
        "cohort",
        {"type": "string", "enum": [cohort.value for cohort in Cohort]},
        "Which actors belong to a period: `first_time`: those whose first starting event lies in it; "
        "`recurring`: all that did the starting event in it.",
        _OF_RETENTION,
        default=Cohort.FIRST_TIME.value,
        ours=True,
    ),
    Parameter(
        "first_in",
        {"type": "string", "enum": [first.value for first in FirstIn]},
        "Where an actor's first event is looked for: in the `timeframe`, or in the whole `history` up to its "
        "end. If absent, in the timeframe by `retention`, in the history by `lifecycle`.",
        _OF_RETENTION | _OF_LIFECYCLE,
        ours=True,
    ),
    Parameter(
        "period_type",
        {"type": "string", "enum": [kind.value for kind in PeriodType]},
        "What the periods are: those of the `calendar`, or `rolling` ones of 24 hours, or as long as "
        "`interval` says, from the starting event on.",
        _OF_RETENTION,
        default=PeriodType.CALENDAR.value,
        ours=True,
    ),
    Parameter(
        "periods",
        _COUNT,
        "How many periods after the starting one are looked at; if absent, all of the timeframe.",
        _OF_RETENTION,
        ours=True,
    ),
    Parameter(
        "returned",
        {"type": "string", "enum": [returned.value for returned in ReturnOn]},
        "Whether an actor is retained in a period by an event `on` it, or by one `on_or_after` it.",
        _OF_RETENTION,
        default=ReturnOn.ON.value,
        ours=True,
    ),
    Parameter(
        "brackets",
        listing({"type": "array", "items": {"type": "integer", "minimum": 0}, "minItems": 2, "maxItems": 2}),
        "Several periods in one number: `[[1, 3], [4, 7]]`.",
        _OF_RETENTION,
        Spelling.JSON,
        ours=True,
    ),
    Parameter(
        "histogram",
        _BOOLEAN,
        "How many actors were active in 1, 2, 3 … parts of the timeframe, in place of the ratios by day.",
        _OF_STICKINESS,
        default=False,
        ours=True,
    ),
    Parameter(
        "month_days",
        {"type": "integer", "enum": list(MONTH_DAYS), "minimum": MONTH_DAYS[0], "maximum": MONTH_DAYS[-1]},
        "How many days a month has for `mau`.",
        _OF_STICKINESS,
        default=MONTH_DAYS[-1],
        ours=True,
    ),
    Parameter(
        "by",
        _NAME,
        "The property whose values are the nodes; events without it are called as their collection.",
        _OF_PATHS,
        ours=True,
    ),
    Parameter(
        "from",
        {"anyOf": [_TEXT, ref("Events")]},
        "Where paths begin: the name of a node, or an event. By default at the first event.",
        _OF_PATHS,
        Spelling.EITHER,
        ours=True,
    ),
    Parameter(
        "to",
        {"anyOf": [_TEXT, ref("Events")]},
        "Where paths end, in place of `from`.",
        _OF_PATHS,
        Spelling.EITHER,
        ours=True,
    ),
    Parameter(
        "depth",
        {"type": "integer", "minimum": DEPTH_MIN},
        "The most nodes of a path.",
        _OF_PATHS,
        default=5,
        ours=True,
    ),
    Parameter(
        "collapse_repeats",
        _BOOLEAN,
        "Whether events of one name that follow each other are one node.",
        _OF_PATHS,
        default=True,
        ours=True,
    ),
    Parameter(
        "rename",
        listing(ref("Rename")),
        "Names that match are called otherwise; `*` is any text, and the first rule that matches holds.",
        _OF_PATHS,
        Spelling.JSON,
        ours=True,
    ),
    Parameter(
        "nodes",
        _COUNT,
        "How many nodes of each step are named; the others are one node, `other`.",
        _OF_PATHS,
        default=10,
        ours=True,
    ),
    Parameter(
        "least",
        _COUNT,
        "Edges of fewer paths are left out, and counted; nodes of fewer belong to `other`.",
        _OF_PATHS,
        default=1,
        ours=True,
    ),
    Parameter(
        "filters",
        listing(ref("Filter")),
        "Only events that pass all of these.",
        ANALYSES,
        Spelling.JSON,
    ),
    Parameter(
        "timeframe",
        ref("Timeframe"),
        "Relative (`this_14_days`, `previous_month`, `today`) or `{start, end}`; if absent, all time.",
        ANALYSES,
        Spelling.EITHER,
    ),
    Parameter(
        "timezone",
        TIMEZONE,
        "The time zone of a relative timeframe and of intervals: an IANA name, or seconds east of UTC.",
        ANALYSES,
        Spelling.EITHER,
    ),
    Parameter(
        "interval",
        _INTERVAL,
        "One answer for each `minutely`, `hourly`, `daily`, `weekly`, `monthly`, `yearly` or "
        "`every_<n>_<units>` part of the timeframe.",
        ARRANGED | _OF_RETENTION | _OF_FUNNELS | _OF_LIFECYCLE | _OF_STICKINESS,
        Spelling.EITHER,
        funnels_with_order=True,
    ),
    Parameter(
        "group_by",
        _one_or_list(_TEXT, ref("Group")),
        "One answer for each value of these properties.",
        ARRANGED | _OF_RETENTION | _OF_FUNNELS | _OF_LIFECYCLE,
        Spelling.EITHER,
        repeated=True,
        funnels_with_order=True,
    ),
    Parameter(
        "order_by",
        _one_or_list(_TEXT, ref("Order")),
        "Order of the groups: by `result` or a grouped property.",
        ARRANGED | _OF_LIFECYCLE,
        Spelling.EITHER,
    ),
    Parameter("limit", _COUNT, "The first groups only; needs `order_by`.", ARRANGED | _OF_LIFECYCLE),
    Parameter(
        "zero_fill",
        _BOOLEAN,
        "Whether every group appears in every interval.",
        ARRANGED | _OF_LIFECYCLE,
        default=True,
    ),
    Parameter(
        "round",
        ROUND,
        "The number of decimals that results are rounded to, halves away from zero; `none`: no rounding, "
        "whatever the project or the server prefers.",
        ARRANGED | _OF_RETENTION | _OF_STICKINESS,
    ),
    Parameter(
        "week_start",
        WEEK_START,
        "The day on which weeks begin, in relative timeframes and `weekly`; if absent, the project's "
        "preference.",
    ),
    Parameter("latest", _COUNT, "The newest events only, newest first.", _OF_EXTRACTIONS),
    Parameter(
        "property_names",
        _one_or_list(_TEXT),
        "Only these properties of each event.",
        _OF_EXTRACTIONS,
        Spelling.EITHER,
        repeated=True,
    ),
    Parameter(
        "email",
        _TEXT,
        "Make a file, and mail the link to it to this address, of a domain that the server's operator "
        "allows. A server that sends no mail says so, and names the job.",
        _OF_EXTRACTIONS,
    ),
    Parameter("email_address", _TEXT, "An older name of `email`.", _OF_EXTRACTIONS),
    Parameter(
        "delivery",
        {"type": "string", "enum": ["link"]},
        "Make a file, to be fetched by a link: the answer names the job.",
        _OF_EXTRACTIONS,
    ),
    Parameter(
        "content_type",
        {"type": "string", "enum": ["text/csv", "application/json", "application/vnd.apache.parquet"]},
        "Of a file: CSV (the default), an event in each line, or Parquet.",
        _OF_EXTRACTIONS,
    ),
    Parameter(
        "content_encoding",
        {"type": "string", "enum": ["gzip"]},
        "How a file of lines is packed; absent: not at all.",
        _OF_EXTRACTIONS,
    ),
    Parameter("include_metadata", _BOOLEAN, "Whether to add `execution_metadata`.", default=False),
    Parameter(
        "explain",
        _BOOLEAN,
        "Whether to add `explain`: what was run for the answer, and what it read.",
        default=False,
    ),
    Parameter(
        "as_of",
        _NAME,
        "The version that an earlier `explain` named, or an instant: the answer is as of then, and `now` is "
        "then; see [why this number](why.md).",
        ours=True,
    ),
    Parameter(
        "max_age",
        {"type": "integer", "minimum": 0, "maximum": MAX_AGE_SECONDS_MAX},
        "How old the answer may be, in seconds; absent: it is as of this request.",
    ),
)

BY_NAME: Mapping[str, Parameter] = {parameter.name: parameter for parameter in TABLE}


def taken_by(analysis: str) -> list[Parameter]:
    return [parameter for parameter in TABLE if analysis in parameter.analyses]


def value_of(params: Mapping[str, Any], name: str, code: str = "InvalidParameterError") -> Any:
    """The value of an integer or boolean parameter, also given as text; its default where absent.

    Raises InvalidQuery.
    """
    parameter, value = BY_NAME[name], params.get(name)
    if value is None or value == "":
        return parameter.default
    if parameter.schema["type"] == "boolean":
        return flag(params, name, parameter.default)
    low, high = parameter.schema["minimum"], parameter.schema.get("maximum")
    number = whole(name, value, low, code)
    if high is not None and number > high:
        raise wrong(name, f"an integer from {low} to {high}", value, code)
    return number


def markdown() -> str:
    """The parameter table of docs/queries.md."""
    rows = ["| parameter | of | |", "|---|---|---|"]
    rows += [f"| `{parameter.name}` | {_of(parameter)} | {_meaning(parameter)} |" for parameter in TABLE]
    return "\n".join(rows) + "\n"


def _of(parameter: Parameter) -> str:
    taken, others = parameter.analyses, ANALYSES - parameter.analyses
    if not others:
        return "all"
    few = sorted(taken if len(taken) <= len(others) else others, key=ANALYSIS_NAMES.index)
    names = ", ".join(f"`{name}`" for name in few)
    return names if len(taken) <= len(others) else f"all but {names}"


def _meaning(parameter: Parameter) -> str:
    text = parameter.description.replace("|", "\\|")
    if parameter.required:
        names = ", ".join(f"`{name}`" for name in sorted(parameter.optional_in))
        return f"{text} Required{f', not in {names}' if names else ''}."
    if parameter.default is not None:
        return f"{text} Default: `{str(parameter.default).lower()}`."
    return text


if __name__ == "__main__":
    print(markdown(), end="")  # noqa: T201
