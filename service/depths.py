"""Bodies with an event in them that is nested deeper than any parser follows.

They are JSON by its grammar, and such an event must not spoil all others of its batch. What lies too deep is
cut out, so that the rest can be parsed; enough is left for the event to be refused for its depth. This way is
slow, and is gone only where a parser gave up.
"""

from __future__ import annotations

import re

KEPT = 200
"""Levels that are left: more than an event may have, and few enough for every parser."""

_MARKS = re.compile(rb'"[^"\\]*+(?:\\.[^"\\]*+)*+"|([\[{]+)|([\]}]+)', re.DOTALL)


def cut(text: bytes) -> bytes:
    """The same JSON with ``0`` for every list and object that stands more than ``KEPT`` levels deep."""
    parts: list[bytes] = []
    depth = kept_to = 0
    for mark in _MARKS.finditer(text):
        opened, closed = mark.span(1), mark.span(2)
        if opened[0] >= 0:
            if depth <= KEPT < depth + opened[1] - opened[0]:
                parts += [text[kept_to : opened[0] + KEPT - depth], b"0"]
            depth += opened[1] - opened[0]
        elif closed[0] >= 0:
            after = depth - (closed[1] - closed[0])
            if after <= KEPT < depth:
                kept_to = closed[0] + depth - KEPT
            depth = after
    if depth <= KEPT:
        parts.append(text[kept_to:])
    return b"".join(parts)
