"""Sessions: the events of an actor that follow each other closely, found in the sequences of all actors."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np

from query.behaviour.sequences import Flags, Integers, Sequences, changes


@dataclass(frozen=True, slots=True)
class SessionRules:
    """Where sessions begin. Times are in µs; ends are included.

    ``gap``: the most between two events. ``cuts``: instants at which a session ends, ascending. ``longest``:
    the most from a session's first event to its last.
    """

    gap: int
    cuts: tuple[int, ...] = ()
    longest: int | None = None


@dataclass(frozen=True, slots=True)
class FoundSessions:
    """One entry for each session; ``entries`` and ``exits`` are the marks of its first and last event."""

    actors: Integers
    starts: Integers
    durations: Integers
    sizes: Integers
    """The numbers of events."""
    entries: Integers | None = None
    exits: Integers | None = None

    @property
    def count(self) -> int:
        return len(self.starts)

    def taken(self, rows: Integers) -> FoundSessions:
        """The sessions with these numbers."""
        entries = None if self.entries is None else self.entries[rows]
        exits = None if self.exits is None else self.exits[rows]
        return FoundSessions(
            self.actors[rows], self.starts[rows], self.durations[rows], self.sizes[rows], entries, exits
        )

    @classmethod
    def of_all(cls, parts: Iterable[FoundSessions]) -> FoundSessions:
        listed = list(parts)

        def joined(name: str) -> Integers | None:
            arrays = [getattr(part, name) for part in listed]
            return np.concatenate(arrays) if arrays and arrays[0] is not None else None

        none = np.zeros(0, dtype=np.int64)
        whole = [joined(name) for name in ("actors", "starts", "durations", "sizes")]
        actors, starts, durations, sizes = (none if one is None else one for one in whole)
        return cls(actors, starts, durations, sizes, joined("entries"), joined("exits"))


def sessions_of(events: Sequences, rules: SessionRules, since: int | None = None) -> FoundSessions:
    """The sessions of these events; those that begin before ``since`` are left out."""
    firsts = session_starts(events, rules)
    lasts = np.append(firsts[1:], events.size) - 1
    if since is not None:
        kept = events.times[firsts] >= since
        firsts, lasts = firsts[kept], lasts[kept]
    starts = events.times[firsts]
    return FoundSessions(
        events.actors[firsts],
        starts,
        events.times[lasts] - starts,
        lasts - firsts + 1,
        None if events.marks is None else events.marks[firsts],
        None if events.marks is None else events.marks[lasts],
    )


def session_starts(events: Sequences, rules: SessionRules) -> Integers:
    """The index of the first event of each session, ascending."""
    begins = changes(events.actors)
    begins[1:] |= events.times[1:] - events.times[:-1] > rules.gap
    if rules.cuts:
        days = np.searchsorted(np.array(rules.cuts, dtype=np.int64), events.times, side="right")
        begins[1:] |= days[1:] != days[:-1]
    firsts = np.flatnonzero(begins)
    return firsts if rules.longest is None else _shortened(events, firsts, rules.longest)


@dataclass(frozen=True, slots=True)
class PlacedEvents:
    """Events, one of each actor and time, each with its place in a session."""

    actors: Integers
    times: Integers
    sessions: Integers
    """The number of the session."""
    positions: Integers
    """1 for the first of a session, and so on; events of one time have the position of the first of them."""

    @classmethod
    def of_all(cls, parts: Sequence[PlacedEvents]) -> PlacedEvents:
        """``parts``: at least one."""
        each = zip(*((one.actors, one.times, one.sessions, one.positions) for one in parts), strict=True)
        return cls(*map(np.concatenate, each))


def placed(events: Sequences, found: FoundSessions, kept: Flags) -> PlacedEvents:
    """The events with the flag; ``found`` are all sessions of the events."""
    firsts = np.cumsum(found.sizes) - found.sizes
    at_time = events.before_ties() + 1
    rows = np.flatnonzero(kept)
    rows = rows[changes(at_time[rows])]
    sessions = np.searchsorted(firsts, rows, side="right") - 1
    positions = at_time[rows] - firsts[sessions] + 1
    return PlacedEvents(events.actors[rows], events.times[rows], sessions, positions)


def chain_starts(events: Sequences, found: FoundSessions, rules: SessionRules) -> Integers:
    """For each session the time of the first event from which on no gap and no cut comes before it."""
    starts = session_starts(events, SessionRules(rules.gap, rules.cuts))
    firsts = np.cumsum(found.sizes) - found.sizes
    return events.times[starts[np.searchsorted(starts, firsts, side="right") - 1]]


def by_session(events: Sequences, rules: SessionRules) -> tuple[Sequences, Integers]:
    """The events as those of one actor for each session, numbered from 0, and the actor of each session."""
    firsts = session_starts(events, rules)
    sessions = np.repeat(np.arange(len(firsts)), np.diff(np.append(firsts, events.size)))
    return Sequences(sessions, events.times, events.steps, events.marks), events.actors[firsts]


def _shortened(events: Sequences, firsts: Integers, longest: int) -> Integers:
    """The first events where sessions are no longer than this: each goes on with the next event after it."""
    lasts = np.append(firsts[1:], events.size) - 1
    too_long = events.times[lasts] - events.times[firsts] > longest
    if not too_long.any():
        return firsts
    # The numbers of sessions make one ascending sequence of the times of all that are too long.
    lengths = (lasts - firsts + 1)[too_long]
    numbers = np.repeat(np.arange(len(lengths)), lengths)
    before = np.cumsum(lengths) - lengths
    rows = np.arange(len(numbers)) - before[numbers] + firsts[too_long][numbers]
    since = events.times[rows] - events.times[firsts[too_long]][numbers]
    step = int(since.max()) + longest + 1
    if step * len(lengths) < 1 << 62:
        keys = since + numbers * step
        following = np.searchsorted(keys, keys + longest, side="right")
    else:
        following = _following(since, before, lengths, longest)
    ends = (before + lengths)[numbers]
    following = np.append(np.where(following < ends, following, len(rows)), len(rows))
    reached = np.zeros(len(rows) + 1, dtype=bool)
    reached[before] = True
    # Each round doubles the number of sessions that are followed, however often one is divided.
    while True:
        found = following[np.flatnonzero(reached)]
        if reached[found].all():
            break
        reached[found] = True
        following = following[following]
    begins = np.zeros(events.size, dtype=bool)
    begins[firsts] = True
    begins[rows[np.flatnonzero(reached[:-1])]] = True
    return np.flatnonzero(begins)


def _following(since: Integers, before: Integers, lengths: Integers, longest: int) -> Integers:
    """The index of the first event more than ``longest`` after each one, session by session."""
    found = np.empty(len(since), dtype=np.int64)
    for start, size in zip(before.tolist(), lengths.tolist(), strict=True):
        own = since[start : start + size]
        found[start : start + size] = start + np.searchsorted(own, own + longest, side="right")
    return found
