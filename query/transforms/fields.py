"""Reading the tables of a pipeline file: each error names the place, the reason and what would help."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any, TypeVar

from query.language.suggestions import did_you_mean
from query.language.timeframe import LENGTHS_US

E = TypeVar("E", bound=StrEnum)
UNITS_US = {"seconds": 1_000_000, **{f"{unit}s": length for unit, length in LENGTHS_US.items()}}
"""Units of lengths of time, as questions have them, and seconds."""
_LENGTH = re.compile(r"([1-9][0-9]{0,8})_([a-z]+)")


class InvalidPipeline(Exception):
    """A definition that cannot be applied; ``place`` is its path in the file."""

    def __init__(self, place: str, message: str) -> None:
        super().__init__(f"{place}: {message}")
        self.place = place


@dataclass
class Fields:
    """A table of the file. Each key is taken once; ``end`` refuses those that are left."""

    place: str
    values: Mapping[str, Any]
    _taken: set[str] = field(default_factory=set)

    @classmethod
    def of(cls, place: str, value: object) -> Fields:
        if not isinstance(value, dict):
            raise InvalidPipeline(place, "must be a table, as { key = value }.")
        return cls(place, value)

    def at(self, key: str) -> str:
        return f"{self.place}.{key}"

    def wrong(self, key: str, wanted: str) -> InvalidPipeline:
        given = repr(self.values.get(key))
        return InvalidPipeline(self.at(key), f"must be {wanted}, not {given[:100]}.")

    def has(self, key: str) -> bool:
        return key in self.values

    def _lacks(self, key: str) -> InvalidPipeline:
        """The error for a key that must be there, and the key that may have been meant for it."""
        meant = did_you_mean(key, [one for one in self.values if one not in self._taken])
        hint = meant.replace("Did you mean", "Is it").replace("?", ", misspelt?") if meant else ""
        return InvalidPipeline(self.place, f"lacks '{key}'.{hint}")

    def raw(self, key: str, default: Any = None) -> Any:
        self._taken.add(key)
        return self.values.get(key, default)

    def text(self, key: str, default: str | None = None) -> str:
        value = self.raw(key, default)
        if value is None:
            raise self._lacks(key)
        if not isinstance(value, str) or not value:
            raise self.wrong(key, "a text that is not empty")
        return value

    def optional_text(self, key: str) -> str | None:
        return self.text(key) if self.has(key) else None

    def flag(self, key: str) -> bool:
        value = self.raw(key, False)
        if not isinstance(value, bool):
            raise self.wrong(key, "true or false")
        return value

    def whole(self, key: str, default: int, low: int, high: int) -> int:
        value = self.raw(key, default)
        if isinstance(value, bool) or not isinstance(value, int) or not low <= value <= high:
            raise self.wrong(key, f"a whole number from {low} to {high:,}")
        return value

    def choice(self, key: str, kind: type[E], default: E | None = None) -> E:
        value = self.raw(key, default)
        try:
            return kind(value)
        except ValueError:
            options = ", ".join(f"'{one}'" for one in kind)
            raise self.wrong(key, f"one of {options}") from None

    def texts(self, key: str, *, empty: bool = False) -> tuple[str, ...]:
        """A list of texts, or one text."""
        value = self.raw(key, [] if empty else None)
        if value is None:
            raise self._lacks(key)
        listed = [value] if isinstance(value, str) else value
        if not isinstance(listed, list) or not all(isinstance(one, str) and one for one in listed):
            raise self.wrong(key, "a text or a list of texts")
        if not listed and not empty:
            raise self.wrong(key, "a list with at least one text")
        return tuple(dict.fromkeys(listed))

    def pairs(self, key: str) -> tuple[tuple[str, str], ...]:
        """A table of texts."""
        value = self.raw(key)
        if not isinstance(value, dict) or not value:
            raise self.wrong(key, "a table of texts, as { name = 'text' }")
        for one in value.values():
            if not isinstance(one, str) or not one:
                raise self.wrong(key, "a table of texts, as { name = 'text' }")
        return tuple(value.items())

    def length(self, key: str, default: int | None = None) -> int | None:
        """A length of time in µs."""
        value = self.raw(key)
        if value is None:
            return default
        found = _LENGTH.fullmatch(value) if isinstance(value, str) else None
        if found is None or found[2] not in UNITS_US:
            raise self.wrong(key, "a length of time, as '30_minutes', '36_hours' or '7_days'")
        return int(found[1]) * UNITS_US[found[2]]

    def table(self, key: str) -> Fields:
        return Fields.of(self.at(key), self.raw(key))

    def end(self) -> None:
        """Refuse keys that were never read."""
        for key in self.values:
            if key not in self._taken:
                raise unknown(self.place, key, self._taken)


def unknown(place: str, key: str, known: Iterable[str]) -> InvalidPipeline:
    listed = sorted(known)
    hint = did_you_mean(key, listed) or f" It may have: {', '.join(listed)}."
    return InvalidPipeline(place, f"has no key '{key[:100]}'.{hint}")
