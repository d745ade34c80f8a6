"""What a dashboard's document shows: the saved queries, the questions of its own, and its controls.

It reads documents as ``clients/charts/src/components/board.ts`` does, which draws them.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

from service.auth.embed_conditions import Viewer

Json = dict[str, Any]

NOTHING = Viewer()
_WITHOUT_ANSWER = ("text", "image", "date-picker", "filter")
"""Types of widgets that show no answer, whatever query they name."""
_NO_SEGMENT = ("", ".", "..")
"""Ids that cannot be a segment of an address."""


@dataclass(frozen=True, slots=True)
class ShownTiles:
    saved_queries: frozenset[str] = frozenset()
    questions: Json = field(default_factory=dict)
    """Id of a tile → its question, for tiles with a question of their own."""
    controls: Viewer = NOTHING

    @classmethod
    def of(cls, document: Any) -> ShownTiles:
        widgets = _widgets(document)
        answering = [one for one in widgets if one.get("type") not in _WITHOUT_ANSWER]
        names = {one["query"] for one in answering if isinstance(one.get("query"), str)}
        return cls(frozenset(names - {""}), dict(_questions(widgets)), _controls(document, widgets))


def tile_ids(widgets: list[Any]) -> list[str]:
    """The id by which each widget's result is asked for: its own, or else a number."""
    own = [one.get("id") if isinstance(one, dict) else None for one in widgets]
    taken = {one for one in own if isinstance(one, str)}
    ids: list[str] = []
    for at, one in enumerate(own):
        if isinstance(one, str) and one not in _NO_SEGMENT and one not in ids:
            ids.append(one)
            continue
        name = str(at)
        while name in taken or name in ids:
            name += "-"
        ids.append(name)
    return ids


def _widgets(document: Any) -> list[Json]:
    widgets = document.get("widgets") if isinstance(document, dict) else None
    return [one for one in widgets if isinstance(one, dict)] if isinstance(widgets, list) else []


def _questions(widgets: list[Json]) -> Iterator[tuple[str, Json]]:
    for tile, widget in zip(tile_ids(widgets), widgets, strict=True):
        question = widget.get("query")
        if isinstance(question, dict) and widget.get("type") not in _WITHOUT_ANSWER:
            yield tile, question


def _controls(document: Any, widgets: list[Json]) -> Viewer:
    """What viewers may change: as the document says, or else by the widgets of Keen's dashboard creator."""
    outer = document if isinstance(document, dict) else {}
    layout = outer.get("layout")
    said = [one.get("controls") for one in (layout, outer) if isinstance(one, dict) and "controls" in one]
    given = next((one for one in said if one is not None), None)
    if given is not None:
        return _said(given)
    if said:
        return NOTHING
    settings = [one.get("settings") for one in widgets if one.get("type") == "filter"]
    names = [one.get("targetProperty") for one in settings if isinstance(one, dict)]
    return Viewer(any(one.get("type") == "date-picker" for one in widgets), False, _texts(names))


def _said(controls: Any) -> Viewer:
    """From an object, or from text such as ``timeframe filter:country``."""
    if isinstance(controls, dict):
        filters = controls.get("filters")
        return Viewer(
            controls.get("timeframe") is True,
            controls.get("interval") is True,
            _texts(filters if isinstance(filters, list) else []),
        )
    words = controls.split() if isinstance(controls, str) else []
    filters = [word.removeprefix("filter:") for word in words if word.startswith("filter:")]
    return Viewer("timeframe" in words, "interval" in words, frozenset(filters))


def _texts(values: list[Any]) -> frozenset[str]:
    return frozenset(one for one in values if isinstance(one, str))
