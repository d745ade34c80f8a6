"""The names of events in paths: values of a property, or what the question calls the events, renamed by its
rules; and each as a number, in the order of the names."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from query.answers.values import instant_us, loads, number
from query.behaviour.sequences import Integers
from query.behaviour.values import Values
from query.language.analyses.sequence_nodes import EventList, Rename
from query.plan.keys import KeyPart
from storage.instants import format_instant

_TEXT = "t"
_JSON = "j"
_KIND = "\0"
"""Between a name and its kind, so that names are in the order of their texts."""


@dataclass(frozen=True, slots=True)
class Renamer:
    """The question's rules. ``check`` is called between them, and may raise."""

    rules: Sequence[Rename]
    check: Callable[[], None]

    def marked(self, texts: pa.Array) -> pa.Array:
        """The texts by the first rule that each matches, marked as texts."""
        named = pa.nulls(len(texts), pa.large_string())
        for rule in self.rules:
            self.check()
            matches = pc.and_(pc.match_like(texts, _pattern(rule.match)), pc.is_null(named))
            named = pc.if_else(matches, pa.scalar(rule.name, pa.large_string()), named)
        return _marked(pc.coalesce(named, texts) if self.rules else texts, _TEXT)


@dataclass(frozen=True, slots=True)
class EventNames:
    """``numbers``: event by event; ``texts``: the names in order, each with its kind."""

    numbers: Integers
    texts: pa.Array

    def name(self, number_of_name: int) -> Any:
        """The name as a JSON value."""
        text, _, kind = self.texts[number_of_name].as_py().rpartition(_KIND)
        if kind == _TEXT:
            return text
        value = loads(text)
        return number(value) if isinstance(value, float) else value

    @property
    def shown(self) -> Iterator[str]:
        """The names that are texts, one after the other."""
        for one in self.texts:
            text, _, kind = one.as_py().rpartition(_KIND)
            if kind == _TEXT:
                yield text

    def called(self, text: str) -> int | None:
        """The number of the name that is this text."""
        found = pc.index(self.texts, pa.scalar(f"{text}{_KIND}{_TEXT}", self.texts.type)).as_py()
        return None if found < 0 else int(found)


def names_of(
    selections: Sequence[EventList],
    steps: np.ndarray[Any, Any],
    values: Sequence[Values],
    parts: Sequence[Sequence[KeyPart]],
    paths: Sequence[str],
    renamer: Renamer,
) -> EventNames:
    """``steps``: the selections of each event, as bits, of which the first one names it. ``values``: those of
    the properties ``paths``, with their ``parts``."""
    own = renamer.marked(pa.array([one.name for one in selections], pa.large_string()))
    groups = [own, *(_texts(one, kinds, renamer) for one, kinds in zip(values, parts, strict=True))]
    encoded = pa.concat_arrays(groups).dictionary_encode()
    order = pc.sort_indices(encoded.dictionary)
    ranks = np.empty(len(order), dtype=np.int64)
    ranks[order.to_numpy()] = np.arange(len(order))
    numbers = ranks[encoded.indices.to_numpy()]
    begins = np.cumsum([0, *map(len, groups)])
    found = np.empty(len(steps), dtype=np.int64)
    for at, selection, rows in _by_first(selections, steps):
        found[rows] = numbers[at]
        if selection.by is not None:
            which = paths.index(selection.by)
            codes = values[which].codes[rows]
            known = numbers[begins[which + 1] : begins[which + 2]]
            # The last code is that of events without a value.
            found[rows] = np.append(known, numbers[at])[codes]
    return EventNames(found, encoded.dictionary.take(order))


def _by_first(
    selections: Sequence[EventList], steps: np.ndarray[Any, Any]
) -> list[tuple[int, EventList, Any]]:
    """The selections with the rows whose first selection each is."""
    if len(selections) == 1:
        return [(0, selections[0], slice(None))]
    found = []
    for at, selection in enumerate(selections):
        before = (1 << at) - 1
        rows = np.flatnonzero(((steps >> at) & 1 == 1) & (steps & before == 0))
        if len(rows):
            found.append((at, selection, rows))
    return found


def _texts(values: Values, parts: Sequence[KeyPart], renamer: Renamer) -> pa.Array:
    """The names that values make, in the order of their codes."""
    made = [pa.array([], pa.large_string())]
    for part, distinct in zip(parts, values.distinct, strict=True):
        if part is KeyPart.STRING:
            made.append(renamer.marked(distinct.cast(pa.large_string())))
        elif part is KeyPart.INSTANT:
            times = [format_instant(instant_us(value)) for value in distinct.to_pylist()]
            made.append(renamer.marked(pa.array(times, pa.large_string())))
        else:
            made.append(_marked(distinct.cast(pa.large_string()), _JSON))
    return pa.concat_arrays(made)


def _pattern(match: str) -> str:
    """The pattern of SQL's LIKE; all but ``*`` stands for itself."""
    escaped = "".join(f"\\{one}" if one in "\\%_" else one for one in match)
    return escaped.replace("*", "%")


def _marked(texts: pa.Array, kind: str) -> pa.Array:
    mark, nothing = (pa.scalar(text, pa.large_string()) for text in (_KIND + kind, ""))
    return pc.binary_join_element_wise(texts, mark, nothing)
