"""Partitioning events by time, with a limit on the number of files that one flush writes.

A *span* is a part of the calendar (UTC) with a label: a day, a month, a year, or, for sparse data, a
decade, a century, all time. Everything here is pure.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date

FILES_MAX = 64
"""Most files that one flush writes for one collection."""
ROWS_MIN = 5_000
"""A span with fewer rows gets no file of its own if it has neighbours in the same flush."""

LEVELS = ("all", "century", "decade", "year", "month", "day")


@dataclass(frozen=True, slots=True)
class PartitionSlice:
    """``rows`` consecutive rows, in time order, for one file of the span ``label``."""

    label: str
    rows: int


@dataclass(slots=True)
class _SpanGroup:
    level: int
    days: Sequence[tuple[date, int]]

    @property
    def rows(self) -> int:
        return sum(rows for _, rows in self.days)


def cut(
    days: Sequence[tuple[date, int]], *, files_max: int = FILES_MAX, rows_min: int = ROWS_MIN
) -> list[PartitionSlice]:
    """Divide rows, counted per day in time order, into at most ``files_max`` files, in time order.

    A span with ``rows_min`` rows or more is divided further, down to days; neighbouring spans with fewer
    rows share a file of the span around them.
    """
    if not days:
        return []
    while True:
        cuts = _cut(_SpanGroup(0, days), rows_min)
        if len(cuts) <= files_max:
            return cuts
        rows_min *= 2


def _cut(group: _SpanGroup, rows_min: int) -> list[PartitionSlice]:
    if group.level == len(LEVELS) - 1 or group.rows < rows_min:
        return [PartitionSlice(common_label(group.days[0][0], group.days[-1][0]), group.rows)]
    cuts: list[PartitionSlice] = []
    light: list[tuple[date, int]] = []
    for child in _children(group):
        if child.rows < rows_min:
            light.extend(child.days)
            continue
        cuts.extend(_light_cut(light))
        light = []
        cuts.extend(_cut(child, rows_min))
    return cuts + _light_cut(light)


def _light_cut(days: Sequence[tuple[date, int]]) -> list[PartitionSlice]:
    if not days:
        return []
    return [PartitionSlice(common_label(days[0][0], days[-1][0]), sum(rows for _, rows in days))]


def _children(group: _SpanGroup) -> list[_SpanGroup]:
    level = group.level + 1
    children: list[_SpanGroup] = []
    last = None
    start = 0
    for position, (day, _) in enumerate(group.days):
        label = label_of(day, LEVELS[level])
        if label != last and position:
            children.append(_SpanGroup(level, group.days[start:position]))
            start = position
        last = label
    children.append(_SpanGroup(level, group.days[start:]))
    return children


def label_of(day: date, level: str) -> str:
    """The label of the span of this level that holds the day."""
    if level == "day":
        return day.isoformat()
    if level == "month":
        return day.isoformat()[:7]
    if level == "year":
        return f"{day.year:04d}"
    if level == "all":
        return "0001-9999"
    years = 10 if level == "decade" else 100
    first = day.year // years * years
    return f"{max(first, 1):04d}-{first + years - 1:04d}"


def common_label(first: date, last: date) -> str:
    """The label of the narrowest span that holds both days."""
    for level in reversed(LEVELS):
        label = label_of(first, level)
        if label == label_of(last, level):
            return label
    raise AssertionError("all time holds every day")


def parent_label(label: str) -> str | None:
    """The month of a day, the year of a month; None above."""
    if len(label) == len("2026-01-01"):
        return label[:7]
    if len(label) == len("2026-01") and not label[5:].startswith("-"):
        return label[:4]
    return None


def last_day(label: str) -> date:
    """The last day of a day, month or year."""
    if len(label) == len("2026-01-01"):
        return date.fromisoformat(label)
    if len(label) == len("2026"):
        return date(int(label), 12, 31)
    year, month = int(label[:4]), int(label[5:7])
    if (year, month) == (9999, 12):
        return date.max
    following = date(year + month // 12, month % 12 + 1, 1)
    return date.fromordinal(following.toordinal() - 1)
