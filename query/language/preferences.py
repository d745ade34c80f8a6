"""Preferences: decimals that results are rounded to, and the day on which weeks begin.

A query's own parameter takes precedence over its project's preference, and that over the server's setting.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from query.errors import InvalidQuery
from query.language.calendar import WeekStart
from query.language.fields import whole, wrong
from query.language.suggestions import did_you_mean

ROUND = "round"
WEEK_START = "week_start"
DECIMALS_MAX = 15
UNROUNDED = "none"
"""Turns rounding off, overriding the preference of the project or the server."""
_DAYS = tuple(day.value for day in WeekStart)


@dataclass(frozen=True, slots=True)
class Preferences:
    decimals: int | None = None
    """Decimals that results are rounded to; None: not rounded."""
    week_start: WeekStart = WeekStart.SUNDAY

    def narrowed(self, overrides: Mapping[str, Any], where: str = "") -> Preferences:
        """These preferences, overridden by ``round`` and ``week_start`` of ``overrides``.

        ``where`` is the prefix of the parameters' names in messages. Raises InvalidQuery.
        """
        if ROUND not in overrides and WEEK_START not in overrides:
            return self
        return Preferences(
            decimals(overrides.get(ROUND), self.decimals, where + ROUND),
            week_start(overrides.get(WEEK_START), self.week_start, where + WEEK_START),
        )

    def of_project(self, stored: Mapping[str, Any]) -> Preferences:
        """As ``narrowed``, by a project's stored preferences; invalid ones, stored earlier, are ignored."""
        preferences = self
        for name in (ROUND, WEEK_START):
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
