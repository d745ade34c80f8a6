"""Preferences: decimals of results, the day on which weeks begin, the property that identifies an actor.

A query's own parameter takes precedence over its project's preference, and that over the server's setting.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from query.errors import InvalidQuery
from query.language.calendar import WeekStart
from query.language.fields import text, whole, wrong
from query.language.suggestions import did_you_mean

ROUND = "round"
WEEK_START = "week_start"
ACTOR = "actor_property"
ACTOR_LENGTH_MAX = 10_000
NAMES = (ROUND, WEEK_START, ACTOR)
"""The names of preferences, also those of the parameters that override them."""
DECIMALS_MAX = 15
UNROUNDED = "none"
"""Turns rounding off, overriding the preference of the project or the server."""
_DAYS = tuple(day.value for day in WeekStart)


@dataclass(frozen=True, slots=True)
class Preferences:
    decimals: int | None = None
    """Decimals that results are rounded to; None: not rounded."""
    week_start: WeekStart = WeekStart.SUNDAY
    actor: str | None = None
    """The property that identifies an actor, where a query about behaviour names none."""

    def narrowed(self, overrides: Mapping[str, Any], where: str = "") -> Preferences:
        """These preferences, overridden by ``round``, ``week_start`` and ``actor_property`` of ``overrides``.

        ``where`` is the prefix of the parameters' names in messages. Raises InvalidQuery.
        """
        if not any(name in overrides for name in NAMES):
            return self
        return Preferences(
            decimals(overrides.get(ROUND), self.decimals, where + ROUND),
            week_start(overrides.get(WEEK_START), self.week_start, where + WEEK_START),
            actor_property(overrides.get(ACTOR), self.actor, where + ACTOR),
        )

    def of_project(self, stored: Mapping[str, Any]) -> Preferences:
        """As ``narrowed``, by a project's stored preferences; invalid ones, stored earlier, are ignored."""
        preferences = self
        for name in NAMES:
            try:
                preferences = preferences.narrowed({name: stored.get(name)})
            except InvalidQuery:
                continue
        return preferences


KEEN = Preferences()
"""The preferences of Keen: no rounding, weeks from Sunday."""


def decimals(value: Any, default: int | None, name: str = ROUND) -> int | None:
    """The number of decimals to round results to, None for no rounding; null and "" give the default.

    Raises InvalidQuery.
    """
    if value is None or value == "":
        return default
    if value == UNROUNDED:
        return None
    needs = f"an integer from 0 to {DECIMALS_MAX}, or '{UNROUNDED}'"
    try:
        number = whole(name, value, 0)
    except InvalidQuery:
        raise wrong(name, needs, value) from None
    if number > DECIMALS_MAX:
        raise wrong(name, needs, value)
    return number


def week_start(value: Any, default: WeekStart, name: str = WEEK_START) -> WeekStart:
    """The day on which weeks begin; null and "" give the default. Raises InvalidQuery."""
    if value is None or value == "":
        return default
    if not isinstance(value, str) or value not in _DAYS:
        raise wrong(name, f"one of {', '.join(_DAYS)}", value, hint=did_you_mean(value, _DAYS))
    return WeekStart(value)


def actor_property(value: Any, default: str | None, name: str = ACTOR) -> str | None:
    """The property that identifies an actor; null, "" and [] give the default. A list may name one.

    Raises InvalidQuery.
    """
    if value is None or value == "" or value == []:
        return default
    if isinstance(value, list) and len(value) == 1:
        value = value[0]
    return text(name, value, ACTOR_LENGTH_MAX)
