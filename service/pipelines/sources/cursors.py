"""Cursors: which rows are new, where several have the greatest value, and others come late.

The cursor is the greatest value that was read. Rows of that value, and of the time before it that ``overlap``
says, are asked for again each time; those that were read are known by their content, and counted, since two
equal rows may be two.
"""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Mapping
from decimal import Decimal, InvalidOperation
from typing import Any

import orjson

from storage.instants import format_instant, parse_instant

KNOWN_MAX = 100_000
_DIGEST_BYTES = 16


class TooManyTies(Exception):
    """More rows than can be told apart have one value; the text names it."""


def order_of(value: Any) -> Decimal:
    """What values are ordered by: numbers by themselves, times by their instants (µs). Raises ValueError."""
    if isinstance(value, str):
        found = parse_instant(value)
        if found is not None:
            return Decimal(found)
    elif isinstance(value, int | float | Decimal) and not isinstance(value, bool):
        try:
            number = Decimal(str(value))
        except InvalidOperation:
            number = Decimal("NaN")
        if number.is_finite():
            return number
    raise ValueError(f"'{str(value)[:60]}' is neither a number nor a time in ISO 8601")


def digest_of(row: bytes) -> str:
    """The digest of a row's content, whatever the order of its members."""
    try:
        row = orjson.dumps(orjson.loads(row), option=orjson.OPT_SORT_KEYS)
    except orjson.JSONDecodeError:
        pass
    return hashlib.blake2b(row, digest_size=_DIGEST_BYTES).hexdigest()


class CursorWindow:
    """The rows of one reading, told from those of earlier ones."""

    def __init__(self, position: Mapping[str, Any], overlap_us: int, known_max: int = KNOWN_MAX) -> None:
        """``position``: what ``position()`` gave the last time; empty at the start."""
        self._overlap = Decimal(overlap_us)
        self._known_max = known_max
        self.value: Any = position.get("cursor")
        """The greatest value so far; None at the start."""
        self.before: Any = position.get("before")
        """The greatest value below it."""
        self._last = None if self.value is None else order_of(self.value)
        self._floor = None if self._last is None else self._last - self._overlap
        self._greatest = self._last
        self._second = None if self.before is None else order_of(self.before)
        self._known: dict[str, tuple[Decimal, int]] = {
            key: (Decimal(order), count) for key, (order, count) in position.get("known", {}).items()
        }
        self._left = Counter({key: count for key, (_, count) in self._known.items()})
        self._seen: Counter[str] = Counter()

    def take(self, value: Any, row: bytes) -> bool:
        """Whether a row is new. Raises ValueError for a value without an order, TooManyTies."""
        order = order_of(value)
        if self._floor is not None and order < self._floor:
            return False
        key = digest_of(row)
        is_known = self._left[key] > 0
        self._left[key] -= 1
        self._seen[key] += 1
        _, before = self._known.get(key, (order, 0))
        self._known[key] = (order, max(before, self._seen[key]))
        self._raise_to(order, value)
        if len(self._known) > 2 * self._known_max:
            self._prune()
        return not is_known

    def _raise_to(self, order: Decimal, value: Any) -> None:
        if self._greatest is None or order > self._greatest:
            self._second, self.before = self._greatest, self.value
            self._greatest, self.value = order, value
        elif order < self._greatest and (self._second is None or order > self._second):
            self._second, self.before = order, value

    def _prune(self) -> None:
        """Forget rows that are not asked for again."""
        assert self._greatest is not None
        floor = self._greatest - self._overlap
        self._known = {key: one for key, one in self._known.items() if one[0] >= floor}
        if len(self._known) > self._known_max:
            raise TooManyTies(
                f"More than {self._known_max:,} rows have the value '{self.value}', or lie within the "
                "overlap: take a cursor that tells rows apart, or a shorter 'overlap'."
            )

    def position(self) -> dict[str, Any]:
        """What the next reading is told from. Raises TooManyTies."""
        if self._greatest is None:
            return {}
        self._prune()
        known = {key: [str(order), count] for key, (order, count) in self._known.items()}
        return {"cursor": self.value, "before": self.before, "known": known}


def earlier(value: Any, overlap_us: int) -> Any:
    """The value so much earlier, where it is a time; others stay."""
    if overlap_us and isinstance(value, str):
        found = parse_instant(value)
        if found is not None:
            return format_instant(found - overlap_us)
    return value
