"""Questions as immutable values, and the JSON that they are sent as.

``Query.count("purchases").where(P("price") > 5).by("country").previous(14, "days")`` is a question; each step
answers a new one. The same can be said by plain parameters: ``client.count("purchases", group_by=…)``.
"""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from collections.abc import Iterable, Iterator, Mapping, Sequence
from copy import deepcopy
from dataclasses import dataclass, field, replace
from datetime import UTC, date, datetime, time, timedelta, timezone, tzinfo
from decimal import Decimal
from enum import Enum
from typing import Any, Literal, Self, TypeAlias, TypeGuard
from uuid import UUID
from zoneinfo import ZoneInfo

Json: TypeAlias = dict[str, Any]
Unit: TypeAlias = Literal[
    "minute", "hour", "day", "week", "month", "year", "minutes", "hours", "days", "weeks", "months", "years"
]
Zone: TypeAlias = str | int | tzinfo
Direction: TypeAlias = Literal["ASC", "DESC"]
Preset: TypeAlias = Literal["keen", "mixpanel", "amplitude", "posthog", "ga4", "plausible"]
"""Services by whose defaults funnels, retention and sessions can count."""
UNITS = ("minute", "hour", "day", "week", "month", "year")


def as_json(value: Any) -> Any:
    """The value as JSON holds it: instants as ISO 8601 text with their offset, tuples and sets as lists.

    Raises ValueError for NaN, infinities and datetimes without a zone, TypeError for what JSON cannot hold.
    """
    if value is None or (isinstance(value, str | bool | int) and not isinstance(value, Enum)):
        return value
    if isinstance(value, float):
        if not math.isfinite(value):
            raise ValueError(f"{value} is no JSON number")
        return value
    if isinstance(value, datetime):
        return instant_text(value)
    if isinstance(value, Mapping):
        return {str(name): as_json(one) for name, one in value.items()}
    if isinstance(value, list | tuple | set | frozenset):
        return [as_json(one) for one in value]
    return _rarer_as_json(value)


def _rarer_as_json(value: Any) -> Any:
    if isinstance(value, Enum):
        return as_json(value.value)
    if isinstance(value, date):
        return value.isoformat()
    if isinstance(value, UUID):
        return str(value)
    if isinstance(value, Decimal):
        return int(value) if value == value.to_integral_value() else as_json(float(value))
    if isinstance(value, P):
        raise TypeError(f"a property is compared with values, not with another property ({value!r})")
    if hasattr(value, "tolist"):  # scalars and arrays of NumPy
        return as_json(value.tolist())
    raise TypeError(f"{type(value).__name__} is nothing that JSON holds: {value!r}")


def instant_text(moment: datetime) -> str:
    """ISO 8601 with the offset; ValueError for a datetime without a zone, whose instant nobody knows."""
    if moment.utcoffset() is None:
        raise ValueError(
            f"{moment!r} has no time zone: give it one, as datetime(2026, 1, 31, tzinfo=timezone.utc)"
        )
    return moment.isoformat()


def zone_as_json(zone: Zone) -> str | int:
    """A zone as questions name it: an IANA name, or seconds east of UTC."""
    if isinstance(zone, str | int):
        return zone
    name = getattr(zone, "key", None) or getattr(zone, "zone", None)
    if isinstance(name, str):
        return name
    offset = zone.utcoffset(None)
    if offset is None:
        raise ValueError(f"{zone!r} has neither a name nor a fixed offset: use zoneinfo.ZoneInfo")
    return int(offset.total_seconds())


# Filters


@dataclass(frozen=True, slots=True)
class Condition:
    """What a filter demands: every one of ``clauses``, each of which is met by any one of its filters.

    Conditions are joined with ``&`` and ``|``.
    """

    clauses: tuple[tuple[tuple[str, str, Any], ...], ...]

    def __and__(self, other: Condition) -> Condition:
        if not isinstance(other, Condition):
            return NotImplemented
        return Condition((*self.clauses, *other.clauses))

    def __or__(self, other: Condition) -> Condition:
        if not isinstance(other, Condition):
            return NotImplemented
        return Condition(tuple((*mine, *its) for mine in self.clauses for its in other.clauses))

    def __bool__(self) -> bool:
        raise TypeError(
            "a condition is neither true nor false: join conditions with & and | (in parentheses), not with "
            "'and', 'or', 'not' or chained comparisons"
        )

    def to_json(self) -> list[Json]:
        """The filters, all of which must hold."""
        return [_clause_as_json(clause) for clause in self.clauses]


def _clause_as_json(clause: tuple[tuple[str, str, Any], ...]) -> Json:
    filters = [
        {**({"property_name": name} if name else {}), "operator": operator, "property_value": as_json(value)}
        for name, operator, value in clause
    ]
    return filters[0] if len(filters) == 1 else {"operator": "or", "operands": filters}


@dataclass(frozen=True, slots=True, eq=False)
class P:
    """A property of events, by its dotted path; comparisons with values make conditions.

    ``P("price") > 5``, ``P("user.plan") == "free"``, ``P("country").in_(["DE", "PL"])``.
    """

    name: str

    def _is(self, operator: str, value: Any) -> Condition:
        as_json(value)  # what cannot be sent is refused where it is written
        return Condition((((self.name, operator, value),),))

    def __eq__(self, value: object) -> Condition:  # type: ignore[override]
        return self._is("eq", value)

    def __ne__(self, value: object) -> Condition:  # type: ignore[override]
        return self._is("ne", value)

    __hash__ = None  # type: ignore[assignment]

    def __lt__(self, value: Any) -> Condition:
        return self._is("lt", value)

    def __le__(self, value: Any) -> Condition:
        return self._is("lte", value)

    def __gt__(self, value: Any) -> Condition:
        return self._is("gt", value)

    def __ge__(self, value: Any) -> Condition:
        return self._is("gte", value)

    def in_(self, values: Iterable[Any]) -> Condition:
        """Equal to one of these values."""
        if isinstance(values, str):
            raise TypeError(f"in_ takes a list of values: in_([{values!r}])")
        return self._is("in", list(values))

    def exists(self, there: bool = True) -> Condition:
        """The event has the property, be it null; with ``False``: it has not."""
        return self._is("exists", there)

    def contains(self, part: Any) -> Condition:
        """The text holds this part; the list holds this element."""
        return self._is("contains", part)

    def not_contains(self, part: Any) -> Condition:
        """``contains`` does not hold; so also if the property is missing."""
        return self._is("not_contains", part)

    def matches(self, regex: str) -> Condition:
        """Some part of the text matches the regular expression (RE2 syntax)."""
        return self._is("regex", regex)

    def within(self, longitude: float, latitude: float, miles: float) -> Condition:
        """``keen.location.coordinates`` lies within a circle."""
        circle = {"coordinates": [longitude, latitude], "max_distance_miles": miles}
        return self._is("within", circle)

    def buckets(self, size: float) -> Group:
        """For ``by``: groups of numbers, each ``size`` wide, named by their lower bound."""
        return Group(self.name, {"buckets": {"size": as_json(size)}})

    def ranges(self, *ranges: tuple[Any, ...]) -> Group:
        """For ``by``: groups of numbers, each ``(from, to)`` or ``(from, to, label)``; None is open."""
        shown = []
        for low, high, *label in ranges:
            ends = {"from": as_json(low), "to": as_json(high), "label": label[0] if label else None}
            shown.append({name: value for name, value in ends.items() if value is not None})
        return Group(self.name, {"ranges": shown})


def in_cohort(cohort: str | Mapping[str, Any], actor: str | P | None = None) -> Condition:
    """The event's actor is in a cohort: its name, or a definition.

    ``actor`` is the property that identifies the actor in these events; without it, the cohort's.
    """
    return Condition((((_name(actor) or "", "in_cohort", as_json(cohort)),),))


def not_in_cohort(cohort: str | Mapping[str, Any], actor: str | P | None = None) -> Condition:
    """The event has an actor, which is not in the cohort."""
    return Condition((((_name(actor) or "", "not_in_cohort", as_json(cohort)),),))


FilterLike: TypeAlias = Condition | Mapping[str, Any]


def filters_as_json(filters: FilterLike | Iterable[FilterLike]) -> list[Json]:
    """Conditions and filter objects, mixed, as the list of filters that questions take."""
    given = [filters] if isinstance(filters, Condition | Mapping) else filters
    if isinstance(given, str):
        raise TypeError("filters are a list of conditions or filter objects, not a text")
    listed: list[Json] = []
    for one in given:
        if isinstance(one, Condition):
            listed.extend(one.to_json())
        elif isinstance(one, Mapping):
            listed.append(as_json(one))
        else:
            raise TypeError(f"a filter is a condition, as P('price') > 5, or an object; not {one!r}")
    return listed


def _name(one: Any) -> Any:
    return one.name if isinstance(one, P) else one


# Groups, orders, timeframes


@dataclass(frozen=True, slots=True)
class Group:
    """An entry of ``group_by`` that puts numbers into classes."""

    name: str
    classes: Json = field(hash=False)

    def to_json(self) -> Json:
        return {"property_name": self.name, **self.classes}


GroupLike: TypeAlias = str | P | Group | Mapping[str, Any]
OrderLike: TypeAlias = str | P | Mapping[str, Any] | tuple[str, Direction]


def groups_as_json(groups: GroupLike | Iterable[GroupLike]) -> list[Any]:
    given = [groups] if isinstance(groups, str | P | Group | Mapping) else list(groups)
    return [_group_as_json(group) for group in given]


def _group_as_json(group: GroupLike) -> Any:
    if isinstance(group, P):
        return group.name
    return group.to_json() if isinstance(group, Group) else as_json(group)


def orders_as_json(orders: OrderLike | Iterable[OrderLike]) -> list[Json]:
    if isinstance(orders, str | P | Mapping) or _is_directed(orders):
        return [_order_as_json(orders)]
    return [_order_as_json(order) for order in orders]


def _is_directed(order: object) -> TypeGuard[tuple[str, Direction]]:
    """Whether this is a pair of a name and a direction, not a list of two names."""
    return isinstance(order, tuple) and len(order) == 2 and order[1] in ("ASC", "DESC")


def _order_as_json(order: Any) -> Json:
    if isinstance(order, Mapping):
        return dict(as_json(order))
    name, direction = order if _is_directed(order) else (order, "ASC")
    return {"property_name": _name(name), "direction": direction}


def framed_as_json(timeframe: Any, zone: Zone | None = None) -> Json:
    """``timeframe`` and ``timezone`` as questions take them, the latter where there is a zone.

    A timeframe is a relative one as text, ``start`` and ``end``, or a pair of them with None for an open end.
    Dates and datetimes without a zone are of ``zone``; without one it is the named zone of a datetime. Text
    goes as it is.
    """
    if isinstance(timeframe, str):
        shown: Any = timeframe
    else:
        ends = timeframe if isinstance(timeframe, Mapping) else _named_ends(timeframe)
        if zone is None:
            zone = next(filter(None, map(_named_zone, ends.values())), None)
        shown = {name: _end(value, zone) for name, value in ends.items() if value is not None}
    return {"timeframe": shown} if zone is None else {"timeframe": shown, "timezone": zone_as_json(zone)}


def _named_ends(pair: Any) -> Json:
    try:
        start, end = pair
    except (TypeError, ValueError):
        raise TypeError(f"a timeframe is a text, start and end, or a pair of them; not {pair!r}") from None
    return {"start": start, "end": end}


def _named_zone(moment: Any) -> str | None:
    name = getattr(moment.tzinfo, "key", None) if isinstance(moment, datetime) else None
    return name if isinstance(name, str) else None


def _end(moment: Any, zone: Zone | None) -> Any:
    if isinstance(moment, date) and not isinstance(moment, datetime):
        return instant_text(datetime.combine(moment, time(), zone_of(zone)))
    if isinstance(moment, datetime):
        if zone is not None:
            # The offset of a timeframe's start rules its intervals: it is written as the zone has it.
            there = zone_of(zone)
            moment = moment.replace(tzinfo=there) if moment.tzinfo is None else moment.astimezone(there)
        return instant_text(moment)
    return moment


def zone_of(zone: Zone | None) -> tzinfo:
    """The zone that a question names; UTC where it names none. ValueError for one that is unknown here."""
    if zone is None or zone == "":
        return UTC
    if isinstance(zone, tzinfo):
        return zone
    if isinstance(zone, int):
        return timezone(timedelta(seconds=zone))
    try:
        return ZoneInfo(zone)
    except (KeyError, ValueError, OSError) as error:
        raise ValueError(f"this machine knows no time zone {zone!r}") from error


# Queries


class Narrowed(ABC):
    """What a question and a step of a funnel have in common: filters, a timeframe, a zone.

    Every method answers a new value and changes nothing.
    """

    __slots__ = ()

    @property
    @abstractmethod
    def parameters(self) -> Mapping[str, Any]: ...

    @abstractmethod
    def _with(self, **parameters: Any) -> Self: ...

    def where(self, *conditions: FilterLike) -> Self:
        """Only events that meet these conditions too."""
        return self._with(filters=[*self.parameters.get("filters", []), *filters_as_json(conditions)])

    def this(self, count: int, unit: Unit, tz: Zone | None = None) -> Self:
        """The last ``count`` units, the current one included: ``this(7, "days")`` ends with today."""
        return self.during(_relative("this", count, unit), tz)

    def previous(self, count: int, unit: Unit, tz: Zone | None = None) -> Self:
        """The ``count`` whole units before the current one: ``previous(7, "days")`` ends with yesterday."""
        return self.during(_relative("previous", count, unit), tz)

    def last(self, count: int, unit: Unit, tz: Zone | None = None) -> Self:
        """The same as ``previous``: whole units, without the current one."""
        return self.previous(count, unit, tz)

    def today(self, tz: Zone | None = None) -> Self:
        return self.during("today", tz)

    def yesterday(self, tz: Zone | None = None) -> Self:
        return self.during("yesterday", tz)

    def between(self, start: Any, end: Any, tz: Zone | None = None) -> Self:
        """From ``start`` (included) to ``end`` (not): datetimes, dates or ISO 8601 text; None is open.

        Dates and datetimes without a zone are of ``tz``. Where the question has no zone, a datetime's own
        named one is it, so that days begin when they do there.
        """
        return self._framed((start, end), tz)

    def since(self, start: Any, tz: Zone | None = None) -> Self:
        return self.between(start, None, tz)

    def until(self, end: Any, tz: Zone | None = None) -> Self:
        return self.between(None, end, tz)

    def during(self, timeframe: Any, tz: Zone | None = None) -> Self:
        """A timeframe as the API writes it: ``"this_14_days"``, or ``{"start": …, "end": …}``."""
        return self._framed(timeframe, tz)

    def _framed(self, timeframe: Any, tz: Zone | None) -> Self:
        zone = tz if tz is not None else self.parameters.get("timezone")
        return self._with(**framed_as_json(timeframe, zone))

    def timezone(self, tz: Zone) -> Self:
        """The zone of relative timeframes and intervals; the zone of the answer's instants."""
        return self._with(timezone=zone_as_json(tz))

    def week_start(self, day: Literal["sunday", "monday"]) -> Self:
        return self._with(week_start=day)

    def with_(self, **parameters: Any) -> Self:
        """Parameters by their names in the API."""
        return self._with(**parameters_as_json(parameters))


@dataclass(frozen=True, slots=True)
class Query(Narrowed):
    """A question: an analysis and its parameters. Every method answers a new one and changes nothing."""

    analysis: str
    parameters: Mapping[str, Any] = field(default_factory=dict, hash=False)

    # The analyses

    @staticmethod
    def count(collection: str) -> Aggregate:
        """How many events."""
        return Aggregate.of("count", collection)

    @staticmethod
    def count_unique(collection: str, target: str | P) -> Aggregate:
        """How many different values of a property."""
        return Aggregate.of("count_unique", collection, target)

    @staticmethod
    def minimum(collection: str, target: str | P) -> Aggregate:
        """The least number."""
        return Aggregate.of("minimum", collection, target)

    @staticmethod
    def maximum(collection: str, target: str | P) -> Aggregate:
        """The greatest number."""
        return Aggregate.of("maximum", collection, target)

    @staticmethod
    def sum(collection: str, target: str | P) -> Aggregate:
        """The sum of the numbers."""
        return Aggregate.of("sum", collection, target)

    @staticmethod
    def average(collection: str, target: str | P) -> Aggregate:
        """The arithmetic mean of the numbers."""
        return Aggregate.of("average", collection, target)

    @staticmethod
    def median(collection: str, target: str | P) -> Aggregate:
        """The nearest-rank median of the numbers."""
        return Aggregate.of("median", collection, target)

    @staticmethod
    def percentile(collection: str, target: str | P, percentile: float) -> Aggregate:
        """The least number that at least ``percentile`` per cent of the numbers do not exceed."""
        return Aggregate.of("percentile", collection, target)._with(percentile=percentile)

    @staticmethod
    def standard_deviation(collection: str, target: str | P) -> Aggregate:
        """The standard deviation of the whole population."""
        return Aggregate.of("standard_deviation", collection, target)

    @staticmethod
    def select_unique(collection: str, target: str | P) -> Aggregate:
        """The different values of a property."""
        return Aggregate.of("select_unique", collection, target)

    @staticmethod
    def multi_analysis(
        collection: str, analyses: Mapping[str, Metric] | None = None, /, **labelled: Metric
    ) -> Aggregate:
        """Several analyses in one go, by labels: ``orders=Metric.count(), revenue=Metric.sum("price")``."""
        shown = {label: metric.to_json() for label, metric in {**(analyses or {}), **labelled}.items()}
        return Aggregate.of("multi_analysis", collection)._with(analyses=shown)

    @staticmethod
    def series(
        named: Mapping[str, Query | Mapping[str, Any]] | None = None,
        /,
        **labelled: Query | Mapping[str, Any],
    ) -> SeriesQuestion:
        """Several questions side by side, by names: ``visits=Query.count("visits"), revenue=Query.sum(…)``.

        Each has its own collection, analysis and filters; timeframe, groups and interval are the whole's.
        """
        return SeriesQuestion("series", {"series": _series_as_json({**(named or {}), **labelled})})

    @staticmethod
    def funnel(*steps: Step) -> Funnel:
        """How many actors did the first step, how many of those the second, and so on."""
        return Funnel("funnel", {"steps": [step.to_json() for step in steps]})

    @staticmethod
    def sessions(*events: EventsLike) -> Sessions:
        """Sessions of the events of a collection, or of several: how many, how long, where they begin."""
        return Sessions("sessions", _named_events(events))

    @staticmethod
    def retention(
        starting: str | Step, returning: str | Step | None = None, *, actor: str | P | None = None
    ) -> Retention:
        """How many actors came back, by when they started. An event is a collection, or a ``Step`` with
        filters of its own."""
        given = {"starting_event": starting, "returning_event": returning, "actor_property": actor}
        return Retention("retention", parameters_as_json(given))

    @staticmethod
    def lifecycle(*events: EventsLike) -> Lifecycle:
        """How many actors are new, return, come back after a pause or stay away, interval by interval."""
        return Lifecycle("lifecycle", _named_events(events))

    @staticmethod
    def stickiness(*events: EventsLike) -> Stickiness:
        """The actors of each day, its week and its month, and their ratios; or how often they come."""
        return Stickiness("stickiness", _named_events(events))

    @staticmethod
    def paths(*events: EventsLike) -> Paths:
        """The paths that actors take through the events of a collection, or of several."""
        return Paths("paths", _named_events(events))

    @staticmethod
    def extraction(collection: str) -> Extraction:
        """The events themselves."""
        return Extraction("extraction", {"event_collection": collection})

    def max_age(self, seconds: int) -> Self:
        """How old the answer may be; otherwise it is computed for this request."""
        return self._with(max_age=seconds)

    def as_of(self, version: str | datetime) -> Self:
        """The answer as of an earlier version, which an explanation names, or of an instant."""
        return self._with(as_of=as_json(version))

    def include_metadata(self) -> Self:
        """Have the answer say what it took."""
        return self._with(include_metadata=True)

    def explain(self) -> Self:
        """Have the answer say what was run for it."""
        return self._with(explain=True)

    # What it becomes

    def to_json(self) -> Json:
        """The parameters, as the query routes take them."""
        return deepcopy(dict(self.parameters))

    def to_definition(self) -> Json:
        """The parameters and ``analysis_type``, as saved queries and datasets take them."""
        return {"analysis_type": self.analysis, **self.to_json()}

    def _with(self, **parameters: Any) -> Self:
        return replace(self, parameters={**self.parameters, **parameters})


def _relative(which: str, count: int, unit: str) -> str:
    singular = unit.removesuffix("s")
    if singular not in UNITS:
        raise ValueError(f"units are {', '.join(UNITS)}; not {unit!r}")
    if isinstance(count, bool) or not isinstance(count, int) or count < 1:
        raise ValueError(f"the number of {singular}s must be an integer of at least 1, not {count!r}")
    return f"{which}_{count}_{singular}s"


@dataclass(frozen=True, slots=True)
class Timed(Query):
    """A question whose answer may be divided by intervals."""

    def minutely(self) -> Self:
        return self._with(interval="minutely")

    def hourly(self) -> Self:
        return self._with(interval="hourly")

    def daily(self) -> Self:
        return self._with(interval="daily")

    def weekly(self) -> Self:
        return self._with(interval="weekly")

    def monthly(self) -> Self:
        return self._with(interval="monthly")

    def yearly(self) -> Self:
        return self._with(interval="yearly")


@dataclass(frozen=True, slots=True)
class Divided(Timed):
    """A question whose answer may be divided by groups and intervals."""

    def by(self, *groups: GroupLike) -> Self:
        """One answer for each value of these properties, or for each class: ``P("price").buckets(10)``."""
        return self._with(group_by=[*self.parameters.get("group_by", []), *groups_as_json(groups)])

    def every(self, count: int, unit: Unit) -> Self:
        """Intervals of so many units, counted from the timeframe's start."""
        return self._with(interval=_relative("every", count, unit))


@dataclass(frozen=True, slots=True)
class Aggregate(Divided):
    """A question for numbers or values of single events."""

    @classmethod
    def of(cls, analysis: str, collection: str, target: str | P | None = None) -> Self:
        parameters = {"event_collection": collection}
        if target is not None:
            parameters["target_property"] = _name(target)
        return cls(analysis, parameters)

    def order_by(self, *names: OrderLike, descending: bool = False) -> Self:
        """Order of the groups: by ``"result"``, a grouped property, or a label of a multi_analysis."""
        direction: Direction = "DESC" if descending else "ASC"
        orders = [(_name(one), direction) if isinstance(one, str | P) else one for one in names]
        return self._with(order_by=orders_as_json(orders))

    def limit(self, count: int) -> Self:
        """The first groups only; needs an order."""
        return self._with(limit=count)

    def zero_fill(self, fill: bool) -> Self:
        """Whether every group appears in every interval, as it does unless told."""
        return self._with(zero_fill=fill)

    def round(self, decimals: int | Literal["none"]) -> Self:
        return self._with(round=decimals)


@dataclass(frozen=True, slots=True)
class SeriesQuestion(Aggregate):
    """A question for several series, and for what is computed of them."""

    def formula(self, name: str, formula: str) -> Self:
        """One more value: ``formula("revenue per visit", "revenue / visits")``."""
        return self._with(formulas={**self.parameters.get("formulas", {}), name: formula})

    def compare(self, period: Any) -> Self:
        """With ``"previous_period"``, ``"previous_year"``, ``"same_weekdays"`` or a timeframe."""
        return self._with(compare=_compare_as_json(period, self.parameters.get("timezone")))

    def rolling(self, named: Mapping[str, int] | None = None, /, **lengths: int) -> Self:
        """Series also over so many intervals, ending with each: ``rolling(visitors=7)``."""
        return self._with(rolling={**self.parameters.get("rolling", {}), **(named or {}), **lengths})

    def completeness(self, intervals: int | None = None) -> Self:
        """Have the answer say how much of the newest intervals has arrived, judged by so many before them."""
        return self._with(completeness=True if intervals is None else {"intervals": intervals})

    def cumulative(self, *names: str) -> Self:
        """Series also from the timeframe's start to each interval's end."""
        return self._with(cumulative=[*self.parameters.get("cumulative", []), *names])

    def share(self, *names: str) -> Self:
        """Series also in per cent of the total."""
        return self._with(share=[*self.parameters.get("share", []), *names])

    def top(self, limit: int, by: str | None = None, other: bool | str = False) -> Self:
        """Only the first groups of the whole timeframe; ``other`` adds a row of all others."""
        given = {"limit": limit, "by": by, "other": other}
        return self._with(top={name: value for name, value in given.items() if value is not None})

    def fill(self, value: Literal[0, "null", "previous"] | None) -> Self:
        """What stands where a series has no data."""
        return self._with(fill="null" if value is None else value)

    def show(self, *names: str) -> Self:
        """Only these of all series, formulas and what is computed of them."""
        return self._with(show=[*self.parameters.get("show", []), *names])


@dataclass(frozen=True, slots=True)
class Sessions(Aggregate):
    """A question for sessions: what an actor does without a long break."""

    def actor(self, actor: str | P) -> Self:
        """The property that identifies an actor; if absent, the project's preference."""
        return self._with(actor_property=_name(actor))

    def as_counted_by(self, service: Preset) -> Self:
        """Count by the defaults of another service, where the question has no parameter of its own."""
        return self._with(counting=service)

    def gap(self, length: str) -> Self:
        """The break after which another session begins, as ``"30_minutes"``."""
        return self._with(gap=length)

    def longest(self, length: str) -> Self:
        """The longest time from a session's first event to its last."""
        return self._with(longest=length)

    def cut_daily(self) -> Self:
        """Sessions end at midnight too."""
        return self._with(cut="daily")

    def measures(self, *names: str) -> Self:
        """What is said of sessions: ``"sessions"``, ``"bounce_rate"``, ``"duration_p90"`` …"""
        return self._with(measures=list(names))

    def pages(self, target: str | P, most: int | None = None) -> Self:
        """The property whose values are a session's entry and exit, and how many of these are named."""
        number = {} if most is None else {"pages": most}
        return self._with(page_property=_name(target), **number)

    def by_exit(self) -> Self:
        """Groups are those of a session's last event."""
        return self._with(attribution="exit")


@dataclass(frozen=True, slots=True)
class Lifecycle(Aggregate):
    """A question for the actors that are new, return, are resurrected or dormant. It needs an interval."""

    def actor(self, actor: str | P) -> Self:
        """The property that identifies an actor; if absent, the project's preference."""
        return self._with(actor_property=_name(actor))

    def first_in_timeframe(self) -> Self:
        """Whoever was there before the timeframe counts as new in it."""
        return self._with(first_in="timeframe")


@dataclass(frozen=True, slots=True)
class Stickiness(Divided):
    """A question for how often actors come."""

    def actor(self, actor: str | P) -> Self:
        """The property that identifies an actor; if absent, the project's preference."""
        return self._with(actor_property=_name(actor))

    def histogram(self) -> Self:
        """How many actors were active in 1, 2, 3 … parts of the timeframe."""
        return self._with(histogram=True)

    def month_days(self, days: Literal[28, 30]) -> Self:
        """How many days a month has for ``mau``."""
        return self._with(month_days=days)

    def round(self, decimals: int | Literal["none"]) -> Self:
        return self._with(round=decimals)


@dataclass(frozen=True, slots=True)
class Paths(Query):
    """A question for the paths that actors take: nodes and edges, for a Sankey diagram."""

    def actor(self, actor: str | P) -> Self:
        """The property that identifies an actor; if absent, the project's preference."""
        return self._with(actor_property=_name(actor))

    def named_by(self, target: str | P) -> Self:
        """The property whose values are the nodes."""
        return self._with(by=_name(target))

    def starting_at(self, anchor: EventsLike) -> Self:
        """Paths begin at a node of this name, or at an event as ``{"event_collection": …, "filters": …}``."""
        return self._with(**{"from": anchor_as_json(anchor)})

    def ending_at(self, anchor: EventsLike) -> Self:
        """Paths end at a node of this name, or at an event."""
        return self._with(to=anchor_as_json(anchor))

    def depth(self, nodes: int) -> Self:
        """The most nodes of a path."""
        return self._with(depth=nodes)

    def counting(self, what: Literal["actors", "sessions", "occurrences"], gap: str | None = None) -> Self:
        """One path of each; ``gap`` is the break that ends a path, as ``"30_minutes"``."""
        return self._with(counting=what, **({} if gap is None else {"gap": gap}))

    def within(self, window: str) -> Self:
        """The longest time from the event that paths begin, or end, at: ``"1_days"``."""
        return self._with(window=window)

    def rename(self, named: Mapping[str, str]) -> Self:
        """Other names for those that match: ``{"/product/*": "a product"}``."""
        rules = [{"match": match, "as": name} for match, name in named.items()]
        return self._with(rename=[*self.parameters.get("rename", []), *rules])

    def repeats(self) -> Self:
        """Events of one name that follow each other are nodes of their own."""
        return self._with(collapse_repeats=False)

    def most(self, nodes: int | None = None, *, least: int | None = None) -> Self:
        """How many nodes of each step are named, and how many paths an edge must have."""
        given = {"nodes": nodes, "least": least}
        return self._with(**{name: value for name, value in given.items() if value is not None})


@dataclass(frozen=True, slots=True)
class Extraction(Query):
    """A question for the events themselves."""

    def latest(self, count: int) -> Self:
        """The newest so many, newest first."""
        return self._with(latest=count)

    def only(self, *properties: str | P) -> Self:
        """Only these properties of each event."""
        names = [_name(one) for one in properties]
        return self._with(property_names=[*self.parameters.get("property_names", []), *names])


@dataclass(frozen=True, slots=True)
class Funnel(Timed):
    """A question for the actors that did one thing after another.

    By intervals it needs an order, and counts by the time of the first step.
    """

    def ordered(
        self,
        *,
        strict: bool = False,
        window: str | None = None,
        equal_times: Literal["in_order", "apart"] | None = None,
    ) -> Self:
        """Each step follows the one before in time, with ``strict`` with no other step between them.

        ``window`` is the longest time from the first step to the last one, as ``"7_days"``.
        """
        given = {"order": "strict" if strict else "ordered", "window": window, "equal_times": equal_times}
        return self._with(**{name: value for name, value in given.items() if value is not None})

    def excluding(self, step: Step, *, after_step: int | None = None, before_step: int | None = None) -> Self:
        """No event of ``step`` may lie between these two steps, by default the first and the last."""
        places = {"after_step": after_step, "before_step": before_step}
        given = {name: place for name, place in places.items() if place is not None}
        exclusions = [*self.parameters.get("exclusions", []), {**step.to_json(), **given}]
        return self._with(exclusions=exclusions)

    def hold(self, name: str | P) -> Self:
        """The property has one value in all steps of an actor."""
        return self._with(hold=_name(name))

    def by(self, group: str | P, attribution: Literal["first", "last"] | int | None = None) -> Self:
        """One row for each value of a property, as the ``attribution`` step of an actor's attempt says it."""
        more = {} if attribution is None else {"attribution": attribution}
        return self._with(group_by=_name(group), **more)

    def every(self, interval: str) -> Self:
        """One answer for each interval, by the time of the first step: ``every("weekly")``."""
        return self._with(interval=interval)

    def counting(
        self, what: Literal["actors", "sessions", "conversions"] | Preset, session_gap: str | None = None
    ) -> Self:
        """What a step counts, or the service by whose defaults to count."""
        more = {} if session_gap is None else {"session_gap": session_gap}
        return self._with(counting=what, **more)

    def times(
        self, percentiles: Iterable[float] | None = None, histogram: Iterable[float] | None = None
    ) -> Self:
        """Have the answer say how long the steps took; the edges of the histogram are in seconds."""
        lists = {"percentiles": percentiles, "histogram": histogram}
        given = {name: list(values) for name, values in lists.items() if values is not None}
        return self._with(times=given or True)

    def explain_actor(self, actor: Any) -> Self:
        """Have the answer say which events of an actor counted, and why it did not get further."""
        return self._with(explain_actor=as_json(actor))


@dataclass(frozen=True, slots=True)
class Retention(Divided):
    """A question for the actors that came back. It needs a timeframe and an interval."""

    def round(self, decimals: int | Literal["none"]) -> Self:
        return self._with(round=decimals)

    def as_counted_by(self, service: Preset) -> Self:
        """Count by the defaults of another service, where the question has no parameter of its own."""
        return self._with(counting=service)

    def recurring(self) -> Self:
        """Every period has a cohort of all that did the starting event in it, not of the new ones only."""
        return self._with(cohort="recurring")

    def first_in_history(self) -> Self:
        """Only actors whose first starting event of all lies in the timeframe."""
        return self._with(first_in="history")

    def rolling(self) -> Self:
        """Periods of 24 hours (or the interval's length) from the starting event on."""
        return self._with(period_type="rolling")

    def periods(self, count: int) -> Self:
        """How many periods after the starting one are looked at."""
        return self._with(periods=count)

    def on_or_after(self) -> Self:
        """An actor is retained in a period by returning in it or in any later one."""
        return self._with(returned="on_or_after")

    def brackets(self, *brackets: tuple[int, int]) -> Self:
        """Several periods in one number: ``brackets((1, 3), (4, 7))``."""
        return self._with(brackets=[list(bracket) for bracket in brackets])


@dataclass(frozen=True, slots=True)
class Step(Narrowed):
    """A step of a funnel, or an event of a retention: ``Step("visits", "user.id").where(P("price") > 5)``.

    ``actor`` is the property that identifies an actor; if absent, the project's preference.
    """

    collection: str
    actor: str | P | None = field(default=None, compare=False)
    parameters: Mapping[str, Any] = field(default_factory=dict, hash=False)

    def inverted(self) -> Self:
        """Those who did *not* do it stay; not for the first step."""
        return self._with(inverted=True)

    def optional(self) -> Self:
        """Counted, but no actor drops out; not for the first step."""
        return self._with(optional=True)

    def with_actors(self) -> Self:
        """Have the answer name this step's actors."""
        return self._with(with_actors=True)

    def with_dropped(self) -> Self:
        """Have the answer name the actors of the step before that did not do this one."""
        return self._with(with_dropped=True)

    def gap(self, *, least: str | None = None, most: str | None = None) -> Self:
        """The time after the step before, as ``"10_minutes"``."""
        given = {"min_gap": least, "max_gap": most}
        return self._with(**{name: gap for name, gap in given.items() if gap is not None})

    def to_json(self) -> Json:
        named = {"event_collection": self.collection}
        if self.actor is not None:
            named["actor_property"] = _name(self.actor)
        return {**named, **deepcopy(dict(self.parameters))}

    def _with(self, **parameters: Any) -> Self:
        return replace(self, parameters={**self.parameters, **parameters})


@dataclass(frozen=True, slots=True)
class Metric:
    """One analysis of a multi_analysis."""

    analysis: str
    parameters: Mapping[str, Any] = field(default_factory=dict, hash=False)

    @classmethod
    def count(cls) -> Metric:
        return cls("count")

    @classmethod
    def count_unique(cls, target: str | P) -> Metric:
        return cls._of("count_unique", target)

    @classmethod
    def minimum(cls, target: str | P) -> Metric:
        return cls._of("minimum", target)

    @classmethod
    def maximum(cls, target: str | P) -> Metric:
        return cls._of("maximum", target)

    @classmethod
    def sum(cls, target: str | P) -> Metric:
        return cls._of("sum", target)

    @classmethod
    def average(cls, target: str | P) -> Metric:
        return cls._of("average", target)

    @classmethod
    def median(cls, target: str | P) -> Metric:
        return cls._of("median", target)

    @classmethod
    def percentile(cls, target: str | P, percentile: float) -> Metric:
        return cls._of("percentile", target, percentile=percentile)

    @classmethod
    def standard_deviation(cls, target: str | P) -> Metric:
        return cls._of("standard_deviation", target)

    @classmethod
    def select_unique(cls, target: str | P) -> Metric:
        return cls._of("select_unique", target)

    def round(self, decimals: int | Literal["none"]) -> Metric:
        return replace(self, parameters={**self.parameters, "round": decimals})

    def to_json(self) -> Json:
        return {"analysis_type": self.analysis, **self.parameters}

    @classmethod
    def _of(cls, analysis: str, target: str | P, **more: Any) -> Metric:
        return cls(analysis, {"target_property": _name(target), **more})


# Plain parameters


def parameters_as_json(parameters: Mapping[str, Any]) -> Json:
    """Plain parameters as questions take them: those that are None are left out."""
    shown: Json = {}
    for name, value in parameters.items():
        if value is None:
            continue
        if name == "timeframe":
            shown |= framed_as_json(value, parameters.get("timezone"))
        elif name == "compare":
            shown[name] = _compare_as_json(value, parameters.get("timezone"))
        elif name in _READERS:
            shown[name] = _READERS[name](value)
        else:
            shown[name] = as_json(_name(value))
    return shown


EventsLike: TypeAlias = str | Mapping[str, Any]
"""A collection's name, or an object with ``event_collection`` and ``filters``."""


def events_as_json(events: EventsLike | Iterable[EventsLike]) -> list[Json]:
    """The entries of ``events``."""
    listed = [events] if isinstance(events, str | Mapping) else events
    named = ({"event_collection": one} if isinstance(one, str) else one for one in listed)
    return [parameters_as_json(one) for one in named]


def anchor_as_json(anchor: EventsLike) -> Any:
    """A node's name as it is, or an event."""
    return anchor if isinstance(anchor, str) else parameters_as_json(anchor)


def _analyses_as_json(analyses: Mapping[str, Metric | Mapping[str, Any]]) -> Json:
    return {
        label: one.to_json() if isinstance(one, Metric) else as_json(one) for label, one in analyses.items()
    }


def _series_as_json(named: Mapping[str, Query | Mapping[str, Any]]) -> Json:
    return {
        label: one.to_definition() if isinstance(one, Query) else parameters_as_json(one)
        for label, one in named.items()
    }


def _compare_as_json(period: Any, zone: Zone | None = None) -> Any:
    return framed_as_json(period, zone)["timeframe"]


def _steps_as_json(steps: Iterable[Step | Mapping[str, Any]]) -> list[Json]:
    return [one.to_json() if isinstance(one, Step) else parameters_as_json(one) for one in steps]


def _named_events(events: Sequence[EventsLike]) -> Json:
    if len(events) == 1 and isinstance(events[0], str):
        return {"event_collection": events[0]}
    return {"events": events_as_json(events)}


def _event_as_json(event: str | Step | Mapping[str, Any]) -> Json:
    return {"event_collection": event} if isinstance(event, str) else _steps_as_json([event])[0]


def _names_as_json(names: str | P | Iterable[str | P]) -> list[str]:
    given: Iterator[str | P] = iter([names] if isinstance(names, str | P) else names)
    return [_name(name) for name in given]


_READERS: Mapping[str, Any] = {
    "filters": filters_as_json,
    "group_by": groups_as_json,
    "order_by": orders_as_json,
    "timezone": zone_as_json,
    "analyses": _analyses_as_json,
    "steps": _steps_as_json,
    "series": _series_as_json,
    "starting_event": _event_as_json,
    "returning_event": _event_as_json,
    "property_names": _names_as_json,
    "measures": _names_as_json,
    "events": events_as_json,
    "from": anchor_as_json,
    "to": anchor_as_json,
}
