"""Warnings about queries that find no data: names that no event has, and values of an unsuitable type.

Such a query is answered as Keen answers it, with nothing or 0, and the warnings are added to the response.
They are derived from the list of lanes only, never from the events.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from functools import cached_property
from itertools import islice
from typing import Any

from query.language.fields import structured
from query.language.nodes import (
    Analysis,
    AnyOf,
    BehaviourQuery,
    ComposedQuery,
    Condition,
    EventsRead,
    ExtractionQuery,
    Filter,
    MetricQuery,
    Operator,
    Query,
    Selection,
    Span,
)
from query.language.parameter_table import STICKINESS, Parameter
from query.language.suggestions import did_you_mean, nearest
from query.language.timeframe import unused_zone
from query.plan import operators
from query.plan import predicates as p
from query.plan.columns import NUMERIC, SYSTEM_PATHS, Available, ColumnKind
from storage.schema import TIMESTAMP, LaneKind, Schema

WARNINGS_MAX = 50
"""Warnings in one response."""
LIST_LENGTH_MAX = 100
"""Filters with longer lists are not compared with the types of stored values."""
TIMESTAMP_NAMES = frozenset({"timestamp", "time", "created_at", "createdat", "ts", "date", "datetime"})
"""Top-level properties that many tools read as an event's time; in lower case."""
_NUMERIC_ANALYSES = frozenset(Analysis) - {Analysis.COUNT, Analysis.COUNT_UNIQUE, Analysis.SELECT_UNIQUE}


class WarningCode(StrEnum):
    UNKNOWN_COLLECTION = "UnknownCollection"
    UNKNOWN_PROPERTY = "UnknownProperty"
    PROPERTY_IS_OBJECT = "PropertyIsObject"
    """The property has no value of its own, only nested properties."""
    NO_NUMBERS = "NoNumbers"
    """Numbers are required and none are stored: they may be stored as text."""
    FILTER_NEVER_MATCHES = "FilterNeverMatches"
    FILTER_ALWAYS_MATCHES = "FilterAlwaysMatches"
    PARAMETER_WITHOUT_EFFECT = "ParameterWithoutEffect"
    TIMESTAMP_IS_PROPERTY = "TimestampIsProperty"
    """Events have their time in another property, and are dated by their arrival."""


@dataclass(frozen=True, slots=True)
class DataWarning:
    """One warning; ``parameter`` is the query's parameter that it concerns."""

    code: WarningCode
    parameter: str
    message: str
    did_you_mean: str | None = None

    def as_json(self) -> dict[str, Any]:
        return {
            "code": self.code.value,
            "parameter": self.parameter,
            "message": self.message,
            "did_you_mean": self.did_you_mean,
        }


@dataclass(frozen=True)
class VisibleProperties:
    """The properties of a collection's events that the caller may see."""

    schema: Schema

    @cached_property
    def available(self) -> Available:
        valued = (lane.column for lane in self.schema.lanes if lane.kind is not LaneKind.NULL)
        return Available(self.schema, frozenset(valued))

    def knows(self, path: str) -> bool:
        return path in SYSTEM_PATHS or bool(self.schema.at(path)) or self.is_object(path)

    def is_object(self, path: str) -> bool:
        """Whether the property has nested properties and no value of its own."""
        return not self.available.at(path) and bool(self.available.under(path) or self.schema.under(path))

    def names(self) -> Iterator[str]:
        """All names, in an order that does not tell which property came first."""
        yield from SYSTEM_PATHS
        yield from sorted(self.schema.by_path)

    def is_sound(self, path: str, *, numbers: bool) -> bool:
        """Whether the property has values, and numbers where required. Positive results are cached."""
        key = path, numbers
        if key in self._sound:
            return True
        if any(_of_value(path, self, "", numbers=numbers)):
            return False
        self._sound.add(key)
        return True

    @cached_property
    def _sound(self) -> set[tuple[str, bool]]:
        return set()

    @cached_property
    def timestamp_property(self) -> str | None:
        """A property whose name suggests the events' time, which only ``keen.timestamp`` sets; else None."""
        kinds = (LaneKind.STRING, LaneKind.NUMBER)
        paths = (lane.path for lane in self.schema.lanes if lane.kind in kinds)
        return min((path for path in paths if path.lower() in TIMESTAMP_NAMES), default=None)


SeenOf = Callable[[str], VisibleProperties | None]
"""Returns the visible properties of a collection; None where none of its events is visible."""
NearCollection = Callable[[str], str | None]
"""Returns the most similar name of a collection with events that the caller sees, or None."""


def warnings_of(query: Query, seen_of: SeenOf, near_collection: NearCollection) -> list[DataWarning]:
    """The query's warnings in the order of its parts, at most WARNINGS_MAX."""
    warnings = _warnings(query, _Names(seen_of, near_collection))
    return list(islice(dict.fromkeys(warnings), WARNINGS_MAX))


def is_sound(query: MetricQuery, seen: VisibleProperties) -> bool:
    """Whether there is certainly nothing to warn of: a quick test for queries without filters."""
    return not query.filters and all(
        seen.is_sound(path, numbers=numbers) for path, numbers, _ in _values(query)
    )


def has_timeframe(query: Query) -> bool:
    return any(part.span != Span() for part in _parts(query))


def undated(collection: str, path: str) -> DataWarning:
    return DataWarning(
        WarningCode.TIMESTAMP_IS_PROPERTY,
        "timeframe",
        f"The events of '{collection}' have a property '{path}' but no 'keen.timestamp', so each has the "
        "time at which it arrived. Send their time as 'keen.timestamp'.",
        TIMESTAMP,
    )


def without_effect(analysis: str, parameters: Iterable[Parameter]) -> list[DataWarning]:
    """Warnings for parameters that were sent and that only other analyses take."""
    return [
        DataWarning(
            WarningCode.PARAMETER_WITHOUT_EFFECT,
            parameter.name,
            f"'{parameter.name}' has no effect on {analysis}"
            + (
                " without an 'order'."
                if analysis in parameter.analyses
                else f": it belongs to {', '.join(sorted(parameter.analyses))}."
            ),
        )
        for parameter in parameters
    ]


def unused_zones(analysis: str, params: Mapping[str, Any]) -> Iterator[DataWarning]:
    """Warnings for time zones beside absolute timeframes that are written in another one."""
    parts = [("", params)]
    for name in ("steps", "exclusions"):
        given = structured(name, params.get(name))
        if isinstance(given, list):
            parts += [(f"{name}[{at}].", one) for at, one in enumerate(given) if isinstance(one, Mapping)]
    divided = analysis == STICKINESS or any(
        params.get(name) not in (None, "") for name in ("interval", "cut")
    )
    for where, part in parts:
        zone = part.get("timezone") or params.get("timezone")
        why = unused_zone(part.get("timeframe"), zone, divided=divided)
        if why is not None:
            message = f"'timezone' has no effect: {why}"
            yield DataWarning(WarningCode.PARAMETER_WITHOUT_EFFECT, f"{where}timezone", message)


def collections_of(query: Query) -> list[str]:
    """The distinct collections that a query names."""
    return list(dict.fromkeys(part.collection for part in _parts(query)))


def _parts(query: Query) -> Sequence[MetricQuery | ExtractionQuery | Selection | EventsRead]:
    if isinstance(query, BehaviourQuery):
        return query.selections
    return query.reads if isinstance(query, ComposedQuery) else (query,)


@dataclass(frozen=True)
class _Names:
    seen_of: SeenOf
    near_collection: NearCollection

    def collection(self, name: str, parameter: str) -> VisibleProperties | DataWarning:
        seen = self.seen_of(name)
        if seen is not None:
            return seen
        near = self.near_collection(name)
        message = f"There is no collection '{name}'."
        if near is not None:
            message += f" Did you mean '{near}'?"
        return DataWarning(WarningCode.UNKNOWN_COLLECTION, parameter, message, near)


def _warnings(query: Query, names: _Names) -> Iterator[DataWarning]:
    match query:
        case MetricQuery():
            seen = names.collection(query.collection, "event_collection")
            if isinstance(seen, DataWarning):
                yield seen
                return
            yield from _of_metrics(query, seen)
            yield from _of_filters(query.filters, seen, "filters")
        case ExtractionQuery():
            seen = names.collection(query.collection, "event_collection")
            if isinstance(seen, DataWarning):
                yield seen
                return
            for path in query.properties or ():
                if not seen.knows(path):
                    yield _unknown(path, seen, "property_names")
            yield from _of_filters(query.filters, seen, "filters")
        case BehaviourQuery():
            for one in query.selections:
                seen = names.collection(one.collection, f"{one.where}event_collection")
                if isinstance(seen, DataWarning):
                    yield seen
                    continue
                yield from _of_value(one.actor, seen, f"{one.where}actor_property")
                yield from _of_filters(one.filters[: one.shared], seen, "filters")
                yield from _of_filters(one.filters[one.shared :], seen, f"{one.where}filters")
            yield from _of_further(query, names)
        case ComposedQuery():
            for read in query.reads:
                seen = names.collection(read.collection, f"{read.where}event_collection")
                if isinstance(seen, DataWarning):
                    yield seen
                    continue
                for path, numbers, parameter in read.values:
                    yield from _of_value(path, seen, parameter, numbers=numbers)
                yield from _of_filters(read.filters[: read.shared], seen, "filters")
                yield from _of_filters(read.filters[read.shared :], seen, f"{read.where}filters")


def _of_further(query: BehaviourQuery, names: _Names) -> Iterator[DataWarning]:
    """Warnings about properties that none of the collections has."""
    known = [seen for seen in map(names.seen_of, collections_of(query)) if seen is not None]
    for path, where in query.values:
        if known and not any(seen.is_sound(path, numbers=False) for seen in known):
            yield from _of_value(path, known[0], where)


def _of_metrics(query: MetricQuery, seen: VisibleProperties) -> Iterator[DataWarning]:
    for path, numbers, where in _values(query):
        yield from _of_value(path, seen, where, numbers=numbers)


def _values(query: MetricQuery) -> Iterator[tuple[str, bool, str]]:
    """Yields (property, whether it must be numeric, parameter) for each property whose values are used."""
    for metric in query.metrics:
        if metric.target is not None:
            where = "target_property" if metric.label is None else f"analyses.{metric.label}.target_property"
            yield metric.target, metric.analysis in _NUMERIC_ANALYSES, where
    for group in query.groups:
        if group.session is None:
            yield group.property_name, group.size is not None or group.ranges is not None, "group_by"


def _of_value(
    path: str, seen: VisibleProperties, where: str, *, numbers: bool = False
) -> Iterator[DataWarning]:
    """Warnings about a property whose values are used."""
    if not seen.knows(path):
        yield _unknown(path, seen, where)
    elif seen.is_object(path):
        child = min((lane.path for lane in seen.schema.under(path)), default=None)
        message = f"'{path}' is an object, which has no value of its own."
        if child is not None:
            message += f" Name a property in it, such as '{child}'."
        yield DataWarning(WarningCode.PROPERTY_IS_OBJECT, where, message, child)
    elif numbers and not seen.available.numeric(path):
        kinds = {column.kind for column in seen.available.at(path)}
        if ColumnKind.STRING in kinds:
            message = (
                f"'{path}' holds text, not numbers, and is skipped, even where the text spells a number."
            )
        else:
            message = f"'{path}' holds no numbers."
        yield DataWarning(WarningCode.NO_NUMBERS, where, message)


def _of_filters(filters: Iterable[Filter], seen: VisibleProperties, where: str) -> Iterator[DataWarning]:
    for index, item in enumerate(filters):
        place = f"{where}[{index}]"
        if isinstance(item, AnyOf):
            yield from _of_filters(item.operands, seen, f"{place}.operands")
        elif item.session is not None:
            continue
        elif not seen.knows(item.path):
            yield _unknown(item.path, seen, f"{place}.property_name")
        else:
            yield from _of_condition(item, seen, f"{place}.property_value")


_UNTYPED = (Operator.EXISTS, Operator.IN_GROUP, Operator.IN_COHORT, Operator.NOT_IN_COHORT)


def _of_condition(item: Condition, seen: VisibleProperties, where: str) -> Iterator[DataWarning]:
    """Warnings about an operand of a type that the property never has."""
    operand = item.operand
    long = isinstance(operand, list) and len(operand) > LIST_LENGTH_MAX
    if item.operator in _UNTYPED or operand is None or long:
        return
    simplified = operators.predicate((item,), seen.available)
    if simplified not in (p.FALSE, p.TRUE):
        return
    kinds = sorted({_TYPE_NAMES[column.kind] for column in seen.available.at(item.path)})
    holds = f"'{item.path}' holds {' and '.join(kinds) or 'no such value'}"
    compared = f"'{item.operator.value}' compares it with {_named(operand)}"
    if simplified == p.FALSE:
        yield DataWarning(
            WarningCode.FILTER_NEVER_MATCHES,
            where,
            f"The filter matches no event: {holds}, and {compared}.",
        )
    else:
        yield DataWarning(
            WarningCode.FILTER_ALWAYS_MATCHES,
            where,
            f"The filter matches every event: {holds}, and {compared}.",
        )


_TYPE_NAMES = {
    **dict.fromkeys(NUMERIC, "numbers"),
    ColumnKind.STRING: "text",
    ColumnKind.BOOLEAN: "true or false",
    ColumnKind.JSON: "lists",
    ColumnKind.INSTANT: "times",
    ColumnKind.PATHS: "lists",
}


def _named(operand: Any) -> str:
    if isinstance(operand, bool):
        return "true or false"
    if isinstance(operand, str):
        return "text"
    if isinstance(operand, (int, float)):
        return "a number"
    if isinstance(operand, list):
        return f"a list of {' and '.join(sorted({_named(element) for element in operand})) or 'nothing'}"
    return "null" if operand is None else "a place"


def _unknown(path: str, seen: VisibleProperties, where: str) -> DataWarning:
    near = nearest(path, seen.names())
    message = f"No event has the property '{path}'.{did_you_mean(path, [near] if near else [])}"
    return DataWarning(WarningCode.UNKNOWN_PROPERTY, where, message, near)
