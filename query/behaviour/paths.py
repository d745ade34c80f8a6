"""Paths: the nodes that actors go through one after the other, found in the sequences of all actors.

The marks of events are the nodes. A path lies within a session, or within all events of an actor.
"""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np

from query.behaviour.sequences import Flags, Integers, Sequences, changes
from query.behaviour.sessions import SessionRules, session_starts

_STORED_MAX = 1 << 20
"""Pairs of a key and its number that are kept before they are added up."""


@dataclass(frozen=True, slots=True)
class PathRules:
    """Where paths begin and end. Times are in µs; ends are included.

    ``depth``: the most nodes. ``backward``: paths end at the anchor. ``gap``: the most between two events.
    ``window``: the most from the anchor. ``collapse``: events of one node that follow each other are one.
    ``every``: a path for every anchor; otherwise for the first one of each session (``by_session``) or actor.
    """

    depth: int
    backward: bool = False
    gap: int | None = None
    window: int | None = None
    collapse: bool = True
    every: bool = False
    by_session: bool = False


@dataclass(frozen=True, slots=True)
class Walks:
    """The paths of some actors. ``nodes``: row by row, from the anchor on; -1 after the last one."""

    nodes: Integers
    beyond: Flags
    """Whether each path would go on."""
    actors: Integers


def walks_of(events: Sequences, rules: PathRules, anchors: Flags | None, since: int | None = None) -> Walks:
    """``anchors``: whether a path may begin, or end, at each event; None for the first event of each session
    or actor. With ``since``, sessions that begin before it are left out."""
    assert events.marks is not None
    parts = _parts(events, rules)
    begins = parts.copy()
    if rules.collapse:
        begins[1:] |= events.marks[1:] != events.marks[:-1]
    else:
        begins[:] = True
    # A run is the events that are one node.
    runs = np.flatnonzero(begins)
    numbers = np.cumsum(parts, dtype=np.int64)[runs]
    starts = _starts(events, rules, anchors, since, parts, runs, numbers)
    times, marks = events.times[runs], events.marks[runs]
    nodes = np.full((len(starts), rules.depth), -1, dtype=np.int64)
    alive = np.ones(len(starts), dtype=bool)
    for step in range(rules.depth + 1):
        at = starts - step if rules.backward else starts + step
        alive &= (at >= 0) & (at < len(runs))
        at = np.where(alive, at, 0)
        alive &= numbers[at] == numbers[starts]
        if rules.window is not None:
            alive &= np.abs(times[at] - times[starts]) <= rules.window
        if step < rules.depth:
            nodes[alive, step] = marks[at[alive]]
    return Walks(nodes, alive, events.actors[runs[starts]])


def _parts(events: Sequences, rules: PathRules) -> Flags:
    """Whether each event begins a session, or an actor's events."""
    if rules.gap is None:
        return changes(events.actors)
    begins = np.zeros(events.size, dtype=bool)
    begins[session_starts(events, SessionRules(rules.gap))] = True
    return begins


def _starts(
    events: Sequences,
    rules: PathRules,
    anchors: Flags | None,
    since: int | None,
    parts: Flags,
    runs: Integers,
    numbers: Integers,
) -> Integers:
    """The runs that paths begin, or end, at."""
    able = np.ones(len(runs), dtype=bool) if anchors is None else np.logical_or.reduceat(anchors, runs)
    if since is not None:
        able &= (events.times[np.flatnonzero(parts)] >= since)[numbers - 1]
    found = np.flatnonzero(able)
    if rules.every:
        return found
    units = numbers[found] if rules.by_session else events.actors[runs[found]]
    return found[changes(units)]


@dataclass(slots=True)
class PathTally:
    """How often each key was added."""

    _keys: list[Integers] = field(default_factory=list)
    _numbers: list[Integers] = field(default_factory=list)
    _stored: int = 0

    def add(self, keys: Integers) -> None:
        if keys.max(initial=0) <= len(keys):
            totals = np.bincount(keys)
            found = np.flatnonzero(totals)
            numbers = totals[found]
        else:
            found, numbers = np.unique(keys, return_counts=True)
        self._keys.append(found)
        self._numbers.append(numbers)
        self._stored += len(found)
        if self._stored > _STORED_MAX:
            self._add_up()

    def join(self, other: PathTally) -> None:
        """Add what was added to another one."""
        self._keys += other._keys
        self._numbers += other._numbers
        self._stored += other._stored
        if self._stored > _STORED_MAX:
            self._add_up()

    def counted(self) -> tuple[Integers, Integers]:
        """The keys, ascending, and the number of each."""
        self._add_up()
        return self._keys[0], self._numbers[0]

    def _add_up(self) -> None:
        none = [np.zeros(0, dtype=np.int64)]
        found, places = np.unique(np.concatenate(self._keys or none), return_inverse=True)
        totals = np.zeros(len(found), dtype=np.int64)
        np.add.at(totals, places, np.concatenate(self._numbers or none))
        self._keys, self._numbers, self._stored = [found], [totals], 0


@dataclass(slots=True)
class StepTallies:
    """What is counted of the paths at one step: keys are nodes, and pairs of a node and the next one."""

    nodes: PathTally = field(default_factory=PathTally)
    ended: PathTally = field(default_factory=PathTally)
    edges: PathTally = field(default_factory=PathTally)

    def join(self, other: StepTallies) -> None:
        """Add what was counted of other paths."""
        self.nodes.join(other.nodes)
        self.ended.join(other.ended)
        self.edges.join(other.edges)


class PathTallies:
    """Counts the nodes and the edges of paths, of ``names`` nodes in all."""

    def __init__(self, depth: int, names: int) -> None:
        self.steps = [StepTallies() for _ in range(depth)]
        self.beyond = PathTally()
        """The last nodes of paths that would go on."""
        self.paths = 0
        self.actors = 0
        self._names = names

    def join(self, other: PathTallies) -> None:
        """Add what was counted of other actors."""
        self.paths += other.paths
        self.actors += other.actors
        self.beyond.join(other.beyond)
        for own, others in zip(self.steps, other.steps, strict=True):
            own.join(others)

    def add(self, walks: Walks) -> None:
        """Add the paths of actors of whom none was added before."""
        self.paths += len(walks.actors)
        self.actors += int(np.count_nonzero(changes(walks.actors)))
        last = len(self.steps) - 1
        for step, tallies in enumerate(self.steps):
            here = walks.nodes[:, step]
            there = here >= 0
            goes_on = walks.beyond if step == last else walks.nodes[:, step + 1] >= 0
            tallies.nodes.add(here[there])
            tallies.ended.add(here[there & ~goes_on])
            if step == last:
                self.beyond.add(here[goes_on])
            else:
                tallies.edges.add(here[goes_on] * self._names + walks.nodes[goes_on, step + 1])
