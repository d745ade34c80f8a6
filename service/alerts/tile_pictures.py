"""The charts of a dashboard as PNG pictures, under the rights and filters of a caller. Blocks.

They are drawn from what an embed token would be told: no filters, no ids of actors, and no raw events.
"""

from __future__ import annotations

import asyncio
import json
import logging
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from typing import Any

from query.errors import QueryCancelled, QueryError
from query.language.nodes import Filter
from query.language.parameter_table import EXTRACTION
from service.alerts.rights import Unanswerable, filters_of_questions, filters_of_saved
from service.auth.principal import Caller
from service.auth.shown_tiles import ShownTiles, tile_ids
from service.background.task_runner import Tools
from service.errors import ApiError
from service.pictures.options import TYPES, PictureOptions, last_boundary
from service.pictures.painter import Painter
from service.saved_queries import definition as saved
from service.saved_queries.results import FilterScope, Results
from storage.catalog.derived.records import SavedQuery

TILES_MAX = 30
PICTURES_BYTES_MAX = 8_000_000
"""Bytes of the pictures of one report; of further tiles it is said that they are left out."""
_TILE = "tile"
_log = logging.getLogger("acumen.reports")


@dataclass(frozen=True, slots=True)
class Drawn:
    """A tile: its picture, or why there is none."""

    title: str
    png: bytes | None
    problem: str = ""


class TilePictures:
    """Draws for one runner."""

    def __init__(self, tools: Tools) -> None:
        self._tools = tools
        self._catalog = tools.catalog
        self._settings = tools.settings
        limits, preferences = tools.settings.query_limits, tools.settings.preferences
        self._results = Results(tools.catalog, tools.reader, tools.engine, limits, preferences)

    def draw(
        self,
        project_id: str,
        document: Any,
        caller: Caller | None,
        now_us: int,
        *,
        theme: str,
        locale: str,
    ) -> list[Drawn]:
        """The tiles that show an answer, in the document's order. Raises QueryCancelled."""
        looks = PictureOptions(theme=theme, locale=locale)
        return asyncio.run(self._draw(project_id, document, caller, now_us, looks))

    async def _draw(
        self, project_id: str, document: Any, caller: Caller | None, now_us: int, looks: PictureOptions
    ) -> list[Drawn]:
        painter = Painter(self._settings.picture_seconds, self._settings.picture_idle_seconds)
        found: list[Drawn] = []
        size = 0
        try:
            for tile in _tiles(project_id, self._catalog.saved_queries.find, document):
                drawn = await self._one(tile, caller, now_us, looks, painter)
                size += len(drawn.png or b"")
                if size > PICTURES_BYTES_MAX or len(found) >= TILES_MAX:
                    found.append(Drawn(tile.title, None, "It is left out: the report would be too large."))
                    break
                found.append(drawn)
        finally:
            await asyncio.to_thread(painter.close)
        return found

    async def _one(
        self, tile: _Tile, caller: Caller | None, now_us: int, looks: PictureOptions, painter: Painter
    ) -> Drawn:
        try:
            body = await asyncio.to_thread(self._answered, tile, caller, now_us)
            options = replace(
                looks, title=tile.title or None, type=tile.type, now_ms=last_boundary(body, now_us // 1_000)
            )
            return Drawn(tile.title, await painter.picture(body, options, png=True))
        except QueryCancelled:
            raise
        except Unanswerable as error:
            return Drawn(tile.title, None, str(error))
        except (QueryError, ApiError) as error:
            # The message may quote values of filters.
            return Drawn(tile.title, None, f"It cannot be answered or drawn ({error.code}).")
        except Exception as error:
            _log.exception("A tile of a report could not be drawn.", exc_info=error)
            return Drawn(tile.title, None, "The server failed to draw it. The failure was logged.")

    def _answered(self, tile: _Tile, caller: Caller | None, now_us: int) -> bytes:
        """The answer as a viewer is told it. Raises Unanswerable, QueryError."""
        query = tile.query
        if query is None:
            raise Unanswerable("Its saved query is gone.")
        if saved.analysis_type(query) == EXTRACTION:
            raise Unanswerable("Events themselves are not sent in reports.")
        filters: tuple[Filter, ...]
        filters = filters_of_saved(caller, query) if query.id >= 0 else filters_of_questions(caller)
        deadline = self._results.deadline(self._tools.cancels.token())
        result, _ = self._results.now(query, FilterScope(filters), now_us, deadline)
        if saved.is_funnel(saved.analysis_type(query)):
            result = saved.dumped(saved.funnel_for_viewer(json.loads(result)))
        return saved.with_result(saved.described_for_viewer(query), result)


@dataclass(frozen=True, slots=True)
class _Tile:
    query: SavedQuery | None
    title: str
    type: str | None


def _tiles(project_id: str, find: Any, document: Any) -> Iterator[_Tile]:
    """The tiles with an answer. Raises QueryError for a question that is none."""
    shown = ShownTiles.of(document)
    widgets = document.get("widgets") if isinstance(document, Mapping) else None
    widgets = [one for one in widgets if isinstance(one, dict)] if isinstance(widgets, list) else []
    for tile, widget in zip(tile_ids(widgets), widgets, strict=True):
        named = widget.get("query")
        title = widget.get("title")
        settings = widget.get("settings")
        said = widget.get("type") if widget.get("type") in TYPES else None
        if said is None and isinstance(settings, dict) and settings.get("visualizationType") in TYPES:
            said = settings["visualizationType"]
        title = title if isinstance(title, str) else ""
        if isinstance(named, str) and named in shown.saved_queries:
            yield _Tile(find(project_id, named), title, said)
        elif tile in shown.questions:
            try:
                text = saved.read(
                    _TILE, {"query": shown.questions[tile]}, lambda *_: None, strict=False
                ).query
            except QueryError:
                yield _Tile(None, title, said)
                continue
            yield _Tile(SavedQuery(-1, project_id, _TILE, text, "null", 0, 0, 0, 0), title, said)
