"""To how many decimals results are rounded and on which day weeks begin, where a question says neither.

A question's own parameter goes before its project's preference, and that before the server's setting.
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
"""Says that results are not rounded, whatever the project or the server prefers."""
_DAYS = tuple(day.value for day in WeekStart)


@dataclass(frozen=True, slots=True)
class Preferences:
    decimals: int | None = None
    """Of results; None: all of them."""
    week_start: WeekStart = WeekStart.SUNDAY

    def narrowed(self, given: Mapping[str, Any], where: str = "") -> Preferences:
        """With what ``given`` says of ``round`` and ``week_start`` in their places; ``where`` it stands, for
        messages. Raises InvalidQuery."""
        if ROUND not in given and WEEK_START not in given:
            return self
        return Preferences(
            decimals(given.get(ROUND), self.decimals, where + ROUND),
            week_start(given.get(WEEK_START), self.week_start, where + WEEK_START),
        )

    def of_project(self, kept: Mapping[str, Any]) -> Preferences:
        """As ``narrowed`` by a project's preferences, which may hold anything where they are from before."""
        found = self
        for name in (ROUND, WEEK_START):
            try:
                found = found.narrowed({name: kept.get(name)})
            except InvalidQuery:
                continue
        return found


KEEN = Preferences()
"""What Keen did."""


def decimals(value: Any, default: int | None, name: str = ROUND) -> int | None:
    """To how many decimals results are rounded, None for all; absent, null and "" are the default.

    Raises InvalidQuery.
    """
    if value is None or value == "":
        return default
    if value == UNROUNDED:
        return None
    needs = f"an integer from 0 to {DECIMALS_MAX}, or '{UNROUNDED}'"
    try:
        found = whole(name, value, 0)
    except InvalidQuery:
        raise wrong(name, needs, value) from None
    if found > DECIMALS_MAX:
        raise wrong(name, needs, value)
    return found


def week_start(value: Any, default: WeekStart, name: str = WEEK_START) -> WeekStart:
    """The day on which weeks begin; absent, null and "" are the default. Raises InvalidQuery."""
    if value is None or value == "":
        return default
    if not isinstance(value, str) or value not in _DAYS:
        raise wrong(name, f"one of {', '.join(_DAYS)}", value, hint=did_you_mean(value, _DAYS))
    return WeekStart(value)
