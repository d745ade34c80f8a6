"""The values that codes of ``query.behaviour.values`` stand for, as JSON values with their sort keys."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import product
from typing import Any

import numpy as np

from query.answers.values import NULL_ORDER, loads, number, part_value, value_order
from query.behaviour.sequences import Integers
from query.behaviour.values import Values
from query.language.nodes import ValueRange
from query.plan.keys import KeyPart

Valued = tuple[Any, tuple[int, Any]]
"""A JSON value, and its sort key."""
_CHECK_EVERY = 1_024
NOTHING: Valued = (None, (NULL_ORDER, 0))


class Decoder:
    """Of one property's codes."""

    def __init__(
        self, values: Values, parts: Sequence[KeyPart], ranges: Sequence[ValueRange] | None = None
    ) -> None:
        """``ranges``: those of the group, if it has some."""
        self._values, self._parts, self._ranges = values, parts, ranges
        self._found: dict[int, tuple[Valued, ...]] = {}

    def value(self, code: int) -> Any:
        """The value; a list is one value."""
        place = self._values.place(code)
        if place is None:
            return None
        part, index = place
        cell = self._values.distinct[part][index].as_py()
        return loads(cell) if self._parts[part] is KeyPart.LIST else self._single(part, cell)[0]

    def groups(self, code: int) -> tuple[Valued, ...]:
        """The groups that the value belongs to: of a list, those of its elements."""
        found = self._found.get(code)
        if found is None:
            found = self._found[code] = self._groups(code)
        return found

    def _groups(self, code: int) -> tuple[Valued, ...]:
        place = self._values.place(code)
        if place is None:
            return (NOTHING,)
        part, index = place
        cell = self._values.distinct[part][index].as_py()
        if self._parts[part] is not KeyPart.LIST:
            return (self._single(part, cell),)
        elements = {order: (value, order) for value, order in map(_element, loads(cell))}
        return tuple(elements.values()) or (NOTHING,)

    def _single(self, part: int, cell: Any) -> Valued:
        kind = self._parts[part]
        if kind is KeyPart.RANGE and self._ranges is not None:
            return self._ranges[cell].label, (0, cell)
        return part_value(kind, cell)


@dataclass(frozen=True, slots=True)
class CodeGroups:
    """The groups of combinations of codes: one with a list belongs to several."""

    valued: Sequence[tuple[Valued, ...]]
    """What each group is called."""
    sizes: Integers
    """For each combination the number of its groups …"""
    flat: Integers
    """… and the numbers of these, one combination after the other."""

    def of(self, combinations: Integers) -> tuple[Integers | None, Integers]:
        """For items that have these combinations, each pair of an item and a group of it: the numbers of the
        items, None where each has exactly one group, and those of the groups."""
        if len(self.flat) == len(self.sizes) and (self.sizes == 1).all():
            return None, self.flat[combinations]
        times = self.sizes[combinations]
        items = np.repeat(np.arange(len(combinations)), times)
        within = np.arange(len(items)) - np.repeat(np.cumsum(times) - times, times)
        begins = np.cumsum(self.sizes) - self.sizes
        return items, self.flat[begins[combinations[items]] + within]


@dataclass(frozen=True, slots=True)
class Grouping:
    """The groups of items: an item with a list belongs to several."""

    valued: Sequence[tuple[Valued, ...]]
    """What each group is called."""
    items: Integers
    """For each pair of an item and a group of it, the number of the item …"""
    groups: Integers
    """… and that of the group."""

    @classmethod
    def of_one(cls, items: int, valued: Sequence[tuple[Valued, ...]] = ((),)) -> Grouping:
        """All items in one group."""
        return cls(valued, np.arange(items), np.zeros(items, dtype=np.int64))


def group_items(
    decoders: Sequence[Decoder],
    combinations: Sequence[Sequence[int]],
    numbers: Integers,
    check: Callable[[int], None],
) -> Grouping:
    """The groups of items that have the codes of these combinations; ``numbers`` says which each item has.

    ``check`` is called with the number of groups so far, and may raise.
    """
    found = groups_of(decoders, combinations, check)
    items, groups = found.of(numbers)
    return Grouping(found.valued, np.arange(len(numbers)) if items is None else items, groups)


def groups_of(
    decoders: Sequence[Decoder], combinations: Sequence[Sequence[int]], check: Callable[[int], None]
) -> CodeGroups:
    """The groups of these combinations; ``check`` as in ``group_items``."""
    places: dict[tuple[tuple[int, Any], ...], int] = {}
    valued: list[tuple[Valued, ...]] = []
    lengths: list[int] = []
    flat: list[int] = []
    for at, codes in enumerate(combinations):
        if at % _CHECK_EVERY == 0:
            check(len(valued))
        before = len(flat)
        for group in product(*(decoder.groups(code) for decoder, code in zip(decoders, codes, strict=True))):
            place = places.setdefault(tuple(order for _, order in group), len(valued))
            if place == len(valued):
                valued.append(group)
            flat.append(place)
        lengths.append(len(flat) - before)
    check(len(valued))
    return CodeGroups(valued, np.array(lengths, dtype=np.int64), np.array(flat, dtype=np.int64))


def _element(value: Any) -> Valued:
    if isinstance(value, float):
        value = number(value)
    if not isinstance(value, str | int | float):
        return NOTHING
    return value, value_order(value)
