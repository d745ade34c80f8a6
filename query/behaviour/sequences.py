"""The events of each actor in the order of time, as flat arrays.

``numbered`` gives each actor a number, ``in_sequence`` puts the events in order. Events of one actor and one
time are ordered by the first step that they count for, so that a later step may follow at the same time, and
those of the same steps by their marks. All arrays have one entry for each event.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from functools import cached_property, partial
from typing import Any, TypeVar

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from query.behaviour.sorting import in_order
from query.behaviour.threads import in_threads

Found = TypeVar("Found")
Integers = NDArray[np.int64]
Flags = NDArray[np.bool_]
BLOCK = 1 << 16
"""Events whose arrays are made at once: those of a block stay in the processor's cache."""
_KEY_BITS = 63
_KEPT_SHARE = 0.75
_PASSES_MAX = 64
"""More parts than this are not selected one by one: one sort by several keys is faster."""
_COUNTED_STEPS_MAX = 16
"""Up to this many steps, the masks that occur are found by counting each possible one."""


@dataclass(frozen=True, slots=True)
class ActorEvents:
    """Events in no order. ``actors``: numbers from 0; ``times``: µs; ``steps``: masks, bit 0 the first."""

    actors: NDArray[np.integer]
    times: Integers
    steps: NDArray[np.integer]
    count: int
    """The number of actors."""
    marks: Integers | None = None
    """What else is known of each event: numbers from 0."""

    @property
    def size(self) -> int:
        return len(self.times)

    def of_actors(self, kept: Flags) -> ActorEvents:
        """The events of the actors with the flag; actors keep their numbers.

        Where they are nearly all events, the others stay: to leave them out, all the rest would be copied.
        """
        rows = kept[self.actors]
        if np.count_nonzero(rows) > _KEPT_SHARE * self.size:
            return self
        return self._taken(rows, self.actors[rows])

    def of_part(self, rows: Integers, first_actor: int) -> ActorEvents:
        """The events of these rows; the number of each actor is ``first_actor`` less."""
        return self._taken(rows, self.actors[rows] - first_actor)

    def at(self, rows: Integers) -> ActorEvents:
        """The events of these rows; actors keep their numbers."""
        return self._taken(rows, self.actors[rows])

    def _taken(self, rows: NDArray[Any], actors: NDArray[np.integer]) -> ActorEvents:
        marks = None if self.marks is None else self.marks[rows]
        return ActorEvents(actors, self.times[rows], self.steps[rows], self.count, marks)

    def doing(self, step: int) -> Flags:
        """Whether each actor has an event that counts for the step."""
        flags = np.zeros(self.count, dtype=bool)
        flags[self.actors[(self.steps >> step) & 1 == 1]] = True
        return flags


@dataclass(frozen=True)
class Sequences:
    """Events by actor and time. ``steps``: a bit for each step that the event counts for, bit 0 the first."""

    actors: Integers
    times: Integers
    steps: Integers
    marks: Integers | None = None

    @property
    def size(self) -> int:
        return len(self.times)

    @cached_property
    def first(self) -> Integers:
        """The index of the actor's first event."""
        return np.maximum.accumulate(np.where(changes(self.actors), np.arange(self.size), 0))

    def counting_for(self, step: int) -> Flags:
        """Whether each event counts for this step."""
        flags: Flags = (self.steps >> step) & 1 == 1
        return flags

    def before_ties(self) -> Integers:
        """The index of the last event before those of each event's time and actor."""
        indexes = np.arange(self.size)
        return np.maximum.accumulate(np.where(self._begins_time(), indexes, 0)) - 1

    def after_ties(self) -> Integers:
        """The index of the first event after those of each event's time and actor."""
        ends = np.ones(self.size, dtype=bool)
        ends[:-1] = self._begins_time()[1:]
        indexes = np.where(ends, np.arange(self.size), self.size)
        return np.minimum.accumulate(indexes[::-1])[::-1] + 1

    def last_until(self, found: Integers, gap: int) -> Integers:
        """The index of the last event at least ``gap`` µs before each of these; below the first for none."""
        asked = self.times[found] - gap
        # Ranks of times keep the keys small, however far apart the times are.
        ranks = np.unique(np.concatenate([self.times, asked]), return_inverse=True)[1]
        width = int(ranks.max(initial=0)) + 1
        keys = self.first * width + ranks[: self.size]
        wanted = self.first[found] * width + ranks[self.size :]
        return np.searchsorted(keys, wanted, side="right") - 1

    def _begins_time(self) -> Flags:
        return changes(self.times, self.actors)


def numbered(parts: Sequence[pa.ChunkedArray], threads: int = 1) -> tuple[NDArray[np.int32], list[pa.Array]]:
    """A number from 0 for each distinct actor, row by row, and the distinct values of each part.

    Of the parts of a row, exactly one is not null. The values of the first part have the first numbers.
    """
    numbers: NDArray[np.int32] | None = None
    distinct: list[pa.Array] = []
    first = 0
    for part in parts:
        found, values = encoded(part, threads)
        distinct.append(values)
        numbers = found if numbers is None else np.where(found >= 0, found + np.int32(first), numbers)
        first += len(values)
    assert numbers is not None
    return numbers, distinct


def encoded(part: pa.ChunkedArray, threads: int = 1) -> tuple[NDArray[np.int32], pa.Array]:
    """For each row the number of its value, from 0, and -1 for null; and the distinct values.

    Values are numbered in the order in which they occur.
    """
    # 0.0 and -0.0 are one value; Arrow would keep them apart.
    values = pc.add(part, 0.0) if pa.types.is_floating(part.type) else part
    if len(values) <= BLOCK:
        threads = 1
    size = max(1, -(-len(values) // threads))
    pieces = [slice(start, start + size) for start in range(0, len(values), size)] or [slice(0, 0)]
    numbers = np.empty(len(values), dtype=np.int32)

    def encode(rows: slice) -> pa.Array:
        return _encode(values[rows], numbers[rows])

    found = list(in_threads(encode, pieces, threads))
    if len(found) == 1:
        return numbers, found[0]
    # Each thread has numbered the values of its rows; the values themselves are numbered once more.
    places = np.empty(sum(map(len, found)), dtype=np.int32)
    distinct = _encode(pa.chunked_array(found), places)
    each = np.split(places, np.cumsum([len(own) for own in found])[:-1])

    def renumber(piece: tuple[slice, NDArray[np.int32]]) -> None:
        rows, own_places = piece
        # The last number stands for null, whose index is -1.
        numbers[rows] = np.append(own_places, np.int32(-1))[numbers[rows]]

    for _ in in_threads(renumber, zip(pieces, each, strict=True), threads):
        pass
    return numbers, distinct


def _encode(values: pa.ChunkedArray, numbers: NDArray[np.int32]) -> pa.Array:
    """Set the number of each value; the distinct values."""
    # What the default pool takes while its tables grow, it would keep.
    found = pc.dictionary_encode(values, memory_pool=pa.system_memory_pool())
    start = 0
    for chunk in found.chunks:
        indices = chunk.indices.fill_null(-1) if chunk.null_count else chunk.indices
        numbers[start : start + len(chunk)] = indices.to_numpy(zero_copy_only=False)
        start += len(chunk)
    return found.chunk(0).dictionary if found.num_chunks else pa.array([], values.type)


def in_sequence(events: ActorEvents, step_count: int, block: int = BLOCK) -> Iterator[Sequences]:
    """The events in order, about ``block`` of them at a time, those of an actor always together.

    Only a key of eight bytes is made for all events at once; what is computed from them has the size of a
    block. One sort of whole numbers is many times faster than a sort by several keys, so that actor, time,
    mask and mark are packed into one where they fit, or where those of a part of the actors fit. Otherwise
    the rows are sorted by actor and time, and then those of one time.
    """
    return (make() for make in _blocks_in_sequence(events, step_count, 1, block))


def each_block(
    events: ActorEvents, step_count: int, work: Callable[[Sequences], Found], threads: int, block: int = BLOCK
) -> Iterator[Found]:
    """What ``work`` finds in each block of ``in_sequence``, in their order; several blocks at once."""
    if events.size <= block:
        threads = 1
    blocks = _blocks_in_sequence(events, step_count, threads, block)
    return in_threads(lambda make: work(make()), blocks, threads)


def _blocks_in_sequence(
    events: ActorEvents, step_count: int, threads: int, block: int
) -> Iterator[Callable[[], Sequences]]:
    """What makes each block."""
    if not events.size:
        return
    packing = _packing(events, step_count)
    free = _KEY_BITS - packing.bits
    actor_bits = _bits_of(events.count - 1)
    if actor_bits <= free:
        yield from packing.sequences(events, block, threads)
    elif free > 0 and 1 << (actor_bits - free) <= _PASSES_MAX:
        for part, rows in _parts(events, free):
            first_actor = part << free
            yield from packing.sequences(events.of_part(rows, first_actor), block, threads, first_actor)
    else:
        yield from packing.by_rows(events, actor_bits, block)


@dataclass(frozen=True, slots=True)
class _Packing:
    """How the time, the mask and the mark of an event become the lower bits of a key."""

    least: int
    unit: int
    """µs: all times are a multiple of it after ``least``."""
    time_bits: int
    masks: Integers
    """The masks that occur, those of the first step first."""
    mark_bits: int

    @property
    def mask_bits(self) -> int:
        return _bits_of(len(self.masks) - 1)

    @property
    def bits(self) -> int:
        return self.time_bits + self.mask_bits + self.mark_bits

    def rank_of(self, steps: NDArray[np.integer]) -> Integers:
        """The position of each mask in ``masks``."""
        if self.masks.max() < 1 << _COUNTED_STEPS_MAX:
            ranks = np.zeros(int(self.masks.max()) + 1, dtype=np.uint32)
            ranks[self.masks] = np.arange(len(self.masks))
            return np.take(ranks, steps)
        order = np.argsort(self.masks)
        return np.take(order, np.searchsorted(self.masks[order], steps))

    def sequences(
        self, events: ActorEvents, block: int, threads: int, first_actor: int = 0
    ) -> Iterator[Callable[[], Sequences]]:
        key = self._keys(events, block, threads)
        marked = events.marks is not None
        for start, end in self._blocks(key, block):
            yield partial(self._of_keys, key[start:end], first_actor, marked=marked)

    def _keys(self, events: ActorEvents, block: int, threads: int) -> Integers:
        """The keys of all events, ascending, made block by block: what lies between takes no more."""
        starts = range(0, events.size, block)

        def fill(at: int, key: Integers) -> None:
            rows = slice(starts[at], starts[at] + block)
            self._set_timed(key, events.actors[rows], events.times[rows])
            key <<= self.mask_bits
            if len(self.masks) > 1:
                key |= self.rank_of(events.steps[rows])
            if events.marks is not None:
                key <<= self.mark_bits
                key |= events.marks[rows]

        return in_order([min(block, events.size - start) for start in starts], fill, threads)

    def _of_keys(self, key: Integers, first_actor: int, *, marked: bool) -> Sequences:
        marks = key & ((1 << self.mark_bits) - 1) if marked else None
        shifted = key >> self.mark_bits
        if len(self.masks) > 1:
            steps = self.masks[shifted & ((1 << self.mask_bits) - 1)]
        else:
            steps = np.broadcast_to(self.masks, len(key))
        shifted >>= self.mask_bits
        own = shifted & ((1 << self.time_bits) - 1)
        actors = (shifted >> self.time_bits) + first_actor
        return Sequences(actors, own * self.unit + self.least, steps, marks)

    def by_rows(self, events: ActorEvents, actor_bits: int, block: int) -> Iterator[Callable[[], Sequences]]:
        """As ``sequences``, by sorting the numbers of rows: for keys that do not fit."""
        if actor_bits + self.time_bits <= _KEY_BITS:
            yield from self._by_time(events, block)
            return
        order = self._lexical(events)
        for start, end in blocks_of(events.actors[order], block):
            yield partial(self._of_rows, events, order[start:end])

    def _of_rows(self, events: ActorEvents, rows: Integers) -> Sequences:
        actors = events.actors[rows].astype(np.int64)
        return Sequences(actors, events.times[rows], *self._taken(events, rows))

    def _by_time(self, events: ActorEvents, block: int) -> Iterator[Callable[[], Sequences]]:
        """By actor and time, which fit a key, and then those of one actor and time."""
        key = np.empty(events.size, dtype=np.int64)
        self._set_timed(key, events.actors, events.times)
        order = np.argsort(key)
        key = key[order]
        same = key[1:] == key[:-1]
        tied = np.zeros(len(key), dtype=bool)
        tied[1:] = same
        tied[:-1] |= same
        places = np.flatnonzero(tied)
        rows = order[places]
        order[places] = rows[np.lexsort((*self._within_time(events, rows), key[places]))]
        for start, end in blocks_of(key >> self.time_bits, block):
            yield partial(self._of_times, events, key[start:end], order[start:end])

    def _of_times(self, events: ActorEvents, key: Integers, rows: Integers) -> Sequences:
        # What the key has is not fetched by row: the rows of a block lie anywhere.
        times = (key & ((1 << self.time_bits) - 1)) * self.unit + self.least
        return Sequences(key >> self.time_bits, times, *self._taken(events, rows))

    def _taken(self, events: ActorEvents, rows: Integers) -> tuple[Integers, Integers | None]:
        """The masks and the marks of these rows."""
        if len(self.masks) > 1:
            steps = events.steps[rows].astype(np.int64)
        else:
            steps = np.full(len(rows), self.masks[0])
        return steps, None if events.marks is None else events.marks[rows]

    def _lexical(self, events: ActorEvents) -> Integers:
        rows = np.arange(events.size)
        return np.lexsort((*self._within_time(events, rows), events.times, events.actors))

    def _within_time(self, events: ActorEvents, rows: Integers) -> list[Integers]:
        """The keys that order rows of one actor and time, the most important one last."""
        marks = [] if events.marks is None else [events.marks[rows]]
        return [*marks, self.rank_of(events.steps[rows])]

    def _set_timed(self, key: Integers, actors: NDArray[np.integer], times: Integers) -> None:
        """Set the key to actor and time."""
        key[:] = actors
        key <<= self.time_bits
        # In place: another array of all events would be the greatest part of what this takes.
        if self.unit > 1:
            key += (times - self.least) // self.unit
        else:
            key += times
            key -= self.least

    def _blocks(self, key: Integers, block: int) -> Iterator[tuple[int, int]]:
        """As ``blocks_of``, by the actor in each key."""
        start = 0
        while start < len(key):
            end = min(start + block, len(key))
            if end < len(key):
                following = (int(key[end - 1]) >> self.bits) + 1
                end = int(np.searchsorted(key, following << self.bits))
            yield start, end
            start = end


def _parts(events: ActorEvents, bits: int) -> Iterator[tuple[int, Integers]]:
    """The rows of actors that have all but their lower bits in common, with what they have in common."""
    shifted = events.actors >> bits
    for part in range((events.count - 1 >> bits) + 1):
        rows = np.flatnonzero(shifted == part)
        if len(rows):
            yield part, rows


def _packing(events: ActorEvents, step_count: int) -> _Packing:
    least, most = int(events.times.min()), int(events.times.max())
    if step_count <= _COUNTED_STEPS_MAX:
        masks = np.flatnonzero(np.bincount(events.steps, minlength=1))
    else:
        masks = np.unique(events.steps)
    ranks = sorted(masks.tolist(), key=lambda mask: [not mask >> step & 1 for step in range(step_count)])
    mark_bits = 0 if events.marks is None else _bits_of(int(events.marks.max()))
    packing = _Packing(least, 1, _bits_of(most - least), np.array(ranks, dtype=np.int64), mark_bits)
    if packing.bits + _bits_of(events.count - 1) <= _KEY_BITS:
        return packing
    # Most senders give whole milliseconds or seconds: their keys need fewer bits.
    unit = next(unit for unit in (1_000_000, 1_000, 1) if _are_multiples(events.times, least, unit))
    return replace(packing, unit=unit, time_bits=_bits_of((most - least) // unit))


def _bits_of(greatest: int) -> int:
    return max(1, greatest.bit_length())


def _are_multiples(times: Integers, least: int, unit: int) -> bool:
    """Whether all times are a multiple of ``unit`` after ``least``."""
    sample = times[:: max(1, len(times) // 64)]
    if unit > 1 and ((sample - least) % unit).any():
        return False
    return unit == 1 or not ((times - least) % unit).any()


def blocks_of(actors: NDArray[np.integer], block: int) -> Iterator[tuple[int, int]]:
    """Where the blocks begin and end, each with all events of its actors."""
    start = 0
    while start < len(actors):
        end = min(start + block, len(actors))
        if end < len(actors):
            end = int(np.searchsorted(actors, actors[end - 1], side="right"))
        yield start, end
        start = end


def changes(values: NDArray[np.integer], *more: NDArray[np.integer]) -> Flags:
    """Whether each entry differs from the one before it, in any of the arrays; the first one does."""
    new = np.ones(len(values), dtype=bool)
    np.not_equal(values[1:], values[:-1], out=new[1:])
    for other in more:
        new[1:] |= other[1:] != other[:-1]
    return new
