"""Paths, event by event: what ``query.behaviour.paths`` is held to. Slow and obvious."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import groupby
from typing import Any

from query.behaviour.paths import PathRules
from query.behaviour.sessions import SessionRules
from tests.query.behaviour.sessions_reference import Happened, sessions

FOREVER = 2**62


@dataclass
class Node:
    """Events of one name that follow each other."""

    name: Any
    time: int
    anchor: bool


@dataclass(frozen=True)
class Walk:
    """A path: its names from the anchor on, and whether it would go on."""

    actor: Any
    names: tuple[Any, ...]
    beyond: bool


def walks(
    events: Sequence[Happened],
    rules: PathRules,
    name_of: Callable[[Happened], Any],
    is_anchor: Callable[[Happened], bool] | None,
    since: int | None = None,
) -> list[Walk]:
    found: list[Walk] = []
    gap = FOREVER if rules.gap is None else rules.gap
    for actor, own in groupby(sessions(events, SessionRules(gap)), key=lambda session: session[0].actor):
        begun = False
        for session in own:
            if since is not None and session[0].time < since:
                continue
            nodes = _nodes(session, rules, name_of, is_anchor)
            for at, node in enumerate(nodes):
                if not (node.anchor if is_anchor else at == 0) or (begun and not rules.every):
                    continue
                found.append(_walk(actor, nodes, at, rules))
                begun = True
            if rules.by_session:
                begun = False
    return found


def _nodes(
    session: Sequence[Happened],
    rules: PathRules,
    name_of: Callable[[Happened], Any],
    is_anchor: Callable[[Happened], bool] | None,
) -> list[Node]:
    nodes: list[Node] = []
    for event in session:
        anchor = is_anchor is not None and is_anchor(event)
        if rules.collapse and nodes and nodes[-1].name == name_of(event):
            nodes[-1].anchor |= anchor
        else:
            nodes.append(Node(name_of(event), event.time, anchor))
    return nodes


def _walk(actor: Any, nodes: Sequence[Node], at: int, rules: PathRules) -> Walk:
    onward = nodes[at::-1] if rules.backward else nodes[at:]
    window = FOREVER if rules.window is None else rules.window
    within = [node for node in onward if abs(node.time - nodes[at].time) <= window]
    names = tuple(node.name for node in within[: rules.depth])
    return Walk(actor, names, len(within) > rules.depth)
