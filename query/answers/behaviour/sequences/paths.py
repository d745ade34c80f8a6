"""Answers questions about paths: nodes and edges, as a Sankey diagram needs them."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from itertools import pairwise
from typing import Any

import numpy as np

from query.answers.behaviour.actor_events import ReadEvents, read_events
from query.answers.behaviour.selections import SelectionPlan, plan_selections
from query.answers.behaviour.sequences.names import EventNames, Renamer, names_of
from query.behaviour.paths import PathRules, PathTallies, PathTally, walks_of
from query.behaviour.sequences import Flags, Integers, Sequences, each_block
from query.engine.runner import Runner
from query.errors import QueryLimitExceeded
from query.json_encoding import Written, dumps_in_steps
from query.language.analyses.sequence_nodes import PathCounting, PathsQuery
from query.language.nodes import Group
from query.language.suggestions import meant, nearest
from query.limits import Limits
from query.plan.data_warnings import DataWarning, WarningCode
from query.plan.views import Views

OTHER = "other"
_EDGE_BYTES = 400
"""Bytes that an edge takes in Python until it is JSON."""
_NAME_BYTES = 16
"""Bytes that the number of each event's name takes, while it is found."""
_TEXT_COPIES = 4
"""How often the different names are in memory at most, as texts."""
_EDGE_TEXT_BYTES = 40
"""A lower bound of its JSON."""


def plan_paths(query: PathsQuery, views: Views) -> SelectionPlan:
    return plan_selections(
        query.selections, views, timed=True, values=[Group(path) for path in _paths(query)]
    )


def paths_body(query: PathsQuery, views: Views, runner: Runner, limits: Limits) -> tuple[dict[str, Any], int]:
    """The answer's body, and the number of stored events in its timeframes."""
    plan = plan_paths(query, views)
    limits.check_rows(plan.read)
    read = read_events(plan, runner, marked=False)
    names, tallies = None, PathTallies(query.depth, 1)
    if read is not None:
        texts = sum(part.nbytes for one in read.further for part in one.distinct)
        runner.reservation.reserve(_NAME_BYTES * read.events.size + _TEXT_COPIES * texts)
        renamer = Renamer(query.renames, runner.check)
        steps = read.events.steps
        names = names_of(query.selections, steps, read.further, plan.value_parts, _paths(query), renamer)
        tallies = _tallied(query, read, names, runner)
    body: dict[str, Any] = {"result": Written(_Diagram(query, names, tallies, runner, limits).text())}
    if names is not None and (unknown := _unknown_anchor(query, names)) is not None:
        body["warnings"] = [unknown.as_json()]
    return body, plan.scanned


def _unknown_anchor(query: PathsQuery, names: EventNames) -> DataWarning | None:
    """A warning where no event that the question reads has the name at which paths begin or end."""
    anchor = query.anchor
    if anchor is None or anchor.name is None or names.called(anchor.name) is not None:
        return None
    like = nearest(anchor.name, names.shown)
    message = f"No event of the question is called '{anchor.name}'.{meant(like)}"
    where = "to" if anchor.backward else "from"
    return DataWarning(WarningCode.FILTER_NEVER_MATCHES, where, message, like)


def _paths(query: PathsQuery) -> list[str]:
    return list(dict.fromkeys(path for path, _ in query.values))


def _tallied(query: PathsQuery, read: ReadEvents, names: EventNames, runner: Runner) -> PathTallies:
    rules = PathRules(
        query.depth,
        query.anchor is not None and query.anchor.backward,
        query.gap,
        query.window,
        query.collapse,
        every=query.counting is PathCounting.OCCURRENCES,
        by_session=query.counting is PathCounting.SESSIONS,
    )
    since = query.span.start_us if rules.by_session else None
    tallies = PathTallies(query.depth, len(names.texts))
    anchor = query.anchor
    called = None if anchor is None or anchor.name is None else names.called(anchor.name)
    if anchor is not None and anchor.name is not None and called is None:
        return tallies
    events = replace(read.events, marks=names.numbers)

    def tallied(block: Sequences) -> PathTallies:
        runner.check()
        own = PathTallies(query.depth, len(names.texts))
        own.add(walks_of(block, rules, _anchors(query, block, called), since))
        return own

    for found in each_block(events, len(query.selections), tallied, runner.threads):
        tallies.join(found)
    return tallies


def _anchors(query: PathsQuery, events: Sequences, called: int | None) -> Flags | None:
    if query.anchor is None:
        return None
    if query.anchor.selection is not None:
        return events.counting_for(len(query.selections) - 1)
    assert events.marks is not None
    flags: Flags = events.marks == called
    return flags


@dataclass(frozen=True)
class _Step:
    """The nodes of one step. ``named``: the numbers of the names, the most frequent first."""

    first_id: int
    named: Integers
    others: int
    """How many further names there are: they are one node, after the named ones."""

    @property
    def size(self) -> int:
        return len(self.named) + bool(self.others)

    def places(self, numbers: Integers) -> Integers:
        """The id of the node of each name."""
        order = np.argsort(self.named)
        found = np.searchsorted(self.named[order], numbers)
        found = np.minimum(found, max(0, len(order) - 1))
        other = self.first_id + len(self.named)
        if not len(order):
            return np.full(len(numbers), other)
        hit = self.named[order][found] == numbers
        return np.where(hit, self.first_id + order[found], other)


@dataclass(frozen=True)
class _Diagram:
    """``names``: None where there are no events."""

    query: PathsQuery
    names: EventNames | None
    tallies: PathTallies
    runner: Runner
    limits: Limits

    def text(self) -> bytes:
        steps = list(self._steps())
        nodes = [node for at, step in enumerate(steps) for node in self._nodes(at, step)]
        edges, left_out, paths_left_out = self._edges(steps)
        result = {
            "paths": self.tallies.paths,
            "actors": self.tallies.actors,
            "nodes": nodes,
            "edges": edges,
            "left_out": {"edges": left_out, "paths": paths_left_out},
        }
        text = dumps_in_steps(result)
        if len(text) > self.limits.response_bytes_max:
            raise self._too_large()
        self.runner.reservation.reserve(2 * len(text))
        return text

    def _steps(self) -> Iterator[_Step]:
        first_id = 0
        for tallies in self.tallies.steps:
            keys, numbers = tallies.nodes.counted()
            kept = np.flatnonzero(numbers >= self.query.least)
            kept = kept[np.lexsort((keys[kept], -numbers[kept]))][: self.query.nodes]
            step = _Step(first_id, keys[kept], len(keys) - len(kept))
            first_id += step.size
            yield step

    def _nodes(self, at: int, step: _Step) -> Iterator[dict[str, Any]]:
        tallies = self.tallies.steps[at]
        backward = self.query.anchor is not None and self.query.anchor.backward
        last = at == len(self.tallies.steps) - 1
        paths, ended = (_by_place(one, step) for one in (tallies.nodes, tallies.ended))
        beyond = _by_place(self.tallies.beyond, step) if last else None
        for place in range(step.size):
            other = place == len(step.named)
            node: dict[str, Any] = {"id": step.first_id + place, "step": -at if backward else at}
            node["name"] = OTHER if other else self._name(int(step.named[place]))
            if other:
                node["names"] = step.others
            node["paths"] = int(paths[place])
            node["began" if backward else "ended"] = int(ended[place])
            if beyond is not None:
                node["beyond"] = int(beyond[place])
            yield node

    def _edges(self, steps: list[_Step]) -> tuple[list[dict[str, int]], int, int]:
        """The edges; how many are left out, and their paths."""
        backward = self.query.anchor is not None and self.query.anchor.backward
        edges: list[dict[str, int]] = []
        left_out = paths_left_out = 0
        for at, (here, there) in enumerate(pairwise(steps)):
            self.runner.check()
            keys, numbers = self.tallies.steps[at].edges.counted()
            size = 1 if self.names is None else len(self.names.texts)
            pairs = here.places(keys // size) * (there.first_id + there.size) + there.places(keys % size)
            found, places = np.unique(pairs, return_inverse=True)
            totals = np.zeros(len(found), dtype=np.int64)
            np.add.at(totals, places, numbers)
            shown = totals >= self.query.least
            left_out += int((~shown).sum())
            paths_left_out += int(totals[~shown].sum())
            found, totals = found[shown], totals[shown]
            self._reserve(len(edges) + len(found), len(found))
            for pair, paths in zip(found.tolist(), totals.tolist(), strict=True):
                near, far = divmod(pair, there.first_id + there.size)
                source, target = (far, near) if backward else (near, far)
                step = -at - 1 if backward else at
                edges.append({"source": source, "target": target, "step": step, "paths": paths})
        return edges, left_out, paths_left_out

    def _reserve(self, edges: int, more: int) -> None:
        if edges * _EDGE_TEXT_BYTES > self.limits.response_bytes_max:
            raise self._too_large()
        self.runner.reservation.reserve(_EDGE_BYTES * more)

    def _too_large(self) -> QueryLimitExceeded:
        return QueryLimitExceeded(
            f"The paths take more than {self.limits.response_bytes_max:,} bytes. Ask for fewer 'nodes', a "
            "smaller 'depth', or a greater 'least'."
        )

    def _name(self, number: int) -> Any:
        assert self.names is not None
        return self.names.name(number)


def _by_place(tally: PathTally, step: _Step) -> Integers:
    """The totals of the step's nodes."""
    keys, numbers = tally.counted()
    totals = np.zeros(step.size, dtype=np.int64)
    np.add.at(totals, step.places(keys) - step.first_id, numbers)
    return totals
