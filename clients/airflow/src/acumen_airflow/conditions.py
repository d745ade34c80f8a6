"""Conditions on the numbers of an answer: ``">= 100"``, ``"between 1 and 5"``."""

from __future__ import annotations

import operator
import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

_NUMBER = r"-?\d+(?:\.\d+)?(?:[eE][+-]?\d+)?"
_COMPARED = re.compile(rf"(>=|<=|==|!=|>|<)\s*({_NUMBER})")
_BETWEEN = re.compile(rf"between\s+({_NUMBER})\s+and\s+({_NUMBER})", re.IGNORECASE)
_OPERATORS: dict[str, Callable[[float, float], bool]] = {
    ">=": operator.ge,
    "<=": operator.le,
    "==": operator.eq,
    "!=": operator.ne,
    ">": operator.gt,
    "<": operator.lt,
}
FAULTS_NAMED = 5


@dataclass(frozen=True, slots=True)
class Condition:
    """What each number of an answer must fulfil."""

    text: str
    holds: Callable[[float], bool]


def condition_of(text: str) -> Condition:
    """The condition that a text says. Raises ValueError."""
    stripped = text.strip()
    if compared := _COMPARED.fullmatch(stripped):
        compare, limit = _OPERATORS[compared[1]], float(compared[2])
        return Condition(stripped, lambda value: compare(value, limit))
    if between := _BETWEEN.fullmatch(stripped):
        least, most = float(between[1]), float(between[2])
        return Condition(stripped, lambda value: least <= value <= most)
    raise ValueError(f"'{text}' is no condition: write one as '>= 100', '!= 0' or 'between 1 and 5'.")


def faults(condition: Condition, result: Any, of: str | None = None) -> list[str]:
    """Which numbers of a result do not fulfil it, each in words; at least one is needed.

    ``of``: which of several, as in a multi-analysis or a series.
    """
    found = list(_numbers(result, of))
    if not found:
        return ["the answer has no row"]
    return [
        f"{where}{'no value' if value is None else value}"
        for where, value in found
        if value is None or not condition.holds(value)
    ]


def in_words(wrong: list[str]) -> str:
    """The first of the faults."""
    more = len(wrong) - FAULTS_NAMED
    return "; ".join(wrong[:FAULTS_NAMED]) + (f"; and {more} more" if more > 0 else "")


def _numbers(result: Any, of: str | None, where: str = "") -> Iterator[tuple[str, float | None]]:
    """Each number of a result, with where it stands."""
    if isinstance(result, list):
        for row in result:
            yield from _of_row(row, of, where)
    elif isinstance(result, Mapping):
        if of is None or of not in result:
            names = ", ".join(map(str, result))
            raise ValueError(f"the answer has several numbers ({names}): say 'of' which the condition is.")
        yield from _numbers(result[of], None, where)
    elif result is None or (isinstance(result, int | float) and not isinstance(result, bool)):
        yield where, result
    else:
        raise ValueError(f"the answer is no number: {str(result)[:100]}")


def _of_row(row: Any, of: str | None, where: str) -> Iterator[tuple[str, float | None]]:
    if not isinstance(row, Mapping):
        raise ValueError(f"the answer has no numbers to compare: {str(row)[:100]}")
    if "timeframe" in row and "value" in row:
        yield from _numbers(row["value"], of, f"{where}from {row['timeframe']['start']}: ")
        return
    name = of if of in row else "result"
    if name not in row:
        raise ValueError(f"a row of the answer has no '{name}': it has {', '.join(map(str, row))}.")
    groups = {key: value for key, value in row.items() if key != name and not isinstance(value, int | float)}
    if name == "result":
        groups = {key: value for key, value in row.items() if key != name}
    said = ", ".join(f"{key}={value}" for key, value in groups.items())
    yield from _numbers(row[name], of, f"{where}{said}: " if said else where)
