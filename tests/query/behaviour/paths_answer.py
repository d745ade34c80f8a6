"""Answers to questions about paths, worked out path by path in plain Python."""

from __future__ import annotations

import json
import re
from collections import Counter
from typing import Any

from query.behaviour.paths import PathRules
from query.language.analyses.sequence_nodes import EventList, PathCounting, PathsQuery, Rename
from query.language.nodes import Group
from tests.query.behaviour.paths_reference import Walk, walks
from tests.query.behaviour.sessions_answer import happened, rank_of, value_at
from tests.query.support_source import Event

Name = tuple[str, str]
"""The text of a name, and whether it is a text or other JSON."""
OTHER = ("", "other")


def renamed(text: str, renames: tuple[Rename, ...]) -> str:
    for rule in renames:
        pattern = ".*".join(map(re.escape, rule.match.split("*")))
        if re.fullmatch(pattern, text, re.DOTALL):
            return rule.name
    return text


def name_of(event: Event, selection: EventList, renames: tuple[Rename, ...]) -> Name:
    if selection.by is None:
        return renamed(selection.name, renames), "t"
    kind, ranked = rank_of(event, Group(selection.by))
    if kind == 9:
        return renamed(selection.name, renames), "t"
    value = value_at(event, selection.by)
    if isinstance(value, str):
        return renamed(value, renames), "t"
    # Long integers and lists are ranked by their texts, as they are stored.
    return ranked if kind in (1, 5) else written(value), "j"


def written(value: Any) -> str:
    """A number or boolean as JSON; an integral double without its fraction."""
    if isinstance(value, float) and value.is_integer() and abs(value) < 1e15:
        value = int(value)
    return json.dumps(value)


def answer(query: PathsQuery, collections: dict[str, list[Event]]) -> Any:
    selections = query.selections

    def named(event: Event, bits: list[bool]) -> Name:
        return name_of(event, selections[bits.index(True)], query.renames)

    events = happened(selections, named, collections)
    anchor = query.anchor
    is_anchor = None
    if anchor is not None and anchor.selection is not None:
        is_anchor = lambda event: event.what[1][-1]  # noqa: E731
    elif anchor is not None:
        is_anchor = lambda event: named(*event.what) == (anchor.name, "t")  # noqa: E731
    rules = PathRules(
        query.depth,
        anchor is not None and anchor.backward,
        query.gap,
        query.window,
        query.collapse,
        query.counting is PathCounting.OCCURRENCES,
        query.counting is PathCounting.SESSIONS,
    )
    since = query.span.start_us if query.counting is PathCounting.SESSIONS else None
    found = walks(events, rules, lambda event: named(*event.what), is_anchor, since)
    return diagram(query, found)


def diagram(query: PathsQuery, found: list[Walk]) -> Any:
    backward = query.anchor is not None and query.anchor.backward
    ids: list[dict[Name, int]] = []
    nodes: list[dict[str, Any]] = []
    for step in range(query.depth):
        here = [walk for walk in found if len(walk.names) > step]
        counts = Counter(walk.names[step] for walk in here)
        ranked = sorted(counts, key=lambda name: (-counts[name], "\0".join(name)))
        named = [name for name in ranked if counts[name] >= query.least][: query.nodes]
        first = len(nodes)
        ids.append({name: first + (named.index(name) if name in named else len(named)) for name in ranked})
        for place, name in enumerate([*named, OTHER] if len(named) < len(ranked) else named):
            own = [walk for walk in here if ids[step][walk.names[step]] == first + place]
            node: dict[str, Any] = {"id": first + place, "step": -step if backward else step}
            if name == OTHER:
                node |= {"name": "other", "names": len(ranked) - len(named)}
            else:
                node["name"] = name[0] if name[1] == "t" else json.loads(name[0])
            node["paths"] = len(own)
            ended = [walk for walk in own if len(walk.names) == step + 1 and not walk.beyond]
            node["began" if backward else "ended"] = len(ended)
            if step == query.depth - 1:
                node["beyond"] = sum(walk.beyond for walk in own)
            nodes.append(node)
    edges, left_out = [], Counter[str]()
    for step in range(query.depth - 1):
        counts = Counter(
            (ids[step][walk.names[step]], ids[step + 1][walk.names[step + 1]])
            for walk in found
            if len(walk.names) > step + 1
        )
        for near, far in sorted(counts):
            paths = counts[near, far]
            if paths < query.least:
                left_out.update(edges=1, paths=paths)
                continue
            source, target = (far, near) if backward else (near, far)
            own_step = -step - 1 if backward else step
            edges.append({"source": source, "target": target, "step": own_step, "paths": paths})
    return {
        "paths": len(found),
        "actors": len({walk.actor for walk in found}),
        "nodes": nodes,
        "edges": edges,
        "left_out": {"edges": left_out["edges"], "paths": left_out["paths"]},
    }
