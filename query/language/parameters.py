"""Checks the names of a query's parameters and of the keys within them: unknown ones are refused with a hint.

The known names are those of ``parameter_table``. A parameter that is not in it would be silently ignored, so
``check`` refuses it and names the nearest known one. The keys of filters, groups, steps and the like are in
``KEYS``. A parameter that only other analyses take is accepted, as Keen did: ``without_use`` lists them.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from functools import partial
from typing import Any

from query.errors import InvalidQuery
from query.language import parameter_table
from query.language.analyses.presets import with_preset
from query.language.fields import shown, structured
from query.language.parameter_table import ANALYSES, BY_NAME, SESSION, Json, Parameter, taken_by
from query.language.suggestions import called_here, nearest

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
"""Names that other systems use for analyses."""


def analysis_meant(name: object, known: Iterable[str] = ANALYSES) -> str | None:
    """The analysis that a misspelt name, or a name used by another system, probably means."""
    meant = _OTHER_NAMES.get(name.lower()) if isinstance(name, str) else None
    return meant or nearest(name, sorted(known))


ENTRIES_MAX = 5_000
"""Filters, steps and the like whose keys are checked: ``parse`` refuses a query with more."""
DEPTH_MAX = 100
SHOWN_MAX = 24
"""Known names that a message lists."""
SENT_BY_SDKS = frozenset({"analysis_type", "api_key", "jsonp", "callback", "_"})
"""Parameters that official SDKs and UIs, and the jQuery they use, add to every query."""

WITHOUT_EFFECT = frozenset({"event_collection", "target_property", "percentile", "zero_fill"})
"""Keen parameters that are accepted with any analysis: they neither narrow nor arrange an answer."""

FILTER = "filter"


def _keys(schema: Json) -> frozenset[str]:
    return frozenset(schema["properties"])


_BY_QUERY_CREATOR = frozenset({"property_type"})
"""Sent with filters by Keen's query-creator."""
KEYS: Mapping[str, frozenset[str]] = {
    FILTER: _keys(parameter_table.CONDITION) | _BY_QUERY_CREATOR,
    "or": _keys(parameter_table.EITHER_OF) | _BY_QUERY_CREATOR,
    "within": _keys(parameter_table.CIRCLE),
    "timeframe": _keys(parameter_table.SPAN),
    "group_by": _keys(parameter_table.GROUP),
    "buckets": _keys(parameter_table.BUCKETS),
    "range": _keys(parameter_table.RANGE),
    "order_by": _keys(parameter_table.ORDER),
    "step": _keys(parameter_table.STEP),
    "exclusion": _keys(parameter_table.EXCLUSION),
    "times": _keys(parameter_table.TIMES),
    "member": _keys(parameter_table.MEMBER),
    "series": _keys(parameter_table.ONE_SERIES),
    "top": _keys(parameter_table.TOP),
    "completeness": _keys(parameter_table.COMPLETENESS),
    "event": _keys(parameter_table.EVENT),
    "events": _keys(parameter_table.EVENTS),
    "rename": _keys(parameter_table.RENAME),
    "session": _keys(parameter_table.SESSION_RECORD),
}
"""The keys of the objects within parameters."""

_WHOLE = ("event_collection", "timeframe", "timezone", "week_start", "filters", "interval", "group_by")
"""Accepted in a member of a multi-analysis where equal to the same parameter of the whole query."""


def check(analysis: str, params: Mapping[str, Any], beside: Collection[str] = ()) -> None:
    """Raises InvalidQuery for names that no analysis knows, at every level; names in ``beside`` are accepted.

    Values are not validated here: ``parse`` reports invalid ones.
    """
    if not isinstance(params, Mapping) or analysis not in ANALYSES:
        return
    for name in params:
        if not _is_known(name, analysis) and name not in SENT_BY_SDKS and name not in beside:
            known = [parameter.name for parameter in taken_by(analysis)]
            others = sorted(BY_NAME[name].analyses) if name in BY_NAME else ()
            raise _unknown(name, known, f"a parameter of {analysis}", others=others)
    _Walk(params).check()


def _is_known(name: str, analysis: str) -> bool:
    parameter = BY_NAME.get(name)
    return parameter is not None and (analysis in parameter.analyses or not parameter.ours)


def without_use(analysis: str, params: Mapping[str, Any]) -> list[Parameter]:
    """The parameters sent with a value that only other analyses take, and that do not affect the answer."""
    unordered = analysis == parameter_table.FUNNEL and is_unordered(params)
    return [
        BY_NAME[name]
        for name, value in params.items()
        if name in BY_NAME
        and name not in WITHOUT_EFFECT
        and _is_without_use(analysis, BY_NAME[name], unordered)
        and not is_absent(value)
    ]


def is_unordered(funnel: Mapping[str, Any]) -> bool:
    """Whether the steps of a funnel may come at any time, as in Keen. Its preset may give it an order."""
    return with_preset(parameter_table.FUNNEL, funnel).get("order") in (None, "", "any")


def _is_without_use(analysis: str, parameter: Parameter, unordered: bool) -> bool:
    return analysis not in parameter.analyses or (unordered and parameter.funnels_with_order)


def check_filters(filters: Any, name: str = "filters") -> None:
    """Raises InvalidQuery for unknown keys in filters that are not part of a query."""
    _Walk({})._filters(filters, name, 0)


def check_keys(keys: Mapping[str, Any], known: Iterable[str], what: str, kind: str = "field") -> None:
    """Raises InvalidQuery for a key that is not in ``known``; ``what`` names the object in the message."""
    names = list(known)
    for name in keys:
        if name not in names:
            raise _unknown(name, names, f"a {kind} of {what}")


def is_absent(value: Any) -> bool:
    """True for null and empty values, which count as not sent."""
    return value is None or (isinstance(value, (str, list, dict)) and not value)


def check_cohort(definition: Mapping[str, Any]) -> None:
    """Raises InvalidQuery for unknown keys in the filters of a cohort's definition."""
    _Walk({}).cohort(definition, "")


class _Walk:
    """Checks the keys of all objects within a query's parameters."""

    def __init__(self, params: Mapping[str, Any]) -> None:
        self._params = params
        self._entries_left = ENTRIES_MAX

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
        for name in ("events", "from", "to"):
            self._each(params.get(name), name, self._events)
        for name in ("starting_event", "returning_event"):
            self._each(params.get(name), name, partial(self._events, kind="event"))
        self._each(params.get("rename"), "rename", lambda one, where: self._keys(one, "rename", where))
        self._each(params.get("exclusions"), "exclusions", partial(self._step, kind="exclusion"))
        self._each(params.get("times"), "times", lambda entry, name: self._keys(entry, "times", name))
        members = _decoded(params.get("analyses"))
        if isinstance(members, Mapping):
            for label, member in members.items():
                self._member(member, f"analyses.{shown(label)}")
        series = _decoded(params.get("series"))
        if isinstance(series, Mapping):
            for label, one in series.items():
                self._one_series(one, f"series.{shown(label)}")
        self._timeframe(params.get("compare"), "compare")
        for name in ("top", "completeness", SESSION):
            value = _decoded(params.get(name))
            if isinstance(value, Mapping):
                self._keys(value, name, name)
                if name == SESSION:
                    events = partial(self._events, kind="event")
                    self._each(value.get("events"), "session.events", events)

    def _each(self, value: Any, name: str, look: Callable[[Mapping[str, Any], str], None]) -> None:
        if value is None:
            return
        value = _decoded(value)
        entries = enumerate(value) if isinstance(value, list) else ((None, value),)
        for index, entry in entries:
            self._entries_left -= 1
            if self._entries_left < 0:
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
        self._parts(entry, name, code)
        value = entry.get("property_value")
        if operator == "within" and isinstance(value, Mapping):
            self._keys(value, "within", f"{name}.property_value", code)
        if operator in ("in_cohort", "not_in_cohort"):
            self.cohort(_decoded(value), f"{name}.property_value.", depth + 1)

    def cohort(self, definition: Any, where: str, depth: int = 0) -> None:
        """Checks the filters of a cohort's conditions and steps; ``parse`` checks the rest of it."""
        if not isinstance(definition, Mapping):
            return
        for kind in ("all", "any"):
            self._each(
                definition.get(kind),
                f"{where}{kind}",
                lambda entry, name: self._filters(entry.get("filters"), f"{name}.filters", depth),
            )
        funnel = _decoded(definition.get("funnel"))
        if isinstance(funnel, Mapping):
            self._each(funnel.get("steps"), f"{where}funnel.steps", self._step)

    def _group(self, entry: Mapping[str, Any], name: str) -> None:
        code = "InvalidGroupByError"
        self._keys(entry, "group_by", name, code)
        self._parts(entry, name, code)

    def _parts(self, entry: Mapping[str, Any], name: str, code: str) -> None:
        """Checks the buckets or ranges of a group."""
        if isinstance(entry.get("buckets"), Mapping):
            self._keys(entry["buckets"], "buckets", f"{name}.buckets", code)
        self._each(
            entry.get("ranges"), f"{name}.ranges", lambda one, where: self._keys(one, "range", where, code)
        )

    def _step(self, entry: Mapping[str, Any], name: str, kind: str = "step") -> None:
        self._keys(entry, kind, name)
        self._timeframe(entry.get("timeframe"), f"{name}.timeframe")
        self._filters(entry.get("filters"), f"{name}.filters", 0)

    def _one_series(self, entry: Any, name: str) -> None:
        if isinstance(entry, Mapping):
            self._keys(entry, "series", name)
            self._filters(entry.get("filters"), f"{name}.filters", 0)
            self._each(entry.get("group_by"), f"{name}.group_by", self._group)

    def _events(self, entry: Mapping[str, Any], name: str, kind: str = "events") -> None:
        self._keys(entry, kind, name)
        self._filters(entry.get("filters"), f"{name}.filters", 0)

    def _member(self, entry: Any, name: str) -> None:
        if not isinstance(entry, Mapping):
            return
        own = {
            key: value
            for key, value in entry.items()
            if key not in _WHOLE or not (is_absent(value) or value == self._params.get(key))
        }
        for key in own:
            # Where the whole query has no timeframe, parse reports that it is missing.
            if key in _WHOLE and not (key == "timeframe" and is_absent(self._params.get(key))):
                raise InvalidQuery(f"'{name}' cannot have '{key}' of its own: it belongs to the whole query.")
        self._keys({key: own[key] for key in own if key not in _WHOLE}, "member", name)

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
                shown_names = sorted(known - _BY_QUERY_CREATOR)
                raise _unknown(key, shown_names, f"known in '{name}'", code)


def _is_other_form(key: str, entry: Mapping[str, Any]) -> bool:
    """True for an empty key of the other form of a filter, such as ``operands`` beside ``eq``."""
    return key in KEYS[FILTER] | KEYS["or"] and is_absent(entry[key])


def _decoded(value: Any) -> Any:
    try:
        return structured("", value)
    except InvalidQuery:
        return None


def _before_bracket(name: str) -> str:
    """The base name: ``filter`` of ``filter[0][operator]`` and of ``filter.0.operator``."""
    return name.partition("[")[0].partition(".")[0]


def _unknown(
    name: object,
    known: Iterable[str],
    what: str,
    code: str = "InvalidParameterError",
    others: Sequence[str] = (),
) -> InvalidQuery:
    """``others``: the analyses that take a parameter of this name."""
    names = list(known)
    near = called_here(name, names) or nearest(name, names)
    if near is None and isinstance(name, str):
        near = nearest(_before_bracket(name), names)
    if near is not None:
        hint = f"Did you mean '{near}'?"
    elif others:
        hint = f"It belongs to {', '.join(others)}."
    elif names:
        hint = f"Known are {', '.join(names[:SHOWN_MAX])}."
    else:
        hint = "Leave it out."
    return InvalidQuery(f"'{shown(name)}' is not {what}. {hint}", code)
