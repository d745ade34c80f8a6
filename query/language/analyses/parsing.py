"""What the parsing of every analysis uses: the inputs of one parse, and values of several analyses."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Any, TypeVar

from query.language import timeframe
from query.language.calendar import FIXED_US, Unit
from query.language.fields import missing, required_text, wrong
from query.language.filters import Check, CheckRegex, RegexSizes, parse_filters
from query.language.nodes import Buckets, Filter, Span
from query.language.parameter_table import LENGTH_PATTERN
from query.language.preferences import Preferences, actor_property
from query.limits import Limits

_LENGTH = re.compile(LENGTH_PATTERN)
_UNITS_US = {**FIXED_US, Unit.DAY: 86_400_000_000, Unit.WEEK: 7 * 86_400_000_000}
_Option = TypeVar("_Option", bound=StrEnum)


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

    def filters(self, value: Any, name: str = "filters") -> tuple[Filter, ...]:
        return parse_filters(
            value, self.limits, self.check_regex, name, check=self.check, sizes=self.regex_sizes
        )

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
    return int(number) * _UNITS_US[Unit(unit.removesuffix("s"))]
