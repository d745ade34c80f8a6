"""Every parameter of a question: its name, the analyses that take it, and how a query string spells it.

``TABLE`` is the one list of them. A parameter that stands nowhere in it would leave a question answered as if
it had not been sent; ``check`` refuses it and names the nearest known one. The keys of filters, groups, steps
and the like are in ``KEYS``. A parameter of other analyses alone is let pass, as Keen did: ``without_use``
lists them.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

from query.errors import InvalidQuery
from query.language.fields import shown, structured
from query.language.nodes import Analysis
from query.language.suggestions import nearest

EXTRACTION = "extraction"
FUNNEL = "funnel"
MULTI_ANALYSIS = "multi_analysis"
METRICS = frozenset(analysis.value for analysis in Analysis)
"""The analyses that a multi-analysis may be made of."""
ANALYSES = METRICS | {EXTRACTION, FUNNEL, MULTI_ANALYSIS}
_OTHER_NAMES = {
    "avg": "average",
    "count_distinct": "count_unique",
    "distinct": "count_unique",
    "max": "maximum",
    "mean": "average",
    "min": "minimum",
    "stddev": "standard_deviation",
    "unique": "count_unique",
    "uniques": "select_unique",
}
"""As other systems call analyses."""
_ARRANGED = METRICS | {MULTI_ANALYSIS}


def analysis_meant(name: object, known: Iterable[str] = ANALYSES) -> str | None:
    """The analysis that a misspelt one, or one of another system, probably means."""
    meant = _OTHER_NAMES.get(name.lower()) if isinstance(name, str) else None
    return meant or nearest(name, sorted(known))


ENTRIES_MAX = 5_000
"""Filters, steps and the like whose keys are looked at: ``parse`` refuses a question of more."""
DEPTH_MAX = 100
SHOWN_MAX = 24
"""Known names that a message lists."""


class Spelling(StrEnum):
    """How a query string holds a value."""

    WORD = "word"
    """As it is."""
    EITHER = "either"
    """A bare text, or JSON where it begins like a list, an object or a quoted string."""
    JSON = "json"
    """Nothing but JSON."""


@dataclass(frozen=True, slots=True)
class Parameter:
    """``repeated``: may stand several times in a query string, or as ``name[]``, and is a list then."""

    name: str
    analyses: frozenset[str] = ANALYSES
    spelling: Spelling = Spelling.WORD
    repeated: bool = False


TABLE = (
    Parameter("event_collection", ANALYSES - {FUNNEL}),
    Parameter("target_property", METRICS - {"count"}),
    Parameter("percentile", frozenset({"percentile"})),
    Parameter("analyses", frozenset({MULTI_ANALYSIS}), Spelling.JSON),
    Parameter("steps", frozenset({FUNNEL}), Spelling.JSON),
    Parameter("filters", ANALYSES, Spelling.JSON),
    Parameter("timeframe", ANALYSES, Spelling.EITHER),
    Parameter("timezone", ANALYSES, Spelling.EITHER),
    Parameter("interval", _ARRANGED, Spelling.EITHER),
    Parameter("group_by", _ARRANGED, Spelling.EITHER, repeated=True),
    Parameter("order_by", _ARRANGED, Spelling.EITHER),
    Parameter("limit", _ARRANGED),
    Parameter("zero_fill", _ARRANGED),
    Parameter("round", _ARRANGED),
    Parameter("week_start"),
    Parameter("latest", frozenset({EXTRACTION})),
    Parameter("property_names", frozenset({EXTRACTION}), Spelling.EITHER, repeated=True),
    Parameter("email", frozenset({EXTRACTION})),
    Parameter("email_address", frozenset({EXTRACTION})),
    Parameter("delivery", frozenset({EXTRACTION})),
    Parameter("content_type", frozenset({EXTRACTION})),
    Parameter("content_encoding", frozenset({EXTRACTION})),
    Parameter("include_metadata"),
    Parameter("explain"),
    Parameter("max_age"),
)
"""A new parameter is one line here, and is read in ``query.language.parse``."""

BY_NAME: Mapping[str, Parameter] = {parameter.name: parameter for parameter in TABLE}

SENT_BY_SDKS = frozenset({"analysis_type", "api_key", "jsonp", "callback", "_"})
"""What official SDKs and UIs, and jQuery under them, add to a question by themselves."""

WITHOUT_EFFECT = frozenset({"event_collection", "target_property", "percentile", "zero_fill"})
"""Keen's own, which may stand beside an analysis that does not take them: they narrow and arrange nothing."""

FILTER = "filter"
KEYS: Mapping[str, frozenset[str]] = {
    FILTER: frozenset({"property_name", "operator", "property_value", "property_type"}),
    "or": frozenset({"operator", "operands", "property_type"}),
    "within": frozenset({"coordinates", "max_distance_miles"}),
    "timeframe": frozenset({"start", "end"}),
    "group_by": frozenset({"property_name", "buckets", "ranges"}),
    "buckets": frozenset({"size"}),
    "range": frozenset({"from", "to", "label"}),
    "order_by": frozenset({"property_name", "direction"}),
    "step": frozenset(
        {
            "event_collection",
            "actor_property",
            "timeframe",
            "timezone",
            "week_start",
            "filters",
            "inverted",
            "optional",
            "with_actors",
        }
    ),
    "member": frozenset({"analysis_type", "target_property", "percentile", "round"}),
}
"""The keys of the objects within parameters. ``property_type`` is sent by Keen's query-creator."""

_WHOLE = ("event_collection", "timeframe", "timezone", "week_start", "filters", "interval", "group_by")
"""May stand in a member of a multi-analysis where they say the same as beside it."""


def check(analysis: str, params: Mapping[str, Any], beside: Collection[str] = ()) -> None:
    """Refuses what no analysis knows, at every level. ``beside``: what else may stand there.

    Values are looked at only as far as they are understood; what is wrong with them is for ``parse`` to say.
    Raises InvalidQuery.
    """
    if not isinstance(params, Mapping) or analysis not in ANALYSES:
        return
    for name in params:
        if name not in BY_NAME and name not in SENT_BY_SDKS and name not in beside:
            raise _unknown(name, taken_by(analysis), f"a parameter of {analysis}")
    _Walk(params).check()


def taken_by(analysis: str) -> list[str]:
    return [parameter.name for parameter in TABLE if analysis in parameter.analyses]


def without_use(analysis: str, params: Mapping[str, Any]) -> list[Parameter]:
    """The parameters of other analyses that say something here and change nothing of the answer."""
    return [
        BY_NAME[name]
        for name, value in params.items()
        if name in BY_NAME
        and name not in WITHOUT_EFFECT
        and analysis not in BY_NAME[name].analyses
        and not is_absent(value)
    ]


def check_filters(filters: Any, name: str = "filters") -> None:
    """Refuses unknown keys in filters that stand outside a question. Raises InvalidQuery."""
    _Walk({})._filters(filters, name, 0)


def check_keys(given: Mapping[str, Any], known: Iterable[str], what: str, kind: str = "field") -> None:
    """Refuses a key that is not among the known ones; ``what`` names the thing. Raises InvalidQuery."""
    names = list(known)
    for name in given:
        if name not in names:
            raise _unknown(name, names, f"a {kind} of {what}")


def is_absent(value: Any) -> bool:
    """True for null and for what is empty: as if it had not been sent."""
    return value is None or (isinstance(value, (str, list, dict)) and not value)


class _Walk:
    """Looks at the keys of everything within a question's parameters."""

    def __init__(self, params: Mapping[str, Any]) -> None:
        self._params = params
        self._left = ENTRIES_MAX

    def check(self) -> None:
        params = self._params
        self._timeframe(params.get("timeframe"), "timeframe")
        self._filters(params.get("filters"), "filters", 0)
        self._each(params.get("group_by"), "group_by", self._group)
        self._each(
            params.get("order_by"),
            "order_by",
            lambda entry, name: self._keys(entry, "order_by", name, "InvalidOrderByError"),
        )
        self._each(params.get("steps"), "steps", self._step)
        members = _decoded(params.get("analyses"))
        if isinstance(members, Mapping):
            for label, member in members.items():
                self._member(member, f"analyses.{shown(label)}")

    def _each(self, value: Any, name: str, look: Callable[[Mapping[str, Any], str], None]) -> None:
        if value is None:
            return
        value = _decoded(value)
        entries = enumerate(value) if isinstance(value, list) else ((None, value),)
        for index, entry in entries:
            self._left -= 1
            if self._left < 0:
                return
            if isinstance(entry, Mapping):
                look(entry, name if index is None else f"{name}[{index}]")

    def _filters(self, value: Any, name: str, depth: int) -> None:
        if depth <= DEPTH_MAX:
            self._each(value, name, lambda entry, where: self._filter(entry, where, depth))

    def _filter(self, entry: Mapping[str, Any], name: str, depth: int) -> None:
        code = "InvalidFilterError"
        operator = entry.get("operator")
        if operator == "or":
            self._keys(entry, "or", name, code)
            self._filters(entry.get("operands"), f"{name}.operands", depth + 1)
            return
        self._keys(entry, FILTER, name, code)
        value = entry.get("property_value")
        if operator == "within" and isinstance(value, Mapping):
            self._keys(value, "within", f"{name}.property_value", code)

    def _group(self, entry: Mapping[str, Any], name: str) -> None:
        code = "InvalidGroupByError"
        self._keys(entry, "group_by", name, code)
        if isinstance(entry.get("buckets"), Mapping):
            self._keys(entry["buckets"], "buckets", f"{name}.buckets", code)
        self._each(
            entry.get("ranges"), f"{name}.ranges", lambda one, where: self._keys(one, "range", where, code)
        )

    def _step(self, entry: Mapping[str, Any], name: str) -> None:
        self._keys(entry, "step", name)
        self._timeframe(entry.get("timeframe"), f"{name}.timeframe")
        self._filters(entry.get("filters"), f"{name}.filters", 0)

    def _member(self, entry: Any, name: str) -> None:
        if not isinstance(entry, Mapping):
            return
        known = {
            key: value
            for key, value in entry.items()
            if key not in _WHOLE or not (is_absent(value) or value == self._params.get(key))
        }
        for key in known:
            # Without one beside it, parse says that the whole lacks a timeframe.
            if key in _WHOLE and not (key == "timeframe" and is_absent(self._params.get(key))):
                raise InvalidQuery(f"'{name}' cannot have '{key}' of its own: it belongs to the whole query.")
        self._keys({key: known[key] for key in known if key not in _WHOLE}, "member", name)

    def _timeframe(self, value: Any, name: str) -> None:
        value = _decoded(value)
        if isinstance(value, Mapping):
            self._keys(value, "timeframe", name, "TimeframeDefinitionError")

    def _keys(
        self, entry: Mapping[str, Any], kind: str, name: str, code: str = "InvalidParameterError"
    ) -> None:
        known = KEYS[kind]
        for key in entry:
            if key not in known and not (kind in (FILTER, "or") and _is_other_form(key, entry)):
                shown_names = sorted(known - {"property_type"})
                raise _unknown(key, shown_names, f"known in '{name}'", code)


def _is_other_form(key: str, entry: Mapping[str, Any]) -> bool:
    """A key of the other form of a filter (``operands`` beside ``eq``) that says nothing."""
    return key in KEYS[FILTER] | KEYS["or"] and is_absent(entry[key])


def _decoded(value: Any) -> Any:
    try:
        return structured("", value)
    except InvalidQuery:
        return None


def _before_bracket(name: str) -> str:
    """``filter`` of ``filter[0][operator]`` and ``filter.0.operator``."""
    return name.partition("[")[0].partition(".")[0]


def _unknown(
    name: object, known: Iterable[str], what: str, code: str = "InvalidParameterError"
) -> InvalidQuery:
    names = list(known)
    found = nearest(name, names) or (nearest(_before_bracket(name), names) if isinstance(name, str) else None)
    if found is not None:
        hint = f"Did you mean '{found}'?"
    elif names:
        hint = f"Known are {', '.join(names[:SHOWN_MAX])}."
    else:
        hint = "Leave it out."
    return InvalidQuery(f"'{shown(name)}' is not {what}. {hint}", code)
