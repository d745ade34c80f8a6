"""What the parsing of every analysis uses: the inputs of one parse, and values of several analyses."""

from __future__ import annotations

import re
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from datetime import tzinfo
from enum import StrEnum
from typing import Any, Protocol, TypeVar

from query.errors import InvalidQuery
from query.language import timeframe
from query.language.calendar import Unit
from query.language.fields import missing, required_text, wrong
from query.language.filters import Check, CheckRegex, RegexSizes, no_cohorts, parse_filters
from query.language.grouping import CODE as GROUP_CODE
from query.language.grouping import SessionOf, no_session, parse_groups
from query.language.nodes import ActorCohort, ActorIdentity, Buckets, Filter, Group, Span
from query.language.parameter_table import LENGTH_PATTERN
from query.language.preferences import Preferences, actor_property
from query.limits import Limits

_LENGTH = re.compile(LENGTH_PATTERN)
_Option = TypeVar("_Option", bound=StrEnum)


class CohortNames(Protocol):
    """The cohorts that questions name."""

    def cohort(self, parsing: Parsing, value: Any, name: str, code: str) -> ActorCohort:
        """The cohort that ``value`` names or defines. Raises InvalidQuery, which names the parameter."""


@dataclass(frozen=True, slots=True)
class Parsing:
    """The inputs that every part of one parse needs."""

    params: Mapping[str, Any]
    now_us: int
    limits: Limits
    check_regex: CheckRegex
    check: Check
    regex_sizes: RegexSizes
    preferences: Preferences
    cohorts: CohortNames | None = None
    """None where no cohort can be named."""
    session_of: SessionOf = no_session

    def filters(self, value: Any, name: str = "filters") -> tuple[Filter, ...]:
        return parse_filters(
            value,
            self.limits,
            self.check_regex,
            name,
            check=self.check,
            sizes=self.regex_sizes,
            cohort_of=self.cohort,
            session_of=self.session_of,
        )

    def groups(self, value: Any, name: str = "group_by") -> tuple[Group, ...]:
        return parse_groups(value, self.limits, self.check, name, self.cohort, session_of=self.session_of)

    def cohort(self, value: Any, name: str, code: str) -> ActorCohort:
        """The cohort that ``value`` names or defines. Raises InvalidQuery."""
        if self.cohorts is None:
            return no_cohorts(value, name, code)
        return self.cohorts.cohort(self, value, name, code)

    def collection(self, params: Mapping[str, Any] | None = None, where: str = "") -> str:
        """The collection that ``params``, by default those of the query, name."""
        named = self.params if params is None else params
        return required_text(named, "event_collection", self.limits.name_length_max, where)

    def span(self, frame: Any, zone: Any) -> Span:
        return timeframe.resolve(frame, zone, self.now_us, self.preferences.week_start)

    def buckets(self, span: Span) -> Buckets | None:
        """The parts of the span that the query's ``interval`` names."""
        frame, interval = self.params.get("timeframe"), self.params.get("interval")
        if interval is None or interval == "":
            return None
        if frame is None:
            raise missing("timeframe", because="interval")
        zone = timeframe.bucket_zone(frame, self.params.get("timezone"))
        return timeframe.buckets(span, interval, zone, self.limits.intervals_max, self.preferences.week_start)

    def actor(self, params: Mapping[str, Any], where: str = "") -> str:
        """The property that identifies an actor: that of ``params``, else the query's or the project's."""
        actor = actor_property(params.get("actor_property"), self.preferences.actor, f"{where}actor_property")
        if actor is None:
            raise missing(f"{where}actor_property")
        return actor

    @property
    def identity(self) -> ActorIdentity | None:
        """Whose events are an actor's, where the query says it."""
        return choice(ActorIdentity, "identity", self.params.get("identity"))

    @property
    def merged(self) -> bool:
        """Whether ids that are linked are one actor, in a question about actors."""
        return self.identity is not ActorIdentity.AS_SENT

    def own_or_root_actor(self, part: Mapping[str, Any], where: str) -> str:
        """The property that identifies an actor in a part of the query; without its own, the query's."""
        own = part.get("actor_property")
        return self.actor(self.params) if own is None or own in ("", []) else self.actor(part, where)

    def own_or_root(self, part: Mapping[str, Any], name: str) -> Any:
        """The value of a part of the query, or the query's where the part has none or an empty list."""
        own = part.get(name)
        return self.params.get(name) if own is None or own == [] else own


def choice(options: type[_Option], name: str, value: Any) -> _Option | None:
    """The option of this value; None where there is no value."""
    if value is None or value == "":
        return None
    try:
        return options(value)
    except ValueError:
        raise wrong(name, f"one of {', '.join(options)}", value) from None


def length(name: str, value: Any) -> int | None:
    """A length of time in µs; None where there is no value."""
    if value is None or value == "":
        return None
    if not isinstance(value, str) or not _LENGTH.fullmatch(value):
        raise wrong(name, "a length of time, as 30_minutes, 36_hours, 7_days or 2_weeks", value)
    number, _, unit = value.partition("_")
    return int(number) * timeframe.LENGTHS_US[Unit(unit.removesuffix("s"))]


@dataclass(frozen=True, slots=True)
class Periods:
    """The parts of a timeframe. Part i is ``[edges[i], edges[i + 1])``; there is at least one edge."""

    edges: tuple[int, ...]
    zone: tzinfo
    whole_end: int
    """Where the last part would end if the timeframe did not cut it."""


def divided(parsing: Parsing, default: str | None = None) -> Periods:
    """The parts into which ``interval``, or the default one, divides the timeframe."""
    params = parsing.params
    frame, zone, interval = params.get("timeframe"), params.get("timezone"), params.get("interval")
    if interval is None or interval == "":
        interval = default
    if interval is None:
        raise missing("interval")
    if frame is None:
        raise missing("timeframe", because="interval")
    week = parsing.preferences.week_start
    aligned = timeframe.bucket_zone(frame, zone)
    span = parsing.span(frame, zone)
    parts = timeframe.buckets(span, interval, aligned, parsing.limits.intervals_max, week)
    end = timeframe.whole_end(parts, interval, aligned, week) if len(parts.edges) > 1 else parts.edges[0]
    return Periods(parts.edges, aligned, end)


def group_of(parsing: Parsing, fields: Collection[str]) -> Group | None:
    """The one entry of ``group_by``. ``fields``: what the answer's rows have beside the group's value."""
    groups = parsing.groups(parsing.params.get("group_by"))
    if not groups:
        return None
    if len(groups) > 1:
        raise wrong("group_by", "one property", parsing.params.get("group_by"), GROUP_CODE)
    if groups[0].path in fields:
        raise InvalidQuery(
            f"'group_by' cannot name the property '{groups[0].path}': the answer's rows would have that key "
            "twice.",
            GROUP_CODE,
        )
    return groups[0]
